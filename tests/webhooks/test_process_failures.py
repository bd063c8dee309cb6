"""What PostgreSQL refuses, what a migration lacks and what a kill leaves costs nobody else an event."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import psycopg

from steadfast.warehouse.event_tables import ensure_event_tables
from steadfast.webhooks.applying.plan import Limit
from steadfast.webhooks.applying.process import LIMITS, Processed
from steadfast.webhooks.contract import Field, Kind
from steadfast.webhooks.events import EVENTS

from .conftest import order

ORDER_EVENT = EVENTS["order", 1]


def superuser(inbox):
    return psycopg.connect(inbox.database.server.superuser_dsn(inbox.database.name), autocommit=True)


def chunk_states(inbox):
    return inbox.query("SELECT state, attempt, next_try_at, error FROM ops.webhook_chunk ORDER BY chunk_id")


def test_an_event_that_postgresql_refuses_dies_alone(inbox):
    inbox.execute("ALTER TABLE facts.fact_order ADD CONSTRAINT no_poison CHECK (order_id !~ 'poison')")
    ids = [inbox.add(order(order_id=f"O-{number}")) for number in range(40)]
    poison = [inbox.add(order(order_id=f"poison {number}")) for number in range(3)]
    inbox.add(EVENTS["lead", 1].example, "lead")
    assert inbox.process() == Processed(1, 41, 3)
    assert inbox.dead() == [(number, "not_storable") for number in poison]
    assert inbox.query("SELECT DISTINCT sqlstate FROM landing.dead_letter") == [("23514",)]
    assert "violates check constraint" in inbox.details()[0]
    assert len(inbox.rows("order_id")) == len(ids)


def test_bodies_that_never_should_have_come_in_die_alone(inbox):
    wrong = [b"{", b"", b'{"type":"order","data":{"a":"\\u0000"}}', b'"\xff"', b"[" * 20_000]
    wrong.append(b'{"data":{"order_id":1' + b"0" * 140_000 + b"}}")
    ids = [inbox.add_body(body) for body in wrong]
    inbox.add(order())
    assert inbox.process() == Processed(1, 1, len(ids))
    assert inbox.dead() == [(number, "not_storable") for number in ids]


def test_a_body_that_is_no_object_has_no_timestamp(inbox):
    for body in (b"[]", b"7", b'"x"', b"null"):
        inbox.add_body(body)
    inbox.process()
    assert {reason for _, reason in inbox.dead()} == {"bad_timestamp"}


def test_a_missing_table_is_not_the_fault_of_events_and_others_go_on(inbox):
    cafe = inbox.add_entity("cafe")
    source = inbox.add_source(cafe)
    inbox.add(order())
    inbox.plan()
    inbox.add(EVENTS["lead", 1].example, "lead", entity_id=cafe, source_id=source)
    inbox.plan()
    inbox.execute("ALTER TABLE facts.fact_order RENAME TO away")
    done = inbox.work()
    assert (done.applied_count, len(done.failures)) == (1, 1)
    assert "facts.fact_order" in done.failures[0]
    assert "Run `steadfast migrate`" in done.failures[0]
    (stuck, finished) = chunk_states(inbox)
    assert stuck[:3] == ("planned", 1, None)
    assert "steadfast migrate" in stuck[3]
    assert finished[0] == "done"
    inbox.execute("ALTER TABLE facts.away RENAME TO fact_order")
    assert inbox.work() == Processed(1, 1, 0)
    assert [state for state, *_ in chunk_states(inbox)] == ["done", "done"]
    assert inbox.dead() == []


def test_a_new_optional_column_is_filled_once_the_backlog_is_migrated(inbox):
    newer = replace(ORDER_EVENT, fields=(*ORDER_EVENT.fields, Field("gift_note")))
    inbox.add(order(gift_note="for Ann"))
    inbox.plan()
    inbox.contracts["order", 1] = newer
    assert "gift_note" in inbox.work().failures[0]
    assert inbox.dead() == []
    with inbox.connection.transaction():
        ensure_event_tables(inbox.connection, [newer.table])
    assert inbox.work() == Processed(1, 1, 0)
    assert inbox.rows("order_id, gift_note") == [("10042", "for Ann")]


def test_versions_of_a_type_share_a_table_and_the_newest_event_wins_whole(inbox):
    fields = (*ORDER_EVENT.fields, Field("weight", Kind.AMOUNT, is_required=False))
    second = replace(ORDER_EVENT, version=2, fields=fields)
    inbox.contracts["order", 2] = second
    with inbox.connection.transaction():
        ensure_event_tables(inbox.connection, [second.table])
    inbox.add(order(weight="1.5"), version=2, timestamp="2026-11-24T08:00:00Z")
    inbox.add(order(order_id="B", weight="1.5"), version=2, timestamp="2026-11-24T09:00:00Z")
    inbox.add(order(), version=1, timestamp="2026-11-24T09:00:00Z")
    inbox.add(order(order_id="B"), version=1, timestamp="2026-11-24T08:00:00Z")
    assert inbox.process() == Processed(1, 4, 0)
    assert [(key, str(weight)) for key, weight in inbox.rows("order_id, weight")] == [
        ("10042", "None"),
        ("B", "1.500000"),
    ]


def test_an_event_of_a_type_that_was_taken_out_dies_and_comes_back_by_a_replay(inbox):
    inbox.add(order())
    del inbox.contracts["order", 1]
    inbox.process()
    assert [reason for _, reason in inbox.dead()] == ["unknown_type"]


def test_a_zone_that_the_server_does_not_know_is_not_the_fault_of_events(inbox):
    inbox.execute("UPDATE config.webhook_source SET time_zone = 'Mars/Olympus'")
    inbox.add(order())
    (failure,) = inbox.process().failures
    assert "Mars/Olympus" in failure
    assert inbox.dead() == []
    inbox.execute("UPDATE config.webhook_source SET time_zone = 'Europe/Vienna'")
    assert inbox.work() == Processed(1, 1, 0)


def test_a_busy_table_is_tried_again_with_growing_pauses_and_never_given_up(inbox):
    inbox.add(order())
    inbox.plan()
    pauses = []
    with inbox.database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE facts.fact_order")
        for _ in range(7):
            (failure,) = inbox.work(connect=impatient(inbox)).failures
            assert "a lock was not free in time" in failure
            ((state, _, next_try_at, error),) = chunk_states(inbox)
            assert (state, error in failure) == ("planned", True)
            pauses.append((next_try_at - inbox.now).total_seconds())
            assert inbox.work(connect=impatient(inbox)) == Processed()
            inbox.now = next_try_at
    assert pauses == [30, 60, 120, 240, 480, 1800, 1800]
    assert inbox.work() == Processed(1, 1, 0)


def impatient(inbox):
    def connect():
        connection = inbox.open()
        connection.execute("SET lock_timeout = '50ms'")
        connection.commit()
        return connection

    return connect


def test_a_lost_connection_postpones_its_chunk_and_the_worker_goes_on(inbox):
    cafe = inbox.add_entity("cafe")
    inbox.add(order())
    inbox.plan()
    inbox.add(order(), entity_id=cafe, source_id=inbox.add_source(cafe))
    inbox.plan()
    inbox.execute(
        """
        CREATE FUNCTION facts.hang_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF NEW.entity_id = 1 THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NEW;
        END
        $$
        """
    )
    inbox.execute(
        "CREATE TRIGGER hang_up BEFORE INSERT ON facts.fact_order"
        " FOR EACH ROW EXECUTE FUNCTION facts.hang_up()"
    )
    with superuser(inbox) as connection:
        connection.execute("ALTER FUNCTION facts.hang_up OWNER TO postgres")
    done = inbox.work()
    assert (done.chunk_count, done.applied_count) == (1, 1)
    assert "The warehouse is busy" in done.failures[0]
    assert [state[:2] for state in chunk_states(inbox)] == [("planned", 1), ("done", 1)]
    inbox.execute("DROP TRIGGER hang_up ON facts.fact_order")
    inbox.now += timedelta(minutes=1)
    assert inbox.work() == Processed(1, 1, 0)


def test_a_worker_that_hangs_or_vanished_without_a_word_keeps_no_chunk_locked(inbox, monkeypatch):
    monkeypatch.setitem(LIMITS, "idle_timeout", "50ms")
    inbox.add(order())
    inbox.plan()
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker' AND datname = %s"
    asked, taken_over = [], []

    def hang():
        asked.append(None)
        if len(asked) == 2:
            while inbox.query(open_ones, inbox.database.name) != [(0,)]:
                pass
            taken_over.append(inbox.work(run_id=2))
        return inbox.now

    assert "stood still" in inbox.work(clock=hang).failures[0]
    assert taken_over == [Processed(1, 1, 0)]
    assert chunk_states(inbox) == [("done", 1, None, None)]


def test_something_unforeseen_stops_its_chunk_only_and_is_told(inbox):
    inbox.execute(
        "CREATE FUNCTION facts.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the books are closed'; END $$"
    )
    inbox.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON facts.fact_order FOR EACH ROW EXECUTE FUNCTION facts.refuse()"
    )
    inbox.add(order())
    (failure,) = inbox.process().failures
    assert "P0001: the books are closed" in failure
    assert chunk_states(inbox)[0][:2] == ("planned", 1)


WORKER = """
import os, signal, sys
from datetime import datetime

import psycopg

from steadfast.warehouse.connect import connect
from steadfast.webhooks.applying.process import process_chunks

url, statements, now = sys.argv[1:]
left = int(statements)


class Deadly(psycopg.Cursor):
    def execute(self, *values, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*values, **more)


def open_deadly():
    connection = connect(url)
    connection.cursor_factory = Deadly
    return connection


moment = datetime.fromisoformat(now)
process_chunks(open_deadly, run_id=1, clock=lambda: moment, is_time_over=lambda: False)
"""


def fill(inbox):
    """Events of every type, some bad, some keys twice, one replay, over several chunks."""
    inbox.add_source(inbox.add_entity("cafe"))
    for number in range(6):
        for event in EVENTS.values():
            inbox.add(event.example | {"note": number}, event.name, entity_id=1 + number % 2)
        inbox.add(order(order_id=f"O-{number}", total="x" if number == 3 else "5"))
    inbox.add(order(), "invoice")
    inbox.plan()


def run_worker(inbox, statements):
    """A worker in a process of its own that is killed before it sends one more; whether it was."""
    command = [sys.executable, "-c", WORKER, inbox.database.pipeline_url, str(statements)]
    ended = subprocess.run([*command, inbox.now.isoformat()], check=False, capture_output=True, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def test_workers_killed_between_statements_leave_what_an_undisturbed_run_leaves(inbox, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.applying.plan.LARGEST_CHUNK", Limit(20))
    fill(inbox)
    kills = sum(run_worker(inbox, statements) for statements in range(1, 23))
    assert kills > 10
    while run_worker(inbox, 1_000_000):
        pass
    assert inbox.query("SELECT DISTINCT state FROM ops.webhook_chunk") == [("done",)]
    assert len(inbox.dead()) == 2
    disturbed = inbox.checksum()
    reset(inbox)
    assert inbox.work().failures == ()
    assert inbox.checksum() == disturbed


def reset(inbox):
    """As it was before anything was processed."""
    names = ", ".join(f"facts.fact_{event.name}" for event in EVENTS.values())
    inbox.execute("TRUNCATE landing.dead_letter, " + names)
    inbox.execute(
        "UPDATE ops.webhook_chunk SET state = 'planned', applied_count = NULL, dead_count = NULL, attempt = 0"
    )


def test_applying_a_chunk_twice_changes_nothing(inbox):
    fill(inbox)
    inbox.work()
    before = inbox.checksum()
    inbox.execute("UPDATE ops.webhook_chunk SET state = 'planned'")
    inbox.work()
    assert inbox.checksum() == before


def test_workers_at_once_take_different_chunks_and_agree(inbox, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.applying.plan.LARGEST_CHUNK", Limit(5))
    fill(inbox)
    done = []
    threads = [threading.Thread(target=lambda: done.append(inbox.work())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((chunks, events),) = inbox.query("SELECT count(*), sum(event_count) FROM ops.webhook_chunk")
    total = sum(done, Processed())
    assert (total.chunk_count, total.applied_count + total.dead_count) == (chunks, events)
    assert total.failures == ()
    together = inbox.checksum()
    reset(inbox)
    inbox.work()
    assert inbox.checksum() == together


def test_a_chunk_that_finds_fewer_events_than_were_planned_is_not_done(inbox):
    gone = inbox.add(order())
    inbox.add(order(order_id="2"))
    inbox.plan()
    inbox.execute("DELETE FROM landing.webhook_inbox WHERE inbox_id = %s", gone)
    (failure,) = inbox.work().failures
    assert "planned with 2 events, but the inbox has 1" in failure
