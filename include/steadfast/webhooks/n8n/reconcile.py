"""Brings in what n8n could not deliver: its failed executions hold the events, with their ids.

Every n8n is looked at by itself; one that fails does not keep the others waiting, and nothing is passed
over: what was not read this time is read the next time. What had arrived after all is known by its id.
An item that failed in a node that goes on after errors is in no failed execution and cannot be found.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.errors import AccessDenied, ConfigError, InvalidRequest, SourceUnavailable, WarehouseBusy
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.envelope import IncomingEvent, read_event
from steadfast.webhooks.inbox import ACCEPTED, CONFLICT, DUPLICATE, Stored
from steadfast.webhooks.judge import find_violations
from steadfast.webhooks.n8n.client import Execution, N8nClient, N8nServer, open_n8n
from steadfast.webhooks.n8n.cursor import Cursor, advance, read_cursor, write_cursor
from steadfast.webhooks.n8n.signals import record_findings
from steadfast.webhooks.n8n.unsent import UnsentItem, find_unsent
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

OPEN_STATUSES = ("new", "running", "waiting")
BATCH = 500
FAILURES_IN_A_ROW = 3
"""So many executions that cannot be read mean that n8n is down, not that one of them is odd."""

Store = Callable[[Sequence[IncomingEvent]], Sequence[Stored]]
log = logging.getLogger(__name__)

_N8N_FAILURES = (AccessDenied, ConfigError, InvalidRequest, SourceUnavailable)


@dataclass(frozen=True)
class N8nSource:
    """A source and the node that posts its events."""

    source: Source
    connection_id: str
    workflow_id: str | None
    node: str

    @property
    def name(self) -> str:
        """ENTITY/SOURCE."""
        return f"{self.source.entity}/{self.source.slug}"


@dataclass(frozen=True)
class Reconciled:
    """What the look at one n8n found, by source, and what kept it from finding more."""

    connection_id: str
    recovered: Mapping[str, int] = field(default_factory=dict)
    duplicate_count: int = 0
    conflict_count: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    """Sentence -> how many events or executions."""
    last_execution: int | None = None
    """The newest one that something was recovered from or found unreadable in."""
    left_count: int = 0
    """Failed executions that were not read for lack of time or because of the error."""
    error: str | None = None

    @property
    def recovered_count(self) -> int:
        """How many events had been lost and are stored now."""
        return sum(self.recovered.values())

    @property
    def unreadable_count(self) -> int:
        """How many could not be stored."""
        return sum(self.unreadable.values())


def reconcile_sources(
    connection: Connection[Any],
    *,
    ask: Callable[[str], N8nServer],
    store: Store,
    now: datetime,
    is_time_over: Callable[[], bool] = lambda: False,
) -> list[Reconciled]:
    """Look at every n8n that a source names, store what it could not deliver, and tell about it."""
    found = []
    for connection_id, group in groupby(list_sources(connection), lambda one: one.connection_id):
        cursor = read_cursor(connection, connection_id)
        look = Look(connection_id, list(group), cursor, store, now, is_time_over)
        try:
            with open_n8n(ask(connection_id)) as client:
                look.run(client)
        except _N8N_FAILURES as error:
            # It quotes the n8n, and PostgreSQL stores neither NUL nor half of a surrogate pair.
            look.error = str(error).encode("utf-8", "replace").decode().replace("\x00", "?")
        except WarehouseBusy:
            raise
        except Exception as error:
            log.exception("n8n %s cannot be read", connection_id)
            look.error = f"Its answers cannot be understood ({type(error).__name__})."
        reconciled = look.summarise()
        write_cursor(
            connection,
            connection_id,
            look.next_cursor(),
            recovered_count=reconciled.recovered_count,
            unreadable_count=reconciled.unreadable_count,
            error=reconciled.error,
            now=now,
        )
        record_findings(connection, reconciled, now)
        found.append(reconciled)
    return found


def list_sources(connection: Connection[Any]) -> Iterator[N8nSource]:
    """The enabled sources that name an n8n, those of one n8n together."""
    query = load_queries("webhook_reconcile")["list_n8n_sources"]
    with translate_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query).fetchall()
    for row in rows:
        place = (row.pop("n8n_connection_id"), row.pop("n8n_workflow_id"), row.pop("n8n_node"))
        yield N8nSource(Source(**row), *place)


@dataclass
class Look:
    """One look at one n8n: what is read, waits to be stored, and was found."""

    connection_id: str
    sources: Sequence[N8nSource]
    cursor: Cursor
    store: Store
    now: datetime
    is_time_over: Callable[[], bool]
    failed: list[Execution] = field(default_factory=list)
    """What n8n lists as failed above the cursor, oldest first."""
    open_ids: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    error: str | None = None
    _events: list[IncomingEvent] = field(default_factory=list)
    _read: list[int] = field(default_factory=list)
    """The executions that the waiting events are from."""
    _recovered: Counter[str] = field(default_factory=Counter)
    _outcomes: Counter[str] = field(default_factory=Counter)
    _unreadable: Counter[str] = field(default_factory=Counter)
    _last: int | None = None

    def run(self, client: N8nClient) -> None:
        """Read what failed and is not done, oldest first: that is what n8n forgets first."""
        self._list(client)
        try:
            self._read_executions(client)
        finally:
            self._flush()

    def next_cursor(self) -> Cursor:
        """Where the next look goes on."""
        return advance(self.cursor, self.failed, self.done, self.open_ids, self.now)

    def summarise(self) -> Reconciled:
        """What was found."""
        return Reconciled(
            self.connection_id,
            recovered=dict(self._recovered),
            duplicate_count=self._outcomes[DUPLICATE],
            conflict_count=self._outcomes[CONFLICT],
            unreadable=dict(self._unreadable),
            last_execution=self._last,
            left_count=len(self._pending()),
            error=self.error,
        )

    def _list(self, client: N8nClient) -> None:
        # What runs is listed before what failed: in between it can only go from the one to the other.
        self.open_ids = self._list_open(client)
        newest = client.newest_id()
        if newest is not None and newest < self.cursor.highest:
            # The numbers began anew, as they do when n8n gets another database.
            self.cursor = Cursor()
        failed = list(client.list_executions("error", down_to=self.cursor.scanned_to))
        self.failed = failed[::-1]

    def _list_open(self, client: N8nClient) -> set[int]:
        found: set[int] = set()
        for status in OPEN_STATUSES:
            # An n8n that does not know the status refuses it; the cursor waits an hour for its sake.
            with suppress(InvalidRequest):
                found |= {one.execution_id for one in client.list_executions(status)}
        return found

    def _pending(self) -> list[Execution]:
        handled = self.cursor.handled | self.done
        return [execution for execution in self.failed if execution.execution_id not in handled]

    def _read_executions(self, client: N8nClient) -> None:
        failures = 0
        for execution in self._pending():
            if self.is_time_over():
                return
            try:
                self._read_execution(client, execution)
                failures = 0
            except (SourceUnavailable, InvalidRequest) as error:
                failures += 1
                self.error = self.error or f"Execution {execution.execution_id} cannot be read: {error}"
                if failures == FAILURES_IN_A_ROW:
                    return
            if len(self._events) >= BATCH:
                self._flush()

    def _read_execution(self, client: N8nClient, execution: Execution) -> None:
        ours = [one for one in self.sources if one.workflow_id in (None, execution.workflow_id)]
        # Gone between the list and now: n8n has pruned it, or somebody has deleted it.
        shown = (client.read_execution(execution.execution_id) or {}) if ours else {}
        before = len(self._events), self._unreadable.total()
        found = [(one, find_unsent(shown, one.node, f"/v1/in/{one.name}")) for one in ours if shown]
        claims = Counter(unsent.items for _, unsent in found if unsent.items)
        for one, unsent in found:
            if claims[unsent.items] > 1:
                # Whose they are cannot be told, and one entity's events must not become another's.
                self._unreadable[f"{one.name}: another source names the same node; set --n8n-workflow"] += 1
                continue
            self._unreadable.update(f"{one.name}: {problem}" for problem in unsent.problems)
            self._events += [event for item in unsent.items if (event := self._read_item(one, item))]
        if before != (len(self._events), self._unreadable.total()):
            self._last = max(self._last or 0, execution.execution_id)
        self._read.append(execution.execution_id)

    def _read_item(self, one: N8nSource, item: UnsentItem) -> IncomingEvent | None:
        try:
            if len(item.body) > one.source.max_bytes:
                raise Refused("too_large")
            event = read_event(one.source, item.event_id, item.body)
            if one.source.is_strict and event.is_text_ok:
                _refuse_violations(event)
            return event
        except Refused as refused:
            self._unreadable[f"{one.name}: {refused.detail}"] += 1
            return None

    def _flush(self) -> None:
        """Store what was read; only then is it done."""
        events, read = self._events, self._read
        self._events, self._read = [], []
        stored = self.store(events) if events else ()
        for event, answer in zip(events, stored, strict=True):
            self._outcomes[answer.outcome] += 1
            if answer.outcome == ACCEPTED:
                self._recovered[f"{event.source.entity}/{event.source.slug}"] += 1
        self.done.update(read)


def _refuse_violations(event: IncomingEvent) -> None:
    """What the receiver would not have taken is not taken here either."""
    if violations := find_violations(event.event_type, event.schema_version, event.body):
        raise Refused("schema_violation", " ".join(violations))
