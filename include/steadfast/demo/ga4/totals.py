"""All metrics of a property's day from its sessions, and how they spread over the rows of a breakdown.

Additive metrics add up to the day's total in every breakdown; user counts exceed it, for people come twice.
"""

from dataclasses import dataclass

import numpy as np

from steadfast.demo.chance import draw_fraction, hash_words
from steadfast.demo.ga4.chance import Floats, apportion
from steadfast.demo.ga4.days import SETTLED_HOURS
from steadfast.demo.ga4.encode import Integers
from steadfast.demo.ga4.fields import METRICS
from steadfast.demo.ga4.shares import Spread

USER_OVERLAP = 1.05
EVENT_METRICS = {
    "page_view": "screenPageViews",
    "session_start": "sessions",
    "first_visit": "newUsers",
}


@dataclass(frozen=True)
class DayTotals:
    """The totals of a day: metrics by name, and event counts by event name."""

    metrics: dict[str, int]
    events: dict[str, int]


def measure_growth(age: int, *words: object) -> float:
    """The share of a day's final numbers that is known this many hours after its end."""
    if age >= SETTLED_HOURS:
        return 1.0
    start = 0.92 + 0.05 * draw_fraction("growth", *words)
    return start + (1 - start) * max(age, 0) / SETTLED_HOURS


def total_day(sessions: int, *words: object) -> DayTotals:
    """The totals that go with so many sessions; `words` make the day's own small deviations."""

    def vary(name: str, ratio: float) -> int:
        return round(sessions * ratio * (0.97 + 0.06 * draw_fraction(name, *words)))

    purchases = int(0.03 * sessions**0.7 * (0.8 + 0.4 * draw_fraction("purchases", *words)))
    leads = vary("generate_lead", 0.012)
    revenue = purchases * (3900 + int(1600 * draw_fraction("basket", *words))) + purchases % 89
    new, views = vary("newUsers", 0.5), max(vary("screenPageViews", 1.9), sessions)
    events = {
        "click": vary("click", 0.45),
        "file_download": vary("file_download", 0.09),
        "first_visit": new,
        "generate_lead": leads,
        "page_view": views,
        "purchase": purchases,
        "scroll": vary("scroll", 1.1),
        "session_start": sessions,
        "user_engagement": vary("user_engagement", 0.8),
    }
    active = min(sessions, max(vary("activeUsers", 0.8), new))
    metrics = {
        "activeUsers": active,
        "totalUsers": min(sessions, max(vary("totalUsers", 0.86), active)),
        "newUsers": new,
        "sessions": sessions,
        "engagedSessions": vary("engagedSessions", 0.57),
        "screenPageViews": views,
        "eventCount": sum(events.values()),
        "keyEvents": purchases + leads,
        "userEngagementDuration": vary("userEngagementDuration", 61.0),
        "totalRevenue": revenue,
        "eventValue": revenue + leads * 500,
        "itemsViewed": purchases * 9 + leads,
        "itemsAddedToCart": purchases * 3,
        "itemsPurchased": purchases + purchases // 3,
        "itemRevenue": revenue * 93 // 100,
    }
    return DayTotals(metrics, events)


def spread_day(totals: DayTotals, weights: Floats, metrics: set[str], *words: object) -> dict[str, Integers]:
    """Each wanted metric over the rows; `words` give the rows' own small deviations."""
    sessions = apportion(totals.metrics["sessions"], weights)
    single = len(weights) == 1
    found = {"sessions": sessions}
    for name in metrics - {"sessions"}:
        total = totals.metrics[name]
        if METRICS[name].is_user_count and not single:
            total = round(total * USER_OVERLAP)
        found[name] = apportion(total, sessions * _lean(len(weights), name, *words))
    return _keep_users_plausible(found)


def _lean(count: int, name: str, *words: object) -> Floats:
    width = 0.05 if METRICS[name].is_user_count else 0.15
    steps = (np.arange(count, dtype=np.int64) * 7919 + hash_words(name, *words) % 100_003) % 101
    return np.asarray(1 - width + 2 * width * steps / 100.0, dtype=np.float64)


def _keep_users_plausible(found: dict[str, Integers]) -> dict[str, Integers]:
    if "totalUsers" in found:
        for name in ("activeUsers", "newUsers"):
            if name in found:
                found["totalUsers"] = np.maximum(found["totalUsers"], found[name])
    return found


def spread_events(totals: DayTotals, spread: Spread, metrics: set[str]) -> dict[str, Integers]:
    """Each wanted metric over the event names: the day's own counts; money sits with the paying events."""
    names = [key[0] for key in spread.keys]
    counts = np.array([totals.events[name] for name in names], dtype=np.int64)
    users = totals.metrics["totalUsers"]
    paying = {"purchase": totals.metrics["totalRevenue"]}
    valued = {**paying, "generate_lead": totals.events["generate_lead"] * 500}
    keys = {name: totals.events[name] for name in ("purchase", "generate_lead")}
    own = {
        "eventCount": dict(zip(names, counts.tolist(), strict=True)),
        "totalRevenue": paying,
        "eventValue": valued,
        "keyEvents": keys,
        "screenPageViews": {"page_view": totals.metrics["screenPageViews"]},
        "newUsers": {"first_visit": totals.metrics["newUsers"]},
    }
    found = {"exists": counts}
    for name in metrics:
        if name in own:
            found[name] = np.array([own[name].get(event, 0) for event in names], dtype=np.int64)
        elif METRICS[name].is_user_count:
            found[name] = np.minimum(counts, users)
        else:
            found[name] = apportion(totals.metrics[name], counts.astype(np.float64))
    return found
