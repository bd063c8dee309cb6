"""### Webhook events from the inbox into their tables, a few minutes after they were received

Every 5 minutes (`STEADFAST_WEBHOOK_INGEST_MINUTES`) `claim` puts what waits into chunks, `process` applies
them, `reconcile` reads back what n8n could not deliver, `publish_asset` starts downstream DAGs and
`mark_published` notes it, `report` says what is wrong and turns the run red if something was not applied.
**By hand**: *Trigger* processes at once what waits, however old; there is nothing to backfill. **When it is
red**: the mail says how many events wait, since when and why. The next run goes on where this one ended.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task

from steadfast.orchestration import webhook_tasks
from steadfast.orchestration.assets import FACTS_WEBHOOKS
from steadfast.orchestration.callbacks import on_run_failure
from steadfast.orchestration.deadlines import run_deadline
from steadfast.orchestration.defaults import TASK_DEFAULTS
from steadfast.settings import load_settings


@dag(
    schedule=webhook_tasks.every(load_settings().webhook_ingest_minutes),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=15),
    deadline=run_deadline(10),
    on_failure_callback=on_run_failure,
    doc_md=__doc__,
    tags=["webhooks", "warehouse"],
    default_args={**TASK_DEFAULTS, "retries": 1},  # the next run is the next try
)
def webhook_ingest():
    @task
    def claim() -> list[dict[str, int]]:
        return webhook_tasks.claim_shards(get_current_context())

    @task
    def process(run_id: int, shard: int) -> dict[str, int]:
        return webhook_tasks.process_shard(run_id, shard)

    @task(trigger_rule="all_done", execution_timeout=timedelta(minutes=5))
    def reconcile() -> dict[str, int]:
        return webhook_tasks.reconcile_with_n8n()

    @task(outlets=[FACTS_WEBHOOKS], trigger_rule="all_done")
    def publish_asset() -> dict:
        return webhook_tasks.emit_asset_event(get_current_context())

    @task(trigger_rule="all_done")
    def report() -> dict:
        return webhook_tasks.report_run(get_current_context())

    process.expand_kwargs(claim()) >> (published := publish_asset())
    task(webhook_tasks.mark_published)(published) >> report() << reconcile()


webhook_ingest()
