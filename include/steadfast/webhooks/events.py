"""The events we keep, one row each.

To add a type, add a row: its table, its checks, its schema and its replay follow from it; a mart is one
file in sql/marts. To change one, add a row with the next `version` and the new fields; events that
were received under the old version are still read by it.
"""

from steadfast.webhooks.contract import EventType, Field, Kind

_ORIGIN = (
    Field("source", column="traffic_source"),
    Field("medium", column="traffic_medium"),
    Field("campaign"),
)
"""Where the customer came from, in the words of GA4's session source, medium and campaign."""

_ROWS = (
    EventType(
        "lead",
        "Somebody showed interest",
        (
            Field("lead_id", is_required=True),
            Field(
                "status", Kind.CHOICE, is_required=True, choices=("new", "qualified", "won", "lost", "spam")
            ),
            Field("created_at", Kind.MOMENT, is_required=True),
            Field("value", Kind.AMOUNT),
            Field("currency", Kind.CURRENCY),
            Field("customer_id"),
            *_ORIGIN,
        ),
        key=("lead_id",),
        day="created_at",
        example={
            "lead_id": "L-1001",
            "status": "new",
            "created_at": "2026-11-23T14:05:00-05:00",
            "source": "google",
            "medium": "organic",
        },
    ),
    EventType(
        "order",
        "Somebody bought something",
        (
            Field("order_id", is_required=True),
            Field(
                "status",
                Kind.CHOICE,
                is_required=True,
                choices=("placed", "paid", "fulfilled", "cancelled"),
            ),
            Field("placed_at", Kind.MOMENT, is_required=True),
            Field("total", Kind.AMOUNT, is_required=True),
            Field("currency", Kind.CURRENCY, is_required=True),
            Field("tax", Kind.AMOUNT),
            Field("shipping", Kind.AMOUNT),
            Field("discount", Kind.AMOUNT),
            Field("item_count", Kind.COUNT),
            Field("customer_id"),
            Field("lead_id"),
            *_ORIGIN,
        ),
        key=("order_id",),
        day="placed_at",
        example={
            "order_id": "10042",
            "status": "paid",
            "placed_at": "2026-11-23T14:20:00-05:00",
            "total": "129.90",
            "currency": "USD",
            "item_count": 3,
            "lead_id": "L-1001",
            "source": "google",
            "medium": "organic",
        },
    ),
    EventType(
        "refund",
        "Money went back to a customer",
        (
            Field("refund_id", is_required=True),
            Field("order_id", is_required=True),
            Field("amount", Kind.AMOUNT, is_required=True),
            Field("currency", Kind.CURRENCY, is_required=True),
            Field("refunded_at", Kind.MOMENT, is_required=True),
            Field("reason"),
        ),
        key=("refund_id",),
        day="refunded_at",
        example={
            "refund_id": "R-77",
            "order_id": "10042",
            "amount": "29.90",
            "currency": "USD",
            "refunded_at": "2026-11-24T09:00:00-05:00",
        },
    ),
    EventType(
        "subscription_change",
        "A subscription began, changed or ended",
        (
            Field("change_id", is_required=True),
            Field("subscription_id", is_required=True),
            Field(
                "change",
                Kind.CHOICE,
                is_required=True,
                choices=("started", "renewed", "upgraded", "downgraded", "paused", "resumed", "cancelled"),
            ),
            Field("changed_at", Kind.MOMENT, is_required=True),
            Field("plan"),
            Field("monthly_amount", Kind.AMOUNT, is_required=True),
            Field("currency", Kind.CURRENCY, is_required=True),
            Field("customer_id"),
        ),
        key=("change_id",),
        day="changed_at",
        example={
            "change_id": "C-9",
            "subscription_id": "S-3",
            "change": "started",
            "changed_at": "2026-11-23T10:00:00Z",
            "plan": "monthly box",
            "monthly_amount": "24.00",
            "currency": "USD",
        },
    ),
    EventType(
        "booking",
        "Somebody reserved a time",
        (
            Field("booking_id", is_required=True),
            Field(
                "status",
                Kind.CHOICE,
                is_required=True,
                choices=("requested", "confirmed", "completed", "cancelled", "no_show"),
            ),
            Field("booked_at", Kind.MOMENT, is_required=True),
            Field("starts_at", Kind.MOMENT, is_required=True, is_planned=True),
            Field("party_size", Kind.COUNT),
            Field("amount", Kind.AMOUNT),
            Field("currency", Kind.CURRENCY),
            Field("customer_id"),
            *_ORIGIN,
        ),
        key=("booking_id",),
        day="booked_at",
        example={
            "booking_id": "B-501",
            "status": "confirmed",
            "booked_at": "2026-11-23T16:45:00-05:00",
            "starts_at": "2026-11-28T19:00:00-05:00",
            "party_size": 4,
        },
    ),
    EventType(
        "support_ticket",
        "A customer asked for help",
        (
            Field("ticket_id", is_required=True),
            Field("status", Kind.CHOICE, is_required=True, choices=("open", "pending", "solved", "closed")),
            Field("opened_at", Kind.MOMENT, is_required=True),
            Field("solved_at", Kind.MOMENT),
            Field("category"),
            Field("priority", Kind.CHOICE, choices=("low", "normal", "high", "urgent")),
            Field("first_reply_seconds", Kind.COUNT),
            Field("customer_id"),
        ),
        key=("ticket_id",),
        day="opened_at",
        example={
            "ticket_id": "T-12",
            "status": "open",
            "opened_at": "2026-11-23T11:30:00-05:00",
            "category": "delivery",
            "priority": "normal",
        },
    ),
    EventType(
        "campaign_spend",
        "What a campaign cost on a day",
        (
            Field("spend_on", Kind.DAY, is_required=True),
            Field("source", is_required=True, is_folded=True, column="traffic_source"),
            Field("medium", is_required=True, is_folded=True, column="traffic_medium"),
            Field("campaign", is_required=True, is_folded=True),
            Field("amount", Kind.AMOUNT, is_required=True, may_be_negative=True),
            Field("currency", Kind.CURRENCY, is_required=True),
            Field("impressions", Kind.COUNT),
            Field("clicks", Kind.COUNT),
        ),
        key=("spend_on", "traffic_source", "traffic_medium", "campaign", "currency"),
        day="spend_on",
        example={
            "spend_on": "2026-11-22",
            "source": "google",
            "medium": "cpc",
            "campaign": "black friday",
            "amount": "41.07",
            "currency": "USD",
            "clicks": 52,
        },
    ),
    EventType(
        "custom",
        "Anything else: kept as it is",
        (
            Field("event_id", Kind.EVENT_ID, is_required=True),
            Field("name"),
            Field("payload", Kind.DATA, is_required=True),
        ),
        key=("event_id",),
        example={"name": "newsletter_opened", "list": "autumn"},
    ),
)

EVENTS: dict[tuple[str, int], EventType] = {(event.name, event.version): event for event in _ROWS}
EVENT_TABLES = tuple({event.name: event.table for event in _ROWS}.values())
"""One table a type: that of its newest version, which has every column of the older ones."""
