"""When a run is late: Airflow watches the clock and calls us, we say what is missing.

A deadline exists only for runs that were created; runs that never were are not seen here.
"""

from datetime import timedelta

from airflow.sdk import (  # type: ignore[attr-defined]  # its stub lacks the three, the module has them
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
)

CALLBACK = "steadfast.orchestration.callbacks.on_deadline_missed"


def run_deadline(minutes: int) -> DeadlineAlert:
    """Alarm `minutes` after a run was queued. In the executor, so that it works without a triggerer."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=SyncCallback(CALLBACK),
        name=f"finished within {minutes} minutes",
    )
