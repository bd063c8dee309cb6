"""Keys of webhook sources: issue, rotate without a gap, revoke, reseal. A secret leaves here once.

A signature source has secrets, sealed; a token source has bearer tokens, of which only the hash is kept.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from steadfast.entities.audit import record_audit
from steadfast.entities.records import WebhookKey, WebhookSource
from steadfast.entities.sealing import Sealer
from steadfast.entities.webhook_sources import lock_source, show_source
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")
SECRET_PREFIX, TOKEN_PREFIX = "whsec_", "whk_"
RANDOM_BYTES = 32
MOST_KEYS = 10
DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True)
class IssuedKey:
    """A new key and its secret, which nobody can show again."""

    key: WebhookKey
    secret: str = field(repr=False)


@dataclass(frozen=True)
class KeyUse:
    """A key's window, and the minute of its last request."""

    key_id: int
    not_before: datetime
    not_after: datetime | None
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True)
class SealedKey:
    """A key, whose it is, and its secret as the warehouse keeps it."""

    key: WebhookKey
    owner: str
    sealed_secret: bytes = field(repr=False)


def make_secret(auth: str) -> str:
    """Make a random secret.

    The signing key itself is printable text, for n8n's Crypto node takes its key as text only.
    """
    text = secrets.token_urlsafe(RANDOM_BYTES)
    if auth == "token":
        return TOKEN_PREFIX + text
    return SECRET_PREFIX + base64.b64encode(text.encode()).decode()


def hash_token(token: str) -> bytes:
    """What is kept of a bearer token, prefix included."""
    return hashlib.sha256(token.encode()).digest()


def issue_key(
    connection: Connection[Any], source: WebhookSource, sealer: Sealer, *, actor: str, now: datetime
) -> IssuedKey:
    """Give a source one more key, valid at once; ConfigError if it has as many as it may."""
    secret = make_secret(source.auth)
    is_token = source.auth == "token"
    values = {
        "source_id": source.source_id,
        "sealed_secret": None if is_token else sealer.seal(secret),
        "token_hash": hash_token(secret) if is_token else None,
        "now": now,
    }
    with connection.transaction(), connection.cursor() as cursor:
        _refuse_more(source, _valid_keys(_lock_keys(connection, source), now))
        (key_id,) = cursor.execute(QUERIES["insert_key"], values).fetchall()[0]
        key = WebhookKey(key_id, source.source_id, source.entity_id, now, None, now)
        record_audit(connection, "issue", key_id, after=key, actor=actor, now=now)
    return IssuedKey(key, secret)


def rotate_key(
    connection: Connection[Any],
    entity: str,
    slug: str,
    sealer: Sealer,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    actor: str,
    now: datetime,
) -> IssuedKey:
    """Issue a new key and let the older ones live for `overlap` more, or as long as they have."""
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise ConfigError(f"Overlap {overlap} is not valid: 0 to {LONGEST_OVERLAP.days} days.")
    with connection.transaction():
        source = lock_source(connection, entity, slug)
        for key in _valid_keys(_lock_keys(connection, source), now):
            _end_key(connection, key, now + overlap, "expire", actor=actor, now=now)
        return issue_key(connection, source, sealer, actor=actor, now=now)


def revoke_key(
    connection: Connection[Any], entity: str, slug: str, key_id: int, *, actor: str, now: datetime
) -> WebhookKey:
    """End a key at once; one that has ended already stays as it is."""
    with connection.transaction():
        keys = {key.key_id: key for key in _lock_keys(connection, lock_source(connection, entity, slug))}
        if key_id not in keys:
            known = ", ".join(map(str, keys)) or "none"
            raise ConfigError(f"Source {entity}/{slug} has no key {key_id}; it has {known}.")
        return _end_key(connection, keys[key_id], now, "revoke", actor=actor, now=now)


def list_keys(connection: Connection[Any], entity: str, slug: str) -> list[KeyUse]:
    """Return every key that a source had, with its last use."""
    values = {"source_id": show_source(connection, entity, slug).source_id}
    with connection.cursor(row_factory=class_row(KeyUse)) as cursor:
        return cursor.execute(QUERIES["list_key_uses"], values).fetchall()


def reseal_keys(connection: Connection[Any], sealer: Sealer, *, actor: str, now: datetime) -> int:
    """Seal every secret that still counts with the newest key; return how many were sealed anew."""
    with connection.transaction():
        old = [
            found
            for found in _list_sealed(connection, now)
            if not sealer.is_sealed_with_newest(found.sealed_secret)
        ]
        for found in old:
            secret = sealer.unseal(found.sealed_secret, found.owner)
            values = {"key_id": found.key.key_id, "sealed_secret": sealer.seal(secret)}
            connection.execute(QUERIES["reseal_key"], values)
            record_audit(connection, "reseal", found.key.key_id, after=found.key, actor=actor, now=now)
    return len(old)


def check_secrets(connection: Connection[Any], keys: str, now: datetime) -> int:
    """Open every secret that still counts; return how many. ConfigError names one that stays shut."""
    found = _list_sealed(connection, now)
    if found or keys:
        sealer = Sealer(keys)
        for sealed in found:
            sealer.unseal(sealed.sealed_secret, f"{sealed.owner} (key {sealed.key.key_id})")
    return len(found)


def _list_sealed(connection: Connection[Any], now: datetime) -> list[SealedKey]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(QUERIES["list_sealed_keys"], {"now": now}).fetchall()
    return [
        SealedKey(owner=row.pop("owner"), sealed_secret=row.pop("sealed_secret"), key=WebhookKey(**row))
        for row in rows
    ]


def _lock_keys(connection: Connection[Any], source: WebhookSource) -> list[WebhookKey]:
    with connection.cursor(row_factory=class_row(WebhookKey)) as cursor:
        return cursor.execute(QUERIES["lock_source_keys"], {"source_id": source.source_id}).fetchall()


def _refuse_more(source: WebhookSource, valid: Sequence[WebhookKey]) -> None:
    if len(valid) >= MOST_KEYS:
        raise ConfigError(
            f"Source {source.slug} has {len(valid)} valid keys, and {MOST_KEYS} are the most: "
            "revoke one, or rotate with an overlap of 0."
        )


def _valid_keys(keys: Iterable[WebhookKey], now: datetime) -> list[WebhookKey]:
    return [key for key in keys if key.not_after is None or key.not_after > now]


def _end_key(
    connection: Connection[Any], key: WebhookKey, at: datetime, action: str, *, actor: str, now: datetime
) -> WebhookKey:
    """Let a key end `at`, unless it ends before; a key made this instant ends in the next one."""
    end = max(at, key.not_before + timedelta(microseconds=1))
    if key.not_after is not None and key.not_after <= end:
        return key
    ended = replace(key, not_after=end)
    connection.execute(QUERIES["end_key"], {"key_id": key.key_id, "not_after": end})
    record_audit(connection, action, key.key_id, before=key, after=ended, actor=actor, now=now)
    return ended
