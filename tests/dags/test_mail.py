from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from steadfast.alerts.mail import (
    MailServer,
    Security,
    deliver_signals,
    parse_recipients,
    send_signal,
    write_mail,
)
from steadfast.alerts.signals import Severity, Signal, record_signal
from steadfast.errors import ConfigError, SourceUnavailable

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
SENDER = "Steadfast <steadfast@example.com>"
OPS = ["ops@example.com", "boss@example.com"]


def signal(key: str = "one", **changes) -> Signal:
    fields = {
        "kind": "run_failed",
        "severity": Severity.CRITICAL,
        "subject": f"Subject {key}",
        "body": "Körper",
    }
    return Signal(key, **{**fields, **changes})


@pytest.fixture
def connection(database):
    with database.connect_pipeline() as connection:
        yield connection


def waiting(connection) -> list[str]:
    rows = connection.execute("SELECT dedup_key FROM ops.signal WHERE mailed_at IS NULL ORDER BY 1")
    return [key for (key,) in rows]


def test_the_same_problem_is_recorded_once(connection):
    assert record_signal(connection, signal(), NOW) is True
    assert record_signal(connection, signal(subject="told again"), NOW) is False
    assert connection.execute("SELECT subject FROM ops.signal").fetchall() == [("Subject one",)]


def test_a_signal_may_quote_what_no_text_column_can_hold(connection):
    record_signal(connection, signal(body="a\x00b\ud800c"), NOW)
    assert connection.execute("SELECT body FROM ops.signal").fetchone() == ("a�b?c",)


def test_a_signal_is_mailed_once_to_everybody(connection, sink):
    record_signal(connection, signal(link="http://localhost/run"), NOW)
    assert deliver_signals(connection, sink.server, SENDER, OPS, NOW) == 1
    assert deliver_signals(connection, sink.server, SENDER, OPS, NOW) == 0
    (mail,) = sink.mails
    assert mail["Subject"] == "Subject one"
    assert mail["To"] == "ops@example.com, boss@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == ["Körper", "", "http://localhost/run"]


def test_copies_of_a_mail_carry_the_same_identity():
    first, again = (write_mail(signal(), SENDER, OPS, NOW + timedelta(hours=n)) for n in range(2))
    other = write_mail(signal("other"), SENDER, OPS, NOW)
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")


def test_a_subject_cannot_smuggle_headers():
    mail = write_mail(signal(subject="one\r\nBcc: everybody@example.com"), SENDER, OPS, NOW)
    assert mail["Subject"] == "one Bcc: everybody@example.com"
    assert mail["Bcc"] is None


def test_two_deliveries_at_once_mail_each_signal_once(database, connection, sink):
    for number in range(20):
        record_signal(connection, signal(f"{number:02}"), NOW)
    start, counts = Barrier(2), []

    def deliver() -> None:
        with database.connect_pipeline() as own:
            start.wait()
            counts.append(deliver_signals(own, sink.server, SENDER, OPS, NOW))

    threads = [Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 20
    assert sorted(mail["Subject"] for mail in sink.mails) == [f"Subject {number:02}" for number in range(20)]


def test_a_mail_server_that_is_away_leaves_the_signal_for_the_next_delivery(connection, sink):
    record_signal(connection, signal(), NOW)
    nobody = MailServer("127.0.0.1", 1, Security.NONE, timeout_s=2)
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1 cannot be used"):
        deliver_signals(connection, nobody, SENDER, OPS, NOW)
    assert waiting(connection) == ["one"]
    assert deliver_signals(connection, sink.server, SENDER, OPS, NOW) == 1


def test_a_mail_server_that_hangs_up_leaves_the_signal_for_the_next_delivery(connection, sink):
    record_signal(connection, signal(), NOW)
    sink.is_away = True
    with pytest.raises(SourceUnavailable):
        deliver_signals(connection, sink.server, SENDER, OPS, NOW)
    sink.is_away = False
    assert waiting(connection) == ["one"]
    assert deliver_signals(connection, sink.server, SENDER, OPS, NOW) == 1


def test_one_refused_mail_does_not_keep_the_others(connection, sink):
    for key in ("one", "two", "three"):
        record_signal(connection, signal(key), NOW)
    sink.refused_subjects = ("Subject two",)
    with pytest.raises(SourceUnavailable, match=r"refuses the mail 'Subject two'.*5\.7\.1 rejected"):
        deliver_signals(connection, sink.server, SENDER, OPS, NOW)
    assert [mail["Subject"] for mail in sink.mails] == ["Subject one", "Subject three"]
    assert waiting(connection) == ["two"]


def test_without_recipients_signals_are_recorded_and_no_server_is_asked(connection):
    record_signal(connection, signal(), NOW)
    nobody = MailServer("127.0.0.1", 1, Security.NONE)
    assert deliver_signals(connection, nobody, SENDER, [], NOW) == 0
    assert waiting(connection) == ["one"]


def test_whoever_sets_up_mail_late_gets_the_last_week_only(connection, sink):
    record_signal(connection, signal("old"), NOW - timedelta(days=8))
    record_signal(connection, signal("new"), NOW - timedelta(days=6))
    deliver_signals(connection, sink.server, SENDER, OPS, NOW)
    assert [mail["Subject"] for mail in sink.mails] == ["Subject new"]


def test_a_signal_can_be_mailed_without_a_warehouse(sink):
    send_signal(sink.server, signal(), SENDER, OPS, NOW)
    assert [mail["Subject"] for mail in sink.mails] == ["Subject one"]


def test_addresses_are_split_at_commas():
    assert parse_recipients(" ops@example.com, Boss <boss@example.com>,") == (
        "ops@example.com",
        "Boss <boss@example.com>",
    )
    assert parse_recipients("") == ()


@pytest.mark.parametrize("text", ["ops", "ops@", "@example.com", "a@b.c, nobody"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="is not a mail address"):
        parse_recipients(text)
