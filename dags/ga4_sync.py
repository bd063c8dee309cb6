"""### Yesterday's Google Analytics 4 numbers, and the days GA4 has restated, in the warehouse

Daily at 02:00 UTC, one partition a day: `sync_shard` fetches, checks and publishes its share of properties,
`publish_asset` starts downstream DAGs, `report` turns the run red, with one mail, if anything is missing.
Publishing is no task of its own: a good property must not wait for the retry of a bad one beside it.

**By hand**: *Trigger* opens a form. Empty fields mean every entity, the usual days, the usual reports.
**Past days**: `airflow backfill create --dag-id ga4_sync --from-date 2026-11-16 --to-date 2026-11-22T23:59`;
midnight would leave the last day out, because a run fires at 02:00.
**When it is red**: the mail says which property needs what; the next run fetches what is missing.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronPartitionTimetable, dag, get_current_context, task

from steadfast.orchestration import ga4_tasks
from steadfast.orchestration.assets import FACTS_GA4
from steadfast.orchestration.callbacks import on_run_failure
from steadfast.orchestration.deadlines import run_deadline
from steadfast.orchestration.defaults import TASK_DEFAULTS
from steadfast.orchestration.ga4_form import FORM
from steadfast.settings import load_settings


@dag(
    schedule=CronPartitionTimetable("0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=12),
    deadline=run_deadline(load_settings().sync_deadline_minutes),
    on_failure_callback=on_run_failure,
    params=FORM,
    doc_md=__doc__,
    tags=["ga4", "warehouse"],
    default_args=TASK_DEFAULTS,
)
def ga4_sync():
    @task
    def plan() -> list[dict[str, int]]:
        return ga4_tasks.plan_shards(get_current_context())

    @task(execution_timeout=timedelta(hours=1))
    def sync_shard(run_id: int, shard: int) -> dict[str, int]:
        return ga4_tasks.sync_one_shard(run_id, shard)

    @task(outlets=[FACTS_GA4], trigger_rule="all_done")
    def publish_asset() -> dict:
        return ga4_tasks.emit_asset_event(get_current_context())

    @task(trigger_rule="all_done")
    def report() -> dict:
        return ga4_tasks.report_run(get_current_context())

    sync_shard.expand_kwargs(plan()) >> publish_asset() >> report()


ga4_sync()
