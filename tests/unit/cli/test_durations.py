"""How long something takes, as a person writes it."""

from datetime import timedelta

import pytest
import typer

from steadfast.cli.durations import read_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("90s", 90), ("15m", 900), ("24h", 86400), ("30d", 2592000), ("0", 0), (" 5m ", 300)],
)
def test_a_number_and_a_unit_are_a_duration(text, seconds):
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "-5", "1.5h", "1h30m", "5 m", "9999999999", "٣h"])
def test_anything_else_is_a_wrong_question(text):
    with pytest.raises(typer.BadParameter, match="is not a duration"):
        read_duration(text)
