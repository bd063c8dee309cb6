"""Notices an n8n whose API key sees nothing: it answers without an error, and what was lost there stays lost.

The key of a member of n8n sees only that member's workflows. Told once a month, if events came from there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.n8n.claims import N8nSource
from steadfast.webhooks.watching.telling import record_signals, write_signal

BLIND = "n8n_shows_nothing"
LATELY = timedelta(days=1)


def tell_blind(
    connection: Connection[Any], connection_id: str, sources: Sequence[N8nSource], now: datetime
) -> None:
    """Record that an n8n shows nothing although the events of these sources arrive."""
    bound = {
        "source_ids": [one.source.source_id for one in sources],
        "entity_ids": [one.source.entity_id for one in sources],
        "since": now - LATELY,
    }
    with translate_errors(), connection.transaction():
        row = connection.execute(load_queries("webhook_reconcile")["has_events_lately"], bound).fetchone()
    if row is None or not row[0]:
        return
    names = ", ".join(sorted(one.name for one in sources))
    signal = write_signal(
        BLIND,
        f"{connection_id}:{now:%Y-%m}",
        f"n8n (Connection {connection_id}) shows none of its executions and workflows",
        {
            "What is affected": f"Events of {names} arrive. What n8n could not deliver is not read back.",
            "Why": "The API key is most likely that of a member of n8n: it sees that member's own workflows "
            "only. Or it may read no workflows, and n8n has not kept one execution.",
            "What to do": "Make an API key as the owner or an admin of n8n, and put it into the Connection "
            "as its password. In the workflow's settings, let n8n save failed production executions.",
        },
    )
    record_signals(connection, [signal], now)
