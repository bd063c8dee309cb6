"""An execution that cannot be read stops no other, and is told of once when it is given up."""

from datetime import timedelta

import pytest

from steadfast.demo.n8n import api
from steadfast.webhooks.inbox import store_events
from steadfast.webhooks.n8n import look
from steadfast.webhooks.n8n.look import Reconciled
from steadfast.webhooks.n8n.signals import build_signals

from .read_back import (
    LATER,
    LEADS,
    ORDERS,
    change_items,
    count_asked,
    insert_source,
    list_signals,
    lose,
    run_n8n,
)

LOOKS = [LATER + timedelta(minutes=20 * n) for n in range(8)]


@pytest.fixture
def emulator(database):
    insert_source(database, ORDERS)
    with run_n8n(ORDERS) as running:
        yield running


def read_back(connection) -> list[int]:
    return connection.execute("SELECT handled FROM ops.n8n_cursor").fetchone()[0]


def given_up(connection) -> list[tuple]:
    return connection.execute(
        "SELECT execution_id FROM ops.n8n_unreadable WHERE is_given_up ORDER BY 1"
    ).fetchall()


def test_any_number_of_them_stops_no_other(emulator, reconcile):
    emulator.engine.unreadable |= {lose(emulator, 1) for _ in range(5)}
    lose(emulator, 2)
    (found,) = reconcile(emulator)
    assert (found.recovered_count, found.left_count, found.error) == (2, 5, None)


def test_it_is_given_up_told_once_and_never_asked_for_again(emulator, reconcile, connection, monkeypatch):
    odd = lose(emulator, 1)
    emulator.engine.unreadable.add(odd)
    last = lose(emulator, 1)
    asked = count_asked(emulator, monkeypatch)
    looks = [reconcile(emulator, now=now)[0] for now in LOOKS]
    assert [sorted(one.given_up) for one in looks] == [[], [], [], [], [odd], [], [], []]
    assert [one.unreadable_count for one in looks] == [0, 0, 0, 0, 1, 0, 0, 0]
    assert asked.count(odd) == 5
    assert read_back(connection) == [odd, last]
    assert given_up(connection) == [(odd,)]
    _, (kind, subject, body) = list_signals(connection)
    assert (kind, subject) == ("webhook_events_unreadable", "1 failed execution of n8n cannot be read")
    assert "Connection n8n_main" in body
    assert f"execution {odd}: " in body
    assert "failed (500): Internal server error" in body


def test_five_looks_in_a_quarter_of_an_hour_give_nothing_up(emulator, reconcile):
    emulator.engine.unreadable.add(lose(emulator, 1))
    looks = [reconcile(emulator, now=LATER + timedelta(minutes=3 * n))[0] for n in range(6)]
    assert [one.given_up for one in looks] == [{}] * 6
    emulator.engine.unreadable.clear()
    assert reconcile(emulator)[0].recovered_count == 1


def test_one_that_is_readable_again_is_forgotten(emulator, reconcile, connection):
    emulator.engine.unreadable.add(lose(emulator, 1))
    reconcile(emulator)
    assert connection.execute("SELECT count(*) FROM ops.n8n_unreadable").fetchone() == (1,)
    emulator.engine.unreadable.clear()
    assert reconcile(emulator)[0].recovered_count == 1
    assert connection.execute("SELECT count(*) FROM ops.n8n_unreadable").fetchone() == (0,)


def test_those_that_failed_before_come_last(emulator, reconcile, monkeypatch):
    odd = lose(emulator, 1)
    emulator.engine.unreadable.add(odd)
    reconcile(emulator)
    fresh = lose(emulator, 1)
    asked = count_asked(emulator, monkeypatch)
    reconcile(emulator)
    assert asked == [fresh, odd]


def test_what_is_too_large_is_given_up_at_once(emulator, reconcile, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.n8n.client.LARGEST_ANSWER", 20_000)
    odd = lose(emulator, 1)
    change_items(emulator, odd, lambda item: item.update(body='{"n": "' + "x" * 20_000 + '"}'))
    lose(emulator, 1)
    (found,) = reconcile(emulator)
    assert found.recovered_count == 1
    assert "more than 20000 bytes" in found.given_up[odd]


def test_an_n8n_that_fails_as_a_whole_makes_no_execution_unreadable(emulator, reconcile, connection):
    lose(emulator, 1)
    shown = emulator.engine.executions.find

    def fail(execution_id):
        emulator.engine.is_api_broken = True
        raise ConnectionResetError

    for now in LOOKS:
        emulator.engine.is_api_broken = False
        emulator.engine.executions.find = fail
        (found,) = reconcile(emulator, now=now)
        assert "failed (503)" in found.error
        assert found.given_up == {}
    emulator.engine.is_api_broken = False
    emulator.engine.executions.find = shown
    assert reconcile(emulator)[0].recovered_count == 1


def test_a_look_whose_list_fails_forgets_nothing(emulator, reconcile, connection):
    young = LATER - timedelta(hours=2, minutes=30)
    change_items(emulator, lose(emulator, 1), lambda item: item.pop("id"))
    assert reconcile(emulator, now=young)[0].unreadable_count == 1
    emulator.engine.is_api_broken = True
    assert reconcile(emulator, now=young)[0].error
    emulator.engine.is_api_broken = False
    assert reconcile(emulator, now=young)[0].unreadable_count == 0


def test_killed_before_the_look_is_kept_it_finds_and_tells_all_of_it_again(
    emulator, reconcile, connection, monkeypatch
):
    odd = lose(emulator, 1)
    emulator.engine.unreadable.add(odd)
    for now in LOOKS[:4]:
        reconcile(emulator, now=now)

    def die(*_, **__):
        raise KeyboardInterrupt

    for place in ("record_findings", "write_unread", "write_cursor"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(f"steadfast.webhooks.n8n.reconcile.{place}", die)
            reconcile(emulator, now=LOOKS[4])
        assert list_signals(connection) == []
        assert given_up(connection) == []
    assert list(reconcile(emulator, now=LOOKS[5])[0].given_up) == [odd]
    assert len(list_signals(connection)) == 1


def test_one_n8n_whose_events_cannot_be_stored_does_not_stop_the_next(database, connection, reconcile):
    insert_source(database, ORDERS, "n8n_1")
    insert_source(database, LEADS, "n8n_main")

    def store(events):
        if any(event.source.slug == "orders" for event in events):
            raise ValueError("a bug")
        return store_events(database.pipeline_url, events, origin="reconcile", now=LATER)

    with run_n8n(LEADS) as good, run_n8n(ORDERS) as bad:
        lose(good, 2, LEADS)
        lose(bad, 1)
        first, second = reconcile(good, bad, store=store)
        assert (first.connection_id, first.recovered_count) == ("n8n_1", 0)
        assert "ValueError" in first.failure
        assert (second.recovered, second.failure) == ({LEADS: 2}, None)
        again, _ = reconcile(good, bad)
    assert again.recovered == {ORDERS: 1}


def test_what_cannot_be_read_is_told_once_although_its_neighbours_cannot_be_stored(
    emulator, reconcile, connection
):
    change_items(emulator, lose(emulator, 1), lambda item: item.pop("id"))
    lose(emulator, 1)

    def refuse(_):
        raise ValueError("a bug")

    for now in LOOKS[:5]:
        assert reconcile(emulator, now=now, store=refuse)[0].unreadable_count == 0
    assert list_signals(connection) == []
    assert reconcile(emulator, now=LOOKS[5])[0].unreadable_count == 1
    assert len(list_signals(connection)) == 2


def test_a_slow_n8n_takes_only_its_share_of_the_time(database, reconcile):
    insert_source(database, ORDERS, "n8n_1")
    insert_source(database, LEADS, "n8n_main")
    moments = iter(range(10_000))
    with run_n8n(LEADS) as good, run_n8n(ORDERS) as slow:
        lose(good, 1, LEADS)
        for _ in range(50):
            lose(slow, 1)
        first, second = reconcile(good, slow, seconds=60.0, clock=lambda: float(next(moments)))
    assert 0 < first.left_count < 50
    assert (second.recovered, second.left_count) == ({LEADS: 1}, 0)


def test_an_n8n_that_asks_for_patience_gets_it_and_loses_nothing(emulator, reconcile, monkeypatch):
    slow = lose(emulator, 1)
    lose(emulator, 1)
    show = api.ApiHandler._find_row

    def refuse(handler, number):
        if number == slow:
            raise api.Answered(429, "Too many requests")
        return show(handler, number)

    monkeypatch.setattr(api.ApiHandler, "_find_row", refuse)
    first, *others = [reconcile(emulator, now=now)[0] for now in LOOKS]
    assert (first.recovered_count, first.left_count) == (0, 2)
    assert [one.recovered_count for one in others] == [1, 0, 0, 0, 0, 0, 0]
    assert all("failed (429)" in one.error for one in [first, *others])
    monkeypatch.undo()
    assert reconcile(emulator)[0].recovered_count == 1


def test_one_that_is_listed_and_said_to_be_gone_is_asked_for_again(emulator, reconcile, monkeypatch):
    odd = lose(emulator, 1)
    show = api.ApiHandler._find_row

    def hide(handler, number):
        if number == odd:
            raise api.Answered(404, "Not Found")
        return show(handler, number)

    monkeypatch.setattr(api.ApiHandler, "_find_row", hide)
    (found,) = reconcile(emulator)
    assert (found.recovered_count, found.left_count, found.error) == (0, 1, None)
    monkeypatch.undo()
    assert reconcile(emulator)[0].recovered_count == 1


def test_one_that_n8n_has_pruned_is_forgotten_without_a_word(emulator, reconcile, connection):
    odd = lose(emulator, 1)
    emulator.engine.unreadable.add(odd)
    reconcile(emulator)
    executions = emulator.engine.executions.connection
    executions.execute("DELETE FROM execution")
    (found,) = reconcile(emulator, now=LOOKS[1])
    assert (found.left_count, found.unreadable_count) == (0, 0)
    assert connection.execute("SELECT count(*) FROM ops.n8n_unreadable").fetchone() == (0,)
    assert list_signals(connection) == []


def test_an_execution_that_nobody_foresaw_stops_no_other(emulator, reconcile, monkeypatch):
    odd = lose(emulator, 1)
    lose(emulator, 1)
    find = look.find_events

    def overflow(shown, *more):
        if shown["id"] == str(odd):
            raise RecursionError
        return find(shown, *more)

    monkeypatch.setattr(look, "find_events", overflow)
    (found,) = reconcile(emulator)
    assert (found.recovered_count, found.left_count, found.error) == (1, 1, None)
    monkeypatch.undo()
    assert reconcile(emulator)[0].recovered_count == 1


def test_a_new_database_of_n8n_numbers_anew_and_hides_nothing(database, reconcile, connection):
    insert_source(database, ORDERS)
    with run_n8n(ORDERS) as old:
        old.engine.unreadable.add(lose(old, 1))
        for _ in range(2):
            lose(old, 1)
        for now in LOOKS[:5]:
            reconcile(old, now=now)
    assert given_up(connection) == [(1,)]
    with run_n8n(ORDERS) as new:
        lose(new, 1)
        change_items(new, 1, lambda item: item.update(id="another"))
        assert reconcile(new, now=LOOKS[5])[0].recovered_count == 1


def test_a_mail_is_no_longer_than_somebody_reads():
    lines = {f"{number}: " + "x" * 1000: 1 for number in range(60)}
    (signal,) = build_signals(Reconciled("n8n_main", unreadable=lines, last_execution=7), LATER)
    assert len(signal.body) < 8_000
    assert "… and 40 more" in signal.body
