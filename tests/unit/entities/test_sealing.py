"""Secrets at rest: what opens them, what does not, and where the key comes from."""

import stat

import pytest
from cryptography.fernet import Fernet

from steadfast.entities.sealing import Sealer, find_sealing_keys, keep_sealing_key, read_sealing_keys
from steadfast.errors import ConfigError

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def test_what_it_seals_it_opens_and_nobody_reads():
    sealed = Sealer(OLD).seal("whsec_abc")
    assert b"whsec_abc" not in sealed
    assert Sealer(OLD).unseal(sealed) == "whsec_abc"


def test_an_older_key_still_opens_and_the_newest_seals():
    sealed = Sealer(OLD).seal("whsec_abc")
    both = Sealer(f" {NEW} ,{OLD}, ")
    assert both.unseal(sealed) == "whsec_abc"
    assert not both.is_sealed_with_newest(sealed)
    assert Sealer(NEW).unseal(both.seal("whsec_abc")) == "whsec_abc"


def test_what_no_key_opens_names_the_source_and_the_setting():
    sealed = Sealer(OLD).seal("whsec_abc")
    with pytest.raises(ConfigError, match="STEADFAST_SEALING_KEYS opens the secret of bakery/shop"):
        Sealer(f"{NEW},{OTHER}").unseal(sealed, "bakery/shop")


def test_what_is_no_key_is_named_by_its_number_and_never_shown():
    with pytest.raises(ConfigError, match="Key number 2 of STEADFAST_SEALING_KEYS") as refused:
        Sealer(f"{NEW},not-a-key")
    assert "not-a-key" not in str(refused.value)
    assert NEW not in str(refused.value)


def test_no_key_at_all_is_refused():
    with pytest.raises(ConfigError, match="set STEADFAST_SEALING_KEYS"):
        Sealer(" , ")


def test_the_first_call_makes_a_key_for_its_owner_only_and_the_next_gives_the_same(tmp_path):
    directory = tmp_path / "secrets"
    first = keep_sealing_key(directory)
    assert keep_sealing_key(directory) == first
    assert [path.name for path in directory.iterdir()] == ["sealing_key"]
    assert stat.S_IMODE((directory / "sealing_key").stat().st_mode) == 0o600
    assert Sealer(first).unseal(Sealer(first).seal("x")) == "x"


def test_the_setting_comes_before_the_state_directory(tmp_path):
    assert read_sealing_keys(NEW, tmp_path) == NEW
    assert find_sealing_keys("", tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    made = read_sealing_keys("", tmp_path)
    assert find_sealing_keys("", tmp_path) == made
    assert find_sealing_keys(NEW, tmp_path) == NEW
