"""Brings in what n8n could not deliver: its failed executions hold the events, with their ids.

Every n8n is looked at by itself; one that fails does not keep the others waiting, and nothing is passed
over: what was not read this time is read the next time. What had arrived after all is known by its id.
An item that failed in a node that goes on after errors is in no failed execution and cannot be found.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.errors import SteadfastError
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.n8n.answers import N8nServer
from steadfast.webhooks.n8n.blind import tell_blind
from steadfast.webhooks.n8n.claims import N8nSource
from steadfast.webhooks.n8n.client import open_n8n
from steadfast.webhooks.n8n.cursor import read_cursor, write_cursor
from steadfast.webhooks.n8n.deadline import Deadline, end_after
from steadfast.webhooks.n8n.look import Look, NotStored, Reconciled, Store
from steadfast.webhooks.n8n.signals import record_findings
from steadfast.webhooks.n8n.unread import describe, read_unread, write_unread
from steadfast.webhooks.sources import Source

SECONDS = 120.0
"""For all n8n servers together."""

Ask = Callable[[str], N8nServer]
log = logging.getLogger(__name__)


def reconcile_sources(
    connection: Connection[Any],
    *,
    ask: Ask,
    store: Store,
    now: datetime,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> list[Reconciled]:
    """Look at every n8n that a source names, store what it could not deliver, and tell about it.

    Whatever goes wrong with one of them is in its `error` or `failure`, and the others are looked at.
    """
    deadline = end_after(seconds, clock)
    groups = [list(group) for _, group in groupby(list_sources(connection), lambda one: one.connection_id)]
    found = []
    for place, sources in enumerate(groups):
        share = deadline.share(len(groups) - place)
        try:
            found.append(_reconcile(connection, sources, share, ask=ask, store=store, now=now))
        except Exception as error:
            connection_id = sources[0].connection_id
            log.exception("What n8n %s could not deliver is not read back", connection_id)
            found.append(Reconciled(connection_id, failure=_name(error)))
    return found


def list_sources(connection: Connection[Any]) -> Iterator[N8nSource]:
    """The enabled sources that name an n8n, those of one n8n together."""
    query = load_queries("webhook_reconcile")["list_n8n_sources"]
    with translate_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query).fetchall()
    for row in rows:
        place = (row.pop("n8n_connection_id"), row.pop("n8n_workflow_id"), row.pop("n8n_node"))
        yield N8nSource(Source(**row), *place)


def _reconcile(
    connection: Connection[Any],
    sources: Sequence[N8nSource],
    deadline: Deadline,
    *,
    ask: Ask,
    store: Store,
    now: datetime,
) -> Reconciled:
    connection_id = sources[0].connection_id
    cursor, unread = read_cursor(connection, connection_id), read_unread(connection, connection_id)
    look = Look(connection_id, sources, cursor, unread, store, now)
    _run(look, ask, deadline)
    try:
        _keep(connection, look)
    except Exception as error:
        log.exception("How far n8n %s was read back is not kept", connection_id)
        return replace(look.summarise(), failure=_name(error))
    return look.summarise()


def _run(look: Look, ask: Ask, deadline: Deadline) -> None:
    try:
        with open_n8n(ask(look.connection_id), deadline) as client:
            look.run(client)
    except NotStored as error:
        log.exception("What was lost at n8n %s is not stored", look.connection_id)
        look.failure = describe(error)
    except SteadfastError as error:
        look.error = describe(error)
    except Exception as error:
        log.exception("n8n %s cannot be read", look.connection_id)
        look.error = f"The look broke off ({type(error).__name__}); the log of the task reconcile says where."


def _keep(connection: Connection[Any], look: Look) -> None:
    """All of it or nothing: what was found is told by the look that goes past it, even if one is killed."""
    reconciled = look.summarise()
    with translate_errors(), connection.transaction():
        write_cursor(
            connection,
            look.connection_id,
            look.next_cursor(),
            recovered_count=reconciled.recovered_count,
            unreadable_count=reconciled.unreadable_count,
            error=reconciled.error or reconciled.failure,
            now=look.now,
        )
        write_unread(connection, look.connection_id, look.next_unread(), look.now)
        record_findings(connection, reconciled, look.now)
        if look.is_blind:
            tell_blind(connection, look.connection_id, look.sources, look.now)


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {describe(error)}"
