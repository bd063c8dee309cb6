"""What was acknowledged is in the inbox once, whatever comes with it in one commit."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import psycopg
import pytest

from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.webhooks.envelope import read_event
from steadfast.webhooks.inbox import ACCEPTED, CONFLICT, DUPLICATE, open_connection, store_batch, store_events
from steadfast.webhooks.receiving.flush import Flusher, Queue, Waiting
from steadfast.webhooks.receiving.traffic import Traffic
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Directory, Source

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ADD_ENTITY = """
    INSERT INTO config.business_entity (slug, name, created_at, updated_at)
    VALUES ('bakery', 'Bakery', now(), now())
"""
ADD_SOURCE = """
    INSERT INTO config.webhook_source (
        entity_id, slug, name, auth, time_zone, conflict_policy, created_at, updated_at
    )
    SELECT entity_id, %s, 'Shop', 'token', 'UTC', %s, now(), now() FROM config.business_entity
"""
ADD_KEY = """
    INSERT INTO config.webhook_key (source_id, token_hash, sealed_secret, not_before, created_at)
    SELECT source_id, %s, %s, now(), now() FROM config.webhook_source WHERE slug = %s
"""

END_RECEIVERS = """
    SELECT pg_terminate_backend(pid, 5000)
    FROM pg_stat_activity
    WHERE usename = 'steadfast_receiver' AND datname = current_database()
"""


@pytest.fixture
def sources(database) -> dict[str, Source]:
    """One source for each policy, as a receiver reads them."""
    with database.connect() as owner:
        owner.execute(ADD_ENTITY)
        for policy in ("reject", "keep_first", "new_version"):
            owner.execute(ADD_SOURCE, (policy.replace("_", "-"), policy))

    async def read() -> Directory:
        directory = Directory(lambda sealed: sealed.decode())
        connection = await open_connection(database.receiver_url, "test")
        await directory.refresh(connection, 0.0)
        await connection.close()
        return directory

    return {known.source.conflict_policy: known.source for known in asyncio.run(read()).sources.values()}


def store(database, *events, origin="http"):
    return store_events(database.receiver_url, events, origin=origin, now=NOW)


def stored_bodies(database) -> list[tuple[str, bytes]]:
    with database.connect() as owner:
        query = "SELECT event_id, body FROM landing.webhook_inbox ORDER BY inbox_id"
        return [(event_id, bytes(body)) for event_id, body in owner.execute(query)]


def test_a_new_event_is_kept_byte_for_byte(database, sources):
    body = b'{ "type":"order", "data":{"n":123456789012345678901234567890, "x":"\\u0000"} }'
    (answer,) = store(database, read_event(sources["reject"], "evt-1", body))
    assert answer.outcome == ACCEPTED
    assert stored_bodies(database) == [("evt-1", body)]


def test_an_event_that_comes_again_is_named_and_not_kept_again(database, sources):
    event = read_event(sources["reject"], "evt-1", b"{}")
    (first,) = store(database, event)
    (again,) = store(database, event)
    assert (again.outcome, again.inbox_id) == (DUPLICATE, first.inbox_id)
    assert len(stored_bodies(database)) == 1


def test_equal_events_in_one_commit_are_one_and_each_gets_an_answer(database, sources):
    event, other = (read_event(sources["reject"], name, b"{}") for name in ("evt-1", "evt-2"))
    answers = store(database, event, other, event, event)
    assert [answer.outcome for answer in answers] == [ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE]
    assert len({answer.inbox_id for answer in answers}) == 2


def test_a_known_id_with_another_body_is_a_conflict_and_its_body_is_evidence(database, sources):
    source = sources["reject"]
    (first,) = store(database, read_event(source, "evt-1", b"{}"))
    answers = store(database, read_event(source, "evt-1", b'{"a":1}'), read_event(source, "evt-2", b"{}"))
    assert [answer.outcome for answer in answers] == [CONFLICT, ACCEPTED]
    with database.connect() as owner:
        query = "SELECT event_id, first_inbox_id, policy, body FROM landing.webhook_conflict"
        assert owner.execute(query).fetchall() == [("evt-1", first.inbox_id, "reject", b'{"a":1}')]


def test_a_conflict_within_one_commit_is_seen_too(database, sources):
    source = sources["keep_first"]
    answers = store(database, read_event(source, "evt-1", b"{}"), read_event(source, "evt-1", b'{"a":1}'))
    assert [answer.outcome for answer in answers] == [ACCEPTED, CONFLICT]
    assert stored_bodies(database) == [("evt-1", b"{}")]


def test_where_a_new_body_is_a_new_version_both_are_kept_and_a_repeat_is_not(database, sources):
    source = sources["new_version"]
    first, second = (read_event(source, "evt-1", body) for body in (b"{}", b'{"a":1}'))
    answers = store(database, first, second, second)
    assert [answer.outcome for answer in answers] == [ACCEPTED, ACCEPTED, DUPLICATE]


def test_two_sources_may_use_the_same_id(database, sources):
    events = [read_event(sources[policy], "evt-1", b"{}") for policy in ("reject", "keep_first")]
    assert [answer.outcome for answer in store(database, *events)] == [ACCEPTED, ACCEPTED]


def test_the_same_ids_in_opposite_order_do_not_block_each_other(database, sources):
    events = [read_event(sources["reject"], f"evt-{number}", b"{}") for number in range(200)]

    async def store_both_ways() -> list[list]:
        connections = [await open_connection(database.receiver_url, "test") for _ in range(2)]
        rounds = [
            store_batch(connection, order, origin="http", now=NOW)
            for connection, order in zip(connections, (events, events[::-1]), strict=True)
        ]
        answers = await asyncio.gather(*rounds)
        for connection in connections:
            await connection.close()
        return answers

    answers = asyncio.run(store_both_ways())
    outcomes = [answer.outcome for part in answers for answer in part]
    assert sorted(outcomes) == [ACCEPTED] * 200 + [DUPLICATE] * 200
    assert len(stored_bodies(database)) == 200


def test_a_day_without_a_partition_gets_one(database, sources):
    later = datetime(2027, 3, 1, tzinfo=UTC)
    event = read_event(sources["reject"], "evt-1", b"{}")
    (answer,) = store_events(database.receiver_url, [event], origin="reconcile", now=later)
    assert answer.outcome == ACCEPTED


def test_a_warehouse_that_is_away_is_said_to_be(sources):
    with pytest.raises(WarehouseBusy, match=r"127\.0\.0\.1:1"):
        store_events(
            "postgresql://steadfast_receiver:x@127.0.0.1:1/steadfast",
            [read_event(sources["reject"], "evt-1", b"{}")],
            origin="http",
            now=NOW,
        )


def test_a_wrong_password_is_said_to_be_one(database):
    url = database.receiver_url.replace("steadfast_receiver:", "steadfast_receiver:wrong")
    with pytest.raises(ConfigError, match="refuses steadfast_receiver"):
        asyncio.run(open_connection(url, "test"))


def put(queue, events):
    """Queue events; a future an event."""
    loop = asyncio.get_running_loop()
    waiting = [Waiting(event, loop.create_future()) for event in events]
    queue.put(waiting)
    return [each.answer for each in waiting]


def flush(database, events, *, before=lambda: None, times=1):
    """Hand events to a queue and a real flusher; each answer, or the code of its refusal."""

    async def run() -> list[str]:
        queue = Queue()
        flusher = Flusher(database.receiver_url, queue, Traffic(), lambda: NOW)
        task = asyncio.create_task(flusher.run())
        while not queue.is_open:
            await asyncio.sleep(0.01)
        before()
        answers = [
            answer
            for _ in range(times)
            for answer in await asyncio.gather(*put(queue, events), return_exceptions=True)
        ]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [answer.refusal.code if isinstance(answer, Refused) else answer.outcome for answer in answers]

    return asyncio.run(run())


def test_one_event_that_postgresql_refuses_takes_no_neighbour_with_it(database, sources):
    events = [read_event(sources["reject"], f"evt-{number}", b"{}") for number in range(100)]
    with database.connect() as owner:
        owner.execute("ALTER TABLE landing.webhook_inbox ADD CHECK (event_id <> 'evt-57')")
    answers = flush(database, events)
    assert answers.count(ACCEPTED) == 99
    assert answers[57] == "busy"
    assert len(stored_bodies(database)) == 99


def test_a_connection_that_breaks_is_opened_again(database, sources):
    def break_connections() -> None:
        with psycopg.connect(database.server.superuser_dsn(database.name), autocommit=True) as superuser:
            superuser.execute(END_RECEIVERS)

    events = [read_event(sources["reject"], "evt-1", b"{}")]
    assert flush(database, events, before=break_connections, times=2)[-1] == ACCEPTED
    assert len(stored_bodies(database)) == 1


def test_a_queue_takes_all_of_a_batch_or_nothing(sources):
    async def fill() -> None:
        queue = Queue(most_events=3, most_bytes=100, is_open=True)
        events = [read_event(sources["reject"], f"evt-{number}", b"{}") for number in range(2)]
        put(queue, events)
        with pytest.raises(Refused) as caught:
            put(queue, events)
        assert caught.value.refusal.code == "busy"
        assert 1 <= caught.value.retry_after <= 5
        assert len(queue.waiting) == 2
        assert queue.take_all()
        assert queue.byte_count == 0
        large = read_event(sources["reject"], "evt-9", b'{"a":"' + b"x" * 100 + b'"}')
        with pytest.raises(Refused):
            put(queue, [large])

    asyncio.run(fill())


def test_a_commit_has_a_most_of_events_and_of_bytes(sources):
    async def take() -> list[int]:
        queue = Queue(is_open=True)
        small = [read_event(sources["reject"], f"evt-{number}", b"{}") for number in range(501)]
        large = read_event(sources["reject"], "evt-large", b'{"a":"' + b"x" * 3_000_000 + b'"}')
        put(queue, [*small, large, large])
        sizes = []
        while queue.waiting:
            sizes.append(len(queue.take()))
        return sizes

    assert asyncio.run(take()) == [500, 2, 1]


def test_a_key_that_cannot_be_opened_shuts_nobody_else_out(database, sources):
    with database.connect() as owner:
        owner.execute(ADD_KEY, (None, b"sealed with a lost key", "reject"))
        owner.execute(ADD_KEY, (b"\x01" * 32, None, "keep-first"))

    def refuse(sealed: bytes) -> str:
        raise ConfigError("no key opens it")

    async def read() -> Directory:
        directory = Directory(refuse)
        connection = await open_connection(database.receiver_url, "test")
        await directory.refresh(connection, 0.0)
        await connection.close()
        return directory

    directory = asyncio.run(read())
    assert [len(directory.find("bakery", slug).keys) for slug in ("reject", "keep-first")] == [0, 1]


def test_the_receiver_can_read_no_event_and_change_none(database, sources):
    store(database, read_event(sources["reject"], "evt-1", b"{}"))

    async def attempt(statement: str) -> None:
        connection = await open_connection(database.receiver_url, "test")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    for statement in (
        "SELECT landing.ensure_day('webhook_conflict', '2026-11-20')",
        "SELECT * FROM landing.webhook_inbox",
        "SELECT * FROM landing.webhook_event_key",
        "DELETE FROM landing.webhook_inbox",
        "SELECT * FROM landing.webhook_conflict",
        "SELECT * FROM facts.fact_order",
        "UPDATE config.webhook_source SET is_strict = false",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            asyncio.run(attempt(statement))


STORE = (
    "SELECT * FROM landing.store_events(ARRAY[{source}], ARRAY['evt-1'], ARRAY['order'], ARRAY[1::smallint], "
    "ARRAY[true], ARRAY['{{}}'::bytea], ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], $1, 'replay')"
)


def store_by_hand(database, source_id):
    async def call() -> None:
        connection = await open_connection(database.receiver_url, "test")
        try:
            await connection.execute("BEGIN")
            await connection.fetch(STORE.format(source=source_id), NOW)
            await connection.execute("COMMIT")
        finally:
            await connection.close()

    asyncio.run(call())


def test_whose_an_event_is_and_how_it_came_is_not_for_the_receiver_to_say(database, sources):
    source = sources["reject"]
    store_by_hand(database, source.source_id)
    with database.connect() as owner:
        found = owner.execute("SELECT entity_id, origin FROM landing.webhook_inbox").fetchall()
    assert found == [(source.entity_id, "http")]


def test_an_event_of_no_source_is_refused(database, sources):
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="source that does not exist"):
        store_by_hand(database, 999_999)
