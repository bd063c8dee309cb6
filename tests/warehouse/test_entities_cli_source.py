"""`steadfast source …` as a person types it: the secret alone on stdout, once, and what to set in n8n."""

import base64
import json

import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from steadfast.cli import app
from steadfast.entities.sealing import Sealer


@pytest.fixture
def steadfast(database, monkeypatch, tmp_path):
    """Run a command line against the test's own warehouse, which has one entity."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", database.owner_url)
    monkeypatch.setenv("STEADFAST_WEBHOOK_URL", "https://hooks.example.org")

    def run(*arguments):
        return CliRunner().invoke(app, list(arguments))

    run("entity", "add", "bakery", "--name", "Bakery")
    return run


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        yield connection


def add(steadfast, slug="shop", *options):
    added = steadfast("source", "add", "bakery", slug, "--name", "Web shop", *options)
    assert added.exit_code == 0, added.output
    return added


def show(steadfast):
    return json.loads(steadfast("source", "show", "bakery", "shop", "--json").stdout)


def test_a_new_source_prints_its_secret_alone_so_that_a_script_can_take_it(steadfast, connection, tmp_path):
    added = add(steadfast)
    (secret,) = added.stdout.splitlines()
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) >= 32
    assert secret not in added.stderr
    assert "https://hooks.example.org/v1/in/bakery/shop" in added.stderr
    assert "n8n-nodes-base.httpRequest" in added.stderr
    (sealed,) = connection.execute("SELECT sealed_secret FROM config.webhook_key").fetchone()
    key = (tmp_path / "state" / "secrets" / "sealing_key").read_text("ascii")
    assert Sealer(key).unseal(sealed) == secret


def test_the_sealing_keys_of_the_settings_are_used(steadfast, connection, monkeypatch, tmp_path):
    key = Fernet.generate_key().decode()
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", key)
    secret = add(steadfast).stdout.strip()
    (sealed,) = connection.execute("SELECT sealed_secret FROM config.webhook_key").fetchone()
    assert Sealer(key).unseal(sealed) == secret
    assert not (tmp_path / "state").exists()


def test_a_sealing_key_that_is_none_adds_no_source(steadfast, connection, monkeypatch):
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", "abc")
    refused = steadfast("source", "add", "bakery", "shop", "--name", "Web shop")
    assert refused.exit_code == 1
    assert "Key number 1 of STEADFAST_SEALING_KEYS is not a Fernet key" in refused.stderr
    assert connection.execute("SELECT count(*) FROM config.webhook_source").fetchone() == (0,)


def test_everything_that_may_be_said_about_a_source_is_kept(steadfast):
    add(
        *(steadfast, "shop", "--time-zone", "Europe/Berlin", "--tolerance", "2d", "--max-bytes", "2048"),
        *("--rate", "10", "--burst", "300", "--dedup-days", "60", "--conflict-policy", "keep_first"),
        *("--strict", "--n8n-connection", "shop_n8n", "--n8n-node", "Orders out", "--n8n-workflow", "wf7"),
    )
    shown = show(steadfast)
    kept = shown["source"]
    assert (kept["time_zone"], kept["tolerance_seconds"], kept["max_bytes"]) == (
        "Europe/Berlin",
        172800,
        2048,
    )
    assert (kept["rate_per_second"], kept["burst"], kept["dedup_days"]) == (10, 300, 60)
    assert (kept["conflict_policy"], kept["is_strict"], kept["auth"]) == ("keep_first", True, "signature")
    assert (kept["n8n_connection_id"], kept["n8n_node"], kept["n8n_workflow_id"]) == (
        "shop_n8n",
        "Orders out",
        "wf7",
    )
    assert '"name": "Orders out"' in shown["n8n_settings"]


def test_sources_are_listed_shown_edited_and_disabled(steadfast):
    assert "steadfast source add" in steadfast("source", "list").stdout
    add(steadfast)
    edited = steadfast("source", "edit", "bakery", "shop", "--tolerance", "15m", "--no-strict", "--rate", "5")
    assert edited.exit_code == 0, edited.output
    assert steadfast("source", "disable", "bakery", "shop").exit_code == 0
    (listed,) = json.loads(steadfast("source", "list", "--entity", "bakery", "--json").stdout)
    assert (listed["entity"], listed["slug"], listed["is_enabled"]) == ("bakery", "shop", False)
    assert listed["url"] == "https://hooks.example.org/v1/in/bakery/shop"
    assert (listed["tolerance_seconds"], listed["rate_per_second"]) == (900, 5)
    assert steadfast("source", "enable", "bakery", "shop").exit_code == 0
    assert show(steadfast)["source"]["is_enabled"]
    assert "Web shop" in steadfast("source", "list").stdout


def test_a_person_is_shown_the_address_the_keys_and_the_nodes_but_no_secret(steadfast):
    secret = add(steadfast).stdout.strip()
    shown = steadfast("source", "show", "bakery", "shop")
    assert shown.exit_code == 0, shown.output
    assert "https://hooks.example.org/v1/in/bakery/shop" in shown.stdout
    assert "last used" in shown.stdout
    assert "n8n-nodes-base.crypto" in shown.stdout
    assert secret not in shown.output
    assert secret not in json.dumps(show(steadfast))


def test_a_rotation_prints_a_new_secret_and_a_revoked_key_ends(steadfast):
    first = add(steadfast).stdout.strip()
    rotated = steadfast("source", "rotate", "bakery", "shop", "--overlap", "12h")
    assert rotated.exit_code == 0, rotated.output
    (second,) = rotated.stdout.splitlines()
    assert second != first
    assert "Older keys of bakery/shop end by " in rotated.stderr
    older, newer = show(steadfast)["keys"]
    assert (older["state"], newer["state"], newer["not_after"]) == ("valid", "valid", None)
    assert older["not_after"] is not None
    assert steadfast("source", "revoke", "bakery", "shop", str(older["key_id"])).exit_code == 0
    assert [key["state"] for key in show(steadfast)["keys"]] == ["ended", "valid"]
    last = steadfast("source", "revoke", "bakery", "shop", str(newer["key_id"]))
    assert "No key is left: `steadfast source rotate bakery shop` issues one." in last.stdout


def test_secrets_are_sealed_with_a_new_key(steadfast, monkeypatch, connection):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", old)
    secret = add(steadfast).stdout.strip()
    add(steadfast, "till", "--auth", "token")
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", f"{new},{old}")
    assert "Sealed 1 secrets anew." in steadfast("source", "reseal").stdout
    assert "Every secret is sealed with the newest key." in steadfast("source", "reseal").stdout
    query = "SELECT sealed_secret FROM config.webhook_key WHERE sealed_secret IS NOT NULL"
    (sealed,) = connection.execute(query).fetchone()
    assert Sealer(new).unseal(sealed) == secret


def test_a_token_source_prints_a_token(steadfast):
    added = add(steadfast, "shop", "--auth", "token")
    assert added.stdout.startswith("whk_")
    assert "Header Auth" in added.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "bakery", "shop"),
        ("add", "bakery", "shop", "--name", "Shop", "--auth", "none"),
        ("add", "bakery", "shop", "--name", "Shop", "--tolerance", "a while"),
        ("add", "bakery", "shop", "--name", "Shop", "--rate", "fast"),
        ("add", "bakery", "shop", "--name", "Shop", "--conflict-policy", "merge"),
        ("edit", "bakery", "shop"),
        ("rotate", "bakery", "shop", "--overlap", "soon"),
        ("revoke", "bakery", "shop", "first"),
        ("show", "bakery"),
    ],
)
def test_a_wrong_question_is_exit_2(steadfast, arguments):
    assert steadfast("source", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("add", "bakry", "shop", "--name", "Shop"), "no entity 'bakry'; did you mean bakery"),
        (("add", "bakery", "Shop", "--name", "Shop"), "Slug 'Shop' is not valid"),
        (("add", "bakery", "till", "--name", "Till", "--rate", "0"), "Rate 0 is not valid: 1 to 10000"),
        (("add", "bakery", "shop", "--name", "Shop"), "has a source shop already"),
        (("edit", "bakery", "shop", "--burst", "1"), "Burst 1 is not valid: 2000 to"),
        (("rotate", "bakery", "shop", "--overlap", "31d"), "is not valid: 0 to 30 days"),
        (("revoke", "bakery", "shop", "0"), "has no key 0"),
        (("show", "bakery", "shp"), "no source 'shp'; did you mean shop"),
    ],
)
def test_a_refusal_is_one_line_on_stderr_and_exit_1(steadfast, arguments, complaint):
    add(steadfast)
    refused = steadfast("source", *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert complaint in line
