"""The demo: everything started, the real sample synced through the real Airflow, and a summary.

To add a step to the demo, call it from `run_demo`; what it needs beside Airflow is started in `sources`.
"""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.table import Table

from steadfast.demo.first_sync import FirstSync, read_row, run_first_sync
from steadfast.demo.mail_sink import list_mails
from steadfast.demo.sources import ACTOR, EMULATOR_FILE, start_demo_sources
from steadfast.entities.logins import grant_login
from steadfast.errors import SourceUnavailable
from steadfast.launch.airflow_env import ADMIN
from steadfast.launch.databases import change_url
from steadfast.launch.stack import MAIN_DAG, LaunchOptions, Stack, open_stack, stay_up
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.queries import load_queries

SHOWN_ENTITY = "agriculture"
READER = "agriculture_reader"


@dataclass(frozen=True)
class Reading:
    """A login that may read the marts of one entity."""

    entity: str
    url: str = field(repr=False)
    psql: Path

    def command(self, query: str) -> str:
        """The line for a shell; its password is no argument, because others see those of every program."""
        parts = urlsplit(self.url)
        words = [str(self.psql), "-h", str(parts.hostname), "-p", str(parts.port)]
        words += ["-U", unquote(str(parts.username)), "-d", unquote(parts.path.lstrip("/")), "-c", query]
        return f"PGPASSWORD={shlex.quote(unquote(str(parts.password)))} {shlex.join(words)}"


def run_demo(options: LaunchOptions, steps: Steps, *, is_once: bool) -> None:
    """Run the demo; `is_once` returns after the summary, else it stays until it is interrupted.

    SourceUnavailable if the first sync did not end well; the summary is shown before.
    """
    with open_stack(options, steps, start_demo_sources) as stack:
        sync = run_first_sync(stack, steps)
        reading = grant_reading(stack)
        show_summary(stack, steps, sync, reading)
        if sync.state != "success":
            raise SourceUnavailable(_describe_failure(stack, sync))
        if not is_once:
            stay_up(stack, steps)


def grant_reading(stack: Stack) -> Reading:
    """Make a login that sees one entity of the sample, as `steadfast entity grant` does."""
    now = stack.options.clock()
    with translate_errors(), connect(stack.opened.databases.owner_url) as connection:
        password = grant_login(connection, SHOWN_ENTITY, READER, now=now, actor=ACTOR)
    url = change_url(stack.opened.databases.pipeline_url, READER, password)
    return Reading(SHOWN_ENTITY, url, stack.opened.psql)


def show_summary(stack: Stack, steps: Steps, sync: FirstSync, reading: Reading) -> None:
    """Print what happened and where to look."""
    with translate_errors(), connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        published = read_row(connection, "count_published")
    runs = stack.api.list_runs(MAIN_DAG)
    states = ", ".join(f"{run['dag_run_id']} {run['state']}" for run in runs[:4])
    mails = stack.options.state / "mail"
    table = Table(title="What happened", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("properties", f"{published['properties']} of {published['entities']} entities")
    table.add_row("rows", f"{published['rows']:,}")
    table.add_row(
        "partitions", f"{published['partitions']:,} ({published['first_on']} to {published['last_on']})"
    )
    table.add_row("DAG runs", f"{len(runs)} of {MAIN_DAG}: {states}")
    table.add_row("first numbers", _show_seconds(sync.first_numbers_s))
    table.add_row("everything", _show_seconds(steps.elapsed))
    table.add_row("mails", f"{len(list_mails(mails))} in {mails}")
    steps.console.print(table)
    steps.say(f"\nAirflow      {stack.place.url}   user {ADMIN}   password {stack.place.password}")
    steps.say(f"Marts        as {reading.entity} only, read only:")
    query = "SELECT day, sessions, revenue FROM marts.daily_overview ORDER BY day DESC LIMIT 7"
    steps.say(f"  {reading.command(query)}")
    control = json.loads((stack.options.state / EMULATOR_FILE).read_text("ascii"))["control"]
    fault = '{"property": "395461442", "kind": "no_access"}'
    steps.say(f"Break it     curl -X POST http://127.0.0.1:{control}/faults -d '{fault}'")
    steps.say(f"Commands     STEADFAST_STATE={stack.options.state} .venv/bin/steadfast --help")
    steps.say(f"Logs         {stack.children.logs}")


def _show_seconds(seconds: float | None) -> str:
    return "none came" if seconds is None else f"after {seconds:.0f} s"


def _describe_failure(stack: Stack, sync: FirstSync) -> str:
    with translate_errors(), connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        query = load_queries("demo")["list_problems"]
        problems = connection.execute(query, {"airflow_run_id": sync.run_id}).fetchall()
    reasons = "; ".join(f"{items} {state}: {reason}" for state, reason, items in problems)
    where = f"The task logs are in {stack.place.directory / 'logs'}."
    return f"{MAIN_DAG} ended as {sync.state}. {reasons or where}"
