"""Killed, cut off, raced or out of space: nothing lost, nothing doubled, and the next attempt finishes."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from steadfast.errors import WarehouseBusy
from steadfast.quality.check import check_frame
from steadfast.warehouse.connect import connect

from .conftest import AGRICULTURE, YESTERDAY

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)

KILLED_BETWEEN_LAND_AND_PUBLISH = """
import os, signal, sys
from datetime import datetime
from steadfast.ga4.client import ClientConfig, open_client
from steadfast.ga4.sync import sync_shard
from steadfast.warehouse.connect import connect

url, target, run_id, now = sys.argv[1:]
client = open_client(ClientConfig(endpoint=target, is_plaintext=True))
sync_shard(
    int(run_id), 0, connect=lambda: connect(url), open_client=lambda _: client,
    check=lambda table, frame: os.kill(os.getpid(), signal.SIGKILL),
    clock=lambda: datetime.fromisoformat(now),
)
"""


def assert_complete(installation, report="tech"):
    assert installation.published(report, AGRICULTURE) == installation.answered(report, AGRICULTURE, *WINDOW)


def test_a_worker_killed_between_land_and_publish_is_finished_without_asking_again(one_property):
    run = one_property.plan()
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED_BETWEEN_LAND_AND_PUBLISH,
            one_property.database.pipeline_url,
            one_property.emulator.grpc_target,
            str(run.run_id),
            one_property.clock().isoformat(),
        ],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert one_property.query("SELECT DISTINCT state FROM ops.sync_item") == [("landed",)]
    assert one_property.published("tech", AGRICULTURE) == []
    asked = one_property.requests()
    one_property.work()
    assert one_property.requests() == asked
    assert_complete(one_property)


def test_postgresql_going_away_in_the_middle_of_publishing_leaves_the_old_rows(one_property):
    one_property.sync("monday")
    one_property.emulator.restate(str(AGRICULTURE), YESTERDAY - timedelta(days=3))
    before = one_property.published("tech", AGRICULTURE)

    def lose_the_server(table, frame):
        superuser = one_property.database.server.superuser_dsn(one_property.database.name)
        with connect(superuser, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = 'steadfast_pipeline'"
            )
        return check_frame(table, frame)

    one_property.plan("tuesday")
    with pytest.raises(WarehouseBusy):
        one_property.work("tuesday", check=lose_the_server)
    assert one_property.published("tech", AGRICULTURE) == before
    one_property.work("tuesday")
    assert_complete(one_property)


def test_two_runs_of_the_same_partition_at_once_give_one_result(one_property):
    names = ("by schedule", "by hand")
    for name in names:
        one_property.plan(name)
    threads = [threading.Thread(target=one_property.work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_complete(one_property)
    assert one_property.query("SELECT DISTINCT state FROM ops.sync_item") == [("published",)]


def test_a_full_disk_while_landing_stops_the_shard_and_heals(one_property):
    with one_property.database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION landing.fill_disk() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON landing.ga4_page EXECUTE FUNCTION landing.fill_disk()"
        )
    one_property.plan()
    with pytest.raises(WarehouseBusy, match="No space left on device"):
        one_property.work()
    assert one_property.query("SELECT count(*) FROM facts.fact_tech") == [(0,)]
    with one_property.database.connect() as connection:
        connection.execute("DROP TRIGGER full_disk ON landing.ga4_page")
    one_property.work()
    assert_complete(one_property)


def test_threads_end_when_the_warehouse_fails(one_property):
    one_property.plan()
    with pytest.raises(ZeroDivisionError):
        one_property.work(check=lambda table, frame: 1 / 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]
