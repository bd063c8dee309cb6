"""What ops get to read when a run fails or is late: real warehouse, real SMTP."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from steadfast.orchestration.alarms import mail_leftovers
from steadfast.orchestration.callbacks import on_deadline_missed, on_run_failure

pytestmark = pytest.mark.usefixtures("alarms")

NOW = datetime.now(UTC)
RUN = "scheduled__2026-11-23"
LINK = f"http://airflow.example.com/dags/ga4_sync/runs/{RUN}"


class Warehouse:
    """A run and its items, as the sync leaves them."""

    def __init__(self, connection) -> None:
        self.connection = connection
        self.run_id = None

    def add_property(self, number: int) -> None:
        self.connection.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at) VALUES (%s, %s, %s, %s)",
            (f"shop-{number}", f"Shop {number}", NOW, NOW),
        )
        self.connection.execute(
            "INSERT INTO config.ga4_property SELECT %s, entity_id, %s, 'ga4', 'UTC', 'EUR', true, %s, %s"
            " FROM config.business_entity WHERE slug = %s",
            (number, f"Web shop {number}", NOW, NOW, f"shop-{number}"),
        )

    def plan(self, *states: str, reason: str = "", is_backfill: bool = False) -> None:
        """Plan one item a property, in the given states."""
        self.run_id = (
            self.run_id
            or self.connection.execute(
                "INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, partition_on, started_at)"
                " VALUES ('ga4_sync', %s, 'scheduled', '2026-11-22', %s) RETURNING run_id",
                (RUN, NOW),
            ).fetchone()[0]
        )
        for number, state in enumerate(states, start=101):
            self.add_property(number)
            self.connection.execute(
                "INSERT INTO ops.sync_item (run_id, shard, entity_id, property_id, report, start_on, end_on,"
                " is_backfill, state, error, not_before, updated_at)"
                " SELECT %s, 0, entity_id, property_id, 'pages',"
                " '2026-11-19', '2026-11-22', %s, %s, %s, %s, %s"
                " FROM config.ga4_property WHERE property_id = %s",
                (
                    self.run_id,
                    is_backfill,
                    state,
                    None if state == "published" else reason,
                    NOW + timedelta(hours=1) if state == "parked" else None,
                    NOW,
                    number,
                ),
            )

    def signals(self) -> list[tuple[str, bool]]:
        rows = self.connection.execute(
            "SELECT kind, mailed_at IS NOT NULL FROM ops.signal ORDER BY signal_id"
        )
        return rows.fetchall()


@pytest.fixture
def warehouse(database):
    with database.connect() as connection:
        yield Warehouse(connection)


def failed_run() -> dict:
    """The context of a DAG's failure callback."""
    dag_run = SimpleNamespace(partition_key="2026-11-22", run_after=NOW)
    dag = SimpleNamespace(dag_id="ga4_sync")
    return {"dag": dag, "run_id": RUN, "dag_run": dag_run, "reason": "task_failure"}


def late_run(
    state: str = "running", run_type: str = "scheduled", partition: str | None = "2026-11-22"
) -> dict:
    """The context of a deadline's callback."""
    # Not NOW: the mail says how long ago, and a test may start minutes after its module was imported.
    now = datetime.now(UTC)
    return {
        "dag_run": {
            "dag_id": "ga4_sync",
            "dag_run_id": RUN,
            "partition_key": partition,
            "run_type": run_type,
            "state": state,
            "queued_at": (now - timedelta(minutes=16)).isoformat(),
            "run_after": "2026-11-23T02:00:00Z",
        },
        "deadline": {"id": "d", "deadline_time": now - timedelta(minutes=5, seconds=30)},
    }


def test_a_failed_run_is_mailed_once_with_what_to_do(warehouse, sink):
    warehouse.plan(
        "published", "failed", "published", reason="GA4 refuses bot@example.com. Make it a Viewer."
    )
    on_run_failure(failed_run())
    on_run_failure(failed_run())
    (mail,) = sink.mails
    text = mail.get_content()
    assert mail["Subject"] == "[Steadfast] ga4_sync 2026-11-22: 1 of 3 properties failed"
    assert text.startswith("ga4_sync 2026-11-22: 1 of 3 properties failed.")
    assert "shop-102: property 102 (Web shop 102)" in text
    assert "Make it a Viewer." in text
    assert "2 of 3 properties are complete" in text
    assert LINK in text
    assert "shop-101" not in text
    assert warehouse.signals() == [("run_failed", True)]


def test_a_run_that_failed_before_its_plan_is_mailed_too(warehouse, sink):
    on_run_failure(failed_run())
    (mail,) = sink.mails
    assert mail["Subject"] == "[Steadfast] ga4_sync 2026-11-22: the run failed before it knew what to fetch"
    assert LINK in mail.get_content()


def test_a_failure_without_any_task_context_still_names_the_run(warehouse, sink):
    on_run_failure({"dag": SimpleNamespace(dag_id="ga4_sync"), "run_id": RUN, "reason": "timed_out"})
    assert RUN in sink.mails[0]["Subject"]
    assert "timed_out" in sink.mails[0].get_content()


def test_a_warehouse_that_is_down_is_mailed_without_a_record(use_warehouse, database, warehouse, sink):
    use_warehouse(1)
    on_run_failure(failed_run())
    assert "the run failed, and the warehouse cannot be asked" in sink.mails[0]["Subject"]
    assert "127.0.0.1:1" in sink.mails[0].get_content()
    assert database.pipeline_password not in sink.mails[0].as_string()
    assert warehouse.signals() == []


def test_without_recipients_the_failure_is_only_recorded(monkeypatch, warehouse, sink):
    monkeypatch.delenv("STEADFAST_MAIL_TO")
    on_run_failure(failed_run())
    assert sink.mails == []
    assert warehouse.signals() == [("run_failed", False)]


def test_what_could_not_be_mailed_is_mailed_by_the_next_run(database, warehouse, sink):
    sink.is_away = True
    with pytest.raises(Exception, match="mail server"):
        on_run_failure(failed_run())
    with database.connect_pipeline() as connection:
        mail_leftovers(connection)
        assert warehouse.signals() == [("run_failed", False)]
        sink.is_away = False
        mail_leftovers(connection)
    assert len(sink.mails) == 1
    assert warehouse.signals() == [("run_failed", True)]


def test_a_late_run_is_mailed_once_with_what_is_missing(warehouse, sink):
    warehouse.plan("published", "planned", "parked", reason="")
    run = late_run()
    on_deadline_missed(run)
    on_deadline_missed(run)
    (mail,) = sink.mails
    text = mail.get_content()
    assert mail["Subject"] == "[Steadfast] ga4_sync 2026-11-22 is late: 2 of 3 properties missing"
    assert "5 minutes ago" in text
    assert "It was queued 16 minutes ago." in text
    assert "property 102" in text
    assert "not fetched yet: pages; 2026-11-19 to 2026-11-22" in text
    assert "waiting for quota, next try after" in text
    assert LINK in text


def test_a_late_run_that_was_never_planned_says_so(warehouse, sink):
    on_deadline_missed(late_run(partition=None))
    assert sink.mails[0]["Subject"] == "[Steadfast] ga4_sync 2026-11-22 is late: it has not started to fetch"
    assert "the run has not been planned" in sink.mails[0].get_content()


def test_history_that_waits_for_quota_is_not_missing(warehouse, sink):
    warehouse.plan("parked", is_backfill=True)
    on_deadline_missed(late_run())
    assert "all data is published" in sink.mails[0]["Subject"]


def test_a_late_run_whose_failure_is_told_is_no_news(warehouse, sink):
    on_run_failure(failed_run())
    on_deadline_missed(late_run(state="failed"))
    assert len(sink.mails) == 1


def test_a_late_run_whose_failure_was_never_told_is_mailed(warehouse, sink):
    on_deadline_missed(late_run(state="failed"))
    assert len(sink.mails) == 1


@pytest.mark.parametrize("run", [late_run(state="success"), late_run(run_type="backfill")])
def test_a_run_that_is_done_or_waits_in_a_backfill_is_not_late(warehouse, sink, run):
    on_deadline_missed(run)
    assert sink.mails == []
    assert warehouse.signals() == []
