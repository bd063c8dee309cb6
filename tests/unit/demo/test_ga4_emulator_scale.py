"""The made-up properties: as many as asked for, as wide and as huge as the benchmarks need."""

from datetime import date, timedelta

import pytest

from steadfast.demo.ga4.encode import RESPONSE
from steadfast.demo.ga4.shape import Shape
from steadfast.demo.ga4.synthetic import HUGE_ID, WIDE_ID
from steadfast.ga4.reports import REPORTS, Grain

NEWEST = date(2026, 11, 22)
SIX = ("sessions", "activeUsers", "newUsers", "eventCount", "keyEvents", "totalRevenue")


def test_made_up_properties_are_numbered_and_have_rows_of_their_own_days(emulator):
    numbers = [one.property_id for one in emulator.world.list_properties()]
    assert numbers[28:] == [str(900_000_001 + place) for place in range(20)]
    rows = emulator.world.rows("900000020", ["date", "pagePath"], ["sessions"], NEWEST, NEWEST)
    assert len(rows) == 12


@pytest.mark.parametrize("name", [name for name, report in REPORTS.items() if report.grain is Grain.DAY])
@pytest.mark.parametrize("property_id", ["900000001", WIDE_ID])
def test_every_report_has_sorted_distinct_keys_and_the_same_totals(emulator, name, property_id):
    report, day = REPORTS[name], date(2026, 11, 12)
    shape = Shape(("date", *report.dimensions), report.metrics)
    rows = emulator.world.answer(property_id, shape, day, day).rows
    assert rows == sorted(rows)
    assert len({key for key, _ in rows}) == len(rows)
    [(_, totals)] = emulator.world.rows(property_id, ["date"], report.metrics, day, day)
    for place, total in enumerate(totals):
        assert sum(float(numbers[place]) for _, numbers in rows) == pytest.approx(float(total))


def test_the_wide_property_has_five_thousand_rows_a_day(emulator):
    shape = Shape(("date", "hostName", "pagePath", "country", "sessionSource", "city"), SIX)
    answer = emulator.world.answer(WIDE_ID, shape, NEWEST - timedelta(days=39), NEWEST)
    assert len(answer) == 200_000
    assert len(RESPONSE.FromString(answer.buffer).rows) == 200_000


def test_the_huge_property_has_a_million_rows_yesterday(emulator, grpc_client, build):
    request = build("date pagePath", "sessions", "2daysAgo", property_id=HUGE_ID, by="date pagePath")
    request.limit = 2
    request.offset = 369_999
    answer = grpc_client.run_report(request)
    assert answer.row_count == 1_370_000
    assert [row.dimension_values[0].value for row in answer.rows] == ["20261121", "20261122"]
