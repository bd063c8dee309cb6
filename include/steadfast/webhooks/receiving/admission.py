"""Who sends, and how much he may: the same 401 for everything that is wrong with the first."""

from steadfast.webhooks.receiving.request import Headers
from steadfast.webhooks.receiving.signature import NO_KEY, Key, find_signing_key, find_token_key, is_timely
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import KnownSource, Source


def authenticate(known: KnownSource | None, headers: Headers, body: bytes, now: float) -> Key:
    """The key that the request was made with: Refused with `unauthorized`, always alike.

    Nobody is checked too, against a key that opens nothing, so that it takes as long. `now` is in epoch
    seconds.
    """
    keys = [key for key in known.keys if key.is_active(now)] if known else []
    if known and known.source.auth == "token":
        found = find_token_key(keys or [NO_KEY], headers.get(b"authorization", b""))
        is_timed = True
    else:
        event_id, timestamp = headers.get(b"webhook-id", b""), headers.get(b"webhook-timestamp", b"")
        signatures = headers.get(b"webhook-signature", b"")
        found = find_signing_key(keys or [NO_KEY], event_id, timestamp, body, signatures)
        is_timed = is_timely(timestamp, known.source.tolerance_seconds if known else 0, now)
    if known is None or found is None or found is NO_KEY or not is_timed:
        raise Refused("unauthorized")
    return found


def read_event_id(source: Source, headers: Headers) -> str:
    """The id that the sender gave; what is no id is refused later, with the body's own faults."""
    given = headers.get(b"webhook-id") or (
        headers.get(b"idempotency-key", b"") if source.auth == "token" else b""
    )
    return given.decode("latin-1")


def charge(known: KnownSource, count: int, seconds: float) -> None:
    """Take `count` events from the source's bucket: Refused with `rate_limited` if it is empty."""
    wait = known.bucket.take(count, seconds)
    if wait:
        raise Refused("rate_limited", retry_after=wait)
