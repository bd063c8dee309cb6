"""Finding events by what they are and what became of them, and everything about one."""

from datetime import timedelta

import pytest

from steadfast.errors import ConfigError
from steadfast.webhooks.replaying.search import EventFilter, search_events, show_event

from .replay_events import HOUR, NOW, add_dead, add_event, add_shops, bury, finish_chunks, order_body


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        add_shops(connection)
        yield connection


def found(connection, **wanted):
    return [event.inbox_id for event in search_events(connection, EventFilter(**wanted), 50)]


def plan_chunk(connection, inbox_ids, state="planned"):
    connection.execute(
        """
        INSERT INTO ops.webhook_chunk (run_id, entity_ids, from_id, to_id, first_received_at,
            last_received_at, event_count, state, planned_at)
        SELECT 1, array_agg(DISTINCT entity_id), min(inbox_id) - 1, max(inbox_id), min(received_at),
            max(received_at), count(*), %s, %s
        FROM landing.webhook_inbox WHERE inbox_id = ANY(%s)
        """,
        (state, NOW, inbox_ids),
    )


def states(connection):
    return {event.inbox_id: event.state for event in search_events(connection, EventFilter(), 50)}


def test_an_event_waits_until_its_chunk_is_done(connection):
    event = add_event(connection)
    assert states(connection) == {event: "waiting"}
    plan_chunk(connection, [event])
    finish_chunks(connection)
    assert states(connection) == {event: "waiting"}
    connection.execute("UPDATE ops.webhook_chunk SET state = 'done'")
    assert states(connection) == {event: "applied"}


def test_a_chunk_of_another_entity_does_not_hold_an_event_back(connection):
    bakery, cafe = add_event(connection), add_event(connection, "cafe/shop")
    plan_chunk(connection, [cafe])
    connection.execute("UPDATE ops.webhook_chunk SET from_id = 0")
    finish_chunks(connection)
    assert states(connection) == {bakery: "applied", cafe: "waiting"}


@pytest.mark.parametrize("state", ["dead", "replayed", "resolved", "discarded"])
def test_a_dead_letter_says_the_state(connection, state):
    event, other = add_event(connection), add_event(connection)
    bury(connection, event, state=state)
    finish_chunks(connection)
    assert states(connection) == {event: state, other: "applied"}
    assert found(connection, state=state) == [event]
    assert found(connection, state="applied") == [other]


def test_the_newest_come_first_and_no_more_than_asked_for(connection):
    events = [add_event(connection, place) for place in ("bakery/shop", "cafe/shop") * 3]
    newest = search_events(connection, EventFilter(), 4)
    assert [event.inbox_id for event in newest] == events[:1:-1]


def test_every_field_of_the_filter_narrows_the_search(connection):
    add_event(connection, event_id="e-2")
    event = add_event(connection, "bakery/booking", event_type="booking", event_id="e-1", at=NOW - 3 * HOUR)
    assert found(connection, entity="bakery", source="booking") == [event]
    assert found(connection, event_type="booking") == [event]
    assert found(connection, event_id="e-1") == [event]
    assert found(connection, inbox_id=event) == [event]
    assert found(connection, until=NOW - 2 * HOUR) == [event]
    assert found(connection, since=NOW - 2 * HOUR, source="booking") == []
    assert found(connection, entity="cafe") == []


def test_every_field_narrows_a_search_for_dead_letters_too(connection):
    add_dead(connection, event_id="e-2")
    event = add_dead(
        connection,
        "bakery/booking",
        event_type="booking",
        event_id="e-1",
        at=NOW - 3 * HOUR,
        reason="unknown_type",
    )
    for wanted in (
        {"source": "booking"},
        {"event_type": "booking"},
        {"event_id": "e-1"},
        {"inbox_id": event},
        {"until": NOW - 2 * HOUR},
        {"reason": "unknown_type"},
    ):
        assert found(connection, state="dead", **wanted) == [event], wanted
    assert found(connection, reason="unknown_type") == [event]
    assert found(connection, state="dead", since=NOW - 2 * HOUR, source="booking") == []


def test_a_source_of_the_same_name_is_found_in_every_entity_unless_one_is_named(connection):
    events = [add_event(connection, place) for place in ("bakery/shop", "cafe/shop")]
    assert found(connection, source="shop") == events[::-1]
    assert found(connection, source="shop", entity="cafe") == events[1:]


def test_bodies_are_only_read_on_demand(connection):
    add_dead(connection, body=b'{"n": 1}')
    for wanted in (EventFilter(), EventFilter(state="dead")):
        assert search_events(connection, wanted, 5)[0].body is None
        assert search_events(connection, wanted, 5, has_body=True)[0].body == b'{"n": 1}'


def test_a_dead_letter_is_listed_even_if_its_body_is_not_kept_any_more(connection):
    event = add_dead(connection)
    connection.execute("DELETE FROM landing.webhook_inbox")
    assert found(connection, state="dead") == [event]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"entity": "bakry"}, "did you mean bakery"),
        ({"source": "shp"}, "There is no source 'shp'; did you mean shop"),
        ({"entity": "cafe", "source": "booking"}, "Entity cafe has no source 'booking'"),
        ({"state": "ded"}, "valid are waiting, applied, dead"),
        ({"state": "applied", "reason": "bad_field"}, "only dead letters have one"),
    ],
)
def test_a_filter_that_names_what_does_not_exist_is_refused(connection, wanted, words):
    with pytest.raises(ConfigError, match=words):
        found(connection, **wanted)


def test_a_search_over_the_whole_inbox_looks_back_a_week():
    week_ago = NOW - timedelta(days=7)
    for wanted in (EventFilter(), EventFilter(state="applied"), EventFilter(event_id="e-1")):
        assert wanted.limit_period(NOW).since == week_ago
    for narrow in (EventFilter(state="dead"), EventFilter(reason="x"), EventFilter(inbox_id=3)):
        assert narrow.limit_period(NOW).since is None
    assert EventFilter(since=NOW).limit_period(NOW).since == NOW


def test_the_story_of_a_dead_letter_says_why_and_what_its_contract_asks_for(connection):
    event = add_dead(connection, body=order_body(status="payed"))
    story = show_event(connection, event)
    assert (story.entity, story.source, story.state, story.origin) == ("bakery", "shop", "dead", "http")
    assert story.body == order_body(status="payed")
    assert story.dead_letter.detail == "currency: must be three capital letters"
    assert any("data.status" in sentence and "fulfilled" in sentence for sentence in story.violations)
    assert any("data.currency" in sentence for sentence in story.violations)


def test_a_story_can_be_told_of_the_oddest_event(connection):
    for body in (
        b'{"type": "order", "n": ' + b"9" * 5000 + b"}",
        b'{"type": "order", "n": 1e99999999999999999999}',
    ):
        event = add_event(connection, body=body)
        assert show_event(connection, event).violations


def test_the_story_has_every_replay_of_the_event_whichever_is_asked_for(connection):
    first = add_dead(connection)
    second, third = add_event(connection), add_event(connection)
    for inbox_id, replay_of in ((second, first), (third, second)):
        connection.execute(
            "UPDATE landing.webhook_inbox SET replay_of = %s WHERE inbox_id = %s", (replay_of, inbox_id)
        )
    for inbox_id in (first, second, third):
        steps = show_event(connection, inbox_id).replays
        assert [(step.inbox_id, step.replay_of) for step in steps] == [
            (first, None),
            (second, first),
            (third, second),
        ]


def test_an_event_that_is_not_there_is_refused(connection):
    with pytest.raises(ConfigError, match="holds no event 12"):
        show_event(connection, 12)
