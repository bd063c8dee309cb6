"""What is read back from an execution that failed; the executions have the shape of n8n's public API."""

import pytest

from steadfast.webhooks.n8n import unsent
from steadfast.webhooks.n8n.unsent import Unsent, UnsentItem, find_unsent

ADDRESS = "/v1/in/shop/orders"
BEFORE, POST = "Prepare events", "Steadfast"
ERROR = {"name": "NodeApiError", "message": "The service refused the connection", "httpCode": "ECONNREFUSED"}


def item(number: int, **changes) -> dict:
    json = {"id": f"e-{number}", "timestamp": "1795516229", "body": f'{{"n":{number}}}', "signature": "v1,x"}
    json |= changes
    return {
        "json": {name: value for name, value in json.items() if value is not None},
        "pairedItem": {"item": 0},
    }


def prepared(*items: dict) -> dict:
    return {"executionStatus": "success", "source": [], "data": {"main": [list(items)]}}


def failed(**source) -> dict:
    return {"executionStatus": "error", "error": ERROR, "source": [{"previousNode": BEFORE, **source}]}


def execution(
    run_data: dict, *, url: str | None = f"https://hooks.example.com{ADDRESS}", stack: list = ()
) -> dict:
    node = {"name": POST, "parameters": {} if url is None else {"url": url}}
    return {
        "id": "7",
        "status": "error",
        "workflowData": {"nodes": [{"name": BEFORE}, node]},
        "data": {
            "resultData": {"runData": run_data, "lastNodeExecuted": POST, "error": ERROR},
            "executionData": {"nodeExecutionStack": list(stack)},
        },
    }


def waiting(*items: dict, node: str = POST) -> dict:
    return {
        "node": {"name": node},
        "data": {"main": [list(items)]},
        "source": {"main": [{"previousNode": BEFORE}]},
    }


def ids(found) -> list[str]:
    return [one.event_id for one in found.items]


def test_it_finds_what_the_failed_node_was_given():
    found = find_unsent(execution({BEFORE: [prepared(item(1), item(2))], POST: [failed()]}), POST, ADDRESS)
    assert found.items == (UnsentItem("e-1", b'{"n":1}'), UnsentItem("e-2", b'{"n":2}'))
    assert found.problems == ()


def test_an_item_that_also_lies_ready_for_a_retry_comes_once():
    stack = [waiting(item(1), item(2))]
    given = execution({BEFORE: [prepared(item(1), item(2))], POST: [failed()]}, stack=stack)
    assert ids(find_unsent(given, POST, ADDRESS)) == ["e-1", "e-2"]


def test_it_follows_the_output_and_the_run_that_fed_the_node():
    two_outputs = {"executionStatus": "success", "data": {"main": [[item(8)], [item(9)]]}}
    runs = {BEFORE: [prepared(item(1)), two_outputs], POST: [failed(previousNodeRun=1, previousNodeOutput=1)]}
    assert ids(find_unsent(execution(runs), POST, ADDRESS)) == ["e-9"]


def test_of_a_loop_only_the_rounds_that_failed_come():
    good = {"executionStatus": "success", "source": [{"previousNode": BEFORE}], "data": {"main": [[]]}}
    runs = {BEFORE: [prepared(item(1)), prepared(item(2))], POST: [good, failed(previousNodeRun=1)]}
    assert ids(find_unsent(execution(runs), POST, ADDRESS)) == ["e-2"]


def test_what_n8n_was_about_to_send_when_it_crashed_comes():
    given = execution({BEFORE: [prepared(item(1))]}, stack=[waiting(item(1)), waiting(item(2), node="Mail")])
    assert ids(find_unsent(given, POST, ADDRESS)) == ["e-1"]


@pytest.mark.parametrize(
    "run_data",
    [
        {BEFORE: [{"executionStatus": "error", "error": ERROR, "source": []}]},
        {BEFORE: [prepared(item(1))], POST: [prepared(item(1))], "Mail": [failed()]},
    ],
)
def test_a_failure_of_another_node_leaves_nothing_unsent(run_data):
    assert find_unsent(execution(run_data), POST, ADDRESS) == Unsent()


def canceled(run_data: dict, connections: dict, *, last: str = POST) -> dict:
    """What n8n keeps when Stop is pressed between two tries: no run of the node, and nothing lies ready."""
    given = execution(run_data) | {"status": "canceled"}
    given["data"]["resultData"] = {"runData": run_data, "lastNodeExecuted": last}
    given["workflowData"]["connections"] = {
        name: {"main": [[{"node": node, "type": "main", "index": 0} for node in nodes] for nodes in outputs]}
        for name, outputs in connections.items()
    }
    return given


def test_what_was_being_sent_when_somebody_pressed_stop_comes():
    given = canceled({BEFORE: [prepared(item(1), item(2))]}, {BEFORE: [[POST]]})
    assert ids(find_unsent(given, POST, ADDRESS)) == ["e-1", "e-2"]


def test_of_a_stopped_node_all_that_leads_to_it_comes():
    two_outputs = {"executionStatus": "success", "data": {"main": [[item(8)], [item(9)]]}}
    runs = {BEFORE: [prepared(item(1)), prepared(item(2))], "If": [two_outputs], "Mail": [prepared(item(5))]}
    given = canceled(runs, {BEFORE: [[POST, "Mail"]], "If": [["Mail"], [POST]], "Mail": [["Log"]]})
    assert ids(find_unsent(given, POST, ADDRESS)) == ["e-1", "e-2", "e-9"]


def test_what_was_stopped_before_it_reached_the_node_has_nothing_unsent():
    given = canceled({BEFORE: [prepared(item(1))]}, {BEFORE: [[POST]]}, last=BEFORE)
    assert find_unsent(given, POST, ADDRESS) == Unsent()


def test_what_was_stopped_in_the_queue_has_nothing_unsent_and_is_no_problem():
    assert find_unsent(canceled({}, {BEFORE: [[POST]]}), POST, ADDRESS) == Unsent()


@pytest.mark.parametrize("nonsense", [[], "x", 7, None, {"main": "x"}, {"main": [7]}, {"main": [[7]]}])
def test_nonsense_in_what_was_stopped_is_no_exception(nonsense):
    given = canceled({BEFORE: [prepared(item(1))]}, {})
    given["workflowData"]["connections"] = {BEFORE: nonsense}
    assert find_unsent(given, POST, ADDRESS) == Unsent()
    given["workflowData"]["connections"] = nonsense
    assert find_unsent(given, POST, ADDRESS) == Unsent()


def test_what_was_stopped_after_countless_runs_is_told(monkeypatch):
    monkeypatch.setattr(unsent, "MOST_ITEMS", 3)
    given = canceled({BEFORE: [prepared(item(number)) for number in range(9)]}, {BEFORE: [[POST]]})
    assert find_unsent(given, POST, ADDRESS).problems == ("an execution holds more than 3 events",)


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        (f"https://hooks.example.com{ADDRESS}", True),
        (f"https://hooks.example.com{ADDRESS}/batch", True),
        (f"={{{{ $env.HOOKS + '{ADDRESS}' }}}}", True),
        ("={{ $json.url }}", True),
        (None, True),
        ("https://hooks.example.com/v1/in/shop/orders-old", False),
        ("https://hooks.example.com/v1/in/bakery/orders", False),
    ],
)
def test_a_node_of_that_name_which_posts_elsewhere_is_left_alone(url, is_ours):
    found = find_unsent(execution({BEFORE: [prepared(item(1))], POST: [failed()]}, url=url), POST, ADDRESS)
    assert bool(found.items) == is_ours


def test_a_workflow_without_such_a_node_is_left_alone():
    given = execution({BEFORE: [prepared(item(1))], "Other": [failed()]})
    assert not find_unsent(given, "Nowhere", ADDRESS).problems


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "no `id`"),
        ({"id": True}, "no `id`"),
        ({"body": None}, "no text in `body`"),
        ({"body": {"type": "order"}}, "no text in `body`"),
        ({"isArtificialRecoveredEventItem": True}, "as after a crash"),
    ],
)
def test_an_item_that_cannot_be_read_is_told_and_stops_no_other(changes, words):
    runs = {BEFORE: [prepared(item(1, **changes), item(2))], POST: [failed()]}
    found = find_unsent(execution(runs), POST, ADDRESS)
    assert ids(found) == ["e-2"]
    assert len(found.problems) == 1
    assert words in found.problems[0]


def test_each_item_that_cannot_be_read_counts():
    runs = {BEFORE: [prepared(item(1, id=None), item(2, id=None))], POST: [failed()]}
    assert len(find_unsent(execution(runs), POST, ADDRESS).problems) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataTooLargeToDisplay": True, "data": {}}, "too large"),
        ({"data": {"redactionInfo": {"isRedacted": True}, "resultData": {"runData": {}}}}, "hides its data"),
        ({"data": {"resultData": {"runData": {}}}}, "kept no data"),
        ({"data": None}, "kept no data"),
    ],
)
def test_an_execution_without_its_data_is_told_and_not_passed_over(changes, words):
    found = find_unsent(execution({}) | changes, POST, ADDRESS)
    assert not found.items
    assert words in found.problems[0]


def test_a_failed_node_whose_input_is_gone_is_told():
    found = find_unsent(execution({"Trigger": [prepared()], POST: [failed()]}), POST, ADDRESS)
    assert "lost what the node was given" in found.problems[0]


def test_a_number_as_id_is_a_text_as_in_the_header():
    runs = {BEFORE: [prepared(item(1, id=1042))], POST: [failed()]}
    assert ids(find_unsent(execution(runs), POST, ADDRESS)) == ["1042"]


def test_half_of_an_emoji_has_the_bytes_that_node_js_sends():
    runs = {BEFORE: [prepared(item(1, body='{"n":"\ud83d 😀"}'))], POST: [failed()]}
    assert find_unsent(execution(runs), POST, ADDRESS).items[0].body == '{"n":"\ufffd 😀"}'.encode()


@pytest.mark.parametrize("nonsense", [[], "x", 7, None, {"main": "x"}])
def test_nonsense_in_an_execution_is_no_exception(nonsense):
    for place in ("workflowData", "data"):
        find_unsent(execution({}) | {place: nonsense}, POST, ADDRESS)
    runs = {BEFORE: nonsense, POST: [nonsense, {"error": 1, "source": nonsense}]}
    find_unsent(execution(runs, stack=[nonsense]), POST, ADDRESS)


def test_binary_data_of_an_item_are_left_alone():
    with_file = item(1) | {"binary": {"file": {"data": "QUJD", "mimeType": "text/plain"}}}
    runs = {BEFORE: [prepared(with_file)], POST: [failed()]}
    assert find_unsent(execution(runs), POST, ADDRESS).items == (UnsentItem("e-1", b'{"n":1}'),)


@pytest.mark.parametrize("name", ["Größe → 😀", "__proto__", "a.b[0]['c']", " ", "%s{0}"])
def test_a_node_may_have_any_name(name):
    given = execution({name: [prepared(item(1))], POST: [failed()]})
    given["data"]["resultData"]["runData"][POST][0]["source"] = [{"previousNode": name}]
    assert ids(find_unsent(given, POST, ADDRESS)) == ["e-1"]


def test_one_output_that_many_runs_name_is_read_once():
    source = [{"previousNode": BEFORE}] * 20_000
    runs = {BEFORE: [prepared(*map(item, range(5_000)))], POST: [failed() | {"source": source}]}
    assert len(ids(find_unsent(execution(runs), POST, ADDRESS))) == 5_000


def test_a_long_stack_is_compared_with_many_runs_in_a_moment():
    several = [prepared(item(number)) for number in range(4_000)]
    runs = {BEFORE: several, POST: [failed(previousNodeRun=number) for number in range(4_000)]}
    stack = [waiting(item(number)) for number in range(4_000, 8_000)]
    assert len(ids(find_unsent(execution(runs, stack=stack), POST, ADDRESS))) == 8_000


def test_more_items_than_can_be_stored_in_time_are_told(monkeypatch):
    monkeypatch.setattr(unsent, "MOST_ITEMS", 3)
    runs = {BEFORE: [prepared(*map(item, range(4)))], POST: [failed()]}
    found = find_unsent(execution(runs), POST, ADDRESS)
    assert (found.items, found.problems) == ((), ("an execution holds more than 3 events",))
