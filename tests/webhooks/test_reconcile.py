"""Lost events are found in n8n and brought in: the emulated n8n posts to a receiver that is down at times."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from steadfast.demo.n8n import Emulator, api, asked
from steadfast.demo.n8n.items import PREPARE
from steadfast.demo.n8n.shape import begin_data
from steadfast.webhooks.envelope import read_event
from steadfast.webhooks.inbox import store_events
from steadfast.webhooks.n8n.answers import N8nServer
from steadfast.webhooks.n8n.reconcile import list_sources, reconcile_sources

from .read_back import (
    LATER,
    LEADS,
    NOW,
    ORDERS,
    change_items,
    count_asked,
    insert_source,
    list_signals,
    lose,
    run_n8n,
)


@dataclass
class Receiver:
    """Stores what comes, or is down, or refuses some ids: as a receiver does that has its troubles."""

    url: str = ""
    is_down: bool = False
    refused: set[str] = field(default_factory=set)


@pytest.fixture
def add_source(database):
    """A function that adds a source whose events the n8n behind a Connection posts."""
    return partial(insert_source, database)


@pytest.fixture
def receiver(database) -> Iterator[Receiver]:
    book = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            event_id = self.headers["webhook-id"]
            is_taken = not book.is_down and event_id not in book.refused
            if is_taken:
                with database.connect_pipeline() as connection:
                    known = {one.name: one.source for one in list_sources(connection)}
                event = read_event(known[self.path.removeprefix("/v1/in/")], event_id, body)
                store_events(database.pipeline_url, [event], origin="http", now=NOW)
            self.send_response(202 if is_taken else 503)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    book.url = f"http://127.0.0.1:{server.server_port}"
    yield book
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(receiver):
    """A function that starts an n8n with a workflow for each name; call it in a `with`."""
    return partial(run_n8n, receiver=receiver.url)


def send(emulator: Emulator, count: int, name: str = ORDERS) -> int:
    return emulator.engine.send(name, count)


def count_inbox(connection) -> dict[str, int]:
    return dict(
        connection.execute("SELECT origin, count(*) FROM landing.webhook_inbox GROUP BY 1").fetchall()
    )


def test_exactly_the_lost_ones_of_ten_events_are_recovered(
    add_source, start, receiver, reconcile, connection
):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        send(emulator, 4)
        receiver.is_down = True
        lost = send(emulator, 3)
        receiver.is_down = False
        send(emulator, 3)
        (found,) = reconcile(emulator)
        assert (found.recovered, found.duplicate_count, found.error) == ({ORDERS: 3}, 0, None)
        assert count_inbox(connection) == {"http": 7, "reconcile": 3}
        (again,) = reconcile(emulator)
    assert (again.recovered_count, again.duplicate_count, again.left_count) == (0, 0, 0)
    assert count_inbox(connection) == {"http": 7, "reconcile": 3}
    ((kind, subject, body),) = list_signals(connection)
    assert (kind, subject) == ("webhook_events_recovered", "3 events from n8n had been lost and came in late")
    assert f"3  {ORDERS}" in body
    assert f"execution {lost}" in body
    row = connection.execute("SELECT handled, recovered_count, error FROM ops.n8n_cursor").fetchone()
    assert row == ([lost], 0, None)


def test_the_bytes_that_come_in_late_are_those_that_were_sent(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        lost = lose(emulator, 1)
        reconcile(emulator)
        data = json.loads(emulator.engine.executions.find(lost)["data"])
    (item,) = data["resultData"]["runData"][PREPARE][0]["data"]["main"][0]
    stored = connection.execute("SELECT event_id, body FROM landing.webhook_inbox").fetchone()
    assert stored == (item["json"]["id"], item["json"]["body"].encode())


def test_what_arrived_of_a_failed_node_is_known(add_source, start, receiver, reconcile):
    add_source(ORDERS)
    receiver.refused.add("shop:orders:0:1")
    with start(ORDERS) as emulator:
        send(emulator, 3)
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.duplicate_count) == (1, 2)


def test_an_execution_whose_retry_succeeded_passes_without_a_signal(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        emulator.engine.retry(lose(emulator, 2))
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.duplicate_count) == (0, 2)
    assert list_signals(connection) == []


@pytest.mark.parametrize("statuses", [asked.STATUSES, ("error", "success")])
def test_one_that_runs_for_long_and_fails_below_the_others_is_found(
    add_source, start, reconcile, monkeypatch, statuses
):
    add_source(ORDERS)
    monkeypatch.setattr(asked, "STATUSES", statuses)
    with start(ORDERS) as emulator:
        executions = emulator.engine.executions
        lost = lose(emulator, 2)
        data = json.loads(executions.find(lost)["data"])
        executions.finish(lost, "running", data, NOW)
        lose(emulator, 1)
        assert reconcile(emulator)[0].recovered_count == 1
        assert reconcile(emulator)[0].recovered_count == 0
        executions.finish(lost, "error", data, NOW)
        assert reconcile(emulator)[0].recovered_count == 2
        assert reconcile(emulator)[0].recovered_count == 0


@pytest.mark.parametrize("days", [0.1, 20, 89])
def test_one_that_fails_after_it_waited_unseen_for_long_is_found(add_source, start, reconcile, days):
    add_source(ORDERS)
    add_source(LEADS)
    with start(ORDERS, LEADS, waits=[ORDERS]) as emulator:
        waiting = emulator.engine.send(ORDERS, 2)
        for _ in range(3):
            lose(emulator, 1, LEADS)
        then = NOW + timedelta(days=days)
        assert reconcile(emulator, now=LATER)[0].recovered == {LEADS: 3}
        assert reconcile(emulator, now=then, kept=LATER)[0].recovered == {}
        emulator.engine.resume(waiting, is_lost=True)
        assert reconcile(emulator, now=then, kept=LATER)[0].recovered == {ORDERS: 2}


def test_what_somebody_stopped_while_it_tried_is_found(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        stopped = emulator.engine.send(ORDERS, 3, is_stopped=True)
        lose(emulator, 1)
        (found,) = reconcile(emulator)
        assert (found.recovered_count, found.unreadable_count, found.error) == (4, 0, None)
        assert reconcile(emulator)[0].recovered_count == 0
    assert connection.execute("SELECT handled FROM ops.n8n_cursor").fetchone() == ([stopped, stopped + 1],)


def test_an_n8n_that_does_not_know_what_canceled_is_is_read_all_the_same(
    add_source, start, reconcile, monkeypatch
):
    add_source(ORDERS)
    monkeypatch.setattr(asked, "STATUSES", ("error", "success", "waiting"))
    with start(ORDERS) as emulator:
        lose(emulator, 2)
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.error) == (2, None)


def test_what_a_kill_of_n8n_cut_off_is_found_if_progress_is_saved_and_told_of_if_not(
    add_source, start, reconcile, connection, tmp_path
):
    add_source(ORDERS)
    add_source(LEADS)
    for is_again in (False, True):
        with start(ORDERS, LEADS, state=tmp_path, forgets=[LEADS]) as emulator:
            if is_again:
                (found,) = reconcile(emulator)
                break
            for name in (ORDERS, LEADS):
                lost = lose(emulator, 2, name)
                workflow = emulator.engine.workflows[name]
                kept = json.loads(emulator.engine.executions.find(lost)["data"])
                items = kept["executionData"]["nodeExecutionStack"][0]["data"]["main"][0]
                data = begin_data(workflow.target, 0, items, NOW)
                emulator.engine.executions.finish(lost, "running", data, NOW)
    assert found.recovered == {ORDERS: 2}
    assert "as after a crash" in next(iter(found.unreadable))
    body = {kind: body for kind, _, body in list_signals(connection)}["webhook_events_unreadable"]
    assert "press Retry" in body


def test_an_n8n_that_is_starting_loses_nothing(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        lose(emulator, 2)
        emulator.engine.is_api_starting = True
        for minutes in range(0, 200, 20):
            (found,) = reconcile(emulator, now=LATER + timedelta(minutes=minutes))
            assert "it is starting" in found.error
        emulator.engine.is_api_starting = False
        assert reconcile(emulator)[0].recovered_count == 2
    assert connection.execute("SELECT count(*) FROM ops.n8n_unreadable").fetchone() == (0,)


def test_one_that_answers_404_with_a_page_while_it_is_read_is_not_gone(
    add_source, start, reconcile, connection
):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        lose(emulator, 2)
        executions = emulator.engine.executions
        shown = executions.find

        def restart(number):
            emulator.engine.is_api_starting = True
            raise ConnectionResetError(number)

        executions.find = restart
        assert reconcile(emulator)[0].error
        executions.find = shown
        emulator.engine.is_api_starting = False
        assert reconcile(emulator)[0].recovered_count == 2


def test_a_look_at_an_n8n_that_keeps_much_is_cheap(add_source, start, reconcile, monkeypatch):
    add_source(ORDERS)
    requests = []
    answer = api.ApiHandler._answer
    monkeypatch.setattr(api.ApiHandler, "_answer", lambda one: requests.append(one.path) or answer(one))
    with start(ORDERS) as emulator:
        data = json.loads(emulator.engine.executions.find(lose(emulator, 1))["data"])
        row = ("wf-shop/orders", "error", "trigger", NOW.isoformat(), json.dumps(data))
        emulator.engine.executions.connection.executemany(
            "INSERT INTO execution (workflow_id, status, mode, started_at, data) VALUES (?, ?, ?, ?, ?)",
            [row] * 999,
        )
        reconcile(emulator)
        requests.clear()
        assert reconcile(emulator)[0].left_count == 0
    assert len(requests) == 6 + 3


def test_what_crashed_before_it_could_post_is_found(add_source, start, reconcile):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        lost = lose(emulator, 2)
        data = json.loads(emulator.engine.executions.find(lost)["data"])
        del data["resultData"]["runData"]["Steadfast"]
        emulator.engine.executions.finish(lost, "crashed", data, NOW)
        assert reconcile(emulator)[0].recovered_count == 2


def test_what_there_was_no_time_for_is_read_the_next_time(add_source, start, reconcile, monkeypatch):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        for _ in range(4):
            lose(emulator, 1)
        asked = count_asked(emulator, monkeypatch)
        (first,) = reconcile(emulator, clock=lambda: 0.0 if len(asked) < 2 else 1000.0)
        assert (first.recovered_count, first.left_count) == (2, 2)
        (second,) = reconcile(emulator)
    assert (second.recovered_count, second.left_count, second.duplicate_count) == (2, 0, 0)


def test_an_n8n_that_is_down_does_not_stop_the_others(add_source, start, reconcile, connection):
    add_source(ORDERS, "n8n_1")
    add_source(LEADS, "n8n_main")
    add_source("bakery/shop", "n8n_nowhere")
    with start(LEADS) as down, start(ORDERS) as up:
        down.engine.is_api_broken = True
        lose(down, 1, LEADS)
        lose(up, 2)
        found = {one.connection_id: one for one in reconcile(down, up)}
        assert found["n8n_1"].recovered == {ORDERS: 2}
        assert "failed (503): Database is not ready!" in found["n8n_main"].error
        assert "no Connection n8n_nowhere" in found["n8n_nowhere"].error
        reconcile(down, up)
        kinds = [kind for kind, _, _ in list_signals(connection)]
        assert sorted(kinds) == ["n8n_unreachable", "n8n_unreachable", "webhook_events_recovered"]
        down.engine.is_api_broken = False
        again = {one.connection_id: one for one in reconcile(down, up)}
    assert again["n8n_main"].recovered == {LEADS: 1}
    errors = dict(connection.execute("SELECT connection_id, error FROM ops.n8n_cursor").fetchall())
    assert (errors["n8n_1"], errors["n8n_main"]) == (None, None)
    assert "n8n_nowhere" in errors["n8n_nowhere"]


def test_an_n8n_that_is_out_of_reach_is_told_once_until_it_was_read_well_again(
    add_source, start, reconcile, connection, database
):
    add_source(ORDERS)

    def look(emulator, hours, is_broken):
        emulator.engine.is_api_broken = is_broken
        reconcile(emulator, now=LATER + timedelta(hours=hours))
        return len(list_signals(connection))

    with start(ORDERS) as emulator:
        assert [look(emulator, hours, True) for hours in (0, 0.1, 1, 9, 30, 80)] == [1] * 6
        assert look(emulator, 81, False) == 1
        assert [look(emulator, hours, True) for hours in (82, 100)] == [2, 2]


def test_an_n8n_that_is_out_of_reach_by_turns_is_told_once_an_hour(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        for minute in range(0, 120, 5):
            emulator.engine.is_api_broken = minute % 2 == 0
            reconcile(emulator, now=LATER + timedelta(minutes=minute))
    assert len(list_signals(connection)) == 2


def test_an_execution_that_cannot_be_read_stops_no_other_and_is_not_passed(add_source, start, reconcile):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        odd = lose(emulator, 1)
        lose(emulator, 1)
        executions = emulator.engine.executions
        whole = executions.find(odd)["data"]
        executions.connection.execute("UPDATE execution SET data = '{' WHERE id = ?", (odd,))
        (first,) = reconcile(emulator)
        assert (first.recovered_count, first.left_count) == (1, 1)
        assert first.error is None
        executions.connection.execute("UPDATE execution SET data = ? WHERE id = ?", (whole, odd))
        (second,) = reconcile(emulator)
    assert (second.recovered_count, second.left_count, second.error) == (1, 0, None)


def test_items_that_cannot_be_read_are_told_once_and_stop_no_other(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        odd = lose(emulator, 2)
        change_items(emulator, odd, lambda item: item.pop("id"))
        change_items(emulator, lose(emulator, 1), lambda item: item.update(id="no spaces, please"))
        lose(emulator, 1)
        (found,) = reconcile(emulator)
        assert (found.recovered_count, found.unreadable_count) == (1, 3)
        assert reconcile(emulator)[0].unreadable_count == 0
    signals = {kind: (subject, body) for kind, subject, body in list_signals(connection)}
    subject, body = signals["webhook_events_unreadable"]
    assert subject == "3 events from n8n cannot be recovered"
    assert f"2  {ORDERS}: an item has no `id`" in body


def test_what_cannot_be_read_a_few_minutes_later_is_told_too(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        for minutes in (0, 5, 10):
            change_items(emulator, lose(emulator, 1), lambda item: item.pop("id"))
            change_items(emulator, lose(emulator, 1), lambda item: item.pop("id"))
            reconcile(emulator, now=LATER + timedelta(minutes=minutes))
            reconcile(emulator, now=LATER + timedelta(minutes=minutes + 1))
    assert [subject for _, subject, _ in list_signals(connection)] == [
        "2 events from n8n cannot be recovered"
    ] * 3


@pytest.mark.parametrize(
    ("changes", "change", "words"),
    [
        ({"max_bytes": 1024}, lambda item: item.update(body='{"n": "' + "x" * 2000 + '"}'), "larger than"),
        ({"is_strict": True}, lambda item: item.update(body='{"type": "order"}'), "shop/orders: "),
        ({}, lambda item: item.update(body="not json"), "one JSON object"),
    ],
)
def test_what_the_receiver_would_refuse_is_not_let_in_here(
    add_source, start, reconcile, changes, change, words
):
    add_source(ORDERS, **changes)
    with start(ORDERS) as emulator:
        change_items(emulator, lose(emulator, 1), change)
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.unreadable_count) == (0, 1)
    assert words in next(iter(found.unreadable))


def test_the_same_id_with_another_body_is_a_conflict(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        send(emulator, 1)
        change_items(emulator, lose(emulator, 1), lambda item: item.update(id="shop:orders:0:0"))
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.conflict_count) == (0, 1)
    assert connection.execute("SELECT count(*) FROM landing.webhook_conflict").fetchone() == (1,)


def test_two_sources_of_one_n8n_each_get_their_own(add_source, start, reconcile):
    add_source(ORDERS)
    add_source(LEADS)
    with start(ORDERS, LEADS) as emulator:
        lose(emulator, 2, ORDERS)
        lose(emulator, 3, LEADS)
        (found,) = reconcile(emulator)
    assert found.recovered == {ORDERS: 2, LEADS: 3}


def test_a_source_that_names_its_workflow_is_not_fed_by_others(add_source, start, reconcile):
    add_source(ORDERS, workflow_id="wf-elsewhere")
    with start(ORDERS) as emulator:
        lose(emulator, 2)
        (found,) = reconcile(emulator)
    assert (found.recovered_count, found.left_count) == (0, 0)


def test_a_source_that_is_switched_off_is_not_read_back(add_source, start, reconcile):
    add_source(ORDERS, is_enabled=False)
    with start(ORDERS) as emulator:
        lose(emulator, 2)
        assert reconcile(emulator) == []


@pytest.mark.parametrize("first_look", [LATER, NOW + timedelta(minutes=5)])
def test_an_n8n_with_a_new_database_is_read_from_its_beginning(add_source, start, reconcile, first_look):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        for _ in range(3):
            lose(emulator, 1)
        assert reconcile(emulator, now=first_look)[0].recovered_count == 3
    with start(ORDERS) as emulator:
        lose(emulator, 1)
        change_items(emulator, 1, lambda item: item.update(id="another"))
        assert reconcile(emulator)[0].recovered_count == 1


def test_a_wrong_key_is_told_and_never_shown(add_source, start, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        server = N8nServer(emulator.api_url, "a-wrong-key")
        (found,) = reconcile_sources(connection, ask=lambda _: server, store=list, now=LATER)
    ((kind, _, body),) = list_signals(connection)
    assert kind == "n8n_unreachable"
    assert "refuses the API key (401): unauthorized" in body
    assert "a-wrong-key" not in found.error + body


def test_a_burst_of_lost_events_is_stored_in_batches(add_source, start, reconcile, connection):
    add_source(ORDERS)
    with start(ORDERS) as emulator:
        lose(emulator, 1200)
        assert reconcile(emulator)[0].recovered_count == 1200
    assert count_inbox(connection) == {"reconcile": 1200}


def test_an_emulated_n8n_lists_its_failures_as_the_real_one(start):
    with start(ORDERS) as emulator:
        lose(emulator, 1)
        headers = {"X-N8N-API-KEY": emulator.api_key}
        page = httpx.get(f"{emulator.api_url}/api/v1/executions?status=error", headers=headers).json()
    assert page["nextCursor"] is None
    assert page["data"][0]["startedAt"] == "2026-11-20T12:00:00.000Z"
