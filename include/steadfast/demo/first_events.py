"""The demo's first webhook events, some of which are lost on the way, and the run that applies them all."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from steadfast.demo.webhooks import SENDERS, read_control
from steadfast.errors import SourceUnavailable
from steadfast.launch.airflow_api import wait_until
from steadfast.launch.stack import Stack
from steadfast.launch.steps import Steps

INGEST_DAG = "webhook_ingest"
FIRST_COUNT = 30
"""Events of each source in its first execution."""
LOST_COUNT = 5
LOSING = SENDERS[1]
"""Whose next execution fails as if the receiver were down: reconciliation brings its events in."""
PATIENCE_SECONDS = 300
ENDED = {"success", "failed"}
# The emulator is on this machine: a proxy of the environment must not be asked for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class FirstIngest:
    """How the run ended."""

    run_id: str
    state: str


def send_first_events(stack: Stack, steps: Steps) -> None:
    """Let every workflow post once and one lose its next events; from then on they post by themselves."""
    control = read_control(stack.options.state)
    with steps.step("Sending the first webhook events") as step:
        for sender in SENDERS:
            wanted = {"source": sender.source, "count": FIRST_COUNT}
            ended = ask_emulator(control, "/send", wanted)
            if ended["status"] != "success":
                raise SourceUnavailable(
                    f"The receiver did not take the first events of {sender.source}; "
                    f"see receiver.log in {stack.children.logs}."
                )
        ask_emulator(control, "/lose", {"source": LOSING.source, "count": LOST_COUNT})
        ask_emulator(control, "/pace", {"is_on": True})
        accepted = FIRST_COUNT * len(SENDERS)
        step.result = f"{accepted} webhook events accepted, {LOST_COUNT} lost on the way"


def run_first_ingest(stack: Stack, steps: Steps) -> FirstIngest:
    """Start a run of `webhook_ingest` and wait for its end."""
    with steps.step(f"Running {INGEST_DAG}") as step:
        check_alive = stack.children.check_alive
        wait_until(lambda: stack.api.knows_dag(INGEST_DAG), check_alive, INGEST_DAG, PATIENCE_SECONDS)
        run_id = stack.api.trigger(INGEST_DAG)

        def has_ended() -> bool:
            return stack.api.run_state(INGEST_DAG, run_id) in ENDED

        wait_until(has_ended, check_alive, f"{run_id} of {INGEST_DAG}", PATIENCE_SECONDS)
        state = stack.api.run_state(INGEST_DAG, run_id)
        step.result = f"{INGEST_DAG} ended: {state}"
    return FirstIngest(run_id, state)


def ask_emulator(control: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make the emulated n8n do something; SourceUnavailable if it does not."""
    request = urllib.request.Request(control + path, json.dumps(body).encode(), method="POST")
    try:
        with _OPENER.open(request, timeout=120) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"The n8n emulator at {control} did not do {path}: {error}") from error
