"""The receiver as a process of its own, and the senders that it knows.

How the process starts is said in `start_receiver` only. To add a sender to the tests, add it to SENDERS.
"""

import base64
import hashlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from psycopg import sql
from psycopg.rows import dict_row

from .wire import Address, Answer, Wire, sign, wait_until, write_request

STOP_SECONDS = 20
SEALING_KEY = Fernet.generate_key().decode()
MARK = "only-the-customer-may-know-this"
"""Stands in every body; no log may hold it."""
UNLIMITED = {"rate_per_second": 10_000, "burst": 200_000}
_numbers = itertools.count(1)


def new_id() -> str:
    """An event id that nobody has used."""
    return f"evt_{next(_numbers)}_{secrets.token_hex(4)}"


def new_slug(name: str) -> str:
    """The name of a source that nobody has used."""
    return f"{name}-{next(_numbers)}"


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def new_token() -> str:
    """A bearer token."""
    return "whk_" + secrets.token_urlsafe(32)


def order(**data: Any) -> bytes:
    """An event that keeps the contract of its type."""
    now = datetime.now(UTC).isoformat()
    placed = {"order_id": new_id(), "status": "paid", "placed_at": now, "total": "12.50", "currency": "USD"}
    event = {"type": "order", "timestamp": now, "data": placed | {"campaign": MARK} | data}
    return json.dumps(event).encode()


@dataclass(frozen=True)
class Sender:
    """A source as its sender knows it; `settings` are columns of config.webhook_source."""

    slug: str
    entity: str = "acme"
    auth: str = "signature"
    settings: Mapping[str, Any] = field(default_factory=lambda: UNLIMITED)
    secret: str = field(default_factory=new_secret, repr=False)
    token: str = field(default_factory=new_token, repr=False)
    has_key: bool = True

    def prove(
        self, body: bytes, event_id: str, timestamp: str | None = None, secret: str | None = None
    ) -> dict[str, str | bytes]:
        """The headers of an event from this sender, as they should be."""
        said: dict[str, str | bytes] = {"content-type": "application/json", "webhook-id": event_id}
        if self.auth == "token":
            return said | {"authorization": f"Bearer {self.token}"}
        stamp = timestamp or str(int(time.time()))
        signature = sign(secret or self.secret, event_id, stamp, body)
        return said | {"webhook-timestamp": stamp, "webhook-signature": signature}


SENDERS = {
    sender.slug if sender.entity == "acme" else f"{sender.entity}/{sender.slug}": sender
    for sender in (
        Sender("orders"),
        Sender("orders", entity="globex"),
        Sender("orders", entity="closed"),
        Sender("switched-off", settings=UNLIMITED | {"is_enabled": False}),
        Sender("strict", settings=UNLIMITED | {"is_strict": True}),
        Sender("keep-first", settings=UNLIMITED | {"conflict_policy": "keep_first"}),
        Sender("new-version", settings=UNLIMITED | {"conflict_policy": "new_version"}),
        Sender("token", auth="token"),
        Sender("rotating"),
        Sender("keyless", has_key=False),
        Sender("tolerant", settings=UNLIMITED | {"tolerance_seconds": 10 * 86_400}),
        Sender("tiny", settings=UNLIMITED | {"max_bytes": 1024}),
        Sender("limited", settings={"rate_per_second": 1, "burst": 20}),
        Sender("flooded", settings={"rate_per_second": 1, "burst": 20}),
    )
}
ROTATED = {name: new_secret() for name in ("older", "newer", "expired", "early")}
"""Further keys of the source `rotating`: the first two hold, too."""


@dataclass
class Receiver:
    """A running receiver and the database behind it."""

    address: Address
    database: Any
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.connection = self.database.connect()

    def open(self) -> Wire:
        return Wire(self.address)

    def target(self, sender: Sender, tail: str = "") -> str:
        return f"{self.address.prefix}/v1/in/{sender.entity}/{sender.slug}{tail}"

    def write(
        self,
        sender: Sender,
        body: bytes | None = None,
        *,
        event_id: str | None = None,
        timestamp: str | None = None,
        secret: str | None = None,
        change: Mapping[str, str | bytes | None] | None = None,
        tail: str = "",
        **form: Any,
    ) -> bytes:
        """The bytes of a good post; `change` replaces headers, or takes them away with None."""
        body = order() if body is None else body
        headers = {**sender.prove(body, event_id or new_id(), timestamp, secret), **(change or {})}
        kept = {name: value for name, value in headers.items() if value is not None}
        return write_request(form.pop("target", self.target(sender, tail)), kept, body, **form)

    def post(self, sender: Sender, body: bytes | None = None, **form: Any) -> Answer:
        """Post on a connection of its own, as n8n does."""
        change = {"connection": "close", **(form.pop("change", None) or {})}
        return self.ask(self.write(sender, body, change=change, **form))

    def ask(self, request: bytes, *, method: str = "POST") -> Answer:
        """Send these bytes and read the answer; a server that hung up early is still listened to."""
        with self.open() as wire:
            wire.send_if_wanted(request)
            return wire.read_answer(method=method)

    def get(self, path: str, method: str = "GET") -> Answer:
        target = self.address.prefix + path
        return self.ask(write_request(target, {"connection": "close"}, method=method), method=method)

    def stored(self, event_id: str) -> list[dict[str, Any]]:
        """The inbox rows of an event id, oldest first."""
        query = "SELECT * FROM landing.webhook_inbox WHERE event_id = %s ORDER BY inbox_id"
        return self.rows(query, event_id)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, values).fetchall()

    def said(self) -> str:
        """Everything the process has written down."""
        return self.log.read_text("utf-8")


@contextmanager
def start_receiver(
    database: Any, directory: Path, *options: str, is_ready_awaited: bool = True
) -> Iterator[Receiver]:
    """Run the stand-alone receiver on a port that it finds, until the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    log, port_line = directory / "receiver.log", directory / "receiver.out"
    command = [sys.executable, "-c", "from steadfast.cli import main; main()", "receive", "--port", "0"]
    environ = {
        "PATH": os.environ["PATH"],
        "STEADFAST_STATE": str(directory),
        "STEADFAST_RECEIVER_URL": database.receiver_url,
        "STEADFAST_SEALING_KEYS": SEALING_KEY,
    }
    with log.open("ab") as errors, port_line.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], cwd=directory, env=environ, stdout=output, stderr=errors
        )
    try:
        wait_until(lambda: b"\n" in port_line.read_bytes() or process.poll() is not None)
        assert process.poll() is None, log.read_text("utf-8")
        port = json.loads(port_line.read_bytes().splitlines()[0])["port"]
        running = Receiver(Address("127.0.0.1", port), database, log, process)
        if is_ready_awaited:
            wait_until(lambda: running.get("/readyz").status == 200)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def prepare_database(database: Any) -> None:
    """Entities, senders and their keys, and the inbox partitions of the real today."""
    now = datetime.now(UTC)
    with database.connect() as connection:
        for entity in ("acme", "globex", "closed"):
            _insert(
                connection,
                "business_entity",
                {"slug": entity, "name": entity, "is_enabled": entity != "closed"} | _times(now),
            )
        for sender in SENDERS.values():
            add_sender(connection, sender)
        for name, secret in ROTATED.items():
            shift = {"expired": -3600, "early": 3600}.get(name, 0)
            begin = now + timedelta(seconds=shift) if name == "early" else now - timedelta(days=1)
            end = now + timedelta(seconds=shift) if name == "expired" else None
            add_key(connection, SENDERS["rotating"], secret, not_before=begin, not_after=end)
        for day in range(-1, 3):
            on = (now + timedelta(days=day)).date()
            connection.execute("SELECT landing.ensure_day('webhook_inbox', %s)", [on])


def add_sender(connection: Any, sender: Sender) -> int:
    """A source, with its key if it has one."""
    now = datetime.now(UTC)
    entity = "SELECT entity_id FROM config.business_entity WHERE slug = %s"
    values = {
        "entity_id": connection.execute(entity, [sender.entity]).fetchone()[0],
        "slug": sender.slug,
        "name": sender.slug,
        "auth": sender.auth,
        "time_zone": "America/New_York",
    }
    source_id = _insert(connection, "webhook_source", values | _times(now) | dict(sender.settings))
    if sender.has_key:
        add_key(connection, sender, sender.token if sender.auth == "token" else sender.secret)
    return source_id


def add_key(
    connection: Any,
    sender: Sender,
    secret: str,
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    sealing_key: str = SEALING_KEY,
) -> int:
    """A key of a sender, sealed or hashed as its source wants it."""
    now = datetime.now(UTC)
    kept = (
        {"token_hash": hashlib.sha256(secret.encode()).digest()}
        if sender.auth == "token"
        else {"sealed_secret": Fernet(sealing_key).encrypt(secret.encode())}
    )
    times = {"not_before": not_before or now, "not_after": not_after, "created_at": now}
    return _insert(connection, "webhook_key", {"source_id": source_id_of(connection, sender)} | kept | times)


def source_id_of(connection: Any, sender: Sender) -> int:
    query = (
        "SELECT source_id FROM config.webhook_source JOIN config.business_entity AS entity USING (entity_id) "
        "WHERE entity.slug = %s AND webhook_source.slug = %s"
    )
    return connection.execute(query, [sender.entity, sender.slug]).fetchone()[0]


def _times(now: datetime) -> dict[str, datetime]:
    return {"created_at": now, "updated_at": now}


def _insert(connection: Any, table: str, values: Mapping[str, Any]) -> int:
    """Insert a row into a table of config; its id, which is the first column."""
    names: Sequence[sql.Composable] = [sql.Identifier(name) for name in values]
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
        sql.Identifier("config", table),
        sql.SQL(", ").join(names),
        sql.SQL(", ").join(sql.Placeholder() * len(names)),
    )
    return connection.execute(query, list(values.values())).fetchone()[0]
