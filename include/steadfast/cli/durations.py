"""How long something takes, as a person writes it: `300`, `90s`, `15m`, `24h`, `30d`."""

import re
from datetime import timedelta

import typer

UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")


def read_duration(text: str) -> timedelta:
    """Read `24h`; a bare number is seconds."""
    found = DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration: a number with s, m, h or d, such as 24h.")
    return timedelta(seconds=int(found[1]) * UNIT_SECONDS[found[2]])
