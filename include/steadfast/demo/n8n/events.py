"""What the made-up businesses tell: the n-th event of a seed is always the same but for its times.

Customers come from where GA4 says that visitors come from. To add a kind of event, add a function to
`_MAKERS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from steadfast.demo.chance import draw_fraction, hash_words

KINDS = (
    "lead",
    "order",
    "refund",
    "subscription_change",
    "booking",
    "support_ticket",
    "campaign_spend",
    "custom",
)
ORIGINS = {
    ("google", "organic", None): 40.0,
    ("(direct)", "(none)", None): 22.0,
    ("google", "cpc", "black friday"): 12.0,
    ("newsletter", "email", "autumn"): 9.0,
    ("facebook.com", "referral", None): 6.0,
    ("bing", "organic", None): 5.0,
    ("duckduckgo", "organic", None): 3.0,
    ("facebook.com", "paid-social", "gift guide"): 3.0,
}
PAID = {("google", "cpc", "black friday"): 41.0, ("facebook.com", "paid-social", "gift guide"): 17.0}
LOOK_BACK = 200
"""How many events earlier an order may look for its lead."""

WRONG_CURRENCY = "US$"
"""What a workflow writes by mistake; the contract wants three letters."""

NEWS_SHARE = 0.8
"""Lead events that are about a new lead; the others follow up an earlier one."""


@dataclass(frozen=True)
class Business:
    """Whose events they are."""

    seed: str
    mix: Mapping[str, float] = field(hash=False)
    time_zone: str
    currency: str
    mistakes: float = 0.0


@dataclass(frozen=True)
class MadeEvent:
    """One event; `key` identifies the thing it is about, which later events may be about again."""

    event_id: str
    kind: str
    key: str
    body: dict[str, Any]


def make_event(business: Business, number: int, at: datetime) -> MadeEvent:
    """The event with that number, said at `at`."""
    kind = pick_kind(business, number)
    key, told = _MAKERS[kind](_Moment(business, number, at))
    if "currency" in told and draw_fraction(business.seed, number, "mistake") < business.mistakes:
        told["currency"] = WRONG_CURRENCY
    body = {"type": kind, "version": 1, "timestamp": _iso(at, business), "data": told}
    return MadeEvent(f"{business.seed.replace('/', ':')}:{number}", kind, key, body)


def pick_kind(business: Business, number: int) -> str:
    """Which kind of event has that number."""
    return str(_pick(business.mix, business.seed, "kind", number))


@dataclass(frozen=True)
class _Moment:
    """One event in the making."""

    business: Business
    number: int
    at: datetime

    def chance(self, *words: object) -> float:
        return draw_fraction(self.business.seed, self.number, *words)

    def amount(self, low: float, high: float, *words: object) -> str:
        return f"{low + (high - low) * self.chance('amount', *words) ** 2:.2f}"

    def ago(self, longest: timedelta, *words: object) -> str:
        return _iso(self.at - longest * self.chance("ago", *words), self.business)

    def customer(self) -> str:
        return f"C-{hash_words(self.business.seed, self.number, 'customer') % 5000}"


def find_earlier(business: Business, number: int, kind: str) -> int | None:
    """The number of the newest event of a kind before that one."""
    numbers = range(number - 1, max(0, number - LOOK_BACK) - 1, -1)
    return next((one for one in numbers if pick_kind(business, one) == kind), None)


def find_lead(business: Business, number: int) -> int:
    """The lead that a lead event is about: its own number, or that of the news it follows up."""
    while draw_fraction(business.seed, number, "news") >= NEWS_SHARE:
        before = find_earlier(business, number, "lead")
        if before is None:
            return number
        number = before
    return number


_Made = tuple[str, dict[str, Any]]


def _lead(moment: _Moment) -> _Made:
    lead = find_lead(moment.business, moment.number)
    followed = {"qualified": 5, "won": 2, "lost": 2}
    status = "new" if lead == moment.number else str(_pick(followed, moment.number, "status"))
    told = {
        "lead_id": f"L-{lead}",
        "status": status,
        "created_at": moment.ago(timedelta(hours=1)),
        **_origin(moment.business, lead),
    }
    if status in ("qualified", "won"):
        told |= {"value": moment.amount(50, 900), "currency": moment.business.currency}
    return f"L-{lead}", told


def _order(moment: _Moment) -> _Made:
    key = f"O-{moment.number}"
    told = {
        "order_id": key,
        "status": str(_pick({"placed": 2, "paid": 7, "fulfilled": 1}, moment.number, "status")),
        "placed_at": moment.ago(timedelta(minutes=10)),
        "total": moment.amount(12, 240),
        "currency": moment.business.currency,
        "item_count": 1 + int(moment.chance("items") * 5),
        "customer_id": moment.customer(),
    }
    before = find_earlier(moment.business, moment.number, "lead")
    if before is None:
        return key, told | _origin(moment.business, moment.number)
    lead = find_lead(moment.business, before)
    return key, told | {"lead_id": f"L-{lead}"} | _origin(moment.business, lead)


def _refund(moment: _Moment) -> _Made:
    order = find_earlier(moment.business, moment.number, "order")
    key = f"R-{moment.number}"
    return key, {
        "refund_id": key,
        "order_id": f"O-{moment.number if order is None else order}",
        "amount": moment.amount(5, 60),
        "currency": moment.business.currency,
        "refunded_at": moment.ago(timedelta(minutes=5)),
        "reason": "damaged",
    }


def _subscription_change(moment: _Moment) -> _Made:
    key = f"S-{moment.number}"
    changes = {"started": 5, "renewed": 6, "upgraded": 1, "cancelled": 2}
    return key, {
        "change_id": key,
        "subscription_id": f"SUB-{hash_words(moment.business.seed, moment.number) % 300}",
        "change": str(_pick(changes, moment.number, "change")),
        "changed_at": moment.ago(timedelta(minutes=5)),
        "plan": "monthly box",
        "monthly_amount": "24.00",
        "currency": moment.business.currency,
        "customer_id": moment.customer(),
    }


def _booking(moment: _Moment) -> _Made:
    key = f"B-{moment.number}"
    starts = moment.at + timedelta(days=1 + 20 * moment.chance("starts"))
    return key, {
        "booking_id": key,
        "status": "confirmed",
        "booked_at": moment.ago(timedelta(minutes=30)),
        "starts_at": _iso(starts, moment.business),
        "party_size": 1 + int(moment.chance("party") * 6),
        "customer_id": moment.customer(),
        **_origin(moment.business, moment.number),
    }


def _support_ticket(moment: _Moment) -> _Made:
    key = f"T-{moment.number}"
    return key, {
        "ticket_id": key,
        "status": "open",
        "opened_at": moment.ago(timedelta(hours=2)),
        "category": str(_pick({"delivery": 4, "payment": 2, "product": 3}, moment.number, "category")),
        "priority": str(_pick({"normal": 7, "high": 2, "urgent": 1}, moment.number, "priority")),
        "customer_id": moment.customer(),
    }


def _campaign_spend(moment: _Moment) -> _Made:
    source, medium, campaign = _pick(PAID, moment.business.seed, moment.number, "campaign")
    spend_on = (moment.at.astimezone(ZoneInfo(moment.business.time_zone)) - timedelta(days=1)).date()
    return f"{spend_on} {source} {medium} {campaign}", {
        "spend_on": spend_on.isoformat(),
        "source": source,
        "medium": medium,
        "campaign": campaign,
        "amount": moment.amount(10, 90),
        "currency": moment.business.currency,
        "clicks": int(moment.chance("clicks") * 120),
    }


def _custom(moment: _Moment) -> _Made:
    return f"X-{moment.number}", {"name": "newsletter_opened", "list": "autumn", "number": moment.number}


_MAKERS: dict[str, Callable[[_Moment], _Made]] = {
    "lead": _lead,
    "order": _order,
    "refund": _refund,
    "subscription_change": _subscription_change,
    "booking": _booking,
    "support_ticket": _support_ticket,
    "campaign_spend": _campaign_spend,
    "custom": _custom,
}


def _origin(business: Business, number: int) -> dict[str, str]:
    source, medium, campaign = _pick(ORIGINS, business.seed, number, "origin")
    return {"source": source, "medium": medium} | ({"campaign": campaign} if campaign else {})


def _pick(weights: Mapping[Any, float], *words: object) -> Any:
    left = draw_fraction(*words) * sum(weights.values())
    for value, weight in weights.items():
        left -= weight
        if left < 0:
            return value
    return next(reversed(list(weights)))


def _iso(at: datetime, business: Business) -> str:
    return at.astimezone(ZoneInfo(business.time_zone)).isoformat(timespec="milliseconds")
