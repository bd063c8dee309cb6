"""The demo as a stranger meets it: first runs, marts, events, the page in a browser, a backfill, faults.

The tests share one running demo and go from looking to breaking; the last one ends it.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from steadfast.cli.warehouse_url import find_running
from steadfast.demo.first_events import FIRST_COUNT, LOST_COUNT
from steadfast.demo.webhooks import SENDERS
from steadfast.warehouse.connect import connect

from .demo_process import (
    END_SECONDS,
    OPENER,
    RUN_SECONDS,
    DemoProcess,
    find_processes,
    list_processes,
    start_demo,
    wait_for,
)

PROPERTIES = 28
AGRICULTURE, COMMERCE = 395461442, 395253935
DAYS = 3
INGEST, SHOP = "webhook_ingest", "agriculture/shop"
LOST = 7
COUNT_EVENTS = "SELECT count(*) FROM landing.webhook_inbox WHERE origin = %s"
DEAD_LETTERS = "SELECT inbox_id FROM landing.dead_letter WHERE state = 'dead'"
UI_TIMEOUT_MS = 120_000


def rows_of(demo: DemoProcess, query: str, *values) -> list[tuple]:
    with connect(find_running(demo.state)) as connection:
        return connection.execute(query, values).fetchall()


def orders_of_the_shown_entity(demo: DemoProcess) -> int:
    with psycopg.connect(**demo.reader, autocommit=True) as connection:
        return connection.execute("SELECT sum(order_count) FROM marts.orders").fetchone()[0]


def ingest(demo: DemoProcess) -> None:
    """Let webhook_ingest run once more, from now on."""
    assert demo.wait_for_end(demo.api.trigger(INGEST), INGEST) == "success"


def states_of(demo: DemoProcess, run_id: str) -> dict[int, set[str]]:
    """Property -> states of its items in a run."""
    query = """
        SELECT property_id, array_agg(DISTINCT state)
        FROM ops.sync_item JOIN ops.sync_run USING (run_id)
        WHERE airflow_run_id = %s GROUP BY property_id"""
    return {property_id: set(states) for property_id, states in rows_of(demo, query, run_id)}


def replay_from_the_form(demo: DemoProcess, page: Page, event_id: str, *, is_dry_run: bool) -> None:
    page.goto(f"{demo.url}/dags/webhook_replay/runs")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for field in ("Business entity", "Reason", "From", "Patch"):
        expect(form.get_by_text(field, exact=True)).to_be_visible()
    form.locator("#element_event_id").fill(event_id)
    form.locator("#element_state").click()
    page.get_by_role("option", name="applied").click()
    dry_run = form.get_by_role("checkbox", name="Dry run")
    expect(dry_run).to_be_checked()
    if not is_dry_run:
        # The switch lies over its checkbox.
        dry_run.locator("xpath=..").click()
    before = {run["dag_run_id"] for run in demo.api.list_runs("webhook_replay")}
    form.get_by_test_id("trigger-dag-submit").click()
    wait_for(lambda: len(demo.api.list_runs("webhook_replay")) > len(before), 60, "the run from the form")
    (run_id,) = {run["dag_run_id"] for run in demo.api.list_runs("webhook_replay")} - before
    assert demo.wait_for_end(run_id, "webhook_replay") == "success"


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


def test_the_first_events_were_received_and_ingested(demo):
    received = int(re.search(r"events +│ ([\d,]+) received", demo.printed)[1].replace(",", ""))
    assert received >= FIRST_COUNT * len(SENDERS) + LOST_COUNT
    assert [run["state"] for run in demo.api.list_runs(INGEST) if run["run_type"] == "manual"] == ["success"]
    assert "failed" not in {run["state"] for run in demo.api.list_runs(INGEST)}


def test_events_go_on_arriving_and_the_marts_grow(demo):
    before = orders_of_the_shown_entity(demo)
    received = rows_of(demo, COUNT_EVENTS, "http")
    # More than one order is among so many.
    demo.ask_n8n("/send", {"source": SHOP, "count": 20})
    ingest(demo)
    assert orders_of_the_shown_entity(demo) > before
    posted = rows_of(demo, COUNT_EVENTS, "http")
    wait_for(
        lambda: rows_of(demo, COUNT_EVENTS, "http") > posted > received, 60, "an event that n8n sends itself"
    )


def test_events_that_n8n_could_not_send_are_read_back_and_no_others(demo):
    before = rows_of(demo, COUNT_EVENTS, "reconcile")[0][0]
    lost = demo.ask_n8n("/lose", {"source": SHOP, "count": LOST})
    assert lost["status"] == "error"
    ingest(demo)
    query = "SELECT event_id, origin FROM landing.webhook_inbox WHERE event_id = ANY(%s)"
    ids = demo.sent_in(lost["execution"])
    assert sorted(rows_of(demo, query, ids)) == sorted((event_id, "reconcile") for event_id in ids)
    assert rows_of(demo, COUNT_EVENTS, "reconcile")[0][0] == before + LOST


def test_the_printed_line_mends_the_dead_letters(demo):
    dead = [inbox_id for (inbox_id,) in rows_of(demo, DEAD_LETTERS)]
    assert dead
    line = re.search(r"^ +STEADFAST_STATE=\S+ \S+steadfast (webhook replay .*)$", demo.printed, re.MULTILINE)[
        1
    ]
    mended = demo.run(*shlex.split(line))
    assert mended.returncode == 0, mended.stderr
    ingest(demo)
    query = "SELECT DISTINCT state FROM landing.dead_letter WHERE inbox_id = ANY(%s)"
    assert rows_of(demo, query, dead) == [("resolved",)]
    applied = demo.run("webhook", "search", "--inbox-id", str(dead[0]), "--json")
    assert json.loads(applied.stdout)[0]["state"] == "resolved"


def test_a_source_that_is_added_in_another_terminal_may_send_at_once(demo):
    added = demo.run("source", "add", "agriculture", "till", "--name", "Till", "--auth", "token")
    assert added.returncode == 0, added.stderr
    (url,) = re.findall(r'"url": "(http://localhost:\d+/v1/in/agriculture/till)"', added.stderr)
    body = {"type": "custom", "timestamp": datetime.now(UTC).isoformat(), "data": {"name": "opened"}}
    headers = {"Authorization": f"Bearer {added.stdout.strip()}", "webhook-id": "till-1"}
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)

    def is_accepted() -> bool:
        with suppress(urllib.error.HTTPError), OPENER.open(request, timeout=30) as answer:
            return answer.status == 202
        return False

    wait_for(is_accepted, 30, "the new source")


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


def test_events_are_replayed_from_the_form_once_it_was_tried(demo, page):
    """A dry run first, which is the default; then the same for good."""
    (event_id,) = rows_of(
        demo,
        "SELECT event_id FROM landing.webhook_inbox WHERE origin = 'http' AND event_type = 'order' "
        "AND inbox_id <= (SELECT planned_to FROM ops.webhook_watermark) ORDER BY inbox_id LIMIT 1",
    )[0]
    orders = orders_of_the_shown_entity(demo)
    replay_from_the_form(demo, page, event_id, is_dry_run=True)
    replay_from_the_form(demo, page, event_id, is_dry_run=False)
    asked = "SELECT is_dry_run, matched_count FROM ops.webhook_replay ORDER BY request_id DESC LIMIT 2"
    assert rows_of(demo, asked) == [(False, 1), (True, 1)]
    copies = "SELECT count(*) FROM landing.webhook_inbox WHERE origin = 'replay' AND event_id = %s"
    assert rows_of(demo, copies, event_id) == [(1,)]
    ingest(demo)
    assert orders_of_the_shown_entity(demo) >= orders


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

    def about_the_run() -> set[Path]:
        # Dead letters are mailed about as well.
        return set(mails.glob("*ga4-sync*.eml")) - before

    wait_for(about_the_run, 60, "the mail about the failed run")
    (mail,) = about_the_run()
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


def test_a_receiver_that_is_killed_ends_the_demo_and_is_named(scratch):
    state = scratch / "killed"
    demo = start_demo(state)
    demo.wait_for("The webhook receiver listens")
    (receiver,) = [pid for pid, line in list_processes(state).items() if "steadfast receive" in line]
    os.kill(receiver, signal.SIGKILL)
    assert demo.process.wait(END_SECONDS) == 1
    assert "receiver ended with -9" in demo.printed
    assert find_processes(state) == []
