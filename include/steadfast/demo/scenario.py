"""The demo: everything started, the real sample synced and events ingested by the real Airflow, a summary.

To add a step to the demo, call it from `run_demo`; what it needs beside Airflow is started in `sources`.
"""

from steadfast.demo.first_events import INGEST_DAG, FirstIngest, run_first_ingest, send_first_events
from steadfast.demo.first_sync import FirstSync, run_first_sync
from steadfast.demo.sources import start_demo_sources
from steadfast.demo.summary import Reading, show_summary
from steadfast.demo.webhooks import ACTOR, SENDERS
from steadfast.entities.logins import grant_login
from steadfast.errors import SourceUnavailable
from steadfast.launch.databases import change_url
from steadfast.launch.stack import MAIN_DAG, LaunchOptions, Stack, open_stack, stay_up
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.queries import load_queries

SHOWN_ENTITY = SENDERS[0].entity
READER = "agriculture_reader"


def run_demo(options: LaunchOptions, steps: Steps, *, is_once: bool) -> None:
    """Run the demo; `is_once` returns after the summary, else it stays until it is interrupted.

    SourceUnavailable if the first runs did not end well; the summary is shown before.
    """
    with open_stack(options, steps, start_demo_sources) as stack:
        send_first_events(stack, steps)
        sync = run_first_sync(stack, steps)
        ingest = run_first_ingest(stack, steps)
        show_summary(stack, steps, sync, grant_reading(stack))
        _raise_if_failed(stack, sync, ingest)
        if not is_once:
            stay_up(stack, steps)


def grant_reading(stack: Stack) -> Reading:
    """Make a login that sees one entity of the sample, as `steadfast entity grant` does."""
    now = stack.options.clock()
    with translate_errors(), connect(stack.opened.databases.owner_url) as connection:
        password = grant_login(connection, SHOWN_ENTITY, READER, now=now, actor=ACTOR)
    url = change_url(stack.opened.databases.pipeline_url, READER, password)
    return Reading(SHOWN_ENTITY, url, stack.opened.psql)


def _raise_if_failed(stack: Stack, sync: FirstSync, ingest: FirstIngest) -> None:
    if sync.state != "success":
        raise SourceUnavailable(_describe_failure(stack, sync))
    if ingest.state != "success":
        raise SourceUnavailable(f"{INGEST_DAG} ended as {ingest.state}. {_where_logs_are(stack)}")


def _describe_failure(stack: Stack, sync: FirstSync) -> str:
    with translate_errors(), connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        query = load_queries("demo")["list_problems"]
        problems = connection.execute(query, {"airflow_run_id": sync.run_id}).fetchall()
    reasons = "; ".join(f"{items} {state}: {reason}" for state, reason, items in problems)
    return f"{MAIN_DAG} ended as {sync.state}. {reasons or _where_logs_are(stack)}"


def _where_logs_are(stack: Stack) -> str:
    return f"The task logs are in {stack.place.directory / 'logs'}."
