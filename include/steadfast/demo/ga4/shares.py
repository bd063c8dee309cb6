"""How a property's sessions spread over a breakdown's values: the sample's shares, or stable made-up ones.

A new breakdown is one function in `_SPREADS` that returns values and weights; fields name it as `group`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from steadfast.demo.chance import draw_fraction, hash_words
from steadfast.demo.ga4.chance import Floats, draw_fractions
from steadfast.demo.ga4.encode import encode_dimension
from steadfast.demo.ga4.fields import DIMENSIONS
from steadfast.demo.ga4.sample import list_properties, read_traffic_sources, sum_marginal
from steadfast.demo.ga4.vocabulary import (
    AGES,
    CITIES,
    CREATIVES,
    EVENTS,
    GENDERS,
    HOURS,
    ITEMS,
    MEDIUMS,
    SECTIONS,
    TOPICS,
)

MOST_ROWS = 500
DEVICE_SYSTEMS = {
    "desktop": ("Windows", "Macintosh", "Linux", "Chrome OS"),
    "mobile": ("Android", "iOS"),
    "tablet": ("Android", "iOS"),
    "smart tv": ("Tizen",),
}
SYSTEM_BROWSERS = {
    "Windows": ("Chrome", "Edge", "Firefox", "Opera"),
    "Macintosh": ("Chrome", "Safari", "Firefox", "Edge"),
    "Linux": ("Chrome", "Firefox"),
    "Chrome OS": ("Chrome",),
    "Android": ("Chrome", "Samsung Internet", "Android Webview", "Firefox", "Edge"),
    "iOS": ("Safari", "Safari (in-app)", "Chrome", "Edge"),
    "Tizen": ("Samsung Internet",),
}

Weights = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class Spread:
    """The values of a breakdown, sorted, with their weights."""

    keys: tuple[tuple[str, ...], ...]
    weights: Floats

    @cached_property
    def prefixes(self) -> list[bytes]:
        """The values as they stand in a row on the wire."""
        return [b"".join(map(encode_dimension, key)) for key in self.keys]

    def reweigh(self, weights: Floats) -> "Spread":
        """The same values with other weights."""
        other = Spread(self.keys, weights)
        other.__dict__["prefixes"] = self.prefixes
        return other


def spread_sessions(property_id: str, dimensions: Sequence[str]) -> Spread:
    """Values and weights of any set of dimensions; breakdowns that are unrelated are crossed."""
    if not dimensions:
        return Spread(((),), np.ones(1))
    groups = list(dict.fromkeys(_find_group(name, dimensions) for name in dimensions))
    crossed: Weights = {(): 1.0}
    places: list[str] = []
    for group in groups:
        names, weights = _SPREADS[group](property_id)
        wanted = [name for name in names if name in dimensions and name not in places]
        places += wanted
        crossed = _cross(crossed, _project(weights, [names.index(name) for name in wanted]))
    order = [places.index(name) for name in dimensions]
    rows = sorted((tuple(key[index] for index in order), weight) for key, weight in crossed.items())
    return Spread(tuple(key for key, _ in rows), np.array([weight for _, weight in rows]))


def _find_group(name: str, dimensions: Sequence[str]) -> str:
    """A host goes with the landing page when that is what the report is about."""
    lands = "landingPage" in dimensions and "pagePath" not in dimensions
    return "landing" if name == "hostName" and lands else DIMENSIONS[name].group


def _project(weights: Weights, places: list[int]) -> Weights:
    found: Weights = defaultdict(float)
    for key, weight in weights.items():
        found[tuple(key[place] for place in places)] += weight
    return found


def _cross(left: Weights, right: Weights) -> Weights:
    pairs = {a + b: left[a] * right[b] for a, b in product(left, right)}
    heaviest = sorted(pairs, key=lambda key: (-pairs[key], key))[:MOST_ROWS]
    return {key: pairs[key] for key in heaviest}


def _spread_traffic(property_id: str, names: tuple[str, ...], salt: str) -> tuple[tuple[str, ...], Weights]:
    weights: Weights = defaultdict(float)
    sources = read_traffic_sources().get(property_id) or [("(direct)", "Direct", 1)]
    for source, channel, sessions in sources:
        medium = MEDIUMS.get(channel, "(not set)")
        lean = 0.8 + 0.4 * draw_fraction(property_id, salt, source, channel)
        for campaign, share in _name_campaigns(property_id, source, channel):
            weights[channel, source, medium, campaign] += sessions * share * lean
    return names, weights


def _name_campaigns(property_id: str, source: str, channel: str) -> list[tuple[str, float]]:
    plain = {"Direct": "(direct)", "Organic Search": "(organic)", "Referral": "(referral)"}.get(channel)
    if plain:
        return [(plain, 1.0)]
    if channel == "Unassigned":
        return [("(not set)", 1.0)]
    start = hash_words(property_id, source, channel)
    names = [f"{CREATIVES[(start + step) % len(CREATIVES)]}-{1 + (start >> 8) % 4}" for step in (0, 1, 2)]
    return list(zip(names, (0.6, 0.3, 0.1), strict=True))


def _spread_session(property_id: str) -> tuple[tuple[str, ...], Weights]:
    names = ("sessionDefaultChannelGroup", "sessionSource", "sessionMedium", "sessionCampaignName")
    return _spread_traffic(property_id, names, "session")


def _spread_first_user(property_id: str) -> tuple[tuple[str, ...], Weights]:
    names = ("firstUserDefaultChannelGroup", "firstUserSource", "firstUserMedium", "firstUserCampaignName")
    return _spread_traffic(property_id, names, "first user")


def _list_pages(property_id: str) -> list[tuple[str, str]]:
    entity = next((one.entity for one in list_properties() if one.property_id == property_id), "example")
    site = "".join(word[:3] for word in entity.split("-"))[:12]
    count = 30 + hash_words(property_id, "pages") % 51
    paths = ["/", *(f"/{section}/{topic}" for topic in TOPICS for section in SECTIONS)]
    main, apps = f"www.{site}.gov", f"apps.{site}.gov"
    kept = [paths[0], *sorted(paths[1:], key=lambda path: hash_words(property_id, path))[: count - 1]]
    return [(apps if index % 7 == 6 else main, path) for index, path in enumerate(kept)]


def _rank(keys: Sequence[tuple[str, ...]], salt: str) -> Weights:
    return {
        key: (0.7 + 0.6 * draw_fraction(salt, *key)) / (place + 1) ** 1.05 for place, key in enumerate(keys)
    }


def _spread_page(property_id: str) -> tuple[tuple[str, ...], Weights]:
    return ("hostName", "pagePath"), _rank(_list_pages(property_id), "page")


def _spread_landing(property_id: str) -> tuple[tuple[str, ...], Weights]:
    pages = _list_pages(property_id)
    kept = [*pages[: len(pages) * 4 // 5], (pages[0][0], "(not set)")]
    return ("hostName", "landingPage"), _rank(kept, "landing")


def _spread_geo(property_id: str) -> tuple[tuple[str, ...], Weights]:
    names = ("countryId", "country", "region", "city")
    lean = draw_fractions(len(CITIES), property_id, "geo")
    return names, {
        place: weight * (0.6 + 0.8 * lean[at]) for at, (place, weight) in enumerate(CITIES.items())
    }


def _spread_tech(property_id: str) -> tuple[tuple[str, ...], Weights]:
    devices = sum_marginal("deviceCategory").get(property_id, {"desktop": 1})
    systems = sum_marginal("operatingSystem").get(property_id, {"Windows": 1})
    browsers = sum_marginal("browser").get(property_id, {"Chrome": 1})
    weights: Weights = {}
    for device, of_device in devices.items():
        for system in DEVICE_SYSTEMS.get(device, ("Windows",)):
            for browser in SYSTEM_BROWSERS[system]:
                weight = of_device * systems.get(system, 1) * browsers.get(browser, 1)
                weights["web", device, system, browser] = float(weight)
    return ("platform", "deviceCategory", "operatingSystem", "browser"), weights


def _spread_language(property_id: str) -> tuple[tuple[str, ...], Weights]:
    found = sum_marginal("language").get(property_id, {"English": 1})
    return ("language",), {(value,): float(sessions) for value, sessions in found.items()}


def _spread_fixed(
    names: tuple[str, ...], weights: Weights
) -> Callable[[str], tuple[tuple[str, ...], Weights]]:
    return lambda property_id: (names, weights)


_SPREADS: dict[str, Callable[[str], tuple[tuple[str, ...], Weights]]] = {
    "session": _spread_session,
    "first_user": _spread_first_user,
    "page": _spread_page,
    "landing": _spread_landing,
    "geo": _spread_geo,
    "tech": _spread_tech,
    "language": _spread_language,
    "hour": _spread_fixed(("hour",), {(f"{hour:02d}",): weight for hour, weight in enumerate(HOURS)}),
    "demographics": _spread_fixed(
        ("userAgeBracket", "userGender"),
        {(age, sex): AGES[age] * GENDERS[sex] for age in AGES for sex in GENDERS},
    ),
    "event": _spread_fixed(("eventName",), {(name,): weight for name, weight in EVENTS.items()}),
    "item": _spread_fixed(("itemId", "itemName", "itemBrand", "itemCategory"), ITEMS),
}
