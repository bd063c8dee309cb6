"""Finding events, and everything about one: where it is, why it could not be loaded, what replaced it.

The state of an event is derived. `waiting` and `applied` follow from the watermark and the chunks, the
others stand in its dead letter. To filter by one more thing, add a field, and a line to the two filters
in sql/queries/webhook_replay.sql.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from steadfast.entities.businesses import list_entities, show_entity
from steadfast.entities.input_checks import suggest
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.judge import find_violations

DEAD, APPLIED, WAITING = "dead", "applied", "waiting"
DEAD_LETTER_STATES = (DEAD, "replayed", "resolved", "discarded")
STATES = (WAITING, APPLIED, *DEAD_LETTER_STATES)
DEFAULT_PERIOD = timedelta(days=7)
ALL_TIME = ("-infinity", "infinity")


@dataclass(frozen=True)
class EventFilter:
    """Which events are meant; what is None does not matter. `until` itself is outside."""

    entity: str | None = None
    source: str | None = None
    event_type: str | None = None
    state: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    event_id: str | None = None
    inbox_id: int | None = None

    @property
    def names_something(self) -> bool:
        """Whether it is about less than everything in a state."""
        return any(value is not None for name, value in asdict(self).items() if name != "state")

    @property
    def is_about_dead_letters(self) -> bool:
        """Whether only dead letters can match, which are few; else the inbox is searched."""
        return self.state in DEAD_LETTER_STATES or (self.state is None and self.reason is not None)

    def limit_period(self, now: datetime) -> "EventFilter":
        """The last 7 days, where a search without a beginning would read the whole inbox."""
        is_narrow = self.is_about_dead_letters or self.state == WAITING or self.inbox_id is not None
        return self if self.since or is_narrow else replace(self, since=now - DEFAULT_PERIOD)


@dataclass(frozen=True)
class FoundEvent:
    """An event in a list; `body` is None unless it was asked for or if it is not kept any more."""

    inbox_id: int
    received_at: datetime
    entity: str
    source: str
    event_type: str | None
    event_id: str
    state: str
    reason: str | None
    body: bytes | None = None


@dataclass(frozen=True)
class DeadLetter:
    """Why an event could not be loaded, and what was done about it."""

    inbox_id: int
    state: str
    reason: str
    detail: str
    sqlstate: str | None
    failed_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    replayed_as: int | None


@dataclass(frozen=True)
class ReplayStep:
    """One of the events that an event was or became."""

    inbox_id: int
    replay_of: int | None
    received_at: datetime
    state: str


@dataclass(frozen=True)
class EventStory:
    """Everything about one event; `violations` says in words what its contract asks for in vain."""

    inbox_id: int
    received_at: datetime
    entity: str
    source: str
    event_type: str | None
    schema_version: int
    event_id: str
    state: str
    origin: str
    replay_of: int | None
    is_text_ok: bool
    body: bytes
    dead_letter: DeadLetter | None = None
    violations: tuple[str, ...] = ()
    replays: tuple[ReplayStep, ...] = ()


def search_events(
    connection: Connection[Any], wanted: EventFilter, limit: int, *, has_body: bool = False
) -> list[FoundEvent]:
    """The newest events that match; ConfigError if the filter names what does not exist."""
    bound = bind_filter(connection, wanted) | {"limit": limit, "has_body": has_body}
    if wanted.is_about_dead_letters:
        query = compose_query("search_dead", "dead_filter")
    else:
        query = compose_query(_choose_pass(wanted))
        bound["floor"] = find_waiting_floor(connection) if wanted.state == WAITING else 0
    with connection.cursor(row_factory=class_row(FoundEvent)) as cursor:
        return cursor.execute(query, bound).fetchall()


def show_event(connection: Connection[Any], inbox_id: int) -> EventStory:
    """Everything about one event; ConfigError if the inbox does not hold it."""
    queries, bound = load_queries("webhook_replay"), {"inbox_id": inbox_id}
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(compose_query("show_event"), bound).fetchone()
    if found is None:
        raise ConfigError(f"The inbox holds no event {inbox_id}; `steadfast webhook search` lists some.")
    with connection.cursor(row_factory=class_row(DeadLetter)) as letters:
        letter = letters.execute(queries["show_dead_letter"], bound).fetchone()
    with connection.cursor(row_factory=class_row(ReplayStep)) as steps:
        replays = steps.execute(compose_query("show_replays"), bound).fetchall()
    judged = [found[name] for name in ("event_type", "schema_version", "body", "received_at")]
    violations = describe_violations(*judged)
    return EventStory(**found, dead_letter=letter, violations=violations, replays=tuple(replays))


def describe_violations(
    event_type: str | None, version: int, body: bytes, received_at: datetime
) -> tuple[str, ...]:
    """What the contract asks for in vain of an event received then, at most five sentences."""
    try:
        return tuple(find_violations(event_type, version, body, received_at))
    except (ValueError, ArithmeticError, RecursionError):
        # Nothing the receiver takes, but numbers of thousands of digits are among what it takes.
        return ("The event cannot be compared with its contract: it holds a number too long to read.",)


def find_waiting_floor(connection: Connection[Any]) -> int:
    """An inbox id; no event at or below it waits."""
    row = connection.execute(load_queries("webhook_replay")["waiting_floor"]).fetchone()
    return int(row[0]) if row else 0


def bind_filter(connection: Connection[Any], wanted: EventFilter) -> dict[str, Any]:
    """The values that the queries ask for; ConfigError if the filter names what does not exist."""
    check_state(wanted)
    entity_ids, source_ids = _find_places(connection, wanted.entity, wanted.source)
    return asdict(wanted) | {
        "entity_ids": entity_ids,
        "source_ids": source_ids,
        "since": wanted.since or ALL_TIME[0],
        "until": wanted.until or ALL_TIME[1],
    }


def check_state(wanted: EventFilter) -> None:
    """ConfigError if there is no such state, or none that has a reason."""
    if wanted.state is not None and wanted.state not in STATES:
        raise ConfigError(f"State {wanted.state!r} is not known; valid are {', '.join(STATES)}.")
    if wanted.reason is not None and wanted.state in (WAITING, APPLIED):
        raise ConfigError(f"An event that is {wanted.state} has no reason; only dead letters have one.")


def compose_query(name: str, filter_name: str = "inbox_filter") -> Any:
    """A query with the filter and the derived state in it."""
    queries = load_queries("webhook_replay")
    return queries[name].format(filter=queries[filter_name], state=queries["event_state"])


def list_entity_ids(connection: Connection[Any], entity: str | None) -> list[int]:
    """The id of one entity, or of all."""
    if entity is not None:
        return [show_entity(connection, entity).entity_id]
    return [each.entity_id for each in list_entities(connection)]


def _choose_pass(wanted: EventFilter) -> str:
    # What is rare is found sooner in one pass, unless every event on the way must tell its state.
    is_rare = bool(wanted.event_id or (wanted.event_type and not wanted.state))
    return "search_whole_inbox" if is_rare and not wanted.entity else "search_inbox"


def _find_places(
    connection: Connection[Any], entity: str | None, source: str | None
) -> tuple[list[int], list[int] | None]:
    """Ids of the entities and sources that are meant; no sources if any may be."""
    entity_ids = list_entity_ids(connection, entity)
    if source is None:
        return entity_ids, None
    with connection.cursor(row_factory=dict_row) as cursor:
        places = cursor.execute(load_queries("webhook_replay")["list_places"]).fetchall()
    near = [place for place in places if place["entity_id"] in entity_ids]
    found = [place for place in near if place["slug"] == source]
    if not found:
        _refuse_source(source, entity, [place["slug"] for place in near])
    return sorted({place["entity_id"] for place in found}), [place["source_id"] for place in found]


def _refuse_source(source: str, entity: str | None, known: Sequence[str]) -> None:
    whose = f"Entity {entity} has no source" if entity else "There is no source"
    raise ConfigError(f"{whose} {source!r}{suggest(source, set(known))} `steadfast source list` shows them.")
