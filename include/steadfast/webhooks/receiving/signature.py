"""Who sent this: Standard Webhooks signatures and bearer tokens, checked strictly and in constant time.

Pure functions on bytes as they came. The reference library is not used: it raises on malformed
signatures and takes timestamps that are not digits.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

SECRET_PREFIX = "whsec_"
LONGEST_TIMESTAMP = 12
_VERSION = b"v1,"
MOST_SIGNATURES = 16
_DIGEST_SIZE = 32
_NOBODY = bytes(_DIGEST_SIZE)


@dataclass(frozen=True)
class Key:
    """One key of a source: HMAC secret or sha256 of a token, with its window in epoch seconds."""

    key_id: int
    secret: bytes = field(repr=False)
    not_before: float
    not_after: float

    @cached_property
    def mac(self) -> hmac.HMAC:
        """An HMAC that has read the key and nothing else; copying it is half the work of a new one."""
        return hmac.new(self.secret, digestmod="sha256")

    def is_active(self, now: float) -> bool:
        """Whether it may be used at `now`, in epoch seconds."""
        return self.not_before <= now < self.not_after


NO_KEY = Key(0, _NOBODY, 0.0, 0.0)
"""What a request of nobody is checked against, so that it costs what every other costs."""


def decode_secret(secret: str) -> bytes:
    """The HMAC key in `whsec_…`."""
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def is_timely(timestamp: bytes, tolerance_seconds: int, now: float) -> bool:
    """Whether the header's digits lie within the tolerance on either side of `now`."""
    # isdigit of bytes takes ASCII digits and nothing else.
    is_number = timestamp.isdigit() and len(timestamp) <= LONGEST_TIMESTAMP
    return is_number and abs(now - int(timestamp)) <= tolerance_seconds


def find_signing_key(
    keys: Sequence[Key], event_id: bytes, timestamp: bytes, body: bytes, signatures: bytes
) -> Key | None:
    """The key with which one of the space-separated `v1,<base64>` signatures was made.

    Every key is tried against every signature whatever has matched before.
    """
    given = _read_signatures(signatures)
    message = b"%b.%b.%b" % (event_id, timestamp, body)
    found: Key | None = None
    for key in keys:
        mac = key.mac.copy()
        mac.update(message)
        digest = mac.digest()
        for signature in given:
            if hmac.compare_digest(digest, signature):
                found = key
    return found


def find_token_key(keys: Sequence[Key], authorization: bytes) -> Key | None:
    """The key whose token stands in an `Authorization: Bearer …` header."""
    scheme, _, token = authorization.partition(b" ")
    digest = hashlib.sha256(token).digest()
    found: Key | None = None
    for key in keys:
        if hmac.compare_digest(digest, key.secret) and scheme.lower() == b"bearer":
            found = key
    return found


def _read_signatures(header: bytes) -> list[bytes]:
    return [
        digest
        for part in header.split(b" ")[:MOST_SIGNATURES]
        if part.startswith(_VERSION) and (digest := _decode(part[len(_VERSION) :])) is not None
    ]


def _decode(text: bytes) -> bytes | None:
    try:
        digest = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return digest if len(digest) == _DIGEST_SIZE else None
