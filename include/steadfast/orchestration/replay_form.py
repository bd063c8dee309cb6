"""The form of a `webhook_replay` run. To add a field, add a Param here and read it in replay_tasks.py."""

from typing import Any

from airflow.sdk import Param

SHORT_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"
STATES = ("dead", "discarded", "applied")


def _optional(title: str, description: str, **schema: Any) -> Param:
    return Param(None, type=["null", "string"], title=title, description=description, **schema)


FORM: dict[str, Param] = {
    "entity": _optional(
        "Business entity", "Its short name. Empty: events of every entity.", pattern=SHORT_NAME
    ),
    "source": _optional("Source", "Its short name. Empty: events of every source.", pattern=SHORT_NAME),
    "event_type": _optional("Event type", "Such as order.", pattern="^[a-z][a-z0-9_]{0,62}$"),
    "state": Param(
        "dead",
        type="string",
        enum=list(STATES),
        title="State",
        description="Dead letters; ones that were given up; or events that were applied and should be again.",
    ),
    "reason": _optional("Reason", "Only dead letters with this code, such as bad_field."),
    "since": _optional("From", "Received at or after this time.", format="date-time"),
    "until": _optional("To", "Received before this time.", format="date-time"),
    "event_id": _optional("Event id", "The id that the sender gave it."),
    "patch": _optional(
        "Patch",
        'A JSON Patch (RFC 6902), such as [{"op": "replace", "path": "/data/currency", "value": "USD"}]. '
        "Empty: the events are replayed as they were received.",
        format="multiline",
    ),
    "is_dry_run": Param(
        True,
        type="boolean",
        title="Dry run",
        description="Only say in the log what would happen; nothing is changed.",
    ),
}
