"""One worker in a process of its own, as a task of the DAG is; prints what it did and when as JSON.

`python bench/rig/process_once.py PIPELINE_URL RUN_ID`
"""

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime

from steadfast.warehouse.connect import connect
from steadfast.webhooks.applying.process import process_chunks


def work(url: str, run_id: int) -> dict:
    """Take chunks until none is left."""
    began = time.time()
    done = process_chunks(
        lambda: connect(url),
        run_id=run_id,
        clock=lambda: datetime.now(UTC),
        is_time_over=lambda: False,
    )
    return {**asdict(done), "began": began, "ended": time.time()}


if __name__ == "__main__":
    print(json.dumps(work(sys.argv[1], int(sys.argv[2]))))
