"""What a dashboard reads, with numbers worked out by hand."""

from datetime import UTC, date, datetime, timedelta

import pytest

WEDNESDAY = date(2026, 11, 18)


def publish_days(warehouse, property_id, sessions_by_day, **partition):
    for day, sessions in sessions_by_day.items():
        warehouse.publish(property_id, "daily_totals", day, {"sessions": sessions}, **partition)


def read_day(warehouse, day=WEDNESDAY):
    rows = warehouse.read("daily_overview", day=day)
    assert len(rows) == 1
    return rows[0]


def test_the_overview_shows_a_day_with_its_rate_and_totals(warehouse):
    warehouse.add_entity("acme", 1001)
    row = {
        "sessions": 200,
        "engaged_sessions": 150,
        "screen_page_views": 640,
        "event_count": 1800,
        "key_events": 12.5,
        "user_engagement_duration": 9000,
        "active_users": 160,
        "total_users": 170,
        "new_users": 90,
        "total_revenue": "1234.560000",
    }
    warehouse.publish(1001, "daily_totals", WEDNESDAY, row)
    shown = read_day(warehouse)
    assert (shown["entity"], shown["sessions"], shown["engagement_rate"]) == ("acme", 200, 0.75)
    assert (shown["page_views"], shown["event_count"], shown["key_events"]) == (640, 1800, 12.5)
    assert (shown["active_users"], shown["total_users"], shown["new_users"]) == (160, 170, 90)
    assert (str(shown["revenue"]), shown["currency"]) == ("1234.560000", "EUR")
    assert (shown["engagement_seconds"], shown["is_user_count_additive"]) == (9000, True)


def test_the_overview_compares_with_the_day_the_week_and_the_same_weekday_a_year_before(warehouse):
    warehouse.add_entity("acme", 1001)
    a_year_before = date(2025, 11, 19)
    assert a_year_before.strftime("%A") == WEDNESDAY.strftime("%A")
    publish_days(
        warehouse,
        1001,
        {
            WEDNESDAY: 120,
            WEDNESDAY - timedelta(days=1): 100,
            WEDNESDAY - timedelta(days=7): 160,
            a_year_before: 60,
            date(2025, 11, 18): 999,
        },
    )
    shown = read_day(warehouse)
    assert shown["sessions_day_before"] == 100
    assert shown["sessions_week_before"] == 160
    assert shown["sessions_year_before"] == 60
    assert shown["sessions_day_change"] == pytest.approx(0.2)
    assert shown["sessions_week_change"] == pytest.approx(-0.25)
    assert shown["sessions_year_change"] == pytest.approx(1.0)


def test_a_comparison_across_a_gap_is_null_and_never_zero(warehouse):
    warehouse.add_entity("acme", 1001)
    publish_days(warehouse, 1001, {WEDNESDAY: 120, WEDNESDAY - timedelta(days=2): 100})
    shown = read_day(warehouse)
    assert shown["sessions_day_before"] is None
    assert shown["sessions_day_change"] is None
    assert shown["sessions_year_before"] is None
    assert [row["day"] for row in warehouse.read("daily_overview", "day")] == [date(2026, 11, 16), WEDNESDAY]


def test_a_published_day_without_visits_is_zero_and_its_ratios_are_null(warehouse):
    warehouse.add_entity("acme", 1001)
    warehouse.publish(1001, "daily_totals", WEDNESDAY - timedelta(days=1))
    publish_days(warehouse, 1001, {WEDNESDAY: 120})
    empty = read_day(warehouse, WEDNESDAY - timedelta(days=1))
    assert (empty["sessions"], empty["active_users"], empty["engagement_rate"]) == (0, 0, None)
    shown = read_day(warehouse)
    assert (shown["sessions_day_before"], shown["sessions_day_change"]) == (0, None)


def test_the_overview_compares_revenue_key_events_and_users_too(warehouse):
    warehouse.add_entity("acme", 1001)
    before = {"total_revenue": 80, "key_events": 4, "active_users": 50}
    warehouse.publish(1001, "daily_totals", WEDNESDAY - timedelta(days=7), before)
    warehouse.publish(
        1001, "daily_totals", WEDNESDAY, {"total_revenue": 100, "key_events": 5, "active_users": 40}
    )
    shown = read_day(warehouse)
    assert (shown["revenue_week_before"], shown["revenue_week_change"]) == (80, 0.25)
    assert (shown["key_events_week_before"], shown["key_events_week_change"]) == (4, 0.25)
    assert (shown["active_users_week_before"], shown["active_users_week_change"]) == (50, pytest.approx(-0.2))


def test_properties_are_summed_except_their_users(warehouse):
    warehouse.add_entity("acme", 1001, 1002)
    for property_id, sessions in ((1001, 100), (1002, 40)):
        row = {"sessions": sessions, "engaged_sessions": 21, "active_users": 10, "total_revenue": 5}
        warehouse.publish(property_id, "daily_totals", WEDNESDAY, row)
    shown = read_day(warehouse)
    assert (shown["sessions"], shown["engagement_rate"], shown["revenue"]) == (140, 0.3, 10)
    assert (shown["active_users"], shown["total_users"], shown["new_users"]) == (None, None, None)
    assert not shown["is_user_count_additive"]
    assert [row["active_users"] for row in warehouse.read("users_daily", "property_id")] == [10, 10]


def test_a_comparison_covers_the_same_properties_or_none(warehouse):
    warehouse.add_entity("acme", 1001, 1002)
    tuesday, week_before = WEDNESDAY - timedelta(days=1), WEDNESDAY - timedelta(days=7)
    publish_days(warehouse, 1001, {WEDNESDAY: 100, tuesday: 90, week_before: 80})
    publish_days(warehouse, 1002, {WEDNESDAY: 10, week_before: 8})
    shown = read_day(warehouse)
    assert shown["sessions_day_before"] is None
    assert shown["sessions_week_before"] == 88
    yesterday = read_day(warehouse, tuesday)
    assert (yesterday["sessions"], yesterday["property_count"], yesterday["expected_property_count"]) == (
        90,
        1,
        2,
    )


def test_amounts_in_two_currencies_are_never_added(warehouse):
    warehouse.add_entity("acme", 1001, 1002)
    warehouse.publish(1001, "daily_totals", WEDNESDAY, {"sessions": 4, "total_revenue": 10})
    warehouse.publish(1002, "daily_totals", WEDNESDAY, {"sessions": 5, "total_revenue": 20}, currency="USD")
    shown = read_day(warehouse)
    assert (shown["sessions"], shown["revenue"], shown["currency"]) == (9, None, None)
    rows = warehouse.read("revenue", "currency")
    assert [(row["currency"], row["revenue"], row["revenue_per_session"]) for row in rows] == [
        ("EUR", 10, 2.5),
        ("USD", 20, 4.0),
    ]


def test_revenue_is_not_compared_across_a_change_of_currency(warehouse):
    warehouse.add_entity("acme", 1001)
    warehouse.publish(
        1001,
        "daily_totals",
        WEDNESDAY - timedelta(days=1),
        {"sessions": 3, "total_revenue": 10},
        currency="USD",
    )
    warehouse.publish(1001, "daily_totals", WEDNESDAY, {"sessions": 6, "total_revenue": 20})
    shown = read_day(warehouse)
    assert (shown["revenue"], shown["revenue_day_before"], shown["revenue_day_change"]) == (20, None, None)
    assert shown["sessions_day_before"] == 3


def test_a_row_tells_its_newest_day_and_whether_it_may_still_change(warehouse):
    warehouse.add_entity("acme", 1001)
    publish_days(warehouse, 1001, {WEDNESDAY - timedelta(days=4): 10})
    publish_days(warehouse, 1001, {WEDNESDAY: 20}, is_provisional=True)
    settled, provisional = warehouse.read("daily_overview", "day")
    assert (settled["as_of"], settled["is_provisional"]) == (WEDNESDAY, False)
    assert (provisional["as_of"], provisional["is_provisional"]) == (WEDNESDAY, True)
    assert provisional["last_synced_at"] == datetime(2026, 11, 19, 2, tzinfo=UTC)


def test_as_of_is_that_of_the_report_and_of_the_entity(warehouse):
    warehouse.add_entity("acme", 1001)
    warehouse.add_entity("globex", 2001)
    warehouse.publish(1001, "pages", WEDNESDAY - timedelta(days=2), {"page_path": "/"})
    publish_days(warehouse, 1001, {WEDNESDAY: 10})
    warehouse.publish(2001, "pages", WEDNESDAY, {"page_path": "/"})
    shown = {row["entity"]: row["as_of"] for row in warehouse.read("pages")}
    assert shown == {"acme": WEDNESDAY - timedelta(days=2), "globex": WEDNESDAY}


def test_a_held_fetch_keeps_the_last_good_numbers_and_says_why(warehouse):
    warehouse.add_entity("acme", 1001)
    publish_days(warehouse, 1001, {WEDNESDAY: 100})
    warehouse.hold(1001, "daily_totals", WEDNESDAY, "rows fell from 1 to 0")
    shown = read_day(warehouse)
    assert (shown["sessions"], shown["is_held"], shown["held_reason"]) == (100, True, "rows fell from 1 to 0")
    assert shown["last_synced_at"] == datetime(2026, 11, 19, 2, tzinfo=UTC)


def test_a_day_held_before_it_was_ever_published_is_a_gap_that_freshness_explains(warehouse):
    warehouse.add_entity("acme", 1001)
    publish_days(warehouse, 1001, {WEDNESDAY - timedelta(days=1): 100})
    warehouse.hold(1001, "daily_totals", WEDNESDAY, "sessions are negative")
    assert [row["as_of"] for row in warehouse.read("daily_overview")] == [WEDNESDAY - timedelta(days=1)]
    (freshness,) = warehouse.read("data_freshness")
    assert freshness["as_of"] == WEDNESDAY - timedelta(days=1)
    assert (freshness["is_held"], freshness["held_count"], freshness["newest_held"]) == (True, 1, WEDNESDAY)
    assert freshness["held_reason"] == "sessions are negative"


def test_freshness_counts_the_holes_between_the_first_and_the_newest_day(warehouse):
    warehouse.add_entity("acme", 1001)
    publish_days(warehouse, 1001, {date(2026, 11, 10): 1, date(2026, 11, 11): 1})
    publish_days(warehouse, 1001, {date(2026, 11, 14): 1, date(2026, 11, 15): 1}, is_provisional=True)
    (freshness,) = warehouse.read("data_freshness")
    assert (freshness["first_period"], freshness["as_of"]) == (date(2026, 11, 10), date(2026, 11, 15))
    assert (freshness["published_count"], freshness["hole_count"]) == (4, 2)
    assert (freshness["is_provisional"], freshness["provisional_from"]) == (True, date(2026, 11, 14))
    assert freshness["last_synced_at"] == datetime(2026, 11, 16, 2, tzinfo=UTC)


def test_freshness_counts_holes_of_weeks_in_weeks_and_of_months_in_months(warehouse):
    warehouse.add_entity("acme", 1001)
    for monday in (date(2026, 10, 5), date(2026, 10, 12), date(2026, 11, 2)):
        warehouse.publish(1001, "weekly_users", monday)
    for first in (date(2025, 11, 1), date(2026, 10, 1)):
        warehouse.publish(1001, "monthly_users", first)
    holes = {row["report"]: row["hole_count"] for row in warehouse.read("data_freshness")}
    assert holes == {"weekly_users": 2, "monthly_users": 10}


def test_channels_are_the_sum_of_their_campaigns(warehouse):
    warehouse.add_entity("acme", 1001)
    rows = [
        ("Organic Search", "google", 100, 60, 5, 0),
        ("Organic Search", "bing", 20, 0, 1, 50),
        ("Direct", "(direct)", 30, 15, 0, 0),
    ]
    warehouse.publish(
        1001,
        "traffic_acquisition",
        WEDNESDAY,
        *(
            {
                "session_default_channel_group": channel,
                "session_source": source,
                "sessions": sessions,
                "engaged_sessions": engaged,
                "key_events": key_events,
                "total_revenue": revenue,
            }
            for channel, source, sessions, engaged, key_events, revenue in rows
        ),
    )
    assert len(warehouse.read("campaigns")) == 3
    direct, organic = warehouse.read("channels", "channel")
    assert (organic["sessions"], organic["engagement_rate"]) == (120, 0.5)
    assert organic["key_events_per_session"] == pytest.approx(0.05)
    assert (direct["sessions"], direct["engagement_rate"]) == (30, 0.5)


def test_key_events_are_the_events_a_business_counts_as_success(warehouse):
    warehouse.add_entity("acme", 1001)
    warehouse.publish(
        1001,
        "events",
        WEDNESDAY,
        {"event_name": "page_view", "event_count": 640},
        {"event_name": "purchase", "event_count": 7, "key_events": 6, "total_revenue": 50},
    )
    (brought,) = warehouse.read("key_events")
    assert (brought["event_name"], brought["key_events"], brought["revenue"]) == ("purchase", 6, 50)
    assert brought["revenue_per_key_event"] == pytest.approx(50 / 6)


def test_pages_show_the_time_spent_for_each_user(warehouse):
    warehouse.add_entity("acme", 1001)
    row = {"page_path": "/", "screen_page_views": 50, "active_users": 8, "user_engagement_duration": 100}
    warehouse.publish(1001, "pages", WEDNESDAY, {**row, "host_name": "acme.example"})
    (shown,) = warehouse.read("pages")
    assert (shown["host_name"], shown["page_path"], shown["page_views"]) == ("acme.example", "/", 50)
    assert shown["engagement_seconds_per_user"] == 12.5


def test_weeks_and_months_show_what_ga4_counted_and_not_a_sum_of_days(warehouse):
    warehouse.add_entity("acme", 1001)
    for offset in range(7):
        day = date(2026, 11, 9) + timedelta(days=offset)
        warehouse.publish(1001, "daily_totals", day, {"active_users": 10})
    warehouse.publish(1001, "weekly_users", date(2026, 11, 9), {"active_users": 35})
    warehouse.publish(1001, "monthly_users", date(2026, 10, 1), {"active_users": 90})
    (week,) = warehouse.read("users_weekly")
    (month,) = warehouse.read("users_monthly")
    assert (week["week_start"], week["active_users"]) == (date(2026, 11, 9), 35)
    assert (month["month_start"], month["active_users"]) == (date(2026, 10, 1), 90)


def test_every_mart_of_a_report_shows_its_rows_once(two_entities):
    marts = (
        "daily_overview revenue daily_totals channels campaigns user_acquisition key_events landing_pages "
        "pages geography technology events items users_daily users_weekly users_monthly properties"
    )
    for mart in marts.split():
        assert [row["entity"] for row in two_entities.read(mart, "entity")] == ["acme", "globex"], mart


def test_the_pipeline_reads_every_entity(two_entities):
    with two_entities.database.connect_pipeline() as pipeline:
        seen = pipeline.execute("SELECT entity FROM marts.daily_overview ORDER BY entity").fetchall()
    assert seen == [("acme",), ("globex",)]
