"""The sources and keys that a receiver knows: read at the start and every few seconds, held in memory.

So a request costs no query, and a change made by `steadfast source` holds within REFRESH_SECONDS.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.receiving.rate import Bucket, full_bucket
from steadfast.webhooks.receiving.signature import Key, decode_secret

log = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class Source:
    """A webhook source as its events need it."""

    source_id: int
    entity_id: int
    entity: str
    slug: str
    auth: str
    tolerance_seconds: int
    max_bytes: int
    rate_per_second: int
    burst: int
    conflict_policy: str
    is_strict: bool


@dataclass(frozen=True)
class KnownSource:
    """A source with its keys and its bucket in this process."""

    source: Source
    keys: Sequence[Key]
    bucket: Bucket = field(repr=False)


Unseal = Callable[[bytes], str]


@dataclass
class Directory:
    """Every enabled source by `(entity, source)`; `unseal` opens what is sealed in the warehouse."""

    unseal: Unseal = field(repr=False)
    sources: Mapping[tuple[str, str], KnownSource] = field(default_factory=dict, repr=False)
    _opened: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    _of_key: dict[int, bytes] = field(default_factory=dict, repr=False)

    def find(self, entity: str, slug: str) -> KnownSource | None:
        """The source with that address, if it is switched on."""
        return self.sources.get((entity, slug))

    async def refresh(self, connection: asyncpg.Connection, seconds: float) -> None:
        """Read everything anew; buckets of sources whose limits stayed the same are kept."""
        queries = load_queries("webhook_receive")
        rows = await connection.fetch(queries["list_sources"].as_string())
        keys: dict[int, list[Key]] = {}
        for row in await connection.fetch(queries["list_keys"].as_string()):
            with suppress(ConfigError):
                keys.setdefault(row["source_id"], []).append(self._read_key(row))
        self.sources = {
            (row["entity"], row["slug"]): self._know(Source(**row), keys.get(row["source_id"], []), seconds)
            for row in rows
        }

    def _know(self, source: Source, keys: Sequence[Key], seconds: float) -> KnownSource:
        before = self.find(source.entity, source.slug)
        limits = (source.rate_per_second, source.burst)
        if before and (before.source.rate_per_second, before.source.burst) == limits:
            return KnownSource(source, keys, before.bucket)
        return KnownSource(source, keys, full_bucket(*limits, seconds))

    def _read_key(self, row: Mapping[str, Any]) -> Key:
        secret = row["token_hash"] or self._open(row["sealed_secret"], row["key_id"])
        return Key(row["key_id"], secret, row["not_before"], row["not_after"])

    def _open(self, sealed: bytes, key_id: int) -> bytes:
        # Opening a seal costs as much as ten requests, and most keys stay as they are.
        if sealed not in self._opened:
            try:
                self._opened[sealed] = self._of_key[key_id] = decode_secret(self.unseal(sealed))
            except (ConfigError, ValueError) as error:
                # One key that cannot be opened must not shut out everybody else; and one that was sealed anew
                # with a key that this process does not have yet is still the same secret.
                log.error("key %d cannot be opened: %s", key_id, error)
                if key_id not in self._of_key:
                    raise ConfigError(f"Key {key_id} is not usable.") from error
                return self._of_key[key_id]
        return self._opened[sealed]
