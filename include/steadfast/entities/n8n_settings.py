"""What a person sets in n8n so that it can send to a source: two nodes to paste, without the secret."""

from steadfast.entities.records import WebhookSource

DEFAULT_NODE = "Send to Steadfast"

SIGNED_CODE = """\
const crypto = require('crypto');
const KEY = Buffer.from('PASTE THE SECRET HERE'.replace('whsec_', ''), 'base64');
const timestamp = Math.floor(Date.now() / 1000).toString();

return $input.all().map((item, index) => {
  const order = item.json;
  // One id per business event, for ever the same: a repeat is stored once. Allowed: A-Z a-z 0-9 . _ : -
  const id = `order-${order.order_id}-${order.status}`;
  // When it happened, not when it is sent: a repeat must have the same body, byte for byte.
  const happened = order.updated_at;
  const body = JSON.stringify({ type: 'order', version: 1, timestamp: happened, data: order });
  const mac = crypto.createHmac('sha256', KEY).update(`${id}.${timestamp}.${body}`);
  const signature = 'v1,' + mac.digest('base64');
  return { json: { id, timestamp, body, signature }, pairedItem: { item: index } };
});
"""

TOKEN_CODE = """\
return $input.all().map((item, index) => {
  const order = item.json;
  // One id per business event, for ever the same: a repeat is stored once. Allowed: A-Z a-z 0-9 . _ : -
  const id = `order-${order.order_id}-${order.status}`;
  // When it happened, not when it is sent: a repeat must have the same body, byte for byte.
  const happened = order.updated_at;
  const body = JSON.stringify({ type: 'order', version: 1, timestamp: happened, data: order });
  return { json: { id, body }, pairedItem: { item: index } };
});
"""

SIGNED_NOTES = """\
   Self-hosted n8n must let Code nodes use the module: NODE_FUNCTION_ALLOW_BUILTIN=crypto, also for task
   runners. If you cannot set it, or want the secret in a credential, let n8n's Crypto node sign:
   - in the Code node, leave out the lines with KEY and mac, `signature`, and the require;
   - after it, a Crypto node: action Hmac, type SHA256, encoding BASE64, property name signature,
     value {{ $json.id }}.{{ $json.timestamp }}.{{ $json.body }}
     and as HMAC secret the part behind whsec_, decoded: printf %s PART | base64 -d
   - below, the header webhook-signature is then v1,{{ $json.signature }}
"""

SIGNED_REQUEST = (
    ("Authentication", "None"),
    ("Send Headers", "on, with three expressions:"),
    ("  webhook-id", "{{ $json.id }}"),
    ("  webhook-timestamp", "{{ $json.timestamp }}"),
    ("  webhook-signature", "{{ $json.signature }}"),
)

TOKEN_REQUEST = (
    ("Authentication", "Generic Credential Type > Header Auth, a credential with"),
    ("  Name", "Authorization"),
    ("  Value", "Bearer PASTE THE TOKEN HERE"),
    ("Send Headers", "on, with an expression:"),
    ("  webhook-id", "{{ $json.id }}"),
)

REQUEST_END = (
    ("Send Body", "on"),
    ("Body Content Type", "Raw"),
    ("Content Type", "application/json"),
    ("Body", "{{ $json.body }}, as an expression"),
    ("Options", "Timeout 30000; Redirects: Follow Redirects off; no Batching"),
    ("Settings", "Retry On Fail on, Max. Tries 5, Wait Between Tries 5000; On Error: Stop Workflow"),
)

KEEP_FAILED = """\
3. Workflow settings: Save failed production executions: Save. What n8n could not send is read from there.
"""


def source_url(webhook_url: str, entity: str, slug: str) -> str:
    """Where the events of a source are sent."""
    return f"{webhook_url.rstrip('/')}/v1/in/{entity}/{slug}"


def describe_n8n_settings(source: WebhookSource, url: str) -> str:
    """Write down the nodes that send to `url`; the HTTP node has the name that the source knows."""
    is_signed = source.auth == "signature"
    code, verb = (SIGNED_CODE, "Sign") if is_signed else (TOKEN_CODE, "Make")
    request = (
        ("Method", "POST"),
        ("URL", url),
        *(SIGNED_REQUEST if is_signed else TOKEN_REQUEST),
        *REQUEST_END,
    )
    parts = (
        f"1. Code node, JavaScript, Run Once for All Items: {verb} events\n\n{code}",
        SIGNED_NOTES if is_signed else "",
        f"2. HTTP Request node, named exactly: {source.n8n_node or DEFAULT_NODE}\n\n{_align(request)}",
        KEEP_FAILED if source.n8n_connection_id else "",
    )
    return "\n".join(part for part in parts if part)


def _align(rows: tuple[tuple[str, str], ...]) -> str:
    width = max(len(title) for title, _ in rows)
    return "".join(f"   {title:<{width}}  {value}\n" for title, value in rows)
