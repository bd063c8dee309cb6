"""What a value must look like to be stored: each check returns the clean value or raises ConfigError."""

import re
from collections.abc import Collection, Iterable
from datetime import date
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from steadfast.errors import ConfigError

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
COUNTRY = re.compile(r"[A-Z]{2}")
CURRENCY = re.compile(r"[A-Z]{3}")
CONNECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
ROLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
OWN_ROLE_PREFIXES = ("steadfast_", "pg_")
LONGEST_NAME = 200
MAX_PROPERTY_ID = 2**63 - 1
MAX_WINDOW_DAYS = 90
MAX_TOKEN_BUDGET = 2_000_000
GA4_BEGINS_ON = date(2015, 8, 14)


def check_slug(slug: str) -> str:
    """Accept `main-street-bakery`."""
    if not SLUG.fullmatch(slug):
        raise ConfigError(
            f"Slug {slug!r} is not valid: lower-case letters, digits and dashes, at most 63, "
            "starting with a letter or digit, such as main-street-bakery."
        )
    return slug


def check_name(name: str) -> str:
    """Accept any printable text up to 200 characters, without the spaces around it."""
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise ConfigError(f"Name {name[:50]!r} is not valid: 1 to {LONGEST_NAME} printable characters.")
    return clean


def check_country(country: str | None) -> str | None:
    """Accept an ISO 3166 code in either case, or nothing."""
    if not country:
        return None
    code = country.upper()
    if not COUNTRY.fullmatch(code):
        raise ConfigError(f"Country {country!r} is not valid: an ISO 3166 code is needed, such as US.")
    return code


def check_property_id(property_id: int) -> int:
    """Accept what fits GA4's numeric ids."""
    if not 0 < property_id <= MAX_PROPERTY_ID:
        raise ConfigError(f"Property id {property_id} is not valid: GA4 shows a positive number.")
    return property_id


def check_connection_id(connection_id: str) -> str:
    """Accept what Airflow accepts as the id of a Connection."""
    if not CONNECTION.fullmatch(connection_id):
        raise ConfigError(
            f"Connection {connection_id!r} is not valid: letters, digits, dots, dashes and underscores, "
            "such as steadfast_ga4."
        )
    return connection_id


def check_zone(time_zone: str) -> str:
    """Accept a name of the IANA time zone database."""
    try:
        ZoneInfo(time_zone)
    except (LookupError, ValueError, OSError) as error:
        raise ConfigError(
            f"Time zone {time_zone!r} is not known: an IANA name is needed, such as America/New_York."
        ) from error
    return time_zone


def check_currency(currency: str) -> str:
    """Accept three capital letters."""
    if not CURRENCY.fullmatch(currency):
        raise ConfigError(f"Currency {currency!r} is not valid: an ISO 4217 code is needed, such as USD.")
    return currency


def check_reports(reports: Iterable[str], known_reports: Collection[str]) -> tuple[str, ...] | None:
    """Accept known names, each once, in the order of `known_reports`; None (the defaults) for no name."""
    wanted = set(reports)
    unknown = sorted(wanted.difference(known_reports))
    if unknown:
        raise ConfigError(
            f"Unknown report {', '.join(map(repr, unknown))}{suggest(unknown[0], known_reports)} "
            f"Valid are {', '.join(known_reports)}."
        )
    return tuple(name for name in known_reports if name in wanted) or None


def check_window_days(days: int) -> int:
    """Accept 1 to 90 days."""
    if not 1 <= days <= MAX_WINDOW_DAYS:
        raise ConfigError(f"Window of {days} days is not valid: 1 to {MAX_WINDOW_DAYS} are possible.")
    return days


def check_token_budget(tokens: int) -> int:
    """Accept 0 (no backfill) to the daily quota of a GA4 360 property."""
    if not 0 <= tokens <= MAX_TOKEN_BUDGET:
        raise ConfigError(f"Token budget {tokens} is not valid: 0 to {MAX_TOKEN_BUDGET} are possible.")
    return tokens


def check_backfill_start(start_on: date, today: date) -> date:
    """Accept a day from the first one GA4 can report to `today`."""
    if not GA4_BEGINS_ON <= start_on <= today:
        raise ConfigError(f"Backfill start {start_on} is not valid: {GA4_BEGINS_ON} to {today} are possible.")
    return start_on


def check_role_name(role_name: str) -> str:
    """Accept a plain name that PostgreSQL and we do not keep for ourselves."""
    if not ROLE.fullmatch(role_name) or role_name.startswith(OWN_ROLE_PREFIXES):
        raise ConfigError(
            f"Role name {role_name!r} is not valid: lower-case letters, digits and underscores, at most 63, "
            f"starting with a letter and not with {' or '.join(OWN_ROLE_PREFIXES)}."
        )
    return role_name


def suggest(word: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown word: with close matches if there are any."""
    close = get_close_matches(word, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else "."
