"""A warehouse with shops, and an inbox that events are put into as the receiver would."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from psycopg import sql

from steadfast.warehouse.connect import connect
from steadfast.webhooks.applying.plan import open_run, plan_chunks
from steadfast.webhooks.applying.process import process_chunks
from steadfast.webhooks.events import EVENTS

from .read_back import look_at

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENT = "2026-11-24T10:00:00Z"
ORDER = {
    "order_id": "10042",
    "status": "paid",
    "placed_at": "2026-11-23T21:20:00-05:00",
    "total": "129.90",
    "currency": "USD",
}


def order(**changes: Any) -> dict:
    """The data of a good order, with changes."""
    return ORDER | changes


@dataclass
class Inbox:
    """One warehouse: fills its inbox, plans, processes, and tells what became of the events."""

    database: Any
    now: datetime = NOON
    contracts: dict = field(default_factory=lambda: dict(EVENTS))

    def __post_init__(self) -> None:
        self.connection = self.database.connect()
        self.pipeline = self.database.connect_pipeline()

    def query(self, text: str, *values: Any) -> list[tuple]:
        """Ask as the owner."""
        return self.connection.execute(text, values or None).fetchall()

    def execute(self, text: str, *values: Any) -> None:
        """Do something as the owner."""
        self.connection.execute(text, values or None)

    def add_entity(self, slug: str) -> int:
        """An entity without anything."""
        return self.query(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
            " VALUES (%s, %s, %s, %s) RETURNING entity_id",
            *(slug, slug, self.now, self.now),
        )[0][0]

    def add_source(self, entity_id: int, slug: str = "n8n", time_zone: str = "America/New_York") -> int:
        """A source of an entity, in the zone of its shop."""
        return self.query(
            "INSERT INTO config.webhook_source"
            " (entity_id, slug, name, auth, time_zone, created_at, updated_at)"
            " VALUES (%s, %s, %s, 'token', %s, %s, %s) RETURNING source_id",
            *(entity_id, slug, slug, time_zone, self.now, self.now),
        )[0][0]

    def add_body(
        self,
        body: bytes,
        event_type: str | None = "order",
        *,
        version: int = 1,
        entity_id: int = 1,
        source_id: int = 1,
        event_id: str | None = None,
        is_text_ok: bool = True,
        received_at: datetime | None = None,
        origin: str = "http",
        replay_of: int | None = None,
    ) -> int:
        """An accepted event as it lies in the inbox, with its key; its number."""
        received_at = received_at or self.now - timedelta(minutes=1)
        with self.connection.transaction():
            inbox_id = self.query("SELECT nextval('landing.webhook_inbox_id')")[0][0]
            self.execute(
                "INSERT INTO landing.webhook_inbox VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                *(inbox_id, entity_id, source_id, event_id or f"e-{inbox_id}", event_type, version),
                *(received_at, body, is_text_ok, origin, replay_of),
            )
            if origin != "replay":
                self.execute(
                    "INSERT INTO landing.webhook_event_key VALUES (%s, md5(%s)::uuid, md5(%s)::uuid, %s, %s)",
                    *(source_id, event_id or f"e-{inbox_id}", body, inbox_id, received_at),
                )
        return inbox_id

    def add(
        self, data: Any, event_type: str = "order", *, timestamp: Any = SENT, version: int = 1, **more: Any
    ) -> int:
        """An event with these data."""
        event = {"type": event_type, "version": version, "timestamp": timestamp, "data": data}
        body = json.dumps(event, ensure_ascii=False).encode()
        return self.add_body(body, event_type, version=version, **more)

    def plan(self):
        """Plan as a run would."""
        run_id = open_run(self.pipeline, "webhook_ingest", "monday", "manual", self.now)
        return plan_chunks(self.pipeline, run_id=run_id, now=self.now)

    def work(self, **more: Any):
        """Process what is planned."""
        arguments = {"clock": lambda: self.now, "is_time_over": lambda: False, "contracts": self.contracts}
        arguments |= {"connect": self.open, "run_id": 1} | more
        return process_chunks(**arguments)

    def process(self, **more: Any):
        """Plan and process."""
        self.plan()
        return self.work(**more)

    def open(self):
        """A connection as a worker has it."""
        return connect(self.database.pipeline_url, application="worker")

    def rows(self, columns: str, event_type: str = "order") -> list[tuple]:
        """Some columns of a fact table, in the order of the first."""
        table = sql.Identifier("facts", f"fact_{event_type}")
        query = sql.SQL("SELECT {} FROM {} ORDER BY 1").format(sql.SQL(columns), table)
        return self.connection.execute(query).fetchall()

    def dead(self) -> list[tuple]:
        """Number and reason of each dead letter."""
        return self.query("SELECT inbox_id, reason FROM landing.dead_letter ORDER BY inbox_id")

    def details(self) -> list[str]:
        """What the dead letters say."""
        return [row[0] for row in self.query("SELECT detail FROM landing.dead_letter ORDER BY inbox_id")]

    def detail(self) -> str:
        """What the only dead letter says."""
        (detail,) = self.details()
        return detail

    def checksum(self) -> list[list[str]]:
        """All facts and dead letters, whichever way they came there."""
        tables = [("facts", f"fact_{event.name}") for event in EVENTS.values()]
        query = sql.SQL("SELECT kept::text FROM {} AS kept ORDER BY kept.inbox_id")
        composed = [query.format(sql.Identifier(*table)) for table in [*tables, ("landing", "dead_letter")]]
        return [[row[0] for row in self.connection.execute(one)] for one in composed]


@pytest.fixture
def inbox(database):
    made = Inbox(database)
    made.add_source(made.add_entity("bakery"))
    yield made
    made.connection.close()
    made.pipeline.close()


@pytest.fixture
def connection(database):
    """As the pipeline's tasks connect."""
    with database.connect_pipeline() as connection:
        yield connection


@pytest.fixture
def reconcile(connection, database):
    """A function that looks at emulated n8n servers, and stores what they lost."""
    return partial(look_at, database, connection)
