"""A receiver that no server starts, as one mounted without a lifespan: its first requests do."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from steadfast.entities.businesses import add_entity
from steadfast.entities.sealing import Sealer
from steadfast.entities.webhook_keys import issue_key
from steadfast.entities.webhook_sources import add_source
from steadfast.webhooks.receiving.receiver import Receiver
from steadfast.webhooks.receiving.service import ReceiverService

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOBODY = "postgresql://steadfast_receiver:x@127.0.0.1:1/steadfast"
BODY = b'{"type": "custom", "timestamp": "2026-11-20T11:00:00Z", "data": {"name": "opened"}}'
CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE 'steadfast receiver%'"
)
"""In this database: receivers of other tests are on the same server."""


@pytest.fixture
def token(database) -> str:
    said = {"actor": "test", "now": NOW}
    sealer = Sealer(Fernet.generate_key().decode())
    with database.connect() as connection:
        add_entity(connection, "bakery", name="Bakery", country="US", **said)
        source = add_source(connection, "bakery", "shop", name="Shop", auth="token", **said)
        return issue_key(connection, source, sealer, **said).secret


async def post(receiver: Receiver, token: str, event_id: str) -> tuple[int, dict]:
    """Hand a request in as a server does, and collect the answer."""
    headers = {"content-type": "application/json", "content-length": str(len(BODY)), "webhook-id": event_id}
    headers["authorization"] = f"Bearer {token}"
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/hooks/v1/in/bakery/shop",
        "query_string": b"",
        "root_path": "/hooks",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await receiver(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


def run_first_requests(url: str, token: str, count: int, look=lambda: None):
    """The answers to `count` requests that come at once to a receiver that nobody has started."""

    async def run():
        service = ReceiverService(url, lambda sealed: "", lambda: NOW)
        try:
            receiver = Receiver(service)
            answers = await asyncio.gather(*(post(receiver, token, f"evt-{n}") for n in range(count)))
            return answers, look()
        finally:
            await service.stop()

    return asyncio.run(run())


def test_requests_that_come_together_start_it_once_and_none_is_taken_for_a_stranger(database, token):
    with database.connect() as connection:
        answers, connections = run_first_requests(
            database.receiver_url, token, 8, lambda: connection.execute(CONNECTIONS).fetchone()[0]
        )
    # One for the sources, one for the flusher.
    assert connections == 2
    assert [status for status, _ in answers] == [202] * 8


def test_as_long_as_the_sources_were_never_read_a_sender_is_told_to_come_again(token):
    answers, _ = run_first_requests(NOBODY, token, 2)
    assert [(status, answer["error"]) for status, answer in answers] == [(503, "busy")] * 2
