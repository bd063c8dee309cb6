"""The access check of `property add` against the emulator: what it finds and what it says to do."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from steadfast.demo.ga4.emulator import EmulatorOptions, run_emulator
from steadfast.demo.ga4.faults import Fault
from steadfast.ga4.access import check_access
from steadfast.ga4.client import ClientConfig, open_client
from steadfast.ga4.reports import DEFAULT_REPORTS, REPORTS

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PROPERTY = 900000001
EMAIL = "sync@project-1.iam.gserviceaccount.com"
DEFAULTS = [REPORTS[name] for name in DEFAULT_REPORTS]


@pytest.fixture(scope="module")
def emulator():
    options = EmulatorOptions(synthetic=1, clock=lambda: NOW, require_token=True)
    with run_emulator(options) as running:
        yield running


@pytest.fixture(scope="module")
def client(emulator):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keyfile = {
        "type": "service_account",
        "client_email": EMAIL,
        "token_uri": f"{emulator.http_url}/token",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
    with open_client(ClientConfig(keyfile, emulator.grpc_target, is_plaintext=True, timeout_s=20)) as client:
        yield client


@pytest.fixture
def check(emulator, client):
    """Check a property after some faults were injected."""
    emulator.clear()

    def run(*faults, property_id=PROPERTY, reports=DEFAULTS):
        for fault in faults:
            emulator.inject(fault)
        return check_access(client, property_id, reports, now=NOW)

    return run


def test_a_property_that_can_be_synced_passes_every_step(check):
    found = check()
    assert found.problems == ()
    assert (found.time_zone, found.currency) == ("America/New_York", "USD")
    assert found.steps[0].title == f"access: {EMAIL} may read property {PROPERTY}"
    assert len(found.steps) == 2 + len(DEFAULTS)


def test_the_opt_in_report_passes_too(check):
    assert check(reports=[REPORTS["items"]]).problems == ()


def test_an_unknown_property_and_one_without_access_get_the_mail_address_and_the_role(check):
    for found in (check(property_id=123), check(Fault(str(PROPERTY), "no_access"))):
        (problem,) = found.problems
        assert f"add {EMAIL} with the role Viewer" in problem.problem
        assert f"Property access management of property {found.property_id}" in problem.problem
        assert found.time_zone == ""


def test_a_disabled_api_gets_the_link_that_enables_it(check):
    (problem,) = check(Fault(str(PROPERTY), "api_disabled")).problems
    assert "https://console.cloud.google.com/apis/library/analyticsdata.googleapis.com" in problem.problem


def test_an_incompatible_field_is_named_with_its_report_and_the_others_are_still_checked(check):
    found = check(Fault(str(PROPERTY), "incompatible_field", report_has="landingPage"))
    (problem,) = found.problems
    assert problem.problem == ("report landing_pages: landingPage cannot be combined with the other fields")
    assert found.refused_reports == ("landing_pages",)
    assert len(found.steps) == 2 + len(DEFAULTS)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("unauthenticated", f"Create a new key for {EMAIL}"),
        ("exhaust_hour", "hourly tokens are used up"),
        ("unavailable", "error of its own"),
        ("html", "not the Google Analytics Data API"),
    ],
)
def test_whatever_stops_ga4_is_said_and_nothing_counts_as_checked(check, kind, said):
    found = check(Fault("*", kind))
    assert found.problems[-1] == found.steps[-1]
    assert said in found.problems[-1].problem
    assert found.refused_reports == ()
