"""Rules that follow from the description of a fact table alone.

To add a rule for every table, add it to `default_rules`; one for a single table belongs in a file
named as the table.
"""

from steadfast.quality.rule import Rule
from steadfast.quality.schemas.finders import (
    find_duplicates,
    find_larger_part,
    find_long_text,
    find_not_finite,
    find_nulls,
    find_outside,
)
from steadfast.warehouse.facts import FactTable

MAX_TEXT = 16_384
MAX_REVENUE = 10**12
ESTIMATION_SLACK = 0.05
"""GA4 estimates users and sessions each for itself: a part may exceed its whole by a few percent."""

PARTS = (
    ("engaged_sessions", "sessions"),
    ("new_users", "total_users"),
    ("active_users", "total_users"),
)
"""(part, whole): checked wherever a table has both."""
REFETCH = "Fetch the day again; if it comes back the same, replay the landed page and report the cell."


def default_rules(table: FactTable) -> tuple[Rule, ...]:
    """The rules of `table` that need no file of their own."""
    return (*_key_rules(table), *_number_rules(table), *_plausibility_rules(table))


def _key_rules(table: FactTable) -> tuple[Rule, ...]:
    key = ("property_id", table.date_column, "dim_key")
    return (
        Rule(
            "key_present",
            "critical",
            "every row needs a property, a date and a key",
            "Look at the first dimension of the landed page: '(other)' or a broken date stands for the date.",
            find_nulls(key),
        ),
        Rule(
            "key_unique",
            "critical",
            "one row for each property, date and set of dimensions is valid",
            "Fetch the day again: rows moved between pages while it was read.",
            find_duplicates(key),
        ),
    )


def _number_rules(table: FactTable) -> tuple[Rule, ...]:
    cells = (*table.dimensions, *(name for name, _ in table.metrics))
    counts = [name for name, kind in table.metrics if kind == "bigint" or name == "key_events"]
    doubles = [name for name, kind in table.metrics if kind == "double precision"]
    return (
        Rule("cell_readable", "critical", "a value that can be read is valid", REFETCH, find_nulls(cells)),
        Rule("count_not_negative", "critical", "0 or more is valid", REFETCH, find_outside(counts, 0, None)),
        Rule("number_finite", "critical", "a finite number is valid", REFETCH, find_not_finite(doubles)),
    )


def _plausibility_rules(table: FactTable) -> tuple[Rule, ...]:
    metrics = {name for name, _ in table.metrics}
    amounts = [name for name, kind in table.metrics if kind.startswith("numeric")]
    pairs = [pair for pair in PARTS if metrics.issuperset(pair)]
    return (
        Rule(
            "amount_plausible",
            "warning",
            f"an amount between -{MAX_REVENUE:,} and {MAX_REVENUE:,} is valid",
            "Find the purchase with that value in GA4 and correct the tag that sent it.",
            find_outside(amounts, -MAX_REVENUE, MAX_REVENUE),
        ),
        Rule(
            "text_not_too_long",
            "warning",
            f"at most {MAX_TEXT:,} characters are valid",
            "Shorten the value in the site's tagging; a page path this long is usually an attack or a loop.",
            find_long_text(table.dimensions, MAX_TEXT),
        ),
        Rule(
            "part_within_whole",
            "warning",
            f"the first may exceed the second by at most {ESTIMATION_SLACK:.0%}",
            "Compare the day with GA4's own report; if it shows the same, its estimate is off.",
            find_larger_part(pairs, ESTIMATION_SLACK),
        ),
    )
