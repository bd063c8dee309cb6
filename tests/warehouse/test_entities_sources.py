"""Webhook sources and their keys: every change is audited, and no secret is ever in the trail."""

import base64
import hashlib
import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from cryptography.fernet import Fernet

from steadfast.entities.businesses import add_entity
from steadfast.entities.properties import add_property
from steadfast.entities.sealing import Sealer
from steadfast.entities.webhook_keys import (
    check_secrets,
    issue_key,
    list_keys,
    reseal_keys,
    revoke_key,
    rotate_key,
)
from steadfast.entities.webhook_sources import (
    add_source,
    disable_source,
    edit_source,
    enable_source,
    list_sources,
    show_source,
)
from steadfast.errors import ConfigError

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BY_ANN = {"actor": "cli:ann", "now": NOW}
OLD_KEY, NEW_KEY = (Fernet.generate_key().decode() for _ in range(2))
WITH_N8N = {"n8n_connection_id": "shop_n8n", "n8n_node": "Send"}


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        add_entity(connection, "bakery", name="Bakery", **BY_ANN)
        yield connection


@pytest.fixture
def sealer():
    return Sealer(OLD_KEY)


@pytest.fixture
def shop(connection):
    return add_source(connection, "bakery", "shop", name="Web shop", **BY_ANN)


def by_bob(days=0):
    return {"actor": "cli:bob", "now": NOW + days * DAY}


def trail(connection):
    query = """
        SELECT action, object_kind, object_id, before, after FROM ops.audit_event
        WHERE object_kind LIKE 'webhook%' ORDER BY event_id
    """
    return connection.execute(query).fetchall()


def actions(connection):
    return [row[:3] for row in trail(connection)]


def stored_key(connection, key_id):
    query = (
        "SELECT sealed_secret, token_hash, not_before, not_after FROM config.webhook_key WHERE key_id = %s"
    )
    return connection.execute(query, (key_id,)).fetchone()


def windows(connection):
    return [key.not_after and key.not_after - NOW for key in list_keys(connection, "bakery", "shop")]


def test_a_new_source_can_be_shown_and_has_the_defaults(connection, shop):
    assert show_source(connection, "bakery", "shop") == shop
    assert (shop.auth, shop.tolerance_seconds, shop.rate_per_second, shop.burst) == (
        "signature",
        300,
        100,
        2000,
    )
    assert (shop.dedup_days, shop.conflict_policy, shop.is_strict, shop.is_enabled) == (
        30,
        "reject",
        False,
        True,
    )
    assert (shop.time_zone, shop.n8n_connection_id) == ("UTC", None)


def test_its_zone_is_that_of_the_first_property_of_the_entity(connection):
    for number, (zone, days) in enumerate([("Asia/Tokyo", 1), ("America/New_York", 0)], 1):
        place = {"connection_id": "ga4", "currency": "USD", "time_zone": zone}
        add_property(connection, "bakery", number, **place, **by_bob(days))
    assert add_source(connection, "bakery", "shop", name="Shop", **BY_ANN).time_zone == "America/New_York"
    own = add_source(connection, "bakery", "till", name="Till", time_zone="Europe/London", **BY_ANN)
    assert own.time_zone == "Europe/London"


@pytest.fixture
def zone_of_python_only(tmp_path):
    """A zone in Python's database that the server has never heard of."""
    (tmp_path / "Moon").mkdir()
    (tmp_path / "Moon" / "Base").write_bytes(files("tzdata.zoneinfo.Europe").joinpath("Berlin").read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path, *before])
    yield "Moon/Base"
    zoneinfo.reset_tzpath(before)


def test_a_zone_that_only_python_knows_is_refused(connection, shop, zone_of_python_only):
    with pytest.raises(ConfigError, match="Time zone 'Moon/Base' is unknown to PostgreSQL"):
        edit_source(connection, "bakery", "shop", time_zone=zone_of_python_only, **BY_ANN)


def test_a_source_with_an_n8n_tolerates_the_whole_dedup_window(connection):
    added = add_source(connection, "bakery", "shop", name="Shop", dedup_days=7, **WITH_N8N, **BY_ANN)
    assert added.tolerance_seconds == 7 * 86400
    assert (added.n8n_connection_id, added.n8n_node) == ("shop_n8n", "Send")
    longer = edit_source(connection, "bakery", "shop", dedup_days=60, **BY_ANN)
    assert longer.tolerance_seconds == 60 * 86400
    without = edit_source(connection, "bakery", "shop", n8n_connection_id="", **BY_ANN)
    assert (without.n8n_connection_id, without.n8n_node, without.n8n_workflow_id) == (None, None, None)


def test_a_slug_is_given_once_an_entity_and_the_message_names_its_owner(connection, shop):
    with pytest.raises(ConfigError, match="bakery has a source shop already; it is 'Web shop'"):
        add_source(connection, "bakery", "shop", name="Another", **BY_ANN)
    add_entity(connection, "cafe", name="Café", **BY_ANN)
    add_source(connection, "cafe", "shop", name="Café's shop", **BY_ANN)
    assert [source.name for source in list_sources(connection)] == ["Web shop", "Café's shop"]
    assert [source.name for source in list_sources(connection, "cafe")] == ["Café's shop"]


def test_an_unknown_source_is_answered_with_close_matches(connection, shop):
    with pytest.raises(ConfigError, match="bakery has no source 'shp'; did you mean shop"):
        show_source(connection, "bakery", "shp")
    with pytest.raises(ConfigError, match="no entity 'bakry'; did you mean bakery"):
        show_source(connection, "bakry", "shop")


@pytest.mark.parametrize("wrong", [{"rate_per_second": 200}, {"burst": 10}, {"tolerance_seconds": 10**7}])
def test_a_change_beyond_the_bounds_is_refused_and_changes_nothing(connection, shop, wrong):
    with pytest.raises(ConfigError, match="is not valid"):
        edit_source(connection, "bakery", "shop", **wrong, **BY_ANN)
    assert show_source(connection, "bakery", "shop") == shop
    assert len(trail(connection)) == 1


def test_every_change_of_a_source_leaves_who_what_before_and_after(connection, shop):
    edit_source(connection, "bakery", "shop", name="Shop", rate_per_second=50, is_strict=True, **by_bob(1))
    edit_source(connection, "bakery", "shop", name="Shop", **by_bob(2))
    disable_source(connection, "bakery", "shop", **by_bob(3))
    disable_source(connection, "bakery", "shop", **by_bob(4))
    enable_source(connection, "bakery", "shop", **by_bob(5))
    assert actions(connection) == [
        (action, "webhook_source", "bakery/shop") for action in ("add", "edit", "disable", "enable")
    ]
    _, edited, disabled, _ = trail(connection)
    assert (edited[3]["name"], edited[4]["name"]) == ("Web shop", "Shop")
    assert (edited[4]["rate_per_second"], edited[4]["is_strict"]) == (50, True)
    assert (disabled[3]["is_enabled"], disabled[4]["is_enabled"]) == (True, False)
    assert show_source(connection, "bakery", "shop").updated_at == NOW + 5 * DAY


def test_a_signing_secret_is_kept_sealed_and_is_text_that_any_tool_can_take(connection, shop, sealer):
    issued = issue_key(connection, shop, sealer, **BY_ANN)
    sealed, token_hash, not_before, not_after = stored_key(connection, issued.key.key_id)
    assert sealer.unseal(sealed) == issued.secret
    assert (token_hash, not_before, not_after) == (None, NOW, None)
    key = base64.b64decode(issued.secret.removeprefix("whsec_"), validate=True)
    assert 32 <= len(key) <= 64
    assert key.decode("ascii").isprintable()


def test_of_a_token_only_the_hash_is_kept(connection, sealer):
    source = add_source(connection, "bakery", "till", name="Till", auth="token", **BY_ANN)
    issued = issue_key(connection, source, sealer, **BY_ANN)
    sealed, token_hash, *_ = stored_key(connection, issued.key.key_id)
    assert sealed is None
    assert token_hash == hashlib.sha256(issued.secret.encode()).digest()
    assert len(issued.secret.removeprefix("whk_")) >= 43


def test_no_secret_is_in_the_trail_or_in_what_a_log_would_show(connection, shop, sealer):
    issued = issue_key(connection, shop, sealer, **BY_ANN)
    (key,) = [row for row in trail(connection) if row[1] == "webhook_key"]
    assert set(key[4]) == {"key_id", "source_id", "entity_id", "not_before", "not_after", "created_at"}
    assert issued.secret not in json.dumps(trail(connection))
    assert issued.secret not in repr(issued)


def test_a_rotation_lets_the_older_keys_live_a_day_more_but_none_longer_than_it_had(connection, shop, sealer):
    issue_key(connection, shop, sealer, **BY_ANN)
    rotate_key(connection, "bakery", "shop", sealer, overlap=timedelta(hours=6), **by_bob())
    rotate_key(connection, "bakery", "shop", sealer, **by_bob())
    assert windows(connection) == [timedelta(hours=6), DAY, None]
    assert [action for action, kind, _ in actions(connection) if kind == "webhook_key"] == [
        "issue",
        "expire",
        "issue",
        "expire",
        "issue",
    ]


def test_a_rotation_without_overlap_ends_the_older_keys_at_once(connection, shop, sealer):
    first = issue_key(connection, shop, sealer, **BY_ANN)
    rotate_key(connection, "bakery", "shop", sealer, overlap=timedelta(), **by_bob(1))
    assert windows(connection) == [DAY, None]
    assert stored_key(connection, first.key.key_id)[3] == NOW + DAY


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
def test_an_overlap_beyond_a_month_is_refused(connection, shop, sealer, overlap):
    with pytest.raises(ConfigError, match="is not valid: 0 to 30 days"):
        rotate_key(connection, "bakery", "shop", sealer, overlap=overlap, **BY_ANN)


def test_ten_valid_keys_are_the_most_and_ended_ones_do_not_count(connection, shop, sealer):
    for _ in range(10):
        rotate_key(connection, "bakery", "shop", sealer, **BY_ANN)
    with pytest.raises(ConfigError, match="shop has 10 valid keys, and 10 are the most"):
        rotate_key(connection, "bakery", "shop", sealer, **BY_ANN)
    assert windows(connection).count(None) == 1
    rotate_key(connection, "bakery", "shop", sealer, **by_bob(1))
    rotate_key(connection, "bakery", "shop", sealer, overlap=timedelta(), **by_bob(1))
    assert len(windows(connection)) == 12


def test_a_revoked_key_ends_at_once_and_only_once(connection, shop, sealer):
    issued = issue_key(connection, shop, sealer, **BY_ANN)
    revoked = revoke_key(connection, "bakery", "shop", issued.key.key_id, **by_bob(1))
    assert revoked.not_after == NOW + DAY
    assert revoke_key(connection, "bakery", "shop", issued.key.key_id, **by_bob(2)) == revoked
    assert [action for action, *_ in actions(connection)] == ["add", "issue", "revoke"]


def test_a_key_from_a_clock_that_is_ahead_can_be_revoked_too(connection, shop, sealer):
    ahead = issue_key(connection, shop, sealer, **by_bob(1)).key
    revoked = revoke_key(connection, "bakery", "shop", ahead.key_id, **BY_ANN)
    assert revoked.not_after == ahead.not_before + timedelta(microseconds=1)


def test_a_key_of_another_source_cannot_be_revoked_by_mistake(connection, shop, sealer):
    till = add_source(connection, "bakery", "till", name="Till", **BY_ANN)
    other, own = (issue_key(connection, source, sealer, **BY_ANN).key.key_id for source in (till, shop))
    with pytest.raises(ConfigError, match=f"bakery/shop has no key {other}; it has {own}"):
        revoke_key(connection, "bakery", "shop", other, **BY_ANN)
    assert stored_key(connection, other)[3] is None


def test_it_shows_when_each_key_was_last_used(connection, shop, sealer):
    used, unused = (issue_key(connection, shop, sealer, **BY_ANN).key for _ in range(2))
    for minutes in (1, 5, 3):
        connection.execute(
            "INSERT INTO ops.webhook_traffic VALUES (%s, %s, %s, 202, 1, 1, 1)",
            (NOW + timedelta(minutes=minutes), shop.source_id, used.key_id),
        )
    found = {key.key_id: key.last_used_at for key in list_keys(connection, "bakery", "shop")}
    assert found == {used.key_id: NOW + timedelta(minutes=5), unused.key_id: None}


def test_every_secret_can_be_sealed_anew_so_that_the_old_key_can_go(connection, shop, sealer):
    issued = issue_key(connection, shop, sealer, **BY_ANN)
    ended = issue_key(connection, shop, sealer, **BY_ANN)
    revoke_key(connection, "bakery", "shop", ended.key.key_id, **by_bob())
    both = Sealer(f"{NEW_KEY},{OLD_KEY}")
    assert reseal_keys(connection, both, **by_bob(1)) == 1
    assert reseal_keys(connection, both, **by_bob(1)) == 0
    assert Sealer(NEW_KEY).unseal(stored_key(connection, issued.key.key_id)[0]) == issued.secret
    assert check_secrets(connection, NEW_KEY, NOW + DAY) == 1
    assert actions(connection)[-1] == ("reseal", "webhook_key", str(issued.key.key_id))


def test_a_secret_that_stays_shut_stops_the_resealing_and_names_its_source(connection, shop, sealer):
    issue_key(connection, shop, Sealer(NEW_KEY), **BY_ANN)
    lost = issue_key(connection, shop, Sealer(Fernet.generate_key().decode()), **BY_ANN)
    both = Sealer(f"{OLD_KEY},{NEW_KEY}")
    with pytest.raises(ConfigError, match="STEADFAST_SEALING_KEYS opens the secret of bakery/shop"):
        reseal_keys(connection, both, **BY_ANN)
    assert "reseal" not in [action for action, *_ in actions(connection)]
    revoke_key(connection, "bakery", "shop", lost.key.key_id, **by_bob(1))
    assert reseal_keys(connection, both, **by_bob(1)) == 1


def test_an_undone_rotation_takes_its_key_and_its_trail_with_it(connection, shop, sealer):
    with connection.transaction(force_rollback=True):
        rotate_key(connection, "bakery", "shop", sealer, **BY_ANN)
    assert windows(connection) == []
    assert len(trail(connection)) == 1
