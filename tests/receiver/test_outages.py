"""The database ends, crashes or takes nothing in: what was answered is kept, and the rest is sent again."""

import os
import shutil
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steadfast.warehouse.bootstrap import bootstrap
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import start_server
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES

from .rig import SENDERS, new_id, new_secret, order, prepare_database, start_receiver
from .wire import wait_until

ORDERS = SENDERS["orders"]


class OwnServer:
    """A PostgreSQL that a test may stop, with a migrated database that knows the senders."""

    def __init__(self, state, today, fact_tables):
        self.state = state
        self.server = start_server(state, durable=False)
        self.logins = bootstrap(self.server)
        passwords = self.logins.passwords
        migrate(
            self.logins.owner_url, passwords=passwords, reports=fact_tables, events=EVENT_TABLES, today=today
        )
        self.receiver_url = self.logins.receiver_url
        prepare_database(self)

    def connect(self, *, autocommit=True):
        return connect(self.logins.owner_url, autocommit=autocommit, application="test")

    def restart(self):
        self.server = start_server(self.state, durable=False)


@pytest.fixture(scope="module")
def own_server(fact_tables):
    state = Path(tempfile.mkdtemp(prefix="steadfast-away-"))
    # PostgreSQL runs as another user when the tests run as root.
    state.chmod(0o755)
    server = OwnServer(state, datetime.now(UTC).date(), fact_tables)
    yield server
    server.server.stop()
    shutil.rmtree(state)


def test_while_the_database_is_away_nothing_is_accepted_and_afterwards_all_is(own_server, scratch):
    event_id, body = new_id(), order()
    with start_receiver(own_server, scratch / "away") as running:
        assert running.post(ORDERS).status == 202
        own_server.server.stop()
        answers = [running.post(ORDERS, body, event_id=event_id) for _ in range(5)]
        assert {answer.status for answer in answers} == {503}
        assert all(1 <= int(answer.headers["retry-after"]) <= 5 for answer in answers)
        wait_until(lambda: running.get("/readyz").status == 503, 15)
        assert running.get("/livez").status == 200
        # Who he is is known all the same.
        assert running.post(ORDERS, secret=new_secret()).status == 401
        own_server.restart()
        wait_until(lambda: running.post(ORDERS, body, event_id=event_id).status in (200, 202), 20)
        wait_until(lambda: running.get("/readyz").status == 200, 20)
        running.connection = own_server.connect()
        assert [row["body"] for row in running.stored(event_id)] == [body]


def test_what_was_answered_outlives_a_crash_of_the_database(own_server, scratch):
    """Also where an operator has set synchronous_commit to off for his other loads, as on this server."""
    answered, is_over = [], threading.Event()

    def send_steadily(_):
        while not is_over.is_set():
            event_id = new_id()
            answered.append((event_id, running.post(ORDERS, event_id=event_id).status))

    with start_receiver(own_server, scratch / "crash") as running, ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send_steadily, number) for number in range(8)]
        wait_until(lambda: len(answered) > 100)
        [pid] = running.rows(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'steadfast receiver' LIMIT 1"
        )
        os.kill(pid["pid"], signal.SIGKILL)
        running.connection.close()
        wait_until(lambda: 503 in {status for _, status in answered})
        wait_until(lambda: answered[-1][1] == 202)
        is_over.set()
        for each in sending:
            each.result()
        running.connection = own_server.connect()
        kept = {event_id for event_id, status in answered if status == 202}
        query = "SELECT event_id FROM landing.webhook_inbox WHERE event_id = ANY(%s)"
        found = [row["event_id"] for row in running.rows(query, list(kept))]
        assert sorted(found) == sorted(kept)
        assert {status for _, status in answered} == {202, 503}


def test_a_server_that_takes_nothing_in_is_not_ready(own_server, scratch):
    def turn_read_only(switch):
        with connect(own_server.server.superuser_dsn(), autocommit=True, application="test") as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {switch}")
            connection.execute("SELECT pg_reload_conf()")

    with start_receiver(own_server, scratch / "standby") as running:
        assert running.get("/readyz").status == 200
        turn_read_only("on")
        try:
            # Nobody has sent anything: it must find out by itself.
            wait_until(lambda: running.get("/readyz").status == 503)
            assert running.post(ORDERS).status == 503
        finally:
            turn_read_only("off")
        wait_until(lambda: running.get("/readyz").status == 200)
        assert running.post(ORDERS).status == 202
