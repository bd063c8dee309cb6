"""The commands for entities, properties and settings, as a person types them."""

import getpass
import json

import pytest
from typer.testing import CliRunner

from steadfast.cli import app


@pytest.fixture
def steadfast(database, monkeypatch, tmp_path):
    """Run a command line against the test's own warehouse."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", database.owner_url)

    def run(*arguments):
        return CliRunner().invoke(app, list(arguments))

    return run


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        yield connection


def add_property(connection, property_id=7, slug="bakery"):
    connection.execute(
        """
        INSERT INTO config.ga4_property
        SELECT %s, entity_id, 'Shop', 'steadfast_ga4', 'America/New_York', 'USD', true, now(), now()
        FROM config.business_entity WHERE slug = %s
        """,
        (property_id, slug),
    )


def test_an_entity_is_added_and_listed(steadfast):
    added = steadfast("entity", "add", "bakery", "--name", "Main Street Bakery", "--country", "us")
    assert added.exit_code == 0
    assert "steadfast property add PROPERTY_ID --entity bakery" in added.stdout
    listed = steadfast("entity", "list")
    assert "bakery" in listed.stdout
    assert "Main Street Bakery" in listed.stdout


def test_json_is_all_that_a_program_gets(steadfast):
    added = json.loads(steadfast("entity", "add", "bakery", "--name", "Bäckerei", "--json").stdout)
    assert (added["slug"], added["name"], added["is_enabled"]) == ("bakery", "Bäckerei", True)
    assert json.loads(steadfast("entity", "list", "--json").stdout) == [added]
    shown = json.loads(steadfast("entity", "show", "bakery", "--json").stdout)
    assert shown["entity"] == added
    assert shown["setting"]["reports"] is None
    assert (shown["properties"], shown["logins"]) == ([], [])


def test_an_empty_list_says_what_to_do(steadfast):
    assert "steadfast entity add" in steadfast("entity", "list").stdout
    assert "steadfast property add" in steadfast("property", "list").stdout
    assert json.loads(steadfast("entity", "list", "--json").stdout) == []


def test_a_refusal_is_one_line_on_stderr_and_exit_1(steadfast):
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    refused = steadfast("entity", "show", "bakry")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        "There is no entity 'bakry'; did you mean bakery? `steadfast entity list` shows them."
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("entity", "add"),
        ("entity", "bake"),
        ("entity", "edit", "bakery"),
        ("property", "show", "G-ABC123"),
        ("property", "edit", "7"),
        ("setting", "edit", "bakery"),
        ("setting", "edit", "bakery", "--backfill-start", "yesterday"),
        ("setting", "edit", "bakery", "--reports", " , "),
    ],
)
def test_a_wrong_question_is_exit_2(steadfast, arguments):
    assert steadfast(*arguments).exit_code == 2


def test_the_person_who_typed_it_is_in_the_audit_trail(steadfast, connection):
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    steadfast("entity", "edit", "bakery", "--name", "The Bakery", "--country", "DE")
    steadfast("entity", "disable", "bakery")
    steadfast("entity", "enable", "bakery")
    trail = connection.execute("SELECT actor, action FROM ops.audit_event ORDER BY event_id").fetchall()
    assert trail == [(f"cli:{getpass.getuser()}", done) for done in ("add", "edit", "disable", "enable")]


def test_names_are_printed_as_they_are(steadfast):
    steadfast("entity", "add", "bakery", "--name", "[red]Bread[/red] & Co")
    assert "[red]Bread[/red] & Co" in steadfast("entity", "list").stdout


def test_properties_are_listed_shown_edited_and_disabled(steadfast, connection):
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    add_property(connection)
    assert steadfast("property", "edit", "properties/7", "--name", "Web shop").exit_code == 0
    assert steadfast("property", "disable", "7").exit_code == 0
    listed = json.loads(steadfast("property", "list", "--entity", "bakery", "--json").stdout)
    assert [(p["entity"], p["display_name"], p["is_enabled"]) for p in listed] == [
        ("bakery", "Web shop", False)
    ]
    steadfast("property", "enable", "7")
    assert json.loads(steadfast("property", "show", "7", "--json").stdout)["is_enabled"]
    assert "America/New_York" in steadfast("property", "list").stdout
    assert "America/New_York" in steadfast("property", "show", "7").stdout


def test_settings_are_edited_and_shown(steadfast):
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    edited = steadfast(
        *("setting", "edit", "bakery", "--disabled", "--reports", "pages, geo", "--window-days", "7"),
        *("--token-budget", "100", "--backfill-start", "2026-01-31"),
    )
    assert edited.exit_code == 0
    shown = json.loads(steadfast("setting", "show", "bakery", "--json").stdout)
    assert (shown["is_enabled"], shown["reports"]) == (False, ["pages", "geo"])
    assert (shown["window_days"], shown["token_budget"]) == (7, 100)
    assert shown["backfill_start_on"] == "2026-01-31"
    assert "(the defaults)" in steadfast("setting", "edit", "bakery", "--reports", "default").stdout


def test_an_unknown_report_is_answered_with_the_valid_ones(steadfast):
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    refused = steadfast("setting", "edit", "bakery", "--reports", "page")
    assert refused.exit_code == 1
    assert "did you mean pages" in refused.stderr
    assert "monthly_users" in refused.stderr


def test_a_grant_prints_the_password_alone_so_that_a_script_can_take_it(steadfast, database, connection):
    role = f"cli_{database.name}"
    steadfast("entity", "add", "bakery", "--name", "Bakery")
    granted = steadfast("entity", "grant", "bakery", role)
    assert granted.exit_code == 0
    (password,) = granted.stdout.splitlines()
    assert password not in granted.stderr
    with database.connect() as owner:
        found = owner.execute("SELECT role_name FROM config.entity_login").fetchall()
    assert found == [(role,)]
    assert role in steadfast("entity", "show", "bakery").stdout
    assert steadfast("entity", "revoke", role).exit_code == 0
    assert connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None


def test_without_a_warehouse_it_says_how_to_start_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADFAST_WAREHOUSE_URL", raising=False)
    refused = CliRunner().invoke(app, ["entity", "list"])
    assert refused.exit_code == 1
    assert "make demo" in refused.stderr
    assert "STEADFAST_WAREHOUSE_URL" in refused.stderr


def test_an_embedded_warehouse_is_found_by_its_state_directory(postgres_server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADFAST_WAREHOUSE_URL", raising=False)
    monkeypatch.setenv("STEADFAST_STATE", str(tmp_path))
    (tmp_path / "postgres.port").write_text(str(postgres_server.port))
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "steadfast_owner").write_text("not-the-password")
    refused = CliRunner().invoke(app, ["entity", "list"])
    assert refused.exit_code == 1
    assert f"refuses steadfast_owner at 127.0.0.1:{postgres_server.port}" in refused.stderr
    assert "not-the-password" not in refused.stderr


def test_a_stopped_embedded_warehouse_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADFAST_WAREHOUSE_URL", raising=False)
    monkeypatch.setenv("STEADFAST_STATE", str(tmp_path))
    (tmp_path / "postgres.port").write_text("1")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "steadfast_owner").write_text("x")
    refused = CliRunner().invoke(app, ["entity", "list"])
    assert refused.exit_code == 1
    assert "does not run" in refused.stderr


def test_an_empty_warehouse_is_answered_with_migrate(empty_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", empty_database.owner_url)
    refused = CliRunner().invoke(app, ["entity", "list"])
    assert refused.exit_code == 1
    assert "steadfast migrate" in refused.stderr


def test_migrate_fills_an_empty_warehouse_and_then_has_nothing_to_do(empty_database, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", empty_database.owner_url)
    monkeypatch.setenv("STEADFAST_PIPELINE_PASSWORD", empty_database.pipeline_password)
    first, second = (CliRunner().invoke(app, ["migrate"]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "facts.fact_daily_totals" in first.stdout
    assert "Nothing to do" in second.stdout
    assert CliRunner().invoke(app, ["entity", "list"]).exit_code == 0
