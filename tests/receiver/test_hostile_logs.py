"""The log of a receiver may be read by more people than its events."""

from .rig import MARK, ROTATED, SEALING_KEY, SENDERS, Sender, new_id, new_secret, order
from .wire import write_request

ORDERS = SENDERS["orders"]
HEADER_MARK = "header-value-7731"
FORGED_LINE = "2026-11-24 00:00:00 CRITICAL forged line 7731"


def provoke(receiver):
    """One of every kind of refusal, each full of what must not be written down."""
    strict = SENDERS["strict"]
    headers = {"user-agent": HEADER_MARK, "x-forwarded-for": HEADER_MARK, "x-request-id": HEADER_MARK}
    marked = {"change": headers}
    answers = [
        receiver.post(ORDERS, **marked),
        receiver.post(Sender("unknown"), **marked),
        receiver.post(ORDERS, secret=new_secret(), **marked),
        receiver.post(ORDERS, MARK.encode(), **marked),
        receiver.post(strict, order(status=MARK), **marked),
        receiver.post(strict, b'{"%b": 1, "%b": 1}' % (MARK.encode(), MARK.encode()), **marked),
        receiver.post(ORDERS, order(), change={**headers, "webhook-id": HEADER_MARK + " " + HEADER_MARK}),
        receiver.post(ORDERS, order(), change={**headers, "content-type": HEADER_MARK}),
        receiver.post(ORDERS, order() + b" " * 300_000, **marked),
        receiver.post(SENDERS["token"], change={**headers, "authorization": f"Bearer {HEADER_MARK}"}),
        receiver.post(ORDERS, b"[" + order() + b"," + MARK.encode() + b"]", tail="/batch", **marked),
        receiver.ask(
            write_request(
                f"/v1/in/acme/{HEADER_MARK}%0d%0a{FORGED_LINE.replace(' ', '%20')}", {"connection": "close"}
            )
        ),
        receiver.ask(
            write_request("/v1/in/acme/orders?token=" + HEADER_MARK, {"connection": "close"}, method="GET"),
            method="GET",
        ),
    ]
    event_id = new_id()
    answers += [receiver.post(ORDERS, order(), event_id=event_id, **marked) for _ in range(2)]
    with receiver.open() as wire:
        wire.send_if_wanted(f"NONSENSE {HEADER_MARK}\r\n{MARK}\r\n\r\n".encode())
        wire.read_to_the_end()
    return {answer.status for answer in answers}


def test_the_log_holds_no_body_and_no_secret(receiver):
    assert {202, 400, 401, 409, 413, 415, 422} <= provoke(receiver)
    secrets = [SEALING_KEY, receiver.database.passwords.receiver, *ROTATED.values()]
    secrets += [secret for sender in SENDERS.values() for secret in (sender.secret, sender.token)]
    assert not find(receiver, MARK, "whsec_", "whk_", "v1,", *secrets)


def test_the_log_holds_nothing_that_a_sender_chose(receiver):
    provoke(receiver)
    assert not find(receiver, HEADER_MARK, "forged line")


def find(receiver, *texts):
    """Which of the texts are in the log."""
    said = receiver.said()
    return [text for text in texts if text in said]


def test_the_log_holds_no_failure_of_our_own(receiver):
    provoke(receiver)
    said = receiver.said()
    assert "Traceback" not in said
    assert "never retrieved" not in said


def test_no_line_of_the_log_was_written_by_a_sender(receiver):
    provoke(receiver)
    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in receiver.said())
