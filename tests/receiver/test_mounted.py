"""What only the receiver inside Airflow's web server has to show."""

import json
import urllib.request

from .rig import new_id, order
from .wire import write_request


def test_a_signed_event_is_accepted_once_and_then_known(mounted, orders):
    body, event_id = order(), new_id()
    first = mounted.post(orders, body, event_id=event_id)
    again = [mounted.post(orders, body, event_id=event_id) for _ in range(4)]
    assert (first.status, {answer.status for answer in again}) == (202, {200})
    assert len(mounted.stored(event_id)) == 1


def test_a_bad_signature_is_not_let_in(mounted, orders):
    answer = mounted.post(orders, change={"webhook-signature": "v1,bm90IGl0"})
    assert (answer.status, answer.error) == (401, "unauthorized")


def test_it_is_ready_before_its_first_event(mounted):
    # `mounted` has waited for nothing else.
    assert mounted.get("/readyz").json == {"status": "ready"}
    assert mounted.get("/livez").status == 200


def test_its_numbers_are_for_this_machine_only(mounted):
    def ask(**headers: str) -> int:
        target = mounted.address.prefix + "/metrics"
        return mounted.ask(
            write_request(target, {"connection": "close", **headers}, method="GET"), method="GET"
        ).status

    assert ask() == 200
    assert ask(**{"x-forwarded-for": "203.0.113.9"}) == 404


def test_airflow_s_own_pages_are_where_they_were(mounted):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{mounted.address.port}/api/v2/version", timeout=30) as answer:
        assert json.load(answer)["version"].startswith("3.")


def test_what_lies_below_no_source_is_answered_by_the_receiver(mounted):
    assert mounted.get("/v1/nothing").error == "not_found"
