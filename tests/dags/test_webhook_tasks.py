"""The tasks of webhook_ingest against a real warehouse, from the inbox to the asset and the red run."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from steadfast.errors import PermanentError, WarehouseBusy
from steadfast.orchestration import webhook_tasks
from steadfast.orchestration.assets import FACTS_WEBHOOKS
from steadfast.orchestration.told_alarms import is_first_told
from steadfast.webhooks.applying.outcome import Due, find_last_good_run, find_run, summarise_ingest
from steadfast.webhooks.applying.process import Processed
from steadfast.webhooks.n8n.look import Reconciled
from steadfast.webhooks.watching.run_messages import outage_key

DAG = "webhook_ingest"


class OutletEvent:
    """What Airflow hands a task that has an outlet."""

    def __init__(self) -> None:
        self.extra = {}
        self.keys = []

    def add_partitions(self, keys) -> None:
        self.keys += keys


class Run:
    """One Airflow run: its context, and its tasks in the order in which Airflow starts them."""

    def __init__(self, name="scheduled__1", failed=()) -> None:
        states = {task: "failed" if task in failed else "success" for task in webhook_tasks.UPSTREAM}
        self.outlet = OutletEvent()
        self.context = {
            "dag_run": SimpleNamespace(dag_id=DAG, run_id=name, run_type="scheduled"),
            "ti": SimpleNamespace(get_task_states=lambda **_: {name: states}),
            "outlet_events": {FACTS_WEBHOOKS: self.outlet},
        }

    def process(self) -> list[dict]:
        return [webhook_tasks.process_shard(**shard) for shard in webhook_tasks.claim_shards(self.context)]

    def publish(self) -> dict:
        """The task succeeds, Airflow takes the event with that, and the next task starts."""
        published = webhook_tasks.emit_asset_event(self.context)
        webhook_tasks.mark_published(published)
        return published

    def report(self) -> dict:
        return webhook_tasks.report_run(self.context)


@pytest.fixture
def warehouse(database):
    with database.connect() as connection:
        yield connection


@pytest.fixture(autouse=True)
def environment(monkeypatch, use_warehouse, tmp_path):
    monkeypatch.chdir(tmp_path)
    use_warehouse()


@pytest.fixture
def source(warehouse) -> int:
    warehouse.execute(
        "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
        " VALUES ('bakery', 'Bakery', now(), now())"
    )
    return warehouse.execute(
        "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone, created_at, updated_at)"
        " SELECT entity_id, 'orders', 'Orders', 'token', 'UTC', now(), now() FROM config.business_entity"
        " RETURNING source_id"
    ).fetchone()[0]


@pytest.fixture
def send(warehouse, source, today):
    """A function that puts events into the inbox, as a receiver has acknowledged them."""
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)

    def put(count=1, received_at=noon, **fields) -> None:
        for _ in range(count):
            (number,) = warehouse.execute("SELECT nextval('landing.webhook_inbox_id')").fetchone()
            order = {"order_id": f"o-{number}", "status": "paid", "total": "9.90", "currency": "USD"}
            order |= {"placed_at": "2026-11-20T10:00:00Z"} | fields
            event = {"type": "order", "timestamp": "2026-11-20T10:00:00Z", "data": order}
            warehouse.execute(
                "INSERT INTO landing.webhook_inbox SELECT %s, entity_id, source_id, %s, 'order', 1, %s, %s,"
                " true, 'http', NULL FROM config.webhook_source",
                (number, f"e-{number}", received_at, json.dumps(event).encode()),
            )

    return put


def claimed(name, failed=()) -> Run:
    """A run that has claimed what waits."""
    run = Run(name, failed)
    webhook_tasks.claim_shards(run.context)
    return run


def subjects(warehouse) -> list[str]:
    return [subject for (subject,) in warehouse.execute("SELECT subject FROM ops.signal").fetchall()]


@pytest.mark.parametrize(
    ("due", "shards"),
    [(Due(0, 0), 0), (Due(1, 1), 1), (Due(3, 49_999), 1), (Due(1, 50_000), 1), (Due(9, 10**6), 2)],
)
def test_work_is_shared_by_as_many_tasks_as_are_worth_it(due, shards):
    assert webhook_tasks.count_shards(due) == shards


def test_events_become_facts_and_the_asset_says_how_many_and_when_they_arrived(warehouse, send, today):
    send(3)
    send(2, datetime(2026, 11, 21, 0, 1, tzinfo=UTC))
    run = Run()
    assert run.process() == [{"chunks": 1, "applied": 5, "dead": 0}]
    run_id = find_run(warehouse, DAG, "scheduled__1")
    told = {"rows": 5, "run": run_id, "received_on": [str(today), "2026-11-21"]}
    assert run.publish() == {**told, "chunks": [1]}
    assert run.outlet.extra == told
    assert run.outlet.keys == [str(today), "2026-11-21"]
    assert run.report() == {"applied": 5, "dead": 0, "open_chunks": 0}
    assert warehouse.execute("SELECT count(*) FROM facts.fact_order").fetchone() == (5,)


def test_a_run_with_nothing_to_do_starts_no_worker_and_no_downstream_dag(warehouse, source):
    run = Run()
    assert run.process() == []
    with pytest.raises(AirflowSkipException, match="No event was applied"):
        run.publish()
    assert run.report() == {"applied": 0, "dead": 0, "open_chunks": 0}
    assert subjects(warehouse) == []


def test_events_that_all_die_start_no_downstream_dag_and_are_told_of(warehouse, send):
    send(2, total="a lot")
    run = Run()
    assert run.process() == [{"chunks": 1, "applied": 0, "dead": 2}]
    with pytest.raises(AirflowSkipException):
        run.publish()
    assert run.report()["dead"] == 2
    assert subjects(warehouse) == ["[Steadfast] bakery/orders: 2 events could not be loaded (bad_field)"]


def test_a_chunk_that_cannot_be_applied_turns_the_run_red_with_one_sentence(warehouse, send):
    send(4)
    warehouse.execute("ALTER TABLE facts.fact_order RENAME TO fact_mislaid")
    run = Run()
    with pytest.raises(WarehouseBusy, match="1 chunks were not applied"):
        run.process()
    with pytest.raises(PermanentError, match=r"4 events in 1 chunk could not be applied\. .*fact_order"):
        run.report()


def test_what_failed_is_applied_by_the_next_run_once_the_cause_is_gone(warehouse, send):
    send(4)
    warehouse.execute("ALTER TABLE facts.fact_order RENAME TO fact_mislaid")
    with pytest.raises(WarehouseBusy):
        Run().process()
    warehouse.execute("ALTER TABLE facts.fact_mislaid RENAME TO fact_order")
    run = Run("scheduled__2")
    assert run.process() == [{"chunks": 1, "applied": 4, "dead": 0}]
    assert run.publish()["rows"] == 4
    assert run.report()["open_chunks"] == 0


def test_a_run_that_claimed_nothing_is_red_and_names_the_task(source):
    with pytest.raises(AirflowSkipException):
        Run().publish()
    with pytest.raises(PermanentError, match="the log of the task claim says why"):
        Run().report()


def test_a_worker_that_died_without_a_word_turns_the_run_red(source):
    run = Run(failed=("process",))
    run.process()
    with pytest.raises(PermanentError, match="Tasks failed: process"):
        run.report()


def test_a_cleared_run_keeps_its_number_and_may_run_again(warehouse, send):
    send(1)
    run = Run()
    run.process()
    run.report()
    before = find_run(warehouse, DAG, "scheduled__1")
    assert run.process() == []
    assert run.report()["applied"] == 1
    assert find_run(warehouse, DAG, "scheduled__1") == before


def test_what_a_killed_try_applied_is_published_by_the_next_one(warehouse, send, today):
    send(2)
    Run().process()
    retried = Run()
    assert retried.process() == []
    assert (retried.publish()["rows"], retried.outlet.keys) == (2, [str(today)])
    assert retried.report()["applied"] == 2


def test_what_an_ended_run_applied_is_published_by_the_next_one(warehouse, send, today):
    send(2)
    Run().process()
    send(1, datetime(2026, 11, 21, 0, 1, tzinfo=UTC))
    run = Run("scheduled__2")
    assert run.process() == [{"chunks": 1, "applied": 1, "dead": 0}]
    assert (run.publish()["rows"], run.outlet.keys) == (3, [str(today), "2026-11-21"])
    assert run.report()["applied"] == 1


def test_a_run_with_nothing_of_its_own_publishes_what_an_ended_one_applied(warehouse, send, today):
    send(2)
    Run().process()
    run = Run("scheduled__2")
    assert run.process() == []
    assert (run.publish()["rows"], run.outlet.keys) == (2, [str(today)])
    with pytest.raises(AirflowSkipException, match="No event was applied"):
        claimed("scheduled__3").publish()


def test_an_event_that_airflow_may_not_have_taken_is_sent_again(warehouse, send, today):
    send(2)
    killed = Run()
    killed.process()
    webhook_tasks.emit_asset_event(killed.context)
    retried, following = Run(), claimed("scheduled__2")
    assert webhook_tasks.emit_asset_event(retried.context)["rows"] == 2
    assert following.publish()["received_on"] == [str(today)]
    with pytest.raises(AirflowSkipException, match="No event was applied"):
        claimed("scheduled__3").publish()


def test_a_red_run_is_over_and_was_no_good_one(warehouse, source):
    run = claimed("scheduled__1", failed=("publish_asset",))
    with pytest.raises(PermanentError, match="Tasks failed: publish_asset"):
        run.report()
    row = warehouse.execute("SELECT finished_at IS NOT NULL, succeeded_at FROM ops.sync_run").fetchone()
    assert row == (True, None)


def test_a_run_that_was_ended_from_outside_is_closed_by_the_next_one(warehouse, source):
    claimed("scheduled__1")
    claimed("scheduled__2").report()
    query = "SELECT count(*) FROM ops.sync_run WHERE finished_at IS NULL"
    assert warehouse.execute(query).fetchone() == (0,)


def test_only_a_run_that_did_everything_was_a_good_one(warehouse, send):
    send(1)
    warehouse.execute("ALTER TABLE facts.fact_order RENAME TO fact_mislaid")
    run = Run()
    with pytest.raises(WarehouseBusy):
        run.process()
    with pytest.raises(PermanentError):
        run.report()
    dead = Run("scheduled__2", failed=("process",))
    webhook_tasks.claim_shards(dead.context)
    with pytest.raises(PermanentError):
        dead.report()
    assert find_last_good_run(warehouse, DAG) is None
    warehouse.execute("ALTER TABLE facts.fact_mislaid RENAME TO fact_order")
    good = Run("scheduled__3")
    good.process()
    good.report()
    assert find_last_good_run(warehouse, DAG) is not None


def test_an_outage_that_is_over_is_told_again_when_it_comes_back(source, tmp_path):
    key, now = outage_key(DAG), datetime.now(UTC)
    assert [is_first_told(tmp_path / "state", key, now) for _ in range(2)] == [True, False]
    run = Run()
    run.process()
    run.report()
    assert is_first_told(tmp_path / "state", key, now)


def test_what_waits_is_part_of_the_summary(warehouse, send, database):
    run = Run()
    run.process()
    send(2)
    summary = summarise_ingest(warehouse, find_run(warehouse, DAG, "scheduled__1"))
    assert (summary.open_chunk_count, summary.oldest_waiting_at.hour) == (0, 12)


def test_chunks_that_failed_are_tried_again_and_the_rest_stays_done():
    assert webhook_tasks.raise_if_chunks_failed(Processed(3, 100, 1)) is None
    with pytest.raises(WarehouseBusy, match=r"2 chunks were not applied\. Chunk 7: busy"):
        webhook_tasks.raise_if_chunks_failed(Processed(3, 100, 1, ("Chunk 7: busy", "Chunk 8: busy")))


def fail_reconcile(monkeypatch, found) -> None:
    monkeypatch.setattr("steadfast.webhooks.n8n.reconcile.reconcile_sources", lambda *_, **__: found)
    webhook_tasks.reconcile_with_n8n()


def test_an_n8n_whose_events_cannot_be_stored_is_told_once_until_it_was_read_well(
    warehouse, source, monkeypatch
):
    warehouse.execute("UPDATE config.webhook_source SET n8n_connection_id = 'n8n_main', n8n_node = 'Send'")
    first, second = (Reconciled(name, failure="ValueError: a bug") for name in ("n8n_1", "n8n_main"))
    for _ in range(5):
        fail_reconcile(monkeypatch, [second])
        warehouse.execute("UPDATE ops.signal SET created_at = created_at - interval '9 hours'")
    assert len(subjects(warehouse)) == 1
    fail_reconcile(monkeypatch, [first, second])
    assert [one.rpartition(" ")[2] for one in subjects(warehouse)] == ["n8n_main)", "n8n_1)"]
    warehouse.execute(
        "INSERT INTO ops.n8n_cursor (connection_id, scanned_to, scanned_at, read_at, recovered_count,"
        " unreadable_count) VALUES ('n8n_main', 1, now(), now(), 0, 0)"
    )
    fail_reconcile(monkeypatch, [first, second])
    assert len(subjects(warehouse)) == 3


def test_without_an_n8n_nothing_is_asked(source):
    with pytest.raises(AirflowSkipException, match="No source names an n8n"):
        webhook_tasks.reconcile_with_n8n()


def test_an_n8n_that_cannot_be_asked_does_not_fail_the_run(warehouse, source):
    warehouse.execute("UPDATE config.webhook_source SET n8n_connection_id = 'n8n_main', n8n_node = 'Send'")
    done = webhook_tasks.reconcile_with_n8n()
    assert done["recovered"] == 0
    (subject,) = subjects(warehouse)
    assert "n8n" in subject


def test_a_bug_while_reading_back_is_a_signal_and_not_a_red_task(warehouse, source, monkeypatch):
    warehouse.execute("UPDATE config.webhook_source SET n8n_connection_id = 'n8n_main', n8n_node = 'Send'")
    warehouse.execute("REVOKE INSERT ON ops.n8n_cursor FROM steadfast_pipeline")
    assert webhook_tasks.reconcile_with_n8n() == {"recovered": 0, "failed": 1}
    assert "[Steadfast] Lost events could not be read back from n8n (Connection n8n_main)" in subjects(
        warehouse
    )


def test_what_nobody_foresaw_while_reading_back_is_a_signal_too(warehouse, source, monkeypatch):
    warehouse.execute("UPDATE config.webhook_source SET n8n_connection_id = 'n8n_main', n8n_node = 'Send'")

    def overflow(*_, **__):
        raise OverflowError("int too large to convert")

    monkeypatch.setattr("steadfast.webhooks.n8n.reconcile.end_after", overflow)
    assert webhook_tasks.reconcile_with_n8n() == {"recovered": 0, "failed": 1}
    assert "[Steadfast] Lost events could not be read back from n8n" in subjects(warehouse)


@pytest.mark.parametrize("minutes", range(1, 6))
def test_the_schedule_divides_the_hour_evenly(minutes):
    assert webhook_tasks.every(minutes) == f"*/{minutes} * * * *"
    assert timedelta(hours=1) % timedelta(minutes=minutes) == timedelta(0)
