"""Mounts the webhook receiver in Airflow's web server: events go to /hooks/v1/in/ENTITY/SOURCE.

Only where STEADFAST_RECEIVER_URL (or its _FILE) is set, which is meant for the api-server alone; every
other component reads this file too and gets nothing. Airflow does not guard what a plugin mounts: the
receiver checks signatures and tokens itself.
"""

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin

SETTING = "STEADFAST_RECEIVER_URL"
PREFIX = "/hooks"


def list_apps() -> list[dict[str, Any]]:
    """What to mount; nothing, without an import, where there is no receiver's URL."""
    if not (os.environ.get(SETTING) or os.environ.get(f"{SETTING}_FILE")):
        return []
    from steadfast.orchestration.mounted_receiver import mount_receiver

    return [{"app": mount_receiver(), "url_prefix": PREFIX, "name": "steadfast receiver"}]


class SteadfastPlugin(AirflowPlugin):
    """What Airflow finds."""

    name = "steadfast"
    fastapi_apps = list_apps()
