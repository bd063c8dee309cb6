"""Sending answers over ASGI, and hearing out a sender whose body is not wanted."""

import asyncio
import contextlib

from steadfast.webhooks.receiving.request import Receive, Send
from steadfast.webhooks.refusals import Refused, describe_refusal

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
DRAIN_SECONDS = 2.0
DRAIN_BYTES = 16 * 2**20
ExtraHeaders = tuple[tuple[bytes, bytes], ...]


async def send_answer(
    send: Send, status: int, content: bytes, media_type: bytes = JSON, extra: ExtraHeaders = ()
) -> None:
    """Send a whole answer."""
    await send(_head(status, content, media_type, extra))
    await send({"type": "http.response.body", "body": content})


async def send_refusal(
    send: Send, receive: Receive, refused: Refused, request_id: str, *, is_body_coming: bool
) -> None:
    """Send a problem document; a connection that ends is first emptied, so that the answer gets through.

    Closing a socket that holds unread bytes resets it, and the sender would see that instead.
    """
    refusal = refused.refusal
    extra = refusal.headers
    if refused.retry_after:
        extra = (*extra, (b"retry-after", b"%d" % refused.retry_after))
    content = describe_refusal(refused, request_id)
    if not refusal.closes:
        await send_answer(send, refusal.status, content, PROBLEM_JSON, extra)
        return
    await send(_head(refusal.status, content, PROBLEM_JSON, (*extra, (b"connection", b"close"))))
    await send({"type": "http.response.body", "body": content, "more_body": True})
    if is_body_coming:
        await _drain(receive)
    await send({"type": "http.response.body", "body": b""})


def _head(status: int, content: bytes, media_type: bytes, extra: ExtraHeaders) -> dict[str, object]:
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(content)), *extra]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _drain(receive: Receive) -> None:
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
