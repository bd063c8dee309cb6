"""What every task of every DAG has unless it says otherwise."""

from datetime import timedelta
from typing import Any

from steadfast.orchestration.retry import SteadfastRetryPolicy

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "steadfast",
    "retries": 4,
    "retry_policy": SteadfastRetryPolicy(),
    "execution_timeout": timedelta(minutes=10),
}
