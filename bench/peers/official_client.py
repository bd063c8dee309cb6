"""What one writes in an afternoon: the official client, its rows one by one, executemany into one table.

Run as a program it is the peer itself; imported it starts that program. It pages by 100,000 rows with an
explicit order, so it is complete, and replaces nothing: a second run fails on the primary key.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import grpc
import psycopg
from google.analytics.data_v1beta import BetaAnalyticsDataClient, types
from google.analytics.data_v1beta.services.beta_analytics_data.transports import (
    BetaAnalyticsDataGrpcTransport,
)
from rig.emulator import Emulator
from rig.measure import Usage, run_measured
from rig.wide_report import PROPERTY_ID, REPORT, Content, Days, all_fields

NAME = "naive_client"
VERSIONS = "google-analytics-data 0.23.x, psycopg executemany"
PAGE_ROWS = 100_000
CREATE = """
    CREATE TABLE IF NOT EXISTS naive_wide (
        property_id bigint, report_date date, d1 text, d2 text, d3 text, d4 text, d5 text,
        sessions bigint, engaged_sessions bigint, total_users bigint, new_users bigint, event_count bigint,
        total_revenue numeric,
        PRIMARY KEY (property_id, report_date, d1, d2, d3, d4, d5)
    )
"""
INSERT = """
    INSERT INTO naive_wide VALUES (%s, to_date(%s, 'YYYYMMDD'), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def load(emulator: Emulator, url: str, days: Days, scratch: Path) -> Usage:
    """Read the days into an empty table."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS naive_wide")
    command = [sys.executable, __file__, emulator.target, url, *days.names]
    usage = run_measured([command], scratch / "naive.log", scratch / "naive.out")
    return replace(usage, work_s=float((scratch / "naive.out").read_text()))


def read_content(url: str, scratch: Path) -> Content:
    """What stands in the table."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*), sum(event_count) FROM naive_wide").fetchone()
    return Content(int(row[0]), int(row[1])) if row else Content(0, 0)


def read_rows(client: BetaAnalyticsDataClient, first: str, last: str) -> Iterator[tuple]:
    """Every row of the report, with the values as the client gives them."""
    offset, total = 0, 1
    by_name = types.OrderBy.DimensionOrderBy
    while offset < total:
        request = types.RunReportRequest(
            property=f"properties/{PROPERTY_ID}",
            dimensions=[types.Dimension(name=name) for name in all_fields()],
            metrics=[types.Metric(name=name) for name in REPORT.metrics],
            date_ranges=[types.DateRange(start_date=first, end_date=last)],
            order_bys=[types.OrderBy(dimension=by_name(dimension_name=name)) for name in all_fields()],
            offset=offset,
            limit=PAGE_ROWS,
        )
        response = client.run_report(request, timeout=180)
        for row in response.rows:
            dimensions = [one.value for one in row.dimension_values]
            numbers = [float(one.value) if "." in one.value else int(one.value) for one in row.metric_values]
            yield (PROPERTY_ID, *dimensions, *numbers)
        total, offset = response.row_count, offset + PAGE_ROWS


def main() -> None:
    """Create the table and fill it in one transaction; print the seconds that took."""
    began = time.monotonic()
    target, url, first, last = sys.argv[1:]
    channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", -1)])
    client = BetaAnalyticsDataClient(transport=BetaAnalyticsDataGrpcTransport(channel=channel))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(CREATE)
        cursor.executemany(INSERT, read_rows(client, first, last))
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()
