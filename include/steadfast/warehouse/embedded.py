"""A real PostgreSQL server that lives as long as the process that started it: demo, `up`, tests, drills.

It listens on 127.0.0.1 and on a socket, keeps its data and passwords in a state directory, and stops
with its parent even when that is killed. On Linux the kernel watches the *thread* that called
`start_server`: call it from a thread that lasts. To change a server setting, edit SETTINGS.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.warehouse.embedded_cluster import SUPERUSER, Cluster, prepare_cluster
from steadfast.warehouse.embedded_process import end_process, hold_lock, launch, rotate_log, supports_setting

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "autovacuum": "on",
    # The wheel's server reads time zones from the host; GMT is the one it knows without them.
    "timezone": "UTC" if Path("/usr/share/zoneinfo/UTC").exists() else "GMT",
    "log_timezone": "GMT",
    "log_line_prefix": "%m [%p] %u@%d %a ",
    "cluster_name": "steadfast",
}
PREFERRED = {
    "wal_compression": "lz4",
    # After a crash one sync of the file system instead of one for each of thousands of files.
    "recovery_init_sync_method": "syncfs",
}
"""Where the server was built with them."""
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
READY_SECONDS = 300
"""Recovery after a crash may take minutes; a server that cannot start ends at once."""
LONGEST_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.65535")


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server; as a context manager it stops at the end of the block."""

    state: Path
    cluster: Cluster
    port: int
    socket_directory: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    resources: contextlib.ExitStack = field(repr=False)

    @property
    def binaries(self) -> Path:
        """The directory of pg_dump, pg_restore and psql, of the server's own version."""
        return self.cluster.binaries

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.cluster.data

    def dsn(self, user: str, password: str, database: str) -> str:
        """The URL of `database` over TCP."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """The URL of `database` for the superuser: bootstrap, tests and drills only."""
        return self.dsn(SUPERUSER, self.cluster.password, database)

    def stop(self) -> None:
        """Disconnect everybody, write everything down and wait for the end; safe to call twice."""
        end_process(self.process)
        self.resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_server(
    state: Path, *, port: int | None = None, durable: bool = True, binaries: Path | None = None
) -> EmbeddedServer:
    """Start the server of `state`, making its data first if there is none, and wait until it answers.

    `port` (default: the last one) is replaced by a free one if it is taken. `durable=False` gives up safety
    against power loss for speed. ConfigError if the server already runs or cannot start, with the reason.
    """
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    resources = contextlib.ExitStack()
    with resources:
        lock = resources.enter_context(hold_lock(state))
        cluster = prepare_cluster(state, binaries, durable=durable)
        sockets = resources.enter_context(_socket_directory(cluster))
        settings = {**SETTINGS, **({} if durable else NOT_DURABLE), "unix_socket_directories": str(sockets)}
        for name, value in PREFERRED.items():
            if supports_setting(cluster, name, value):
                settings[name] = value
        wanted = port or _last_port(state)
        port, process = _start_on_a_port(cluster, settings, wanted, state / "postgres.log", lock)
        (state / "postgres.port").write_text(f"{port}\n", "ascii")
        kept = resources.pop_all()
    return EmbeddedServer(state, cluster, port, sockets, process, kept)


@contextlib.contextmanager
def _socket_directory(cluster: Cluster) -> Iterator[Path]:
    """A socket's path has at most 107 bytes: below a long state directory it lies in the temporary one."""
    directory = cluster.home / "socket"
    is_too_long = len(os.fsencode(directory)) > LONGEST_SOCKET_DIRECTORY
    if is_too_long:
        directory = Path(tempfile.mkdtemp(prefix="steadfast-", dir="/tmp"))
    directory.mkdir(mode=0o700, exist_ok=True)
    os.chown(directory, cluster.account.uid, cluster.account.gid)
    try:
        yield directory
    finally:
        if is_too_long:
            shutil.rmtree(directory, ignore_errors=True)


def _start_on_a_port(
    cluster: Cluster, settings: Mapping[str, str], wanted: int | None, log: Path, lock: int
) -> tuple[int, subprocess.Popen[bytes]]:
    rotate_log(log)
    seen = log.stat().st_size if log.exists() else 0
    for port in (_free_port(wanted), _free_port(None)):
        process = launch(cluster, {**settings, "port": str(port)}, log, lock)
        try:
            if _wait_until_ready(process, settings["unix_socket_directories"], port, cluster.password):
                return port, process
        except BaseException:
            end_process(process)
            raise
        if _is_free(port):
            break
        # Somebody took the port between our look and PostgreSQL's.
    raise ConfigError(f"PostgreSQL could not start on {cluster.data}: {_last_words(log, seen)}")


def _wait_until_ready(process: subprocess.Popen[bytes], sockets: str, port: int, password: str) -> bool:
    """Return True once the server answers, False if it ended instead."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None:
        try:
            # Through its own socket: a foreign server may listen on the port.
            psycopg.connect(
                host=sockets, port=port, user=SUPERUSER, password=password, dbname="postgres"
            ).close()
            return True
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ConfigError(
                    "PostgreSQL runs but refuses the superuser's stored password; restore the file "
                    "secrets/postgres of the state directory."
                ) from error
            if time.monotonic() > deadline:
                raise WarehouseBusy(f"PostgreSQL did not answer within {READY_SECONDS} s: {error}") from error
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return False


def _last_words(log: Path, seen: int) -> str:
    with log.open("rb") as file:
        file.seek(seen)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return " ".join(lines[-5:]) or "it ended without a word."


def _last_port(state: Path) -> int | None:
    path = state / "postgres.port"
    return int(path.read_text("ascii")) if path.exists() else None


def _free_port(wanted: int | None) -> int:
    if wanted is not None and _is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
