"""What tells a dashboard how current the events are, what is missing, and who is silent."""

from datetime import UTC, date, datetime, timedelta

import pytest

from steadfast.warehouse.event_tables import EventColumn, EventTable, ensure_event_tables
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.marts import apply_marts, read_marts
from steadfast.webhooks.events import EVENT_TABLES

from .event_rows import add_dead_letter, add_event, add_source

MONDAY = date(2026, 11, 16)
TUESDAY = date(2026, 11, 17)
WEDNESDAY = date(2026, 11, 18)
THURSDAY = date(2026, 11, 19)


@pytest.fixture
def shop(warehouse) -> int:
    """A webhook source whose days are those of Berlin."""
    warehouse.add_entity("acme", 1001)
    return add_source(warehouse, "acme")


def pick(row, *columns):
    return tuple(row[column] for column in columns)


def at(hour, day=WEDNESDAY):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def test_every_kind_of_event_is_in_the_freshness_views_and_in_a_view_of_its_own():
    texts = {name: mart.text for name, mart in read_marts(sql_directory() / "marts", EVENT_TABLES).items()}
    for table in EVENT_TABLES:
        readers = {mart for mart, text in texts.items() if f"facts.{table.name} AS" in text}
        assert {"event_freshness", "webhook_freshness"} < readers, table.name


def test_a_new_kind_of_event_shows_up_in_the_freshness_views_without_a_change_to_them(warehouse, shop):
    visit = EventTable("fact_visit", ("visit_id",), (EventColumn("visit_id", "text", True),))
    tables = (*EVENT_TABLES, visit)
    ensure_event_tables(warehouse.owner, tables)
    apply_marts(warehouse.owner, read_marts(sql_directory() / "marts", tables))
    warehouse.owner.execute(
        "INSERT INTO facts.fact_visit (entity_id, source_id, event_on, event_at, visit_id, inbox_id, "
        "root_id, received_at, run_id) "
        "SELECT entity_id, source_id, %s, %s, 'v', 1, 1, %s, 1 FROM config.webhook_source",
        (WEDNESDAY, at(11), at(12)),
    )
    (kind,) = warehouse.read("event_freshness")
    assert pick(kind, "event_type", "as_of", "last_synced_at") == ("visit", WEDNESDAY, at(12))
    (source,) = warehouse.read("webhook_freshness")
    assert pick(source, "row_count", "as_of") == (1, WEDNESDAY)


def test_the_newest_day_of_any_event_is_provisional_and_the_days_before_are_not(warehouse, shop):
    add_event(warehouse, shop, "order", TUESDAY)
    add_event(warehouse, shop, "order", WEDNESDAY)
    add_event(warehouse, shop, "lead", TUESDAY)
    orders = [pick(row, "day", "as_of", "is_provisional") for row in warehouse.read("orders", "day")]
    assert orders == [(TUESDAY, WEDNESDAY, False), (WEDNESDAY, WEDNESDAY, True)]
    leads = [pick(row, "day", "as_of", "is_provisional") for row in warehouse.read("leads", "day")]
    assert leads == [(TUESDAY, TUESDAY, False)]


def test_freshness_tells_the_newest_day_of_each_kind_of_event(warehouse, shop):
    add_event(warehouse, shop, "order", WEDNESDAY, received_at=at(15))
    add_event(warehouse, shop, "order", WEDNESDAY, received_at=at(18))
    add_event(warehouse, shop, "lead", TUESDAY)
    columns = "event_type", "as_of", "is_provisional", "provisional_from", "is_held"
    lead, order = warehouse.read("event_freshness", "event_type")
    assert pick(lead, *columns) == ("lead", TUESDAY, False, WEDNESDAY, False)
    assert pick(order, *columns) == ("order", WEDNESDAY, True, WEDNESDAY, False)
    assert order["last_synced_at"] == at(18)


def test_a_day_far_ahead_of_its_event_does_not_hide_how_old_the_rest_is(warehouse, shop):
    add_event(warehouse, shop, "order", TUESDAY)
    add_event(warehouse, shop, "order", date(2062, 1, 1), received_at=at(12))
    assert warehouse.read("event_freshness")[0]["as_of"] == TUESDAY
    assert warehouse.read("webhook_freshness")[0]["as_of"] == TUESDAY


def days(warehouse, mart="orders"):
    return [pick(row, "day", "is_provisional") for row in warehouse.read(mart, "day")]


@pytest.fixture
def shops_far_apart(warehouse) -> tuple[int, int]:
    """Two sources of one entity whose days begin almost a day apart: Auckland's and that of Los Angeles."""
    warehouse.add_entity("acme", 1001)
    return (
        add_source(warehouse, "acme", "auckland", time_zone="Pacific/Auckland"),
        add_source(warehouse, "acme", "angeles", time_zone="America/Los_Angeles"),
    )


def test_a_day_is_provisional_until_it_has_ended_for_every_source(warehouse, shops_far_apart):
    auckland, angeles = shops_far_apart
    add_event(warehouse, angeles, "order", MONDAY)
    add_event(warehouse, angeles, "order", TUESDAY, received_at=at(19, TUESDAY))
    # It is Wednesday morning in Auckland, and noon of Tuesday in Los Angeles.
    add_event(warehouse, auckland, "order", WEDNESDAY, received_at=at(20, TUESDAY))
    assert days(warehouse) == [(MONDAY, False), (TUESDAY, True), (WEDNESDAY, True)]
    assert days(warehouse, "sales_daily") == [(MONDAY, False), (TUESDAY, True), (WEDNESDAY, True)]
    (orders,) = warehouse.read("event_freshness")
    assert pick(orders, "as_of", "provisional_from", "is_provisional") == (WEDNESDAY, TUESDAY, True)


def test_a_day_that_has_ended_for_every_source_is_final(warehouse, shops_far_apart):
    auckland, angeles = shops_far_apart
    add_event(warehouse, angeles, "order", TUESDAY, received_at=at(19, TUESDAY))
    add_event(warehouse, auckland, "order", WEDNESDAY, received_at=at(20, TUESDAY))
    add_event(warehouse, angeles, "order", WEDNESDAY, received_at=at(9))
    assert days(warehouse) == [(TUESDAY, False), (WEDNESDAY, True)]


def test_a_source_that_is_switched_off_keeps_no_day_open(warehouse):
    warehouse.add_entity("acme", 1001)
    auckland = add_source(warehouse, "acme", "auckland", time_zone="Pacific/Auckland")
    add_source(warehouse, "acme", "old", time_zone="America/Los_Angeles", is_enabled=False)
    add_event(warehouse, auckland, "order", TUESDAY, received_at=at(20, MONDAY))
    add_event(warehouse, auckland, "order", WEDNESDAY, received_at=at(20, TUESDAY))
    assert days(warehouse) == [(TUESDAY, False), (WEDNESDAY, True)]


def test_an_event_that_says_tomorrow_by_mistake_closes_no_day_and_keeps_none_open(warehouse, shop):
    for day in (TUESDAY, WEDNESDAY):
        add_event(warehouse, shop, "order", day)
    add_event(warehouse, shop, "lead", THURSDAY, event_at=at(13))
    add_event(warehouse, shop, "order", THURSDAY, event_at=at(13))
    assert days(warehouse) == [(TUESDAY, False), (WEDNESDAY, True), (THURSDAY, True)]
    (order,) = warehouse.read("event_freshness", "event_type")
    assert pick(order, "event_type", "as_of", "provisional_from") == ("order", WEDNESDAY, WEDNESDAY)
    assert warehouse.read("webhook_freshness")[0]["as_of"] == WEDNESDAY


def test_a_kind_of_event_of_which_none_could_be_loaded_is_listed_as_held(warehouse, shop):
    add_event(warehouse, shop, "lead", WEDNESDAY)
    add_dead_letter(warehouse, shop, "order", at(12))
    add_dead_letter(warehouse, shop, "order", at(13), "missing_field")
    add_dead_letter(warehouse, shop, None, at(14), "unknown_type")
    unnamed, lead, order = warehouse.read("event_freshness", "event_type")
    columns = "event_type", "as_of", "is_held", "held_count", "held_reason"
    assert pick(lead, *columns) == ("lead", WEDNESDAY, False, 0, None)
    assert pick(order, *columns) == ("order", None, True, 2, "bad_field, missing_field")
    assert pick(unnamed, *columns) == ("(not set)", None, True, 1, "unknown_type")
    assert pick(order, "is_provisional", "provisional_from", "last_synced_at") == (True, WEDNESDAY, None)


def test_an_entity_of_which_nothing_could_be_loaded_is_listed_as_held(warehouse, shop):
    add_dead_letter(warehouse, shop, "order", at(12))
    (order,) = warehouse.read("event_freshness")
    assert pick(order, "event_type", "is_held", "provisional_from") == ("order", True, None)


def test_a_day_on_which_an_event_could_not_be_loaded_says_so(warehouse, shop):
    for day in (TUESDAY, WEDNESDAY):
        add_event(warehouse, shop, "order", day)
        add_event(warehouse, shop, "lead", day)
    # 23:30 in UTC is already Wednesday in Berlin.
    late = datetime(2026, 11, 17, 23, 30, tzinfo=UTC)
    add_dead_letter(warehouse, shop, "order", late, "missing_field")
    add_dead_letter(warehouse, shop, "order", late, "bad_field")
    first, second = warehouse.read("orders", "day")
    reason = "2 of type order could not be loaded: bad_field, missing_field"
    assert pick(first, "is_held", "held_reason") == (False, None)
    assert pick(second, "is_held", "held_reason") == (True, reason)
    for mart in ("sales_daily", "sales_by_channel", "lead_conversion"):
        assert [row["held_reason"] for row in warehouse.read(mart, "day")][-1] == reason, mart
    assert [row["is_held"] for row in warehouse.read("leads", "day")] == [False, False]


@pytest.mark.parametrize("state", ["replayed", "resolved", "discarded"])
def test_an_event_that_somebody_took_care_of_is_no_longer_missing(warehouse, shop, state):
    add_event(warehouse, shop, "order", WEDNESDAY)
    add_dead_letter(warehouse, shop, "order", at(12), state=state)
    assert warehouse.read("held_events") == []
    assert not warehouse.read("orders")[0]["is_held"]
    assert not warehouse.read("event_freshness")[0]["is_held"]
    (source,) = warehouse.read("webhook_freshness")
    assert pick(source, "is_held", "held_count", "held_reason") == (False, 0, None)


def test_events_that_wait_are_listed_even_where_nothing_was_loaded(warehouse, shop):
    add_dead_letter(warehouse, shop, "order", at(12))
    add_dead_letter(warehouse, shop, None, at(12, TUESDAY), "unknown_type")
    shown = [
        pick(row, "event_type", "day", "held_count") for row in warehouse.read("held_events", "event_type")
    ]
    assert shown == [("(not set)", TUESDAY, 1), ("order", WEDNESDAY, 1)]


def test_each_source_tells_when_it_was_last_heard_of_and_what_waits(warehouse, shop):
    forms = add_source(warehouse, "acme", "forms", is_enabled=False)
    add_source(warehouse, "acme", "silent")
    add_event(warehouse, shop, "order", WEDNESDAY, event_at=at(8), received_at=at(9))
    add_event(warehouse, shop, "refund", TUESDAY, event_at=at(7), received_at=at(10))
    add_event(warehouse, forms, "lead", TUESDAY)
    add_dead_letter(warehouse, shop, "order", at(11))
    add_dead_letter(warehouse, shop, "lead", at(13), "unknown_type", state="discarded")
    rows = {row["webhook_source"]: row for row in warehouse.read("webhook_freshness")}
    columns = "row_count", "as_of", "newest_event_at", "last_synced_at", "last_received_at"
    assert pick(rows["shop"], *columns) == (2, WEDNESDAY, at(8), at(10), at(13))
    held = pick(rows["shop"], "is_held", "held_count", "held_since", "held_reason")
    assert held == (True, 1, at(11) + timedelta(minutes=5), "bad_field")
    assert pick(rows["silent"], *columns, "is_held") == (0, None, None, None, None, False)
    assert pick(rows["forms"], "is_enabled", "as_of", "row_count") == (False, TUESDAY, 1)
    assert pick(rows["shop"], "webhook_source_name", "time_zone") == ("Shop", "Europe/Berlin")


def test_the_freshness_of_one_entity_says_nothing_about_another(warehouse, shop):
    warehouse.add_entity("globex", 2001)
    other = add_source(warehouse, "globex")
    add_event(warehouse, shop, "order", TUESDAY)
    add_event(warehouse, other, "order", WEDNESDAY)
    add_dead_letter(warehouse, other, "order", at(12, TUESDAY))
    (row,) = warehouse.read("orders", entity="acme")
    assert pick(row, "as_of", "is_provisional", "is_held") == (TUESDAY, True, False)


def test_a_login_reads_of_dead_letters_only_those_of_its_own_entity(two_entities):
    with two_entities.log_in("acme") as acme:
        seen = acme.execute("SELECT webhook_source, held_count FROM marts.webhook_freshness").fetchall()
    assert seen == [("shop", 1)]
