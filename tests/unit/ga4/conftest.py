"""A report with a column of every kind, and a builder of its pages."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from steadfast.ga4.reports import Report

from .pages import build_body

# A deadline measures the machine, which others use too.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def build_page() -> Callable[..., bytes]:
    """(report, rows) -> body; a row is (dimensions with the date first, metrics)."""
    return build_body


@pytest.fixture(scope="session")
def pages_report() -> Report:
    """Two dimensions, and a metric of each SQL type."""
    return Report("pages", ("hostName", "pagePath"), ("sessions", "keyEvents", "totalRevenue"))
