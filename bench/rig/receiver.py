"""The receiver as it is run in production: `steadfast receive` on a warehouse, with sources to send to."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rig.process_tree import list_tree
from rig.signed import Address
from rig.warehouse import ACTOR, Warehouse
from steadfast.entities.businesses import add_entity
from steadfast.entities.sealing import Sealer, read_sealing_keys
from steadfast.entities.webhook_keys import issue_key
from steadfast.entities.webhook_sources import add_source
from steadfast.launch.ports import choose_port
from steadfast.launch.processes import end_with_parent
from steadfast.warehouse.connect import connect
from steadfast.webhooks.receiving.signature import decode_secret

ENTITY = "bakery"
UNLIMITED = {"rate_per_second": 10_000, "burst": 1_000_000}
READY_SECONDS = 120
STOP_SECONDS = 20
COUNT_ROWS = "SELECT count(*) FROM landing.webhook_inbox"
EMPTY = "TRUNCATE landing.webhook_inbox, landing.webhook_event_key"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Target:
    """A server that is loaded: where it listens, its process, and its rows in the database `url`."""

    name: str
    port: int
    pid: int
    address: Address
    url: str = field(repr=False)
    count_query: str = COUNT_ROWS
    empty_query: str = EMPTY

    def count_rows(self) -> int:
        """Events that are stored."""
        with connect(self.url) as connection:
            return int(connection.execute(self.count_query).fetchall()[0][0])

    def empty(self) -> None:
        """Forget every event, so that nobody pays for the rows of the one before."""
        with connect(self.url) as connection:
            connection.execute(self.empty_query)


def add_sources(warehouse: Warehouse, limits: dict[str, dict[str, int]]) -> dict[str, Address]:
    """Add an entity with a signing source for each name, and return where and how to send to them."""
    state, now, found = warehouse.server.state, datetime.now(UTC), {}
    sealer = Sealer(read_sealing_keys("", state))
    with connect(warehouse.databases.owner_url) as connection:
        add_entity(connection, ENTITY, name="Bakery", actor=ACTOR, now=now)
        for slug, limit in limits.items():
            source = add_source(connection, ENTITY, slug, name=slug, actor=ACTOR, now=now, **limit)
            secret = issue_key(connection, source, sealer, actor=ACTOR, now=now).secret
            found[slug] = Address(f"/v1/in/{ENTITY}/{slug}", decode_secret(secret))
    return found


def clean_environment() -> dict[str, str]:
    """The caller's, without settings that would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STEADFAST_")}


@dataclass
class ReceiverProcess:
    """`steadfast receive` with everything it starts; it can be killed and started again on its port."""

    state: Path
    workers: int
    port: int = field(default_factory=choose_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the first of its processes."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and do not wait."""
        program = Path(sys.executable).parent / "steadfast"
        options = ["--port", str(self.port), "--workers", str(self.workers)]
        with (self.state / "receiver.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(program), "receive", *options],
                # No .env of the checkout may have a say.
                cwd=self.state,
                env={**clean_environment(), "STEADFAST_STATE": str(self.state)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with(os.getpid()),
            )

    def kill(self) -> None:
        """End every process of it at once, without a warning."""
        kill_tree(self.pid)
        assert self.process is not None
        self.process.wait()

    def stop(self) -> None:
        """Let it finish."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def kill_tree(root: int) -> None:
    """SIGKILL to a process and all its descendants."""
    # Whoever is stopped cannot start another one that we have not seen.
    for pid in list_tree(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    for pid in list_tree(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def run_receiver(warehouse: Warehouse, workers: int) -> Iterator[ReceiverProcess]:
    """Start a receiver and wait until it is ready; it stops at the end of the block."""
    receiver = ReceiverProcess(warehouse.server.state, workers)
    receiver.start()
    try:
        await_ready(receiver.port, "/readyz", receiver.process)
        yield receiver
    finally:
        receiver.stop()


def await_ready(port: int, path: str, process: subprocess.Popen[bytes] | None) -> None:
    """Wait until the page answers 200; RuntimeError if the process ends or that takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the server for {path} on port {port} ended with {process.returncode}")
        if _answers(f"http://127.0.0.1:{port}{path}"):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answered at {path} on port {port} within {READY_SECONDS} s")


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _end_with(parent: int) -> Callable[[], None]:
    return lambda: end_with_parent(parent)
