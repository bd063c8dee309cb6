"""What the demo prints at its end: what happened, where to look, and lines to copy that break something."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg import Connection
from rich.table import Table

from steadfast.demo.first_events import INGEST_DAG, LOST_COUNT
from steadfast.demo.first_sync import FirstSync, read_row
from steadfast.demo.mail_sink import list_mails
from steadfast.demo.sources import EMULATOR_FILE
from steadfast.demo.webhooks import SENDERS, read_control
from steadfast.launch.airflow_env import ADMIN
from steadfast.launch.stack import MAIN_DAG, Stack
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors

MENDING = '[{"op": "replace", "path": "/data/currency", "value": "USD"}]'
"""The patch that makes the wrong events of the shown workflow right."""


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


def show_summary(stack: Stack, steps: Steps, sync: FirstSync, reading: Reading) -> None:
    """Print what happened and where to look."""
    table = Table(title="What happened", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    with translate_errors(), connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        rows = [*_sync_rows(connection), *_event_rows(connection, reading.entity)]
    rows += [(f"runs of {dag_id}", _describe_runs(stack, dag_id)) for dag_id in (MAIN_DAG, INGEST_DAG)]
    mails = stack.options.state / "mail"
    rows += [
        ("first numbers", _show_seconds(sync.first_numbers_s)),
        ("everything", _show_seconds(steps.elapsed)),
        ("mails", f"{len(list_mails(mails))} in {mails}"),
    ]
    for row in rows:
        table.add_row(*row)
    steps.console.print(table)
    steps.say("")
    for title, text in _places(stack, reading):
        steps.say(f"{title:<12} {text}" if title else f"  {text}")


def _sync_rows(connection: Connection[Any]) -> list[tuple[str, str]]:
    published = read_row(connection, "count_published")
    return [
        ("properties", f"{published['properties']} of {published['entities']} entities"),
        ("rows", f"{published['rows']:,}"),
        ("partitions", f"{published['partitions']:,} ({published['first_on']} to {published['last_on']})"),
    ]


def _event_rows(connection: Connection[Any], entity: str) -> list[tuple[str, str]]:
    events = read_row(connection, "count_events")
    sales = read_row(connection, "count_sales", entity=entity)
    dead = read_row(connection, "count_dead_letters")
    return [
        ("events", f"{events['received']:,} received, {events['recovered']:,} of them recovered from n8n"),
        (f"sales of {entity}", f"{sales['orders']:,} orders, {sales['revenue']:,.2f} {sales['currencies']}"),
        ("dead letters", f"{dead['dead']:,} {dead['reasons'] or ''}".strip()),
    ]


def _places(stack: Stack, reading: Reading) -> list[tuple[str, str]]:
    """Title and text of each line; a line without a title belongs to the one before it."""
    control = read_control(stack.options.state)
    ga4 = json.loads((stack.options.state / EMULATOR_FILE).read_text("ascii"))["control"]
    shown = SENDERS[0]
    ours = f"STEADFAST_STATE={stack.options.state} .venv/bin/steadfast"
    traffic = "SELECT day, sessions, revenue FROM marts.daily_overview ORDER BY day DESC LIMIT 7"
    sales = "SELECT day, currency, lead_count, order_count, revenue FROM marts.sales_daily ORDER BY day DESC"
    lose = json.dumps({"source": shown.source, "count": LOST_COUNT})
    return [
        ("Airflow", f"{stack.place.url}   user {ADMIN}   password {stack.place.password}"),
        ("Marts", f"as {reading.entity} only, read only:"),
        ("", reading.command(traffic)),
        ("", reading.command(sales)),
        ("Webhooks", f"{stack.webhook_url}/v1/in/{shown.source}, posted to by an emulated n8n all the time"),
        ("", f"{ours} webhook status"),
        ("", f"{ours} source show {shown.entity} {shown.slug}"),
        ("Mend", "the dead letters, events with a wrong currency:"),
        (
            "",
            f"{ours} webhook replay --entity {shown.entity} --patch {shlex.quote(MENDING)}",
        ),
        (
            "Break it",
            "take the access to a property away; lose events, which the next run finds in n8n:",
        ),
        ("", _curl(f"http://127.0.0.1:{ga4}/faults", '{"property": "395461442", "kind": "no_access"}')),
        ("", _curl(f"{control}/lose", lose)),
        ("Commands", f"{ours} --help"),
        ("Logs", str(stack.children.logs)),
    ]


def _curl(url: str, body: str) -> str:
    return f"curl -X POST {url} -d {shlex.quote(body)}"


def _describe_runs(stack: Stack, dag_id: str) -> str:
    runs = stack.api.list_runs(dag_id)
    states = ", ".join(f"{run['dag_run_id']} {run['state']}" for run in runs[:4])
    return f"{len(runs)}: {states}"


def _show_seconds(seconds: float | None) -> str:
    return "none came" if seconds is None else f"after {seconds:.0f} s"
