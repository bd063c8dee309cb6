"""The demo's mail sink over a real SMTP conversation."""

import smtplib
from email.message import EmailMessage

from steadfast.demo.mail_sink import list_mails, start_mail_sink


def send(port: int, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@demo.example", "b@demo.example", subject
    message.set_content("It is late.\n")
    with smtplib.SMTP("127.0.0.1", port) as server:
        server.send_message(message)


def test_every_mail_becomes_a_file_named_by_its_subject(tmp_path):
    sink = start_mail_sink(tmp_path)
    try:
        send(sink.port, "[Steadfast] ga4_sync: 3 of 28 failed")
        send(sink.port, "Größe")
    finally:
        sink.stop()
    first, second = list_mails(tmp_path)
    assert first.name == "0001-steadfast-ga4-sync-3-of-28-failed.eml"
    assert "It is late." in first.read_text("utf-8")
    assert second.name.startswith("0002-")
