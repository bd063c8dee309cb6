"""Put the events that wait into chunks: every event into exactly one, whoever tries it, and how often.

How events are dealt out is decided by `pack_entities`; a chunk is one transaction later, so its size is how
much a failure costs and how long one entity can hold up another.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries


@dataclass(frozen=True)
class Limit:
    """The most that a chunk may hold."""

    events: int = 50_000
    bytes: int = 256 * 1024**2


LARGEST_CHUNK = Limit()


@dataclass(frozen=True)
class PlannedChunks:
    """What a plan came to."""

    chunk_count: int
    event_count: int


@dataclass(frozen=True)
class Waiting:
    """The events of one entity that are in no chunk yet."""

    entity_id: int
    event_count: int
    byte_count: int
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True)
class Pack:
    """Entities whose events share a chunk; more than one part if a single entity has too many for one."""

    entities: tuple[Waiting, ...]
    part_count: int = 1

    @property
    def event_count(self) -> int:
        """All of them together."""
        return sum(entity.event_count for entity in self.entities)

    @property
    def received_between(self) -> tuple[datetime, datetime]:
        """From the first to the last of them; this is how partitions are left out."""
        return (
            min(entity.first_received_at for entity in self.entities),
            max(entity.last_received_at for entity in self.entities),
        )


def open_run(connection: Connection[Any], dag_id: str, airflow_run_id: str, kind: str, now: datetime) -> int:
    """Record a run, once for each Airflow run; return its number."""
    values = {"dag_id": dag_id, "airflow_run_id": airflow_run_id, "kind": kind, "now": now}
    with translate_errors(), connection.transaction():
        return _read_number(connection, "open_run", values)


def plan_chunks(connection: Connection[Any], *, run_id: int, now: datetime) -> PlannedChunks:
    """Put every event that was committed before this moment into a chunk; none twice, none left out."""
    with translate_errors():
        fence = _read_fence(connection)
        with connection.transaction():
            planned_to = _read_number(connection, "lock_watermark", {})
            # Somebody who read a later fence may have planned in between.
            if fence <= planned_to:
                return PlannedChunks(0, 0)
            values = {"run_id": run_id, "planned_to": planned_to, "fence": fence, "now": now}
            packs = list(pack_entities(_count_waiting(connection, values), LARGEST_CHUNK))
            _insert_chunks(connection, packs, values)
            connection.execute(load_queries("webhook_process")["move_watermark"], values)
    return PlannedChunks(
        sum(pack.part_count for pack in packs),
        sum(pack.event_count for pack in packs),
    )


def pack_entities(waiting: Iterable[Waiting], largest: Limit) -> Iterator[Pack]:
    """Deal entities into chunks that are not too large, the smallest first.

    An entity that has more is cut into parts of its own, so that nobody waits behind it; small ones share.
    """
    together: list[Waiting] = []
    for entity in sorted(waiting, key=lambda entity: (entity.event_count, entity.entity_id)):
        if together and _count_parts([*together, entity], largest) > 1:
            yield Pack(tuple(together))
            together = []
        alone = _count_parts([entity], largest)
        if alone > 1:
            yield Pack((entity,), alone)
        else:
            together.append(entity)
    if together:
        yield Pack(tuple(together))


def _count_parts(entities: Sequence[Waiting], largest: Limit) -> int:
    """How many chunks it takes; there are never more parts than events."""
    events = sum(entity.event_count for entity in entities)
    by_bytes = -(-sum(entity.byte_count for entity in entities) // largest.bytes)
    return max(-(-events // largest.events), min(by_bytes, events))


def _read_fence(connection: Connection[Any]) -> int:
    queries = load_queries("webhook_process")
    with connection.transaction():
        connection.execute(queries["wait_briefly"])
        connection.execute(queries["wait_for_writers"])
        return _read_number(connection, "read_fence", {})


def _count_waiting(connection: Connection[Any], values: dict[str, Any]) -> list[Waiting]:
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        # A plan for other numbers than these would look at other partitions.
        return cursor.execute(
            load_queries("webhook_process")["count_waiting"], values, prepare=False
        ).fetchall()


def _insert_chunks(connection: Connection[Any], packs: Sequence[Pack], values: dict[str, Any]) -> None:
    queries = load_queries("webhook_process")
    for pack in packs:
        if pack.part_count == 1:
            connection.execute(queries["insert_chunk"], {**values, **_describe(pack)})
    cut = {pack.entities[0].entity_id: pack.part_count for pack in packs if pack.part_count > 1}
    if cut:
        of_parts = {**values, "entity_ids": list(cut), "part_counts": list(cut.values())}
        connection.execute(queries["insert_parts"], of_parts, prepare=False)


def _describe(pack: Pack) -> dict[str, Any]:
    first, last = pack.received_between
    return {
        "entity_ids": sorted(entity.entity_id for entity in pack.entities),
        "event_count": pack.event_count,
        "first_received_at": first,
        "last_received_at": last,
    }


def _read_number(connection: Connection[Any], query: str, values: dict[str, Any]) -> int:
    row = connection.execute(load_queries("webhook_process")[query], values).fetchone()
    if row is None:
        raise LookupError(f"The query {query} found no row; was the warehouse migrated?")
    return int(row[0])
