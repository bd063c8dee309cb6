"""Whether a GA4 property can be synced: asked of GA4 itself, step by step, before it is added.

To check one more thing, add a step to `check_access`; a step names what is wrong and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from steadfast.ga4.client import Ga4Client
from steadfast.ga4.failures import Ga4Failure, explain
from steadfast.ga4.reports import Report


@dataclass(frozen=True)
class AccessStep:
    """One thing that was checked; `problem` is None if it is good."""

    title: str
    problem: str | None = None
    fix: str = ""
    report: str | None = None


@dataclass(frozen=True)
class AccessReport:
    """What GA4 answered; zone and currency are empty if it did not get that far."""

    property_id: int
    time_zone: str
    currency: str
    steps: tuple[AccessStep, ...]

    @property
    def problems(self) -> tuple[AccessStep, ...]:
        """The steps that failed."""
        return tuple(step for step in self.steps if step.problem is not None)

    @property
    def refused_reports(self) -> tuple[str, ...]:
        """The reports that the property cannot answer."""
        return tuple(step.report for step in self.problems if step.report)


def check_access(
    client: Ga4Client, property_id: int, reports: Sequence[Report], *, now: datetime
) -> AccessReport:
    """Check access, then zone and currency, then every report's fields; stop where GA4 stops answering."""
    steps: list[AccessStep] = []
    time_zone = currency = ""
    asked = ""
    try:
        known = set[str]().union(*client.field_names(property_id))
        who = client.email or "the credentials"
        steps.append(AccessStep(f"access: {who} may read property {property_id}"))
        time_zone, currency = client.time_zone_and_currency(property_id)
        steps.append(AccessStep(f"time zone {time_zone}, currency {currency}"))
        for report in reports:
            asked = report.name
            steps.append(_check_report(client, property_id, report, known))
    except Ga4Failure as failure:
        error = explain(failure, property_id=property_id, report=asked, email=client.email, now=now)
        steps.append(AccessStep(f"report {asked}" if asked else "access", str(error)))
    return AccessReport(property_id, time_zone, currency, tuple(steps))


def _check_report(client: Ga4Client, property_id: int, report: Report, known: set[str]) -> AccessStep:
    fields = (report.grain.value, *report.dimensions, *report.metrics)
    unknown = [field for field in fields if field not in known]
    if unknown:
        return _refuse_report(report, f"property {property_id} has no field {', '.join(unknown)}")
    clashing = client.incompatible_fields(property_id, report)
    if clashing:
        return _refuse_report(report, f"{', '.join(clashing)} cannot be combined with the other fields")
    return AccessStep(f"report {report.name}: {len(fields)} fields known and compatible", report=report.name)


def _refuse_report(report: Report, reason: str) -> AccessStep:
    fix = f"Leave report {report.name} out of the entity's reports until GA4 accepts it."
    return AccessStep(f"report {report.name}", f"report {report.name}: {reason}", fix, report.name)
