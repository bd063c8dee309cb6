"""Everything that goes wrong with GA4, and what we do about each.

`classify` names the failure, `TREATMENTS` says what follows, `explain` tells a person. To treat a new
failure, add a kind, its row, and the wording that gives it away to `WORDINGS`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import grpc

from steadfast.errors import (
    AccessDenied,
    BreakerOpen,
    ConfigError,
    InvalidRequest,
    QuotaExhausted,
    SourceUnavailable,
    SteadfastError,
    WaitUntil,
)
from steadfast.ga4.quota import RefillKind, refill_at


class FailureKind(StrEnum):
    """Failures that are treated differently."""

    CONCURRENT_QUOTA = "concurrent_quota"
    PROJECT_HOUR_QUOTA = "project_hour_quota"
    PROPERTY_HOUR_QUOTA = "property_hour_quota"
    DAY_QUOTA = "day_quota"
    THRESHOLDED_QUOTA = "thresholded_quota"
    SERVER_ERROR_QUOTA = "server_error_quota"
    UNKNOWN_QUOTA = "unknown_quota"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    UNAUTHENTICATED = "unauthenticated"
    NO_ACCESS = "no_access"
    API_DISABLED = "api_disabled"
    INVALID_FIELD = "invalid_field"
    INCOMPATIBLE_FIELD = "incompatible_field"
    INVALID_REQUEST = "invalid_request"
    NOT_AN_ANSWER = "not_an_answer"
    ROWS_CHANGED = "rows_changed"
    ROWS_MISSING = "rows_missing"
    CONNECTION = "connection"


class Ga4Failure(Exception):
    """A request to GA4 failed; `field` is the dimension or metric it names, if it names one."""

    def __init__(self, kind: FailureKind, text: str, field: str = "") -> None:
        super().__init__(kind, text, field)
        self.kind = kind
        self.text = text
        self.field = field or find_field(text)

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')}: {self.text}"


@dataclass(frozen=True)
class Treatment:
    """What follows a failure."""

    error: type[SteadfastError]
    happened: str
    remedy: str
    """What to do; may name {email}, {property_id}, {report}, {field} and {project}."""
    tries: int = 1
    """Requests in all, the first one included."""
    wait_s: tuple[float, float] = (0.0, 0.0)
    """The next try waits a random time between these."""
    parks: RefillKind | None = None
    opens_breaker: bool = False
    counts_for_breaker: bool = False
    blocks_report: bool = False
    splits_range: bool = False
    """When the tries are used up, smaller date ranges may still work."""


_QUOTA_REMEDY = "Nothing to do: it continues by itself when the quota refills; finished days are kept."

TREATMENTS: Mapping[FailureKind, Treatment] = {
    FailureKind.CONCURRENT_QUOTA: Treatment(
        QuotaExhausted,
        "too many requests are running at once",
        "Nothing to do: we now send one request at a time; other tools share this quota.",
        tries=5,
        wait_s=(5.0, 30.0),
    ),
    FailureKind.PROJECT_HOUR_QUOTA: Treatment(
        QuotaExhausted, "the project's hourly tokens are used up", _QUOTA_REMEDY, parks="hour"
    ),
    FailureKind.PROPERTY_HOUR_QUOTA: Treatment(
        QuotaExhausted, "the property's hourly tokens are used up", _QUOTA_REMEDY, parks="hour"
    ),
    FailureKind.DAY_QUOTA: Treatment(
        QuotaExhausted,
        "the property's daily tokens are used up",
        "It continues after midnight Pacific; if it happens again, find the tool that shares this quota.",
        parks="day",
    ),
    FailureKind.THRESHOLDED_QUOTA: Treatment(
        QuotaExhausted,
        "the hourly requests for demographic reports are used up",
        _QUOTA_REMEDY,
        parks="thresholded_hour",
    ),
    FailureKind.SERVER_ERROR_QUOTA: Treatment(
        BreakerOpen,
        "GA4 has failed too often in this hour",
        "Nothing to do: the property rests for an hour.",
        parks="hour",
        opens_breaker=True,
    ),
    FailureKind.UNKNOWN_QUOTA: Treatment(
        QuotaExhausted,
        "a quota is used up that we do not know by this wording",
        "It is tried again in the next hour; report this wording so that it is treated better.",
        parks="hour",
    ),
    FailureKind.SERVER_ERROR: Treatment(
        SourceUnavailable,
        "GA4 answered with an error of its own",
        "It is tried again; if it lasts, see https://status.cloud.google.com.",
        tries=3,
        wait_s=(10.0, 120.0),
        counts_for_breaker=True,
    ),
    FailureKind.TIMEOUT: Treatment(
        SourceUnavailable,
        "GA4 did not answer in time",
        "It is tried again, with fewer days per request; nothing to do unless single days fail for long.",
        tries=2,
        wait_s=(5.0, 30.0),
        splits_range=True,
    ),
    FailureKind.UNAUTHENTICATED: Treatment(
        AccessDenied,
        "GA4 does not accept the credentials",
        "Create a new key for {email} in the Google Cloud console and store it in the Airflow connection.",
        tries=2,
        opens_breaker=True,
    ),
    FailureKind.NO_ACCESS: Treatment(
        AccessDenied,
        "the credentials may not read the property",
        "In Google Analytics open Admin > Property access management of property {property_id} "
        "and add {email} with the role Viewer.",
        opens_breaker=True,
    ),
    FailureKind.API_DISABLED: Treatment(
        AccessDenied,
        "the Google Analytics Data API is switched off",
        "Enable it at https://console.cloud.google.com/apis/library/analyticsdata.googleapis.com "
        "for {project}, the project of {email}.",
        opens_breaker=True,
    ),
    FailureKind.INVALID_FIELD: Treatment(
        InvalidRequest,
        "the property does not know a field",
        "Leave report {report} out of the entity's reports, or correct the field {field} of the report.",
        blocks_report=True,
    ),
    FailureKind.INCOMPATIBLE_FIELD: Treatment(
        InvalidRequest,
        "GA4 no longer combines these fields",
        "Leave report {report} out of the entity's reports, or remove the field {field} from the report.",
        blocks_report=True,
    ),
    FailureKind.INVALID_REQUEST: Treatment(
        InvalidRequest,
        "GA4 refuses the request as it is written",
        "Check the dates and the fields of report {report}.",
    ),
    FailureKind.NOT_AN_ANSWER: Treatment(
        ConfigError,
        "what answered is not the Google Analytics Data API",
        "Check the endpoint of the Airflow connection, and any proxy on the way.",
    ),
    FailureKind.ROWS_CHANGED: Treatment(
        SourceUnavailable,
        "the rows changed while the pages were read",
        "It is read again from the first page; nothing of it was published.",
        tries=3,
        wait_s=(1.0, 5.0),
        splits_range=True,
    ),
    FailureKind.ROWS_MISSING: Treatment(
        SourceUnavailable,
        "GA4 delivered fewer or more rows than it announced",
        "Nothing of it was published; the next run reads it again.",
    ),
    FailureKind.CONNECTION: Treatment(
        SourceUnavailable,
        "the connection to GA4 failed",
        "It is tried again; if it lasts, check the network, the proxy and the endpoint.",
        tries=3,
        wait_s=(1.0, 5.0),
    ),
}

WORDINGS: Mapping[grpc.StatusCode, tuple[tuple[str, FailureKind], ...]] = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        (r"concurrent", FailureKind.CONCURRENT_QUOTA),
        (r"potentially thresholded", FailureKind.THRESHOLDED_QUOTA),
        (r"server errors", FailureKind.SERVER_ERROR_QUOTA),
        (r"per day", FailureKind.DAY_QUOTA),
        (r"for a project per hour", FailureKind.PROJECT_HOUR_QUOTA),
        (r"per hour", FailureKind.PROPERTY_HOUR_QUOTA),
        (r"message larger than max", FailureKind.INVALID_REQUEST),
        (r"", FailureKind.UNKNOWN_QUOTA),
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        (r"SERVICE_DISABLED|has not been used in project|is disabled", FailureKind.API_DISABLED),
        (r"", FailureKind.NO_ACCESS),
    ),
    grpc.StatusCode.INVALID_ARGUMENT: (
        (r"is not a valid (dimension|metric)", FailureKind.INVALID_FIELD),
        (r"incompatible", FailureKind.INCOMPATIBLE_FIELD),
        (r"", FailureKind.INVALID_REQUEST),
    ),
    grpc.StatusCode.UNAVAILABLE: (
        (r"invalid_grant|RefreshError|invalid JWT|account not found", FailureKind.UNAUTHENTICATED),
        (
            r"failed to connect|connection (reset|refused|closed)|socket closed|broken pipe|goaway|"
            r"dns resolution|name resolution|network is unreachable|getting metadata from plugin",
            FailureKind.CONNECTION,
        ),
        (r"", FailureKind.SERVER_ERROR),
    ),
    grpc.StatusCode.UNKNOWN: (
        (r"http2 header with status|content-type|<html", FailureKind.NOT_AN_ANSWER),
        (r"stream removed|connection reset", FailureKind.CONNECTION),
        (r"", FailureKind.TIMEOUT),
    ),
    grpc.StatusCode.INTERNAL: (
        (r"rst_stream|connection reset", FailureKind.CONNECTION),
        (r"", FailureKind.SERVER_ERROR),
    ),
    grpc.StatusCode.UNAUTHENTICATED: ((r"", FailureKind.UNAUTHENTICATED),),
    grpc.StatusCode.DEADLINE_EXCEEDED: ((r"", FailureKind.TIMEOUT),),
    grpc.StatusCode.UNIMPLEMENTED: ((r"", FailureKind.NOT_AN_ANSWER),),
    grpc.StatusCode.NOT_FOUND: ((r"", FailureKind.NOT_AN_ANSWER),),
    grpc.StatusCode.CANCELLED: ((r"", FailureKind.CONNECTION),),
    grpc.StatusCode.FAILED_PRECONDITION: ((r"", FailureKind.INVALID_REQUEST),),
    grpc.StatusCode.OUT_OF_RANGE: ((r"", FailureKind.INVALID_REQUEST),),
}
"""Code -> the first pattern found in the text decides; an empty one always matches."""

FIELD = re.compile(
    r"[Ff]ield (\w[\w:]*) (?:is not a valid|exists)|remove (\w[\w:]*) to make|duplicate \w+: (\w+)"
)
PROJECT = re.compile(r"project[ =/](?!per\b)([\w-]*\d[\w-]*)")


def classify(code: grpc.StatusCode, text: str) -> FailureKind:
    """Name the failure from what gRPC says of it."""
    for pattern, kind in WORDINGS.get(code, ()):
        if re.search(pattern, text, re.IGNORECASE):
            return kind
    return FailureKind.SERVER_ERROR


def find_field(text: str) -> str:
    """The dimension or metric that GA4 complains about, or an empty string."""
    found = FIELD.search(text)
    return next((name for name in found.groups() if name), "") if found else ""


def explain(
    failure: Ga4Failure, *, property_id: int, report: str, email: str, now: datetime
) -> SteadfastError:
    """Return the error a person should read: what happened, where, what to do; `report` may be empty."""
    treatment = TREATMENTS[failure.kind]
    project = PROJECT.search(failure.text)
    remedy = treatment.remedy.format(
        email=email or "the service account",
        property_id=property_id,
        report=report or "in question",
        field=failure.field or "in question",
        project=f"project {project.group(1)}" if project else "the Google Cloud project",
    )
    where = f"GA4 property {property_id}" + (f", report {report}" if report else "")
    said = f" ({failure.text.strip()})" if failure.text.strip() else ""
    message = f"{where}: {treatment.happened}{said}. {remedy}"
    if not issubclass(treatment.error, WaitUntil):
        return treatment.error(message)
    until = (
        refill_at(treatment.parks, now) if treatment.parks else now + timedelta(seconds=treatment.wait_s[1])
    )
    return treatment.error(message, until)
