"""What a person sets in n8n so that it can send to a source: nodes to paste, without the secret, and more.

n8n's editor takes the JSON as it takes nodes that were copied from another workflow.
"""

import json
from itertools import pairwise
from typing import Any

from steadfast.entities.records import WebhookSource

DEFAULT_NODE = "Send to Steadfast"
MAKE, SIGN = "Make events", "Sign events"
MOST_TRIES, LONGEST_WAIT_MS = 5, 5000
"""n8n caps both there, whatever is set."""

MAKE_CODE = """\
const timestamp = Math.floor(Date.now() / 1000).toString();

return $input.all().map((item, index) => {
  const order = item.json;
  // One id per business event, for ever the same: a repeat is stored once. Allowed: A-Z a-z 0-9 . _ : -
  const id = `order-${order.order_id}-${order.status}`;
  // When it happened, not when it is sent: a repeat must have the same body, byte for byte.
  const happened = order.updated_at;
  const body = JSON.stringify({ type: 'order', version: 1, timestamp: happened, data: order });
  return { json: { id, timestamp, body }, pairedItem: { item: index } };
});
"""

PASTE = """\
1. Copy the lines from { to }, click on the canvas of the workflow in n8n, and paste (Ctrl+V, on a Mac Cmd+V):
"""

AFTER_PASTE = """\
2. Lead the node before into "{make}", and write there what an event is made of: its id, when it happened,
   its data.

3. The node "{node}" must keep this name: what it could not send is looked for under it.
   No Loop Over Items around it; its Batching option is fine. On Error must stay Stop Workflow.
"""

SIGNED_KEY = """\
4. In "{sign}", make a credential of the type Crypto. Its Hmac Secret is what this prints, with what stands
   behind whsec_ in the secret in place of PART:

   printf %s PART | base64 -d

   An n8n that does not know this node (version 2) has an older Crypto node: put that in its place, with the
   same settings, and the key into its field Secret.
"""

TOKEN_KEY = """\
4. In "{node}", make a credential of the type Header Auth:

   Name   Authorization
   Value  Bearer PASTE THE TOKEN HERE
"""

KEEP_FAILED = """\
5. Workflow settings: Save failed production executions: Save; Save execution progress: Save. What n8n could
   not send is read from there; without the progress, what it was sending when it was killed is lost.
"""


def source_url(webhook_url: str, entity: str, slug: str) -> str:
    """Where the events of a source are sent."""
    return f"{webhook_url.rstrip('/')}/v1/in/{entity}/{slug}"


def describe_n8n_settings(source: WebhookSource, url: str) -> str:
    """Write down how to send to `url`; the HTTP node has the name that the source knows."""
    node = source.n8n_node or DEFAULT_NODE
    key = SIGNED_KEY if source.auth == "signature" else TOKEN_KEY
    parts = (
        PASTE,
        f"{json.dumps(build_nodes(source.auth, node, url), indent=2, ensure_ascii=False)}\n",
        AFTER_PASTE.format(make=MAKE, node=node),
        key.format(sign=SIGN, node=node),
        KEEP_FAILED if source.n8n_connection_id else "",
    )
    return "\n".join(part for part in parts if part)


def build_nodes(auth: str, node: str, url: str) -> dict[str, Any]:
    """The nodes that make, sign and send events, as n8n copies them."""
    nodes = [_build_make(), *([_build_sign()] if auth == "signature" else []), _build_send(auth, node, url)]
    for place, one in enumerate(nodes):
        one["position"] = [220 * place, 0]
    names = [one["name"] for one in nodes]
    return {
        "nodes": nodes,
        "connections": {
            before: {"main": [[{"node": after, "type": "main", "index": 0}]]}
            for before, after in pairwise(names)
        },
    }


def _build_make() -> dict[str, Any]:
    return {
        "name": MAKE,
        "type": "n8n-nodes-base.code",
        "typeVersion": 2,
        "parameters": {"mode": "runOnceForAllItems", "language": "javaScript", "jsCode": MAKE_CODE},
    }


def _build_sign() -> dict[str, Any]:
    return {
        "name": SIGN,
        "type": "n8n-nodes-base.crypto",
        "typeVersion": 2,
        "parameters": {
            "action": "hmac",
            "type": "SHA256",
            "value": "={{ $json.id }}.{{ $json.timestamp }}.{{ $json.body }}",
            "dataPropertyName": "signature",
            "encoding": "base64",
        },
    }


def _build_send(auth: str, node: str, url: str) -> dict[str, Any]:
    headers = {"webhook-id": "={{ $json.id }}"}
    credential = {"authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth"}
    if auth == "signature":
        headers |= {
            "webhook-timestamp": "={{ $json.timestamp }}",
            "webhook-signature": "=v1,{{ $json.signature }}",
        }
        credential = {}
    return {
        "name": node,
        "type": "n8n-nodes-base.httpRequest",
        "typeVersion": 4.4,
        "retryOnFail": True,
        "maxTries": MOST_TRIES,
        "waitBetweenTries": LONGEST_WAIT_MS,
        "parameters": {
            "method": "POST",
            "url": url,
            **credential,
            "sendHeaders": True,
            "headerParameters": {
                "parameters": [{"name": name, "value": value} for name, value in headers.items()]
            },
            "sendBody": True,
            "contentType": "raw",
            "rawContentType": "application/json",
            "body": "={{ $json.body }}",
            # A redirect that is followed becomes a GET without a body, but with the id and the signature.
            "options": {"timeout": 30000, "redirect": {"redirect": {"followRedirects": False}}},
        },
    }
