"""The GA4 emulator as a program of its own, and the calls a benchmark makes to its control endpoint."""

import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadfast.launch.processes import Children

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Emulator:
    """A running emulator: its ports and its process."""

    grpc: int
    http: int
    control: int
    pid: int

    @property
    def target(self) -> str:
        """Where a gRPC channel connects."""
        return f"127.0.0.1:{self.grpc}"

    def control_call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control endpoint."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}{path}", content, method=method)
        with _OPENER.open(request, timeout=300) as answer:
            return json.load(answer)


@contextmanager
def run_emulator(directory: Path, arguments: Sequence[str] = ()) -> Iterator[Emulator]:
    """Start the emulator with `arguments`; it stops at the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    children = Children(directory)
    command = [sys.executable, "-m", "steadfast.demo.ga4", "--state", str(directory / "state"), *arguments]
    try:
        ports = children.start_announcing("ga4-emulator", command, os.environ)
        yield Emulator(ports["grpc"], ports["http"], ports["control"], children.running[0].process.pid)
    finally:
        children.stop(5)
