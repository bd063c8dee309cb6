"""Signals as plain mails over SMTP, each handed in once; a failed delivery leaves them waiting."""

import hashlib
import logging
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.alerts.signals import Severity, Signal
from steadfast.errors import AccessDenied, ConfigError, SourceUnavailable
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries

log = logging.getLogger(__name__)

NEWS_LASTS = timedelta(days=7)
"""Whoever sets up mail late is not flooded with everything that ever happened."""

UNFOLDED = SMTP.clone(max_line_length=200)
"""Some readers show the fold of a long subject as a blank."""


class Security(StrEnum):
    """How the conversation with the mail server is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"

    @property
    def default_port(self) -> int:
        """The port that mail servers use for it."""
        return {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}[self]


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    login: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 30


def deliver_signals(
    connection: Connection, server: MailServer, sender: str, recipients: Sequence[str], now: datetime
) -> int:
    """Mail every signal that waits; return how many the server accepted.

    Two deliveries at once never mail the same signal. The connection must be outside a transaction, so that
    each mail is remembered before the next is sent. SourceUnavailable or AccessDenied if the server does
    not take them all; those stay waiting for the next delivery.
    """
    if not recipients:
        return 0
    sent, last_id, refusals = 0, 0, list[SourceUnavailable]()
    with ExitStack() as resources:
        client: smtplib.SMTP | None = None
        while True:
            with translate_errors(), connection.transaction():
                claimed = _claim_next(connection, last_id, now)
                if claimed is None:
                    break
                last_id, signal = claimed
                client = client or resources.enter_context(_open_client(server))
                try:
                    _hand_in(client, server, write_mail(signal, sender, recipients, now))
                except _Refused as refusal:
                    # One mail the server dislikes must not keep the others waiting.
                    refusals.append(refusal)
                    continue
                connection.execute(load_queries("alerts")["mark_mailed"], {"signal_id": last_id, "now": now})
            sent += 1
    if refusals:
        raise refusals[0]
    return sent


def send_signal(
    server: MailServer, signal: Signal, sender: str, recipients: Sequence[str], now: datetime
) -> None:
    """Mail a signal that could not be recorded, because the warehouse itself is what is down."""
    with _open_client(server) as client:
        _hand_in(client, server, write_mail(signal, sender, recipients, now))


def write_mail(signal: Signal, sender: str, recipients: Sequence[str], now: datetime) -> EmailMessage:
    """Compose the mail; the same signal always gets the same Message-ID, so that copies are recognised."""
    mail = EmailMessage(policy=UNFOLDED)
    mail["From"] = _check_address(sender)
    mail["To"] = ", ".join(_check_address(address) for address in recipients)
    mail["Subject"] = " ".join(signal.subject.split())
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{hashlib.sha256(signal.dedup_key.encode()).hexdigest()[:40]}@{_domain(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Steadfast-Kind"] = signal.kind
    mail["X-Steadfast-Severity"] = signal.severity.value
    link = f"\n\n{signal.link}\n" if signal.link else "\n"
    mail.set_content(signal.body.rstrip() + link, cte="quoted-printable")
    return mail


def parse_recipients(text: str) -> tuple[str, ...]:
    """Split the setting at its commas; ConfigError names what is no address."""
    return tuple(_check_address(part.strip()) for part in text.split(",") if part.strip())


class _Refused(SourceUnavailable):
    """The server works, but does not take this one mail."""


def _claim_next(connection: Connection, last_id: int, now: datetime) -> tuple[int, Signal] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        bound = {"last_id": last_id, "oldest": now - NEWS_LASTS}
        row: dict[str, Any] | None = cursor.execute(load_queries("alerts")["claim_signal"], bound).fetchone()
    if row is None:
        return None
    signal_id = int(row.pop("signal_id"))
    return signal_id, Signal(**{**row, "severity": Severity(row["severity"])})


@contextmanager
def _open_client(server: MailServer) -> Iterator[smtplib.SMTP]:
    where = f"{server.host}:{server.port}"
    try:
        client = _connect(server)
    except smtplib.SMTPAuthenticationError as error:
        raise AccessDenied(f"The mail server {where} refuses the login {server.login!r}.") from error
    except (OSError, smtplib.SMTPException) as error:
        raise SourceUnavailable(f"The mail server {where} cannot be used: {_describe(error)}.") from error
    try:
        yield client
    finally:
        client.close()


def _connect(server: MailServer) -> smtplib.SMTP:
    if server.security is Security.TLS:
        context = ssl.create_default_context()
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=server.timeout_s, context=context
        )
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
    with ExitStack() as undo:
        undo.callback(client.close)
        if server.security is Security.STARTTLS:
            client.starttls(context=ssl.create_default_context())
        if server.login:
            client.login(server.login, server.password)
        undo.pop_all()
    return client


def _hand_in(client: smtplib.SMTP, server: MailServer, mail: EmailMessage) -> None:
    where = f"The mail server {server.host}:{server.port}"
    try:
        refused = client.send_message(mail)
    except smtplib.SMTPServerDisconnected as error:
        raise SourceUnavailable(f"{where} hung up: {_describe(error)}.") from error
    except smtplib.SMTPException as error:
        raise _Refused(f"{where} refuses the mail {mail['Subject']!r}: {_describe(error)}.") from error
    except OSError as error:
        raise SourceUnavailable(f"{where} was lost: {_describe(error)}.") from error
    for address, answer in refused.items():
        log.warning("%s refuses the recipient %s: %s", where, address, answer)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _check_address(address: str) -> str:
    _, plain = parseaddr(address)
    local, _, domain = plain.rpartition("@")
    if not local or not domain or any(character.isspace() for character in plain):
        raise ConfigError(f"{address!r} is not a mail address; it must look like ops@example.com.")
    return address


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2]
