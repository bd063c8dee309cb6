"""An n8n whose key sees nothing makes no error; somebody is told of it, once, if it matters."""

from datetime import timedelta

import pytest

from steadfast.webhooks.envelope import read_event
from steadfast.webhooks.inbox import store_events
from steadfast.webhooks.n8n.reconcile import list_sources

from .read_back import LATER, NOW, ORDERS, insert_source, list_signals, lose, run_n8n


@pytest.fixture
def emulator(database):
    insert_source(database, ORDERS)
    with run_n8n(ORDERS) as running:
        running.engine.is_key_of_member = True
        yield running


def post(database, connection, *, at=NOW) -> None:
    """An event that n8n delivered."""
    (known,) = list_sources(connection)
    event = read_event(
        known.source, "e-1", b'{"type": "order", "timestamp": "2026-11-20T10:00:00Z", "data": {}}'
    )
    store_events(database.pipeline_url, [event], origin="http", now=at)


def test_the_key_of_a_member_is_told_once(emulator, reconcile, database, connection):
    post(database, connection)
    lose(emulator, 2)
    for minutes in (0, 5, 600):
        (found,) = reconcile(emulator, now=LATER + timedelta(minutes=minutes))
        assert (found.recovered_count, found.error) == (0, None)
    ((kind, subject, body),) = list_signals(connection)
    assert kind == "n8n_shows_nothing"
    assert "n8n_main" in subject
    assert ORDERS in body
    assert "owner or an admin" in body


def test_with_the_right_key_what_was_lost_before_comes(emulator, reconcile, database, connection):
    post(database, connection)
    lose(emulator, 2)
    reconcile(emulator)
    emulator.engine.is_key_of_member = False
    assert reconcile(emulator)[0].recovered_count == 2


def test_an_n8n_from_which_nothing_comes_is_left_alone(emulator, reconcile, connection):
    reconcile(emulator)
    assert list_signals(connection) == []


def test_events_of_last_week_are_no_reason(emulator, reconcile, database, connection):
    post(database, connection)
    reconcile(emulator, now=NOW + timedelta(days=7))
    assert list_signals(connection) == []


def test_an_n8n_in_which_nothing_failed_is_well(emulator, reconcile, database, connection):
    emulator.engine.is_key_of_member = False
    post(database, connection)
    reconcile(emulator)
    assert list_signals(connection) == []
