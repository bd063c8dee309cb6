"""One launcher per state directory. The kernel drops the lock with the process, however it ends."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steadfast.errors import ConfigError


@dataclass(frozen=True)
class LaunchLock:
    """A held lock; others that are refused read in it who holds it and where its page is."""

    descriptor: int

    def announce(self, **facts: object) -> None:
        """Write down who we are, for the message of whoever is refused."""
        content = json.dumps({"pid": os.getpid(), **facts}).encode()
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, content, 0)


@contextlib.contextmanager
def hold_launch_lock(state: Path) -> Iterator[LaunchLock]:
    """Hold the lock of `state`; ConfigError names the process and the URL of whoever has it."""
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(_describe_holder(state, os.pread(descriptor, 4096, 0))) from error
        lock = LaunchLock(descriptor)
        lock.announce()
        yield lock
    finally:
        os.close(descriptor)


def _describe_holder(state: Path, content: bytes) -> str:
    try:
        holder = json.loads(content)
    except ValueError:
        holder = {}
    where = f", at {holder['url']}" if "url" in holder else ", still starting"
    return (
        f"Steadfast already runs on {state} (process {holder.get('pid', 'unknown')}{where}). "
        "Stop it with Ctrl-C in its terminal, or choose another directory with --state."
    )
