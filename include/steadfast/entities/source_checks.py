"""What a webhook source may look like: defaults, and bounds that say what would be valid.

The bounds are those of config.webhook_source; the table refuses the rest, but without a sentence.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from steadfast.entities.input_checks import (
    LONGEST_NAME,
    check_connection_id,
    check_name,
    check_zone,
    suggest,
)
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

AUTHS = ("signature", "token")
CONFLICT_POLICIES = ("reject", "keep_first", "new_version")
WORKFLOW = re.compile(r"[A-Za-z0-9_-]{1,64}")
DAY_SECONDS = 86400
DEFAULT_TOLERANCE_SECONDS = 300
DEFAULT_BURST = 2000
BURST_SECONDS = 20
"""n8n gives up after 20 s: the bucket holds at least that much of the rate."""
LARGEST_BURST = 1_000_000
LARGEST_BODY = 8 * 2**20
LARGEST_STRICT_BODY = 2**20
"""A strict source's events are judged while their sender waits, which takes some 0.5 s a MiB."""
DEFAULTS: Mapping[str, Any] = {
    "max_bytes": 262144,
    "rate_per_second": 100,
    "dedup_days": 30,
    "conflict_policy": "reject",
    "is_strict": False,
    "n8n_connection_id": None,
    "n8n_workflow_id": None,
    "n8n_node": None,
}


def fill_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Add the defaults of a new source to what was given.

    A retried n8n execution carries its first timestamp, hours or days old; that is safe for as long as ids
    are remembered, so a source with an n8n tolerates as much.
    """
    values = {**DEFAULTS, **given}
    values.setdefault("burst", max(DEFAULT_BURST, BURST_SECONDS * values["rate_per_second"]))
    whole_window = values["dedup_days"] * DAY_SECONDS
    tolerance = whole_window if values["n8n_connection_id"] else DEFAULT_TOLERANCE_SECONDS
    values.setdefault("tolerance_seconds", tolerance)
    return values


def follow_window(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Let a tolerance of the whole dedup window stay the whole window when the window changes."""
    is_whole = before["tolerance_seconds"] == before["dedup_days"] * DAY_SECONDS
    if is_whole and "dedup_days" in changes and "tolerance_seconds" not in changes:
        return {**changes, "tolerance_seconds": changes["dedup_days"] * DAY_SECONDS}
    return dict(changes)


def check_source(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a source, clean; ConfigError names the first that is not valid and its range."""
    largest = LARGEST_STRICT_BODY if values["is_strict"] else LARGEST_BODY
    _check_range(
        "Largest body",
        values["max_bytes"],
        1024,
        largest,
        "bytes" + " of a strict source" * values["is_strict"],
    )
    _check_range("Rate", values["rate_per_second"], 1, 10_000, "events a second")
    least_burst = BURST_SECONDS * values["rate_per_second"]
    burst_unit = f"events; the least is {BURST_SECONDS} s of the rate"
    _check_range("Burst", values["burst"], least_burst, LARGEST_BURST, burst_unit)
    _check_range("Dedup window", values["dedup_days"], 1, 365, "days")
    most_tolerance = values["dedup_days"] * DAY_SECONDS
    tolerance_unit = "seconds; the most is the dedup window"
    _check_range("Tolerance", values["tolerance_seconds"], 1, most_tolerance, tolerance_unit)
    return {
        **values,
        "name": check_name(values["name"]),
        "auth": _check_choice("Auth", values["auth"], AUTHS),
        "conflict_policy": _check_choice("Conflict policy", values["conflict_policy"], CONFLICT_POLICIES),
        "time_zone": check_zone(values["time_zone"]),
        **_check_n8n(values),
    }


def knows_zone(connection: Connection[Any], time_zone: str) -> bool:
    """Whether the server can compute in a time zone."""
    row = connection.execute(load_queries("entities")["zone_is_known"], {"time_zone": time_zone}).fetchone()
    return bool(row and row[0])


def _check_range(title: str, value: int, least: int, most: int, unit: str) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{title} {value} is not valid: {least} to {most} {unit}.")


def _check_choice(title: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        hint = suggest(value, choices)
        raise ConfigError(f"{title} {value!r} is not valid{hint} Valid are {', '.join(choices)}.")
    return value


def _check_n8n(values: Mapping[str, Any]) -> dict[str, str | None]:
    """An empty connection means no n8n, whatever else is said about it."""
    connection_id = values["n8n_connection_id"] or None
    node, workflow = values["n8n_node"] or None, values["n8n_workflow_id"] or None
    if connection_id is None:
        if values["n8n_connection_id"] is None and (node or workflow):
            raise ConfigError(
                f"n8n node {node or workflow!r} is of no n8n: name the Airflow Connection of its server too."
            )
        return {"n8n_connection_id": None, "n8n_workflow_id": None, "n8n_node": None}
    if node is None:
        raise ConfigError(
            f"n8n connection {connection_id} needs the name of the HTTP Request node that sends the events."
        )
    if len(node) > LONGEST_NAME or not node.isprintable():
        raise ConfigError(f"n8n node {node[:50]!r} is not valid: 1 to {LONGEST_NAME} printable characters.")
    if workflow and not WORKFLOW.fullmatch(workflow):
        raise ConfigError(f"n8n workflow {workflow!r} is not valid: the id in its URL is needed.")
    return {
        "n8n_connection_id": check_connection_id(connection_id),
        "n8n_workflow_id": workflow,
        "n8n_node": node,
    }
