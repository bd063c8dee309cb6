"""Airflow with a home of its own, the way to the warehouse, and a mail server that keeps what it is given."""

import atexit
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from steadfast.alerts.mail import MailServer, Security

ROOT = Path(__file__).parents[2]

# Airflow reads its home once, when it is first imported; nothing of this may reach other tests' processes.
AIRFLOW_HOME = tempfile.mkdtemp(prefix="steadfast-airflow-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("AIRFLOW_HOME", AIRFLOW_HOME)
    patch.setenv("AIRFLOW_CONFIG", str(ROOT / "airflow.cfg"))
    import airflow.configuration
    import airflow.settings  # noqa: F401


@dataclass
class MailSink:
    """Every mail that was handed in, and what the server answers to the next ones."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    refused_subjects: tuple[str, ...] = ()
    is_away: bool = False

    @property
    def server(self) -> MailServer:
        return MailServer("127.0.0.1", self.port, Security.NONE, timeout_s=5)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        if self.is_away:
            return "421 4.3.2 shutting down"
        if mail["Subject"] in self.refused_subjects:
            return "554 5.7.1 rejected"
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def sink() -> Iterator[MailSink]:
    sink = MailSink(find_free_port())
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    yield sink
    controller.stop()


@pytest.fixture
def use_warehouse(monkeypatch, database) -> Callable[..., None]:
    """A function that tells Airflow where the warehouse is; on port 1 nobody answers."""

    def tell(port: int = database.server.port) -> None:
        fields = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": port,
            "login": "steadfast_pipeline",
            "password": database.pipeline_password,
            "schema": database.name,
        }
        monkeypatch.setenv("AIRFLOW_CONN_STEADFAST_WAREHOUSE", json.dumps(fields))

    return tell


@pytest.fixture
def alarms(monkeypatch, use_warehouse, sink, tmp_path) -> None:
    """Alarms are recorded in the warehouse and mailed to ops."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_MAIL_TO", "ops@example.com")
    monkeypatch.setenv("STEADFAST_BASE_URL", "http://airflow.example.com/")
    use_warehouse()
    fields = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": sink.port,
        "extra": {"disable_ssl": True, "disable_tls": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_STEADFAST_SMTP", json.dumps(fields))


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def dag_bag(repository):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(repository / "dags"))


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
