"""Webhook events from the inbox into typed tables: how many a second, and the same after a kill.

`make bench NAME=webhook_process` (ARGS="--events 100000 --repeat 1" for less). Prints one JSON object;
what happens meanwhile goes to stderr. Events of all types are mixed, one in a hundred is bad, one in five
repeats a key; the server keeps its production settings, fsync included. Planning counts, the start of
Python does not. In the last round the workers are killed in the middle and new ones do the rest; an
order-independent checksum of every fact table and of the dead letters must be that of the first round.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from psycopg import Connection, sql
from rig.machine import describe_machine
from rig.process_tree import read_cpu_seconds
from rig.warehouse import Warehouse, open_warehouse
from rig.webhook_events import BAD_PER_MILLE, fill_inbox

from steadfast.warehouse.connect import connect
from steadfast.webhooks.applying.plan import open_run, plan_chunks
from steadfast.webhooks.events import EVENT_TABLES

WORKER = Path(__file__).parent / "rig" / "process_once.py"
TABLES = (*(("facts", table.name) for table in EVENT_TABLES), ("landing", "dead_letter"))


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, file=sys.stderr, flush=True)


def forget_processing(connection: Connection) -> None:
    """Empty what processing fills, so that the next round starts from nothing."""
    names = sql.SQL(", ").join(sql.Identifier(*table) for table in (*TABLES, ("ops", "webhook_chunk")))
    connection.execute(sql.SQL("TRUNCATE {}").format(names))
    connection.execute("UPDATE ops.webhook_watermark SET planned_to = 0")


def plan(connection: Connection) -> int:
    """Plan as the DAG does; the number of the run, which is the same in every round."""
    now = datetime.now(UTC)
    run_id = open_run(connection, "webhook_ingest", "benchmark", "manual", now)
    planned = plan_chunks(connection, run_id=run_id, now=now)
    say(f"planned {planned}")
    return run_id


def start_workers(url: str, run_id: int, count: int) -> list[subprocess.Popen[bytes]]:
    """Workers that take chunks at once."""
    command = [sys.executable, str(WORKER), url, str(run_id)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]


def finish_workers(workers: list[subprocess.Popen[bytes]]) -> list[dict]:
    """What the workers tell; those that were killed tell nothing."""
    told = [worker.communicate()[0] for worker in workers]
    outcomes = [json.loads(text) for text in told if text]
    failures = [failure for outcome in outcomes for failure in outcome["failures"]]
    if failures:
        raise SystemExit(f"chunks failed: {failures}")
    return outcomes


def run_round(warehouse: Warehouse, connection: Connection, workers: int) -> dict:
    """Everything in the inbox, undisturbed."""
    forget_processing(connection)
    warehouse.settle()
    family, url = warehouse.server.process.pid, warehouse.databases.pipeline_url
    cpu, began = read_cpu_seconds(family), time.monotonic()
    run_id = plan(connection)
    plan_s = time.monotonic() - began
    outcomes = finish_workers(start_workers(url, run_id, workers))
    work_s = max(one["ended"] for one in outcomes) - min(one["began"] for one in outcomes)
    applied, dead = (sum(one[f"{name}_count"] for one in outcomes) for name in ("applied", "dead"))
    found = {
        "seconds": round(plan_s + work_s, 2),
        "plan_seconds": round(plan_s, 2),
        "events_per_second": round((applied + dead) / (plan_s + work_s)),
        "postgresql_cpu_us_per_event": round((read_cpu_seconds(family) - cpu) / (applied + dead) * 1e6, 1),
        "applied": applied,
        "dead": dead,
    }
    say(str(found))
    return found


def run_killed_round(warehouse: Warehouse, connection: Connection, workers: int) -> int:
    """The same with the workers killed in the middle of a chunk; how many chunks were done by then."""
    forget_processing(connection)
    url = warehouse.databases.pipeline_url
    run_id = plan(connection)
    started = start_workers(url, run_id, workers)
    while not count_done(connection):
        time.sleep(0.05)
    # The next chunk of the killed one is under way, and rows of it are written.
    time.sleep(0.3)
    for worker in started:
        os.kill(worker.pid, signal.SIGKILL)
    finish_workers(started)
    done = count_done(connection)
    finish_workers(start_workers(url, run_id, workers))
    # A connection of the dead may have held its chunk while the others looked.
    finish_workers(start_workers(url, run_id, 1))
    say(f"killed after {done} chunks")
    return done


def count_done(connection: Connection) -> int:
    """How many chunks are done."""
    row = connection.execute("SELECT count(*) FROM ops.webhook_chunk WHERE state = 'done'").fetchone()
    return int(row[0]) if row else 0


def read_checksum(connection: Connection) -> list[tuple]:
    """For each table how many rows it has and a sum over their hashes; when they were written is left out."""
    query = sql.SQL(
        "SELECT {name}, count(*), sum(hashtextextended((to_jsonb(kept) - 'failed_at')::text, 0)::numeric)"
        " FROM {table} AS kept"
    )
    parts = [
        query.format(name=sql.Literal(".".join(table)), table=sql.Identifier(*table)) for table in TABLES
    ]
    # Parallel workers hand in the tables in any order.
    return sorted(connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall())


def run_benchmark(events: int, workers: int, repeat: int, scratch: Path) -> dict:
    """Everything, on a fresh server."""
    with (
        open_warehouse(scratch) as warehouse,
        connect(warehouse.databases.owner_url, autocommit=True) as connection,
    ):
        fill_inbox(connection, events)
        say(f"{events} events lie in the inbox")
        rounds = [run_round(warehouse, connection, workers) for _ in range(repeat)]
        undisturbed = read_checksum(connection)
        chunks_before_kill = run_killed_round(warehouse, connection, workers)
        disturbed = read_checksum(connection)
        say(f"differs after the kill: {[one for one in disturbed if one not in undisturbed]}")
    middle = sorted(rounds, key=lambda one: one["seconds"])[len(rounds) // 2]
    return {
        "benchmark": "webhook_process",
        "events": events,
        "bad_per_mille": BAD_PER_MILLE,
        "workers": workers,
        **middle,
        "median_events_per_second": round(statistics.median(one["events_per_second"] for one in rounds)),
        "checksum_same_after_kill_and_rerun": disturbed == undisturbed,
        "chunks_done_before_kill": chunks_before_kill,
        "rows": {name: count for name, count, _ in undisturbed},
        "runs": rounds,
        "machine": describe_machine(),
    }


def main() -> None:
    """Read the command line and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events lie in the inbox")
    parser.add_argument("--workers", type=int, default=2, help="how many processes take chunks")
    parser.add_argument("--repeat", type=int, default=3, help="how often; the median counts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="steadfast-bench-") as scratch:
        # PostgreSQL runs as another user when we are root, and must be able to walk in.
        Path(scratch).chmod(0o755)
        result = run_benchmark(asked.events, asked.workers, asked.repeat, Path(scratch))
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
