"""### Webhook events once more: dead letters, mended if need be

Only by hand: *Trigger* opens a form that says which events are meant, what to mend in them (a JSON Patch,
RFC 6902), and whether to try it first. A dry run, the default, changes nothing: its log says how many events
match, which the patch does not fit, and whether the first ones would keep their contract afterwards.

A replay puts copies into the inbox, and the next run of `webhook_ingest` loads them. Facts have one row for
each natural key, so nothing is doubled by events that were loaded already; and a run that is tried again or
cleared goes on with what it was asked for, it replays no event twice.
**When it is red**: the patch did not fit some events; they are dead letters still, and the log names them.
**To see bodies**: `steadfast webhook search --state dead --body` and `steadfast webhook show INBOX_ID`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task

from steadfast.orchestration import replay_tasks
from steadfast.orchestration.callbacks import on_run_failure
from steadfast.orchestration.deadlines import run_deadline
from steadfast.orchestration.defaults import TASK_DEFAULTS
from steadfast.orchestration.replay_form import FORM


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=2),
    deadline=run_deadline(60),
    on_failure_callback=on_run_failure,
    params=FORM,
    doc_md=__doc__,
    tags=["webhooks", "warehouse"],
    default_args=TASK_DEFAULTS,
)
def webhook_replay():
    @task(execution_timeout=timedelta(hours=1))
    def replay() -> dict[str, int]:
        return replay_tasks.replay_by_form(get_current_context())

    replay()


webhook_replay()
