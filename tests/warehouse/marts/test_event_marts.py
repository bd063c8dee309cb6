"""What a dashboard reads of webhook events, one kind of event at a time, with numbers worked out by hand."""

from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg import sql

from steadfast.warehouse.event_tables import COMMON_COLUMNS
from steadfast.warehouse.locations import sql_directory
from steadfast.webhooks.contract import LARGEST_COUNT, Kind
from steadfast.webhooks.events import EVENT_TABLES, EVENTS

from .event_rows import add_event, add_source

TUESDAY = date(2026, 11, 17)
WEDNESDAY = date(2026, 11, 18)


@pytest.fixture
def shop(warehouse) -> int:
    """The webhook source of an entity with one GA4 property."""
    warehouse.add_entity("acme", 1001)
    return add_source(warehouse, "acme")


def pick(row, *columns):
    return tuple(row[column] for column in columns)


def at(hour, day=WEDNESDAY):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def test_leads_are_counted_by_what_became_of_them_and_spam_apart(warehouse, shop):
    for status in ("new", "new", "qualified", "won", "lost", "spam"):
        add_event(warehouse, shop, "lead", WEDNESDAY, status=status, value=20, currency="EUR")
    (row,) = warehouse.read("leads")
    assert pick(row, "lead_count", "qualified_count", "won_count", "lost_count", "spam_count") == (
        5,
        2,
        1,
        1,
        1,
    )
    assert pick(row, "lead_value", "won_value") == (100, 20)
    assert pick(row, "qualified_rate", "win_rate") == (0.4, 0.2)


def test_a_day_of_nothing_but_spam_has_no_leads_and_no_rates(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY, status="spam")
    (row,) = warehouse.read("leads")
    assert pick(row, "lead_count", "spam_count", "qualified_rate", "win_rate") == (0, 1, None, None)


def test_values_of_leads_in_two_currencies_are_never_added(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY, value=20, currency="EUR")
    add_event(warehouse, shop, "lead", WEDNESDAY, value=30, currency="USD")
    add_event(warehouse, shop, "lead", WEDNESDAY)
    shown = [pick(row, "currency", "lead_count", "lead_value") for row in warehouse.read("leads", "currency")]
    assert shown == [("EUR", 1, 20), ("USD", 1, 30), (None, 1, None)]


def test_orders_are_those_that_are_not_cancelled(warehouse, shop):
    for status, total in (("placed", 10), ("paid", 20), ("fulfilled", 30), ("cancelled", 400)):
        parts = {"tax": 2, "shipping": 1, "discount": 3, "item_count": 4}
        add_event(warehouse, shop, "order", WEDNESDAY, status=status, total=total, **parts)
    (row,) = warehouse.read("orders")
    assert pick(row, "order_count", "cancelled_count", "revenue", "item_count") == (3, 1, 60, 12)
    assert pick(row, "tax", "shipping", "discount") == (6, 3, 9)
    assert pick(row, "revenue_per_order", "cancellation_rate") == (20.0, 0.25)


def test_orders_in_two_currencies_are_two_rows(warehouse, shop):
    add_event(warehouse, shop, "order", WEDNESDAY, total=10, currency="EUR")
    add_event(warehouse, shop, "order", WEDNESDAY, total=15, currency="USD")
    shown = [pick(row, "currency", "order_count", "revenue") for row in warehouse.read("orders", "currency")]
    assert shown == [("EUR", 1, 10), ("USD", 1, 15)]


def test_a_refund_lowers_the_day_of_its_order_and_stands_on_its_own_day(warehouse, shop):
    add_event(warehouse, shop, "order", TUESDAY, order_id="1", total=100)
    add_event(warehouse, shop, "order", TUESDAY, order_id="2", total=50)
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="1", amount=30, reason="too small")
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="1", amount=10, reason="too small")
    (order,) = warehouse.read("orders")
    assert pick(order, "day", "order_count", "revenue") == (TUESDAY, 2, 150)
    assert pick(order, "refunded_amount", "net_revenue") == (40, 110)
    assert order["last_synced_at"] == at(12) + timedelta(minutes=1)
    (refund,) = warehouse.read("refunds")
    assert pick(refund, "day", "reason", "refund_count", "refunded_amount") == (WEDNESDAY, "too small", 2, 40)
    assert pick(refund, "amount_per_refund", "unknown_order_count") == (20.0, 0)


def test_a_refund_of_a_cancelled_order_or_in_another_currency_lowers_no_revenue(warehouse, shop):
    add_event(warehouse, shop, "order", TUESDAY, order_id="1", total=100)
    add_event(warehouse, shop, "order", TUESDAY, order_id="2", total=50, status="cancelled")
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="1", amount=30, currency="USD")
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="2", amount=50)
    (order,) = warehouse.read("orders")
    assert pick(order, "revenue", "refunded_amount", "net_revenue") == (100, 0, 100)
    shown = [pick(row, "currency", "refunded_amount") for row in warehouse.read("refunds", "currency")]
    assert shown == [("EUR", 50), ("USD", 30)]


def test_a_refund_from_the_payment_service_finds_the_order_of_the_shop(warehouse, shop):
    payments = add_source(warehouse, "acme", "payments")
    add_event(warehouse, shop, "order", TUESDAY, order_id="1", total=100)
    add_event(warehouse, payments, "refund", WEDNESDAY, order_id="1", amount=30)
    (order,) = warehouse.read("orders")
    assert order["refunded_amount"] == 30


def test_of_two_orders_with_one_id_a_refund_lowers_one(warehouse, shop):
    second = add_source(warehouse, "acme", "second-shop")
    payments = add_source(warehouse, "acme", "payments")
    add_event(warehouse, shop, "order", TUESDAY, order_id="1", total=100)
    add_event(warehouse, second, "order", WEDNESDAY, order_id="1", total=70)
    add_event(warehouse, second, "refund", WEDNESDAY, order_id="1", amount=7)
    add_event(warehouse, payments, "refund", WEDNESDAY, order_id="1", amount=5)
    assert [row["refunded_amount"] for row in warehouse.read("orders", "day")] == [5, 7]


def test_a_refund_never_finds_an_order_of_another_entity(warehouse, shop):
    warehouse.add_entity("globex", 2001)
    other = add_source(warehouse, "globex")
    add_event(warehouse, other, "order", TUESDAY, order_id="1", total=100)
    add_event(warehouse, shop, "refund", WEDNESDAY, order_id="1", amount=30)
    (order,) = warehouse.read("orders")
    assert pick(order, "entity", "refunded_amount") == ("globex", 0)
    (refund,) = warehouse.read("refunds")
    assert pick(refund, "entity", "unknown_order_count", "channel") == ("acme", 1, "Unattributed")


def change(warehouse, source, day, subscription, kind, amount, **columns):
    given = {"subscription_id": subscription, "change": kind, "monthly_amount": amount, **columns}
    add_event(warehouse, source, "subscription_change", day, **given)


def test_subscriptions_show_what_is_active_when_each_day_ends(warehouse, shop):
    monday = TUESDAY - timedelta(days=1)
    change(warehouse, shop, monday - timedelta(days=1), "a", "started", 20)
    change(warehouse, shop, monday - timedelta(days=1), "b", "started", 30)
    change(warehouse, shop, TUESDAY, "a", "upgraded", 25)
    change(warehouse, shop, TUESDAY, "b", "paused", 30)
    change(warehouse, shop, WEDNESDAY, "b", "resumed", 30, event_at=at(9))
    change(warehouse, shop, WEDNESDAY, "b", "cancelled", 30, event_at=at(10))
    change(warehouse, shop, WEDNESDAY, "c", "started", 40)
    rows = warehouse.read("subscriptions", "day")
    columns = "monthly_amount_gained", "monthly_amount_lost", "active_count", "active_monthly_amount"
    assert [pick(row, "day", *columns) for row in rows] == [
        (monday - timedelta(days=1), 50, 0, 2, 50),
        (monday, 0, 0, 2, 50),
        (TUESDAY, 5, 30, 1, 25),
        (WEDNESDAY, 70, 30, 2, 65),
    ]
    assert pick(rows[2], "upgraded_count", "paused_count", "started_count") == (1, 1, 0)
    assert pick(rows[3], "started_count", "resumed_count", "cancelled_count") == (1, 1, 1)
    assert rows[3]["monthly_amount_per_subscription"] == 32.5


def test_a_subscription_that_changes_its_currency_leaves_the_one_and_enters_the_other(warehouse, shop):
    change(warehouse, shop, TUESDAY, "a", "started", 20)
    change(warehouse, shop, WEDNESDAY, "a", "renewed", 22, currency="USD")
    rows = warehouse.read("subscriptions", "currency", day=WEDNESDAY)
    columns = "currency", "renewed_count", "monthly_amount_gained", "monthly_amount_lost", "active_count"
    assert [pick(row, *columns) for row in rows] == [("EUR", 0, 0, 20, 0), ("USD", 1, 22, 0, 1)]


def test_subscriptions_go_on_to_the_newest_day_of_any_event(warehouse, shop):
    change(warehouse, shop, TUESDAY, "a", "started", 20)
    add_event(warehouse, shop, "custom", WEDNESDAY)
    rows = warehouse.read("subscriptions", "day")
    assert [pick(row, "day", "active_count", "as_of", "is_provisional") for row in rows] == [
        (TUESDAY, 1, TUESDAY, False),
        (WEDNESDAY, 1, TUESDAY, True),
    ]


def test_subscriptions_show_the_newest_day_also_where_an_older_one_still_goes_on_elsewhere(warehouse):
    warehouse.add_entity("acme", 1001)
    auckland = add_source(warehouse, "acme", "auckland", time_zone="Pacific/Auckland")
    add_source(warehouse, "acme", "angeles", time_zone="America/Los_Angeles")
    change(warehouse, auckland, WEDNESDAY - timedelta(days=2), "a", "started", 20)
    change(warehouse, auckland, WEDNESDAY, "b", "started", 30, received_at=at(20, TUESDAY))
    rows = warehouse.read("subscriptions", "day")
    assert [pick(row, "day", "active_count", "is_provisional") for row in rows] == [
        (WEDNESDAY - timedelta(days=2), 1, False),
        (TUESDAY, 1, True),
        (WEDNESDAY, 2, True),
    ]


def test_a_change_that_is_announced_counts_when_its_day_comes(warehouse, shop):
    change(warehouse, shop, TUESDAY, "a", "started", 20)
    december = date(2026, 12, 1)
    change(warehouse, shop, december, "a", "cancelled", 20, received_at=at(12))
    assert [pick(row, "day", "active_count") for row in warehouse.read("subscriptions", "day")] == [
        (TUESDAY, 1)
    ]
    add_event(warehouse, shop, "custom", december)
    assert warehouse.read("subscriptions", day=december)[0]["active_count"] == 0


def test_bookings_are_counted_by_what_became_of_them(warehouse, shop):
    for status in ("requested", "confirmed", "completed", "completed", "completed", "no_show", "cancelled"):
        add_event(
            warehouse, shop, "booking", WEDNESDAY, status=status, party_size=2, amount=5, currency="EUR"
        )
    (row,) = warehouse.read("bookings")
    counts = "booking_count", "requested_count", "confirmed_count", "completed_count", "no_show_count"
    assert pick(row, *counts, "cancelled_count") == (6, 1, 1, 3, 1, 1)
    assert pick(row, "guest_count", "booked_amount", "no_show_rate") == (12, 30, 0.25)
    assert row["cancellation_rate"] == pytest.approx(1 / 7)


def test_tickets_show_how_long_customers_waited(warehouse, shop):
    solved = {"status": "solved", "solved_at": at(14), "first_reply_seconds": 600, "category": "delivery"}
    add_event(warehouse, shop, "support_ticket", WEDNESDAY, **solved)
    closed = {"status": "closed", "solved_at": at(18), "category": "delivery"}
    add_event(warehouse, shop, "support_ticket", WEDNESDAY, **closed)
    add_event(warehouse, shop, "support_ticket", WEDNESDAY, status="pending", category="delivery")
    (row,) = warehouse.read("support_tickets")
    assert pick(row, "category", "priority") == ("delivery", "(not set)")
    assert pick(row, "ticket_count", "open_count", "solved_count", "replied_count") == (3, 1, 2, 1)
    assert pick(row, "seconds_to_first_reply", "seconds_to_solve") == (600.0, 4 * 3600.0)
    assert row["solved_rate"] == pytest.approx(2 / 3)


def test_custom_events_are_counted_by_name_and_show_nothing_of_what_they_carry(warehouse, shop):
    for name in ("newsletter_opened", "newsletter_opened", None):
        add_event(warehouse, shop, "custom", WEDNESDAY, name=name)
    rows = warehouse.read("custom_events", "event_name")
    assert [pick(row, "event_name", "event_count") for row in rows] == [
        ("(not set)", 1),
        ("newsletter_opened", 2),
    ]
    assert "payload" not in rows[0]


def test_sums_of_the_largest_amounts_that_a_contract_allows_are_still_readable(warehouse, shop):
    for number in range(101):
        add_event(
            warehouse, shop, "order", TUESDAY, order_id=f"o-{number}", total="999999999999", currency="USD"
        )
    assert warehouse.read("orders")[0]["revenue"] == 101 * 999_999_999_999
    assert warehouse.read("sales_daily")[0]["net_revenue"] == 101 * 999_999_999_999
    assert warehouse.read("sales_by_channel")[0]["revenue"] == 101 * 999_999_999_999


LARGEST_COUNT_KEPT = LARGEST_COUNT - 1
LARGEST = {Kind.AMOUNT: "999999999999.999999", Kind.COUNT: LARGEST_COUNT_KEPT, Kind.CURRENCY: "EUR"}
COUNTS = {
    ("order", "item_count"): ("orders", "item_count"),
    ("booking", "party_size"): ("bookings", "guest_count"),
    ("support_ticket", "first_reply_seconds"): ("support_tickets", "first_reply_seconds"),
    ("campaign_spend", "impressions"): ("campaign_spend", "impressions"),
    ("campaign_spend", "clicks"): ("campaign_spend", "clicks"),
}


@pytest.mark.parametrize(("kind", "column"), COUNTS)
def test_no_number_of_largest_counts_breaks_a_mart_for_the_entity(warehouse, shop, kind, column):
    add_event(warehouse, shop, kind, WEDNESDAY, **{column: LARGEST_COUNT_KEPT})
    copies = 9_300
    copy_event(warehouse, kind, copies)
    mart, shown = COUNTS[kind, column]
    assert sum(row[shown] for row in warehouse.read(mart)) == (copies + 1) * LARGEST_COUNT_KEPT


def test_every_mart_survives_events_whose_every_number_is_the_largest_that_a_contract_allows(warehouse, shop):
    for (kind, _), event in EVENTS.items():
        largest = {each.column_name: LARGEST[each.kind] for each in event.fields if each.kind in LARGEST}
        for _ in range(10):
            add_event(warehouse, shop, kind, WEDNESDAY, **largest)
    for path in (sql_directory() / "marts").glob("*.sql"):
        warehouse.read(path.stem)


def copy_event(warehouse, kind, count):
    """Many events like those of a kind, each of a source of its own."""
    table = next(table for table in EVENT_TABLES if table.name == f"fact_{kind}")
    columns = [name for name in COMMON_COLUMNS if name != "source_id"]
    columns += [column.name for column in table.columns]
    query = sql.SQL(
        "INSERT INTO facts.{table} (source_id, {columns}) "
        "SELECT source_id + number, {columns} FROM facts.{table}, generate_series(1, %s) AS number"
    ).format(
        table=sql.Identifier(table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
    )
    warehouse.owner.execute(query, (count,))
