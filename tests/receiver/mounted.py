"""The receiver inside a real web server of Airflow, with two worker processes, as the plugin mounts it."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steadfast.launch.airflow_env import AirflowPlace, airflow_environment, write_passwords
from steadfast.launch.ports import choose_port

from .rig import SEALING_KEY, STOP_SECONDS, Receiver
from .wire import Address, wait_until

ROOT = Path(__file__).parents[2]
AIRFLOW = str(Path(sys.executable).parent / "airflow")
START_SECONDS = 180
WORKERS = 2


@contextmanager
def start_mounted(database: Any, metadata: Any, directory: Path) -> Iterator[Receiver]:
    """Run `airflow api-server` over a metadata database of its own, until the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    place = AirflowPlace(ROOT, directory, choose_port(), metadata.owner_url, database.pipeline_url)
    environment = airflow_environment(place, {}, os.environ)
    write_passwords(place)
    log = directory / "api-server.log"
    with log.open("ab") as output:
        subprocess.run(
            [AIRFLOW, "db", "migrate"], env=environment, stdout=output, stderr=output, check=True, timeout=300
        )
        process = subprocess.Popen(
            [AIRFLOW, "api-server", "--workers", str(WORKERS)],
            env={
                **environment,
                "STEADFAST_RECEIVER_URL": database.receiver_url,
                "STEADFAST_SEALING_KEYS": SEALING_KEY,
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _is_ready(place.port) or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text("utf-8")
        yield Receiver(Address("127.0.0.1", place.port, "/hooks"), database, log, process)
    finally:
        _stop(process)


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/hooks/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
