"""200,000 rows of GA4 into keyed fact tables: ours, and what else there is, in one run on one machine.

`make bench NAME=ga4_throughput` (ARGS="--peers naive_client --repeat 1" for less). Prints one JSON
object; what happens meanwhile goes to stderr. The emulator is a process of its own, its pages are built
before anybody is measured. Each system starts as a fresh process, whose start counts; `sync_wall_s` and
`…_without_start` leave it out. Systems take turns, so that a machine that is busy for a while is busy for
all. To add a peer, write a module like those in peers/ and name it in `PEERS`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from peers import airbyte, official_client, tap_target
from rig.emulator import Emulator, run_emulator
from rig.machine import describe_machine
from rig.measure import Usage, run_measured
from rig.warehouse import Warehouse, add_businesses, open_warehouse
from rig.wide_report import (
    PROPERTY_ID,
    REPORT,
    SYNCED,
    Content,
    Days,
    describe_share,
    list_ranges,
    newest_days,
    read_truth,
)

from steadfast.ga4.client import ClientConfig, open_client
from steadfast.warehouse.connect import connect

PEERS: dict[str, ModuleType] = {peer.NAME: peer for peer in (official_client, tap_target, airbyte)}
REPEATS = {"naive_client": 2}
SYNC = Path(__file__).parent / "rig" / "sync_once.py"


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, file=sys.stderr, flush=True)


def measure_ours(emulator: Emulator, warehouse: Warehouse, days: Days, scratch: Path) -> dict:
    """One sync of everything into an empty table; the process and what it says of itself."""
    warehouse.forget_runs(REPORT.name)
    command = [sys.executable, str(SYNC), warehouse.databases.pipeline_url, emulator.target, *days.names]
    output = scratch / "ours.json"
    usage = run_measured([[*command, f"shop-{PROPERTY_ID}", *SYNCED]], scratch / "ours.log", output)
    found = json.loads(output.read_text())
    say(f"ours: {usage.wall_s} s, {usage.cpu_s} s CPU, {found}")
    if found["problems"]:
        raise SystemExit(f"our sync ended with problems: {found['problems']}")
    return {**found, "wall_s": usage.wall_s, "cpu_s": usage.cpu_s, "peak_rss_mb": usage.peak_rss_mb}


def read_ours(warehouse: Warehouse) -> Content:
    """What stands in our fact table."""
    with connect(warehouse.databases.owner_url) as connection:
        query = "SELECT count(*), sum(event_count) FROM facts.fact_bench_wide"
        row = connection.execute(query).fetchone() or (0, 0)
    return Content(int(row[0]), int(row[1] or 0))


def measure_peer(
    peer: ModuleType, emulator: Emulator, warehouse: Warehouse, days: Days, scratch: Path
) -> tuple[Usage, Content]:
    """One load by a peer into its own database on the same server."""
    warehouse.settle()
    usage = peer.load(emulator, warehouse.peers_url, days, scratch)
    found = peer.read_content(warehouse.peers_url, scratch)
    say(f"{peer.NAME}: {usage}, {found}")
    return usage, found


def warm_pages(emulator: Emulator, days: Days) -> None:
    """Let the emulator build every range that any system will ask for."""
    client = open_client(ClientConfig(endpoint=emulator.target, is_plaintext=True))
    lengths = {REPORT.days_per_request, tap_target.DAYS_A_REQUEST, 366}
    for ranges in (list_ranges(days, length) for length in sorted(lengths)):
        for one in ranges:
            client.run_report(PROPERTY_ID, REPORT, one.first, one.last, 0)


def summarise(ours: list[dict], truth: Content, found: Content) -> dict:
    """The keys that the targets are about; the median run stands for ours."""
    middle = sorted(ours, key=lambda run: run["sync_wall_s"])[len(ours) // 2]
    millions = truth.rows / 1e6
    return {
        "wall_s": middle["sync_wall_s"],
        "wall_with_start_s": middle["wall_s"],
        "rows_per_second": round(truth.rows / middle["sync_wall_s"]),
        "client_cpu_s_per_million_rows": round(middle["sync_cpu_s"] / millions, 2),
        "client_cpu_s_per_million_rows_with_start": round(middle["cpu_s"] / millions, 2),
        "peak_rss_mb": middle["peak_rss_mb"],
        "shares": middle["shares"],
        "runs_wall_s": [run["sync_wall_s"] for run in ours],
        "complete": {"ours": describe_share(found, truth)},
    }


def compare(result: dict, peer: ModuleType, runs: list[tuple[Usage, Content]], truth: Content) -> None:
    """Add a peer to the result; its ratio is one of rows a second that arrived.

    A peer that tells how long its load took is compared load with load, any other process with process.
    """
    usage, content = min(runs, key=lambda run: run[0].wall_s)
    wall = statistics.median(one.wall_s for one, _ in runs)
    speed = content.rows / wall
    ratio = round(truth.rows / result["wall_with_start_s"] / speed, 1) if speed else None
    worked = [one.work_s for one, _ in runs if one.work_s]
    result[f"ratio_to_{peer.NAME}"] = ratio
    if worked:
        result[f"ratio_to_{peer.NAME}_with_start"] = ratio
        result[f"ratio_to_{peer.NAME}"] = round(statistics.median(worked) / result["wall_s"], 1)
    result["complete"][peer.NAME] = describe_share(content, truth)
    result["peers"][peer.NAME] = {
        "versions": peer.VERSIONS,
        "wall_with_start_s": round(wall, 1),
        "rows_per_second": round(speed),
        "cpu_s_per_million_rows": round(usage.cpu_s / max(content.rows, 1) * 1e6, 1),
        "peak_rss_mb": usage.peak_rss_mb,
        "runs": len(runs),
    }


def run_benchmark(chosen: list[str], repeat: int, scratch: Path) -> dict:
    """Everything, on a fresh server."""
    days = newest_days(datetime.now(UTC).date())
    with (
        run_emulator(scratch / "emulator", ["--no-growth"]) as emulator,
        open_warehouse(scratch) as warehouse,
    ):
        url = warehouse.databases.owner_url
        add_businesses(url, [(PROPERTY_ID, "UTC")], backfill_start_on=days.last, reports=SYNCED)
        warm_pages(emulator, days)
        truth = read_truth(emulator, days)
        say(f"the emulator has {truth}")
        ours: list[dict] = []
        theirs: dict[str, list[tuple[Usage, Content]]] = {name: [] for name in chosen}
        for turn in range(repeat):
            ours.append(measure_ours(emulator, warehouse, days, scratch))
            for name in (name for name in chosen if turn < REPEATS.get(name, 1)):
                theirs[name].append(measure_peer(PEERS[name], emulator, warehouse, days, scratch))
        result = {"benchmark": "ga4_throughput", **summarise(ours, truth, read_ours(warehouse)), "peers": {}}
    for name, runs in theirs.items():
        compare(result, PEERS[name], runs, truth)
    return {**result, "machine": describe_machine()}


def main() -> None:
    """Read the command line and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="which peers, separated by commas; none: ''")
    parser.add_argument("--repeat", type=int, default=3, help="how often ours runs; the median counts")
    asked = parser.parse_args()
    chosen = [name for name in asked.peers.split(",") if name]
    for name in chosen:
        getattr(PEERS[name], "install", lambda: None)()
    with tempfile.TemporaryDirectory(prefix="steadfast-bench-") as scratch:
        # PostgreSQL runs as another user when we are root, and must be able to walk in.
        Path(scratch).chmod(0o755)
        print(json.dumps(run_benchmark(chosen, asked.repeat, Path(scratch)), indent=2))


if __name__ == "__main__":
    main()
