"""What Airflow calls when a run fails or is late; DAG files import this, so it imports the work late."""

from collections.abc import Mapping
from typing import Any


def on_run_failure(context: Mapping[str, Any]) -> None:
    """Tell ops once that a run failed; the `on_failure_callback` of a DAG, never of a task."""
    from steadfast.orchestration.alarms import tell_of_failure

    tell_of_failure(context)


def on_deadline_missed(context: Mapping[str, Any]) -> None:
    """Tell ops once that a run is late; the target of a DAG's deadline."""
    from steadfast.orchestration.alarms import tell_of_delay

    tell_of_delay(context)
