"""One look at one n8n: what failed there is listed, read and stored, each execution for itself.

One that cannot be read stops no other. Whether the whole n8n is down is seen by asking for its list again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from steadfast.errors import InvalidRequest, SourceUnavailable, SteadfastError
from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.inbox import ACCEPTED, CONFLICT, DUPLICATE, Stored
from steadfast.webhooks.n8n.answers import Execution, TooManyRequests
from steadfast.webhooks.n8n.claims import Found, N8nSource, find_events
from steadfast.webhooks.n8n.client import N8nClient
from steadfast.webhooks.n8n.cursor import Cursor, advance
from steadfast.webhooks.n8n.unread import Unread, count_failure

OPEN_STATUSES = ("new", "running", "waiting")
FAILED, CANCELED = "error", "canceled"
LOST_STATUSES = (FAILED, CANCELED)
"""A person's Stop, and the end of the workflow's time, cut a node off between two tries."""
BATCH = 500

Store = Callable[[Sequence[IncomingEvent]], Sequence[Stored]]
log = logging.getLogger(__name__)


class NotStored(Exception):
    """The warehouse did not take what was found; this n8n is not to blame."""


@dataclass(frozen=True)
class Reconciled:
    """What the look at one n8n found, by source, and what kept it from finding more."""

    connection_id: str
    recovered: Mapping[str, int] = field(default_factory=dict)
    duplicate_count: int = 0
    conflict_count: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    """Sentence -> how many events or executions."""
    given_up: Mapping[int, str] = field(default_factory=dict)
    """Execution that will not be asked for again -> why."""
    last_execution: int | None = None
    """The newest one that something was recovered from or found unreadable in."""
    left_count: int = 0
    """Failed executions that were not read: for lack of time, because of the error, or they cannot be yet."""
    error: str | None = None
    """Why the n8n could not be looked through."""
    failure: str | None = None
    """What went wrong on our side; whatever it was, the next look finds the same again."""

    @property
    def recovered_count(self) -> int:
        """How many events had been lost and are stored now."""
        return sum(self.recovered.values())

    @property
    def unreadable_count(self) -> int:
        """How many events and executions stay lost."""
        return sum(self.unreadable.values()) + len(self.given_up)


@dataclass
class Look:
    """One look at one n8n: what is read, waits to be stored, and was found."""

    connection_id: str
    sources: Sequence[N8nSource]
    cursor: Cursor
    unread: dict[int, Unread]
    store: Store
    now: datetime
    failed: list[Execution] = field(default_factory=list)
    """What n8n lists as failed above the cursor, oldest first."""
    open_ids: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    given_up: dict[int, str] = field(default_factory=dict)
    is_listed: bool = False
    is_blind: bool = False
    """Whether n8n shows neither an execution nor a workflow."""
    error: str | None = None
    failure: str | None = None
    _events: list[IncomingEvent] = field(default_factory=list)
    _read: list[int] = field(default_factory=list)
    """The executions that the waiting events are from."""
    _problems: list[str] = field(default_factory=list)
    """What in these cannot be read: told of once they are done, else each look would tell of it."""
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
        if not self.is_listed:
            return self.cursor
        return advance(self.cursor, self.failed, self._handled(), self.open_ids, self.now)

    def next_unread(self) -> dict[int, Unread]:
        """What stays unread: what was read or is not listed any more is forgotten."""
        listed = {one.execution_id for one in self.failed} - self.done
        return {
            number: one
            for number, one in self.unread.items()
            if one.is_given_up or not self.is_listed or number in listed
        }

    def summarise(self) -> Reconciled:
        """What was found."""
        return Reconciled(
            self.connection_id,
            recovered=dict(self._recovered),
            duplicate_count=self._outcomes[DUPLICATE],
            conflict_count=self._outcomes[CONFLICT],
            unreadable=dict(self._unreadable),
            given_up=dict(self.given_up),
            last_execution=self._last,
            left_count=len(self._pending()),
            error=self.error,
            failure=self.failure,
        )

    def _list(self, client: N8nClient) -> None:
        # What runs is listed before what failed: in between it can only go from the one to the other.
        # Six requests, and one more for every 250 that failed or were stopped: 10,000 take 46 at most.
        self.open_ids = self._list_open(client)
        newest = client.newest_id()
        self.is_blind = newest is None and not client.shows_workflows()
        if newest is not None and newest < self.cursor.highest:
            # The numbers began anew, as they do when n8n gets another database.
            self.cursor, self.unread = Cursor(), {}
        failed = {
            one.execution_id: one for status in LOST_STATUSES for one in self._list_lost(client, status)
        }
        self.failed = sorted(failed.values(), key=lambda one: one.execution_id)
        self.is_listed = True

    def _list_lost(self, client: N8nClient, status: str) -> list[Execution]:
        try:
            return list(client.list_executions(status, down_to=self.cursor.scanned_to))
        except InvalidRequest:
            if status == FAILED:
                raise
            # An older n8n does not know the others.
            return []

    def _list_open(self, client: N8nClient) -> set[int]:
        found: set[int] = set()
        for status in OPEN_STATUSES:
            # An n8n that does not know the status refuses it.
            with suppress(InvalidRequest):
                found |= {one.execution_id for one in client.list_executions(status)}
        return found

    def _handled(self) -> frozenset[int]:
        given_up = {number for number, one in self.unread.items() if one.is_given_up}
        return self.cursor.handled.union(self.done, given_up)

    def _pending(self) -> list[Execution]:
        """What is to be read: first what did not fail before, so that it is not kept waiting."""
        handled = self._handled()
        pending = [one for one in self.failed if one.execution_id not in handled]
        return sorted(pending, key=lambda one: one.execution_id in self.unread)

    def _read_executions(self, client: N8nClient) -> None:
        for place, execution in enumerate(self._pending()):
            if client.deadline.is_over():
                return
            try:
                self._take(execution, self._read_execution(client, execution))
            except SteadfastError as error:
                if place and client.deadline.is_over():
                    # It was begun late and had not the time that others had.
                    return
                # Raises if it is the whole n8n that fails; then no execution is to blame.
                client.newest_id()
                self._note_failure(execution, error)
                if isinstance(error, TooManyRequests):
                    raise
            except Exception as error:
                log.exception("Execution %s of %s is not understood", execution, self.connection_id)
                odd = SourceUnavailable(f"It is not understood ({type(error).__name__}); the log says where.")
                self._note_failure(execution, odd)
            if len(self._events) >= BATCH:
                self._flush()

    def _read_execution(self, client: N8nClient, execution: Execution) -> Found:
        ours = [one for one in self.sources if one.workflow_id in (None, execution.workflow_id)]
        if not ours:
            return Found()
        shown = client.read_execution(execution)
        if shown is None:
            raise SourceUnavailable("n8n lists it and says that it is not there.")
        return find_events(shown, ours, self.now)

    def _note_failure(self, execution: Execution, error: SteadfastError) -> None:
        number = execution.execution_id
        log.warning("Execution %s of %s cannot be read: %s", number, self.connection_id, error)
        known = self.unread[number] = count_failure(self.unread.get(number), error, self.now)
        if known.is_given_up:
            self.given_up[number] = known.reason

    def _take(self, execution: Execution, found: Found) -> None:
        self._events += found.events
        self._problems += found.problems
        if found.events or found.problems:
            self._last = max(self._last or 0, execution.execution_id)
        self._read.append(execution.execution_id)

    def _flush(self) -> None:
        """Store what was read; only then is it done."""
        events, read, problems = self._events, self._read, self._problems
        self._events, self._read, self._problems = [], [], []
        try:
            stored = self.store(events) if events else ()
        except Exception as error:
            raise NotStored(f"{type(error).__name__}: {error}") from error
        for event, answer in zip(events, stored, strict=True):
            self._outcomes[answer.outcome] += 1
            if answer.outcome == ACCEPTED:
                self._recovered[f"{event.source.entity}/{event.source.slug}"] += 1
        self._unreadable.update(problems)
        self.done.update(read)
