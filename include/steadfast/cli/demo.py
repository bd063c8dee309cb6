"""`steadfast up` and `steadfast demo`: an installation on this machine; `steadfast airflow` talks to it."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from steadfast.cli.terminal import current_time
from steadfast.errors import ConfigError
from steadfast.launch.receiver import DEFAULT_PORT
from steadfast.settings import load_settings

StateOption = Annotated[Path | None, typer.Option("--state", help="Directory for everything it keeps.")]
PortOption = Annotated[int, typer.Option("--port", help="Port of Airflow's page; a free one if it is taken.")]
ReceiverPortOption = Annotated[
    int, typer.Option("--receiver-port", help="Port of the webhook receiver; a free one if it is taken.")
]


def run_demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the summary, do not stay up.")] = False,
    state: StateOption = None,
    port: PortOption = 8080,
    receiver_port: ReceiverPortOption = DEFAULT_PORT,
) -> None:
    """Run Steadfast over a real sample: PostgreSQL, emulators of GA4 and n8n, Airflow, and the first runs."""
    from steadfast.demo.scenario import run_demo as run_scenario

    options, steps = _prepare(state, port, receiver_port, "demo")
    with _stopping_on_signals():
        run_scenario(options, steps, is_once=once)


def run_installation(
    state: StateOption = None, port: PortOption = 8080, receiver_port: ReceiverPortOption = DEFAULT_PORT
) -> None:
    """Run Steadfast for real: Airflow and the webhook receiver beside your PostgreSQL, or an embedded one."""
    from steadfast.launch.airflow_env import ADMIN
    from steadfast.launch.stack import no_sources, open_stack, stay_up

    options, steps = _prepare(state, port, receiver_port, "")
    with _stopping_on_signals(), open_stack(options, steps, no_sources) as stack:
        steps.say(f"\nAirflow      {stack.place.url}   user {ADMIN}   password {stack.place.password}")
        steps.say(f"Webhooks     {stack.webhook_url}/v1/in/ENTITY/SOURCE")
        steps.say("Next         .venv/bin/steadfast entity add --help")
        stay_up(stack, steps)


def run_airflow(
    context: typer.Context,
    state: StateOption = None,
) -> None:
    """Run Airflow's own command line on the installation, as in `steadfast airflow dags list`."""
    from steadfast.launch.airflow_env import read_environment

    directory = (state or load_settings().state).resolve()
    environment = read_environment(directory)
    if not environment:
        raise ConfigError(
            f"No Airflow was started in {directory}; run `make up` or `make demo`, or name its --state first."
        )
    program = Path(sys.executable).parent / "airflow"
    os.execve(program, [str(program), *context.args], {**os.environ, **environment})


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("demo")(run_demo)
    app.command("up")(run_installation)
    app.command("airflow", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        run_airflow
    )


def _prepare(state: Path | None, port: int, receiver_port: int, subdirectory: str) -> tuple[Any, Any]:
    from steadfast.launch.stack import LaunchOptions
    from steadfast.launch.steps import Steps

    settings = load_settings()
    directory = (state or settings.state / subdirectory).resolve()
    # A demo never writes into somebody's real warehouse.
    warehouse_url = "" if subdirectory else settings.warehouse_url
    settings = replace(settings, state=directory, warehouse_url=warehouse_url)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    options = LaunchOptions(directory, port, settings, os.environ, current_time, receiver_port)
    return options, Steps(console)


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Turn the first signal to end into KeyboardInterrupt; the next ones must not disturb the clean-up."""

    def interrupt(number: int, frame: Any) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores a signal on purpose.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    yield
