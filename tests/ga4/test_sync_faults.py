"""Everything GA4 can do to us: the right error and sentence, neighbours untouched, healed by the next run."""

from datetime import UTC, datetime, timedelta

import pytest

from steadfast.errors import ConfigError
from steadfast.ga4 import fetch, sync
from steadfast.ga4.client import ClientConfig, open_client

from .conftest import AGRICULTURE, COMMERCE, YESTERDAY

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)
REPORTS = ("daily_totals", "traffic_acquisition", "tech")


def problems(installation, name="first"):
    return " ".join(installation.close(name).problems)


def states(installation, property_id):
    rows = installation.query("SELECT report, state FROM ops.sync_item WHERE property_id = %s", property_id)
    return dict(rows)


def error_of(installation, property_id, state="failed"):
    rows = installation.query(
        "SELECT error_class, error FROM ops.sync_item WHERE property_id = %s AND state = %s ORDER BY item_id",
        property_id,
        state,
    )
    return rows[0]


def assert_published(installation, property_id, reports=REPORTS):
    for report in reports:
        expected = installation.answered(report, property_id, *WINDOW)
        assert installation.published(report, property_id) == expected


@pytest.mark.parametrize(
    ("kind", "error_class", "sentence"),
    [
        ("no_access", "AccessDenied", "add the service account with the role Viewer"),
        ("api_disabled", "AccessDenied", "console.cloud.google.com/apis/library/analyticsdata"),
        ("unauthenticated", "AccessDenied", "Create a new key"),
    ],
)
def test_a_refused_property_says_what_to_do_and_its_neighbour_goes_on(
    two_properties, kind, error_class, sentence
):
    two_properties.inject(AGRICULTURE, kind)
    two_properties.sync()
    found_class, found = error_of(two_properties, AGRICULTURE)
    assert found_class == error_class
    assert sentence in found
    assert str(AGRICULTURE) in found
    assert_published(two_properties, COMMERCE)


def test_a_refused_property_is_asked_once_and_probed_again_the_next_day(two_properties):
    two_properties.inject(AGRICULTURE, "no_access")
    two_properties.sync("monday")
    asked = two_properties.requests_of(AGRICULTURE)
    two_properties.sync("an hour later")
    assert two_properties.requests_of(AGRICULTURE) == asked
    two_properties.emulator.clear()
    two_properties.clock.now += timedelta(hours=24)
    two_properties.sync("tuesday", partition_on=YESTERDAY + timedelta(days=1))
    assert set(states(two_properties, AGRICULTURE).values()) == {"published"}


def test_an_unknown_property_is_an_access_problem_that_names_it(one_property):
    with one_property.database.connect() as connection:
        connection.execute("UPDATE config.ga4_property SET property_id = 123456")
    one_property.sync()
    error_class, error = error_of(one_property, 123456)
    assert error_class == "AccessDenied"
    assert "GA4 property 123456" in error


@pytest.mark.parametrize(
    "keyfile",
    [
        {},
        {"type": "service_account"},
        {
            "type": "service_account",
            "client_email": "a@b.c",
            "token_uri": "https://t",
            "private_key": "-----BEGIN PRIVATE KEY-----\nnonsense",
        },
    ],
)
def test_a_malformed_key_is_named_but_not_shown(keyfile):
    with pytest.raises(ConfigError) as caught:
        open_client(ClientConfig(keyfile=keyfile))
    assert "GA4 key" in str(caught.value) or "private_key" in str(caught.value)
    assert "nonsense" not in str(caught.value)


def test_an_incompatible_field_blocks_just_that_report(one_property):
    one_property.inject(AGRICULTURE, "incompatible_field", report_has="browser", value="browser")
    one_property.sync("monday")
    error_class, error = error_of(one_property, AGRICULTURE)
    assert error_class == "InvalidRequest"
    assert "browser" in error and "report tech" in error
    assert_published(one_property, AGRICULTURE, ("daily_totals", "traffic_acquisition"))
    one_property.plan("tuesday")
    run = one_property.runs["tuesday"].run_id
    planned = one_property.query("SELECT DISTINCT report FROM ops.sync_item WHERE run_id = %s", run)
    assert sorted(planned) == [("daily_totals",), ("traffic_acquisition",)]


@pytest.mark.parametrize(
    ("bucket", "until"),
    [
        ("hour", datetime(2026, 11, 20, 13, 0, tzinfo=UTC)),
        ("project_hour", datetime(2026, 11, 20, 13, 0, tzinfo=UTC)),
        ("server_errors", datetime(2026, 11, 20, 13, 0, tzinfo=UTC)),
        ("day", datetime(2026, 11, 21, 8, 5, tzinfo=UTC)),
        ("thresholded", datetime(2026, 11, 20, 13, 0, tzinfo=UTC)),
    ],
)
def test_an_exhausted_quota_parks_the_property_until_it_refills(two_properties, bucket, until):
    two_properties.inject(AGRICULTURE, f"exhaust_{bucket}")
    outcome = two_properties.sync()
    assert outcome.parked == 3
    assert outcome.retry_at == until
    assert_published(two_properties, COMMERCE)
    two_properties.emulator.clear()
    two_properties.clock.now = until + timedelta(minutes=1)
    assert two_properties.work().parked == 0
    assert set(states(two_properties, AGRICULTURE).values()) == {"published"}


def test_too_many_concurrent_requests_wait_a_little_and_then_work(one_property):
    one_property.inject(AGRICULTURE, "exhaust_concurrent", times=2)
    outcome = one_property.sync()
    assert timedelta(0) < outcome.retry_at - one_property.clock() <= timedelta(seconds=30)
    one_property.clock.now += timedelta(seconds=31)
    assert one_property.work().parked == 0
    assert set(states(one_property, AGRICULTURE).values()) == {"published"}


def test_a_quota_of_unknown_wording_waits_and_shows_the_wording(one_property):
    one_property.inject(AGRICULTURE, "new_wording", times=1)
    assert one_property.sync().parked >= 1
    assert "report this wording" in problems(one_property)


def test_quota_is_slowed_before_the_limit_and_parked_near_it(installation):
    installation.add("agriculture", AGRICULTURE, reports=("daily_totals", "tech"))
    installation.sync()
    told = installation.query(
        "SELECT day_remaining, hour_remaining, project_hour_remaining FROM ops.ga4_quota"
    )
    assert all(remaining > 0 for remaining in told[0])


@pytest.mark.parametrize("kind", ["internal", "unavailable", "reset_mid_page"])
def test_a_passing_server_error_is_tried_again(one_property, kind):
    one_property.inject(AGRICULTURE, kind, times=1)
    one_property.sync()
    assert one_property.work().failed == 0
    assert_published(one_property, AGRICULTURE)


def test_lasting_server_errors_stop_before_google_shuts_the_property_out(two_properties):
    two_properties.inject(AGRICULTURE, "internal")
    before = two_properties.requests_of(AGRICULTURE)
    two_properties.sync()
    for _ in range(4):
        two_properties.work()
    assert two_properties.requests_of(AGRICULTURE) - before < 10
    assert_published(two_properties, COMMERCE)
    error_class, error = error_of(two_properties, AGRICULTURE, "parked")
    assert error_class == "BreakerOpen"
    assert "error of its own" in error


def test_a_range_that_times_out_is_read_in_smaller_ones(one_property):
    one_property.inject(AGRICULTURE, "unknown", times=2, report_has="browser")
    one_property.sync()
    one_property.work()
    ranges = one_property.query("SELECT start_on, end_on FROM ops.sync_item WHERE report = 'tech' ORDER BY 1")
    assert len(ranges) == 2
    assert_published(one_property, AGRICULTURE)


def test_a_page_of_html_is_a_wrong_endpoint(one_property):
    one_property.inject(AGRICULTURE, "html")
    one_property.sync()
    error_class, error = error_of(one_property, AGRICULTURE)
    assert error_class == "ConfigError"
    assert "Check the endpoint" in error


@pytest.fixture
def small_pages(monkeypatch):
    """Reports of many pages without a million rows."""
    monkeypatch.setattr(fetch, "PAGE_ROWS", 40)
    monkeypatch.setattr(sync, "PAGE_ROWS", 40)


def test_a_report_of_many_pages_arrives_whole(one_property, small_pages):
    one_property.sync()
    pages = one_property.query("SELECT count(*) FROM landing.ga4_page WHERE report = 'tech'")
    assert pages[0][0] > 2
    assert_published(one_property, AGRICULTURE)


def test_a_report_that_grows_between_pages_is_read_again(one_property, small_pages):
    one_property.inject(AGRICULTURE, "row_count_changes", times=1)
    assert one_property.sync().failed == 0
    assert_published(one_property, AGRICULTURE)


@pytest.mark.parametrize("kind", ["page_missing", "page_short"])
def test_a_missing_page_is_never_published(one_property, small_pages, kind):
    one_property.inject(AGRICULTURE, kind, report_has="browser", times=1)
    one_property.sync()
    error_class, error = error_of(one_property, AGRICULTURE)
    assert error_class == "SourceUnavailable"
    assert "rows than it announced" in error
    assert one_property.published("tech", AGRICULTURE) == []
    one_property.work()
    assert_published(one_property, AGRICULTURE)


def test_a_repeated_key_is_read_again_and_then_published(one_property):
    one_property.inject(AGRICULTURE, "repeat_key", report_has="browser", times=1)
    assert one_property.sync().failed == 0
    assert_published(one_property, AGRICULTURE)


def test_keys_that_repeat_for_ever_are_never_published(one_property):
    one_property.sync("monday")
    before = one_property.published("tech", AGRICULTURE)
    one_property.inject(AGRICULTURE, "repeat_key", report_has="browser")
    one_property.sync("tuesday")
    assert error_of(one_property, AGRICULTURE)[0] == "SourceUnavailable"
    assert one_property.published("tech", AGRICULTURE) == before


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        ("metric_text", {}, "abc"),
        ("metric_float_in_integer", {"value": "12.5"}, "12.5"),
        ("negative_metric", {}, "-"),
    ],
)
def test_a_number_that_is_none_holds_the_day_back_and_keeps_the_row(one_property, kind, details, words):
    one_property.sync("monday")
    before = one_property.published("tech", AGRICULTURE)
    one_property.inject(AGRICULTURE, kind, report_has="browser", **details)
    outcome = one_property.sync("tuesday")
    assert outcome.held == 1
    assert one_property.published("tech", AGRICULTURE) == before
    kept = one_property.query("SELECT content::text, rules FROM quality.quarantine")
    assert words in kept[0][0]
    assert "QualityError" in error_of(one_property, AGRICULTURE, "held")[0]
    held = one_property.query("SELECT held_reason FROM ops.partition_ledger WHERE held_at IS NOT NULL")
    assert len(held) == 1
    one_property.emulator.clear()
    one_property.sync("wednesday")
    assert_published(one_property, AGRICULTURE)
    assert one_property.query("SELECT count(*) FROM ops.partition_ledger WHERE held_at IS NOT NULL") == [(0,)]


def test_a_whole_number_written_as_a_float_is_a_whole_number(one_property):
    one_property.inject(AGRICULTURE, "metric_float_in_integer", report_has="browser", value="12.0")
    assert one_property.sync().held == 0
    assert any(12.0 in row for row in one_property.published("tech", AGRICULTURE))


def test_other_in_the_date_is_kept_aside_and_does_not_break_the_load(one_property):
    one_property.inject(AGRICULTURE, "other_in_date", report_has="browser")
    outcome = one_property.sync()
    assert outcome.failed == 0
    kept = one_property.query("SELECT report_date, rules FROM quality.quarantine")
    assert kept[0][1] == ["date_is_other"]


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [("time_zone_changed", "Asia/Tokyo", "time zone"), ("currency_changed", "EUR", "currency")],
)
def test_a_property_that_changes_its_ways_stops_until_somebody_agrees(one_property, kind, value, word):
    one_property.sync("monday")
    before = one_property.published("daily_totals", AGRICULTURE)
    one_property.inject(AGRICULTURE, kind, value=value)
    one_property.sync("tuesday")
    error_class, error = error_of(one_property, AGRICULTURE)
    assert error_class == "ConfigError"
    assert f"The {word} of property {AGRICULTURE} changed" in error
    assert f"steadfast property edit {AGRICULTURE}" in error
    assert one_property.published("daily_totals", AGRICULTURE) == before


def test_an_empty_yesterday_is_a_day_without_rows_that_is_read_again(one_property):
    one_property.inject(AGRICULTURE, "empty_yesterday")
    outcome = one_property.sync("monday")
    assert outcome.failed == 0
    rows = one_property.query("SELECT row_count FROM ops.partition_ledger WHERE report_date = %s", YESTERDAY)
    assert set(rows) == {(0,)}
    one_property.emulator.clear()
    one_property.sync("tuesday")
    assert_published(one_property, AGRICULTURE)


def test_a_collapsed_day_keeps_the_published_rows_and_says_so(one_property):
    one_property.sync("monday")
    before = one_property.published("tech", AGRICULTURE)
    day = YESTERDAY - timedelta(days=2)
    one_property.inject(AGRICULTURE, "collapse", date=day.isoformat(), report_has="browser")
    assert one_property.sync("tuesday").held == 1
    assert one_property.published("tech", AGRICULTURE) == before
    reason = one_property.query("SELECT held_reason FROM ops.partition_ledger WHERE held_at IS NOT NULL")
    assert reason[0][0].startswith("collapse:")
    assert "collapse" in problems(one_property, "tuesday")


def test_a_page_path_of_ten_thousand_characters_is_kept_whole(installation):
    installation.add("agriculture", AGRICULTURE, reports=("daily_totals", "pages"))
    installation.inject(AGRICULTURE, "long_path", report_has="pagePath")
    assert installation.sync().failed == 0
    assert installation.query("SELECT max(length(page_path)) FROM facts.fact_pages") == [(10_000,)]


def test_characters_that_postgresql_cannot_hold_are_replaced_and_told(installation):
    installation.add("agriculture", AGRICULTURE, reports=("daily_totals", "pages"))
    installation.inject(AGRICULTURE, "nul_and_surrogate", report_has="pagePath")
    assert installation.sync().failed == 0
    repaired = installation.query("SELECT count(*) FROM facts.fact_pages WHERE page_path LIKE '%%\ufffd%%'")
    assert repaired[0][0] >= 1
    told = installation.query("SELECT DISTINCT check_name, severity FROM quality.check_result")
    assert ("text_repaired", "warning") in told


def test_sampled_rows_are_flagged_in_the_ledger(one_property):
    one_property.inject(AGRICULTURE, "sampled")
    one_property.sync()
    flags = one_property.query("SELECT DISTINCT flags FROM ops.partition_ledger WHERE report = 'tech'")
    assert all("sampled" in row[0] for row in flags)
