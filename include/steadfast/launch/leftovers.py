"""What a launcher that was killed left running: ended before the next one starts on the same state.

Children get a signal when their launcher dies, but a task in flight may outlive it for a while.
Only processes of sessions that we wrote down, with our AIRFLOW_HOME, are touched.
"""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from steadfast.launch.processes import Children, session_members

PATIENCE_SECONDS = 5


def record_sessions(state: Path, children: Children) -> None:
    """Write down the sessions of the running children."""
    sessions = [child.process.pid for child in children.running]
    (state / "sessions.json").write_text(json.dumps(sessions), "ascii")


def end_leftovers(state: Path) -> None:
    """End what an earlier launcher on `state` left; call it while holding the launch lock."""
    path = state / "sessions.json"
    if not path.exists():
        return
    sessions = set(json.loads(path.read_text("ascii")))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := [pid for pid in session_members(sessions) if _belongs_to(pid, state)]:
        request = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request)
        time.sleep(0.2)
    path.unlink()


def _belongs_to(pid: int, state: Path) -> bool:
    with contextlib.suppress(OSError):
        wanted = f"AIRFLOW_HOME={state.resolve() / 'airflow'}".encode()
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False
