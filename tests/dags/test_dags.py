"""House rules that every DAG keeps, whoever writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from steadfast.orchestration import webhook_tasks
from steadfast.orchestration.retry import SteadfastRetryPolicy
from steadfast.orchestration.run_stories import STORIES, find_story

DAG_FILES = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
HEAVY = ("pandas", "pandera", "pyarrow", "numpy", "grpc", "google.analytics")


@pytest.fixture(params=DAG_FILES, ids=lambda path: path.stem)
def dag(request, dag_bag):
    return dag_bag.dags[request.param.stem]


def test_every_dag_file_is_imported_without_an_error(dag_bag):
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == [path.stem for path in DAG_FILES]


def test_every_dag_file_fits_on_a_page(repository):
    too_long = [path.name for path in DAG_FILES if len(path.read_text("utf-8").splitlines()) > 60]
    assert too_long == []


def test_every_dag_says_what_it_is_for_and_whose_it_is(dag):
    assert len(dag.doc_md.strip()) > 100
    assert dag.owner == "steadfast"
    assert dag.tags


def test_every_dag_starts_on_a_fixed_day_and_does_not_catch_up(dag):
    assert dag.start_date.hour == dag.start_date.minute == 0
    assert dag.catchup is False


def test_every_dag_bounds_its_runs_and_tells_ops_when_one_is_late_or_fails(dag):
    assert dag.max_active_runs <= 4
    assert dag.dagrun_timeout is not None
    assert dag.deadline
    assert dag.has_on_failure_callback


def test_every_task_ends_in_time_and_retries_by_the_house_policy(dag):
    for task in dag.tasks:
        assert task.execution_timeout is not None, task.task_id
        assert task.retries > 0, task.task_id
        assert isinstance(task.retry_policy, SteadfastRetryPolicy), task.task_id


def test_no_task_mails_by_itself(dag):
    assert [task.task_id for task in dag.tasks if task.has_on_failure_callback] == []


def test_parsing_the_dags_imports_nothing_heavy(repository, tmp_path):
    code = (
        "import sys\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(repository / 'dags')!r})\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'{found} {bag.import_errors}' if found or bag.import_errors else 0)\n"
    )
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONFIG": str(repository / "airflow.cfg"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_daily_sync_stands_for_the_day_before(dag_bag):
    timetable = dag_bag.dags["ga4_sync"].timetable
    assert (timetable.run_offset, timetable.key_format) == (-1, "%Y-%m-%d")


def test_the_daily_sync_reports_even_if_a_shard_failed(dag_bag):
    dag = dag_bag.dags["ga4_sync"]
    assert dag.task_dict["publish_asset"].trigger_rule == "all_done"
    assert dag.task_dict["report"].trigger_rule == "all_done"
    assert [task.task_id for task in dag.leaves] == ["report"]


def test_only_one_task_of_the_daily_sync_emits_the_asset(dag_bag):
    emitting = [task.task_id for task in dag_bag.dags["ga4_sync"].tasks if task.outlets]
    assert emitting == ["publish_asset"]


def test_events_are_processed_every_few_minutes_and_never_by_two_runs_at_once(dag_bag):
    dag = dag_bag.dags["webhook_ingest"]
    assert dag.timetable.expression == "*/5 * * * *"
    assert dag.max_active_runs == 1


def test_a_failed_ingest_leaves_trying_again_to_the_next_run(dag_bag):
    assert {task.retries for task in dag_bag.dags["webhook_ingest"].tasks} == {1}


def test_the_ingest_reports_whatever_failed_before(dag_bag):
    dag = dag_bag.dags["webhook_ingest"]
    for name in ("reconcile", "publish_asset", "report"):
        assert dag.task_dict[name].trigger_rule == "all_done"
    assert [task.task_id for task in dag.leaves] == ["report"]


def test_an_n8n_that_answers_slowly_holds_up_no_event(dag_bag):
    tasks = dag_bag.dags["webhook_ingest"].task_dict
    assert tasks["reconcile"].downstream_task_ids == {"report"}
    assert tasks["publish_asset"].upstream_task_ids == {"process"}


def test_what_was_published_is_noted_only_after_airflow_has_taken_the_event(dag_bag):
    mark = dag_bag.dags["webhook_ingest"].task_dict["mark_published"]
    assert (mark.upstream_task_ids, mark.trigger_rule) == ({"publish_asset"}, "all_success")


def test_only_one_task_of_the_ingest_emits_the_asset(dag_bag):
    emitting = [task.task_id for task in dag_bag.dags["webhook_ingest"].tasks if task.outlets]
    assert emitting == ["publish_asset"]


def test_the_ingest_asks_its_own_tasks_whether_they_failed(dag_bag):
    assert set(webhook_tasks.UPSTREAM) <= set(dag_bag.dags["webhook_ingest"].task_dict)


def test_the_ingest_tells_of_its_runs_in_its_own_words(dag_bag):
    assert set(STORIES) <= set(dag_bag.dags)
    assert type(find_story("webhook_ingest")) is not type(find_story("ga4_sync"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("entity", "Bad Slug"), ("start_date", "yesterday"), ("reports", ["no_such_report"])],
)
def test_the_form_refuses_what_cannot_be_meant(dag_bag, field, value):
    param = dag_bag.dags["ga4_sync"].params.get_param(field)
    with pytest.raises(ParamValidationError):
        param.resolve(value=value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("entity", "bakery-7"),
        ("start_date", "2026-11-22"),
        ("reports", ["pages", "events"]),
        ("reports", None),
    ],
)
def test_the_form_takes_what_is_meant(dag_bag, field, value):
    assert dag_bag.dags["ga4_sync"].params.get_param(field).resolve(value=value) == value
