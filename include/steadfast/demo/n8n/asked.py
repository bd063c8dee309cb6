"""What the public API of n8n may be asked for, and the words in which it refuses the rest."""

import base64
import json
from collections.abc import Sequence
from http import HTTPStatus

STATUSES = ("canceled", "error", "running", "success", "waiting")
PARAMETERS = ("cursor", "includeData", "limit", "projectId", "status", "workflowId")
DEFAULT, MOST = 100, 250
EVERYTHING = 1 << 31
"""What n8n shows for a limit that is not above zero."""
NEWEST = 1 << 62


class Answered(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_id(text: str) -> int:
    """The number of an execution in an address."""
    try:
        number = float(text)
    except ValueError:
        raise Answered(HTTPStatus.BAD_REQUEST, "request/params/id must be number") from None
    if not number.is_integer() or number <= 0:
        raise Answered(HTTPStatus.NOT_FOUND, "Not Found")
    return int(number)


def check_list(query: dict[str, str]) -> None:
    """Refuse what a list of executions may not be asked for."""
    check_query(query, PARAMETERS)
    try:
        limit = float(query.get("limit", DEFAULT))
    except ValueError:
        raise Answered(HTTPStatus.BAD_REQUEST, "request/query/limit must be number") from None
    if limit > MOST:
        raise Answered(HTTPStatus.BAD_REQUEST, f"request/query/limit must be <= {MOST}")
    if query.get("status", STATUSES[0]) not in STATUSES:
        allowed = ", ".join(STATUSES)
        raise Answered(
            HTTPStatus.BAD_REQUEST,
            f"request/query/status must be equal to one of the allowed values: {allowed}",
        )


def check_query(query: dict[str, str], known: Sequence[str]) -> None:
    """Refuse parameters that n8n does not know."""
    if unknown := sorted(set(query) - set(known)):
        raise Answered(HTTPStatus.BAD_REQUEST, f"Unknown query parameter '{unknown[0]}'")
    if query.get("includeData", "true") not in ("true", "false"):
        raise Answered(HTTPStatus.BAD_REQUEST, "request/query/includeData must be boolean")


def read_cursor(query: dict[str, str]) -> tuple[int, int]:
    """Below which number, and how many; the cursor's own limit wins."""
    if "cursor" not in query:
        limit = int(float(query.get("limit", DEFAULT)))
        return NEWEST, limit if limit > 0 else EVERYTHING
    try:
        found = json.loads(base64.b64decode(query["cursor"]))
        return int(found["lastId"]), int(found["limit"])
    except (ValueError, KeyError, TypeError) as error:
        raise Answered(HTTPStatus.BAD_REQUEST, "An invalid cursor was provided") from error


def write_cursor(last_id: int, limit: int) -> str:
    """Where the next page begins."""
    return base64.b64encode(json.dumps({"lastId": str(last_id), "limit": limit}).encode()).decode()
