"""Made-up webhook events in the inbox: all types mixed, some of them bad, always the same for a number.

One event in five repeats a key with a newer state, as orders and tickets do. To add a type, add its
payload to `PAYLOADS`; a bad event is a good one after one of `DAMAGES`.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from psycopg import Connection

ENTITIES = 20
BAD_PER_MILLE = 10
SPREAD = timedelta(hours=3)
PART = 5_000


def money(chance: random.Random, most: int) -> str:
    """An amount as text, which is how shops send it."""
    return f"{chance.randint(100, most * 100) / 100:.2f}"


def order(chance: random.Random, number: int, at: str) -> dict:
    """An order with all its fields."""
    return {
        "order_id": f"O-{number}",
        "status": chance.choice(("placed", "paid", "fulfilled", "cancelled")),
        "placed_at": at,
        "total": money(chance, 400),
        "currency": chance.choice(("USD", "EUR")),
        "tax": money(chance, 40),
        "shipping": 4.9,
        "item_count": chance.randint(1, 9),
        "customer_id": chance.randint(1, 10**6),
        "source": "google",
        "medium": "organic",
        "campaign": "autumn sale",
        "items": [{"sku": f"SKU-{chance.randint(1, 999)}", "price": 19.9} for _ in range(3)],
        "note": "please ring twice, the bell is broken",
    }


def lead(chance: random.Random, number: int, at: str) -> dict:
    """A form that somebody filled in."""
    status = chance.choice(("new", "qualified", "won", "lost"))
    origin = {"source": "newsletter", "medium": "email"}
    return {"lead_id": f"L-{number}", "status": status, "created_at": at, "value": 120, **origin}


def refund(chance: random.Random, number: int, at: str) -> dict:
    """Money that went back."""
    return {
        "refund_id": f"R-{number}",
        "order_id": f"O-{number}",
        "amount": money(chance, 90),
        "currency": "USD",
        "refunded_at": at,
        "reason": "does not fit",
    }


def subscription_change(chance: random.Random, number: int, at: str) -> dict:
    """A step in the life of a subscription."""
    return {
        "change_id": f"C-{number}",
        "subscription_id": f"S-{number % 5000}",
        "change": chance.choice(("started", "renewed", "cancelled")),
        "changed_at": at,
        "plan": "monthly box",
        "monthly_amount": "24.00",
        "currency": "USD",
    }


def booking(chance: random.Random, number: int, at: str) -> dict:
    """A table or a seat."""
    status = chance.choice(("requested", "confirmed", "completed"))
    return {"booking_id": number, "status": status, "booked_at": at, "starts_at": at, "party_size": "4"}


def support_ticket(chance: random.Random, number: int, at: str) -> dict:
    """A question of a customer."""
    status = chance.choice(("open", "pending", "solved"))
    more = {"category": "delivery", "priority": "normal", "first_reply_seconds": chance.randint(5, 9999)}
    return {"ticket_id": f"T-{number}", "status": status, "opened_at": at, **more}


def campaign_spend(chance: random.Random, number: int, at: str) -> dict:
    """A day of a campaign."""
    place = {"spend_on": at[:10], "source": "google", "medium": "cpc", "campaign": f"campaign {number}"}
    return {**place, "amount": 41.07, "currency": "USD", "impressions": 5120, "clicks": 52}


def custom(chance: random.Random, number: int, at: str) -> dict:
    """Something of one's own."""
    return {"name": "newsletter_opened", "list": "autumn", "number": number, "tags": ["a", "b"]}


PAYLOADS: dict[str, tuple[int, Callable[[random.Random, int, str], dict]]] = {
    "order": (40, order),
    "lead": (15, lead),
    "refund": (5, refund),
    "subscription_change": (8, subscription_change),
    "booking": (10, booking),
    "support_ticket": (10, support_ticket),
    "campaign_spend": (4, campaign_spend),
    "custom": (8, custom),
}
DAMAGES: tuple[Callable[[dict], None], ...] = (
    lambda event: event["data"].update(currency="Euro", name=5.5),
    lambda event: event["data"].clear() or event.update(data=[]),
    lambda event: event.update(timestamp="2026-02-30T10:00:00Z"),
    lambda event: event.update(timestamp="yesterday"),
    lambda event: event.update(type="invoice"),
    lambda event: event.update(version=7),
)


def make_events(count: int, began_at: datetime) -> Iterator[tuple]:
    """Rows of the inbox but for their number, in the order of its columns."""
    chance = random.Random(20261124)
    names = list(PAYLOADS)
    weights = [share for share, _ in PAYLOADS.values()]
    for number in range(count):
        name = chance.choices(names, weights)[0]
        received_at = began_at + SPREAD * (number / count)
        key = number if chance.random() < 0.8 else chance.randrange(max(number, 1))
        at = (received_at - timedelta(seconds=chance.randrange(3600))).isoformat(timespec="seconds")
        event = {"type": name, "timestamp": at, "data": PAYLOADS[name][1](chance, key, at)}
        if chance.randrange(1000) < BAD_PER_MILLE:
            chance.choice(DAMAGES)(event)
        entity = min(int(chance.expovariate(0.2)), ENTITIES - 1) + 1
        body = json.dumps(event, separators=(",", ":")).encode()
        version = event.get("version", 1)
        yield entity, entity, f"e-{number}", event["type"], version, received_at, body, True, "http"


def fill_inbox(connection: Connection, count: int) -> None:
    """Put the events where the receiver would have put them, with their entities and sources."""
    now = datetime.now(UTC).replace(microsecond=0)
    began_at = now - SPREAD
    with connection.transaction():
        for day in {began_at.date(), now.date()}:
            connection.execute("SELECT landing.ensure_day('webhook_inbox', %s)", [day])
        _add_sources(connection, now)
    events = make_events(count, began_at)
    columns = "inbox_id, entity_id, source_id, event_id, event_type, schema_version, received_at, body, "
    copy_rows = f"COPY landing.webhook_inbox ({columns}is_text_ok, origin) FROM STDIN (FORMAT BINARY)"
    with connection.transaction(), connection.cursor().copy(copy_rows) as copy:
        copy.set_types(
            ["int8", "int4", "int4", "text", "text", "int2", "timestamptz", "bytea", "bool", "text"]
        )
        for inbox_id, event in enumerate(events, 1):
            copy.write_row((inbox_id, *event))
    connection.execute("SELECT setval('landing.webhook_inbox_id', %s)", [count])


def _add_sources(connection: Connection, now: datetime) -> None:
    connection.execute(
        "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
        " SELECT 'shop-' || number, 'Shop ' || number, %(now)s, %(now)s"
        " FROM generate_series(1, %(count)s) AS number ORDER BY number",
        {"now": now, "count": ENTITIES},
    )
    connection.execute(
        "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone, created_at, updated_at)"
        " SELECT entity_id, 'n8n', 'n8n', 'token', 'America/New_York', %(now)s, %(now)s"
        " FROM config.business_entity ORDER BY entity_id",
        {"now": now},
    )
