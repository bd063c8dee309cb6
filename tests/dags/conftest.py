"""Airflow with a home of its own, and a mail server that keeps what it is given."""

import atexit
import shutil
import socket
import tempfile
from collections.abc import Iterator
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
