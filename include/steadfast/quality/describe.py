"""Say in one bounded sentence what a rule found: the values, how many rows, and what would be valid."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from steadfast.quality.rule import Breach, Rule

SAMPLE_VALUES = 3
MAX_VALUE = 60
MAX_FOUND = 300
MAX_VALID = 400
_LOOK_AT_ROWS = 1_000


def describe_breach(rule: Rule, breach: Breach, frame: pd.DataFrame) -> str:
    """`sessions is -3 or -1 in 2 rows; 0 or more is valid.`"""
    found = " or ".join(sample_values(frame, breach))
    count = len(breach.rows)
    sentence = f"{_tuple(breach.columns)} is {found} in {count:,} row{'s' if count != 1 else ''}"
    return f"{_clip(sentence, MAX_FOUND)}; {_clip(rule.valid, MAX_VALID)}."


def sample_values(frame: pd.DataFrame, breach: Breach) -> list[str]:
    """The first few different values that break the rule, each short enough for a mail."""
    head = frame.loc[breach.rows[:_LOOK_AT_ROWS], list(breach.columns)]
    distinct = dict.fromkeys(_tuple(map(_show, row)) for row in head.itertuples(index=False))
    samples = list(distinct)[:SAMPLE_VALUES]
    return [*samples, "other values"] if len(distinct) > SAMPLE_VALUES else samples


def _tuple(words: Iterable[str]) -> str:
    first, *others = words
    return f"({', '.join([first, *others])})" if others else first


def _show(value: Any) -> str:
    if value is None or value is pd.NA or value is pd.NaT:
        return "missing"
    return _clip(repr(value) if isinstance(value, str) else str(value), MAX_VALUE)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
