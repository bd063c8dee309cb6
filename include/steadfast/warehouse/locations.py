"""Where the SQL of an installation lies: beside `include/`, in the checkout that this package runs from."""

import os
from pathlib import Path

from steadfast.errors import ConfigError

HOME_VARIABLE = "STEADFAST_HOME"


def sql_directory() -> Path:
    """The directory with migrations/, marts/ and queries/; STEADFAST_HOME overrides the checkout."""
    home = Path(os.environ.get(HOME_VARIABLE) or Path(__file__).resolve().parents[3])
    directory = home / "sql"
    if not directory.is_dir():
        raise ConfigError(
            f"There is no directory {directory}; set {HOME_VARIABLE} to the checkout that holds sql/."
        )
    return directory
