"""Credentials as they fail in life: ended in mid-flight, revoked for good, refused for one report."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from steadfast.demo.ga4.emulator import EmulatorOptions, run_emulator
from steadfast.ga4.client import ClientConfig, open_client

from .conftest import AGRICULTURE, COMMERCE, YESTERDAY, Installation

EMAIL = "sync@project-1.iam.gserviceaccount.com"


@pytest.fixture
def keyed(database, clock):
    """An installation whose GA4 wants a token, and whose service account has a key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with run_emulator(EmulatorOptions(clock=clock, require_token=True)) as emulator:
        keyfile = {
            "type": "service_account",
            "client_email": EMAIL,
            "token_uri": f"{emulator.http_url}/token",
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        }
        config = ClientConfig(keyfile, emulator.grpc_target, is_plaintext=True, timeout_s=20)
        with open_client(config) as client:
            installation = Installation(database, emulator, clock, client)
            installation.add("agriculture", AGRICULTURE, reports=("daily_totals", "tech"))
            yield installation


def test_a_token_that_ends_is_replaced_without_anybody_noticing(keyed):
    keyed.sync("monday")
    keyed.emulator.tokens.revoke_all()
    outcome = keyed.sync("tuesday")
    assert (outcome.failed, outcome.parked) == (0, 0)
    assert keyed.query("SELECT count(*) FROM ops.breaker WHERE state = 'open'") == [(0,)]


def test_a_key_that_was_revoked_for_good_says_which_one_and_keeps_the_published_rows(keyed, monkeypatch):
    keyed.sync("monday")
    before = keyed.published("tech", AGRICULTURE)
    keyed.emulator.tokens.revoke_all()
    monkeypatch.setattr(keyed.emulator.tokens, "issue", lambda body: {"access_token": "no", "expires_in": 60})
    asked = keyed.requests_of(AGRICULTURE)
    keyed.sync("tuesday")
    assert keyed.requests_of(AGRICULTURE) - asked <= 4
    errors = keyed.query("SELECT error_class, error FROM ops.sync_item WHERE state = 'failed'")
    assert {error_class for error_class, _ in errors} == {"AccessDenied"}
    assert f"Create a new key for {EMAIL}" in errors[0][1]
    assert keyed.published("tech", AGRICULTURE) == before


def test_a_refusal_is_kept_in_the_breaker_and_not_taken_for_a_used_up_quota(one_property):
    one_property.inject(AGRICULTURE, "no_access", report_has="browser")
    one_property.sync()
    assert one_property.query("SELECT parked_until FROM ops.ga4_quota") == [(None,)]
    assert one_property.query("SELECT state FROM ops.breaker") == [("open",)]


def test_an_answer_that_does_not_come_in_time_is_asked_for_in_smaller_ranges(two_properties):
    impatient = ClientConfig(endpoint=two_properties.emulator.grpc_target, is_plaintext=True, timeout_s=1.0)
    two_properties.inject(AGRICULTURE, "deadline", report_has="browser", times=2, seconds=30)
    with open_client(impatient) as client:
        two_properties.client = client
        two_properties.sync()
        assert two_properties.work().failed == 0
    ranges = two_properties.query(
        "SELECT count(*) FROM ops.sync_item WHERE report = 'tech' AND property_id = %s", AGRICULTURE
    )
    assert ranges == [(2,)]
    for property_id in (AGRICULTURE, COMMERCE):
        days = {row[0] for row in two_properties.published("tech", property_id)}
        assert f"{YESTERDAY:%Y%m%d}" in days and len(days) == 4


def test_a_run_by_hand_asks_again_after_somebody_repaired_the_access(one_property):
    one_property.inject(AGRICULTURE, "no_access")
    one_property.sync("monday")
    one_property.emulator.clear()
    outcome = one_property.sync("by hand", "manual")
    assert (outcome.published, outcome.parked) == (3, 0)
    assert one_property.query("SELECT state FROM ops.breaker") == [("closed",)]
    assert one_property.sync("monday again").parked == 0


def test_a_run_by_hand_leaves_a_property_alone_whose_server_errors_google_counts(one_property):
    one_property.inject(AGRICULTURE, "internal")
    one_property.sync("monday")
    one_property.work("monday")
    asked = one_property.requests_of(AGRICULTURE)
    one_property.sync("by hand", "manual")
    assert one_property.requests_of(AGRICULTURE) == asked
