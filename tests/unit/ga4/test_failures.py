"""Every wording GA4 and gRPC use, what we take it for, and what a person is told."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from steadfast.errors import (
    AccessDenied,
    BreakerOpen,
    ConfigError,
    InvalidRequest,
    QuotaExhausted,
    SourceUnavailable,
)
from steadfast.ga4.failures import TREATMENTS, FailureKind, Ga4Failure, classify, explain

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
S = grpc.StatusCode
SEE = "To learn more about Property ID, https://developers.google.com/analytics."
DISABLED = (
    "Google Analytics Data API has not been used in project 4711 before or it is disabled. Enable it by "
    "visiting https://console.developers.google.com/apis/api/x/overview?project=4711 then retry."
)
INCOMPATIBLE = "Please remove itemName to make the request compatible. The fields are incompatible."
WORDINGS = [
    (S.RESOURCE_EXHAUSTED, "Exhausted concurrent requests quota.", "concurrent_quota"),
    (
        S.RESOURCE_EXHAUSTED,
        "Exhausted property tokens for a project per hour. These quota tokens will return in under an hour.",
        "project_hour_quota",
    ),
    (
        S.RESOURCE_EXHAUSTED,
        "Exhausted property tokens for a property per hour. These quota tokens will return in under an hour.",
        "property_hour_quota",
    ),
    (
        S.RESOURCE_EXHAUSTED,
        "Exhausted property tokens for a property per day. ",
        "day_quota",
    ),
    (S.RESOURCE_EXHAUSTED, "Exhausted potentially thresholded requests quota.", "thresholded_quota"),
    (S.RESOURCE_EXHAUSTED, "Exhausted server errors quota.", "server_error_quota"),
    (S.RESOURCE_EXHAUSTED, "Something new is exhausted.", "unknown_quota"),
    (S.RESOURCE_EXHAUSTED, "", "unknown_quota"),
    (S.UNAUTHENTICATED, "Request is missing required authentication credential.", "unauthenticated"),
    (S.UNAUTHENTICATED, "Request had invalid authentication credentials.", "unauthenticated"),
    (
        S.UNAVAILABLE,
        "Getting metadata from plugin failed with error: ('invalid_grant: Invalid JWT Signature.', {})",
        "unauthenticated",
    ),
    (S.PERMISSION_DENIED, f"User does not have sufficient permissions for this property. {SEE}", "no_access"),
    (S.PERMISSION_DENIED, f"Invalid property ID: abc. A numeric Property ID is required. {SEE}", "no_access"),
    (S.PERMISSION_DENIED, DISABLED, "api_disabled"),
    (S.PERMISSION_DENIED, "PERMISSION_DENIED [SERVICE_DISABLED]", "api_disabled"),
    (S.INVALID_ARGUMENT, "Field foo is not a valid dimension. For a list …", "invalid_field"),
    (S.INVALID_ARGUMENT, "Field foo is not a valid metric.  For a list …", "invalid_field"),
    (S.INVALID_ARGUMENT, INCOMPATIBLE, "incompatible_field"),
    (S.INVALID_ARGUMENT, "start_date must be less than or equal to end_date.", "invalid_request"),
    (S.INVALID_ARGUMENT, "A dateRange is required.", "invalid_request"),
    (S.INTERNAL, "Internal error encountered.", "server_error"),
    (S.UNAVAILABLE, "The service is currently unavailable.", "server_error"),
    (S.UNAVAILABLE, "Received http2 header with status: 502", "server_error"),
    (S.UNAVAILABLE, "failed to connect to all addresses; last error: Connection refused", "connection"),
    (S.UNAVAILABLE, "Socket closed", "connection"),
    (S.UNAVAILABLE, "recvmsg:Connection reset by peer", "connection"),
    (S.UNAVAILABLE, "DNS resolution failed for analyticsdata.googleapis.com", "connection"),
    (S.INTERNAL, "Received RST_STREAM with error code 2", "connection"),
    (S.UNKNOWN, "Stream removed", "connection"),
    (S.UNKNOWN, "", "timeout"),
    (S.DEADLINE_EXCEEDED, "Deadline Exceeded", "timeout"),
    (S.UNIMPLEMENTED, "Received http2 header with status: 404", "not_an_answer"),
    (S.UNKNOWN, "Received http2 header with status: 200; content-type text/html", "not_an_answer"),
    (S.NOT_FOUND, "Not found", "not_an_answer"),
    (S.DATA_LOSS, "data loss", "server_error"),
]


@pytest.mark.parametrize(("code", "text", "kind"), WORDINGS)
def test_it_knows_the_failure_by_its_wording(code, text, kind):
    assert classify(code, text) == kind


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_is_treated_and_explained(kind):
    failure = Ga4Failure(kind, "said so")
    error = explain(failure, property_id=123, report="pages", email="bot@x.iam", now=NOW)
    assert type(error) is TREATMENTS[kind].error
    assert "GA4 property 123, report pages: " in str(error)
    assert "(said so)" in str(error)
    assert "{" not in str(error)


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_may_help_is_tried_again(kind):
    treatment = TREATMENTS[kind]
    low, high = treatment.wait_s
    assert 0 <= low <= high <= 120
    assert not (treatment.parks and treatment.tries > 1)
    if treatment.blocks_report:
        assert (treatment.error, treatment.tries) == (InvalidRequest, 1)
    if treatment.error is AccessDenied:
        assert treatment.opens_breaker


def test_the_message_names_the_address_that_needs_access():
    failure = Ga4Failure(FailureKind.NO_ACCESS, "User does not have sufficient permissions.")
    message = str(explain(failure, property_id=123, report="", email="bot@x.iam", now=NOW))
    assert "property 123 and add bot@x.iam with the role Viewer" in message
    assert "report" not in message


def test_the_message_names_the_project_that_must_enable_the_api():
    failure = Ga4Failure(FailureKind.API_DISABLED, DISABLED)
    error = explain(failure, property_id=1, report="pages", email="bot@x.iam", now=NOW)
    assert "for project 4711, the project of bot@x.iam" in str(error)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("Field fooBar is not a valid dimension. For a list …", "fooBar"),
        ("Field customEvent:x is not a valid metric.  For a list …", "customEvent:x"),
        (INCOMPATIBLE, "itemName"),
        ("Found duplicate dimensions: city", "city"),
        ("Field city exists in OrderBy but is not defined in input Dimensions/Metrics list", "city"),
        ("A dateRange is required.", ""),
    ],
)
def test_it_finds_the_field_that_google_complains_about(text, field):
    assert Ga4Failure(FailureKind.INVALID_REQUEST, text).field == field


def test_an_incompatible_field_is_named_with_its_report():
    failure = Ga4Failure(FailureKind.INCOMPATIBLE_FIELD, INCOMPATIBLE)
    error = explain(failure, property_id=1, report="items", email="", now=NOW)
    assert isinstance(error, InvalidRequest)
    assert "Leave report items out" in str(error)
    assert "remove the field itemName" in str(error)


@pytest.mark.parametrize(
    ("kind", "error_class", "until"),
    [
        (FailureKind.PROJECT_HOUR_QUOTA, QuotaExhausted, datetime(2026, 7, 15, 13, tzinfo=UTC)),
        (FailureKind.UNKNOWN_QUOTA, QuotaExhausted, datetime(2026, 7, 15, 13, tzinfo=UTC)),
        (FailureKind.DAY_QUOTA, QuotaExhausted, datetime(2026, 7, 16, 7, 5, tzinfo=UTC)),
        (FailureKind.THRESHOLDED_QUOTA, QuotaExhausted, NOW + timedelta(hours=1)),
        (FailureKind.CONCURRENT_QUOTA, QuotaExhausted, NOW + timedelta(seconds=30)),
        (FailureKind.SERVER_ERROR_QUOTA, BreakerOpen, datetime(2026, 7, 15, 13, tzinfo=UTC)),
    ],
)
def test_a_quota_says_when_it_is_worth_asking_again(kind, error_class, until):
    error = explain(Ga4Failure(kind, ""), property_id=1, report="pages", email="", now=NOW)
    assert isinstance(error, error_class)
    assert error.until == until


def test_rows_that_do_not_add_up_are_never_published_and_html_is_a_wrong_setting():
    assert TREATMENTS[FailureKind.ROWS_MISSING].error is SourceUnavailable
    assert TREATMENTS[FailureKind.NOT_AN_ANSWER].error is ConfigError
