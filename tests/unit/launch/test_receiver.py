"""The receiver of a launch: what it is told, what Airflow's tasks are not told, and where others find it."""

import json
import os
import socket
import urllib.error
import urllib.request

import pytest
from cryptography.fernet import Fernet

from steadfast.entities.sealing import read_sealing_keys
from steadfast.errors import ConfigError
from steadfast.launch.airflow_env import AirflowPlace, airflow_environment
from steadfast.launch.ports import choose_port
from steadfast.launch.processes import Children
from steadfast.launch.receiver import (
    announce_receiver,
    find_receiver,
    receiver_environment,
    start_receiver,
)
from steadfast.settings import Settings

URL = "postgresql://steadfast_receiver:x@127.0.0.1:1/steadfast"
SECRETS = [
    name + form
    for name in ("STEADFAST_RECEIVER_URL", "STEADFAST_RECEIVER_PASSWORD", "STEADFAST_SEALING_KEYS")
    for form in ("", "_FILE")
]


@pytest.fixture
def children(tmp_path):
    children = Children(tmp_path)
    yield children
    children.stop(10)


def test_it_gets_its_own_role_and_key_and_no_other_secret(tmp_path):
    inherited = {
        "STEADFAST_WAREHOUSE_URL": "postgresql://owner:secret@db/dwh",
        "STEADFAST_PIPELINE_PASSWORD": "p",
        "STEADFAST_RECEIVER_URL": "postgresql://somebody:else@db/dwh",
        "LANG": "C",
    }
    environment = receiver_environment(tmp_path, Settings(), URL, inherited)
    assert environment["STEADFAST_RECEIVER_URL"] == URL
    assert environment["LANG"] == "C"
    assert not {"STEADFAST_WAREHOUSE_URL", "STEADFAST_PIPELINE_PASSWORD"} & set(environment)


def test_another_terminal_seals_with_the_key_that_the_receiver_opens_with(tmp_path):
    environment = receiver_environment(tmp_path, Settings(), URL, {})
    assert environment["STEADFAST_SEALING_KEYS"] == read_sealing_keys("", tmp_path)


def test_keys_of_the_settings_win_and_are_not_written_down(tmp_path):
    keys = Fernet.generate_key().decode()
    environment = receiver_environment(tmp_path, Settings(sealing_keys=keys), URL, {})
    assert environment["STEADFAST_SEALING_KEYS"] == keys
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", SECRETS)
def test_airflow_s_tasks_get_neither(tmp_path, name):
    place = AirflowPlace(tmp_path, tmp_path, 8080, "postgresql://a:a@h/airflow", "postgresql://p:p@h/s")
    assert name not in airflow_environment(place, {}, {name: "x"})


def test_others_find_the_port_that_it_has(tmp_path):
    assert find_receiver(tmp_path) == "http://localhost:8081"
    assert announce_receiver(tmp_path, 8099) == find_receiver(tmp_path) == "http://localhost:8099"
    assert (tmp_path / "receiver.json").stat().st_mode & 0o777 == 0o600


def test_it_starts_listens_and_is_watched_like_every_other_part(children, tmp_path):
    environment = receiver_environment(tmp_path, Settings(), URL, os.environ)
    port = start_receiver(children, choose_port(), environment)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="503") as answer:
        opener.open(f"http://127.0.0.1:{port}/readyz", timeout=30)
    assert json.load(answer.value) == {"status": "not ready"}
    (child,) = children.running
    child.process.kill()
    child.process.wait(30)
    with pytest.raises(ConfigError, match=r"receiver ended with -9"):
        children.check_alive()


def test_a_receiver_that_cannot_start_is_an_error_with_its_last_words(children, tmp_path):
    environment = receiver_environment(tmp_path, Settings(), URL, os.environ)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="cannot listen on"):
            start_receiver(children, other.getsockname()[1], environment)
