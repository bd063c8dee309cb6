import json

import pytest

from steadfast.alerts.mail import Security
from steadfast.errors import ConfigError
from steadfast.orchestration.connections import ga4_client_config, mail_server, n8n_server, warehouse_url
from steadfast.warehouse.connect import connect

SECRET = "s3cr3t-private-key"


@pytest.fixture
def define(monkeypatch):
    """Define an Airflow Connection as the environment does."""

    def set_variable(connection_id: str, **fields) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(fields))

    return set_variable


def test_the_warehouse_connection_opens_the_warehouse(define, database):
    server, port = "127.0.0.1", database.server.port
    define(
        "steadfast_warehouse",
        conn_type="postgres",
        host=server,
        port=port,
        login="steadfast_pipeline",
        password=database.pipeline_password,
        schema=database.name,
        extra={"sslmode": "prefer"},
    )
    with connect(warehouse_url()) as connection:
        assert connection.info.dbname == database.name
        assert connection.info.user == "steadfast_pipeline"


def test_special_characters_of_a_password_survive(define):
    define(
        "steadfast_warehouse",
        conn_type="postgres",
        host="db",
        login="me",
        password="p@ss/w:rd%",
        schema="dwh",
    )
    assert warehouse_url() == "postgresql://me:p%40ss%2Fw%3Ard%25@db:5432/dwh"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conn_type": "mysql", "host": "db", "login": "me", "schema": "dwh"}, "type 'mysql'"),
        ({"conn_type": "postgres", "login": "me", "schema": "dwh"}, "lacks the field host"),
        ({"conn_type": "postgres", "host": "db", "login": "me"}, "lacks the field schema"),
    ],
)
def test_an_unusable_warehouse_connection_says_which_field_is_wrong(define, fields, words):
    define("steadfast_warehouse", **fields)
    with pytest.raises(ConfigError, match=f"Connection steadfast_warehouse .*{words}"):
        warehouse_url()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_key_may_be_an_object_or_its_text(define, as_text):
    key = {"client_email": "bot@example.com", "private_key": SECRET}
    define("ga4_shop", conn_type="generic", extra={"keyfile_dict": json.dumps(key) if as_text else key})
    config = ga4_client_config("ga4_shop")
    assert config.keyfile == key
    assert (config.endpoint, config.is_plaintext) == (None, False)


def test_a_key_may_be_a_file(define, tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"client_email": "bot@example.com"}', "utf-8")
    define("ga4_shop", conn_type="generic", extra={"keyfile": str(path)})
    assert ga4_client_config("ga4_shop").keyfile == {"client_email": "bot@example.com"}


def test_an_emulator_needs_no_key(define):
    define("ga4_shop", conn_type="generic", extra={"endpoint": "127.0.0.1:9000", "is_plaintext": True})
    config = ga4_client_config("ga4_shop")
    assert (config.keyfile, config.endpoint, config.is_plaintext) == (None, "127.0.0.1:9000", True)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (f'{{"keyfile_dict": "{SECRET}"', "extra of Connection ga4_shop is not JSON"),
        ({"keyfile_dict": f"{{{SECRET}"}, "keyfile_dict of Connection ga4_shop is not JSON"),
        ({"keyfile_dict": f'["{SECRET}"]'}, "keyfile_dict of Connection ga4_shop is a JSON list"),
        ({"keyfile": "/nowhere/key.json"}, "/nowhere/key.json of Connection ga4_shop cannot be read"),
        ({"is_plaintext": SECRET}, "is_plaintext of Connection ga4_shop must be true or false"),
        ({"endpoint": 7}, "endpoint of Connection ga4_shop must be a text"),
    ],
)
def test_a_malformed_key_is_named_and_never_shown(define, extra, words):
    define("ga4_shop", conn_type="generic", extra=extra)
    with pytest.raises(ConfigError, match=words) as raised:
        ga4_client_config("ga4_shop")
    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value.__cause__)


def test_a_connection_that_does_not_exist_is_named_with_both_ways_to_add_it(sink):
    with pytest.raises(ConfigError, match=r"no Connection ga4_nowhere.*AIRFLOW_CONN_GA4_NOWHERE"):
        ga4_client_config("ga4_nowhere")


@pytest.mark.parametrize(
    ("extra", "security", "port"),
    [
        ({}, Security.TLS, 465),
        ({"disable_ssl": True}, Security.STARTTLS, 587),
        ({"disable_ssl": "true", "disable_tls": "true"}, Security.NONE, 25),
    ],
)
def test_the_mail_server_is_encrypted_unless_switched_off(define, extra, security, port):
    define("steadfast_smtp", conn_type="smtp", host="mail", login="me", password=SECRET, extra=extra)
    server = mail_server()
    assert (server.host, server.port, server.security) == ("mail", port, security)
    assert SECRET not in repr(server)


def test_a_timeout_that_is_no_number_is_refused(define):
    define("steadfast_smtp", conn_type="smtp", host="mail", extra={"timeout": "soon"})
    with pytest.raises(ConfigError, match="timeout of Connection steadfast_smtp must be seconds"):
        mail_server()


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "n8n.example.com", "schema": "https"},
        {"host": "https://N8N.example.com/"},
        {"host": "n8n.example.com", "schema": "https", "port": 443},
    ],
)
def test_an_n8n_that_is_allowed_is_reached_with_its_key(define, monkeypatch, fields):
    monkeypatch.setenv("STEADFAST_N8N_URLS", "http://other:5678, https://n8n.example.com")
    define("n8n_shop", conn_type="http", password=SECRET, **fields)
    server = n8n_server("n8n_shop")
    assert (server.url, server.api_key) == ("https://n8n.example.com:443", SECRET)
    assert SECRET not in repr(server)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "evil.example.com", "schema": "https"},
        {"host": "n8n.example.com", "schema": "http"},
        {"host": "n8n.example.com", "schema": "https", "port": 8443},
        {"host": "https://n8n.example.com.evil.example.com"},
        {"host": "https://n8n.example.com/elsewhere"},
    ],
)
def test_an_n8n_that_nobody_allowed_gets_no_key(define, monkeypatch, fields):
    monkeypatch.setenv("STEADFAST_N8N_URLS", "https://n8n.example.com")
    define("n8n_shop", conn_type="http", password=SECRET, **fields)
    with pytest.raises(
        ConfigError, match=r"n8n_shop .*STEADFAST_N8N_URLS .*https://n8n\.example\.com"
    ) as raised:
        n8n_server("n8n_shop")
    assert SECRET not in str(raised.value)


def test_without_the_setting_no_n8n_is_asked(define):
    define("n8n_shop", conn_type="http", host="https://n8n.example.com", password=SECRET)
    with pytest.raises(ConfigError, match="it allows nothing"):
        n8n_server("n8n_shop")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conn_type": "generic", "host": "n8n", "password": SECRET}, "type 'generic'; http is needed"),
        ({"conn_type": "http", "password": SECRET}, "lacks the field host"),
        ({"conn_type": "http", "host": "n8n"}, "lacks the field password"),
        (
            {"conn_type": "http", "host": f"http://me:{SECRET}@n8n", "password": SECRET},
            "does not hold an address",
        ),
        ({"conn_type": "http", "host": "ftp://n8n", "password": SECRET}, "does not hold an address"),
    ],
)
def test_an_unusable_n8n_connection_says_what_is_wrong(define, fields, words):
    define("n8n_shop", **fields)
    with pytest.raises(ConfigError, match=f"n8n_shop .*{words}") as raised:
        n8n_server("n8n_shop")
    assert SECRET not in str(raised.value)
