"""Every answer that is not a yes, one row each: what the sender reads, in a problem document (RFC 9457).

To add one, add a row; raise `Refused("its code")`. No answer repeats what was sent, and whoever cannot
prove who he is gets the same 401 whatever is wrong.
"""

import json
from dataclasses import dataclass

PROBLEM = "urn:steadfast:problem:"


@dataclass(frozen=True)
class Refusal:
    """A kind of answer."""

    code: str
    status: int
    title: str
    detail: str
    closes: bool = False
    """Whether the connection ends: what is still on its way cannot be read any more."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


_ROWS = (
    Refusal(
        "unauthorized",
        401,
        "Not authenticated",
        "The source is unknown or switched off, or the signature, token or timestamp does not hold.",
    ),
    Refusal("not_found", 404, "No such address", "Events go to /v1/in/ENTITY/SOURCE or …/batch."),
    Refusal(
        "method_not_allowed",
        405,
        "Only POST",
        "Events are sent with POST.",
        headers=((b"allow", b"POST"),),
    ),
    Refusal("too_slow", 408, "Too slow", "The body did not arrive in time; send it in one go.", closes=True),
    Refusal(
        "id_conflict",
        409,
        "Id already used",
        "This id came before with another body. Give every event an id of its own.",
    ),
    Refusal("too_large", 413, "Too large", "The body is larger than this source may send.", closes=True),
    Refusal("too_many_items", 413, "Too many events", "A batch holds at most 1000 events."),
    Refusal(
        "unsupported_media_type",
        415,
        "Not JSON",
        "Send application/json without a content encoding; a batch may also be application/x-ndjson.",
        closes=True,
    ),
    Refusal("headers_too_large", 431, "Headers too large", "Send at most 64 headers in 16 KiB.", closes=True),
    Refusal(
        "ambiguous_length",
        400,
        "Ambiguous length",
        "Send Content-Length or Transfer-Encoding, not both.",
        closes=True,
    ),
    Refusal("bad_request", 400, "Not HTTP", "What came is no HTTP/1.1 request.", closes=True),
    Refusal(
        "bad_id",
        400,
        "Bad event id",
        "An event needs an id of 1 to 128 letters, digits, dots, colons, dashes and underscores.",
    ),
    Refusal("invalid_json", 400, "Not valid JSON", "The body must be one JSON object in UTF-8."),
    Refusal("invalid_batch", 400, "Not a batch", "A batch is a JSON array or NDJSON of events."),
    Refusal("too_deep", 400, "Nested too deeply", "JSON may be nested at most 64 levels deep."),
    Refusal("duplicate_key", 400, "Key given twice", "An object names a key twice."),
    Refusal(
        "schema_violation",
        422,
        "Against the contract",
        "The event does not keep the contract of its type.",
    ),
    Refusal(
        "rate_limited",
        429,
        "Too many events",
        "The source sends more than its limit.",
    ),
    Refusal(
        "busy",
        503,
        "Not now",
        "The event was not stored; send it again.",
    ),
)
REFUSALS: dict[str, Refusal] = {row.code: row for row in _ROWS}


class Refused(Exception):
    """A request or an item of a batch is not accepted; `code` names the row, `detail` may say more."""

    def __init__(self, code: str, detail: str = "", retry_after: int = 0) -> None:
        super().__init__(code)
        self.refusal = REFUSALS[code]
        self.detail = detail or self.refusal.detail
        self.retry_after = retry_after


def describe_refusal(refused: Refused, request_id: str) -> bytes:
    """The problem document of a refusal."""
    refusal = refused.refusal
    return json.dumps(
        {
            "type": PROBLEM + refusal.code,
            "title": refusal.title,
            "status": refusal.status,
            "detail": refused.detail,
            "error": refusal.code,
            "request_id": request_id,
        },
        ensure_ascii=True,
    ).encode("ascii")
