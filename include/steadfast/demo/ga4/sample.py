"""The shipped sample: 28 real properties, 90 days of real sessions, from the compressed files in `data/`.

Zones and display names are not in the sample; they are rows here.
"""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import zstandard

FIRST_DAY = date(2023, 10, 7)
LAST_DAY = date(2024, 1, 4)
ROLL_UP = "393249053"

_ZONES = {
    "395461442": "America/Chicago",
    "395236978": "America/Denver",
    "395227436": "America/Denver",
    "395454267": "America/Chicago",
    "395262085": "America/Chicago",
    "395437327": "America/Los_Angeles",
    "395452039": "America/Los_Angeles",
    "395251747": "Pacific/Honolulu",
    ROLL_UP: "UTC",
}

MARGINALS = {
    "deviceCategory": "daily_sessions_by_device",
    "browser": "daily_sessions_by_browser",
    "operatingSystem": "daily_sessions_by_os",
    "language": "daily_sessions_by_language",
}


@dataclass(frozen=True)
class PropertyInfo:
    """One property of the sample as Google Analytics would describe it."""

    property_id: str
    entity: str
    display_name: str
    time_zone: str
    currency: str = "USD"


def read_sample(name: str) -> list[dict[str, str]]:
    """The rows of one file of the sample."""
    packed = (files("steadfast.demo.ga4") / "data" / f"{name}.csv.zst").read_bytes()
    text = zstandard.ZstdDecompressor().decompress(packed).decode()
    return list(csv.DictReader(io.StringIO(text)))


@cache
def list_properties() -> tuple[PropertyInfo, ...]:
    """The properties of the sample, in the order of the file."""
    return tuple(_describe(row["property_id"], row["business_entity"]) for row in read_sample("properties"))


def _describe(property_id: str, entity: str) -> PropertyInfo:
    name = "All of government" if property_id == ROLL_UP else entity.replace("-", " ").title()
    return PropertyInfo(property_id, entity, name, _ZONES.get(property_id, "America/New_York"))


@cache
def read_daily_sessions() -> dict[tuple[str, date], int]:
    """Real sessions by property and sample day."""
    return {
        (row["property_id"], date.fromisoformat(row["date"])): int(row["sessions"])
        for row in read_sample("daily_sessions")
    }


@cache
def read_marginal(dimension: str) -> dict[tuple[str, date], list[tuple[str, int]]]:
    """Real sessions by value of one dimension, for each property and sample day."""
    found: dict[tuple[str, date], list[tuple[str, int]]] = defaultdict(list)
    days: dict[str, date] = {}
    for row in read_sample(MARGINALS[dimension]):
        text = row["date"]
        day = days.get(text) or days.setdefault(text, date.fromisoformat(text))
        found[row["property_id"], day].append((row[dimension], int(row["sessions"])))
    return dict(found)


@cache
def sum_marginal(dimension: str) -> dict[str, dict[str, int]]:
    """Real sessions of all days by property and value, without GA4's "(other)"."""
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (property_id, _), rows in read_marginal(dimension).items():
        for value, sessions in rows:
            if value != "(other)":
                totals[property_id][value] += sessions
    return {property_id: dict(values) for property_id, values in totals.items()}


@cache
def read_traffic_sources() -> dict[str, list[tuple[str, str, int]]]:
    """Source, channel and sessions of 30 days by property."""
    found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for row in read_sample("top_traffic_sources_30d"):
        if row["sessionDefaultChannelGroup"] != "(other)":
            entry = (row["sessionSource"], row["sessionDefaultChannelGroup"], int(row["sessions"]))
            found[row["property_id"]].append(entry)
    return dict(found)
