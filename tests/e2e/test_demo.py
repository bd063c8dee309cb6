"""The demo as a stranger meets it: first run, marts, the page in a browser, a backfill, a fault, the end.

The tests share one running demo and go from looking to breaking; the last one ends it.
"""

import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from steadfast.cli.warehouse_url import find_running
from steadfast.warehouse.connect import connect

from .demo_process import RUN_SECONDS, DemoProcess, find_processes, start_demo, wait_for

PROPERTIES = 28
AGRICULTURE, COMMERCE = 395461442, 395253935
DAYS = 3
UI_TIMEOUT_MS = 120_000


def rows_of(demo: DemoProcess, query: str, *values) -> list[tuple]:
    with connect(find_running(demo.state)) as connection:
        return connection.execute(query, values).fetchall()


def states_of(demo: DemoProcess, run_id: str) -> dict[int, set[str]]:
    """Property -> states of its items in a run."""
    query = """
        SELECT property_id, array_agg(DISTINCT state)
        FROM ops.sync_item JOIN ops.sync_run USING (run_id)
        WHERE airflow_run_id = %s GROUP BY property_id"""
    return {property_id: set(states) for property_id, states in rows_of(demo, query, run_id)}


@pytest.fixture
def page(demo, chromium) -> Page:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(UI_TIMEOUT_MS)
    page = context.new_page()
    page.goto(f"{demo.url}/dags/ga4_sync/runs")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[type=password]").fill(demo.password)
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/dags/ga4_sync/**")
    yield page
    context.close()


def test_the_first_run_is_green(demo):
    runs = demo.api.list_runs("ga4_sync")
    assert [run["state"] for run in runs] == ["success"]


def test_it_says_when_the_first_numbers_came_and_what_is_there(demo):
    seconds = int(re.search(r"First numbers in the marts after (\d+) s", demo.printed)[1])
    assert seconds > 0
    assert f"{PROPERTIES} of {PROPERTIES} entities" in demo.printed


def test_ninety_days_of_every_property_are_in_the_marts(demo):
    rows = rows_of(demo, "SELECT property_id, count(*) FROM marts.daily_totals GROUP BY property_id")
    assert len(rows) == PROPERTIES
    assert min(count for _, count in rows) >= 89


def test_the_printed_psql_line_shows_one_entity_and_no_other(demo):
    query = "SELECT DISTINCT entity FROM marts.daily_overview"
    shown = subprocess.run(
        f"{demo.psql} -Atc '{query}'", shell=True, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["agriculture"]


def test_an_entity_s_login_sees_no_other_entity_whatever_it_sets(demo):
    with psycopg.connect(**demo.reader, autocommit=True) as connection:
        connection.execute("SET steadfast.entity_id = '1'")
        found = connection.execute("SELECT DISTINCT entity FROM marts.pages").fetchall()
        assert found == [("agriculture",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET ROLE steadfast_pipeline")


def test_a_second_demo_on_the_same_state_is_refused(demo):
    refused = demo.run("demo", "--state", str(demo.state))
    assert refused.returncode == 1
    assert f"process {demo.process.pid}" in refused.stderr
    assert demo.url in refused.stderr


def test_the_browser_shows_the_first_run_green(demo, page):
    row = page.get_by_role("row").filter(has_text=re.compile("scheduled__|manual__")).first
    expect(row).to_contain_text("Success", timeout=UI_TIMEOUT_MS)


def test_a_run_for_one_entity_is_started_from_the_form(demo, page):
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for field in ("Business entity", "First day", "Last day", "Reports"):
        expect(form.get_by_text(field, exact=True)).to_be_visible()
    form.locator("#element_entity").fill("agriculture")
    before = {run["dag_run_id"] for run in demo.api.list_runs("ga4_sync")}
    form.get_by_test_id("trigger-dag-submit").click()
    wait_for(lambda: len(demo.api.list_runs("ga4_sync")) > len(before), 60, "the run from the form")
    (run_id,) = {run["dag_run_id"] for run in demo.api.list_runs("ga4_sync")} - before
    assert demo.wait_for_end(run_id) == "success"
    assert states_of(demo, run_id) == {AGRICULTURE: {"published"}}


def test_a_backfill_makes_and_ends_one_run_a_day(demo):
    last = datetime.now(UTC).date() - timedelta(days=2)
    first = last - timedelta(days=DAYS - 1)
    made = demo.run(
        *("airflow", "backfill", "create", "--dag-id", "ga4_sync"),
        *("--from-date", f"{first}", "--to-date", f"{last}T23:59"),
    )
    assert made.returncode == 0, made.stderr

    def backfilled() -> list[dict]:
        return [run for run in demo.api.list_runs("ga4_sync") if run["run_type"] == "backfill"]

    assert {run["partition_key"] for run in backfilled()} == {str(first + timedelta(n)) for n in range(DAYS)}
    wait_for(
        lambda: all(run["state"] in ("success", "failed") for run in backfilled()),
        RUN_SECONDS,
        "the backfill",
    )
    assert {run["state"] for run in backfilled()} == {"success"}


def test_the_readme_says_how_to_backfill_the_last_day_too():
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert re.search(r"backfill create .*--to-date \S+T23:59", readme)


def test_one_property_without_access_turns_the_run_red_and_nothing_else(demo):
    mails = demo.state / "mail"
    before = set(mails.glob("*.eml"))
    demo.break_property(COMMERCE, "no_access")
    try:
        run_id = demo.api.trigger("ga4_sync")
        assert demo.wait_for_end(run_id) == "failed"
    finally:
        demo.mend_properties()
    states = states_of(demo, run_id)
    assert "published" not in states.pop(COMMERCE)
    assert len(states) == PROPERTIES - 1
    assert set().union(*states.values()) == {"published"}
    wait_for(lambda: set(mails.glob("*.eml")) - before, 60, "the mail about the failed run")
    (mail,) = set(mails.glob("*.eml")) - before
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    assert "ga4_sync" in message["Subject"]
    assert str(COMMERCE) in message.get_content()


def test_the_next_run_by_hand_heals_it(demo):
    run_id = demo.api.trigger("ga4_sync")
    assert demo.wait_for_end(run_id) == "success"
    assert states_of(demo, run_id)[COMMERCE] == {"published"}


def test_ctrl_c_ends_it_well_and_leaves_no_process(demo):
    assert demo.interrupt() == 0
    assert find_processes(demo.state) == []
    assert "✗" not in demo.printed


@pytest.mark.parametrize("stage", ["PostgreSQL answers", "GA4 emulator with"])
def test_ctrl_c_while_it_starts_leaves_no_process(scratch, stage):
    demo = start_demo(scratch / f"early-{stage.split()[0].lower()}")
    demo.wait_for(stage)
    assert demo.interrupt() == 130
    assert find_processes(demo.state) == []


def test_after_a_kill_the_next_start_works_on_the_same_state(scratch):
    state = scratch / "killed"
    killed = start_demo(state)
    killed.wait_for("web server and DAG processor run")
    killed.interrupt(signal.SIGKILL)
    again = start_demo(state)
    again.wait_for("28 entities with a GA4 property each, 0 of them new")
    assert again.interrupt() == 130
    assert find_processes(state) == []
