"""The real Google client against the emulator: pages, fields, keys, tokens, and every way it fails."""

import socket
from datetime import UTC, date, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from steadfast.demo.ga4 import EmulatorOptions, Fault, run_emulator
from steadfast.errors import ConfigError
from steadfast.ga4.client import ClientConfig, open_client
from steadfast.ga4.decode import read_head
from steadfast.ga4.failures import FailureKind, Ga4Failure
from steadfast.ga4.reports import REPORTS, Report

from .pages import decode_page

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROPERTY = 900_000_001
DAYS = (date(2026, 11, 1), date(2026, 11, 3))
KEY = {
    "type": "service_account",
    "client_email": "bot@example.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


@pytest.fixture(scope="module")
def emulator():
    with run_emulator(EmulatorOptions(synthetic=2, clock=lambda: NOW)) as running:
        yield running


@pytest.fixture
def client(emulator):
    emulator.clear()
    with open_client(ClientConfig(endpoint=emulator.grpc_target, is_plaintext=True, timeout_s=20)) as opened:
        yield opened
    emulator.clear()


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


def fetch_failure(client, report=REPORTS["pages"], property_id=PROPERTY):
    with pytest.raises(Ga4Failure) as caught:
        client.run_report(property_id, report, *DAYS, 0)
    return caught.value


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_each_report_is_read_as_the_api_has_it(report, client, emulator):
    dates = date(2026, 9, 1), date(2026, 10, 31)
    page = decode_page(client.run_report(PROPERTY, report, *dates, 0), report)
    names = (report.grain.value, *report.dimensions)
    truth = emulator.world.rows(str(PROPERTY), names, report.metrics, *dates)
    assert page.table.num_rows == page.head.row_count == len(truth) > 0
    assert page.damages == ()
    for index, column in enumerate(report.columns, start=1):
        assert page.table[column].to_pylist() == [dimensions[index] for dimensions, _ in truth]
    for index, (column, _) in enumerate(report.measures):
        expected = [float(metrics[index]) for _, metrics in truth]
        assert [float(value) for value in page.table[column].to_pylist()] == pytest.approx(expected)


def test_pages_fit_together_without_a_gap_or_a_repeated_row(client):
    report = REPORTS["pages"]
    whole = decode_page(client.run_report(PROPERTY, report, *DAYS, 0), report)
    count = whole.head.row_count
    keys = []
    for offset in range(0, count, 7):
        page = decode_page(client.run_report(PROPERTY, report, *DAYS, offset, limit=7), report)
        assert page.head.row_count == count
        keys += zip(page.table["report_date"].to_pylist(), page.table["dim_key"].to_pylist(), strict=True)
    assert len(set(keys)) == len(keys) == count
    assert [key for _, key in keys] == whole.table["dim_key"].to_pylist()


def test_a_page_larger_than_grpc_usually_allows_arrives_whole(client):
    report = Report("wide", ("country", "region", "city", "browser", "eventName"), REPORTS["geo"].metrics)
    body = client.run_report(800_000_001, report, date(2026, 10, 1), date(2026, 10, 8), 0)
    assert len(body) > 4 * 2**20
    assert read_head(body).page_rows == 40_000


def test_each_answer_says_what_it_cost(client):
    quota = read_head(client.run_report(PROPERTY, REPORTS["geo"], *DAYS, 0)).quota
    assert quota is not None
    assert quota.tokens > 0
    assert quota.tokens_per_project_per_hour.remaining > 0


def test_it_learns_zone_and_currency_from_a_report(client):
    zone, currency = client.time_zone_and_currency(PROPERTY)
    assert "/" in zone or zone == "UTC"
    assert len(currency) == 3


def test_every_field_of_our_reports_is_known_and_compatible(client):
    dimensions, metrics = client.field_names(PROPERTY)
    for report in REPORTS.values():
        assert {report.grain.value, *report.dimensions} <= dimensions
        assert set(report.metrics) <= metrics
        assert client.incompatible_fields(PROPERTY, report) == ()


def test_it_names_the_field_that_cannot_be_combined(client, emulator):
    emulator.inject(Fault(str(PROPERTY), "incompatible_field", value="itemName"))
    assert client.incompatible_fields(PROPERTY, REPORTS["items"]) == ("itemName",)
    failure = fetch_failure(client, REPORTS["items"])
    assert (failure.kind, failure.field) == (FailureKind.INCOMPATIBLE_FIELD, "itemName")


def test_it_names_the_field_that_does_not_exist(client):
    failure = fetch_failure(client, Report("odd", ("hostNam",), ("sessions",)))
    assert (failure.kind, failure.field) == (FailureKind.INVALID_FIELD, "hostNam")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("no_access", FailureKind.NO_ACCESS),
        ("api_disabled", FailureKind.API_DISABLED),
        ("unauthenticated", FailureKind.UNAUTHENTICATED),
        ("internal", FailureKind.SERVER_ERROR),
        ("unavailable", FailureKind.SERVER_ERROR),
        ("unknown", FailureKind.TIMEOUT),
        ("new_wording", FailureKind.UNKNOWN_QUOTA),
        ("exhaust_hour", FailureKind.PROPERTY_HOUR_QUOTA),
        ("exhaust_project_hour", FailureKind.PROJECT_HOUR_QUOTA),
        ("exhaust_day", FailureKind.DAY_QUOTA),
        ("exhaust_concurrent", FailureKind.CONCURRENT_QUOTA),
        ("exhaust_server_errors", FailureKind.SERVER_ERROR_QUOTA),
        ("html", FailureKind.NOT_AN_ANSWER),
    ],
)
def test_each_failure_is_named_and_the_next_property_is_read(fault, kind, client, emulator):
    emulator.inject(Fault(str(PROPERTY), fault))
    assert fetch_failure(client).kind is kind
    assert read_head(client.run_report(PROPERTY + 1, REPORTS["pages"], *DAYS, 0)).page_rows > 0


def test_a_connection_that_breaks_mid_page_is_named_and_a_new_one_reads_the_page(client, emulator):
    emulator.inject(Fault(str(PROPERTY), "reset_mid_page", times=1))
    assert fetch_failure(client).kind is FailureKind.CONNECTION
    with open_client(ClientConfig(endpoint=emulator.grpc_target, is_plaintext=True, timeout_s=20)) as again:
        assert read_head(again.run_report(PROPERTY, REPORTS["pages"], *DAYS, 0)).page_rows > 0


def test_failures_of_other_questions_are_named_too(client, emulator):
    emulator.inject(Fault(str(PROPERTY), "no_access"))
    for ask in (client.field_names, client.time_zone_and_currency):
        with pytest.raises(Ga4Failure, match="no access"):
            ask(PROPERTY)
    with pytest.raises(Ga4Failure, match="sufficient permissions"):
        client.incompatible_fields(PROPERTY, REPORTS["pages"])


def test_an_answer_that_does_not_come_is_a_timeout(emulator):
    emulator.inject(Fault(str(PROPERTY), "deadline", seconds=5))
    config = ClientConfig(endpoint=emulator.grpc_target, is_plaintext=True, timeout_s=0.3)
    with open_client(config) as impatient:
        assert fetch_failure(impatient).kind is FailureKind.TIMEOUT


def test_nobody_at_the_endpoint_is_a_connection_failure():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
        with open_client(ClientConfig(endpoint=endpoint, is_plaintext=True, timeout_s=20)) as lonely:
            assert fetch_failure(lonely).kind is FailureKind.CONNECTION


def test_a_service_account_gets_its_token_and_a_new_one_when_it_is_revoked(private_key):
    with run_emulator(EmulatorOptions(synthetic=1, clock=lambda: NOW, require_token=True)) as strict:
        key = {**KEY, "private_key": private_key, "token_uri": f"{strict.http_url}/token"}
        config = ClientConfig(keyfile=key, endpoint=strict.grpc_target, is_plaintext=True, timeout_s=20)
        with open_client(config) as client:
            assert client.email == KEY["client_email"]
            assert client.run_report(PROPERTY, REPORTS["pages"], *DAYS, 0)
            strict.tokens.revoke_all()
            assert fetch_failure(client).kind is FailureKind.UNAUTHENTICATED
            assert client.run_report(PROPERTY, REPORTS["pages"], *DAYS, 0)
        with open_client(ClientConfig(endpoint=strict.grpc_target, is_plaintext=True)) as anonymous:
            assert fetch_failure(anonymous).kind is FailureKind.UNAUTHENTICATED


def test_no_token_because_nobody_answers_is_a_connection_failure(private_key, emulator):
    key = {**KEY, "private_key": private_key, "token_uri": "http://127.0.0.1:9/token"}
    with open_client(ClientConfig(key, emulator.grpc_target, True, 20)) as client:
        failure = fetch_failure(client)
    assert failure.kind is FailureKind.CONNECTION
    assert "no token" in failure.text


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"type": "authorized_user"}, "type 'authorized_user'; valid is"),
        ({"type": None}, "type None"),
        ({"client_email": ""}, "no client_email"),
        ({"token_uri": 7}, "no token_uri"),
        ({"private_key": None}, "no private_key"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"},
            "cannot be read",
        ),
        ({"private_key": "hunter2"}, "private_key of bot@example.iam.gserviceaccount.com cannot be read"),
    ],
)
def test_a_malformed_key_is_refused_by_its_field_and_never_shown(changes, complaint, private_key):
    config = ClientConfig({**KEY, "private_key": private_key, **changes})
    with pytest.raises(ConfigError, match=complaint) as caught:
        open_client(config)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "hunter2" not in repr(config)


def test_google_itself_is_never_asked_without_a_key():
    with pytest.raises(ConfigError, match="no keyfile"):
        open_client(ClientConfig())


def test_a_token_never_travels_in_the_clear_to_another_machine(private_key):
    key = {**KEY, "private_key": private_key}
    with pytest.raises(ConfigError, match="ga4\\.example:443 is another machine"):
        open_client(ClientConfig(key, "ga4.example:443", is_plaintext=True))
    with pytest.raises(ConfigError, match="needs an endpoint"):
        open_client(ClientConfig(is_plaintext=True))


def test_a_client_of_google_itself_opens_without_asking(private_key):
    with open_client(ClientConfig({**KEY, "private_key": private_key})) as client:
        assert client.email == KEY["client_email"]
