"""The webhook receiver of a launch: a process of its own with its own role and the keys that open secrets.

Airflow's tasks get neither. Where it listens is kept in the state directory, for commands in other terminals.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from steadfast.entities.sealing import SETTING as SEALING_KEYS
from steadfast.entities.sealing import read_sealing_keys
from steadfast.launch.airflow_env import NEVER_PASSED_ON
from steadfast.launch.processes import Children
from steadfast.settings import Settings
from steadfast.warehouse.secret_files import write_private

DEFAULT_PORT = 8081
FILE = "receiver.json"
PROGRAM = Path(sys.executable).parent / "steadfast"


def start_receiver(children: Children, port: int, environment: Mapping[str, str]) -> int:
    """Start it and return its port; ConfigError with its last words if it does not start."""
    command = [str(PROGRAM), "receive", "--port", str(port)]
    return int(children.start_announcing("receiver", command, environment)["port"])


def receiver_environment(
    state: Path, settings: Settings, receiver_url: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """What the receiver gets: of all secrets only its own."""
    own = {
        "STEADFAST_STATE": str(state),
        "STEADFAST_RECEIVER_URL": receiver_url,
        SEALING_KEYS: read_sealing_keys(settings.sealing_keys, state),
        "STEADFAST_METRICS_TOKEN": settings.metrics_token,
    }
    return {name: value for name, value in inherited.items() if name not in NEVER_PASSED_ON} | own


def announce_receiver(state: Path, port: int) -> str:
    """Write down where the receiver listens, and return its address."""
    url = f"http://localhost:{port}"
    write_private(state / FILE, json.dumps({"port": port, "url": url}))
    return url


def find_receiver(state: Path) -> str:
    """The address of the receiver that was last started on a state directory, else the usual one."""
    try:
        return str(json.loads((state / FILE).read_text("ascii"))["url"])
    except (OSError, ValueError):
        return f"http://localhost:{DEFAULT_PORT}"
