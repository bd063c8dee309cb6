"""Entities, properties, settings and the trail that every change leaves."""

from datetime import UTC, date, datetime

import pytest
from psycopg.errors import CheckViolation

from steadfast.entities.businesses import (
    add_entity,
    disable_entity,
    edit_entity,
    enable_entity,
    list_entities,
    show_entity,
)
from steadfast.entities.properties import (
    add_property,
    disable_property,
    edit_property,
    enable_property,
    list_properties,
    show_property,
)
from steadfast.entities.sync_settings import edit_setting, show_setting
from steadfast.errors import ConfigError

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BY_ANN = {"actor": "cli:ann", "now": NOW}
BY_BOB = {"actor": "cli:bob", "now": LATER}
KNOWN = ("daily_totals", "pages", "items")
IN_NEW_YORK = {"connection_id": "steadfast_ga4", "time_zone": "America/New_York", "currency": "USD"}


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        yield connection


@pytest.fixture
def bakery(connection):
    return add_entity(connection, "bakery", name="Main Street Bakery", country="us", **BY_ANN)


def audit_trail(connection):
    query = """
        SELECT actor, action, object_kind, object_id, before, after
        FROM ops.audit_event ORDER BY event_id
    """
    return connection.execute(query).fetchall()


def block_report(connection, property_id):
    connection.execute("INSERT INTO ops.report_block VALUES (%s, 'items', 'refused', now())", (property_id,))


def count_blocks(connection):
    return connection.execute("SELECT count(*) FROM ops.report_block").fetchone()[0]


def test_a_new_entity_can_be_shown_and_is_synced_with_the_defaults(connection, bakery):
    assert show_entity(connection, "bakery") == bakery
    assert (bakery.name, bakery.country, bakery.is_enabled) == ("Main Street Bakery", "US", True)
    setting = show_setting(connection, "bakery")
    assert (setting.is_enabled, setting.reports, setting.window_days) == (True, None, 4)
    assert setting.backfill_start_on == date(2026, 8, 22)


def test_it_lists_entities_by_slug(connection, bakery):
    add_entity(connection, "antiques", name="Antiques", **BY_ANN)
    assert [entity.slug for entity in list_entities(connection)] == ["antiques", "bakery"]


def test_a_slug_is_given_once_and_the_message_names_the_owner(connection, bakery):
    with pytest.raises(ConfigError, match="bakery exists already; it is 'Main Street Bakery'"):
        add_entity(connection, "bakery", name="Another", **BY_ANN)
    assert len(list_entities(connection)) == 1
    assert len(audit_trail(connection)) == 1


@pytest.mark.parametrize(
    ("slug", "name", "country", "complaint"),
    [
        ("Bakery", "Bakery", None, "Slug 'Bakery' is not valid"),
        ("-bakery", "Bakery", None, "Slug '-bakery' is not valid"),
        ("bakery\n", "Bakery", None, "is not valid: lower-case"),
        ("b" * 64, "Bakery", None, "at most 63"),
        ("bakery", "  ", None, "Name '  ' is not valid"),
        ("bakery", "Bak\x00ery", None, "printable"),
        ("bakery", "Bakery", "USA", "Country 'USA' is not valid"),
    ],
)
def test_it_refuses_what_is_no_entity(connection, slug, name, country, complaint):
    with pytest.raises(ConfigError, match=complaint):
        add_entity(connection, slug, name=name, country=country, **BY_ANN)
    assert list_entities(connection) == []


def test_an_unknown_entity_is_answered_with_close_matches(connection, bakery):
    with pytest.raises(ConfigError, match="no entity 'bakry'; did you mean bakery"):
        show_entity(connection, "bakry")


def test_every_change_of_an_entity_leaves_who_what_before_and_after(connection, bakery):
    edit_entity(connection, "bakery", name="The Bakery", country="", **BY_BOB)
    disable_entity(connection, "bakery", **BY_BOB)
    enable_entity(connection, "bakery", **BY_BOB)
    trail = audit_trail(connection)
    assert [row[:4] for row in trail] == [
        ("cli:ann", "add", "business_entity", "bakery"),
        ("cli:bob", "edit", "business_entity", "bakery"),
        ("cli:bob", "disable", "business_entity", "bakery"),
        ("cli:bob", "enable", "business_entity", "bakery"),
    ]
    _, edited, disabled, _ = trail
    assert (edited[4]["name"], edited[5]["name"]) == ("Main Street Bakery", "The Bakery")
    assert (edited[4]["country"], edited[5]["country"]) == ("US", None)
    assert (disabled[4]["is_enabled"], disabled[5]["is_enabled"]) == (True, False)
    assert show_entity(connection, "bakery").updated_at == LATER


def test_a_change_that_changes_nothing_leaves_no_trace(connection, bakery):
    assert edit_entity(connection, "bakery", name=" Main Street Bakery ", **BY_BOB) == bakery
    assert len(audit_trail(connection)) == 1


def test_an_undone_change_takes_its_audit_event_with_it(connection):
    with connection.transaction(force_rollback=True):
        add_entity(connection, "bakery", name="Bakery", **BY_ANN)
    assert list_entities(connection) == []
    assert audit_trail(connection) == []


def test_a_change_that_cannot_be_audited_is_not_made(connection, bakery):
    connection.execute("ALTER TABLE ops.audit_event ADD CHECK (action <> 'disable')")
    with pytest.raises(CheckViolation):
        disable_entity(connection, "bakery", **BY_BOB)
    assert show_entity(connection, "bakery").is_enabled


def test_a_property_belongs_to_one_entity_and_the_message_names_it(connection, bakery):
    add_entity(connection, "cafe", name="Café", **BY_ANN)
    added = add_property(connection, "bakery", 123456, display_name="Shop", **IN_NEW_YORK, **BY_ANN)
    assert show_property(connection, 123456) == added
    with pytest.raises(ConfigError, match="Property 123456 belongs to entity bakery already, as 'Shop'"):
        add_property(connection, "cafe", 123456, **IN_NEW_YORK, **BY_ANN)
    assert list_properties(connection, "cafe") == []


def test_properties_are_listed_by_entity_or_all_together(connection, bakery):
    add_entity(connection, "cafe", name="Café", **BY_ANN)
    for slug, number in (("cafe", 5), ("bakery", 7), ("bakery", 6)):
        add_property(connection, slug, number, **IN_NEW_YORK, **BY_ANN)
    assert [p.property_id for p in list_properties(connection, "bakery")] == [6, 7]
    assert [p.property_id for p in list_properties(connection)] == [6, 7, 5]
    assert show_property(connection, 6).display_name == "GA4 property 6"


@pytest.mark.parametrize(
    ("property_id", "wrong", "complaint"),
    [
        (0, {}, "Property id 0 is not valid"),
        (2**63, {}, "is not valid"),
        (1, {"time_zone": "America/Gotham"}, "Time zone 'America/Gotham' is not known"),
        (1, {"time_zone": "../etc/passwd"}, "is not known"),
        (1, {"time_zone": ""}, "Time zone '' is not known"),
        (1, {"currency": "usd"}, "Currency 'usd' is not valid"),
        (1, {"connection_id": "a b"}, "Connection 'a b' is not valid"),
    ],
)
def test_it_refuses_what_is_no_property(connection, bakery, property_id, wrong, complaint):
    with pytest.raises(ConfigError, match=complaint):
        add_property(connection, "bakery", property_id, **{**IN_NEW_YORK, **wrong}, **BY_ANN)
    assert list_properties(connection) == []


def test_a_property_of_an_unknown_entity_is_refused(connection, bakery):
    with pytest.raises(ConfigError, match="no entity 'bakerie'; did you mean bakery"):
        add_property(connection, "bakerie", 1, **IN_NEW_YORK, **BY_ANN)


def test_an_unknown_property_is_answered_with_close_matches(connection, bakery):
    add_property(connection, "bakery", 123456, **IN_NEW_YORK, **BY_ANN)
    with pytest.raises(ConfigError, match="no property 123465; did you mean 123456"):
        disable_property(connection, 123465, **BY_ANN)


def test_every_change_of_a_property_is_audited(connection, bakery):
    add_property(connection, "bakery", 7, **IN_NEW_YORK, **BY_ANN)
    edit_property(connection, 7, time_zone="America/Chicago", currency="CAD", **BY_BOB)
    disable_property(connection, 7, **BY_BOB)
    enable_property(connection, 7, **BY_BOB)
    trail = [row for row in audit_trail(connection) if row[2] == "ga4_property"]
    assert [row[1] for row in trail] == ["add", "edit", "disable", "enable"]
    assert (trail[1][4]["time_zone"], trail[1][5]["time_zone"]) == ("America/New_York", "America/Chicago")


def test_a_changed_property_is_asked_again_for_the_reports_that_were_refused(connection, bakery):
    for number in (7, 8):
        add_property(connection, "bakery", number, **IN_NEW_YORK, **BY_ANN)
        block_report(connection, number)
    disable_property(connection, 7, **BY_BOB)
    assert count_blocks(connection) == 2
    enable_property(connection, 7, **BY_BOB)
    assert count_blocks(connection) == 1


def test_a_setting_changes_only_where_it_is_told_to(connection, bakery):
    before = show_setting(connection, "bakery")
    after = edit_setting(
        connection, "bakery", known_reports=KNOWN, reports=["pages", "daily_totals"], window_days=7, **BY_BOB
    )
    assert after.reports == ("daily_totals", "pages")
    assert after.window_days == 7
    assert (after.token_budget, after.backfill_start_on) == (before.token_budget, before.backfill_start_on)
    assert show_setting(connection, "bakery") == after
    trail = audit_trail(connection)[-1]
    assert trail[:3] == ("cli:bob", "edit", "sync_setting")
    assert (trail[4]["reports"], trail[5]["reports"]) == (None, ["daily_totals", "pages"])


def test_no_report_named_means_the_default_ones(connection, bakery):
    edit_setting(connection, "bakery", known_reports=KNOWN, reports=["pages"], **BY_BOB)
    assert edit_setting(connection, "bakery", known_reports=KNOWN, reports=(), **BY_BOB).reports is None


def test_a_setting_edit_lets_every_refused_report_of_the_entity_be_tried_again(connection, bakery):
    add_property(connection, "bakery", 7, **IN_NEW_YORK, **BY_ANN)
    block_report(connection, 7)
    edit_setting(connection, "bakery", known_reports=KNOWN, reports=["pages"], **BY_BOB)
    assert count_blocks(connection) == 0


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (
            {"reports": ["page"]},
            "report 'page'; did you mean pages.* Valid are daily_totals, pages, items",
        ),
        ({"window_days": 0}, "Window of 0 days"),
        ({"window_days": 91}, "1 to 90"),
        ({"token_budget": -1}, "Token budget -1"),
        ({"backfill_start_on": date(2015, 8, 13)}, "2015-08-14 to 2026-11-21"),
        ({"backfill_start_on": date(2026, 11, 22)}, "Backfill start 2026-11-22 is not valid"),
    ],
)
def test_it_refuses_a_setting_that_cannot_work(connection, bakery, wrong, complaint):
    before = show_setting(connection, "bakery")
    with pytest.raises(ConfigError, match=complaint):
        edit_setting(connection, "bakery", known_reports=KNOWN, **wrong, **BY_BOB)
    assert show_setting(connection, "bakery") == before
