"""What the emulated API answers when nothing goes wrong."""

from collections import Counter
from datetime import date, timedelta

import pytest
from google.analytics.data_v1beta.types import (
    BatchRunReportsRequest,
    CheckCompatibilityRequest,
    DateRange,
    Dimension,
    GetMetadataRequest,
    Metric,
    MetricType,
    OrderBy,
)

from steadfast.demo.ga4.sample import list_properties, read_daily_sessions
from steadfast.demo.ga4.validate import read_query
from steadfast.ga4.reports import REPORTS, Grain

AGENCY = "395450427"
MONDAY = date(2026, 11, 9)
BREAKDOWNS = [
    "sessionDefaultChannelGroup sessionSource sessionMedium sessionCampaignName",
    "firstUserSource",
    "hostName pagePath",
    "hostName landingPage",
    "countryId country region city",
    "platform deviceCategory operatingSystem browser",
    "deviceCategory sessionDefaultChannelGroup",
    "eventName",
    "hour",
]


def test_it_serves_the_real_sessions_of_every_property_moved_by_whole_weeks(emulator):
    shift = emulator.state.shift
    assert shift.days % 7 == 0
    for info in list_properties():
        served = {
            key[0]: int(numbers[0])
            for key, numbers in emulator.world.rows(
                info.property_id, ["date"], ["sessions"], MONDAY, MONDAY + timedelta(days=6)
            )
        }
        real = {
            (day + shift).strftime("%Y%m%d"): sessions
            for (number, day), sessions in read_daily_sessions().items()
            if number == info.property_id and MONDAY <= day + shift <= MONDAY + timedelta(days=6)
        }
        assert served == real


@pytest.mark.parametrize("dimensions", BREAKDOWNS)
def test_the_sessions_of_a_breakdown_add_up_to_the_real_total(client, emulator, build, read, dimensions):
    day = MONDAY.isoformat()
    rows = read(client.run_report(build(f"date {dimensions}", "sessions totalUsers", day, day)))
    total = read(client.run_report(build("date", "sessions totalUsers", day, day)))
    assert sum(int(numbers[0]) for _, numbers in rows) == int(total[0][1][0])
    assert sum(int(numbers[1]) for _, numbers in rows) > int(total[0][1][1])
    assert len({key for key, _ in rows}) == len(rows) > 3


def test_additive_metrics_agree_between_reports(emulator, grpc_client, build, read):
    metrics = "newUsers engagedSessions screenPageViews eventCount keyEvents totalRevenue"
    day = MONDAY.isoformat()
    total = read(grpc_client.run_report(build("date", metrics, day, day)))[0][1]
    for dimensions in ("sessionSource", "pagePath", "landingPage", "city", "browser deviceCategory"):
        rows = read(grpc_client.run_report(build(f"date {dimensions}", metrics, day, day)))
        for place, expected in enumerate(total):
            assert sum(float(numbers[place]) for _, numbers in rows) == pytest.approx(float(expected))


def test_event_counts_name_the_views_and_the_sessions(emulator, grpc_client, build, read):
    day = MONDAY.isoformat()
    events = dict(read(grpc_client.run_report(build("eventName", "eventCount", day, day))))
    totals = read(grpc_client.run_report(build("", "screenPageViews sessions newUsers eventCount", day, day)))
    views, sessions, new, count = totals[0][1]
    assert (events[("page_view",)], events[("session_start",)], events[("first_visit",)]) == (
        (views,),
        (sessions,),
        (new,),
    )
    assert sum(int(numbers[0]) for numbers in events.values()) == int(count)


def test_no_row_has_more_engaged_sessions_than_sessions_nor_more_active_than_all_users(emulator):
    metrics = ["sessions", "engagedSessions", "activeUsers", "newUsers", "totalUsers"]
    for info in list_properties():
        for _, numbers in emulator.world.rows(info.property_id, ["city"], metrics, MONDAY, MONDAY):
            sessions, engaged, active, new, everyone = map(int, numbers)
            assert engaged <= sessions
            assert max(active, new) <= everyone


def test_device_shares_keep_the_small_differences_of_the_real_ones(emulator):
    [(_, (total,))] = emulator.world.rows("393249053", ["date"], ["sessions"], MONDAY, MONDAY)
    rows = emulator.world.rows("393249053", ["deviceCategory"], ["sessions"], MONDAY, MONDAY)
    share = sum(int(numbers[0]) for _, numbers in rows) / int(total)
    assert 0.75 < share < 1.1
    assert share != 1


@pytest.mark.parametrize("name", REPORTS)
def test_both_transports_give_every_report_we_keep(emulator, grpc_client, rest_client, build, read, name):
    report = REPORTS[name]
    dimensions = " ".join((report.grain.value, *report.dimensions))
    start = "14daysAgo" if report.grain is Grain.DAY else "60daysAgo"
    request = build(dimensions, " ".join(report.metrics), start, "yesterday", by=dimensions)
    grpc_answer, rest_answer = grpc_client.run_report(request), rest_client.run_report(request)
    rows = read(grpc_answer)
    assert rows == sorted(rows) == read(rest_answer)
    assert len(rows) == grpc_answer.row_count == rest_answer.row_count > 1
    yesterday = emulator.world.find_yesterday(AGENCY)
    first = yesterday - timedelta(days=13 if report.grain is Grain.DAY else 59)
    assert rows == emulator.world.rows(AGENCY, dimensions.split(), report.metrics, first, yesterday)


def test_headers_name_the_fields_and_the_types(client, emulator, build):
    answer = client.run_report(build("date", "sessions keyEvents totalRevenue userEngagementDuration"))
    assert [one.name for one in answer.dimension_headers] == ["date"]
    assert [one.type_ for one in answer.metric_headers] == [
        MetricType.TYPE_INTEGER,
        MetricType.TYPE_FLOAT,
        MetricType.TYPE_CURRENCY,
        MetricType.TYPE_SECONDS,
    ]
    assert answer.metadata.currency_code == "USD"
    assert answer.metadata.time_zone == "America/New_York"
    assert answer.kind == "analyticsData#runReport"


def test_an_empty_report_has_neither_rows_nor_a_row_count(client, emulator, build):
    answer = client.run_report(build("date", "sessions", "2020-01-01", "2020-01-31"))
    assert not answer.rows
    assert not type(answer).pb(answer).row_count


def test_a_small_property_has_days_without_rows(emulator, grpc_client, build, read):
    rows = read(grpc_client.run_report(build("date", "sessions", "95daysAgo", property_id="395460734")))
    assert 0 < len(rows) < 20


def test_yesterday_is_the_propertys_own(emulator, clock, grpc_client, build, read):
    clock.now = clock.now.replace(hour=2)
    by_property = {
        number: read(grpc_client.run_report(build("date", "sessions", property_id=number)))[0][0][0]
        for number in (AGENCY, "393249053")
    }
    assert by_property == {AGENCY: "20261121", "393249053": "20261122"}
    assert not read(grpc_client.run_report(build("date", "sessions", "today", "today")))


def test_pages_are_cut_by_offset_and_limit_and_tell_the_whole_count(client, emulator, build, read):
    by = "date pagePath"
    whole = client.run_report(build(by, "sessions", "6daysAgo", by=by))
    pages = [
        client.run_report(build(by, "sessions", "6daysAgo", by=by, offset=offset, limit=50))
        for offset in range(0, whole.row_count, 50)
    ]
    assert [row for page in pages for row in read(page)] == read(whole)
    assert {page.row_count for page in pages} == {whole.row_count}


def test_the_default_page_is_ten_thousand_rows_and_the_largest_a_quarter_of_a_million(emulator, build, read):
    requests = [build("date", "sessions", limit=limit)._pb for limit in (0, 70, 300_000)]
    assert [read_query(one, date(2026, 11, 23)).limit for one in requests] == [10_000, 70, 250_000]


def test_without_an_order_the_largest_come_first_and_ties_fall_differently_each_time(
    emulator, grpc_client, build, read
):
    request = build("date hour city", "sessions", "3daysAgo", property_id="395437327")
    answers = [read(grpc_client.run_report(request)) for _ in range(2)]
    for rows in answers:
        numbers = [int(texts[0]) for _, texts in rows]
        assert numbers == sorted(numbers, reverse=True)
    assert Counter(answers[0]) == Counter(answers[1])
    assert answers[0] != answers[1]


def test_orders_by_metric_and_by_dimension_downwards_are_kept(client, emulator, build, read):
    orders = [
        OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name="date"), desc=True),
        OrderBy(metric=OrderBy.MetricOrderBy(metric_name="sessions")),
    ]
    rows = read(client.run_report(build("date city", "sessions", "3daysAgo", order_bys=orders)))
    assert rows == sorted(rows, key=lambda row: (-int(row[0][0]), int(row[1][0])))


def test_several_ranges_are_told_apart_by_one_more_dimension(client, emulator, build, read):
    ranges = [
        DateRange(start_date="7daysAgo", end_date="7daysAgo", name="before"),
        DateRange(start_date="yesterday", end_date="yesterday"),
    ]
    answer = client.run_report(build("country", "sessions", date_ranges=ranges))
    assert [one.name for one in answer.dimension_headers] == ["country", "dateRange"]
    assert {key[1] for key, _ in read(answer)} == {"before", "date_range_1"}


def test_users_of_a_week_are_fewer_than_the_sum_of_its_days(emulator):
    week = (MONDAY, MONDAY + timedelta(days=6))
    [(key, (users, sessions))] = emulator.world.rows(
        AGENCY, ["isoYearIsoWeek"], ["totalUsers", "sessions"], *week
    )
    days = emulator.world.rows(AGENCY, ["date"], ["totalUsers", "sessions"], *week)
    assert key == ("202646",)
    assert int(sessions) == sum(int(numbers[1]) for _, numbers in days)
    assert max(int(numbers[0]) for _, numbers in days) < int(users) < sum(int(n[0]) for _, n in days)


def test_deprecated_names_still_answer(client, emulator, build, read):
    answer = client.run_report(build("sessionDefaultChannelGrouping", "conversions"))
    assert answer.dimension_headers[0].name == "sessionDefaultChannelGrouping"
    assert ("Direct",) in dict(read(answer))


def test_rows_of_zeros_come_only_when_asked_for(client, emulator, build, read):
    day = MONDAY.isoformat()
    without = read(client.run_report(build("eventName", "totalRevenue", day, day)))
    with_zeros = read(client.run_report(build("eventName", "totalRevenue", day, day, keep_empty_rows=True)))
    assert [key for key, _ in without] == [("purchase",)]
    assert (("click",), ("0",)) in with_zeros


def test_the_newest_day_is_incomplete_grows_and_settles_after_two_days(emulator, clock):
    day = date(2026, 11, 22)
    names = ["date", "platform", "deviceCategory", "operatingSystem", "browser"]
    seen = []
    for hours in (0, 20, 10, 30):
        clock.advance(hours=hours)
        rows = emulator.world.rows(AGENCY, names, ["sessions"], day, day)
        seen.append((sum(int(numbers[0]) for _, numbers in rows), rows))
    totals = [total for total, _ in seen]
    assert totals == sorted(totals)
    assert totals[0] > 0.9 * totals[-1] > 0
    assert any("(other)" in key for key, _ in seen[0][1])
    assert not any("(other)" in key for key, _ in seen[-1][1])
    clock.advance(days=30)
    assert emulator.world.rows(AGENCY, names, ["sessions"], day, day) == seen[-1][1]


def test_other_rows_are_flagged_in_the_metadata(client, emulator, build):
    tech = "date deviceCategory operatingSystem browser"
    assert client.run_report(build(tech, "sessions")).metadata.data_loss_from_other_row
    settled = client.run_report(build(tech, "sessions", "9daysAgo", "9daysAgo"))
    assert not settled.metadata.data_loss_from_other_row


def test_a_later_day_does_not_change_the_days_before_it(emulator, clock):
    asked = (["date", "pagePath"], ["screenPageViews"], MONDAY, MONDAY + timedelta(days=3))
    before = emulator.world.rows(AGENCY, *asked)
    clock.advance(days=17)
    assert emulator.world.rows(AGENCY, *asked) == before
    newest = emulator.world.find_yesterday(AGENCY)
    assert emulator.world.rows(AGENCY, ["date"], ["sessions"], newest, newest)


def test_metadata_lists_the_fields_with_their_types(client, emulator):
    answer = client.get_metadata(GetMetadataRequest(name=f"properties/{AGENCY}/metadata"))
    assert {"date", "pagePath", "itemName"} <= {one.api_name for one in answer.dimensions}
    revenue = next(one for one in answer.metrics if one.api_name == "totalRevenue")
    assert revenue.type_ == MetricType.TYPE_CURRENCY
    assert answer.name == f"properties/{AGENCY}/metadata"


def test_compatibility_names_the_fields_that_clash(client, emulator):
    answer = client.check_compatibility(
        CheckCompatibilityRequest(
            property=f"properties/{AGENCY}",
            dimensions=[Dimension(name="itemName")],
            metrics=[Metric(name="sessions")],
            compatibility_filter=2,
        )
    )
    assert "itemName" in {one.dimension_metadata.api_name for one in answer.dimension_compatibilities}
    assert "sessions" in {one.metric_metadata.api_name for one in answer.metric_compatibilities}


def test_a_batch_answers_each_of_its_reports(client, emulator, build):
    reports = [build("date", "sessions"), build("country", "activeUsers")]
    answer = client.batch_run_reports(
        BatchRunReportsRequest(property=f"properties/{AGENCY}", requests=reports)
    )
    assert [one.dimension_headers[0].name for one in answer.reports] == ["date", "country"]
    assert answer.kind == "analyticsData#batchRunReports"


def test_calls_are_logged_with_what_they_asked_for(emulator, grpc_client, build):
    grpc_client.run_report(build("date country", "sessions", "3daysAgo", offset=5, limit=7))
    last = emulator.requests[-1]
    assert (last.property, last.method, last.offset, last.limit) == (AGENCY, "RunReport", 5, 7)
    assert (last.dimensions, last.metrics) == (("date", "country"), ("sessions",))
    assert last.dates == (("3daysAgo", "yesterday"),)
    assert last.at == emulator.world.now
