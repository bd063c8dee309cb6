"""The fast and the plain way through the rows give the same cells, whatever the page."""

from hashlib import sha256

import pytest
from google.analytics.data_v1beta import types
from hypothesis import given
from hypothesis import strategies as st

from steadfast.errors import SourceUnavailable
from steadfast.ga4.plain_rows import read_cells
from steadfast.ga4.reports import Report
from steadfast.ga4.wire import UnexpectedLayout, encode_dimensions, frame_page, locate_cells

from .pages import decode_page
from .pages import encode_field as field

REPORT = Report("pages", ("hostName",), ("sessions",))
TEXTS = st.text(max_size=300) | st.sampled_from(["", "(other)", "x" * 127, "x" * 128, "y" * 20_000])


def assert_equal(fast, plain):
    assert [column.to_pylist() for column in fast.columns] == [c.to_pylist() for c in plain.columns]
    assert fast.keys.to_pylist() == plain.keys.to_pylist()


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), max_size=8))
def test_pages_of_the_real_message_read_the_same_either_way(rows):
    message = types.RunReportResponse.pb()()
    message.kind = "analyticsData#runReport"
    for day, dimension, first, second in rows:
        row = message.rows.add()
        for text in (day, dimension):
            row.dimension_values.add().value = text
        row.metric_values.add().value = first
        row.metric_values.add().value = second
    frame = frame_page(message.SerializeToString())
    fast = locate_cells(frame, 2, 2)
    assert_equal(fast, read_cells(frame, 2, 2))
    assert [column.to_pylist() for column in fast.columns] == [
        [row[index].encode() for row in rows] for index in range(4)
    ]
    keys = [sha256(encode_dimensions([row[1].encode()])).hexdigest()[:32] for row in rows]
    assert fast.keys.to_pylist() == keys


@given(st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=9), st.booleans()), max_size=8))
def test_bytes_that_are_no_text_and_texts_left_out_read_the_same_either_way(rows):
    def cell(tag, inner, raw, is_left_out):
        return field(tag, b"" if is_left_out and not raw else field(inner, raw))

    body = b"\x38\x01" + b"".join(
        field(
            0x1A, cell(0x0A, 0x0A, b"20260301", False) + cell(0x0A, 0x0A, d, out) + cell(0x12, 0x22, m, out)
        )
        for d, m, out in rows
    )
    frame = frame_page(body)
    assert_equal(locate_cells(frame, 2, 1), read_cells(frame, 2, 1))


DATE = field(0x0A, field(0x0A, b"20260301"))
HOST = field(0x0A, field(0x0A, b"h"))
COUNT = field(0x12, field(0x22, b"5"))
UNKNOWN = field(0x7A, b"new")


@pytest.mark.parametrize(
    "row",
    [
        COUNT + DATE + HOST,
        DATE + COUNT + HOST,
        DATE + HOST + COUNT + UNKNOWN,
        UNKNOWN + DATE + HOST + COUNT,
        DATE + field(0x0A, UNKNOWN + field(0x0A, b"h")) + COUNT,
        DATE + field(0x0A, field(0x0A, b"old") + field(0x0A, b"h")) + COUNT,
        DATE + b"\x0a\x84\x00\x0a\x81\x00h" + COUNT,
        DATE + b"\x0a\x83\x80\x80\x80\x00\x0a\x01h" + COUNT,
    ],
    ids=[
        "metric first",
        "mixed",
        "new at end",
        "new first",
        "new in cell",
        "twice",
        "long varint",
        "five bytes",
    ],
)
def test_a_row_written_another_way_is_read_the_plain_way(row, build_page):
    usual = DATE + HOST + COUNT
    frame = frame_page(build_page(REPORT, []) + field(0x1A, usual) + field(0x1A, row))
    with pytest.raises(UnexpectedLayout):
        locate_cells(frame, 2, 1)
    page = decode_page(frame.body, REPORT)
    assert page.table["host_name"].to_pylist() == ["h", "h"]
    assert page.table["sessions"].to_pylist() == [5, 5]
    assert len(set(page.table["dim_key"].to_pylist())) == 1


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_damage_to_a_page_is_more_than_an_error(noise, at):
    rows = b"".join(field(0x1A, DATE + field(0x0A, field(0x0A, bytes([65 + n]))) + COUNT) for n in range(9))
    body = rows[:at] + noise + rows[at + len(noise) :]
    try:
        frame = frame_page(body)
        plain = read_cells(frame, 2, 1)
    except SourceUnavailable:
        return
    try:
        assert_equal(locate_cells(frame, 2, 1), plain)
    except UnexpectedLayout:
        return


def test_fields_between_the_rows_are_found(build_page):
    empty = build_page(REPORT, [])
    row = field(0x1A, DATE + HOST + COUNT)
    page = decode_page(row + empty + row + field(0x7A, b"a field of the future") + row, REPORT)
    assert page.table.num_rows == 3
    assert page.head.time_zone == "America/New_York"


def test_more_rows_than_a_batch_keep_their_order(build_page):
    rows = [(("20260301", f"host-{n}" if n % 3 else ""), (str(n),)) for n in range(45_000)]
    frame = frame_page(build_page(REPORT, rows))
    assert_equal(locate_cells(frame, 2, 1), read_cells(frame, 2, 1))
    assert decode_page(frame.body, REPORT).table["sessions"].to_pylist() == list(range(45_000))
