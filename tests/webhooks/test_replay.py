"""Replaying and discarding by filter: each once, whatever happens meanwhile, with a trace of who asked."""

import threading
from datetime import UTC, datetime

import psycopg
import pytest

from steadfast.errors import ConfigError
from steadfast.webhooks.replaying import replay_batch
from steadfast.webhooks.replaying.replay import discard_events, replay_events
from steadfast.webhooks.replaying.replay_batch import Picked, cut_batch
from steadfast.webhooks.replaying.search import EventFilter

from .conftest import order
from .replay_events import (
    HOUR,
    NOW,
    add_dead,
    add_event,
    add_shops,
    bury,
    copies,
    finish_chunks,
    inbox_rows,
    letter_states,
    order_body,
)

USD = [{"op": "replace", "path": "/data/currency", "value": "USD"}]


@pytest.fixture
def owner(database):
    with database.connect() as connection:
        add_shops(connection)
        yield connection


@pytest.fixture
def pipeline(owner, database):
    """The role that tasks have, so that its rights are enough."""
    with database.connect_pipeline() as connection:
        yield connection


def ask(connection, patch=None, *, is_dry_run=False, now=NOW, on_progress=None, **wanted):
    return replay_events(
        connection,
        EventFilter(**wanted),
        patch=patch,
        is_dry_run=is_dry_run,
        actor="test:ada",
        now=now,
        on_progress=on_progress,
    )


def requests(connection):
    query = """
        SELECT requested_by, filter, patch, is_dry_run, matched_count, replayed_count, refused_count
        FROM ops.webhook_replay ORDER BY request_id
    """
    return connection.execute(query).fetchall()


def test_a_replay_copies_the_bytes_and_marks_the_dead_letter(pipeline, owner):
    body = b' {"type":"order", "n" : 1.10 }'
    event = add_dead(owner, body=body)
    report = ask(pipeline, entity="bakery")
    assert (report.matched_count, report.replayed_count, list(report.refused)) == (1, 1, [])
    old, new = inbox_rows(owner)
    assert (new[1], new[2], new[3], bytes(new[6]), new[7]) == (event, "replay", "order", body, old[7])
    letter = owner.execute("SELECT state, replayed_as FROM landing.dead_letter").fetchone()
    assert letter == ("replayed", new[0])
    assert owner.execute("SELECT count(*) FROM landing.webhook_event_key").fetchone() == (0,)


def test_a_patch_mends_the_copy_and_leaves_the_original(pipeline, owner):
    event = add_dead(owner, event_type="ordr", body=order_body(version=7))
    patch = [*USD, {"op": "replace", "path": "/version", "value": 1}]
    assert ask(pipeline, patch, reason="bad_field").replayed_count == 1
    old, new = inbox_rows(owner)
    assert bytes(old[6]) == order_body(version=7)
    assert b'"currency":"USD"' in bytes(new[6])
    assert (new[3], new[4], new[5]) == ("order", 1, True)
    assert letter_states(owner) == {event: "replayed"}


def test_only_what_the_filter_names_is_replayed(pipeline, owner):
    wanted = add_dead(owner, "bakery/booking")
    others = [add_dead(owner), add_dead(owner, "cafe/shop"), add_event(owner)]
    ask(pipeline, entity="bakery", source="booking")
    assert list(copies(owner)) == [wanted]
    assert letter_states(owner) == {wanted: "replayed", others[0]: "dead", others[1]: "dead"}


def test_asking_again_copies_nothing(pipeline, owner):
    add_dead(owner)
    assert [ask(pipeline, reason="bad_field").replayed_count for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("patch", [None, USD])
def test_two_who_ask_at_once_copy_each_event_once(database, owner, monkeypatch, patch):
    monkeypatch.setattr(replay_batch, "BATCH_EVENTS", 7)
    events = [add_dead(owner, body=order_body()) for _ in range(100)]
    counts, barrier = [], threading.Barrier(4)

    def work():
        with database.connect_pipeline() as connection:
            barrier.wait()
            counts.append(ask(connection, patch, reason="bad_field").replayed_count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 100
    assert {event: len(found) for event, found in copies(owner).items()} == dict.fromkeys(events, 1)


def test_a_copy_that_dies_while_the_replay_runs_is_not_replayed_again(pipeline, owner, monkeypatch):
    monkeypatch.setattr(replay_batch, "BATCH_EVENTS", 1)
    events = [add_dead(owner) for _ in range(3)]

    def bury_copies(_seen, _total):
        for inbox_id, replay_of, *_ in inbox_rows(owner):
            if replay_of and inbox_id not in letter_states(owner):
                bury(owner, inbox_id)

    assert ask(pipeline, reason="bad_field", on_progress=bury_copies).replayed_count == 3
    assert sorted(copies(owner)) == events


def test_what_was_done_before_a_break_stays_done_and_counted(database, owner, monkeypatch):
    monkeypatch.setattr(replay_batch, "BATCH_EVENTS", 2)
    events = [add_dead(owner) for _ in range(5)]

    def cut_off(seen, _total):
        if seen == 4:
            owner.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))

    with database.connect_pipeline() as connection, pytest.raises(psycopg.Error):
        ask(connection, USD, reason="bad_field", on_progress=cut_off)
    assert sorted(copies(owner)) == events[:4]
    assert requests(owner)[0][4:] == (5, 4, 0)
    with database.connect_pipeline() as connection:
        assert ask(connection, USD, reason="bad_field").replayed_count == 1
    assert {event: len(found) for event, found in copies(owner).items()} == dict.fromkeys(events, 1)


def test_what_the_patch_does_not_fit_is_reported_and_the_others_go_on(pipeline, owner):
    good, bad = add_dead(owner, body=order_body()), add_dead(owner, body=b'{"type": "order", "data": {}}')
    report = ask(pipeline, USD, reason="bad_field")
    assert (report.matched_count, report.replayed_count) == (2, 1)
    assert [(refused.inbox_id, "no such place" in refused.reason) for refused in report.refused] == [
        (bad, True)
    ]
    assert letter_states(owner) == {good: "replayed", bad: "dead"}
    assert requests(owner)[0][4:] == (2, 1, 1)


def test_a_dead_letter_without_its_body_is_reported(pipeline, owner):
    event = add_dead(owner)
    owner.execute("DELETE FROM landing.webhook_inbox")
    report = ask(pipeline, reason="bad_field")
    assert [refused.reason for refused in report.refused] == ["its body is not kept any more"]
    assert letter_states(owner) == {event: "dead"}


def test_a_dry_run_tells_and_changes_nothing_but_leaves_the_request(pipeline, owner):
    events = [add_dead(owner, body=order_body()) for _ in range(7)]
    add_dead(owner, body=b'{"type": "order", "data": {}}')
    report = ask(pipeline, USD, is_dry_run=True, entity="bakery")
    assert (report.matched_count, report.replayed_count, len(report.refused)) == (8, 7, 1)
    assert [preview.inbox_id for preview in report.previews] == events[:5]
    assert b'"usd"' in report.previews[0].before
    assert b'"USD"' in report.previews[0].after.body
    assert copies(owner) == {}
    assert set(letter_states(owner).values()) == {"dead"}
    assert requests(owner) == [("test:ada", {"state": "dead", "entity": "bakery"}, USD, True, 8, 7, 1)]
    assert owner.execute("SELECT count(*) FROM ops.audit_event").fetchone() == (0,)


def test_a_request_and_an_audit_event_say_who_asked_for_what(pipeline, owner):
    add_dead(owner)
    ask(pipeline, USD, entity="bakery", since=datetime(2026, 11, 24, tzinfo=UTC))
    (request,) = requests(owner)
    assert request[0] == "test:ada"
    assert request[1] == {"state": "dead", "entity": "bakery", "since": "2026-11-24 00:00:00+00:00"}
    audit = owner.execute(
        "SELECT actor, action, object_kind, object_id, entity_id IS NOT NULL, after ->> 'matched_count'"
        " FROM ops.audit_event"
    ).fetchall()
    assert audit == [("test:ada", "replay", "webhook_replay", "1", True, "1")]


def test_a_patch_is_kept_digit_for_digit(pipeline, owner):
    from steadfast.webhooks.replaying.mend import read_patch

    number = "123456789012345678901234567890.10"
    event = add_dead(owner, body=order_body())
    ask(pipeline, read_patch(f'[{{"op": "add", "path": "/data/n", "value": {number}}}]'), inbox_id=event)
    stored = owner.execute("SELECT patch -> 0 ->> 'value' FROM ops.webhook_replay").fetchone()
    assert stored == (number,)
    assert number.encode() in copies(owner)[event][0]


def test_applied_events_are_replayed_too(pipeline, owner):
    events = [add_event(owner), add_event(owner, "cafe/shop")]
    add_dead(owner)
    finish_chunks(owner)
    waiting = add_event(owner)
    report = ask(pipeline, state="applied", event_type="order")
    assert (report.matched_count, report.replayed_count) == (2, 2)
    assert sorted(copies(owner)) == events
    assert waiting not in copies(owner)


def test_applied_events_are_walked_through_in_batches(pipeline, owner, monkeypatch):
    monkeypatch.setattr(replay_batch, "BATCH_EVENTS", 2)
    events = [add_event(owner, place, at=NOW - HOUR * hour) for hour in (1, 30) for place in PLACES * 2]
    finish_chunks(owner)
    seen = []
    ask(pipeline, USD, state="applied", event_type="order", on_progress=lambda *both: seen.append(both))
    assert {event: len(found) for event, found in copies(owner).items()} == dict.fromkeys(events, 1)
    assert seen[-1] == (12, 12)


PLACES = ("bakery/shop", "cafe/shop", "bakery/booking")


@pytest.mark.parametrize("state", ["waiting", "replayed", "resolved"])
def test_what_has_no_need_of_a_replay_is_refused(pipeline, owner, state):
    with pytest.raises(ConfigError, match=f"{state} cannot be replayed"):
        ask(pipeline, state=state)
    assert requests(owner) == []


def test_a_broken_patch_is_refused_before_anything_is_written(pipeline, owner):
    with pytest.raises(ConfigError, match="patch"):
        ask(pipeline, [{"op": "zap"}], reason="bad_field")
    assert requests(owner) == []


def test_discarded_letters_say_who_gave_them_up_and_can_come_back(pipeline, owner):
    event, other = add_dead(owner), add_dead(owner, "cafe/shop")
    report = discard_events(
        pipeline, EventFilter(entity="bakery"), because="a test order", actor="test:ada", now=NOW
    )
    assert (report.matched_count, report.replayed_count) == (1, 1)
    assert letter_states(owner) == {event: "discarded", other: "dead"}
    settled = owner.execute(
        "SELECT settled_by, settled_at FROM landing.dead_letter WHERE inbox_id = %s", (event,)
    ).fetchone()
    assert settled == ("test:ada", NOW)
    assert requests(owner)[0][1]["discard"] == "a test order"
    assert owner.execute("SELECT action FROM ops.audit_event").fetchall() == [("discard",)]
    assert ask(pipeline, state="discarded", entity="bakery").replayed_count == 1
    assert letter_states(owner)[event] == "replayed"


def test_a_dry_run_discards_nothing(pipeline, owner):
    event = add_dead(owner)
    report = discard_events(
        pipeline, EventFilter(reason="bad_field"), because="x", is_dry_run=True, actor="a", now=NOW
    )
    assert (report.replayed_count, letter_states(owner)) == (1, {event: "dead"})


def test_discarding_needs_a_reason_and_dead_letters(pipeline):
    for wanted, because in ((EventFilter(reason="x"), " "), (EventFilter(state="applied"), "old")):
        with pytest.raises(ConfigError):
            discard_events(pipeline, wanted, because=because, actor="a", now=NOW)


def test_a_replay_outside_of_autocommit_is_refused(database, owner):
    with database.connect(autocommit=False) as connection, pytest.raises(ValueError, match="autocommit"):
        ask(connection, reason="bad_field")


def test_a_replay_on_a_day_without_a_partition_makes_it(pipeline, owner):
    add_dead(owner)
    assert ask(pipeline, reason="bad_field", now=datetime(2026, 12, 30, tzinfo=UTC)).replayed_count == 1


def test_a_batch_holds_no_more_bytes_than_a_transaction_may():
    events = [Picked(number, 1, NOW, size) for number, size in enumerate((60, 30, None, 20, 500))]
    assert [event.inbox_id for event in cut_batch(events, 100)] == [0, 1, 2]
    assert [event.inbox_id for event in cut_batch(events[4:], 100)] == [4]
    assert cut_batch(events, 1000) == events


def test_large_bodies_are_replayed_in_smaller_batches(pipeline, owner, monkeypatch):
    monkeypatch.setattr(replay_batch, "BATCH_BYTES", 300)
    events = [add_dead(owner, body=order_body()) for _ in range(4)]
    seen = []
    ask(pipeline, USD, reason="bad_field", on_progress=lambda *both: seen.append(both))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(copies(owner)) == events


def test_a_mended_event_ends_in_the_facts_and_settles_its_dead_letter(inbox):
    event = inbox.add({"order_id": "7", "status": "paid", "placed_at": "2026-11-23", "total": 5})
    bad = inbox.add(order(order_id="8", currency="usd"))
    inbox.process()
    assert {inbox_id for inbox_id, _ in inbox.dead()} == {event, bad}
    later = inbox.now + HOUR
    assert ask(inbox.pipeline, USD, now=later, inbox_id=bad).replayed_count == 1
    inbox.now = later + HOUR
    inbox.process()
    assert inbox.rows("order_id, currency") == [("8", "USD")]
    assert letter_states(inbox.connection) == {event: "dead", bad: "resolved"}


def test_a_copy_that_dies_again_can_be_mended_again(inbox):
    bad = inbox.add(order(currency="usd", status="payed"))
    inbox.process()
    ask(inbox.pipeline, USD, now=inbox.now + HOUR, inbox_id=bad)
    inbox.now += 2 * HOUR
    inbox.process()
    states = letter_states(inbox.connection)
    assert list(states.values()) == ["replayed", "dead"]
    paid = [{"op": "replace", "path": "/data/status", "value": "paid"}]
    assert ask(inbox.pipeline, paid, now=inbox.now + HOUR, event_type="order").replayed_count == 1
    inbox.now += 2 * HOUR
    inbox.process()
    assert inbox.rows("order_id, status, currency") == [("10042", "paid", "USD")]
    assert "dead" not in letter_states(inbox.connection).values()


def test_replaying_what_was_applied_changes_nothing_in_the_facts(inbox):
    inbox.add(order())
    inbox.process()
    before = inbox.rows("order_id, total, event_at")
    ask(inbox.pipeline, now=inbox.now + HOUR, state="applied", event_type="order")
    inbox.now += 2 * HOUR
    assert inbox.process().applied_count == 1
    assert inbox.rows("order_id, total, event_at") == before


def test_a_second_replay_of_what_was_applied_does_not_undo_what_the_first_one_mended(inbox):
    inbox.add(order(total="1000"))
    inbox.process()
    ten = [{"op": "replace", "path": "/data/total", "value": "10"}]
    ask(inbox.pipeline, ten, now=inbox.now + HOUR, state="applied", event_type="order")
    inbox.now += 2 * HOUR
    inbox.process()
    again = ask(inbox.pipeline, now=inbox.now, state="applied", until=inbox.now - HOUR, event_type="order")
    assert again.replayed_count == 0
    assert [total for (total,) in inbox.rows("total")] == [10]


def test_a_replayed_event_does_not_beat_one_of_the_same_moment_that_came_after_it(inbox):
    bad = inbox.add(order(status="placed", currency="usd"))
    inbox.add(order(status="paid"))
    inbox.process()
    ask(inbox.pipeline, USD, now=inbox.now + HOUR, inbox_id=bad)
    inbox.now += 2 * HOUR
    inbox.process()
    assert inbox.rows("order_id, status") == [("10042", "paid")]
