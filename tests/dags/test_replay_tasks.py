"""The form of `webhook_replay`, and what its task makes of it."""

import json
import logging
from copy import deepcopy
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import ParamValidationError

from steadfast.errors import ConfigError, QualityError
from steadfast.orchestration.replay_form import FORM
from steadfast.orchestration.replay_tasks import name_actor, read_filter, replay_by_form
from steadfast.webhooks.replaying.replay import REPLAYABLE

USD = '[{"op": "replace", "path": "/data/currency", "value": "USD"}]'
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def form(**fields):
    return {name: param.value for name, param in FORM.items()} | fields


def context(**fields):
    run = SimpleNamespace(run_id="manual__1", triggering_user_name="ada")
    return {"params": form(**fields), "dag_run": run}


@pytest.fixture
def owner(database, use_warehouse):
    use_warehouse()
    with database.connect() as owner:
        owner.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
            " VALUES ('bakery', 'Bakery', now(), now())"
        )
        owner.execute(
            "INSERT INTO config.webhook_source"
            " (entity_id, slug, name, auth, time_zone, created_at, updated_at)"
            " VALUES (1, 'shop', 'Shop', 'token', 'UTC', now(), now())"
        )
        yield owner


def add_dead(owner, data):
    body = json.dumps({"type": "order", "timestamp": "2026-11-20T08:00:00Z", "data": data}).encode()
    inbox_id = owner.execute(
        "INSERT INTO landing.webhook_inbox VALUES (nextval('landing.webhook_inbox_id'), 1, 1, 'e', 'order',"
        " 1, %s, %s, true, 'http', NULL) RETURNING inbox_id",
        (AT, body),
    ).fetchone()[0]
    owner.execute(
        "INSERT INTO landing.dead_letter VALUES (%s, 1, 1, 'e', 'order', %s, 'dead', 'bad_field', 'why',"
        " NULL, %s)",
        (inbox_id, AT, AT),
    )
    return inbox_id


def copied(owner):
    return [
        row[0] for row in owner.execute("SELECT replay_of FROM landing.webhook_inbox WHERE origin = 'replay'")
    ]


def test_the_form_tries_first_and_is_about_dead_letters():
    assert (form()["is_dry_run"], form()["state"]) == (True, "dead")
    assert FORM["state"].schema["enum"] == list(REPLAYABLE)


@pytest.mark.parametrize(
    ("field", "value"),
    [("entity", "Bad Slug"), ("state", "waiting"), ("event_type", "Order!"), ("is_dry_run", "maybe")],
)
def test_the_form_refuses_what_cannot_be_meant(dag_bag, field, value):
    param = deepcopy(dag_bag.dags["webhook_replay"].params.get_param(field))
    with pytest.raises(ParamValidationError):
        param.resolve(value=value)


def test_the_replay_starts_only_by_hand(dag_bag):
    assert dag_bag.dags["webhook_replay"].timetable.can_be_scheduled is False


def test_empty_fields_do_not_matter_and_times_are_utc():
    wanted = read_filter(
        form(entity="bakery", source="", since="2026-11-20T09:00:00", until="2026-11-21T00:00:00Z")
    )
    assert (wanted.entity, wanted.source, wanted.state) == ("bakery", None, "dead")
    assert (wanted.since, wanted.until) == (AT, datetime(2026, 11, 21, tzinfo=UTC))


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="'yesterday' is no time"):
        read_filter(form(since="yesterday"))


def test_a_form_that_names_nothing_is_refused():
    with pytest.raises(ConfigError, match="--all-dead"):
        read_filter(form(state="applied"))


def test_the_person_who_filled_in_the_form_is_on_record():
    assert name_actor(SimpleNamespace(run_id="manual__1", triggering_user_name="ada")) == "airflow:ada"
    assert name_actor(SimpleNamespace(run_id="manual__1", triggering_user_name=None)) == "airflow:manual__1"


def test_a_dry_run_says_in_the_log_what_would_happen_without_any_body(owner, caplog):
    caplog.set_level(logging.INFO)
    add_dead(owner, {"currency": "usd", "order_id": "secret-7"})
    add_dead(owner, {})
    done = replay_by_form(context(entity="bakery", patch=USD))
    assert (done["matched"], done["replayed"], done["refused"]) == (2, 1, 1)
    assert copied(owner) == []
    assert "nothing was changed" in caplog.text
    assert "the event has no such place" in caplog.text
    assert "would be mended; then: data: status, placed_at, total is missing." in caplog.text
    assert "secret-7" not in caplog.text


def test_a_replay_copies_what_the_form_names(owner):
    event = add_dead(owner, {"currency": "usd"})
    done = replay_by_form(context(reason="bad_field", patch=USD, is_dry_run=False))
    assert (done["replayed"], copied(owner)) == (1, [event])
    assert owner.execute("SELECT requested_by, is_dry_run FROM ops.webhook_replay").fetchone() == (
        "airflow:ada",
        False,
    )


@pytest.mark.parametrize("state", ["dead", "applied"])
def test_a_task_that_is_tried_again_replays_nothing_twice_and_is_on_record_once(owner, state):
    event = add_dead(owner, {"currency": "usd"})
    if state == "applied":
        owner.execute("DELETE FROM landing.dead_letter")
    first_try = context(entity="bakery", state=state, is_dry_run=False)
    tries = []
    for _ in range(3):
        owner.execute("UPDATE ops.webhook_watermark SET planned_to = 1000")
        tries.append(replay_by_form(first_try))
    assert tries == [{"request_id": 1, "matched": 1, "replayed": 1, "refused": 0}] * 3
    assert copied(owner) == [event]
    assert owner.execute("SELECT airflow_run_id FROM ops.webhook_replay").fetchall() == [("manual__1",)]
    assert owner.execute("SELECT count(*) FROM ops.audit_event").fetchone() == (1,)


def test_a_replay_that_leaves_some_behind_is_red_after_the_others_are_done(owner):
    event, bad = add_dead(owner, {"currency": "usd"}), add_dead(owner, {})
    with pytest.raises(QualityError, match=f"1 of 2 events stay as they were. Event {bad}"):
        replay_by_form(context(entity="bakery", patch=USD, is_dry_run=False))
    assert copied(owner) == [event]


def test_a_patch_that_is_none_is_refused(owner):
    with pytest.raises(ConfigError, match="patch"):
        replay_by_form(context(entity="bakery", patch="{}"))
