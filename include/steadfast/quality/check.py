"""Check a landed frame against the schema of its fact table, before anything is published.

pandera says which rules are broken; which rows break them is asked of the rules themselves, by
position, because failure cases name index labels and repeat a row once per column. Rules live in
`schemas/`; this module imports pandera, so import it inside tasks only.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from steadfast.quality.describe import describe_breach
from steadfast.quality.rule import BrokenRule, Rule
from steadfast.quality.schemas import rules_of, schema_of
from steadfast.quality.schemas.column_types import conform_frame, expected_types
from steadfast.warehouse.facts import FactTable


def check_frame(table: FactTable, frame: pd.DataFrame) -> list[BrokenRule]:
    """Every rule of `table` that `frame` breaks, with the positions of the rows; empty if it is clean.

    Positions count from 0 whatever the frame's index is. A missing column or a wrong type is reported
    alone, for all rows: values are only judged once the columns are what they should be.
    """
    landed = conform_frame(table, frame)
    try:
        schema_of(table).validate(landed, lazy=True)
    except SchemaErrors as errors:
        misshapen = list(_find_misshapen(table, landed, errors.schema_errors))
        return misshapen or list(_find_broken(rules_of(table), landed))
    return []


def _find_broken(rules: tuple[Rule, ...], frame: pd.DataFrame) -> Iterator[BrokenRule]:
    for rule in rules:
        for breach in rule.find(frame):
            column = breach.columns[0] if len(breach.columns) == 1 else ""
            detail = describe_breach(rule, breach, frame)
            yield BrokenRule(rule.name, rule.severity, column, breach.rows, detail, rule.remedy)


def _find_misshapen(table: FactTable, frame: pd.DataFrame, errors: list[SchemaError]) -> Iterator[BrokenRule]:
    types = expected_types(table)
    rows = np.arange(len(frame), dtype=np.int64)
    remedy = "Compare the report's columns with what the decoder produced; the code is at fault, not GA4."
    for error in errors:
        if error.reason_code is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            name = str(error.failure_cases)
            detail = f"{table.name} has no column {name}; {types[name]} is valid."
            yield BrokenRule("column_present", "critical", name, rows, detail, remedy)
        elif error.reason_code is SchemaErrorReason.WRONG_DATATYPE:
            name = str(error.schema.name)
            detail = f"{name} has the type {frame[name].dtype}; {types[name]} is valid."
            yield BrokenRule("column_type", "critical", name, rows, detail, remedy)
