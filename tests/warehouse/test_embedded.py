"""The embedded server: starts, stops, survives, and refuses with a reason."""

import multiprocessing
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from steadfast.errors import ConfigError
from steadfast.warehouse.embedded import LONGEST_SOCKET_DIRECTORY, start_server
from steadfast.warehouse.embedded_binaries import find_binaries

STARTER = """
import sys
from pathlib import Path
from steadfast.warehouse.embedded import start_server
server = start_server(Path(sys.argv[1]), durable=False)
print(server.process.pid, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def state():
    directory = Path(tempfile.mkdtemp(prefix="steadfast-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def ask(server, query, *values):
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchone()[0] if cursor.description else None


def test_it_keeps_its_data_and_its_port_over_a_restart(state):
    with start_server(state, durable=False) as server:
        first_port = server.port
        ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    with start_server(state, durable=False) as server:
        assert server.port == first_port
        assert ask(server, "SELECT answer FROM kept") == 42


def test_it_is_durable_and_strict_unless_told_otherwise(state):
    with start_server(state) as server:
        settings = ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"]
        assert [ask(server, "SELECT current_setting(%s)", name) for name in settings] == ["on"] * 4
        assert ask(server, "SELECT current_setting('listen_addresses')") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.dsn("postgres", "wrong", "postgres"))


def test_it_answers_on_a_socket_too(state):
    with (
        start_server(state, durable=False) as server,
        psycopg.connect(
            host=str(server.socket_directory),
            port=server.port,
            user="postgres",
            password=server.cluster.password,
        ) as connection,
    ):
        assert connection.execute("SELECT inet_server_addr()").fetchone() == (None,)


def test_it_has_the_tools_of_its_own_version(state):
    with start_server(state, durable=False) as server:
        version = subprocess.run(
            [str(server.binaries / "pg_dump"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        assert ask(server, "SELECT split_part(version(), ' ', 2)") in version


def test_its_password_is_for_its_owner_only(state):
    with start_server(state, durable=False):
        assert (state / "secrets" / "postgres").stat().st_mode & 0o777 == 0o600
        assert (state / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_second_start_is_refused_and_names_the_first(state):
    with start_server(state, durable=False) as server:
        with pytest.raises(ConfigError) as refusal:
            start_server(state, durable=False)
        assert str(server.process.pid) in str(refusal.value)
        assert str(os.getpid()) in str(refusal.value)
        assert ask(server, "SELECT 1") == 1


def test_stopping_twice_does_no_harm(state):
    server = start_server(state, durable=False)
    server.stop()
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.superuser_dsn())


def test_a_taken_port_is_replaced_by_a_free_one(state):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start_server(state, port=port, durable=False) as server:
            assert server.port != port
            assert ask(server, "SELECT 1") == 1


def test_a_free_port_that_was_asked_for_is_used(state):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start_server(state, port=port, durable=False) as server:
        assert server.port == port


def test_what_was_committed_survives_a_kill_of_the_server(state):
    with start_server(state) as server:
        ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.process.kill()
        server.process.wait()
        assert (server.data / "postmaster.pid").exists()
    with start_server(state) as server:
        assert ask(server, "SELECT answer FROM kept") == 42


def test_a_stale_pid_that_belongs_to_somebody_else_by_now_is_no_obstacle(state):
    with start_server(state, durable=False) as server:
        server.process.kill()
        server.process.wait()
        stale = server.data / "postmaster.pid"
        lines = stale.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"], user=server.data.stat().st_uid) as somebody:
        stale.write_text("\n".join([str(somebody.pid), *lines[1:]]) + "\n")
        with start_server(state, durable=False) as server:
            assert ask(server, "SELECT 1") == 1
        somebody.kill()


def test_the_server_ends_with_the_process_that_started_it(state):
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        server_pid = int(starter.stdout.readline())
        starter.kill()
    # The next start waits for the orphan's end, so afterwards it is gone.
    with start_server(state, durable=False) as server:
        assert server.process.pid != server_pid
        log = (state / "postgres.log").read_text()
    assert log.count("database system is shut down") == 1


def test_ctrl_c_of_the_terminal_does_not_reach_the_server(state):
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as starter:
        server_pid = int(starter.stdout.readline())
        assert os.getpgid(server_pid) != os.getpgid(starter.pid)


def test_a_directory_that_the_servers_user_cannot_enter_stays_closed(state):
    private = state / "private"
    private.mkdir(mode=0o700)
    for _ in range(2):
        with start_server(private / "state", durable=False) as server:
            assert ask(server, "SELECT 1") == 1
            home = server.data.parent
    assert private.stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        assert not home.is_relative_to(state)
    shutil.rmtree(home)


def test_programs_that_the_servers_user_cannot_reach_are_copied_once(state):
    private = state / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(find_binaries().parent, private / "postgresql", symlinks=True)
    for _ in range(2):
        with start_server(state / "state", durable=False, binaries=private / "postgresql" / "bin") as server:
            assert ask(server, "SELECT 1") == 1
            assert server.binaries.is_relative_to(private) == (os.geteuid() != 0)
    assert private.stat().st_mode & 0o777 == 0o700


def test_an_ordinary_user_can_run_it(state, postgres_server):
    ours = state / "ordinary"
    ours.mkdir()
    ordinary = pwd.getpwnam("nobody")
    if os.geteuid() == 0:
        os.chown(ours, ordinary.pw_uid, ordinary.pw_gid)
    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    child = fork.Process(target=_start_as, args=(ordinary, ours, postgres_server.binaries, said))
    child.start()
    assert said.get() == "42 ordinary"
    child.join()


def _start_as(account, state, binaries, said):
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        os.environ["HOME"] = str(state)
        with start_server(state, durable=False, binaries=binaries) as server:
            is_ordinary = server.data.stat().st_uid == os.geteuid() != 0
            said.put(f"{ask(server, 'SELECT 42')} {'ordinary' if is_ordinary else 'root'}")
    except BaseException as error:
        said.put(repr(error))
        raise


def test_a_long_path_still_has_a_socket(state):
    long = state / ("d" * LONGEST_SOCKET_DIRECTORY)
    with start_server(long, durable=False) as server:
        assert list(server.socket_directory.glob(".s.PGSQL.*"))
    assert not server.socket_directory.exists()


def test_data_without_its_password_file_is_refused(state):
    start_server(state, durable=False).stop()
    (state / "secrets" / "postgres").unlink()
    with pytest.raises(ConfigError, match="secrets/postgres is gone"):
        start_server(state, durable=False)


def test_a_wrong_stored_password_is_named(state):
    start_server(state, durable=False).stop()
    (state / "secrets" / "postgres").write_text("another")
    with pytest.raises(ConfigError, match="stored password"):
        start_server(state, durable=False)


def test_data_of_another_major_version_is_refused(state):
    server = start_server(state, durable=False)
    server.stop()
    (server.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(ConfigError, match="made by PostgreSQL 14"):
        start_server(state, durable=False)


def test_a_server_that_cannot_start_says_why(state):
    server = start_server(state, durable=False)
    server.stop()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("max_connection = 3\n")
    with pytest.raises(ConfigError, match="max_connection"):
        start_server(state, durable=False)


def test_a_directory_without_programs_is_refused(state):
    with pytest.raises(ConfigError, match="holds no initdb"):
        start_server(state, binaries=state)
