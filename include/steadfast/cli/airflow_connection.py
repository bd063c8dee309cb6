"""GA4 credentials for a command: they lie in Airflow, whose environment a terminal lacks by itself."""

import os
from typing import TYPE_CHECKING

from steadfast.errors import ConfigError
from steadfast.launch.airflow_env import read_environment
from steadfast.settings import Settings

if TYPE_CHECKING:
    from steadfast.ga4.client import ClientConfig


def is_airflow_reachable(settings: Settings) -> bool:
    """Tell whether there is an Airflow to ask: the terminal's own, or one of the state directory."""
    return "AIRFLOW_HOME" in os.environ or "AIRFLOW_HOME" in read_environment(settings.state)


def read_client_config(connection_id: str, settings: Settings) -> "ClientConfig":
    """How to reach GA4 with a Connection; ConfigError if it or Airflow is missing."""
    if not is_airflow_reachable(settings):
        raise ConfigError(
            f"Connection {connection_id} cannot be read, there is no Airflow here: start it with `make up` "
            "or `make demo`, set AIRFLOW_HOME, or run this inside the container of the scheduler."
        )
    for name, value in read_environment(settings.state).items():
        os.environ.setdefault(name, value)
    # Importing it starts Airflow, which reads its environment once.
    from steadfast.orchestration.connections import ga4_client_config

    return ga4_client_config(connection_id)
