"""What an honest sender may rely on: what was answered with 2xx is there, once, whatever else goes on."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from .rig import (
    SENDERS,
    Sender,
    add_key,
    add_sender,
    new_id,
    new_secret,
    new_slug,
    order,
    source_id_of,
    start_receiver,
)
from .wire import wait_until

ORDERS = SENDERS["orders"]
NOTICED_WITHIN_SECONDS = 10


def test_an_event_is_accepted_and_lies_in_the_inbox_as_it_came(receiver):
    event_id, body = new_id(), order(total="12.50")
    before = datetime.now(UTC)
    answer = receiver.post(ORDERS, body, event_id=event_id)
    [row] = receiver.stored(event_id)
    assert answer.status == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"status": "accepted", "id": event_id, "inbox_id": row["inbox_id"]}
    assert row["body"] == body
    assert (row["event_type"], row["schema_version"], row["is_text_ok"]) == ("order", 1, True)
    assert (row["origin"], row["replay_of"]) == ("http", None)
    assert row["source_id"] == source_id_of(receiver.connection, ORDERS)
    # The clocks of the receiver and of these tests are one.
    assert before - timedelta(seconds=1) <= row["received_at"] <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("version", [1, 2, 32_767])
def test_the_version_of_an_event_is_noted(receiver, version):
    event_id = new_id()
    event = json.loads(order()) | {"version": version}
    receiver.post(ORDERS, json.dumps(event).encode(), event_id=event_id)
    assert receiver.stored(event_id)[0]["schema_version"] == version


def test_an_answer_is_given_only_when_everybody_can_see_the_event(receiver):
    query = "SELECT count(*) AS found FROM landing.webhook_inbox WHERE inbox_id = %s"
    with receiver.open() as wire:
        for _ in range(100):
            wire.send(receiver.write(ORDERS))
            inbox_id = wire.read_answer().json["inbox_id"]
            assert receiver.rows(query, inbox_id) == [{"found": 1}]


def test_no_answer_comes_while_the_commit_waits(receiver):
    event_id = new_id()
    with receiver.database.connect(autocommit=False) as blocker, receiver.open() as wire:
        blocker.execute("LOCK TABLE landing.webhook_event_key IN SHARE MODE")
        wire.send(receiver.write(ORDERS, event_id=event_id))
        assert wire.is_silent(0.5)
        assert receiver.stored(event_id) == []
        blocker.rollback()
        assert wire.read_answer().status == 202
    assert len(receiver.stored(event_id)) == 1


def test_three_hundred_at_once_on_connections_of_their_own_are_all_kept(receiver):
    ids = [new_id() for _ in range(300)]
    requests = [receiver.write(ORDERS, event_id=each, change={"connection": "close"}) for each in ids]
    with ThreadPoolExecutor(300) as pool:
        answers = list(pool.map(receiver.ask, requests))
    assert {answer.status for answer in answers} == {202}
    assert [answer.json["id"] for answer in answers] == ids
    query = "SELECT event_id, inbox_id FROM landing.webhook_inbox WHERE event_id = ANY(%s)"
    stored = {row["event_id"]: row["inbox_id"] for row in receiver.rows(query, ids)}
    assert stored == {answer.json["id"]: answer.json["inbox_id"] for answer in answers}


def test_when_all_are_sent_again_at_once_none_is_stored_again(receiver):
    requests = [receiver.write(ORDERS, event_id=new_id(), change={"connection": "close"}) for _ in range(60)]
    with ThreadPoolExecutor(60) as pool:
        first = [answer.json["inbox_id"] for answer in pool.map(receiver.ask, requests)]
        again = list(pool.map(receiver.ask, requests))
    assert {answer.status for answer in again} == {200}
    assert [answer.json["inbox_id"] for answer in again] == first


def test_of_many_equal_ones_at_once_one_is_accepted(receiver):
    request = receiver.write(ORDERS, event_id=new_id(), change={"connection": "close"})
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(receiver.ask, [request] * 40))
    assert sorted(answer.status for answer in answers) == [200] * 39 + [202]
    assert len({answer.json["inbox_id"] for answer in answers}) == 1


def test_many_requests_pass_over_one_connection(receiver):
    with receiver.open() as wire:
        for _ in range(200):
            wire.send(receiver.write(ORDERS))
            answer = wire.read_answer()
            assert answer.status == 202
            assert not answer.closes


def test_several_processes_answer_as_one_from_their_first_request_on(inbox_database, scratch):
    ids = [new_id() for _ in range(40)]
    options = ("--workers", "2")
    with start_receiver(inbox_database, scratch / "two", *options, is_ready_awaited=False) as workers:
        requests = [workers.write(ORDERS, event_id=each, change={"connection": "close"}) for each in ids]
        with ThreadPoolExecutor(80) as pool:
            answers = list(pool.map(workers.ask, requests * 2))
        assert sorted(answer.status for answer in answers) == [200] * 40 + [202] * 40
        assert len({answer.json["inbox_id"] for answer in answers}) == 40


def end_first_key(receiver, sender, at):
    """Let the key that a sender was made with end at that time."""
    source_id = source_id_of(receiver.connection, sender)
    query = (
        "UPDATE config.webhook_key SET not_after = %s "
        "WHERE key_id = (SELECT min(key_id) FROM config.webhook_key WHERE source_id = %s)"
    )
    receiver.connection.execute(query, [at, source_id])


class SteadySender(threading.Thread):
    """Posts one event after the other with a secret that may be changed meanwhile."""

    def __init__(self, receiver, sender):
        super().__init__(daemon=True)
        self.receiver, self.sender, self.secret = receiver, sender, sender.secret
        self.answers: list[int] = []
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(0.01):
            self.answers.append(self.receiver.post(self.sender, secret=self.secret).status)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


def rotate_a_key(receiver):
    """What a sender hears who posts on and on while his key is replaced."""
    sender, new = Sender(new_slug("rotated")), new_secret()
    add_sender(receiver.connection, sender)
    wait_until(lambda: receiver.post(sender).status == 202, NOTICED_WITHIN_SECONDS)
    with SteadySender(receiver, sender) as steady:
        add_key(receiver.connection, sender, new)
        wait_until(lambda: receiver.post(sender, secret=new).status == 202, NOTICED_WITHIN_SECONDS)
        steady.secret = new
        end_first_key(receiver, sender, datetime.now(UTC))
        wait_until(lambda: receiver.post(sender).status == 401, NOTICED_WITHIN_SECONDS)
    return steady.answers


def let_a_key_end(receiver):
    """When the old key was refused first, and when it should be."""
    sender, later = Sender(new_slug("ending")), new_secret()
    add_sender(receiver.connection, sender)
    wait_until(lambda: receiver.post(sender).status == 202, NOTICED_WITHIN_SECONDS)
    soon = datetime.now(UTC) + timedelta(seconds=4)
    add_key(receiver.connection, sender, later, not_before=soon)
    end_first_key(receiver, sender, soon)
    wait_until(lambda: receiver.post(sender).status == 401, NOTICED_WITHIN_SECONDS)
    refused_at = datetime.now(UTC)
    wait_until(lambda: receiver.post(sender, secret=later).status == 202, NOTICED_WITHIN_SECONDS)
    return refused_at, soon


def switch_a_source(receiver):
    """What a sender hears at last after his source is added, switched off, and on again."""
    sender = Sender(new_slug("added"))
    heard = [receiver.post(sender).status]
    source_id = add_sender(receiver.connection, sender)
    heard.append(change_of_answer(receiver, sender, 401))
    switch = "UPDATE config.webhook_source SET is_enabled = NOT is_enabled WHERE source_id = %s"
    for before in (202, 401):
        receiver.connection.execute(switch, [source_id])
        heard.append(change_of_answer(receiver, sender, before))
    return heard


def switch_a_tenant(receiver):
    """What a sender hears at last after his entity is switched off, and on again."""
    sender, heard = SENDERS["globex/orders"], []
    switch = "UPDATE config.business_entity SET is_enabled = NOT is_enabled WHERE slug = 'globex'"
    for before in (202, 401):
        receiver.connection.execute(switch)
        heard.append(change_of_answer(receiver, sender, before))
    return heard


def change_of_answer(receiver, sender, before):
    """The first answer that is another than before."""
    heard = [before]
    wait_until(
        lambda: heard.append(receiver.post(sender).status) or heard[-1] != before, NOTICED_WITHIN_SECONDS
    )
    return heard[-1]


CHANGES = (rotate_a_key, let_a_key_end, switch_a_source, switch_a_tenant)


@pytest.fixture(scope="module")
def changed(stand_alone):
    """What came of each of the changes; they are made at the same time, for each takes some seconds."""
    with ThreadPoolExecutor(len(CHANGES)) as pool:
        return {change: pool.submit(change, stand_alone) for change in CHANGES}


def test_a_key_is_rotated_without_a_gap(changed):
    answers = changed[rotate_a_key].result()
    assert len(answers) > 20
    assert set(answers) == {202}


def test_a_key_ends_at_its_time_without_being_told(changed):
    refused_at, due_at = changed[let_a_key_end].result()
    assert refused_at >= due_at


def test_a_source_that_is_added_may_send_soon_and_one_switched_off_no_more(changed):
    assert changed[switch_a_source].result() == [401, 202, 401, 202]


def test_a_tenant_that_is_switched_off_may_not_send(changed):
    assert changed[switch_a_tenant].result() == [401, 202]


def test_a_receiver_that_is_well_says_so(receiver):
    assert receiver.get("/livez").status == 200
    assert receiver.get("/readyz").status == 200


def test_what_was_answered_is_counted(receiver):
    receiver.post(ORDERS)
    page = receiver.get("/metrics").body.decode()
    [line] = [
        line
        for line in page.splitlines()
        if line.startswith("steadfast_webhook_requests_total")
        and 'entity="acme",source="orders",status="202"' in line
    ]
    assert float(line.rpartition(" ")[2]) >= 1
