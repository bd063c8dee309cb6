"""Every event that was committed lands in exactly one chunk, and a flood does not hold up the others."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from steadfast.errors import WarehouseBusy
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.plan import (
    Limit,
    Pack,
    PlannedChunks,
    Waiting,
    open_run,
    pack_entities,
    plan_chunks,
)

from .conftest import NOON, order

FEW = Limit(events=100, bytes=1000)
MIDDAY = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def waiting(entity_id, count, size=1):
    return Waiting(entity_id, count, count * size, MIDDAY, MIDDAY)


def shape(packs):
    return [([entity.entity_id for entity in pack.entities], pack.part_count) for pack in packs]


def test_small_entities_share_a_chunk():
    assert shape(pack_entities([waiting(1, 30), waiting(2, 10), waiting(3, 20)], FEW)) == [([2, 3, 1], 1)]


def test_a_chunk_is_never_larger_than_allowed():
    packs = list(pack_entities([waiting(number, 40) for number in range(1, 8)], FEW))
    assert shape(packs) == [([1, 2], 1), ([3, 4], 1), ([5, 6], 1), ([7], 1)]
    assert max(pack.event_count for pack in packs) <= 100


def test_an_entity_with_many_events_gets_chunks_of_its_own_behind_the_small_ones():
    assert shape(pack_entities([waiting(1, 250), waiting(2, 10)], FEW)) == [([2], 1), ([1], 3)]


def test_large_events_make_more_and_smaller_chunks():
    assert shape(pack_entities([waiting(1, 30, size=100), waiting(2, 10, size=60)], FEW)) == [
        ([2], 1),
        ([1], 3),
    ]
    assert shape(pack_entities([waiting(1, 2, size=5000)], FEW)) == [([1], 2)]


def test_nothing_waits_in_an_empty_plan():
    assert list(pack_entities([], FEW)) == []


def test_a_pack_knows_when_its_events_were_received():
    hour = timedelta(hours=1)
    pack = Pack((Waiting(1, 1, 1, MIDDAY, MIDDAY + hour), Waiting(2, 1, 1, MIDDAY - hour, MIDDAY)))
    assert pack.received_between == (MIDDAY - hour, MIDDAY + hour)


def chunks(inbox):
    return inbox.query(
        "SELECT entity_ids, from_id, to_id, event_count FROM ops.webhook_chunk ORDER BY chunk_id"
    )


def chunks_of_events(inbox):
    """In how many chunks each event lies."""
    return inbox.query(
        """
        SELECT inbox.inbox_id, count(chunk.chunk_id)
        FROM landing.webhook_inbox AS inbox
        LEFT JOIN ops.webhook_chunk AS chunk ON inbox.entity_id = ANY (chunk.entity_ids)
            AND inbox.inbox_id > chunk.from_id AND inbox.inbox_id <= chunk.to_id
            AND inbox.received_at BETWEEN chunk.first_received_at AND chunk.last_received_at
        GROUP BY inbox.inbox_id
        """
    )


def assert_each_in_one(inbox):
    assert {count for _, count in chunks_of_events(inbox)} == {1}


def test_planning_takes_every_event_once(inbox):
    for number in range(5):
        inbox.add(order(order_id=str(number)))
    assert inbox.plan() == PlannedChunks(1, 5)
    assert inbox.plan() == PlannedChunks(0, 0)
    inbox.add(order(order_id="later"))
    assert inbox.plan() == PlannedChunks(1, 1)
    assert_each_in_one(inbox)


def test_an_empty_inbox_needs_no_chunk(inbox):
    assert inbox.plan() == PlannedChunks(0, 0)
    assert chunks(inbox) == []


def test_a_flood_is_cut_into_parts_without_a_gap(inbox, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.applying.plan.LARGEST_CHUNK", Limit(10))
    cafe = inbox.add_entity("cafe")
    for number in range(24):
        inbox.add(order(order_id=str(number)), received_at=NOON - timedelta(hours=number))
        if number % 8 == 0:
            inbox.add(order(order_id=str(number)), entity_id=cafe)
    assert inbox.plan() == PlannedChunks(4, 27)
    assert [(entities, count) for entities, _, _, count in chunks(inbox)] == [
        ([cafe], 3),
        ([1], 8),
        ([1], 8),
        ([1], 8),
    ]
    assert_each_in_one(inbox)


def test_events_of_an_entity_that_is_switched_off_or_gone_are_planned_as_well(inbox):
    inbox.execute("UPDATE config.business_entity SET is_enabled = false")
    inbox.add(order())
    inbox.add(order(), entity_id=77, source_id=99)
    assert inbox.plan() == PlannedChunks(1, 2)


def test_planning_waits_for_an_event_that_is_being_written(inbox):
    with inbox.database.connect_pipeline(autocommit=False) as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('steadfast webhook inbox', 0))")
        late = writer.execute("SELECT nextval('landing.webhook_inbox_id')").fetchone()[0]
        early_bird = inbox.add(order(order_id="early bird"))
        assert early_bird > late
        plans = []
        planner = threading.Thread(target=lambda: plans.append(inbox.plan()))
        planner.start()
        wait_until_blocked(inbox)
        writer.execute(
            "INSERT INTO landing.webhook_inbox"
            " VALUES (%s, 1, 1, 'late', 'order', 1, %s, '{}', true, 'http', NULL)",
            [late, NOON],
        )
        writer.commit()
        planner.join()
    assert plans == [PlannedChunks(1, 2)]
    assert_each_in_one(inbox)


def wait_until_blocked(inbox):
    waiting_for_lock = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while inbox.query(waiting_for_lock) == [(0,)]:
        pass


def test_a_writer_that_never_ends_lets_planning_give_up_and_nothing_is_planned(inbox):
    inbox.add(order())
    with inbox.database.connect_pipeline(autocommit=False) as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('steadfast webhook inbox', 0))")
        with pytest.raises(WarehouseBusy, match="a lock was not free in time"):
            inbox.plan()
    assert chunks(inbox) == []
    assert inbox.plan() == PlannedChunks(1, 1)


def test_two_planners_at_once_put_every_event_into_one_chunk(inbox):
    for number in range(50):
        inbox.add(order(order_id=str(number)))
    plans = []

    def plan():
        with inbox.open() as connection:
            plans.append(plan_chunks(connection, run_id=1, now=NOON))

    threads = [threading.Thread(target=plan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(plan.event_count for plan in plans) == 50
    assert_each_in_one(inbox)


def test_a_planner_killed_before_its_commit_leaves_nothing_behind(inbox):
    inbox.add(order())
    with inbox.open() as connection:
        pid = connection.info.backend_pid

        class Killed:
            """Loses its connection at the last statement of a plan."""

            def __getattr__(self, name):
                return getattr(connection, name)

            def execute(self, query, *values, **more):
                if "planned_at =" in str(query):
                    superuser = inbox.database.server.superuser_dsn(inbox.database.name)
                    with psycopg.connect(superuser, autocommit=True) as other:
                        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                return connection.execute(query, *values, **more)

        with pytest.raises(WarehouseBusy):
            plan_chunks(Killed(), run_id=1, now=NOON)
    assert chunks(inbox) == []
    assert inbox.plan() == PlannedChunks(1, 1)


def test_a_run_is_opened_once(inbox):
    first = open_run(inbox.pipeline, "webhook_ingest", "monday", "scheduled", NOON)
    assert open_run(inbox.pipeline, "webhook_ingest", "monday", "scheduled", NOON) == first
    assert open_run(inbox.pipeline, "webhook_ingest", "tuesday", "scheduled", NOON) != first
    assert inbox.query("SELECT partition_on FROM ops.sync_run") == [(None,), (None,)]


def test_planning_among_a_thousand_entities_reads_little_more_than_what_waits(inbox):
    inbox.execute(
        """
        INSERT INTO landing.webhook_inbox
        SELECT number, mod(number, 1000) + 1, 1, 'e-' || number, 'order', 1,
            timestamptz '2026-11-20' + number * interval '2 seconds', '{}', true, 'http', NULL
        FROM generate_series(1, 100000) AS number
        """
    )
    inbox.execute("SELECT setval('landing.webhook_inbox_id', 100000)")
    inbox.execute("VACUUM (ANALYZE) landing.webhook_inbox")
    inbox.execute("UPDATE ops.webhook_watermark SET planned_to = 99000")
    values = {"planned_to": 99_000, "fence": 100_000}
    query = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + load_queries("webhook_process")["count_waiting"]
    ((plan,),) = inbox.connection.execute(query, values).fetchall()
    assert rows_thrown_away(plan[0]["Plan"]) < 10_000
    assert inbox.plan().event_count == 1000


def rows_thrown_away(node):
    """How many rows a plan looked at for nothing."""
    names = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(node.get(name, 0) for name in names) + sum(map(rows_thrown_away, node.get("Plans", [])))
