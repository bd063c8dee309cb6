"""Starts and stops the emulator; in the same process for tests, or behind `python -m steadfast.demo.n8n`."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from steadfast.demo.n8n.api import ApiHandler
from steadfast.demo.n8n.control import ControlHandler
from steadfast.demo.n8n.engine import Engine, build_engine
from steadfast.demo.n8n.executions import open_executions
from steadfast.demo.n8n.targets import Target
from steadfast.demo.web import LoopbackServer, start_http
from steadfast.warehouse.secret_files import keep_secret

KEY_FILE = "n8n-api-key"


def read_clock() -> datetime:
    """The real time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class EmulatorOptions:
    """How to start: port 0 asks for any free one; without `state` everything is forgotten at the end."""

    targets: Sequence[Target]
    state: Path | None = None
    api_port: int = 0
    control_port: int = 0
    is_on: bool = True
    """Whether the workflows run by themselves, or only when they are told to."""
    clock: Callable[[], datetime] = read_clock


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    engine: Engine
    api_server: LoopbackServer
    control_server: LoopbackServer
    api_key: str = field(repr=False)

    @property
    def api_url(self) -> str:
        """The address of this n8n."""
        return f"http://127.0.0.1:{self.api_server.server_port}"

    @property
    def control_url(self) -> str:
        """Where workflows are steered."""
        return f"http://127.0.0.1:{self.control_server.server_port}"

    def stop(self) -> None:
        """Stop everything at once."""
        for server in (self.api_server, self.control_server):
            server.shutdown()
            server.server_close()
        self.engine.stop()
        self.engine.executions.close()


def start_emulator(options: EmulatorOptions) -> Emulator:
    """A running emulator that the caller stops."""
    executions = open_executions(options.state)
    engine = build_engine(options.targets, executions, options.clock, is_on=options.is_on)
    engine.start()
    key = keep_secret(options.state, KEY_FILE) if options.state else secrets.token_urlsafe(24)
    api = start_http(ApiHandler, options.api_port, engine=engine, api_key=key)
    control = start_http(ControlHandler, options.control_port, engine=engine)
    return Emulator(engine, api, control, key)


@contextmanager
def run_emulator(options: EmulatorOptions) -> Iterator[Emulator]:
    """A running emulator for the length of a `with` block."""
    emulator = start_emulator(options)
    try:
        yield emulator
    finally:
        emulator.stop()
