"""The server as a child process: one at a time per state directory, never outliving its parent."""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from steadfast.errors import ConfigError
from steadfast.warehouse.embedded_cluster import ENVIRONMENT, Cluster

PR_SET_PDEATHSIG = 1
ORPHAN_SECONDS = 30
"""How long a server whose parent was killed may take to end before the next start gives up."""
STOP_SECONDS = 60
LARGEST_LOG_BYTES = 16 * 1024 * 1024


@contextlib.contextmanager
def hold_lock(state: Path) -> Iterator[int]:
    """Yield the descriptor of a lock on `state`; ConfigError names the process that holds it already.

    The server inherits the descriptor, so the lock is free only when every process of it has ended.
    """
    descriptor = os.open(state / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take_lock(state, descriptor)
        _sign_lock(descriptor, os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)


def _take_lock(state: Path, descriptor: int) -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            holder, *server = [int(pid) for pid in os.pread(descriptor, 40, 0).split()] or [0]
            # If either has died, the rest of it is about to.
            if all(map(_is_alive, [holder, *server])) or time.monotonic() > deadline:
                running = f"already runs as pid {server[0]}" if server else "is being started"
                raise ConfigError(
                    f"The PostgreSQL of {state} {running}, by pid {holder}. "
                    f"Stop pid {holder}, or set STEADFAST_STATE to another directory."
                ) from error
        time.sleep(0.1)


def _sign_lock(descriptor: int, *pids: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, " ".join(map(str, pids)).encode(), 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def launch(cluster: Cluster, settings: Mapping[str, str], log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start `postgres`; its messages are appended to `log`."""
    _disown_stale_pid(cluster.data)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # Errors quote rows and statements, so the log is for its owner only.
    with open(log, "ab", opener=_open_private) as output:
        process = subprocess.Popen(
            [str(cluster.binaries / "postgres"), "-D", str(cluster.data), *options],
            cwd=cluster.home,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            # Ctrl-C in a terminal must reach the parent only, which stops things in order.
            process_group=0,
            preexec_fn=_die_with_parent(os.getpid()),
            **cluster.account.popen_options(),
        )
    _sign_lock(lock, os.getpid(), process.pid)
    return process


def supports_setting(cluster: Cluster, name: str, value: str) -> bool:
    """Tell whether this build of the server accepts the value."""
    done = subprocess.run(
        [str(cluster.binaries / "postgres"), "-D", str(cluster.data), "-c", f"{name}={value}", "-C", name],
        cwd=cluster.home,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        **cluster.account.popen_options(),
    )
    return done.returncode == 0


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Ask for a fast shutdown, and for an immediate one if that takes too long; wait for the end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def rotate_log(log: Path) -> None:
    """Keep one older file once the log has grown large."""
    if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def _open_private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        # The parent may have died before the line above could take effect.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _disown_stale_pid(data: Path) -> None:
    """Let the server replace a pid file that a killed one left, whoever has that pid by now.

    We hold the lock, so no server runs here. Writing our own pid, instead of deleting the file, keeps
    PostgreSQL's second check alive: the shared memory named further down must be unused.
    """
    path = data / "postmaster.pid"
    if path.exists():
        lines = path.read_text("utf-8").splitlines()
        path.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n", "utf-8")
