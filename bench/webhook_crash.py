"""SIGKILL under load: is every acknowledged event there, is none there twice, and how soon is it back?

`make bench NAME=webhook_crash` (ARGS="--rounds 3" for a quick look). Prints one JSON object; what happens
meanwhile goes to stderr. In turn every process of PostgreSQL, of the receiver, or of both is killed while
32 senders post. What was killed is started again on its port, and the time until a request sent after that
gets its 2xx is taken. Events without a 2xx are sent again with their id. At the end the senders' memory is
compared with the inbox. To kill something else, add a row to `VICTIMS`.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig.crash_clients import CLIENTS, Ledger, Senders
from rig.machine import describe_machine
from rig.receiver import UNLIMITED, ReceiverProcess, add_sources, await_ready, kill_tree
from rig.warehouse import Warehouse, open_warehouse

from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import EmbeddedServer, start_server

VICTIMS: tuple[tuple[str, ...], ...] = (("postgres",), ("receiver",), ("postgres", "receiver"))
BEFORE_S = (1.5, 3.0)
"""So long the load runs before the next kill; drawn anew each time."""
DOWN_S = 1.0
BACK_PATIENCE_S = 60
SEED = 3
FIND_ROWS = "SELECT event_id, count(*) FROM landing.webhook_inbox GROUP BY event_id"


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Installation:
    """What can be killed and started again."""

    warehouse: Warehouse
    receiver: ReceiverProcess
    closing: ExitStack
    postgres: EmbeddedServer = field(init=False)

    def __post_init__(self) -> None:
        self.postgres = self.warehouse.server

    def kill(self, victims: tuple[str, ...]) -> None:
        """End every process of the victims, all at once."""
        if "receiver" in victims:
            self.receiver.kill()
        if "postgres" in victims:
            kill_tree(self.postgres.process.pid)
            # What is left of a dead server in this process: the lock, its directory.
            self.postgres.stop()

    def start(self, victims: tuple[str, ...]) -> None:
        """Start them again, side by side as a supervisor would."""
        if "receiver" in victims:
            self.receiver.start()
        if "postgres" in victims:
            state, port = self.postgres.state, self.postgres.port
            self.postgres = self.closing.enter_context(start_server(state, port=port, durable=True))
            if self.postgres.port != port:
                raise RuntimeError(f"port {port} was taken while PostgreSQL was down")


def run_round(
    installation: Installation, ledger: Ledger, victims: tuple[str, ...], load_s: float
) -> dict[str, Any]:
    """Let the load run, kill, start; tell the seconds until the first 2xx after the start began."""
    time.sleep(load_s)
    installation.kill(victims)
    time.sleep(DOWN_S)
    started_at = time.monotonic()
    ledger.watch(started_at)
    installation.start(victims)
    ready_at = time.monotonic()
    while ledger.first_after[started_at] == float("inf"):
        if time.monotonic() - started_at > BACK_PATIENCE_S:
            raise RuntimeError(f"no 2xx within {BACK_PATIENCE_S} s after {victims} were started again")
        time.sleep(0.01)
    back: dict[str, Any] = {"killed": " and ".join(victims)}
    back["back_within_s"] = round(ledger.first_after[started_at] - started_at, 2)
    if "postgres" in victims:
        # The part that is PostgreSQL's own: start and recovery.
        back["postgres_ready_s"] = round(ready_at - started_at, 2)
    return back


def compare(warehouse: Warehouse, ledger: Ledger) -> dict[str, Any]:
    """What the senders remember against the rows of the inbox."""
    with connect(warehouse.databases.owner_url) as connection:
        rows = dict(connection.execute(FIND_ROWS).fetchall())
    stored_unacked = sum(1 for event_id in rows if event_id not in ledger.acknowledged)
    return {
        "acked": len(ledger.acknowledged),
        "acked_missing": len(ledger.acknowledged - rows.keys()),
        "doubled": sum(1 for count in rows.values() if count > 1),
        "never_sent": len(rows.keys() - ledger.sent),
        "stored_unacked": stored_unacked,
        "stored_before_they_were_acked": ledger.statuses[200],
        "resent": ledger.resent,
        "given_up": ledger.given_up,
        "answered_503": ledger.statuses[503],
        "connections_broken": ledger.statuses[0],
        "other_answers": {
            str(status): count
            for status, count in ledger.statuses.items()
            if status not in (0, 200, 202, 503)
        },
    }


def run_benchmark(scratch: Path, rounds: int, workers: int) -> dict[str, Any]:
    """All rounds on one installation, whose inbox is never emptied."""
    chance, found = random.Random(SEED), []
    with open_warehouse(scratch) as warehouse, ExitStack() as closing:
        address = add_sources(warehouse, {"shop": UNLIMITED})["shop"]
        receiver = ReceiverProcess(scratch, workers)
        closing.callback(receiver.stop)
        receiver.start()
        await_ready(receiver.port, "/readyz", receiver.process)
        installation = Installation(warehouse, receiver, closing)
        with Senders(receiver.port, address).sending() as senders:
            for number in range(rounds):
                victims = VICTIMS[number % len(VICTIMS)]
                load_s = chance.uniform(*BEFORE_S)
                found.append(run_round(installation, senders.ledger, victims, load_s))
                acked = len(senders.ledger.acknowledged)
                say(f"round {number + 1}: {found[-1]}, {acked} acknowledged so far")
        compared = compare(warehouse, senders.ledger)
    return {
        "benchmark": "webhook_crash",
        "acked_missing": compared.pop("acked_missing"),
        "doubled": compared.pop("doubled"),
        "back_within_s": max(one["back_within_s"] for one in found),
        **compared,
        "clients": CLIENTS,
        "workers": workers,
        "rounds": found,
        "machine": describe_machine(),
    }


def main() -> None:
    """Read the command line and print the result."""
    raw: Callable[..., argparse.HelpFormatter] = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rounds", type=int, default=10, help="how often something is killed")
    parser.add_argument("--workers", type=int, default=2, help="processes of the receiver")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="steadfast-bench-") as scratch:
        # PostgreSQL runs as another user when we are root, and must be able to walk in.
        Path(scratch).chmod(0o755)
        print(json.dumps(run_benchmark(Path(scratch), asked.rounds, asked.workers), indent=2))


if __name__ == "__main__":
    main()
