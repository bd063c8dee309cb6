"""What ops get to read when a run of webhook_ingest fails or is late: it runs often, so it mails seldom."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from steadfast.orchestration.callbacks import on_deadline_missed, on_run_failure

pytestmark = pytest.mark.usefixtures("alarms")

MINUTE = timedelta(minutes=1)


class Warehouse:
    """Runs and chunks, as the ingest leaves them."""

    def __init__(self, connection) -> None:
        self.connection = connection
        # The alarms read the clock; half a minute is left for a slow machine.
        self.now = datetime.now(UTC)

    def open_run(self, name, succeeded_at=None) -> None:
        self.connection.execute(
            "INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, started_at, succeeded_at)"
            " VALUES ('webhook_ingest', %s, 'scheduled', %s, %s)",
            (name, self.now - MINUTE, succeeded_at),
        )

    def add_chunk(self, error=None, events=120) -> None:
        self.connection.execute(
            "INSERT INTO ops.webhook_chunk (run_id, entity_ids, from_id, to_id, first_received_at,"
            " last_received_at, event_count, attempt, error, planned_at)"
            " SELECT 1, '{1}', coalesce(max(to_id), 0), coalesce(max(to_id), 0) + %s, %s, %s, %s, 1, %s, %s"
            " FROM ops.webhook_chunk",
            (events, self.now - 12.5 * MINUTE, self.now, events, error, self.now),
        )

    def age_mails(self, hours) -> None:
        """What was told was told so many hours earlier."""
        self.connection.execute(
            "UPDATE ops.signal SET created_at = created_at - make_interval(hours => %s)", (hours,)
        )

    def signals(self) -> list[tuple[str, bool]]:
        return self.connection.execute("SELECT kind, mailed_at IS NOT NULL FROM ops.signal").fetchall()


@pytest.fixture
def warehouse(database):
    with database.connect() as connection:
        yield Warehouse(connection)


def fail(name: str, reason: str = "task_failure") -> None:
    dag_run = SimpleNamespace(partition_key=None, run_after=datetime(2026, 11, 23, 10, 5, tzinfo=UTC))
    dag = SimpleNamespace(dag_id="webhook_ingest")
    on_run_failure({"dag": dag, "run_id": name, "dag_run": dag_run, "reason": reason})


def be_late(name: str, state: str = "running") -> None:
    dag_run = {
        "dag_id": "webhook_ingest",
        "dag_run_id": name,
        "partition_key": None,
        "run_type": "scheduled",
        "state": state,
        "queued_at": None,
        "run_after": "2026-11-23T10:05:00Z",
    }
    deadline = {"id": "d", "deadline_time": datetime.now(UTC) - 3.5 * MINUTE}
    on_deadline_missed({"dag_run": dag_run, "deadline": deadline})


def words_of(mail) -> str:
    return " ".join(mail.get_content().split())


def test_a_failed_run_is_told_in_words_about_events(warehouse, sink):
    warehouse.open_run("run-1")
    warehouse.add_chunk("The warehouse does not have what events need: facts.fact_order.")
    warehouse.add_chunk(events=30)
    fail("run-1")
    (mail,) = sink.mails
    assert mail["Subject"] == "[Steadfast] webhook_ingest 2026-11-23 10:05: 120 events could not be applied"
    text = words_of(mail)
    assert "150 events wait, the oldest since" in text
    assert "(12 min)" in text
    assert "120 events: The warehouse does not have what events need: facts.fact_order." in text
    assert "Chunks are tried again by themselves" in text
    assert "http://airflow.example.com/dags/webhook_ingest/runs/run-1" in text
    assert "propert" not in text
    assert warehouse.signals() == [("run_failed", True)]


def test_a_problem_that_lasts_is_told_once(warehouse, sink):
    warehouse.add_chunk("The warehouse does not have what events need: facts.fact_order.")
    for number in range(12):
        warehouse.open_run(f"run-{number}")
        fail(f"run-{number}")
        warehouse.age_mails(9)
    assert len(sink.mails) == 1


def test_a_run_that_stays_red_although_all_events_are_applied_is_told_once(warehouse, sink):
    warehouse.open_run("good", datetime.now(UTC) - timedelta(days=3))
    for number in range(12):
        warehouse.open_run(f"run-{number}")
        fail(f"run-{number}")
        be_late(f"run-{number}")
        warehouse.age_mails(9)
    assert [mail["Subject"].partition(": ")[2] for mail in sink.mails] == [
        "the run failed, but all events are applied",
        "the run takes too long",
    ]


def test_another_problem_is_told_too(warehouse, sink):
    fail("run-1")
    warehouse.open_run("run-2")
    warehouse.add_chunk("The warehouse does not have what events need: facts.fact_order.")
    fail("run-2")
    assert [mail["Subject"].partition(": ")[2] for mail in sink.mails] == [
        "the run failed before it knew what to process",
        "120 events could not be applied",
    ]


def test_runs_that_fail_in_a_row_are_told_once_and_again_after_a_good_one(warehouse, sink):
    warehouse.open_run("good-1", datetime.now(UTC) - timedelta(hours=3))
    for number in range(5):
        fail(f"run-{number}")
    assert len(sink.mails) == 1
    warehouse.age_mails(2)
    warehouse.open_run("good-2", datetime.now(UTC) - timedelta(hours=1))
    for number in range(5, 10):
        fail(f"run-{number}", "timed_out")
    assert len(sink.mails) == 2


def test_runs_that_are_good_now_and_then_are_told_once_an_hour(warehouse, sink):
    for number in range(4):
        fail(f"run-{number}")
        warehouse.open_run(f"good-{number}", datetime.now(UTC))
    assert len(sink.mails) == 1
    warehouse.age_mails(1)
    for number in range(4, 8):
        fail(f"run-{number}")
    assert len(sink.mails) == 2, "a problem that came back within the hour is told if it lasts"


def test_a_run_that_failed_before_it_claimed_anything_says_so(sink):
    fail("run-1")
    assert "No events wait. Receivers go on." in words_of(sink.mails[0])
    assert "read the log of its first red task" in words_of(sink.mails[0])


def test_a_late_run_is_told_once_while_none_is_good(warehouse, sink):
    warehouse.open_run("run-1")
    warehouse.add_chunk(events=1)
    be_late("run-1")
    be_late("run-2")
    (mail,) = sink.mails
    assert mail["Subject"] == "[Steadfast] webhook_ingest 2026-11-23 10:05: the run takes too long"
    assert "3 min ago" in words_of(mail)
    assert "1 event waits" in words_of(mail)
    assert warehouse.signals() == [("deadline_missed", True)]


def test_a_late_run_whose_failure_is_told_is_no_news(warehouse, sink):
    warehouse.open_run("run-1")
    fail("run-1", "timed_out")
    be_late("run-1", state="failed")
    assert len(sink.mails) == 1


def test_a_warehouse_that_is_down_is_mailed_once_and_not_with_every_run(use_warehouse, sink):
    use_warehouse(1)
    for number in range(3):
        fail(f"run-{number}")
        be_late(f"run-{number}")
    assert len(sink.mails) == 1
    assert "the warehouse is away, so webhooks are refused" in sink.mails[0]["Subject"]
    assert "n8n gives up after about 20 seconds" in words_of(sink.mails[0])


def test_an_outage_that_no_mail_server_took_is_told_by_the_next_run(use_warehouse, sink):
    use_warehouse(1)
    sink.is_away = True
    with pytest.raises(Exception, match="mail server"):
        fail("run-1")
    sink.is_away = False
    fail("run-2")
    assert len(sink.mails) == 1


def test_an_outage_is_mailed_even_if_nothing_can_be_remembered(use_warehouse, sink, tmp_path):
    use_warehouse(1)
    (tmp_path / "state").write_text("a file where the directory should be")
    fail("run-1")
    assert len(sink.mails) == 1
