"""Checks of landed frames: which rows, how bad, and in which words."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from steadfast.ga4.reports import REPORTS
from steadfast.quality.check import check_frame
from steadfast.quality.rule import BrokenRule
from steadfast.quality.schemas import rules_of

from .landed_frames import clean_row, clean_rows, frame_of, table_of

INFINITE = float("inf")

# report, column, value, rule, severity
FAULTS = [
    ("daily_totals", "report_date", None, "key_present", "critical"),
    ("daily_totals", "dim_key", None, "key_present", "critical"),
    ("traffic_acquisition", "sessions", None, "cell_readable", "critical"),
    ("traffic_acquisition", "session_source", None, "cell_readable", "critical"),
    ("traffic_acquisition", "event_count", -1, "count_not_negative", "critical"),
    ("daily_totals", "key_events", -0.5, "count_not_negative", "critical"),
    ("daily_totals", "key_events", INFINITE, "number_finite", "critical"),
    ("daily_totals", "key_events", float("nan"), "number_finite", "critical"),
    ("events", "event_value", -INFINITE, "number_finite", "critical"),
    ("daily_totals", "total_revenue", Decimal("1000000000000.01"), "amount_plausible", "warning"),
    ("daily_totals", "total_revenue", Decimal("-1000000000000.01"), "amount_plausible", "warning"),
    ("pages", "page_path", "/" + "é" * 16_384, "text_not_too_long", "warning"),
    ("daily_totals", "engaged_sessions", 11, "part_within_whole", "warning"),
    ("daily_totals", "new_users", 11, "part_within_whole", "warning"),
    ("daily_totals", "active_users", 11, "part_within_whole", "warning"),
    ("tech", "device_category", "toaster", "device_known", "warning"),
    ("tech", "platform", "Web", "platform_known", "warning"),
    ("traffic_acquisition", "session_default_channel_group", "Our Podcast", "channel_known", "warning"),
    ("user_acquisition", "first_user_default_channel_group", "organic search", "channel_known", "warning"),
    ("geo", "country_id", "Germany", "country_code", "warning"),
    ("geo", "country_id", "de", "country_code", "warning"),
    ("geo", "country_id", "DE\n", "country_code", "warning"),
    ("events", "event_name", "a" * 41, "event_name", "warning"),
    ("events", "event_name", "buy now", "event_name", "warning"),
    ("events", "event_name", "1st_visit", "event_name", "warning"),
]

# report, column, value
ODD_BUT_VALID = [
    ("daily_totals", "sessions", 2**63 - 1),
    ("daily_totals", "key_events", 0.0),
    ("events", "event_value", -3.5),
    ("daily_totals", "total_revenue", Decimal("-12.000001")),
    ("daily_totals", "total_revenue", Decimal(10**12)),
    ("pages", "page_path", "é" * 16_384),
    ("pages", "page_path", ""),
    ("tech", "device_category", "(other)"),
    ("tech", "device_category", "smart tv"),
    ("tech", "platform", "(not set)"),
    ("traffic_acquisition", "session_default_channel_group", "(data not available)"),
    ("geo", "country_id", "ZZ"),
    ("geo", "country_id", "(not set)"),
    ("events", "event_name", "größe_gewählt"),
    ("events", "event_name", "a" * 40),
    ("events", "event_name", "(other)"),
]


def check_with(report: str, column: str, value: object, row: int = 2) -> list[BrokenRule]:
    table = table_of(report)
    rows = clean_rows(table, 5)
    rows[row][column] = value
    return check_frame(table, frame_of(table, rows))


@pytest.mark.parametrize("report", sorted(REPORTS))
@pytest.mark.parametrize("count", [0, 1, 40])
def test_it_is_silent_about_clean_frames(report: str, count: int) -> None:
    table = table_of(report)
    assert check_frame(table, frame_of(table, clean_rows(table, count))) == []


@pytest.mark.parametrize(("report", "column", "value", "name", "severity"), FAULTS)
def test_it_finds_a_planted_fault(report: str, column: str, value: object, name: str, severity: str) -> None:
    broken = check_with(report, column, value)
    assert [(rule.name, rule.severity, rule.rows.tolist()) for rule in broken] == [(name, severity, [2])]
    assert broken[0].column in (column, "")
    assert column in broken[0].detail


def test_every_rule_of_every_table_has_a_planted_fault() -> None:
    shipped = {rule.name for report in REPORTS for rule in rules_of(table_of(report))}
    assert shipped == {name for _, _, _, name, _ in FAULTS} | {"key_unique"}


@pytest.mark.parametrize(("report", "column", "value"), ODD_BUT_VALID)
def test_it_accepts_what_ga4_really_sends(report: str, column: str, value: object) -> None:
    assert check_with(report, column, value) == []


def test_it_allows_an_estimated_part_a_few_percent_above_its_whole() -> None:
    table = table_of("daily_totals")
    estimates = [(1040, 1000), (1050, 1000), (1051, 1000), (1, 0)]
    parts = [{"engaged_sessions": part, "sessions": whole} for part, whole in estimates]
    rows = [clean_row(table, number) | part for number, part in enumerate(parts)]
    (broken,) = check_frame(table, frame_of(table, rows))
    assert broken.rows.tolist() == [2, 3]
    assert broken.column == ""


def test_it_names_every_row_of_a_repeated_key() -> None:
    table = table_of("events")
    rows = clean_rows(table, 6)
    rows[4]["dim_key"] = rows[0]["dim_key"]
    rows[5] |= {"dim_key": rows[0]["dim_key"], "report_date": date(2026, 11, 21)}
    (broken,) = check_frame(table, frame_of(table, rows))
    assert (broken.name, broken.severity, broken.rows.tolist()) == ("key_unique", "critical", [0, 4])


def test_rows_without_a_date_are_not_called_duplicates_of_each_other() -> None:
    table = table_of("events")
    rows = [row | {"report_date": None, "dim_key": "f" * 32} for row in clean_rows(table, 2)]
    assert [rule.name for rule in check_frame(table, frame_of(table, rows))] == ["key_present"]


def test_it_counts_positions_and_not_index_labels() -> None:
    table = table_of("events")
    rows = clean_rows(table, 4)
    rows[1]["event_count"] = -1
    frame = frame_of(table, rows)
    frame.index = pd.Index([0, 0, 1, 1])
    (broken,) = check_frame(table, frame)
    assert broken.rows.tolist() == [1]
    assert frame.index.tolist() == [0, 0, 1, 1]


def test_one_row_can_break_several_rules() -> None:
    table = table_of("tech")
    rows = clean_rows(table, 3)
    rows[1] |= {"device_category": "toaster", "sessions": -1, "active_users": None}
    found = {
        (rule.name, rule.column): rule.rows.tolist() for rule in check_frame(table, frame_of(table, rows))
    }
    assert found == {
        ("cell_readable", "active_users"): [1],
        ("count_not_negative", "sessions"): [1],
        ("device_known", "device_category"): [1],
        ("part_within_whole", ""): [1],
    }


def test_the_sentence_names_the_values_the_rows_and_what_is_valid() -> None:
    (broken,) = check_with("daily_totals", "event_count", -17)
    assert broken.detail == "event_count is -17 in 1 row; 0 or more is valid."
    assert broken.remedy.endswith(".")


def test_the_sentence_stays_short_whatever_the_values_are() -> None:
    table = table_of("tech")
    rows = [
        row | {"device_category": f"{number}" * 8_000} for number, row in enumerate(clean_rows(table, 50))
    ]
    (broken,) = check_frame(table, frame_of(table, rows))
    assert len(broken.rows) == 50
    assert len(broken.detail) < 710
    assert "or other values in 50 rows" in broken.detail


def test_a_column_that_is_missing_holds_every_row_back() -> None:
    table = table_of("events")
    (broken,) = check_frame(table, frame_of(table, clean_rows(table, 3)).drop(columns=["event_count"]))
    assert (broken.name, broken.severity, broken.column) == ("column_present", "critical", "event_count")
    assert broken.rows.tolist() == [0, 1, 2]


def test_a_column_of_the_wrong_type_is_reported_with_both_types() -> None:
    table = table_of("events")
    frame = frame_of(table, clean_rows(table, 3)).assign(event_count=["1", "2", "-3"])
    (broken,) = check_frame(table, frame)
    assert (broken.name, broken.severity, broken.column) == ("column_type", "critical", "event_count")
    assert broken.detail == "event_count has the type str; int64[pyarrow] is valid."


def test_it_takes_the_same_values_in_the_types_that_pandas_would_choose() -> None:
    table = table_of("events")
    frame = frame_of(table, clean_rows(table, 3)).assign(event_count=[1, -4, 0])
    frame = frame.astype({"event_name": "str", "property_id": "int64"})
    (broken,) = check_frame(table, frame)
    assert (broken.name, broken.rows.tolist()) == ("count_not_negative", [1])


def test_a_number_with_a_fraction_is_not_taken_for_a_count() -> None:
    table = table_of("events")
    frame = frame_of(table, clean_rows(table, 2)).assign(event_count=[1.0, 1.5])
    assert [rule.name for rule in check_frame(table, frame)] == ["column_type"]
