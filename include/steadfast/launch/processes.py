"""Child processes that end with us: each in a session of its own, logging to a file, stopped by its handle.

On Linux the kernel signals a child when the *thread* that started it ends: start children from a
thread that lasts. Descendants are found by their session, so none is left behind.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from steadfast.errors import ConfigError

PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec there is no time for it.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
HAS_PROC = Path("/proc/self/stat").exists()
LAST_WORDS_LINES = 8
GONE_SECONDS = 5


@dataclass
class Child:
    """A started program."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, patience: float) -> None:
        """Wait for a program that ends by itself; ConfigError with its last words if it fails."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"{self.name} was not done after {patience:.0f} s; see {self.log}.") from error
        if code != 0:
            raise ConfigError(self.describe_end())

    def describe_end(self) -> str:
        """Say how the program ended and what it wrote last."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-LAST_WORDS_LINES:]
        return f"{self.name} ended with {self.process.returncode}; {self.log} closes with:\n" + "\n".join(
            lines
        )


@dataclass
class Children:
    """The programs of one launch, stopped together and in the order they were started."""

    logs: Path
    running: list[Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start `command`; what it prints is appended to `<logs>/<name>.log`."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            return self._start(name, command, environment, log, stdout=output, stderr=output)

    def start_announcing(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], patience: float = 60
    ) -> dict[str, Any]:
        """Start a program that prints one JSON line once it is ready, and return that."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as errors:
            child = self._start(name, command, environment, log, stdout=subprocess.PIPE, stderr=errors)
        line = _read_line(child, patience)
        try:
            return dict(json.loads(line))
        except ValueError as error:
            raise ConfigError(f"{name} did not say that it is ready: {line!r}; see {log}.") from error

    def check_alive(self) -> None:
        """ConfigError with the last words of the first program that has ended."""
        for child in self.running:
            if child.process.poll() is not None:
                raise ConfigError(child.describe_end())

    def forget(self, child: Child) -> None:
        """Stop watching a program that has done its work."""
        self.running.remove(child)

    def stop(self, patience: float) -> None:
        """Ask every program to end, wait `patience` seconds, then end what is left of their sessions."""
        for child in self.running:
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
        deadline = time.monotonic() + patience
        for child in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
        kill_sessions({child.process.pid for child in self.running})
        for child in self.running:
            child.process.wait()
        self.running.clear()

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, **streams: Any
    ) -> Child:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            # Ctrl-C in a terminal must reach the launcher only, which stops things in order.
            start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()) if sys.platform == "linux" else None,
            **streams,
        )
        child = Child(name, process, log)
        self.running.append(child)
        return child


def kill_sessions(leaders: set[int]) -> None:
    """End every process of the sessions that `leaders` began, and wait until they are gone."""
    deadline = time.monotonic() + GONE_SECONDS
    while (members := session_members(leaders)) and time.monotonic() < deadline:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def session_members(leaders: set[int]) -> list[int]:
    """Find the living processes of the sessions that `leaders` began."""
    if not HAS_PROC:
        return [pid for pid in leaders if _is_alive(pid)]
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) in leaders and _is_alive(int(entry.name)):
                members.append(int(entry.name))
    return members


def _is_alive(pid: int) -> bool:
    if HAS_PROC:
        # The state follows the name, which stands in brackets and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] != "Z"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def _read_line(child: Child, patience: float) -> bytes:
    assert child.process.stdout is not None
    ready, _, _ = select.select([child.process.stdout], [], [], patience)
    line = child.process.stdout.readline() if ready else b""
    if not line:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(1)
        raise ConfigError(child.describe_end())
    return line


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent, whose pid is given, is gone."""
    if _PRCTL is None:
        return
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have died before the line above could take effect.
    if os.getppid() != parent:
        os._exit(1)
