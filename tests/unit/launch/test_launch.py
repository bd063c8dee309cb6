"""What a launch decides before it starts anything: ports, lock, Airflow's environment; and its children."""

import json
import os
import socket
import sys

import pytest

from steadfast.errors import ConfigError
from steadfast.launch.airflow_env import (
    AirflowPlace,
    airflow_environment,
    describe_postgres,
    keep_environment,
    read_environment,
)
from steadfast.launch.databases import change_url
from steadfast.launch.lock import hold_launch_lock
from steadfast.launch.ports import choose_port, is_free
from steadfast.launch.processes import Children, session_members

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(99)"
)
HAS_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"


@pytest.fixture
def place(tmp_path) -> AirflowPlace:
    return AirflowPlace(
        home=tmp_path / "checkout",
        state=tmp_path,
        port=8123,
        database_url="postgresql://airflow:a@127.0.0.1:5433/airflow",
        warehouse_url="postgresql://steadfast_pipeline:p%40ss@127.0.0.1:5433/steadfast",
    )


@pytest.fixture
def children(tmp_path):
    children = Children(tmp_path)
    yield children
    children.stop(0)


def test_it_takes_the_wanted_port_if_nobody_listens_there():
    wanted = choose_port()
    assert choose_port(wanted) == wanted


def test_it_takes_another_port_if_the_wanted_one_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert not is_free(taken)
        assert choose_port(taken) != taken


def test_a_second_launcher_is_told_who_runs_and_where(tmp_path):
    with hold_launch_lock(tmp_path) as lock:
        lock.announce(url="http://localhost:8123")
        with (
            pytest.raises(ConfigError, match=f"process {os.getpid()}, at http://localhost:8123"),
            hold_launch_lock(tmp_path),
        ):
            pass


def test_the_lock_is_free_again_after_the_launcher(tmp_path):
    for _ in range(2):
        with hold_launch_lock(tmp_path):
            pass


def test_airflow_gets_the_warehouse_as_a_connection_of_the_pipeline_s_role(place):
    environment = airflow_environment(place, {}, {})
    connection = json.loads(environment["AIRFLOW_CONN_STEADFAST_WAREHOUSE"])
    assert connection["login"] == "steadfast_pipeline"
    assert connection["password"] == "p@ss"
    assert connection["port"] == 5433


def test_how_the_warehouse_is_to_be_reached_is_passed_on_to_airflow():
    connection = describe_postgres("postgresql://me:p@db/dwh?sslmode=verify-full&sslrootcert=/etc/a+b.pem")
    assert connection["extra"] == {"sslmode": "verify-full", "sslrootcert": "/etc/a+b.pem"}


@pytest.mark.parametrize("form", ["", "_FILE"])
@pytest.mark.parametrize("name", ["STEADFAST_WAREHOUSE_URL", "STEADFAST_PIPELINE_PASSWORD"])
def test_airflow_never_gets_the_launcher_s_own_secrets(place, name, form):
    assert name + form not in airflow_environment(place, {}, {name + form: "x"})


def test_what_the_user_set_for_airflow_wins(place):
    chosen = {"AIRFLOW__CORE__PARALLELISM": "9", "AIRFLOW__API__PORT": "9999"}
    assert airflow_environment(place, {}, chosen).items() >= chosen.items()


def test_secrets_stay_the_same_at_the_next_start(place):
    first, second = (airflow_environment(place, {}, {}) for _ in range(2))
    assert first == second
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) == 64


def test_the_kept_environment_is_private_and_holds_only_what_differs(place):
    environment = airflow_environment(place, {}, {"LANG": "C"})
    keep_environment(place.state, environment, {"LANG": "C"})
    kept = read_environment(place.state)
    assert "LANG" not in kept
    assert kept["AIRFLOW_HOME"] == str(place.state / "airflow")
    assert (place.state / "secrets" / "airflow_environment.json").stat().st_mode & 0o777 == 0o600


def test_a_second_terminal_finds_the_connections_that_the_first_one_exported(place):
    exported = {"AIRFLOW_CONN_STEADFAST_GA4": '{"conn_type": "generic"}', "LANG": "C"}
    keep_environment(place.state, airflow_environment(place, {}, exported), exported)
    kept = read_environment(place.state)
    assert kept["AIRFLOW_CONN_STEADFAST_GA4"] == exported["AIRFLOW_CONN_STEADFAST_GA4"]
    assert "LANG" not in kept


def test_another_user_s_url_quotes_what_must_be_quoted():
    url = change_url("postgresql://owner:x@db:5433/steadfast?sslmode=require", "reader", "a/b@c", "other")
    assert url == "postgresql://reader:a%2Fb%40c@db:5433/other?sslmode=require"


def test_stopping_ends_a_child_that_does_not_want_to_and_its_own_children(children, tmp_path):
    child = children.start("stubborn", [sys.executable, "-c", HAS_A_CHILD], os.environ)
    log = tmp_path / "stubborn.log"
    while not log.read_text().strip():
        assert child.process.poll() is None
    children.stop(0.5)
    assert session_members({child.process.pid}) == []


def test_a_child_that_ended_is_reported_with_its_last_words(children):
    child = children.start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], os.environ)
    child.process.wait(30)
    with pytest.raises(ConfigError, match=r"(?s)broken ended with 1.*no such thing"):
        children.check_alive()


def test_a_child_says_where_it_is_in_one_json_line(children):
    command = [sys.executable, "-c", "import time; print('{\"port\": 7}', flush=True); time.sleep(99)"]
    assert children.start_announcing("ready", command, os.environ) == {"port": 7}


def test_a_child_that_says_nothing_is_an_error_with_its_log(children):
    with pytest.raises(ConfigError, match="silent"):
        children.start_announcing("silent", [sys.executable, "-c", "pass"], os.environ)
