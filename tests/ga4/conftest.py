"""A warehouse with entities, an emulated GA4, and one way to run a sync as the DAG does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql

from steadfast.demo.ga4.emulator import Emulator, EmulatorOptions, run_emulator
from steadfast.demo.ga4.faults import Fault
from steadfast.entities.businesses import add_entity
from steadfast.entities.properties import add_property
from steadfast.entities.sync_settings import edit_setting
from steadfast.ga4.chunks import FrameCheck
from steadfast.ga4.client import ClientConfig, Ga4Client, open_client
from steadfast.ga4.outcome import RunSummary, close_run
from steadfast.ga4.plan import PlannedRun, RunRequest, plan_run
from steadfast.ga4.reports import REPORTS
from steadfast.ga4.sync import ShardOutcome, sync_shard
from steadfast.quality.check import check_frame
from steadfast.warehouse.connect import connect

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
YESTERDAY = date(2026, 11, 19)
AGRICULTURE, COMMERCE, DEFENSE = 395461442, 395253935, 395210963


@dataclass
class Clock:
    """The time that the emulator and the sync share."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="session")
def shared_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def shared_emulator(shared_clock) -> Iterator[Emulator]:
    with run_emulator(EmulatorOptions(clock=shared_clock, synthetic=20)) as emulator:
        yield emulator


@pytest.fixture
def clock(shared_clock) -> Clock:
    shared_clock.now = NOON
    return shared_clock


@pytest.fixture
def emulator(shared_emulator, clock) -> Iterator[Emulator]:
    shared_emulator.clear()
    yield shared_emulator
    shared_emulator.clear()


@dataclass
class Installation:
    """What a test does to a Steadfast with two or three properties."""

    database: Any
    emulator: Emulator
    clock: Clock
    client: Ga4Client
    runs: dict[str, PlannedRun] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)

    def add(self, slug: str, property_id: int, *, days: int = 4, **setting: Any) -> None:
        """An entity with one property whose history begins `days` ago."""
        zone, currency = self.client.time_zone_and_currency(property_id)
        with self.database.connect() as connection:
            by = {"actor": "test", "now": self.clock()}
            add_entity(connection, slug, name=slug.title(), **by)
            add_property(
                connection, slug, property_id, connection_id="ga4", time_zone=zone, currency=currency, **by
            )
            start = self.clock().date() - timedelta(days=days)
            edit_setting(connection, slug, known_reports=REPORTS, backfill_start_on=start, **setting, **by)

    def plan(self, name: str = "first", kind: str = "scheduled", **asked: Any) -> PlannedRun:
        request = RunRequest("ga4_sync", name, kind, asked.pop("partition_on", YESTERDAY), **asked)
        with connect(self.database.pipeline_url) as connection:
            self.runs[name] = plan_run(connection, request, self.clock(), 100)
        return self.runs[name]

    def work(self, name: str = "first", check: FrameCheck = check_frame) -> ShardOutcome:
        """Do what is left of a planned run."""
        run = self.runs[name]
        outcomes = [
            sync_shard(
                run.run_id,
                shard,
                connect=lambda: connect(self.database.pipeline_url),
                open_client=lambda _: self.client,
                check=check,
                clock=self.clock,
                pause=self.pauses.append,
            )
            for shard in run.shards
        ]
        assert len(outcomes) == 1
        return outcomes[0]

    def sync(self, name: str = "first", kind: str = "scheduled", **asked: Any) -> ShardOutcome:
        self.plan(name, kind, **asked)
        return self.work(name)

    def close(self, name: str = "first") -> RunSummary:
        with connect(self.database.pipeline_url) as connection:
            return close_run(connection, self.runs[name].run_id, self.clock())

    def inject(self, property_id: int, kind: str, **details: Any) -> None:
        self.emulator.inject(Fault(property=str(property_id), kind=kind, **details))

    def query(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:
            return connection.execute(statement, values).fetchall()

    def published(self, report: str, property_id: int) -> list[tuple[Any, ...]]:
        """The fact table's rows of a property, as the API would say them: date, dimensions, numbers."""
        row = REPORTS[report]
        columns = [*row.columns, *(name for name, _ in row.measures)]
        statement = sql.SQL("SELECT to_char(report_date, 'YYYYMMDD'){} FROM facts.{} WHERE property_id = %s")
        names = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(column)) for column in columns)
        rows = self.query(statement.format(names, sql.Identifier(row.table.name)), property_id)
        return sorted(tuple(_plain(value) for value in row) for row in rows)

    def answered(self, report: str, property_id: int, start: date, end: date) -> list[tuple[Any, ...]]:
        """What the API would answer now."""
        row = REPORTS[report]
        rows = self.emulator.world.rows(str(property_id), ("date", *row.dimensions), row.metrics, start, end)
        return sorted(
            (*dimensions, *(_plain(Decimal(text)) for text in metrics)) for dimensions, metrics in rows
        )

    def requests_of(self, property_id: int) -> int:
        return sum(request.property == str(property_id) for request in self.emulator.requests)

    def requests(self) -> int:
        return sum(request.method == "RunReport" for request in self.emulator.requests)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else round(float(value), 4)


@pytest.fixture
def installation(database, emulator, clock) -> Iterator[Installation]:
    with open_client(ClientConfig(endpoint=emulator.grpc_target, is_plaintext=True, timeout_s=20)) as client:
        yield Installation(database, emulator, clock, client)


@pytest.fixture
def one_property(installation) -> Installation:
    installation.add("agriculture", AGRICULTURE, reports=("daily_totals", "traffic_acquisition", "tech"))
    return installation


@pytest.fixture
def two_properties(one_property) -> Installation:
    one_property.add("commerce", COMMERCE, reports=("daily_totals", "traffic_acquisition", "tech"))
    return one_property
