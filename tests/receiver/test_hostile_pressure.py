"""Floods, full queues, a database that is away, and senders that do not wait for their answer.

Each case that stops, starves or kills a server has one of its own.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from cryptography.fernet import Fernet

from .rig import (
    SENDERS,
    Sender,
    add_key,
    add_sender,
    new_id,
    new_secret,
    prepare_database,
    start_receiver,
)
from .wire import ConnectionEnded, wait_until

ORDERS = SENDERS["orders"]
LOCK = "LOCK TABLE landing.webhook_event_key IN SHARE MODE"


def test_a_source_that_sends_too_much_is_told_when_to_come_back(receiver):
    limited = SENDERS["limited"]
    began = time.monotonic()
    answers = [receiver.post(limited) for _ in range(40)]
    refilled = time.monotonic() - began + 1
    accepted = [answer for answer in answers if answer.status == 202]
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers[:20]} == {202}
    assert 20 <= len(accepted) <= 20 + refilled
    assert len(accepted) + len(refused) == 40
    assert refused
    assert {answer.error for answer in refused} == {"rate_limited"}
    assert all(answer.headers["retry-after"].isdecimal() for answer in refused)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert receiver.post(ORDERS).status == 202
    # He who waits as long as he is told is let in.
    waited = int(refused[-1].headers["retry-after"])
    assert wait_until(lambda: receiver.post(limited).status == 202) <= waited + 2


def test_a_flood_of_strangers_takes_nothing_from_a_source(receiver):
    flooded = SENDERS["flooded"]
    with ThreadPoolExecutor(20) as pool:
        forged = list(pool.map(lambda _: receiver.post(flooded, secret=new_secret()).status, range(300)))
    assert set(forged) == {401}
    assert [receiver.post(flooded).status for _ in range(20)] == [202] * 20


def test_a_sender_that_hangs_up_does_not_take_its_event_with_it(receiver):
    ids = [new_id() for _ in range(20)]
    with receiver.database.connect(autocommit=False) as blocker:
        blocker.execute(LOCK)
        for event_id in ids:
            with receiver.open() as wire:
                wire.send(receiver.write(ORDERS, event_id=event_id))
                assert wire.is_silent(0.05)
        blocker.rollback()
    wait_until(lambda: all(len(receiver.stored(event_id)) == 1 for event_id in ids))
    assert receiver.post(ORDERS, event_id=new_id()).status == 202


def test_a_sender_that_hangs_up_within_its_body_stores_nothing(receiver):
    event_id = new_id()
    request = receiver.write(ORDERS, event_id=event_id)
    for cut in (len(request) - 1, len(request) - 100):
        with receiver.open() as wire:
            wire.send(request[:cut])
    assert receiver.post(ORDERS).status == 202
    assert receiver.stored(event_id) == []


def test_a_sender_that_never_reads_holds_up_nobody(receiver):
    with receiver.open() as deaf:
        for _ in range(300):
            deaf.send_if_wanted(receiver.write(ORDERS, change={"webhook-signature": "v1,"}))
        began = time.monotonic()
        assert receiver.post(ORDERS).status == 202
        assert time.monotonic() - began < 2


LABORIOUS = {
    "a text of escapes without an end": rb'{"a": "' + rb"\"" * 16_000,
    "the same beside a NUL": rb'{"a": "\u0000", "b": "' + rb"\"" * 16_000,
    "the same in lines": b'{"a": "' + b'"\\\n' * 16_000,
    "quotes": b'"' * 250_000,
    "backslashes": b"\\" * 250_000,
    "open brackets": b"[" * 250_000,
    "open braces": b'{"a":' * 50_000,
    "closed brackets": b"]" * 250_000,
    "brackets of two kinds": b'{"a": ' + b"[{" * 100_000,
    "pairs of brackets in pieces": b'{"a": ' + b"[[]" * 80_000,
    "numbers without an end": b'{"a": [' + b"1," * 120_000,
    "digits without an end": b'{"a": ' + b"9" * 250_000,
    "blanks": b" " * 250_000,
    "halves of pairs without an end": rb'{"a": "' + rb"\ud800" * 40_000,
}
"""Small enough that even quadratic work ends before the other tests do; large enough to see it."""


@pytest.mark.parametrize("case", LABORIOUS)
@pytest.mark.parametrize("sender", [ORDERS, SENDERS["strict"]], ids=["any source", "a strict source"])
def test_no_body_takes_long_to_be_refused(receiver, sender, case):
    began = time.monotonic()
    assert receiver.post(sender, LABORIOUS[case]).status == 400
    assert time.monotonic() - began < 1


def test_no_batch_of_such_bodies_takes_long_either(receiver):
    line = rb'{"id": "laborious", "a": "' + rb"\"" * 2000
    began = time.monotonic()
    change = {"content-type": "application/x-ndjson"}
    assert receiver.post(ORDERS, b"\n".join([line] * 100), tail="/batch", change=change).status == 422
    assert time.monotonic() - began < 1


def test_a_full_queue_says_not_now_and_loses_nothing(receiver):
    batches = [[new_id() for _ in range(1000)] for _ in range(25)]

    def send(ids):
        body = b"[%b]" % b",".join(b'{"id":"%b"}' % event_id.encode() for event_id in ids)
        return receiver.post(ORDERS, body, tail="/batch")

    with receiver.database.connect(autocommit=False) as blocker, ThreadPoolExecutor(25) as pool:
        blocker.execute(LOCK)
        waiting = [pool.submit(send, ids) for ids in batches]
        # Twenty thousand fit, and two thousand may be on their way to the database.
        wait_until(lambda: sum(each.done() for each in waiting) >= 3)
        assert receiver.get("/livez").status == 200
        assert receiver.get("/readyz").status == 503
        blocker.rollback()
        answers = [each.result() for each in waiting]
    assert {answer.status for answer in answers} == {202, 503}
    refused = [ids for ids, answer in zip(batches, answers, strict=True) if answer.status == 503]
    busy = [answer for answer in answers if answer.status == 503]
    assert {answer.error for answer in busy} == {"busy"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 5 for answer in busy)
    query = "SELECT count(DISTINCT event_id) AS found FROM landing.webhook_inbox WHERE event_id = ANY(%s)"
    lost = [event_id for ids in refused for event_id in ids]
    kept = [event_id for ids in batches if ids not in refused for event_id in ids]
    assert receiver.rows(query, lost) == [{"found": 0}]
    assert receiver.rows(query, kept) == [{"found": len(kept)}]
    assert {send(ids).status for ids in refused} == {202}
    wait_until(lambda: receiver.get("/readyz").status == 200)


def test_a_sender_that_is_cut_off_while_he_waits_costs_nobody_his_answer(receiver):
    """All of them are in one commit."""
    with receiver.database.connect(autocommit=False) as blocker, ExitStack() as stack:
        blocker.execute(LOCK)
        wires = [stack.enter_context(receiver.open()) for _ in range(20)]
        ids = [new_id() for _ in wires]
        for wire, event_id in zip(wires, ids, strict=True):
            wire.send(receiver.write(ORDERS, event_id=event_id))
        for wire in wires[::2]:
            wire.send_if_wanted(b"\r\n" * 20_000)
        assert wires[1].is_silent(0.2)
        blocker.rollback()
        assert {wire.read_answer().status for wire in wires[1::2]} == {202}
    wait_until(lambda: all(len(receiver.stored(event_id)) == 1 for event_id in ids))


def test_a_receiver_that_is_killed_has_kept_what_it_answered(inbox_database, scratch):
    answered = []

    def send_until_it_dies(number):
        while True:
            event_id = new_id()
            try:
                answer = doomed.post(ORDERS, event_id=event_id)
            except (ConnectionEnded, OSError):
                return
            answered.append((event_id, answer.status))

    with start_receiver(inbox_database, scratch / "killed") as doomed, ThreadPoolExecutor(16) as pool:
        sending = [pool.submit(send_until_it_dies, number) for number in range(16)]
        wait_until(lambda: len(answered) > 300)
        doomed.process.kill()
        for each in sending:
            each.result()
    assert {status for _, status in answered} == {202}
    assert [event_id for event_id, _ in answered if len(doomed.stored(event_id)) != 1] == []


def test_a_receiver_that_is_told_to_end_answers_first(inbox_database, scratch):
    event_id = new_id()
    with start_receiver(inbox_database, scratch / "ended") as ending:
        with ending.database.connect(autocommit=False) as blocker, ending.open() as wire:
            blocker.execute(LOCK)
            wire.send(ending.write(ORDERS, event_id=event_id))
            assert wire.is_silent(0.3)
            ending.process.send_signal(signal.SIGTERM)
            assert wire.is_silent(0.3)
            blocker.rollback()
            assert wire.read_answer().status == 202
        assert ending.process.wait(15) in (0, -signal.SIGTERM)
    assert len(ending.stored(event_id)) == 1


def test_a_secret_that_cannot_be_opened_silences_only_its_source(empty_databases, migrated_template, scratch):
    database = empty_databases(migrated_template)
    prepare_database(database)
    foreign, added = Sender("foreign", has_key=False), Sender("added")
    with database.connect() as connection:
        add_sender(connection, foreign)
        add_key(connection, foreign, foreign.secret, sealing_key=Fernet.generate_key().decode())
    with start_receiver(database, scratch / "foreign") as running:
        assert running.post(ORDERS).status == 202
        assert running.post(foreign).status == 401
        add_sender(running.connection, added)
        wait_until(lambda: running.post(added).status == 202, 10)
        assert running.get("/readyz").status == 200
