"""How far the cursor may go: decisions about numbers, without an n8n and without a database."""

from datetime import UTC, datetime, timedelta

from steadfast.webhooks.n8n import cursor as cursors
from steadfast.webhooks.n8n.answers import Execution
from steadfast.webhooks.n8n.cursor import Cursor, advance

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_AGO, THIS_WEEK, JUST_NOW = (
    NOW - timedelta(days=91),
    NOW - timedelta(days=6),
    NOW - timedelta(minutes=5),
)


def failed(*numbers: int, at: datetime | None = LONG_AGO) -> list[Execution]:
    return [Execution(number, "error", "w", at) for number in numbers]


def test_it_moves_to_the_newest_one_when_all_are_done():
    assert advance(Cursor(), failed(3, 5, 8), {3, 5, 8}, (), NOW) == Cursor(8)


def test_it_stays_below_one_that_was_not_read_and_remembers_those_above():
    assert advance(Cursor(), failed(3, 5, 8), {3, 8}, (), NOW) == Cursor(3, frozenset({8}))


def test_it_stays_below_one_that_still_runs():
    assert advance(Cursor(), failed(3, 5, 8), {3, 5, 8}, {4}, NOW) == Cursor(3, frozenset({5, 8}))


def test_it_does_not_move_past_young_ones_below_which_something_may_run_unseen():
    young = failed(8, at=JUST_NOW)
    assert advance(Cursor(), [*failed(3), *young], {3, 8}, (), NOW) == Cursor(3, frozenset({8}))


def test_it_does_not_move_past_those_of_this_week_below_which_something_may_wait_unseen():
    assert advance(Cursor(), failed(8, at=THIS_WEEK), {8}, (), NOW) == Cursor(0, frozenset({8}))


def test_of_more_than_it_can_remember_it_moves_past_the_oldest(monkeypatch):
    monkeypatch.setattr(cursors, "MOST_REMEMBERED", 2)
    listed = failed(3, 5, 8, 9, at=THIS_WEEK)
    assert advance(Cursor(), listed, {3, 5, 8, 9}, (), NOW) == Cursor(5, frozenset({8, 9}))
    young = failed(3, 5, 8, 9, at=JUST_NOW)
    assert advance(Cursor(), young, {3, 5, 8, 9}, (), NOW) == Cursor(0, frozenset({3, 5, 8, 9}))


def test_what_has_not_started_holds_it_too():
    assert advance(Cursor(2), failed(5, at=None), {5}, (), NOW) == Cursor(2, frozenset({5}))


def test_what_was_done_before_counts():
    before = Cursor(3, frozenset({8}))
    assert advance(before, failed(5, 8), {5}, (), NOW) == Cursor(8)


def test_what_n8n_has_forgotten_is_forgotten():
    assert advance(Cursor(3, frozenset({5, 8})), failed(8, at=JUST_NOW), (), (), NOW) == Cursor(
        3, frozenset({8})
    )


def test_it_goes_back_below_one_that_shows_up_late_as_running():
    assert advance(Cursor(9), failed(12), {12}, {7}, NOW) == Cursor(6, frozenset({12}))


def test_nothing_failed_is_no_move():
    assert advance(Cursor(9), [], (), {20}, NOW) == Cursor(9)
