"""Mending a body by a JSON Patch (RFC 6902): `[{"op": "replace", "path": "/data/currency", "value": "USD"}]`.

Numbers stay what they are, digit for digit: they are read as Decimal and written as they were read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from jsonpatch import InvalidJsonPatch, JsonPatch, JsonPatchException, JsonPatchTestFailed
from jsonpointer import JsonPointerException

from steadfast.errors import ConfigError
from steadfast.webhooks.envelope import Envelope, read_envelope
from steadfast.webhooks.refusals import Refused

LARGEST_BODY = 8_388_608
"""What a source may send at most; a longer body could not be resent."""
LONGEST_PLAIN_INTEGER = 18
_encode = msgspec.json.Encoder(decimal_format="number").encode
EXAMPLE = '[{"op": "replace", "path": "/data/currency", "value": "USD"}]'


@dataclass(frozen=True)
class Mended:
    """A body after the patch and what it says of itself; or the reason why it cannot be patched."""

    body: bytes = b""
    envelope: Envelope | None = None
    reason: str = ""


@dataclass(frozen=True)
class Patch:
    """A patch that was read; each step is a patch of one operation, so that a failure can be named."""

    operations: Sequence[dict[str, Any]]
    steps: Sequence[JsonPatch]

    def mend(self, body: bytes) -> Mended:
        """Apply the patch to a body."""
        try:
            document = parse_exactly(body.decode())
        except (ValueError, RecursionError):
            return Mended(reason="it cannot be read as JSON")
        for operation, step in zip(self.operations, self.steps, strict=True):
            try:
                document = step.apply(document, in_place=True)
            except (JsonPatchException, JsonPointerException, TypeError) as error:
                return Mended(reason=_explain(operation, error))
        return _close(document)

    def as_json(self) -> str:
        """The patch as text, every digit of it."""
        return write_exactly(self.operations).decode()


def make_patch(operations: Any) -> Patch:
    """Check the operations of a patch; ConfigError says what is wrong with them."""
    if not isinstance(operations, list) or not operations:
        raise ConfigError(f"A patch is a list of at least one operation, such as {EXAMPLE}.")
    try:
        steps = tuple(JsonPatch([operation]) for operation in operations)
        for operation in operations:
            _check_members(operation)
    except (JsonPatchException, JsonPointerException, TypeError) as error:
        raise ConfigError(f"The patch is not valid: {error}. It looks like {EXAMPLE}.") from error
    patch = Patch(tuple(operations), steps)
    _check_storable(patch)
    return patch


def read_patch(text: str) -> list[Any]:
    """Read the operations of a patch from JSON; ConfigError if it is no valid patch."""
    try:
        operations = parse_exactly(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The patch is not JSON. It looks like {EXAMPLE}.") from error
    make_patch(operations)
    return list(operations)


def parse_exactly(text: str) -> Any:
    """Parse JSON without rounding a number; ValueError if it is none."""
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_read_integer, parse_constant=_refuse_constant)
    except InvalidOperation as error:
        raise ValueError("a number is out of any range") from error


def write_exactly(document: Any) -> bytes:
    """Write what `parse_exactly` read; ValueError if a text cannot be written as UTF-8."""
    return _encode(document)


def _read_integer(digits: str) -> int | Decimal:
    # Python refuses to read an int of more than 4300 digits, and -0 would lose its sign.
    is_plain = len(digits) <= LONGEST_PLAIN_INTEGER and digits != "-0"
    return int(digits) if is_plain else Decimal(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_members(operation: dict[str, Any]) -> None:
    # The library misses these only when it applies the operation.
    kind = operation["op"]
    needed = "value" if kind in ("add", "replace", "test") else "from" if kind in ("move", "copy") else "op"
    if needed not in operation:
        raise InvalidJsonPatch(f"operation {kind!r} lacks {needed!r}")
    if needed == "from":
        JsonPatch([{"op": "remove", "path": operation["from"]}])


def _check_storable(patch: Patch) -> None:
    try:
        text = patch.as_json()
    except ValueError as error:
        raise ConfigError("The patch holds half of a surrogate pair, which no text can keep.") from error
    if "\\u0000" in text:
        raise ConfigError("The patch holds \\u0000, which PostgreSQL cannot keep.")


def _explain(operation: dict[str, Any], error: Exception) -> str:
    # The library's message quotes the event, which must not get into a log.
    what = f"{operation['op']} {operation['path']!r}"
    if isinstance(error, JsonPatchTestFailed):
        return f"{what}: another value stands there"
    return f"{what}: the event has no such place"


def _close(document: Any) -> Mended:
    if not isinstance(document, dict):
        return Mended(reason="the patch leaves no JSON object")
    try:
        body = write_exactly(document)
        if len(body) > LARGEST_BODY:
            return Mended(reason="the patch makes it larger than 8 MiB")
        return Mended(body, read_envelope(body))
    except ValueError:
        return Mended(reason="it still holds half of a surrogate pair, which the patch must replace")
    except (Refused, RecursionError) as error:
        return Mended(reason=f"the receiver would refuse the result: {error}")
