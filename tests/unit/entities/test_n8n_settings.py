"""The nodes that a person pastes into n8n."""

from datetime import UTC, datetime

import pytest

from steadfast.entities.n8n_settings import describe_n8n_settings, source_url
from steadfast.entities.records import WebhookSource

NOW = datetime(2026, 11, 20, tzinfo=UTC)
URL = "https://hooks.example.org/v1/in/bakery/shop"


def source(auth="signature", connection_id=None, node=None):
    limits = {"max_bytes": 1024, "rate_per_second": 1, "burst": 20, "dedup_days": 30}
    return WebhookSource(
        **limits,
        source_id=1,
        entity_id=1,
        slug="shop",
        name="Shop",
        auth=auth,
        tolerance_seconds=300,
        conflict_policy="reject",
        is_strict=False,
        time_zone="UTC",
        n8n_connection_id=connection_id,
        n8n_workflow_id=None,
        n8n_node=node,
        is_enabled=True,
        created_at=NOW,
        updated_at=NOW,
    )


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("base", ["https://hooks.example.org", "https://hooks.example.org/"])
def test_the_address_is_made_of_both_names(base):
    assert source_url(base, "bakery", "shop") == URL


def test_a_signature_source_gets_a_node_that_signs_and_one_that_sends():
    text = describe_n8n_settings(source(), URL)
    assert "update(`${id}.${timestamp}.${body}`)" in text
    assert "NODE_FUNCTION_ALLOW_BUILTIN=crypto" in text
    assert "action Hmac, type SHA256, encoding BASE64" in text
    found = lines(text)
    for setting in (
        "Method POST",
        f"URL {URL}",
        "webhook-id {{ $json.id }}",
        "webhook-timestamp {{ $json.timestamp }}",
        "webhook-signature {{ $json.signature }}",
        "Body Content Type Raw",
        "Content Type application/json",
        "Body {{ $json.body }}, as an expression",
        "Options Timeout 30000; Redirects: Follow Redirects off; no Batching",
    ):
        assert setting in found
    assert "Retry On Fail on, Max. Tries 5, Wait Between Tries 5000" in text


def test_a_token_source_sends_its_token_as_a_credential_and_signs_nothing():
    text = describe_n8n_settings(source("token"), URL)
    assert "Header Auth" in text
    assert "Value Bearer PASTE THE TOKEN HERE" in lines(text)
    assert "webhook-id {{ $json.id }}" in lines(text)
    assert "crypto" not in text
    assert "signature" not in text


def test_the_node_is_called_as_the_source_knows_it():
    assert "named exactly: Send to Steadfast\n" in describe_n8n_settings(source(), URL)
    known = describe_n8n_settings(source(connection_id="shop_n8n", node="Orders out"), URL)
    assert "named exactly: Orders out\n" in known


def test_only_a_source_whose_n8n_is_asked_needs_its_failed_executions():
    assert "Save failed production executions" not in describe_n8n_settings(source(), URL)
    known = describe_n8n_settings(source(connection_id="shop_n8n", node="Send"), URL)
    assert "Save failed production executions: Save" in known
