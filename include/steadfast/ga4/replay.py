"""Publish landed pages again without asking GA4: after a correction of ours, or to release what was held."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from steadfast.errors import ConfigError
from steadfast.ga4.chunks import FrameCheck
from steadfast.ga4.guard import Replay
from steadfast.ga4.items import Decided, list_landed_items
from steadfast.ga4.landing import Slice
from steadfast.ga4.publish import Batch, publish_batch
from steadfast.ga4.reports import REPORTS
from steadfast.ga4.windows import DateRange
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries


def replay_pages(
    connection: Connection[Any],
    property_id: int,
    reports: Sequence[str],
    dates: DateRange,
    *,
    replay: Replay,
    check: FrameCheck,
    now: datetime,
) -> list[Decided]:
    """Publish every landed fetch that overlaps the dates; ConfigError if nothing is landed any more.

    Fetches are taken oldest first and one by one: a newer one published already makes an older one a no-op.
    """
    ordered = [name for name in REPORTS if name in reports]
    items = list_landed_items(connection, property_id, ordered, dates)
    if not items:
        raise ConfigError(
            f"No landed pages of property {property_id} between {dates.start} and {dates.end}; "
            "fetch the days again with `airflow backfill create`."
        )
    with translate_errors():
        run_id = _open_run(connection, property_id, now)
        return [
            decided
            for item in items
            if item.fetched_at
            for decided in publish_batch(
                connection,
                Batch(run_id, item.report, [Slice(item, item.fetched_at, item.row_count)], replay),
                check,
                now,
            )
        ]


def _open_run(connection: Connection[Any], property_id: int, now: datetime) -> int:
    values = {
        "dag_id": "replay",
        "airflow_run_id": f"{property_id} {now.isoformat()}",
        "kind": "manual",
        "partition_on": None,
        "now": now,
    }
    with connection.transaction():
        row = connection.execute(load_queries("ga4")["open_run"], values).fetchone()
    return int(row[0]) if row else 0
