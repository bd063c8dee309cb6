"""Metric texts: what counts as a number, and what is told about the rest."""

from decimal import ROUND_HALF_EVEN, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfast.ga4.measures import cast_numbers

COUNT, DOUBLE, MONEY = "bigint", "double precision", "numeric(20,6)"


def cast(texts, sql_type):
    cells = pa.array([text.encode() if isinstance(text, str) else text for text in texts], pa.binary())
    numbers, damages = cast_numbers(cells, "m", sql_type)
    return numbers.to_pylist(), [(damage.row, damage.text, damage.rule) for damage in damages]


@pytest.mark.parametrize(
    ("sql_type", "text", "number"),
    [
        (COUNT, "0", 0),
        (COUNT, "-5", -5),
        (COUNT, "12.0", 12),
        (COUNT, "1.2E4", 12000),
        (COUNT, "0E-7", 0),
        (COUNT, "9223372036854775807", 2**63 - 1),
        (COUNT, "-9223372036854775808", -(2**63)),
        (DOUBLE, "5.0000000000000009", 5.000000000000001),
        (DOUBLE, "1.2E4", 12000.0),
        (DOUBLE, "123456789012345678901234567890", 1.2345678901234568e29),
        (MONEY, "5.0000000000000009", Decimal("5.000000")),
        (MONEY, "0.0000005", Decimal("0.000000")),
        (MONEY, "0.0000015", Decimal("0.000002")),
        (MONEY, "0.00012345678901234567", Decimal("0.000123")),
        (MONEY, "1.2E4", Decimal("12000.000000")),
        (MONEY, "1E-400", Decimal("0.000000")),
        (MONEY, "-99999999999999.999999", Decimal("-99999999999999.999999")),
    ],
)
def test_it_reads_the_numbers_ga4_writes(sql_type, text, number):
    assert cast([text], sql_type) == ([number], [])
    assert cast(["7", text, "8"], sql_type)[0] == [7, number, 8]


@pytest.mark.parametrize("sql_type", [COUNT, DOUBLE, MONEY])
@pytest.mark.parametrize(
    "text",
    ["", "abc", "NaN", "Infinity", "-inf", "0x10", "1_000", " 1", "1 ", "1,5", "٣", "-", ".", "1e", "1\n"],
)
def test_what_is_not_a_number_is_null_and_told(text, sql_type):
    assert cast(["1", text, "2"], sql_type) == ([1, None, 2], [(1, text, "not_a_number")])


@pytest.mark.parametrize(
    ("sql_type", "text", "rule"),
    [
        (COUNT, "12.5", "not_whole"),
        (COUNT, "1E-3", "not_whole"),
        (COUNT, "9223372036854775808", "out_of_range"),
        (COUNT, "-9223372036854775809", "out_of_range"),
        (COUNT, "1E999999999", "out_of_range"),
        (COUNT, "9" * 300, "out_of_range"),
        (DOUBLE, "1E999", "out_of_range"),
        (DOUBLE, "1E999999999", "out_of_range"),
        (MONEY, "100000000000000", "out_of_range"),
        (MONEY, "99999999999999.9999999", "out_of_range"),
        (MONEY, "1E999999999", "out_of_range"),
        (COUNT, "9" * 10_000, "not_a_number"),
    ],
)
def test_a_number_its_column_cannot_hold_is_null_and_told(sql_type, text, rule):
    numbers, damages = cast(["1", text], sql_type)
    assert numbers == [1, None]
    assert damages == [(1, text[:200], rule)]


def test_bytes_that_are_no_text_are_told_readably():
    assert cast([b"\xff1\x00"], COUNT) == ([None], [(0, "\ufffd1\ufffd", "not_a_number")])


def test_an_empty_column_stays_empty():
    assert cast([], MONEY) == ([], [])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=20))
def test_doubles_survive_to_the_last_digit(values):
    assert cast([repr(value) for value in values], DOUBLE) == (values, [])


@given(st.lists(st.floats(min_value=-1e12, max_value=1e12), max_size=20))
def test_money_is_rounded_half_to_even_from_its_exact_text(values):
    expected = [Decimal(repr(v)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN) for v in values]
    assert cast([repr(value) for value in values], MONEY) == (expected, [])


@given(st.lists(st.integers(-(2**70), 2**70) | st.text(max_size=6), max_size=20))
def test_a_column_is_read_as_its_cells_would_be_alone(values):
    texts = [str(value) for value in values]
    for sql_type in (COUNT, DOUBLE, MONEY):
        together, damages = cast(texts, sql_type)
        alone = [cast([text], sql_type) for text in texts]
        assert together == [numbers[0] for numbers, _ in alone]
        assert [rule for *_, rule in damages] == [found[0][2] for _, found in alone if found]
