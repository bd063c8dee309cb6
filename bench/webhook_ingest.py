"""Durable webhooks a second: ours, what people write, and ours inside Airflow, in one run on one machine.

`make bench NAME=webhook_ingest` (ARGS="--quick" for development, "--no-airflow" without the api-server).
Prints one JSON object; what happens meanwhile goes to stderr. All servers share one PostgreSQL with fsync,
and the cores with the load generator. They take turns, shape by shape, three rounds, the median counts.
After that: fairness between two sources, and memory under slow connections and large bodies. To add a
system, open it in `open_targets` and name its shapes in rig/ingest_grid.py.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from peers import insert_per_request
from rig.airflow_receiver import run_in_airflow
from rig.fairness import LIMIT, measure_fairness
from rig.ingest_grid import OURS, PEER, find_headlines, run_grid, summarise_cells
from rig.load import find_tool
from rig.machine import describe_machine
from rig.pressure import LARGE_LIMIT, measure_pressure
from rig.receiver import UNLIMITED, Target, add_sources, await_ready, run_receiver
from rig.signed import Address
from rig.warehouse import Warehouse, open_warehouse

from steadfast.launch.ports import choose_port

PARTS = ("grid", "fairness", "memory")
LIMITS: Mapping[str, Mapping[str, int]] = {
    "shop": UNLIMITED,
    "flooding": LIMIT,
    "steady": LIMIT,
    "large": LARGE_LIMIT,
}


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def open_targets(warehouse: Warehouse, address: Address, *, has_airflow: bool) -> Iterator[dict[str, Target]]:
    """Start every system; they idle while another one is measured."""
    url, state = warehouse.databases.owner_url, warehouse.server.state
    targets = {}
    with ExitStack() as closing:
        for name, workers in zip(OURS, (1, 2), strict=True):
            receiver = closing.enter_context(run_receiver(warehouse, workers))
            targets[name] = Target(name, receiver.port, receiver.pid, address, url)
        port = choose_port()
        running = insert_per_request.run_peer(warehouse.peers_url, address.key, port, state / "peer.log")
        process = closing.enter_context(running)
        await_ready(port, "/readyz", process)
        queries = {"count_query": "SELECT count(*) FROM inbox", "empty_query": "TRUNCATE inbox"}
        targets[PEER] = Target(PEER, port, process.pid, address, warehouse.peers_url, **queries)
        if has_airflow:
            say("starting Airflow's api-server with the plugin")
            mounted = closing.enter_context(run_in_airflow(warehouse, address))
            targets[mounted.name] = mounted
        yield targets


def summarise_grid(grid: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys that the targets are about: the better of ours against the peer, round by round too."""
    rows = find_headlines(grid)
    best = max((rows[name] for name in OURS), key=lambda row: row["requests_per_second"])
    peer = rows[PEER]
    by_round = [round(ours / theirs, 2) for ours, theirs in zip(best["rounds"], peer["rounds"], strict=True)]
    ours = [row for row in grid if row["system"] in OURS]
    inside = rows.get("in_api_server")
    return {
        "best": best["system"],
        "requests_per_second": best["requests_per_second"],
        "ratio_to_insert_per_request": round(best["requests_per_second"] / peer["requests_per_second"], 2),
        "ratios_of_rounds": by_round,
        "ratio_to_in_api_server": (
            round(best["requests_per_second"] / inside["requests_per_second"], 2) if inside else None
        ),
        "cpu_us_per_request": best["cpu_us_per_request"],
        "cpu_us_per_request_of_peer": peer["cpu_us_per_request"],
        "p50_ms": best["p50_ms"],
        "p99_ms": best["p99_ms"],
        **{key: sum(row[key] for row in ours) for key in ("non_2xx", "socket_errors", "acked_missing")},
    }


def measure_grid(
    warehouse: Warehouse, scratch: Path, addresses: Mapping[str, Address], asked: argparse.Namespace
) -> dict[str, Any]:
    """Every system under every shape."""
    with open_targets(warehouse, addresses["shop"], has_airflow=not asked.no_airflow) as targets:
        cells = run_grid(targets, warehouse, scratch, say, rounds=asked.rounds, is_quick=asked.quick)
    grid = summarise_cells(cells)
    return {**summarise_grid(grid), "load_tool": find_tool(), "rounds": asked.rounds, "grid": grid}


def run_benchmark(scratch: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The chosen parts, on a fresh server."""
    result: dict[str, Any] = {"benchmark": "webhook_ingest"}
    with open_warehouse(scratch) as warehouse:
        addresses = add_sources(warehouse, LIMITS)
        if "grid" in asked.parts:
            result |= measure_grid(warehouse, scratch, addresses, asked)
        if "fairness" in asked.parts:
            phases, seconds = (1, 5) if asked.quick else (3, 8)
            with run_receiver(warehouse, asked.workers) as receiver:
                two = addresses["flooding"], addresses["steady"]
                result["fairness"] = measure_fairness(receiver, *two, say, phases=phases, seconds=seconds)
        if "memory" in asked.parts:
            seconds = 5 if asked.quick else 12
            with run_receiver(warehouse, asked.workers) as receiver:
                two = addresses["large"], addresses["steady"]
                result["memory"] = measure_pressure(receiver, *two, say, seconds=seconds)
            result["peak_rss_mb"] = result["memory"]["peak_rss_mb"]
    return {**result, "machine": describe_machine()}


def split_parts(text: str) -> list[str]:
    """`grid,memory` as a list; argparse tells which parts there are."""
    parts = [part for part in text.split(",") if part]
    if set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"parts are {', '.join(PARTS)}")
    return parts


def main() -> None:
    """Read the command line and print the result."""
    raw: Callable[..., argparse.HelpFormatter] = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="two shapes and short phases")
    parser.add_argument("--no-airflow", action="store_true", help="without the api-server")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--workers", type=int, default=2, help="of the receiver for fairness and memory")
    parser.add_argument("--parts", type=split_parts, default=list(PARTS), help="grid,fairness,memory")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="steadfast-bench-") as scratch:
        # PostgreSQL runs as another user when we are root, and must be able to walk in.
        Path(scratch).chmod(0o755)
        print(json.dumps(run_benchmark(Path(scratch), asked), indent=2))


if __name__ == "__main__":
    main()
