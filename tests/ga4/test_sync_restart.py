"""PostgreSQL itself stops and starts again in the middle of a publish."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from steadfast.errors import WarehouseBusy
from steadfast.ga4.partitions import delete_partitions
from steadfast.ga4.reports import REPORTS
from steadfast.quality.check import check_frame
from steadfast.warehouse.bootstrap import bootstrap
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import EmbeddedServer, start_server
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES

from .conftest import AGRICULTURE, YESTERDAY, Installation

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)


@dataclass
class RestartingDatabase:
    """A warehouse on a server of its own."""

    state: Path
    server: EmbeddedServer
    owner_url: str
    pipeline_url: str

    def connect(self) -> psycopg.Connection:
        return connect(self.owner_url, autocommit=True)

    def restart(self) -> None:
        self.server.stop()
        self.server = start_server(self.state, durable=False)


@pytest.fixture
def restarting(today):
    state = Path(tempfile.mkdtemp(prefix="steadfast-test-"))
    state.chmod(0o755)
    server = start_server(state, durable=False)
    urls = bootstrap(server)
    tables = [report.table for report in REPORTS.values()]
    migrate(urls.owner_url, passwords=urls.passwords, reports=tables, events=EVENT_TABLES, today=today)
    database = RestartingDatabase(state, server, urls.owner_url, urls.pipeline_url)
    yield database
    database.server.stop()
    shutil.rmtree(state)


def test_a_restart_between_delete_and_commit_leaves_the_old_rows_and_heals(
    restarting, installation, monkeypatch
):
    moved = Installation(restarting, installation.emulator, installation.clock, installation.client)
    moved.add("agriculture", AGRICULTURE, reports=("daily_totals", "tech"))
    moved.sync("monday")
    moved.emulator.restate(str(AGRICULTURE), YESTERDAY - timedelta(days=3))
    before = moved.published("tech", AGRICULTURE)

    def delete_and_restart(connection, report, partitions):
        delete_partitions(connection, report, partitions)
        if report.name == "tech":
            restarting.restart()

    monkeypatch.setattr("steadfast.ga4.publish.delete_partitions", delete_and_restart)
    moved.plan("tuesday")
    with pytest.raises(WarehouseBusy):
        moved.work("tuesday", check=check_frame)
    monkeypatch.undo()
    assert moved.published("tech", AGRICULTURE) == before
    moved.work("tuesday")
    assert moved.published("tech", AGRICULTURE) == moved.answered("tech", AGRICULTURE, *WINDOW)
    assert moved.query("SELECT DISTINCT state FROM ops.sync_item") == [("published",)]
