"""What becomes of a page: types, keys, dates, damages and digests."""

from datetime import date
from decimal import Decimal
from hashlib import sha256

import pyarrow as pa
import pytest
from google.analytics.data_v1beta import types

from steadfast.errors import ConfigError, SourceUnavailable
from steadfast.ga4 import decode
from steadfast.ga4.damage import Damage
from steadfast.ga4.decode import read_head
from steadfast.ga4.reports import REPORTS, Grain, Report

from .pages import decode_page

GOOD = (("20260301", "example.com", "/"), ("12", "1.5", "9.99"))


def test_it_types_every_column_as_the_fact_table_does(build_page, pages_report):
    table = decode_page(build_page(pages_report, [GOOD]), pages_report).table
    assert table.schema == pa.schema(
        {
            "report_date": pa.date32(),
            "dim_key": pa.string(),
            "host_name": pa.string(),
            "page_path": pa.string(),
            "sessions": pa.int64(),
            "key_events": pa.float64(),
            "total_revenue": pa.decimal128(20, 6),
        }
    )
    row = table.to_pylist()[0]
    assert row["report_date"] == date(2026, 3, 1)
    assert (row["host_name"], row["page_path"]) == ("example.com", "/")
    assert (row["sessions"], row["key_events"], row["total_revenue"]) == (12, 1.5, Decimal("9.99"))


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_report_can_be_decoded(report, build_page):
    text = {Grain.DAY: "20260302", Grain.WEEK: "202610", Grain.MONTH: "202603"}[report.grain]
    row = ((text, *report.dimensions), ["7"] * len(report.metrics))
    page = decode_page(build_page(report, [row]), report)
    first = date(2026, 3, 1) if report.grain is Grain.MONTH else date(2026, 3, 2)
    assert page.table["report_date"].to_pylist() == [first]
    assert page.table.column_names == [
        "report_date",
        "dim_key",
        *report.columns,
        *(name for name, _ in report.measures),
    ]
    assert page.damages == ()


def test_the_key_is_the_hash_of_the_dimensions_as_google_encodes_them(build_page, pages_report):
    values = ("example.com", "/préfix/" + "x" * 10_000)
    page = decode_page(build_page(pages_report, [(("20260301", *values), GOOD[1])]), pages_report)
    cells = [types.DimensionValue.serialize(types.DimensionValue(value=value)) for value in values]
    row = types.Row.pb()()
    for cell in cells:
        row.dimension_values.add().MergeFromString(cell)
    assert page.table["dim_key"].to_pylist() == [sha256(row.SerializeToString()).hexdigest()[:32]]


def test_the_key_does_not_depend_on_the_date_or_on_how_an_empty_text_is_written(build_page, pages_report):
    explicit = build_page(pages_report, [(("20260301", "", "/a"), GOOD[1])])
    left_out = explicit.replace(b"\x0a\x02\x0a\x00", b"\x0a\x00").replace(b"\x1a\x2b", b"\x1a\x29")
    other_day = build_page(pages_report, [(("20260302", "", "/a"), GOOD[1])])
    assert len(left_out) == len(explicit) - 2
    tables = [decode_page(body, pages_report).table for body in (explicit, left_out, other_day)]
    assert len({table["dim_key"][0].as_py() for table in tables}) == 1
    assert [table["host_name"][0].as_py() for table in tables] == ["", "", ""]


def test_values_that_shift_between_dimensions_have_different_keys(build_page, pages_report):
    rows = [(("20260301", *pair), GOOD[1]) for pair in (("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""))]
    keys = decode_page(build_page(pages_report, rows), pages_report).table["dim_key"].to_pylist()
    assert len(set(keys)) == 4


def test_texts_keep_what_ga4_means_by_them(build_page, pages_report):
    texts = ["", "(not set)", "(other)", "(data not available)", '"; DROP TABLE x; --', "a\tb\n\\N", "日本"]
    rows = [(("20260301", "h", text), GOOD[1]) for text in texts]
    page = decode_page(build_page(pages_report, rows), pages_report)
    assert page.table["page_path"].to_pylist() == texts
    assert page.damages == ()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/a\x00b", "/a\ufffdb"),
        (b"/\xed\xa0\x80", "/\ufffd\ufffd\ufffd"),
        (b"/\xff\x00", "/\ufffd\ufffd"),
    ],
)
def test_texts_that_postgresql_cannot_hold_are_repaired_and_keep_their_own_key(
    raw, text, build_page, pages_report
):
    rows = [(("20260301", "h", value), GOOD[1]) for value in ("/good", raw, text)]
    page = decode_page(build_page(pages_report, rows), pages_report)
    assert page.table["page_path"].to_pylist() == ["/good", text, text]
    assert page.damages == (Damage(1, "page_path", text, "text_repaired"),)
    assert len(set(page.table["dim_key"].to_pylist())) == 3


@pytest.mark.parametrize(
    ("grain", "text", "rule"),
    [
        (Grain.DAY, "(other)", "date_is_other"),
        (Grain.DAY, "", "date_not_a_date"),
        (Grain.DAY, "20260230", "date_not_a_date"),
        (Grain.DAY, "2026-3-1", "date_not_a_date"),
        (Grain.DAY, "(not set)", "date_not_a_date"),
        (Grain.DAY, b"\xff\xfe202603", "date_not_a_date"),
        (Grain.WEEK, "202654", "date_not_a_date"),
        (Grain.WEEK, "202600", "date_not_a_date"),
        (Grain.WEEK, "(other)", "date_is_other"),
        (Grain.MONTH, "202613", "date_not_a_date"),
        (Grain.MONTH, "000001", "date_not_a_date"),
    ],
)
def test_a_row_without_a_date_is_kept_and_told(grain, text, rule, build_page):
    report = Report("users", (), ("sessions",), grain=grain)
    page = decode_page(build_page(report, [((text,), ("5",))]), report)
    assert page.table["report_date"].to_pylist() == [None]
    assert page.table["sessions"].to_pylist() == [5]
    assert [(damage.row, damage.column, damage.rule) for damage in page.damages] == [(0, "report_date", rule)]
    assert page.date_digests == {}


def test_a_week_is_named_by_its_monday_across_the_year(build_page):
    report = REPORTS["weekly_users"]
    rows = [((week,), ["1"] * 4) for week in ("202053", "202101", "202601")]
    dates = decode_page(build_page(report, rows), report).table["report_date"].to_pylist()
    assert dates == [date(2020, 12, 28), date(2021, 1, 4), date(2025, 12, 29)]


def test_the_digest_of_a_date_changes_with_its_rows_only(build_page, pages_report):
    first = [(("20260301", "h", f"/{n}"), GOOD[1]) for n in range(3)]
    second = [(("20260302", "h", "/"), GOOD[1])]
    changed = [(("20260302", "h", "/"), ("13", "1.5", "9.99"))]
    before = decode_page(build_page(pages_report, first + second), pages_report).date_digests
    after = decode_page(build_page(pages_report, first + changed, row_count=9), pages_report).date_digests
    assert list(before) == [date(2026, 3, 1), date(2026, 3, 2)]
    assert before[date(2026, 3, 1)] == after[date(2026, 3, 1)]
    assert before[date(2026, 3, 2)] != after[date(2026, 3, 2)]
    assert {len(digest) for digest in before.values()} == {32}


def test_rows_of_a_date_that_are_not_together_still_make_one_digest(build_page, pages_report):
    one, two = (("20260301", "h", "/1"), GOOD[1]), (("20260301", "h", "/2"), GOOD[1])
    other = (("20260302", "h", "/"), GOOD[1])
    apart = decode_page(build_page(pages_report, [one, other, two]), pages_report).date_digests
    together = decode_page(build_page(pages_report, [one, two, other]), pages_report).date_digests
    assert apart == together


def test_an_empty_report_is_a_table_without_rows(build_page, pages_report):
    page = decode_page(build_page(pages_report, []), pages_report)
    assert page.table.num_rows == 0
    assert page.table.schema == decode_page(build_page(pages_report, [GOOD]), pages_report).table.schema
    assert (page.head.row_count, page.damages, page.date_digests) == (0, (), {})


def test_the_head_tells_what_google_says_about_the_numbers(pages_report):
    pb = types.RunReportResponse.pb()()
    pb.row_count = 370_000
    pb.metadata.time_zone, pb.metadata.currency_code = "Asia/Tokyo", "JPY"
    pb.metadata.data_loss_from_other_row = True
    pb.metadata.subject_to_thresholding = True
    pb.metadata.sampling_metadatas.add(samples_read_count=1, sampling_space_size=2)
    pb.metadata.schema_restriction_response.active_metric_restrictions.add(metric_name="totalRevenue")
    pb.metadata.data_truncation_reasons.add()
    pb.metadata.empty_reason = "because"
    pb.property_quota.tokens_per_day.consumed = 3
    pb.property_quota.tokens_per_day.remaining = 199_000
    head = read_head(pb.SerializeToString())
    assert (head.row_count, head.page_rows, head.time_zone, head.currency) == (
        370_000,
        0,
        "Asia/Tokyo",
        "JPY",
    )
    assert head.flags == ("other_row", "sampled", "thresholded", "metric_restricted", "truncated")
    assert head.empty_reason == "because"
    assert head.quota is not None
    assert (head.quota.tokens, head.quota.tokens_per_day.remaining) == (3, 199_000)
    assert head.quota.tokens_per_hour is None


def test_a_page_that_says_nothing_special_has_no_flags(build_page, pages_report):
    head = read_head(build_page(pages_report, [GOOD, GOOD], row_count=5))
    assert (head.flags, head.quota, head.page_rows, head.row_count) == ((), None, 2, 5)
    assert head.dimension_names == ("date", "hostName", "pagePath")
    assert head.metric_names == pages_report.metrics
    assert set(head.metric_types) == {"TYPE_INTEGER"}


def test_it_refuses_the_answer_to_another_question(build_page, pages_report):
    other = Report("pages", ("hostName", "landingPage"), pages_report.metrics)
    with pytest.raises(ConfigError, match=r"landingPage.*report pages asks for date, hostName, pagePath"):
        decode_page(build_page(other, [GOOD]), pages_report)


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><html lang=en>", b'{"rows": []}', b"\x1a\xff\xff"])
def test_it_refuses_what_is_not_an_answer(body, pages_report):
    with pytest.raises(SourceUnavailable, match="GA4 sent"):
        decode_page(body, pages_report)


def test_it_refuses_a_page_that_was_cut_off(build_page, pages_report):
    body = build_page(pages_report, [GOOD] * 3)
    with pytest.raises(SourceUnavailable, match="cut off"):
        read_head(body[:-1])


def test_it_refuses_a_row_with_a_cell_too_few(build_page, pages_report):
    body = build_page(pages_report, [GOOD, (("20260301", "h"), GOOD[1])])
    with pytest.raises(SourceUnavailable, match="Row 1 of the page has 2 dimensions and 3 metrics"):
        decode_page(body, pages_report)


@pytest.mark.parametrize("part_rows", [1, 2, 3, 7, 100])
def test_a_page_in_parts_is_the_same_page(part_rows, build_page, pages_report):
    rows = [
        ((f"2026030{1 + n // 4}", "h", f"/{n}"), (str(n), "1.5", "x" if n == 5 else "9.99"))
        for n in range(10)
    ]
    body = build_page(pages_report, rows)
    whole, parts = decode_page(body, pages_report), list(decode.decode_page(body, pages_report, part_rows))
    assert pa.concat_tables([part.table for part in parts]) == whole.table
    assert [part.head.page_rows for part in parts] == [part.table.num_rows for part in parts]
    assert [len(part.damages) for part in parts].count(1) == len(whole.damages) == 1
    assert parts[-1].date_digests == whole.date_digests
