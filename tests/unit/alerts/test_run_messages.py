from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from steadfast.alerts.run_messages import (
    describe_delay,
    describe_failure,
    describe_gaps,
    describe_outage,
    identify_run,
)
from steadfast.alerts.run_state import Gap, RunState
from steadfast.alerts.signals import Severity

NOW = datetime(2026, 11, 23, 2, 15, 4, tzinfo=UTC)
RUN = identify_run("http://airflow/", "ga4_sync", "scheduled__2026-11-23T02:00:00+00:00", "2026-11-22")


def gap(property_id: int, state: str = "failed", reason: str = "GA4 said no.", **changes) -> Gap:
    day = date(2026, 11, 22)
    made = Gap(property_id, "Shop", f"shop-{property_id}", state, reason, ("events", "pages"), day, day)
    return replace(made, **changes)


def state(*gaps: Gap, properties: int = 28) -> RunState:
    return RunState(1, date(2026, 11, 22), NOW, None, properties, properties - len(gaps), gaps)


@pytest.mark.parametrize(
    ("gaps", "headline"),
    [
        ([gap(1), gap(2), gap(3)], "3 of 28 properties failed"),
        ([gap(1), gap(1, "held")], "1 of 28 properties failed"),
        ([gap(1), gap(2, "held")], "2 of 28 properties failed or were held back"),
        ([gap(1, "held")], "1 of 28 properties were held back"),
        ([gap(1, "parked"), gap(2, "planned")], "2 of 28 properties are not finished"),
        ([], "the run failed, but all its data is published"),
    ],
)
def test_the_subject_counts_properties_not_requests(gaps, headline):
    signal = describe_failure(RUN, state(*gaps), "task_failure")
    assert signal.subject == f"[Steadfast] ga4_sync 2026-11-22: {headline}"
    assert signal.severity is Severity.CRITICAL


def test_the_first_line_says_what_is_wrong_and_the_link_opens_the_run():
    signal = describe_failure(RUN, state(gap(1)), "task_failure")
    assert signal.body.splitlines()[0] == "ga4_sync 2026-11-22: 1 of 28 properties failed."
    assert signal.link == "http://airflow/dags/ga4_sync/runs/scheduled__2026-11-23T02%3A00%3A00%2B00%3A00"


def test_each_property_is_named_once_with_its_reasons():
    held = gap(1, "held", "Rows fell to 2 %.", start_on=date(2026, 11, 19))
    body = describe_failure(RUN, state(gap(1), held), "").body
    assert body.count("shop-1: property 1 (Shop)") == 1
    assert "    failed: events, pages; 2026-11-22\n      GA4 said no." in body
    assert "    held back by a quality check: events, pages; 2026-11-19 to 2026-11-22\n" in body


def test_a_thousand_properties_do_not_make_a_thousand_lines():
    body = describe_failure(RUN, state(*[gap(n) for n in range(1000)], properties=1000), "").body
    assert len(body.splitlines()) < 60
    assert "… and 988 more properties" in body


def test_a_reason_of_any_length_stays_readable():
    body = describe_failure(RUN, state(gap(1, reason="very " * 5000)), "").body
    assert len(body) < 1500


def test_a_run_has_one_failure_and_one_delay_whoever_tells():
    first = describe_failure(RUN, state(gap(1)), "task_failure")
    again = describe_failure(RUN, None, "timed_out")
    late = describe_delay(RUN, None, NOW, None, NOW)
    assert first.dedup_key == again.dedup_key != late.dedup_key


@pytest.mark.parametrize(
    ("late_by", "words"),
    [(4, "4 seconds ago"), (300, "5 minutes ago"), (7500, "2 h 5 min ago"), (-5, "0 seconds ago")],
)
def test_the_mail_about_a_late_run_says_how_late(late_by, words):
    deadline = NOW - timedelta(seconds=late_by)
    assert words in describe_delay(RUN, state(gap(1, "planned")), deadline, None, NOW).body


def test_an_outage_quotes_the_warehouse_and_shares_the_key_of_the_failure():
    signal = describe_outage(RUN, "the run failed", "PostgreSQL does not answer.")
    assert "PostgreSQL does not answer." in signal.body
    assert signal.dedup_key == describe_failure(RUN, None, "").dedup_key


def test_one_sentence_tells_the_log_what_is_missing():
    sentence = describe_gaps(state(gap(1), gap(2), gap(3, reason="GA4 is away.")))
    assert sentence == "3 of 28 properties failed. GA4 said no. GA4 is away."
