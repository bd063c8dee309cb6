"""Sources and what happened to them, put straight into the tables that the watch reads."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 11, 24, 12, 3, 20, tzinfo=UTC)
LONG_AGO = datetime(2026, 9, 1, tzinfo=UTC)
SHOPS = ("bakery", "cafe", "florist")


@dataclass
class World:
    """A warehouse in which every shop has one source, `orders`; sources are numbered from 1."""

    connection: object
    run_id: int = 0

    def __post_init__(self) -> None:
        for slug in SHOPS:
            self.add_source(slug)
        self.run_id = self.open_run("run-1", NOW - timedelta(minutes=2))

    def add_source(self, entity, slug="orders", zone="UTC") -> int:
        self.connection.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (entity, entity, LONG_AGO, LONG_AGO),
        )
        return self.connection.execute(
            "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone, created_at,"
            " updated_at) SELECT entity_id, %s, %s, 'signature', %s, %s, %s FROM config.business_entity"
            " WHERE slug = %s"
            " RETURNING source_id",
            (slug, slug, zone, LONG_AGO, LONG_AGO, entity),
        ).fetchone()[0]

    def open_run(self, name, started_at, finished_at=None) -> int:
        return self.connection.execute(
            "INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, started_at, finished_at)"
            " VALUES ('webhook_ingest', %s, 'scheduled', %s, %s) RETURNING run_id",
            (name, started_at, finished_at),
        ).fetchone()[0]

    def hear(self, source_id, moments, status=202, requests=1) -> None:
        """Count what a receiver answered in each of these minutes."""
        minutes = [moment.replace(second=0, microsecond=0) for moment in moments]
        self.connection.execute(
            "INSERT INTO ops.webhook_traffic (minute, source_id, key_id, status, request_count, event_count,"
            " byte_count) SELECT minute, %s, 1, %s, %s, %s, 100 FROM unnest(%s::timestamptz[]) AS minute",
            (source_id, status, requests, requests, minutes),
        )

    def add_event(self, source_id=1, received_at=NOW - timedelta(minutes=1)) -> int:
        return self.connection.execute(
            "INSERT INTO landing.webhook_inbox SELECT nextval('landing.webhook_inbox_id'), entity_id,"
            " source_id, 'e', 'order', 1, %s, '{}', true, 'http', NULL FROM config.webhook_source"
            " WHERE source_id = %s"
            " RETURNING inbox_id",
            (received_at, source_id),
        ).fetchone()[0]

    def bury(
        self, source_id=1, reason="missing_field", count=1, failed_at=NOW - timedelta(minutes=1)
    ) -> None:
        for _ in range(count):
            inbox_id = self.add_event(source_id, failed_at)
            self.connection.execute(
                "INSERT INTO landing.dead_letter (inbox_id, entity_id, source_id, event_id, event_type,"
                " received_at, reason, detail, failed_at)"
                " SELECT inbox_id, entity_id, source_id, event_id, event_type, received_at, %s,"
                " 'data.total is missing; valid is an amount.', received_at"
                " FROM landing.webhook_inbox WHERE inbox_id = %s",
                (reason, inbox_id),
            )

    def add_chunk(self, from_id=0, to_id=10, received_at=NOW - timedelta(minutes=3), **values) -> int:
        row = {"attempt": 0, "error": None, "state": "planned", "finished_at": None, "applied_count": None}
        row |= {"dead_count": None, "event_count": to_id - from_id, "next_try_at": None} | values
        return self.connection.execute(
            "INSERT INTO ops.webhook_chunk (run_id, entity_ids, from_id, to_id, first_received_at,"
            " last_received_at, event_count, attempt, error, state, finished_at, applied_count, dead_count,"
            " next_try_at, planned_at) VALUES (%(run_id)s, ARRAY[1], %(from_id)s, %(to_id)s, %(at)s, %(at)s,"
            " %(event_count)s, %(attempt)s, %(error)s, %(state)s, %(finished_at)s, %(applied_count)s,"
            " %(dead_count)s, %(next_try_at)s, %(at)s) RETURNING chunk_id",
            {**row, "run_id": self.run_id, "from_id": from_id, "to_id": to_id, "at": received_at},
        ).fetchone()[0]

    def plan_to(self, inbox_id, planned_at=NOW - timedelta(minutes=2)) -> None:
        self.connection.execute(
            "UPDATE ops.webhook_watermark SET planned_to = %s, planned_at = %s", (inbox_id, planned_at)
        )

    def disable_source(self) -> None:
        self.connection.execute("UPDATE config.webhook_source SET is_enabled = false WHERE source_id = 1")

    def disable_entity(self) -> None:
        self.connection.execute("UPDATE config.business_entity SET is_enabled = false WHERE slug = 'bakery'")

    def subjects(self) -> list[str]:
        rows = self.connection.execute("SELECT subject FROM ops.signal ORDER BY signal_id").fetchall()
        return [subject.removeprefix("[Steadfast] ") for (subject,) in rows]

    def body(self) -> str:
        ((body,),) = self.connection.execute("SELECT body FROM ops.signal").fetchall()
        return body

    def words(self) -> str:
        """The body on one line."""
        return " ".join(self.body().split())


def every(minutes, last, days):
    """A moment each so many minutes, for so many days, until `last`."""
    count = days * 1440 // minutes
    return [last - timedelta(minutes=minutes * number) for number in range(count)]
