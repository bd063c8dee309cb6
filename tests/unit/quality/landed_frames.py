"""Frames as the GA4 decoder lands them, clean until a test plants a fault."""

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from steadfast.ga4.reports import REPORTS
from steadfast.warehouse.facts import FactTable

DAY = date(2026, 11, 22)
ARROW = {"bigint": pa.int64(), "double precision": pa.float64(), "numeric(20,6)": pa.decimal128(20, 6)}
TEXTS = {
    "country_id": "DE",
    "device_category": "desktop",
    "event_name": "page_view",
    "first_user_default_channel_group": "Direct",
    "platform": "web",
    "session_default_channel_group": "Organic Search",
}
SMALL = {"engaged_sessions", "new_users", "active_users"}


def table_of(report: str) -> FactTable:
    """The fact table of a shipped report."""
    return REPORTS[report].table


def clean_rows(table: FactTable, count: int) -> list[dict[str, Any]]:
    """`count` rows that break no rule."""
    return [clean_row(table, number) for number in range(count)]


def clean_row(table: FactTable, number: int) -> dict[str, Any]:
    """One row that breaks no rule; its key follows from `number`."""
    row: dict[str, Any] = {"property_id": 395450427, table.date_column: DAY, "dim_key": f"{number:032x}"}
    row |= {name: TEXTS.get(name, f"value {number}") for name in table.dimensions}
    for name, kind in table.metrics:
        row[name] = Decimal("12.5") if kind.startswith("numeric") else 3 if name in SMALL else 10
    return row


def frame_of(table: FactTable, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows with the types that the decoder gives them."""
    kinds = {"property_id": pa.int64(), table.date_column: pa.date32(), "dim_key": pa.string()}
    kinds |= dict.fromkeys(table.dimensions, pa.string()) | {
        name: ARROW[kind] for name, kind in table.metrics
    }
    arrays = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    return pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)
