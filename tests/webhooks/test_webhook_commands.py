"""`steadfast webhook …`, as a person types it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from steadfast.cli import app
from steadfast.cli.webhook_status import make_example
from steadfast.cli.webhook_text import make_visible
from steadfast.webhooks.events import EVENTS

from .replay_events import (
    add_dead,
    add_event,
    add_shops,
    copies,
    finish_chunks,
    letter_states,
    order_body,
)

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ALL = ("--since", "2026-11-01")
USD = '[{"op": "replace", "path": "/data/currency", "value": "USD"}]'


@pytest.fixture
def connection(database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", database.owner_url)
    with database.connect() as connection:
        add_shops(connection)
        yield connection


def run(*arguments):
    return CliRunner().invoke(app, ["webhook", *map(str, arguments)])


def read(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def test_a_search_shows_what_became_of_events(connection):
    event, dead = add_event(connection, at=AT), add_dead(connection, "cafe/shop", at=AT)
    finish_chunks(connection)
    shown = run("search", *ALL)
    assert shown.exit_code == 0
    titles = "inbox id received entity source type event id state reason"
    assert " ".join(shown.stdout.splitlines()[0].split()) == titles
    found = {row["inbox_id"]: row for row in read("search", *ALL)}
    assert (found[event]["state"], found[dead]["state"], found[dead]["reason"]) == (
        "applied",
        "dead",
        "bad_field",
    )
    assert [row["inbox_id"] for row in read("search", "--state", "dead", "--entity", "cafe")] == [dead]
    assert len(read("search", *ALL, "--limit", 1)) == 1


def test_a_search_without_a_beginning_looks_back_a_week(connection):
    connection.execute("SELECT landing.ensure_day('webhook_inbox', current_date - 8)")
    connection.execute("SELECT landing.ensure_day('webhook_inbox', current_date)")
    now = datetime.now(UTC)
    add_event(connection, at=now - timedelta(days=8))
    recent = add_event(connection, at=now - timedelta(minutes=1))
    assert [row["inbox_id"] for row in read("search")] == [recent]


def test_a_body_cannot_steer_the_terminal(connection):
    event = add_event(connection, body=b'{"name": "\x1b[31m\xc2\x9b\xe2\x80\xaeB\xc3\xa4cker\xff"}', at=AT)
    for shown in (run("search", *ALL, "--body").stdout, run("show", event).stdout):
        assert r"\x1b[31m\x9b\u202eBäcker\xff" in shown
        assert not set(shown) & {"\x1b", "\x9b", "\u202e"}


def test_a_text_that_is_shown_has_no_line_of_its_own():
    assert make_visible("a\nb\tc\U000e0001") == r"a\x0ab\x09c\U000e0001"


def test_no_match_says_so(connection):
    assert run("search").stdout == "No event matches.\n"
    assert read("search") == []


def test_showing_an_event_tells_why_it_died_and_what_its_contract_asks_for(connection):
    event = add_dead(connection, body=order_body(status="payed"), at=AT)
    shown = run("show", event).stdout
    for words in (
        "bad_field",
        "must be three capital letters",
        "data.status: must be one of placed",
        "payed",
    ):
        assert words in shown
    story = read("show", event)
    assert (story["state"], story["dead_letter"]["reason"]) == ("dead", "bad_field")
    assert json.loads(story["body"])["data"]["status"] == "payed"
    missing = run("show", 999)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "holds no event 999" in missing.stderr


def test_the_replays_of_an_event_are_shown(connection):
    event = add_dead(connection, body=order_body(), at=AT)
    assert "Replays" not in run("show", event).stdout
    run("replay", "--inbox-id", event, "--patch", USD)
    shown = run("show", event).stdout
    assert "Replays" in shown
    assert "✗ data.currency" in shown
    copy = read("show", event)["dead_letter"]["replayed_as"]
    assert "✓ keeps its contract" in run("show", copy).stdout


def test_a_replay_mends_and_reports(connection):
    event = add_dead(connection, body=order_body(), at=AT)
    done = run("replay", "--entity", "bakery", "--patch", USD)
    assert done.exit_code == 0
    assert "1 event matches; replayed: 1, left as they are: 0" in done.stdout
    assert b'"USD"' in copies(connection)[event][0]
    actor = connection.execute("SELECT requested_by FROM ops.webhook_replay").fetchone()[0]
    assert actor.startswith("cli:")


def test_a_patch_may_come_from_a_file(connection, tmp_path):
    event = add_dead(connection, body=order_body(), at=AT)
    (tmp_path / "usd.json").write_text(USD)
    assert run("replay", "--reason", "bad_field", "--patch", f"@{tmp_path / 'usd.json'}").exit_code == 0
    assert b'"USD"' in copies(connection)[event][0]
    missing = run("replay", "--reason", "bad_field", "--patch", "@nowhere.json")
    assert missing.exit_code == 2
    assert "nowhere.json cannot be read" in missing.stderr


def test_a_dry_run_shows_before_and_after_and_changes_nothing(connection):
    event = add_dead(connection, body=order_body(), at=AT)
    shown = run("replay", "--reason", "bad_field", "--patch", USD, "--dry-run").stdout
    assert "would be replayed: 1" in shown
    assert '"currency": "usd"' in shown
    assert '"currency":"USD"' in shown
    assert "keeps its contract" in shown
    assert (copies(connection), letter_states(connection)) == ({}, {event: "dead"})
    report = read("replay", "--reason", "bad_field", "--dry-run")
    assert (report["matched_count"], report["previews"][0]["inbox_id"]) == (1, event)


def test_what_a_patch_does_not_fit_makes_the_command_fail_but_not_the_others(connection):
    good, bad = (add_dead(connection, body=body, at=AT) for body in (order_body(), b'{"type": "order"}'))
    done = run("replay", "--reason", "bad_field", "--patch", USD)
    assert done.exit_code == 1
    assert "the event has no such place" in done.stdout
    assert "1 event stays as it was" in done.stderr
    assert letter_states(connection) == {good: "replayed", bad: "dead"}


@pytest.mark.parametrize(
    "command", [("replay",), ("replay", "--state", "applied"), ("discard", "--reason", "old")]
)
def test_a_filter_that_names_nothing_is_refused(connection, command):
    event = add_dead(connection, at=AT)
    refused = run(*command)
    assert refused.exit_code == 2
    assert "nothing says which events" in " ".join(refused.stderr.split())
    assert letter_states(connection) == {event: "dead"}


def test_every_dead_letter_is_meant_only_if_that_is_said(connection):
    events = [add_dead(connection, place, at=AT) for place in ("bakery/shop", "cafe/shop")]
    assert run("replay", "--all-dead", "--state", "applied").exit_code == 2
    assert run("replay", "--all-dead").exit_code == 0
    assert letter_states(connection) == dict.fromkeys(events, "replayed")


def test_discarding_needs_a_reason_in_words(connection):
    event = add_dead(connection, at=AT)
    assert run("discard", "--entity", "bakery").exit_code == 2
    mistaken = run("discard", "--entity", "bakery", "--reason", "bad_field")
    assert mistaken.exit_code == 2
    assert "write --code" in mistaken.stderr
    assert letter_states(connection) == {event: "dead"}
    done = run("discard", "--code", "bad_field", "--reason", "test orders of the launch")
    assert "discarded: 1" in done.stdout
    assert letter_states(connection) == {event: "discarded"}


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", ""])
def test_a_time_that_is_none_is_refused(connection, time):
    assert run("search", "--since", time).exit_code == 2


def test_times_are_utc_unless_they_say_otherwise(connection):
    event = add_event(connection, at=AT)
    assert (
        read("search", "--since", "2026-11-20T09:00", "--until", "2026-11-20T09:00:01")[0]["inbox_id"]
        == event
    )
    assert read("search", "--since", "2026-11-20T10:00:00+01:00")[0]["inbox_id"] == event
    assert read("search", "--since", "2026-11-20T09:00:01Z") == []


def test_the_contracts_are_listed_and_shown_with_an_event_to_paste(connection):
    assert {row["type"] for row in read("contract")} >= {"order", "lead", "custom"}
    assert "campaign_spend" in run("contract").stdout
    shown = read("contract", "order")
    assert shown["schema"]["properties"]["type"] == {"const": "order"}
    assert shown["example"].keys() == {"type", "version", "timestamp", "data"}
    example = make_example(EVENTS["order", 1], AT)
    event = add_event(connection, body=json.dumps(example).encode(), at=AT)
    assert "✓ keeps its contract" in run("show", event).stdout
    assert '"order_id"' in run("contract", "order").stdout
    for arguments, words in ((("ordr",), "did you mean order"), (("order", "--version", 9), "valid are 1")):
        refused = run("contract", *arguments)
        assert (refused.exit_code, words in refused.stderr) == (1, True)


def test_a_quiet_inbox_has_nothing_to_report(connection):
    shown = run("status").stdout
    for words in (
        "No event waits.",
        "Every planned chunk is done.",
        "There is no dead letter.",
        "No request came",
    ):
        assert words in shown


def test_the_status_tells_what_waits_what_failed_and_what_was_answered(connection):
    add_dead(connection, at=AT)
    add_dead(connection, "cafe/shop", reason="unknown_type", at=AT)
    finish_chunks(connection)
    add_event(connection, at=AT)
    connection.execute(
        """
        INSERT INTO ops.webhook_chunk (run_id, entity_ids, from_id, to_id, first_received_at,
            last_received_at, event_count, error, planned_at)
        SELECT 1, array_agg(entity_id), 0, 0, now(), now(), 12, 'the disk is full', now()
        FROM config.business_entity
        """
    )
    connection.execute(
        """
        INSERT INTO ops.webhook_traffic (minute, source_id, status, request_count, event_count, byte_count)
        SELECT now() - interval '5 min', source_id, 202, 3, 4, 100 FROM config.webhook_source
        UNION ALL SELECT now() - interval '5 min', NULL, 401, 9, 0, 0
        UNION ALL SELECT now() - interval '2 days', NULL, 500, 9, 0, 0
        """
    )
    found = read("status")
    assert [(row["entity"], row["waiting"]) for row in found["waiting_events"]] == [("bakery", 1)]
    assert [(row["events"], row["error"]) for row in found["unfinished_chunks"]] == [(12, "the disk is full")]
    assert {(row["source"], row["reason"], row["dead"]) for row in found["dead_letters"]} == {
        ("shop", "bad_field", 1),
        ("shop", "unknown_type", 1),
    }
    assert {(row["entity"], row["answer"], row["requests"]) for row in found["recent_traffic"]} == {
        ("bakery", 202, 3),
        ("cafe", 202, 3),
        (None, 401, 9),
    }
    of_cafe = read("status", "--entity", "cafe")
    assert (of_cafe["waiting_events"], len(of_cafe["dead_letters"]), len(of_cafe["recent_traffic"])) == (
        [],
        1,
        1,
    )
    shown = run("status").stdout
    assert "the disk is full" in shown
    assert "2026-11-20 09:00" in shown
