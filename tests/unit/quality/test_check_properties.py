"""Whatever the rows are, the check finds those that a plain loop finds."""

import math
import re
from collections import Counter
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadfast.quality.check import check_frame

from .landed_frames import DAY, frame_of, table_of

COUNTS = st.none() | st.integers(-2, 30) | st.just(2**63 - 1)
DOUBLES = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1, 30)
AMOUNTS = st.none() | st.decimals(-(10**13), 10**13, places=6)
TEXT = (
    st.none()
    | st.sampled_from(["", "Direct", "Email", "(other)", "direct", "Our Podcast"])
    | st.text(max_size=4)
)
CHANNELS = {"Direct", "Email", "", "(other)", "(not set)", "(data not available)"}


def rows_of(table: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    kinds = {"bigint": COUNTS, "double precision": DOUBLES, "numeric(20,6)": AMOUNTS}
    columns = {
        "property_id": st.sampled_from([1, 2]),
        table.date_column: st.sampled_from([DAY, None]),
        "dim_key": st.none() | st.sampled_from([f"{number:032x}" for number in range(8)]),
    }
    columns |= dict.fromkeys(table.dimensions, TEXT) | {name: kinds[kind] for name, kind in table.metrics}
    return st.lists(st.fixed_dictionaries(columns), max_size=8)


def names_of_broken_rules(row: dict[str, Any], keys: Counter[Any], counts: set[str]) -> set[str]:
    """A loop over cells that nobody could call fast."""
    names = set()
    key = (row["property_id"], row["report_date"], row["dim_key"])
    if None in key:
        names.add("key_present")
    elif keys[key] > 1:
        names.add("key_unique")
    if any(value is None for name, value in row.items() if name not in ("report_date", "dim_key")):
        names.add("cell_readable")
    if any(row[name] is not None and row[name] < 0 for name in counts):
        names.add("count_not_negative")
    for name in ("key_events", "event_value"):
        if row.get(name) is not None and not math.isfinite(row[name]):
            names.add("number_finite")
    if row["total_revenue"] is not None and abs(row["total_revenue"]) > Decimal(10**12):
        names.add("amount_plausible")
    for part, whole in (("engaged_sessions", "sessions"), ("new_users", "total_users")):
        if None not in (row.get(part), row.get(whole)) and row[part] > row[whole] * 1.05:
            names.add("part_within_whole")
    return names | names_of_broken_text_rules(row)


def names_of_broken_text_rules(row: dict[str, Any]) -> set[str]:
    names = set()
    channel, event = row.get("session_default_channel_group"), row.get("event_name")
    if channel is not None and channel not in CHANNELS:
        names.add("channel_known")
    placeholders = {"", "(other)", "(not set)", "(data not available)"}
    if event is not None and event not in placeholders and not re.fullmatch(r"[^\W\d_]\w{0,39}", event):
        names.add("event_name")
    return names


def assert_same_rows(report: str, rows: list[dict[str, Any]]) -> None:
    table = table_of(report)
    keys = Counter((row["property_id"], row["report_date"], row["dim_key"]) for row in rows)
    counts = {name for name, kind in table.metrics if kind == "bigint" or name == "key_events"}
    expected = {
        (name, position)
        for position, row in enumerate(rows)
        for name in names_of_broken_rules(row, keys, counts)
    }
    found = check_frame(table, frame_of(table, rows))
    assert {(rule.name, position) for rule in found for position in rule.rows.tolist()} == expected
    assert all(rule.rows.tolist() == sorted(set(rule.rows.tolist())) for rule in found)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=rows_of(table_of("traffic_acquisition")))
def test_it_finds_in_traffic_what_a_loop_finds(rows: list[dict[str, Any]]) -> None:
    assert_same_rows("traffic_acquisition", rows)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=rows_of(table_of("events")))
def test_it_finds_in_events_what_a_loop_finds(rows: list[dict[str, Any]]) -> None:
    assert_same_rows("events", rows)
