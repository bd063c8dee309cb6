"""What the checks found, kept: one row a broken rule and partition, and the rows themselves in quarantine."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from steadfast.ga4.chunks import partition_place
from steadfast.ga4.guard import Verdict
from steadfast.ga4.landing import Slice
from steadfast.ga4.reports import Report
from steadfast.ga4.survey import Finding, SetAside, Survey
from steadfast.warehouse.queries import load_queries


def record_findings(
    connection: Connection[Any],
    run_id: int,
    report: Report,
    slices: Sequence[Slice],
    survey: Survey,
    verdicts: Mapping[int, Verdict],
    now: datetime,
) -> None:
    """Replace what this run found for the covered days by what it finds now.

    What belongs to no covered day is told of the first one, so that it is replaced with the others.
    """
    values = {"run_id": run_id, "table": report.table.name, "now": now}
    findings = [*survey.findings, *_describe_verdicts(verdicts, survey)]
    queries = load_queries("ga4")
    covered = {
        "property_ids": [landed.item.property_id for landed in slices],
        "first_ons": [landed.item.range.start for landed in slices],
        "last_ons": [landed.item.range.end for landed in slices],
    }
    connection.execute(queries["clear_findings"], {**values, **covered})
    connection.execute(queries["clear_quarantine"], {**values, **covered})
    if findings:
        connection.execute(queries["record_check_results"], {**values, **_result_columns(findings, slices)})
    if survey.set_aside:
        connection.execute(queries["quarantine_rows"], {**values, **_row_columns(survey.set_aside, slices)})


def _describe_verdicts(verdicts: Mapping[int, Verdict], survey: Survey) -> list[Finding]:
    """Guards judge whole partitions; what they say stands beside the rules that rows break."""
    places = {key: partition_place(key) for key, verdict in verdicts.items() if verdict.action == "hold"}
    return [
        Finding(*place, "partition_guard", "critical", 1, verdicts[key].reason)
        for key, place in places.items()
        if not survey.broken(*place)
    ]


def _result_columns(findings: Sequence[Finding], slices: Sequence[Slice]) -> dict[str, Any]:
    items = [slices[finding.slice_no].item for finding in findings]
    return {
        "entity_ids": [item.entity_id for item in items],
        "property_ids": [item.property_id for item in items],
        "dates": [finding.day or item.range.start for finding, item in zip(findings, items, strict=True)],
        "names": [finding.rule for finding in findings],
        "severities": [finding.severity for finding in findings],
        "failed_counts": [finding.failed_count for finding in findings],
        "details": [finding.detail for finding in findings],
    }


def _row_columns(rows: Sequence[SetAside], slices: Sequence[Slice]) -> dict[str, Any]:
    items = [slices[row.slice_no].item for row in rows]
    return {
        "entity_ids": [item.entity_id for item in items],
        "property_ids": [item.property_id for item in items],
        "dates": [
            str(row.day or f"{item.range.start}/{item.range.end}")
            for row, item in zip(rows, items, strict=True)
        ],
        "row_numbers": [row.row_number for row in rows],
        "contents": [json.dumps(row.content, default=str) for row in rows],
        "rules": [",".join(row.rules) for row in rows],
    }
