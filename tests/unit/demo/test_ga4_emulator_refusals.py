"""What the emulated API refuses, in the words of the real one."""

import json
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.analytics.data_v1beta.types import BatchRunReportsRequest, DateRange
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as AuthRequest
from google.oauth2 import service_account

from steadfast.demo.ga4 import EmulatorOptions, Fault, run_emulator

AGENCY = "395450427"
NINE = "date city country region browser platform hour language pagePath"
TEN = (
    "activeUsers totalUsers newUsers sessions engagedSessions screenPageViews eventCount keyEvents "
    "userEngagementDuration totalRevenue"
)
HELP = (
    "To learn more about Property ID, "
    "see https://developers.google.com/analytics/devguides/reporting/data/v1/property-id."
)
REFUSALS = [
    ({"property_id": "123"}, f"User does not have sufficient permissions for this property. {HELP}"),
    ({"property_id": "abc"}, f"Invalid property ID: abc. A numeric Property ID is required. {HELP}"),
    (
        {"start": "2026-11-05", "end": "2026-11-01"},
        "start_date must be less than or equal to end_date. "
        "start_date = 2026-11-05 and end_date = 2026-11-01",
    ),
    ({"date_ranges": []}, "A dateRange is required."),
    (
        {"start": "05/11/2026"},
        "Invalid startDate : 05/11/2026. startDate must be YYYY-MM-DD, NdaysAgo, yesterday, or today.",
    ),
    ({"start": "2026-02-30"}, "Invalid startDate : 2026-02-30. startDate must be"),
    ({"end": "tomorrow"}, "Invalid endDate : tomorrow. endDate must be"),
    (
        {"date_ranges": [DateRange(start_date="yesterday", end_date="yesterday")] * 5},
        "Requests are limited to 4 dateRanges.\n  This request contains 5 dateRanges.",
    ),
    ({"dimensions": f"{NINE} deviceCategory"}, "9 dimensions within a nested request."),
    ({"metrics": f"{TEN} eventValue"}, "10 metrics within a nested request."),
    ({"dimensions": "color"}, "Field color is not a valid dimension. For a list "),
    ({"metrics": "visits"}, "Field visits is not a valid metric.  For a list "),
    ({"dimensions": "date date"}, "Found duplicate dimensions: date"),
    (
        {"metrics": "sessions sessions"},
        "Duplicate metrics are not allowed. Found duplicate metrics: sessions",
    ),
    ({"limit": -1}, "limit must be positive. The API received limit = -1"),
    ({"by": "city"}, "Field city exists in OrderBy but is not defined in input Dimensions/Metrics list"),
    (
        {"dimensions": "itemName"},
        "Please remove itemName to make the request compatible. The request's dimensions & metrics are "
        "incompatible. To learn more, see https://ga-dev-tools.web.app/ga4/dimensions-metrics-explorer/",
    ),
]


def post(url: str, body: bytes) -> tuple[int, str, str]:
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"})) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.parametrize(("change", "message"), REFUSALS)
def test_a_wrong_request_is_refused_in_googles_words(client, emulator, build, change, message):
    request = build(**{"dimensions": "date", "metrics": "sessions", **change})
    kind = exceptions.Forbidden if "property_id" in change else exceptions.BadRequest
    with pytest.raises(kind) as caught:
        client.run_report(request)
    assert message in caught.value.message


def test_nine_dimensions_and_ten_metrics_are_allowed(client, emulator, build):
    assert client.run_report(build(NINE, TEN, limit=5)).row_count > 5


def test_a_batch_of_six_is_refused(client, emulator, build):
    batch = BatchRunReportsRequest(property=f"properties/{AGENCY}", requests=[build("date", "sessions")] * 6)
    with pytest.raises(exceptions.BadRequest, match="Batch requests are limited to 5 requests"):
        client.batch_run_reports(batch)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"x": 1}', 'Invalid JSON payload received. Unknown name "x": Cannot find field.'),
        (b"{not json", "Invalid JSON payload received."),
        (b"", "A dateRange is required."),
    ],
)
def test_a_wrong_body_is_refused_as_json(emulator, body, message):
    status, kind, text = post(f"{emulator.http_url}/v1beta/properties/{AGENCY}:runReport", body)
    error = json.loads(text)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["message"].startswith(message)
    assert kind.startswith("application/json")


@pytest.mark.parametrize("path", ["/v1beta/properties/1:runRepot", "/v2/properties/1:runReport", "/"])
def test_an_unknown_address_is_answered_with_a_page_for_people(emulator, path):
    status, kind, text = post(emulator.http_url + path, b"{}")
    assert (status, kind) == (404, "text/html; charset=UTF-8")
    assert "<!DOCTYPE html>" in text


def test_a_disabled_api_is_refused_with_its_machine_readable_reason(client, emulator, build):
    emulator.inject(Fault(AGENCY, "api_disabled"))
    with pytest.raises(exceptions.Forbidden, match="has not been used in project") as caught:
        client.run_report(build("date", "sessions"))
    assert caught.value.reason == "SERVICE_DISABLED"


@pytest.fixture(scope="module")
def guarded(session_clock):
    with run_emulator(EmulatorOptions(clock=session_clock, require_token=True)) as emulator:
        yield emulator


def ask_with(guarded, request, metadata):
    with grpc.insecure_channel(guarded.grpc_target) as channel:
        method = "/google.analytics.data.v1beta.BetaAnalyticsData/RunReport"
        call = channel.unary_unary(method, request_serializer=type(request).serialize)
        return call(request, metadata=metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ((), "Request is missing required authentication credential."),
        ((("authorization", "Bearer stolen"),), "Request had invalid authentication credentials."),
    ],
)
def test_a_call_without_a_good_token_is_refused(guarded, build, metadata, message):
    with pytest.raises(grpc.RpcError) as caught:
        ask_with(guarded, build("date", "sessions"), metadata)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details().startswith(message)


@pytest.fixture(scope="module")
def credentials(guarded):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "reader@example.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": f"{guarded.http_url}/token",
    }
    scopes = ["https://www.googleapis.com/auth/analytics.readonly"]
    return service_account.Credentials.from_service_account_info(account, scopes=scopes)


def test_a_service_account_gets_a_token_that_works_until_it_ends(guarded, clock, credentials, build):
    credentials.refresh(AuthRequest())
    metadata = (("authorization", f"Bearer {credentials.token}"),)
    assert ask_with(guarded, build("date", "sessions"), metadata)
    clock.now += timedelta(hours=2)
    with pytest.raises(grpc.RpcError, match="invalid authentication credentials"):
        ask_with(guarded, build("date", "sessions"), metadata)


def test_a_token_request_without_a_proper_assertion_is_refused(guarded, credentials):
    status, _, text = post(f"{guarded.http_url}/token", b"grant_type=password")
    assert (status, json.loads(text)["error"]) == (400, "unsupported_grant_type")
    broken = credentials.with_claims({"iss": ""})
    with pytest.raises(RefreshError, match="claims iss are missing"):
        broken.refresh(AuthRequest())
