"""Starts and stops the emulator; in the same process for tests, or behind `python -m steadfast.demo.ga4`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import grpc

from steadfast.demo.ga4.control import ControlHandler
from steadfast.demo.ga4.faults import Fault, FaultBook
from steadfast.demo.ga4.properties import build_sources
from steadfast.demo.ga4.quota import STANDARD, QuotaBook, QuotaLimits
from steadfast.demo.ga4.serve_grpc import start_grpc
from steadfast.demo.ga4.serve_http import ApiHandler
from steadfast.demo.ga4.service import RequestRecord, Service
from steadfast.demo.ga4.state import State, open_state
from steadfast.demo.ga4.tokens import TokenBook
from steadfast.demo.ga4.world import World
from steadfast.demo.web import LoopbackServer, start_http


def read_clock() -> datetime:
    """The real time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class EmulatorOptions:
    """How to start: port 0 asks for any free one; without `state` everything is forgotten at the end."""

    state: Path | None = None
    grpc_port: int = 0
    http_port: int = 0
    control_port: int = 0
    synthetic: int = 0
    rows_per_day: int = 12
    clock: Callable[[], datetime] = read_clock
    growth: bool = True
    seed: int = 0
    require_token: bool = False
    limits: QuotaLimits = STANDARD
    shuffle_ties: bool = True


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    grpc_server: grpc.Server
    http_server: LoopbackServer
    control_server: LoopbackServer
    grpc_port: int
    service: Service
    state: State
    tokens: TokenBook

    @property
    def grpc_target(self) -> str:
        """Where a gRPC channel connects."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """Where REST clients and token requests go."""
        return f"http://127.0.0.1:{self.http_server.server_port}"

    @property
    def control_url(self) -> str:
        """Where faults are asked for."""
        return f"http://127.0.0.1:{self.control_server.server_port}"

    @property
    def world(self) -> World:
        """The truth."""
        return self.service.world

    @property
    def requests(self) -> list[RequestRecord]:
        """Every call so far, oldest first."""
        return list(self.service.requests)

    def inject(self, fault: Fault) -> None:
        """From now on this goes wrong."""
        self.service.faults.add(fault)

    def clear(self) -> None:
        """From now on nothing goes wrong, and every quota is full."""
        self.service.faults.clear()
        self.service.quota.reset()

    def quota(self, property_id: str) -> Any:
        """The quota of a property as the API's own message."""
        return self.service.quota.describe(property_id)

    def restate(self, property_id: str, day: date, change: float = 0.10, drop: float = 0.05) -> None:
        """Change this share of a past day's keys and drop that share."""
        self.state.restate(property_id, day, change, drop)

    def change_property(self, property_id: str, **changes: str) -> None:
        """Give a property another `time_zone` or `currency`."""
        self.state.change_property(property_id, changes)

    def stop(self) -> None:
        """Stop serving at once."""
        self.grpc_server.stop(grace=0).wait()
        for server in (self.http_server, self.control_server):
            server.shutdown()
            server.server_close()


def start_emulator(options: EmulatorOptions) -> Emulator:
    """A running emulator that the caller stops."""
    state = open_state(options.state, options.clock())
    sources = build_sources(state.shift, options.synthetic, options.rows_per_day, options.seed)
    world = World(sources, state, options.clock, options.growth)
    tokens = TokenBook(options.clock)
    quota = QuotaBook(options.limits, options.clock)
    gate = tokens if options.require_token else None
    service = Service(world, quota, FaultBook(), gate, options.shuffle_ties)
    http = start_http(ApiHandler, options.http_port, service=service, tokens=tokens)
    control = start_http(ControlHandler, options.control_port, service=service, state=state)
    server, port = start_grpc(service, options.grpc_port)
    return Emulator(server, http, control, port, service, state, tokens)


@contextmanager
def run_emulator(options: EmulatorOptions | None = None) -> Iterator[Emulator]:
    """A running emulator for the length of a `with` block."""
    emulator = start_emulator(options or EmulatorOptions())
    try:
        yield emulator
    finally:
        emulator.stop()
