"""The grid of the ingest benchmark: every system under every shape, in turns, and the medians of it."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.load import Load, Shape, fire, prepare_load
from rig.process_tree import read_cpu_seconds
from rig.receiver import Target
from rig.warehouse import Warehouse

KIB = 1024
HEADLINE = (64, KIB // 2, True)
"""Connections, body, keep-alive: what the targets are about."""
CLOSED = (64, KIB // 2, False)
WIDE = (
    *((64, size, is_kept) for size in (5 * KIB, 50 * KIB) for is_kept in (True, False)),
    *((count, KIB // 2, is_kept) for count in (16, 256) for is_kept in (True, False)),
)
SHAPES: Mapping[str, tuple[tuple[int, int, bool], ...]] = {
    "ours_1_worker": (HEADLINE, CLOSED, (16, KIB // 2, True), (256, KIB // 2, True)),
    "ours_2_workers": (HEADLINE, CLOSED, *WIDE),
    "insert_per_request": (HEADLINE, CLOSED, *WIDE),
    "in_api_server": (HEADLINE, CLOSED),
}
OURS = ("ours_1_worker", "ours_2_workers")
PEER = "insert_per_request"
MAIN_SECONDS, WIDE_SECONDS = 4, 2


@dataclass(frozen=True)
class Cell:
    """One measurement; CPU in microseconds a request."""

    system: str
    shape: Shape
    load: Load
    server_cpu_us: float
    postgres_cpu_us: float
    rows: int

    @property
    def cpu_us(self) -> float:
        """Of the server and PostgreSQL together."""
        return self.server_cpu_us + self.postgres_cpu_us

    @property
    def missing(self) -> int:
        """Requests acknowledged without a row; those on their way at the end may have one unacknowledged."""
        return max(0, self.load.requests - self.load.non_2xx - self.rows)


def list_turns(systems: Iterable[str], *, is_quick: bool) -> list[tuple[str, Shape]]:
    """One round: shape by shape, each on all its systems, so that a busy while hits all of them."""
    chosen = list(systems)
    turns = []
    for key in (HEADLINE, CLOSED, *(() if is_quick else WIDE)):
        seconds = MAIN_SECONDS if key in (HEADLINE, CLOSED) and not is_quick else WIDE_SECONDS
        turns += [(name, Shape(*key, seconds)) for name in chosen if key in SHAPES[name]]
    return turns


def measure(target: Target, shape: Shape, warehouse: Warehouse, scratch: Path) -> Cell:
    """Load a server, with the CPU of all its processes and PostgreSQL's before and after."""
    target.empty()
    warehouse.settle()
    prepared = prepare_load(target.address, shape, scratch / "load")
    postgres = warehouse.server.process.pid
    before = read_cpu_seconds(target.pid), read_cpu_seconds(postgres)
    load = fire(prepared, target.port)
    after = read_cpu_seconds(target.pid), read_cpu_seconds(postgres)
    each = [1e6 * (late - early) / max(load.requests, 1) for early, late in zip(before, after, strict=True)]
    return Cell(target.name, shape, load, *each, target.count_rows())


def run_grid(
    targets: Mapping[str, Target],
    warehouse: Warehouse,
    scratch: Path,
    say: Callable[[str], None],
    *,
    rounds: int,
    is_quick: bool,
) -> list[Cell]:
    """All rounds; a first short load, which nobody counts, has every server warm."""
    for target in targets.values():
        measure(target, Shape(*HEADLINE, 1), warehouse, scratch)
    cells = []
    for turn in range(1, rounds + 1):
        for name, shape in list_turns(targets, is_quick=is_quick):
            cell = measure(targets[name], shape, warehouse, scratch)
            cells.append(cell)
            kept = f"{shape.connections} x {shape.body_bytes} B {shape.connection}"
            found = f"{cell.load.per_second:.0f}/s, p99 {cell.load.p99_ms:.0f} ms, {cell.cpu_us:.0f} us"
            say(f"round {turn}, {name}, {kept}: {found}, {cell.load.non_2xx} non-2xx, {cell.missing} missing")
    return cells


def summarise_cells(cells: Sequence[Cell]) -> list[dict[str, object]]:
    """The median of the rounds of each system and shape."""
    groups: dict[tuple[str, Shape], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.system, cell.shape), []).append(cell)
    return [describe_group(system, shape, group) for (system, shape), group in groups.items()]


def describe_group(system: str, shape: Shape, group: Sequence[Cell]) -> dict[str, object]:
    """One row of the report; what went wrong is added up."""
    return {
        "system": system,
        "connections": shape.connections,
        "body_bytes": shape.body_bytes,
        "connection": shape.connection,
        "requests_per_second": round(statistics.median(cell.load.per_second for cell in group)),
        "p50_ms": round(statistics.median(cell.load.p50_ms for cell in group), 1),
        "p99_ms": round(statistics.median(cell.load.p99_ms for cell in group), 1),
        "server_cpu_us": round(statistics.median(cell.server_cpu_us for cell in group), 1),
        "postgres_cpu_us": round(statistics.median(cell.postgres_cpu_us for cell in group), 1),
        "cpu_us_per_request": round(statistics.median(cell.cpu_us for cell in group), 1),
        "non_2xx": sum(cell.load.non_2xx for cell in group),
        "socket_errors": sum(cell.load.socket_errors for cell in group),
        "acked_missing": sum(cell.missing for cell in group),
        "rounds": [round(cell.load.per_second) for cell in group],
    }


def find_headlines(grid: Sequence[Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """The row of each system under the shape that the targets are about."""
    return {
        str(row["system"]): row
        for row in grid
        if (row["connections"], row["body_bytes"], row["connection"]) == (*HEADLINE[:2], "keep-alive")
    }
