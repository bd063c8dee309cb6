"""The schema of each fact table: the types and rules of every table, plus those of a file of its own.

To give a table rules of its own, add a file named as the table with a tuple RULES; it is found by name.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import pandera.pandas as pandera

from steadfast.quality.rule import Rule
from steadfast.quality.schemas.column_types import expected_types
from steadfast.quality.schemas.every_table import default_rules
from steadfast.warehouse.facts import FactTable


def rules_of(table: FactTable) -> tuple[Rule, ...]:
    """Every rule of `table`, the general ones first."""
    return default_rules(table) + _own_rules(table.name)


@cache
def schema_of(table: FactTable) -> pandera.DataFrameSchema:
    """Declare the types and rules of `table` for pandera; the check of a rule carries the rule's name."""
    columns = {name: pandera.Column(kind, nullable=True) for name, kind in expected_types(table).items()}
    return pandera.DataFrameSchema(columns, checks=[_declare(rule) for rule in rules_of(table)])


def _own_rules(table_name: str) -> tuple[Rule, ...]:
    module = f"{__name__}.{table_name}"
    if find_spec(module) is None:
        return ()
    rules: tuple[Rule, ...] = import_module(module).RULES
    return rules


def _declare(rule: Rule) -> pandera.Check:
    # A yes or no for the whole frame: a mask would give one failure record per column of each bad row.
    return pandera.Check(lambda frame: next(rule.find(frame), None) is None, name=rule.name, error=rule.valid)
