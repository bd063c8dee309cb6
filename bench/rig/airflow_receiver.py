"""The receiver inside Airflow's api-server, as the plugin mounts it; nothing else of Airflow runs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rig.receiver import Target, await_ready, clean_environment
from rig.signed import Address
from rig.warehouse import Warehouse
from steadfast.launch.airflow_env import AirflowPlace, airflow_environment, write_passwords
from steadfast.launch.ports import choose_port
from steadfast.warehouse.locations import sql_directory

NAME = "in_api_server"
PREFIX = "/hooks"
STOP_SECONDS = 20


@contextmanager
def run_in_airflow(warehouse: Warehouse, address: Address) -> Iterator[Target]:
    """Migrate Airflow's database, start its web server and wait until the mounted receiver is ready."""
    databases, state = warehouse.databases, warehouse.server.state
    home = sql_directory().parent
    place = AirflowPlace(home, state, choose_port(), databases.airflow_url, databases.pipeline_url)
    environment = airflow_environment(place, {}, clean_environment())
    environment |= {"STEADFAST_RECEIVER_URL": databases.receiver_url}
    write_passwords(place)
    program = str(Path(sys.executable).parent / "airflow")
    with (state / "airflow.log").open("ab") as log:
        streams = {"env": environment, "cwd": state, "stdout": log, "stderr": log}
        subprocess.run([program, "db", "migrate"], check=True, **streams)
        process = subprocess.Popen([program, "api-server"], **streams)
    try:
        await_ready(place.port, f"{PREFIX}/readyz", process)
        mounted = replace(address, path=PREFIX + address.path)
        yield Target(NAME, place.port, process.pid, mounted, databases.owner_url)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
