"""What is accepted ends in its table or as a dead letter that says why, and nothing else is touched."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from steadfast.webhooks.applying.plan import Limit
from steadfast.webhooks.applying.process import Processed
from steadfast.webhooks.events import EVENTS

from .conftest import NOON, SENT, order


def test_an_order_becomes_a_row_on_the_day_of_its_shop(inbox):
    inbox_id = inbox.add(order(item_count=3, source="google", tax=9.9))
    assert inbox.process() == Processed(1, 1, 0)
    columns = "order_id, status, placed_at, total, currency, tax, shipping, item_count, traffic_source"
    assert inbox.rows(columns) == [
        (
            "10042",
            "paid",
            datetime(2026, 11, 24, 2, 20, tzinfo=UTC),
            Decimal("129.900000"),
            "USD",
            Decimal("9.900000"),
            None,
            3,
            "google",
        )
    ]
    common = "entity_id, source_id, event_on, event_at, inbox_id, received_at, run_id"
    sent_at = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert inbox.rows(common) == [
        (1, 1, date(2026, 11, 23), sent_at, inbox_id, NOON - timedelta(minutes=1), 1)
    ]


def test_the_example_of_every_contract_is_taken(inbox):
    for event in EVENTS.values():
        inbox.add(event.example, event.name, version=event.version)
    assert inbox.process() == Processed(1, len(EVENTS), 0)
    assert [len(inbox.rows("event_on", event.name)) for event in EVENTS.values()] == [1] * len(EVENTS)


def test_an_event_of_ones_own_is_kept_as_it_is_under_its_id(inbox):
    inbox.add({"name": "opened", "list": [1, {"a": None}]}, "custom", event_id="own-1")
    inbox.process()
    assert inbox.rows("event_id, name, payload, event_on", "custom") == [
        ("own-1", "opened", {"name": "opened", "list": [1, {"a": None}]}, date(2026, 11, 24))
    ]


def test_a_day_that_is_named_is_kept_as_named(inbox):
    spend = EVENTS["campaign_spend", 1].example
    inbox.add(spend, "campaign_spend")
    inbox.add(spend | {"amount": "-3.5", "campaign": "credit"}, "campaign_spend")
    inbox.process()
    assert inbox.rows("campaign, event_on, spend_on, amount", "campaign_spend") == [
        ("black friday", date(2026, 11, 22), date(2026, 11, 22), Decimal("41.070000")),
        ("credit", date(2026, 11, 22), date(2026, 11, 22), Decimal("-3.500000")),
    ]


def test_the_newest_event_of_a_key_wins_whatever_the_order_they_came_in(inbox):
    inbox.add(order(status="fulfilled"), timestamp="2026-11-24T09:00:00Z")
    inbox.add(order(status="placed"), timestamp="2026-11-24T08:00:00Z")
    inbox.process()
    inbox.add(order(status="paid"), timestamp="2026-11-24T08:30:00Z")
    assert inbox.process().applied_count == 1
    assert inbox.rows("order_id, status") == [("10042", "fulfilled")]
    inbox.add(order(status="cancelled"), timestamp="2026-11-24T09:00:00Z")
    inbox.process()
    assert inbox.rows("order_id, status") == [("10042", "cancelled")]


def test_a_newer_event_empties_what_it_does_not_say_any_more(inbox):
    inbox.add(order(customer_id="A"), timestamp="2026-11-24T08:00:00Z")
    inbox.process()
    inbox.add(order(), timestamp="2026-11-24T09:00:00Z")
    inbox.process()
    assert inbox.rows("order_id, customer_id") == [("10042", None)]


def test_two_sources_may_use_the_same_keys(inbox):
    inbox.add_source(1, "shop")
    inbox.add(order(), source_id=1)
    inbox.add(order(), source_id=2)
    inbox.process()
    assert inbox.rows("source_id, order_id") == [(1, "10042"), (2, "10042")]


def test_numbers_stay_exact(inbox):
    digits = "123456789012345678901234567890"
    body = b'{"type":"order","timestamp":"%s","data":{"order_id":%s,"status":"paid",' % (
        SENT.encode(),
        digits.encode(),
    )
    body += b'"placed_at":"%s","total":1.299e2,"currency":"USD","tax":"999999999999.999999",' % SENT.encode()
    inbox.add_body(body + b'"item_count":3.0}}')
    inbox.process()
    assert inbox.rows("order_id, total, tax, item_count") == [
        (digits, Decimal("129.900000"), Decimal("999999999999.999999"), 3)
    ]


def test_events_in_flight_are_applied_though_source_and_entity_are_gone_or_off(inbox):
    inbox.add(order())
    inbox.add(order(), source_id=99, entity_id=77)
    inbox.execute("UPDATE config.webhook_source SET is_enabled = false")
    inbox.execute("UPDATE config.business_entity SET is_enabled = false")
    assert inbox.process() == Processed(1, 2, 0)
    assert inbox.rows("source_id, event_on") == [(1, date(2026, 11, 23)), (99, date(2026, 11, 24))]


REFUSALS = [
    (order(total=None), "missing_field", 'data.total is missing; valid is an amount like 129.9 or "129.90"'),
    ({}, "missing_field", "data.order_id is missing"),
    (None, "missing_field", "data is missing"),
    ([1], "bad_field", "data is an array; valid is an object"),
    ("x", "bad_field", 'data is "x"; valid is an object'),
    (order(total="12,50"), "bad_field", 'data.total is "12,50"; valid is an amount'),
    (order(total=-1), "bad_field", "at most 6 decimals, from 0."),
    (order(total="1.0000001"), "bad_field", "at most 6 decimals"),
    (order(total=0.1 + 0.2), "bad_field", "data.total is 0.30000000000000004;"),
    (order(total="1000000000000"), "bad_field", "below a million million"),
    (order(total={"a": 1}), "bad_field", "data.total is an object;"),
    (order(total=True), "bad_field", "data.total is true;"),
    (order(currency="usd"), "bad_field", 'data.currency is "usd"; valid is a currency like "USD"'),
    (order(status="new"), "bad_field", "valid is placed or paid or fulfilled or cancelled."),
    (order(status=["paid"]), "bad_field", "data.status is an array"),
    (order(placed_at="2026-02-30T10:00:00Z"), "bad_field", "data.placed_at is"),
    (order(placed_at="2026-11-24T10:00:00"), "bad_field", "a moment with its zone"),
    (order(placed_at="2026-11-24T10:00:00.000+16:00"), "bad_field", "a moment with its zone"),
    (order(placed_at="infinity"), "bad_field", "a moment with its zone"),
    (order(placed_at=1795436659), "bad_field", "data.placed_at is 1795436659;"),
    (order(order_id=""), "bad_field", 'data.order_id is ""; valid is a text of 1 to 500 characters'),
    (order(order_id="x" * 501), "bad_field", "xxx…; valid is"),
    (order(order_id=1.5), "bad_field", "data.order_id is 1.5;"),
    (order(order_id=False), "bad_field", "data.order_id is false;"),
    (order(order_id={"a": 1}), "bad_field", "data.order_id is an object;"),
    (order(item_count=-1), "bad_field", "data.item_count is -1; valid is a whole number"),
    (order(item_count=1.5), "bad_field", "data.item_count is 1.5"),
    (order(item_count="1" * 16), "bad_field", "at most 15 digits"),
    (order(campaign=7.5), "bad_field", "data.campaign is 7.5"),
]


def test_a_bad_event_dies_with_words_that_say_what_came_and_what_is_valid(inbox):
    ids = [inbox.add(data) for data, _, _ in REFUSALS]
    inbox.add(order(order_id="a neighbour"))
    assert inbox.process() == Processed(1, 1, len(REFUSALS))
    assert inbox.dead() == [
        (inbox_id, reason) for inbox_id, (_, reason, _) in zip(ids, REFUSALS, strict=True)
    ]
    missing = [
        (words, detail)
        for (_, _, words), detail in zip(REFUSALS, inbox.details(), strict=True)
        if words not in detail
    ]
    assert missing == []
    assert inbox.rows("order_id") == [("a neighbour",)]


WRONG_TIMES = [
    (None, "bad_timestamp", "timestamp is missing; valid is a moment with its zone"),
    ("yesterday", "bad_timestamp", 'timestamp is "yesterday"'),
    ("2026-11-31T10:00:00Z", "bad_timestamp", 'timestamp is "2026-11-31T10:00:00Z"'),
    ("2026-11-24T25:00:00Z", "bad_timestamp", "timestamp is"),
    ("2026-11-25T12:00:00Z", "future_timestamp", "at most one day after the event was received"),
    ("1999-12-31T23:59:59Z", "ancient_timestamp", "a moment after 1999"),
    ("2000-01-01T01:00:00+02:00", "ancient_timestamp", "a moment after 1999"),
]


def test_a_timestamp_that_cannot_be_is_refused(inbox):
    for timestamp, _, _ in WRONG_TIMES:
        inbox.add(order(), timestamp=timestamp)
    inbox.process()
    assert [reason for _, reason in inbox.dead()] == [reason for _, reason, _ in WRONG_TIMES]
    for (_, _, words), detail in zip(WRONG_TIMES, inbox.details(), strict=True):
        assert words in detail


def test_every_usual_way_to_write_a_moment_is_taken(inbox):
    moments = (
        "2026-11-24T10:00Z",
        "2026-11-24t10:00:00z",
        "2026-11-24 10:00:00.123456789+0530",
        "2026-11-24T24:00:00-05:00",
        "2026-11-24T10:00:00.000-05:00",
        "2000-02-29T00:00:00Z",
        "2026-11-25T11:58:00Z",
    )
    for timestamp in moments:
        inbox.add(order(placed_at=timestamp), timestamp=timestamp)
    assert inbox.process() == Processed(1, len(moments), 0)


def test_events_without_a_contract_die_with_the_known_ones_named(inbox):
    inbox.add_body(b"{}", None)
    inbox.add(order(), "invoice")
    inbox.add(order(), version=2)
    inbox.add_body(b'{"type":"order","data":{"order_id":"\\u0000"}}', is_text_ok=False)
    inbox.add_body(b"not json at all \xff", "invoice", is_text_ok=False)
    assert inbox.process() == Processed(1, 0, 5)
    details = inbox.query("SELECT reason, detail FROM landing.dead_letter ORDER BY inbox_id")
    assert [reason for reason, _ in details] == [
        "unknown_type",
        "unknown_type",
        "unknown_version",
        "unstorable_text",
        "unstorable_text",
    ]
    assert details[0][1].startswith("type is missing or no name; valid is booking, campaign_spend,")
    assert details[1][1].startswith('type is "invoice"; valid is booking,')
    assert details[2][1] == "version of order is 2; valid is 1."
    assert "half of a surrogate pair" in details[3][1]


def test_a_detail_never_carries_signs_that_deceive_the_eye(inbox):
    inbox.add(order(currency="\u202egpj.exe\u200b\n"))
    inbox.process()
    assert 'data.currency is "?gpj.exe?\\n"; valid' in inbox.detail()


def test_key_texts_that_would_not_fit_an_index_are_refused_before_they_hurt(inbox):
    long = "".join(chr(0x1F300 + number) for number in range(450))
    spend = EVENTS["campaign_spend", 1].example | {"source": long, "medium": long, "campaign": long}
    inbox.add(spend, "campaign_spend")
    inbox.process()
    assert "at most 2400 bytes in source and medium and campaign together" in inbox.detail()


def test_key_texts_that_grow_when_they_are_folded_are_measured_as_they_are_kept(inbox):
    long = "\N{LATIN CAPITAL LETTER A WITH STROKE}" * 450
    spend = EVENTS["campaign_spend", 1].example | {"source": long, "medium": long[:200], "campaign": long}
    inbox.add(spend, "campaign_spend")
    assert inbox.process() == Processed(1, 0, 1)
    assert "at most 2400 bytes in source and medium and campaign together" in inbox.detail()


SPELLINGS = [("Black Friday", "41"), ("  black FRIDAY ", "45"), ("black friday", "43")]


def test_spellings_of_a_campaign_are_one_fact_of_which_the_newest_counts(inbox):
    spend = EVENTS["campaign_spend", 1].example | {"source": "Google", "medium": "CPC"}
    for hour, (campaign, amount) in zip(("08", "10", "09"), SPELLINGS, strict=True):
        data = spend | {"campaign": campaign, "amount": amount}
        inbox.add(data, "campaign_spend", timestamp=f"2026-11-24T{hour}:00:00Z")
    inbox.process()
    columns = "traffic_source, traffic_medium, campaign, amount"
    assert inbox.rows(columns, "campaign_spend") == [("google", "cpc", "black friday", Decimal(45))]
    late = spend | {"campaign": "BLACK FRIDAY", "amount": "50"}
    inbox.add(late, "campaign_spend", timestamp="2026-11-24T11:00:00Z")
    inbox.process()
    assert inbox.rows("campaign, amount", "campaign_spend") == [("black friday", Decimal(50))]


def test_a_campaign_of_nothing_but_spaces_is_not_set(inbox):
    spend = EVENTS["campaign_spend", 1].example
    inbox.add(spend | {"campaign": "  "}, "campaign_spend")
    inbox.add(spend | {"campaign": "(Not Set)"}, "campaign_spend")
    inbox.process()
    assert inbox.rows("campaign", "campaign_spend") == [("(not set)",)]


def test_a_dead_letter_names_its_event(inbox):
    inbox.add(order(total="x"), event_id="evt-7")
    inbox.process()
    columns = "entity_id, source_id, event_id, event_type, received_at, state, sqlstate, failed_at"
    assert inbox.query(f"SELECT {columns} FROM landing.dead_letter") == [  # noqa: S608
        (1, 1, "evt-7", "order", NOON - timedelta(minutes=1), "dead", None, NOON)
    ]


def test_a_done_chunk_tells_what_it_did(inbox):
    inbox.add(order())
    inbox.add(order(total="x"))
    inbox.process()
    columns = "state, attempt, applied_count, dead_count, finished_at, error"
    assert inbox.query(f"SELECT {columns} FROM ops.webhook_chunk") == [  # noqa: S608
        ("done", 1, 1, 1, NOON, None)
    ]
    assert inbox.work() == Processed()


def replay(inbox, dead_id, data, **more):
    copy = inbox.add(data, origin="replay", replay_of=dead_id, **more)
    inbox.execute(
        "UPDATE landing.dead_letter SET state = 'replayed', replayed_as = %s WHERE inbox_id = %s",
        copy,
        dead_id,
    )
    return copy


def states(inbox):
    return inbox.query("SELECT inbox_id, state FROM landing.dead_letter ORDER BY inbox_id")


def test_a_replay_that_is_applied_resolves_the_dead_letter(inbox):
    dead_id = inbox.add(order(total="x"))
    inbox.process()
    replay(inbox, dead_id, order())
    inbox.process()
    assert states(inbox) == [(dead_id, "resolved")]
    settled = inbox.query("SELECT settled_at, settled_by FROM landing.dead_letter")
    assert settled == [(NOON, "replay")]


def test_a_replay_that_dies_has_its_own_dead_letter_until_the_last_one_resolves_all(inbox):
    first = inbox.add(order(total="x"))
    inbox.process()
    second = replay(inbox, first, order(total="y"))
    inbox.process()
    assert states(inbox) == [(first, "replayed"), (second, "dead")]
    replay(inbox, second, order())
    inbox.process()
    assert states(inbox) == [(first, "resolved"), (second, "resolved")]


def test_a_worker_whose_time_is_over_leaves_the_rest_for_the_next_run(inbox):
    inbox.add(order())
    inbox.plan()
    assert inbox.work(is_time_over=lambda: True) == Processed()
    assert inbox.work() == Processed(1, 1, 0)


def test_a_small_entity_is_processed_before_a_flood(inbox, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.applying.plan.LARGEST_CHUNK", Limit(3))
    cafe = inbox.add_entity("cafe")
    source = inbox.add_source(cafe)
    for number in range(9):
        inbox.add(order(order_id=str(number)))
    inbox.plan()
    inbox.add(order(), entity_id=cafe, source_id=source)
    inbox.plan()
    inbox.work(is_time_over=iter([False, True]).__next__)
    assert inbox.rows("entity_id") == [(cafe,)]


def test_bodies_that_hold_more_than_the_contract_are_taken(inbox):
    event = {"type": "order", "timestamp": SENT, "id": 7, "data": order(lines=[{"sku": "A"}])}
    inbox.add_body(json.dumps(event).encode())
    assert inbox.process() == Processed(1, 1, 0)
