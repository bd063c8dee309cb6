"""`steadfast sync status`: what the last runs did, and what is held or parked and why."""

import json

import pytest
from typer.testing import CliRunner

from steadfast.cli import app


@pytest.fixture
def connection(database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", database.owner_url)
    with database.connect() as connection:
        for slug, property_id in (("bakery", 7), ("cafe", 8)):
            run("entity", "add", slug, "--name", slug)
            connection.execute(
                """
                INSERT INTO config.ga4_property
                SELECT %s, entity_id, slug, 'steadfast_ga4', 'UTC', 'USD', true, now(), now()
                FROM config.business_entity WHERE slug = %s
                """,
                (property_id, slug),
            )
        yield connection


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def status(*arguments):
    return json.loads(run("sync", "status", "--json", *arguments).stdout)


def start_run(connection, name="scheduled__1"):
    query = """
        INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, partition_on, started_at)
        VALUES ('ga4_sync', %s, 'scheduled', '2026-11-19', now()) RETURNING run_id
    """
    return connection.execute(query, (name,)).fetchone()[0]


def add_item(connection, run_id, property_id, report, state, error=None):
    connection.execute(
        """
        INSERT INTO ops.sync_item (run_id, shard, entity_id, property_id, report, start_on, end_on,
            is_backfill, state, row_count, error, updated_at)
        SELECT %s, 0, entity_id, property_id, %s, '2026-11-16', '2026-11-19', false, %s, 10, %s, now()
        FROM config.ga4_property WHERE property_id = %s
        """,
        (run_id, report, state, error, property_id),
    )


def test_a_fresh_warehouse_has_nothing_to_report(connection):
    shown = run("sync", "status")
    assert shown.exit_code == 0
    assert "No sync has run yet." in shown.stdout
    assert "No property waits for its quota." in shown.stdout


def test_it_counts_the_items_of_a_run_by_state(connection):
    run_id = start_run(connection)
    add_item(connection, run_id, 7, "pages", "published")
    add_item(connection, run_id, 7, "geo", "failed", "GA4 answered with an error of its own")
    add_item(connection, run_id, 8, "pages", "landed")
    (last,) = status()["last_runs"]
    assert (last["published"], last["failed"], last["waiting"], last["row_count"]) == (1, 1, 1, 10)
    (of_cafe,) = status("--entity", "cafe")["last_runs"]
    assert (of_cafe["published"], of_cafe["failed"], of_cafe["waiting"]) == (0, 0, 1)


def test_the_many_runs_of_the_webhook_ingest_hide_no_sync(connection):
    start_run(connection)
    for number in range(9):
        connection.execute(
            "INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, started_at)"
            " VALUES ('webhook_ingest', %s, 'scheduled', now())",
            (f"scheduled__{number}",),
        )
    assert [last["dag_id"] for last in status()["last_runs"]] == ["ga4_sync"]


def test_it_says_why_an_item_failed_until_a_later_run_publishes_it(connection):
    add_item(connection, start_run(connection), 7, "geo", "failed", "the region is missing")
    assert "the region is missing" in run("sync", "status").stdout
    assert status("--entity", "cafe")["open_items"] == []
    add_item(connection, start_run(connection, "scheduled__2"), 7, "geo", "published")
    assert status()["open_items"] == []


def test_it_shows_what_is_held_parked_blocked_and_not_asked(connection):
    connection.execute(
        """
        INSERT INTO ops.partition_ledger (property_id, report, report_date, entity_id, run_id, fetched_at,
            held_at, held_reason)
        SELECT property_id, 'pages', '2026-11-19', entity_id, 1, now(), now(), 'collapsed to 2 %'
        FROM config.ga4_property
        """
    )
    connection.execute(
        "INSERT INTO ops.ga4_quota (property_id, observed_at, parked_until, parked_reason)"
        " VALUES (7, now(), now() + interval '1 hour', 'hourly tokens'),"
        " (8, now(), now() - interval '1 hour', 'over')"
    )
    connection.execute("INSERT INTO ops.report_block VALUES (8, 'items', 'itemName is refused', now())")
    connection.execute(
        "INSERT INTO ops.breaker (name, state, reason, updated_at) VALUES ('ga4:7', 'open', '403', now())"
    )
    found = status("--entity", "bakery")
    assert [row["held_reason"] for row in found["held_partitions"]] == ["collapsed to 2 %"]
    assert [row["parked_reason"] for row in found["parked_properties"]] == ["hourly tokens"]
    assert found["blocked_reports"] == []
    assert [row["name"] for row in found["open_breakers"]] == ["ga4:7"]
    assert [row["reason"] for row in status()["blocked_reports"]] == ["itemName is refused"]
    shown = run("sync", "status").stdout
    assert all(reason in shown for reason in ("collapsed to 2 %", "hourly tokens", "itemName is refused"))


def test_an_unknown_entity_is_refused(connection):
    refused = run("sync", "status", "--entity", "bakry")
    assert refused.exit_code == 1
    assert "did you mean bakery" in refused.stderr
