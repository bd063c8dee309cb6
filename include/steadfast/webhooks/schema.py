"""A contract's JSON Schema, checked exactly: at the door of strict sources, and against the SQL in tests.

The stock validator divides by 0.000001 in binary floating point and refuses 129.9, takes 3.0 for no whole
number when it is a Decimal, and lets a line end pass at the end of a text. All three are mended here.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from steadfast.webhooks.contract import EventType


@cache
def open_validator(event: EventType) -> Draft202012Validator:
    """The validator of whole events of one type and version; numbers may be int, float or Decimal."""
    validator: Draft202012Validator = _Exact(event.json_schema())
    return validator


def _check_multiple(
    validator: Any, part: float, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "number") and _count_decimals(instance) > _count_decimals(part):
        yield ValidationError(f"{instance!r} is not a multiple of {part}")


def _check_pattern(
    validator: Any, pattern: str, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not re.fullmatch(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _is_whole(checker: object, instance: Any) -> bool:
    is_number = isinstance(instance, int | float | Decimal) and not isinstance(instance, bool)
    return is_number and _count_decimals(instance) <= 0


def _count_decimals(number: float | Decimal) -> float:
    """How many digits stand behind the point, zeros at the end left out; a power of ten is as its parts."""
    _, digits, exponent = Decimal(str(number)).as_tuple()
    if not isinstance(exponent, int):
        return float("inf")
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return 0 if zeros == len(digits) else -exponent - zeros


_Exact = extend(
    Draft202012Validator,
    {"multipleOf": _check_multiple, "pattern": _check_pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)
