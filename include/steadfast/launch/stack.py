"""Brings an installation up, step by step, and takes it down in order: lock, databases, receiver, Airflow.

What differs between `up` and the demo is its sources: a function that may start programs and returns
the connections and settings that Airflow's tasks get.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from steadfast.errors import ConfigError
from steadfast.ga4.reports import REPORTS
from steadfast.launch.airflow_api import AirflowApi, wait_until
from steadfast.launch.airflow_env import (
    ADMIN,
    OWN_DATABASE,
    AirflowPlace,
    airflow_environment,
    keep_environment,
    write_passwords,
)
from steadfast.launch.databases import OpenDatabases, open_databases
from steadfast.launch.leftovers import end_leftovers, record_sessions
from steadfast.launch.lock import hold_launch_lock
from steadfast.launch.ports import choose_port
from steadfast.launch.processes import Child, Children
from steadfast.launch.receiver import (
    DEFAULT_PORT,
    announce_receiver,
    receiver_environment,
    start_receiver,
)
from steadfast.launch.state_directory import make_state
from steadfast.launch.steps import Steps
from steadfast.settings import Settings
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES

# A task that starts before the web server answers fails, so the scheduler comes second.
FIRST_PARTS = {"api-server": ["api-server"], "dag-processor": ["dag-processor"]}
SECOND_PARTS = {
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
STOP_SECONDS = 6
"""Airflow's triggerer would take 30 s; a task that is cut off is taken up again by its retry."""
READY_SECONDS = 180
WATCH_SECONDS = 1.0
MAIN_DAG = "ga4_sync"


@dataclass(frozen=True)
class Sources:
    """What tasks may reach besides the warehouse: Airflow Connections by id, and settings."""

    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchOptions:
    """Where and as what to launch."""

    state: Path
    port: int
    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    clock: Callable[[], datetime]
    receiver_port: int = DEFAULT_PORT


@dataclass(frozen=True)
class Groundwork:
    """What runs before Airflow: a migrated warehouse and the receiver in front of it."""

    options: LaunchOptions
    children: Children
    opened: OpenDatabases
    webhook_url: str


@dataclass(frozen=True)
class Stack:
    """A running installation."""

    options: LaunchOptions
    children: Children
    opened: OpenDatabases
    place: AirflowPlace
    api: AirflowApi
    webhook_url: str


PrepareSources = Callable[[Groundwork, Steps], Sources]


def no_sources(ground: Groundwork, steps: Steps) -> Sources:
    """Connections come from the user's own environment, Airflow's page or a secrets backend."""
    return Sources()


@contextmanager
def open_stack(options: LaunchOptions, steps: Steps, prepare_sources: PrepareSources) -> Iterator[Stack]:
    """Start everything and yield once Airflow is ready; on the way out, stop it all in order."""
    make_state(options.state)
    with ExitStack() as closing:
        lock = closing.enter_context(hold_launch_lock(options.state))
        end_leftovers(options.state)
        opened = _open_databases(options, steps, closing)
        children = Children(options.state / "logs")
        closing.callback(_stop_children, children, steps)
        place = _choose_place(options, opened, steps)
        stack = _start(options, children, opened, place, steps, prepare_sources)
        lock.announce(url=place.url)
        yield stack


def stay_up(stack: Stack, steps: Steps) -> None:
    """Return at Ctrl-C; ConfigError with its last words if a part ends before."""
    steps.say("\nEverything stays up until you press Ctrl-C.")
    # Here Ctrl-C is the way to end, not an accident.
    with suppress(KeyboardInterrupt):
        while True:
            stack.children.check_alive()
            time.sleep(WATCH_SECONDS)


def _open_databases(options: LaunchOptions, steps: Steps, closing: ExitStack) -> OpenDatabases:
    has_own = OWN_DATABASE in options.environ
    with steps.step("Opening PostgreSQL") as step:
        opening = open_databases(options.state, options.settings, has_own_airflow_database=has_own)
        opened = closing.enter_context(opening)
        step.result = f"PostgreSQL answers: {opened.place}"
    return opened


def _stop_children(children: Children, steps: Steps) -> None:
    with steps.step("Stopping Airflow and its neighbours"):
        children.stop(STOP_SECONDS)


def _start(
    options: LaunchOptions,
    children: Children,
    opened: OpenDatabases,
    place: AirflowPlace,
    steps: Steps,
    prepare_sources: PrepareSources,
) -> Stack:
    first = airflow_environment(place, {}, options.environ)
    # Both migrations at once: Airflow's takes seconds of mere imports.
    migration = children.start("airflow-migrate", _airflow(["db", "migrate"]), first)
    _migrate_warehouse(options, opened, steps)
    webhook_url = _start_receiver(options, children, opened, place, steps)
    sources = prepare_sources(Groundwork(options, children, opened, webhook_url), steps)
    _await_migration(children, migration, steps)
    environment = {**airflow_environment(place, sources.connections, options.environ), **sources.environment}
    write_passwords(place)
    keep_environment(options.state, environment, options.environ)
    api = AirflowApi(place.url, ADMIN, place.password)
    _start_airflow(options, children, environment, api, steps)
    return Stack(options, children, opened, place, api, webhook_url)


def _start_airflow(
    options: LaunchOptions, children: Children, environment: Mapping[str, str], api: AirflowApi, steps: Steps
) -> None:
    with steps.step("Starting Airflow's web server and DAG processor") as step:
        _start_parts(options, children, FIRST_PARTS, environment)
        wait_until(api.answers, children.check_alive, "Airflow's web server", READY_SECONDS)
        step.result = "Airflow's web server and DAG processor run"
    with steps.step("Starting Airflow's scheduler and triggerer") as step:
        _start_parts(options, children, SECOND_PARTS, environment)
        wait_until(lambda: _is_ready(api), children.check_alive, "Airflow", READY_SECONDS)
        step.result = f"Airflow is ready at {api.url}"


def _start_parts(
    options: LaunchOptions, children: Children, parts: Mapping[str, list[str]], environment: Mapping[str, str]
) -> None:
    for name, command in parts.items():
        children.start(name, _airflow(command), environment)
    record_sessions(options.state, children)


def _is_ready(api: AirflowApi) -> bool:
    return api.is_healthy() and api.knows_dag(MAIN_DAG)


def _migrate_warehouse(options: LaunchOptions, opened: OpenDatabases, steps: Steps) -> None:
    with steps.step("Migrating the warehouse") as step:
        reports = [report.table for report in REPORTS.values()]
        databases, today = opened.databases, options.clock().date()
        migrate(
            databases.owner_url,
            passwords=databases.passwords,
            reports=reports,
            events=EVENT_TABLES,
            today=today,
        )
        step.result = f"Warehouse migrated, {len(reports) + len(EVENT_TABLES)} fact tables"


def _start_receiver(
    options: LaunchOptions, children: Children, opened: OpenDatabases, place: AirflowPlace, steps: Steps
) -> str:
    # Airflow's own port is chosen by now, but nobody listens there yet.
    wanted = options.receiver_port
    port = choose_port(None if wanted == place.port else wanted)
    if port != wanted:
        steps.say(f"[yellow]![/yellow] Port {wanted} is taken; the receiver will be on port {port}.")
    with steps.step("Starting the webhook receiver") as step:
        url = opened.databases.receiver_url
        environment = receiver_environment(place.state, options.settings, url, options.environ)
        webhook_url = announce_receiver(place.state, start_receiver(children, port, environment))
        step.result = f"The webhook receiver listens at {webhook_url}"
    return webhook_url


def _await_migration(children: Children, migration: Child, steps: Steps) -> None:
    with steps.step("Migrating Airflow's database") as step:
        migration.wait(READY_SECONDS)
        children.forget(migration)
        step.result = "Airflow's database migrated"


def _choose_place(options: LaunchOptions, opened: OpenDatabases, steps: Steps) -> AirflowPlace:
    port = choose_port(options.port)
    if port != options.port:
        steps.say(f"[yellow]![/yellow] Port {options.port} is taken; Airflow's page will be on port {port}.")
    databases = opened.databases
    return AirflowPlace(
        sql_directory().parent, options.state.resolve(), port, databases.airflow_url, databases.pipeline_url
    )


def _airflow(arguments: list[str]) -> list[str]:
    program = Path(sys.executable).parent / "airflow"
    if not program.exists():
        raise ConfigError(f"{program} is missing; run `uv sync` in the checkout.")
    return [str(program), *arguments]
