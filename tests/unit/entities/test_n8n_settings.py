"""The nodes that a person pastes into n8n."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from steadfast.entities.n8n_settings import build_nodes, describe_n8n_settings, source_url
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


def pasted(text):
    """What a person copies: the lines from { to }."""
    return json.loads(text[text.index("{\n") : text.index("\n}\n") + 2])


def headers_of(node):
    return {one["name"]: one["value"] for one in node["parameters"]["headerParameters"]["parameters"]}


@pytest.mark.parametrize("base", ["https://hooks.example.org", "https://hooks.example.org/"])
def test_the_address_is_made_of_both_names(base):
    assert source_url(base, "bakery", "shop") == URL


def test_a_signature_source_gets_nodes_that_make_sign_and_send():
    text = describe_n8n_settings(source(), URL)
    found = pasted(text)
    make, sign, send = found["nodes"]
    assert [one["name"] for one in found["nodes"]] == ["Make events", "Sign events", "Send to Steadfast"]
    assert [one["type"] for one in found["nodes"]] == [
        f"n8n-nodes-base.{name}" for name in ("code", "crypto", "httpRequest")
    ]
    assert "return { json: { id, timestamp, body }" in make["parameters"]["jsCode"]
    assert sign["parameters"]["value"] == "={{ $json.id }}.{{ $json.timestamp }}.{{ $json.body }}"
    assert (sign["parameters"]["type"], sign["parameters"]["encoding"]) == ("SHA256", "base64")
    assert headers_of(send) == {
        "webhook-id": "={{ $json.id }}",
        "webhook-timestamp": "={{ $json.timestamp }}",
        "webhook-signature": "=v1,{{ $json.signature }}",
    }
    assert "Hmac Secret" in text
    assert "base64 -d" in text


def test_a_token_source_sends_its_token_as_a_credential_and_signs_nothing():
    text = describe_n8n_settings(source("token"), URL)
    make, send = pasted(text)["nodes"]
    assert make["type"] == "n8n-nodes-base.code"
    assert send["parameters"]["genericAuthType"] == "httpHeaderAuth"
    assert headers_of(send) == {"webhook-id": "={{ $json.id }}"}
    assert "Bearer PASTE THE TOKEN HERE" in text
    assert "signature" not in text


@pytest.mark.parametrize("auth", ["signature", "token"])
def test_the_node_that_sends_tries_as_often_as_n8n_lets_it_and_follows_no_redirect(auth):
    send = pasted(describe_n8n_settings(source(auth), URL))["nodes"][-1]
    assert (send["retryOnFail"], send["maxTries"], send["waitBetweenTries"]) == (True, 5, 5000)
    parameters = send["parameters"]
    assert (parameters["method"], parameters["url"], parameters["body"]) == ("POST", URL, "={{ $json.body }}")
    assert (parameters["contentType"], parameters["rawContentType"]) == ("raw", "application/json")
    assert parameters["options"]["redirect"]["redirect"]["followRedirects"] is False
    assert "onError" not in send


@pytest.mark.parametrize("auth", ["signature", "token"])
def test_the_nodes_are_connected_in_their_order(auth):
    found = pasted(describe_n8n_settings(source(auth), URL))
    names = [one["name"] for one in found["nodes"]]
    led = {before: out["main"][0][0]["node"] for before, out in found["connections"].items()}
    assert led == dict(pairwise(names))


def test_nothing_that_is_pasted_holds_a_secret():
    for auth in ("signature", "token"):
        assert all("credentials" not in one for one in build_nodes(auth, "Send", URL)["nodes"])


def test_the_node_is_called_as_the_source_knows_it():
    assert pasted(describe_n8n_settings(source(), URL))["nodes"][-1]["name"] == "Send to Steadfast"
    known = describe_n8n_settings(source(connection_id="shop_n8n", node='Orders "out"'), URL)
    assert pasted(known)["nodes"][-1]["name"] == 'Orders "out"'
    assert 'The node "Orders "out"" must keep this name' in known


def test_only_a_source_whose_n8n_is_asked_needs_its_failed_executions():
    assert "Save failed production executions" not in describe_n8n_settings(source(), URL)
    known = describe_n8n_settings(source(connection_id="shop_n8n", node="Send"), URL)
    assert "Save failed production executions: Save; Save execution progress: Save." in known
