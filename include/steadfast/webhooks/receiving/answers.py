"""Sending answers over ASGI, and hearing out a sender whose body is not wanted."""

import asyncio
import contextlib
import logging
import secrets

from steadfast.webhooks.receiving.admission import Seen
from steadfast.webhooks.receiving.request import Receive, Send
from steadfast.webhooks.refusals import Refused, describe_refusal

log = logging.getLogger(__name__)

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
DRAIN_SECONDS = 2.0
DRAIN_BYTES = 16 * 2**20
ExtraHeaders = tuple[tuple[bytes, bytes], ...]


def explain_failure(error: Exception, seen: Seen) -> tuple[Refused, str]:
    """What a sender is told instead of a yes, and the name of his request, which the log has too."""
    if not isinstance(error, Refused):
        # Never 4xx: a sender drops what it is blamed for.
        log.error("a request failed", exc_info=error)
        error = Refused("busy", retry_after=5)
    request_id = secrets.token_hex(8)
    if seen.source_id is not None:
        log.info("%s for source %d, request %s", error.refusal.code, seen.source_id, request_id)
    # Without its traceback, which holds the frames of the request and with them its body.
    return error.with_traceback(None), request_id


def list_headers(refused: Refused) -> ExtraHeaders:
    """The headers of a refusal beside its length and type."""
    extra = refused.refusal.headers
    return (*extra, (b"retry-after", b"%d" % refused.retry_after)) if refused.retry_after else extra


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
    extra = list_headers(refused)
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
