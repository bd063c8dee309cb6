"""How sessions become leads, leads orders and orders money, and what a campaign gave back for its cost."""

from datetime import UTC, date, datetime, timedelta

import pytest

from .event_rows import add_dead_letter, add_event, add_source

TUESDAY = date(2026, 11, 17)
WEDNESDAY = date(2026, 11, 18)
GOOGLE = {"traffic_source": "google", "traffic_medium": "organic"}


@pytest.fixture
def shop(warehouse) -> int:
    """The webhook source of an entity with one GA4 property."""
    warehouse.add_entity("acme", 1001)
    return add_source(warehouse, "acme")


def pick(row, *columns):
    return tuple(row[column] for column in columns)


def at(hour):
    return datetime(2026, 11, 18, hour, tzinfo=UTC)


def see_traffic(warehouse, day, *rows, property_id=1001, **partition):
    """Publish what GA4 saw: (channel, source, medium, campaign, sessions)."""
    columns = "default_channel_group", "source", "medium", "campaign_name"
    given = [
        {**{f"session_{name}": value for name, value in zip(columns, row, strict=False)}, "sessions": row[4]}
        for row in rows
    ]
    warehouse.publish(property_id, "traffic_acquisition", day, *given, **partition)


def channels_of(warehouse, mart="leads"):
    return {row["source"]: row["channel"] for row in warehouse.read(mart)}


def test_an_event_has_the_channel_that_brought_most_sessions_from_its_source_and_medium(warehouse, shop):
    see_traffic(
        warehouse,
        TUESDAY,
        ("Organic Search", "google", "organic", "a", 60),
        ("Organic Search", "google", "organic", "b", 50),
        ("Organic Shopping", "google", "organic", "c", 90),
        ("Paid Search", "google", "cpc", "d", 500),
    )
    add_event(warehouse, shop, "lead", WEDNESDAY, **GOOGLE)
    for kind in ("order", "booking"):
        add_event(warehouse, shop, kind, WEDNESDAY, traffic_source=" Google", traffic_medium="CPC")
    assert channels_of(warehouse) == {"google": "Organic Search"}
    assert channels_of(warehouse, "orders") == channels_of(warehouse, "bookings") == {"google": "Paid Search"}


def test_an_event_without_a_medium_has_the_channel_of_its_source(warehouse, shop):
    rows = [("Paid Search", "google", "cpc", "", 70), ("Organic Search", "google", "organic", "", 30)]
    see_traffic(warehouse, TUESDAY, *rows)
    add_event(warehouse, shop, "lead", WEDNESDAY, traffic_source="google")
    assert channels_of(warehouse) == {"google": "Paid Search"}


def test_a_source_that_ga4_has_not_seen_is_other_and_none_at_all_is_unattributed(warehouse, shop):
    see_traffic(warehouse, TUESDAY, ("Organic Search", "google", "organic", "", 30))
    add_event(warehouse, shop, "lead", WEDNESDAY, traffic_source="leaflet", traffic_medium="paper")
    add_event(warehouse, shop, "lead", WEDNESDAY, traffic_source="google", traffic_medium="paper")
    add_event(warehouse, shop, "lead", WEDNESDAY, traffic_medium="organic")
    assert channels_of(warehouse) == {"leaflet": "Other", "google": "Other", "(not set)": "Unattributed"}


def test_a_channel_is_learned_from_the_newest_90_days_of_the_entity_itself(warehouse, shop):
    warehouse.add_entity("globex", 2001)
    see_traffic(warehouse, WEDNESDAY, ("Email", "google", "organic", "", 900), property_id=2001)
    see_traffic(warehouse, WEDNESDAY, ("Organic Search", "google", "organic", "", 1))
    see_traffic(warehouse, WEDNESDAY - timedelta(days=89), ("Direct", "bing", "organic", "", 1))
    see_traffic(warehouse, WEDNESDAY - timedelta(days=90), ("Referral", "google", "organic", "", 900))
    shown = {
        (row["source"], row["medium"]): row["channel"]
        for row in warehouse.read("source_channels", entity="acme")
    }
    assert shown == {
        ("google", "organic"): "Organic Search",
        ("google", "(not set)"): "Organic Search",
        ("bing", "organic"): "Direct",
        ("bing", "(not set)"): "Direct",
    }


def test_sales_of_a_day_are_one_row_where_there_is_one_currency(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY, status="won", value=5, currency="USD", **GOOGLE)
    add_event(warehouse, shop, "lead", WEDNESDAY)
    add_event(warehouse, shop, "order", WEDNESDAY, order_id="1", total=30, **GOOGLE)
    add_event(warehouse, shop, "order", WEDNESDAY, total=20)
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="1", amount=4)
    (row,) = warehouse.read("sales_daily")
    assert pick(row, "currency", "lead_count", "won_count", "order_count", "revenue") == ("EUR", 2, 1, 2, 50)
    assert pick(row, "refunded_amount", "net_revenue", "orders_per_lead", "revenue_per_order") == (
        4,
        46,
        1.0,
        25.0,
    )


def test_a_day_with_leads_only_has_a_row_without_a_currency(warehouse, shop):
    add_event(warehouse, shop, "lead", TUESDAY)
    add_event(warehouse, shop, "order", WEDNESDAY)
    shown = [
        pick(row, "day", "currency", "lead_count", "order_count", "revenue")
        for row in warehouse.read("sales_daily", "day")
    ]
    assert shown == [(TUESDAY, None, 1, 0, 0), (WEDNESDAY, "EUR", 0, 1, 10)]


def test_sales_in_two_currencies_are_two_rows_that_show_the_same_leads(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY)
    add_event(warehouse, shop, "order", WEDNESDAY, total=30)
    add_event(warehouse, shop, "order", WEDNESDAY, total=20, currency="USD")
    columns = "currency", "lead_count", "order_count", "revenue"
    rows = warehouse.read("sales_daily", "currency")
    assert [pick(row, *columns) for row in rows] == [("EUR", 1, 1, 30), ("USD", 1, 1, 20)]
    rows = warehouse.read("sales_by_channel", "currency")
    assert [pick(row, *columns) for row in rows] == [("EUR", 1, 1, 30), ("USD", 1, 1, 20)]


def test_a_channel_shows_the_way_from_sessions_to_leads_to_orders(warehouse, shop):
    rows = [("Organic Search", "google", "organic", "", 150), ("Organic Search", "bing", "organic", "", 50)]
    see_traffic(warehouse, WEDNESDAY, *rows, ("Direct", "(direct)", "(none)", "", 80))
    for _ in range(4):
        add_event(warehouse, shop, "lead", WEDNESDAY, **GOOGLE)
    add_event(warehouse, shop, "lead", WEDNESDAY, status="spam", **GOOGLE)
    add_event(warehouse, shop, "order", WEDNESDAY, total=100, **GOOGLE)
    add_event(warehouse, shop, "order", WEDNESDAY, total=5)
    direct, organic, unattributed = warehouse.read("sales_by_channel", "channel")
    assert pick(organic, "channel", "currency", "sessions", "lead_count", "order_count") == (
        "Organic Search",
        "EUR",
        200,
        4,
        1,
    )
    rates = "leads_per_session", "orders_per_lead", "orders_per_session", "revenue_per_session"
    assert pick(organic, *rates) == (0.02, 0.25, 0.005, 0.5)
    assert pick(direct, "channel", "currency", "sessions", "lead_count", "revenue") == (
        "Direct",
        None,
        80,
        0,
        0,
    )
    assert pick(unattributed, "channel", "sessions", "revenue", "orders_per_session") == (
        "Unattributed",
        0,
        5,
        None,
    )


def test_a_day_that_ga4_has_not_published_has_unknown_sessions_and_not_none(warehouse, shop):
    see_traffic(warehouse, TUESDAY, ("Organic Search", "google", "organic", "", 50))
    add_event(warehouse, shop, "order", WEDNESDAY, **GOOGLE)
    (row,) = warehouse.read("sales_by_channel", day=WEDNESDAY)
    assert pick(row, "channel", "sessions", "orders_per_session") == ("Organic Search", None, None)


def test_sales_by_channel_tell_when_either_part_may_change_or_was_held_back(warehouse, shop):
    see_traffic(warehouse, TUESDAY, ("Direct", "(direct)", "(none)", "", 50), is_provisional=True)
    warehouse.hold(1001, "traffic_acquisition", TUESDAY, "rows fell from 9 to 1")
    add_event(warehouse, shop, "order", WEDNESDAY)
    first, newest = warehouse.read("sales_by_channel", "day")
    assert pick(first, "is_provisional", "is_held", "held_reason") == (True, True, "rows fell from 9 to 1")
    assert pick(newest, "is_provisional", "is_held", "held_reason") == (True, False, None)
    assert first["last_synced_at"] == datetime(2026, 11, 18, 2, tzinfo=UTC)


def test_leads_of_a_day_are_followed_to_their_orders_on_any_day(warehouse, shop):
    for lead_id in "abcd":
        add_event(warehouse, shop, "lead", TUESDAY, lead_id=lead_id, **GOOGLE)
    add_event(warehouse, shop, "lead", TUESDAY, lead_id="e", status="spam", **GOOGLE)
    add_event(warehouse, shop, "order", TUESDAY, lead_id="a", total=100)
    add_event(warehouse, shop, "order", WEDNESDAY, lead_id="a", total=50)
    add_event(warehouse, shop, "order", TUESDAY + timedelta(days=2), lead_id="b", total=30)
    add_event(warehouse, shop, "order", WEDNESDAY, lead_id="c", total=9, status="cancelled")
    add_event(warehouse, shop, "order", WEDNESDAY, lead_id="unheard of")
    add_event(warehouse, shop, "order", WEDNESDAY, total=7)
    (row,) = warehouse.read("lead_conversion")
    assert pick(row, "day", "currency", "lead_count", "converted_count", "order_count") == (
        TUESDAY,
        "EUR",
        4,
        2,
        3,
    )
    assert pick(row, "revenue", "conversion_rate", "revenue_per_lead") == (180, 0.5, 45.0)
    assert pick(row, "days_to_order", "average_days_to_order", "median_days_to_order") == (2.0, 1.0, 1.0)


def test_leads_without_an_order_yet_are_a_row_without_a_currency(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY)
    (row,) = warehouse.read("lead_conversion")
    assert pick(row, "currency", "lead_count", "converted_count", "revenue") == (None, 1, 0, 0)
    assert pick(row, "conversion_rate", "median_days_to_order", "average_days_to_order") == (0.0, None, None)


def test_a_lead_that_orders_in_two_currencies_is_counted_once_a_row(warehouse, shop):
    add_event(warehouse, shop, "lead", TUESDAY, lead_id="a")
    add_event(warehouse, shop, "lead", TUESDAY, lead_id="b")
    for currency in ("EUR", "USD"):
        add_event(warehouse, shop, "order", WEDNESDAY, lead_id="a", currency=currency)
    rows = warehouse.read("lead_conversion", "currency")
    columns = "currency", "lead_count", "converted_count", "revenue"
    assert [pick(row, *columns) for row in rows] == [("EUR", 2, 1, 10), ("USD", 2, 1, 10)]


def test_an_order_of_the_shop_finds_the_lead_of_the_other_source_and_only_one(warehouse, shop):
    forms, fairs = (add_source(warehouse, "acme", slug) for slug in ("forms", "fairs"))
    add_event(warehouse, forms, "lead", TUESDAY, lead_id="1")
    add_event(warehouse, fairs, "lead", WEDNESDAY, lead_id="1")
    add_event(warehouse, shop, "order", WEDNESDAY, lead_id="1", total=30)
    add_event(warehouse, fairs, "order", WEDNESDAY, lead_id="1", total=4)
    shown = [pick(row, "day", "revenue") for row in warehouse.read("lead_conversion", "day")]
    assert shown == [(TUESDAY, 30), (WEDNESDAY, 4)]


def test_an_order_never_finds_a_lead_of_another_entity(warehouse, shop):
    warehouse.add_entity("globex", 2001)
    add_event(warehouse, add_source(warehouse, "globex"), "lead", TUESDAY, lead_id="1")
    add_event(warehouse, shop, "order", WEDNESDAY, lead_id="1")
    (row,) = warehouse.read("lead_conversion")
    assert pick(row, "entity", "converted_count") == ("globex", 0)


def spend(warehouse, source, **columns):
    where = {"traffic_source": "google", "traffic_medium": "cpc", "campaign": "black friday"}
    add_event(warehouse, source, "campaign_spend", WEDNESDAY, **{**where, **columns})


def test_spend_stands_beside_the_sessions_and_orders_of_its_campaign(warehouse, shop):
    rows = [
        ("Paid Search", "google", "cpc", "Black Friday", 80),
        ("Paid Search", "google", "cpc", "other", 7),
    ]
    see_traffic(warehouse, WEDNESDAY, *rows)
    spend(warehouse, shop, amount=40, clicks=100, impressions=5000)
    where = {"traffic_source": "google", "traffic_medium": "cpc", "campaign": "Black Friday"}
    add_event(warehouse, shop, "order", WEDNESDAY, total=150, **where)
    add_event(warehouse, shop, "order", WEDNESDAY, total=10, **where)
    add_event(warehouse, shop, "order", WEDNESDAY, total=99, status="cancelled", **where)
    add_event(warehouse, shop, "order", WEDNESDAY, total=99, **{**where, "campaign": "other"})
    add_event(warehouse, shop, "order", TUESDAY, total=99, **where)
    (row,) = warehouse.read("campaign_spend")
    assert pick(row, "channel", "campaign", "cost", "clicks", "impressions") == (
        "Paid Search",
        "black friday",
        40,
        100,
        5000,
    )
    assert pick(row, "sessions", "order_count", "revenue") == (80, 2, 160)
    rates = "cost_per_click", "cost_per_session", "cost_per_order", "return_on_spend"
    assert pick(row, *rates) == (0.4, 0.5, 20.0, 4.0)


def test_spend_returns_only_money_of_its_own_currency(warehouse, shop):
    spend(warehouse, shop, amount=40)
    where = {"traffic_source": "google", "traffic_medium": "cpc", "campaign": "black friday"}
    add_event(warehouse, shop, "order", WEDNESDAY, total=150, currency="USD", **where)
    (row,) = warehouse.read("campaign_spend")
    assert pick(row, "currency", "order_count", "revenue") == ("EUR", 0, 0)
    assert pick(row, "clicks", "cost_per_click", "sessions", "cost_per_session") == (0, None, None, None)


def test_spend_of_one_campaign_in_two_currencies_shows_its_sessions_in_both_rows(warehouse, shop):
    see_traffic(warehouse, WEDNESDAY, ("Paid Search", "google", "cpc", "black friday", 80))
    spend(warehouse, shop, amount=40)
    spend(warehouse, add_source(warehouse, "acme", "second"), amount=30, currency="USD")
    rows = warehouse.read("campaign_spend", "currency")
    assert [pick(row, "currency", "cost", "sessions") for row in rows] == [("EUR", 40, 80), ("USD", 30, 80)]


def buy(warehouse, source, **columns):
    where = {"traffic_source": "google", "traffic_medium": "cpc", "campaign": "black friday"}
    add_event(warehouse, source, "order", WEDNESDAY, **where, **columns)


def test_what_spend_gave_back_is_unknown_where_orders_came_in_another_currency(warehouse, shop):
    spend(warehouse, shop, amount=40)
    columns = "order_count", "other_currency_order_count", "return_on_spend", "cost_per_order"
    (row,) = warehouse.read("campaign_spend")
    assert pick(row, *columns) == (0, 0, 0.0, None)
    buy(warehouse, shop, total=10)
    (row,) = warehouse.read("campaign_spend")
    assert pick(row, *columns) == (1, 0, 0.25, 40.0)
    buy(warehouse, shop, total=900, currency="USD")
    (row,) = warehouse.read("campaign_spend")
    assert pick(row, *columns) == (1, 1, None, None)
    assert pick(row, "currency", "revenue") == ("EUR", 10)


def test_spend_of_two_sources_on_one_campaign_is_added(warehouse, shop):
    spend(warehouse, shop, amount=40)
    spend(warehouse, add_source(warehouse, "acme", "second"), amount=5)
    assert [row["cost"] for row in warehouse.read("campaign_spend")] == [45]


def test_spend_of_one_source_in_two_currencies_is_kept_in_both(warehouse, shop):
    spend(warehouse, shop, amount=40)
    spend(warehouse, shop, amount=30, currency="USD")
    rows = warehouse.read("campaign_spend", "currency")
    assert [pick(row, "currency", "cost") for row in rows] == [("EUR", 40), ("USD", 30)]


@pytest.mark.parametrize("kind", ["order", "campaign_spend"])
def test_spend_tells_that_orders_or_spend_of_its_day_could_not_be_loaded(warehouse, shop, kind):
    spend(warehouse, shop, amount=40)
    assert not warehouse.read("campaign_spend")[0]["is_held"]
    add_dead_letter(warehouse, shop, kind, at(12))
    add_dead_letter(warehouse, shop, "lead", at(12))
    (row,) = warehouse.read("campaign_spend")
    reason = f"1 of type {kind} could not be loaded: bad_field"
    assert pick(row, "is_held", "held_reason") == (True, reason)


def test_spend_is_as_fresh_as_the_newest_order_that_it_is_compared_with(warehouse, shop):
    spend(warehouse, shop, amount=40, received_at=at(10))
    buy(warehouse, shop, received_at=at(14))
    assert warehouse.read("campaign_spend")[0]["last_synced_at"] == at(14)
