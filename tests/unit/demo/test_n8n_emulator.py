"""The emulated n8n as a sender, seen by a receiver that writes down what comes."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from jsonschema import Draft202012Validator

from steadfast.demo.n8n import Emulator, EmulatorOptions, Target, run_emulator
from steadfast.demo.n8n.shape import begin_data
from steadfast.errors import ConfigError
from steadfast.webhooks.events import EVENTS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NAME = "shop/orders"


@dataclass
class Receiver:
    """What came in, and what is answered: a status for each event id, 202 for the others."""

    url: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    has_some: threading.Event = field(default_factory=threading.Event)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    book = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            book.received.append((headers, self.rfile.read(int(headers["content-length"]))))
            book.has_some.set()
            self.send_response(book.refused.get(headers.get("webhook-id", ""), 202))
            for name, value in book.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"status":"accepted"}')

        def log_message(self, *_) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    book.url = f"http://127.0.0.1:{server.server_port}/v1/in/{NAME}"
    yield book
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(receiver, tmp_path):
    """A function that starts an idle emulator with one workflow; call it in a `with`."""

    def run(**changes):
        target = {"name": NAME, "url": receiver.url, "auth": "signature", "secret": SECRET, "wait_ms": 1}
        options = EmulatorOptions(
            [Target(**(target | {"workflow_id": "wf1"} | changes))],
            state=tmp_path,
            is_on=False,
            clock=lambda: NOON,
        )
        return run_emulator(options)

    return run


def tell(emulator: Emulator, path: str, **body) -> dict:
    return httpx.post(f"{emulator.control_url}/{path}", json=body, timeout=30).raise_for_status().json()


def look(emulator: Emulator) -> dict:
    return httpx.get(f"{emulator.control_url}/sources").json()[NAME]


def ask(emulator: Emulator, path: str = "", key: str | None = "right", **query) -> httpx.Response:
    headers = {"X-N8N-API-KEY": emulator.api_key if key == "right" else key} if key else {}
    return httpx.get(f"{emulator.api_url}/api/v1/executions{path}", params=query, headers=headers)


def test_it_sends_what_axios_sends(start, receiver):
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=1)
    headers, body = receiver.received[0]
    assert headers["connection"] == "close"
    assert headers["user-agent"].startswith("axios/")
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "application/json"
    assert "transfer-encoding" not in headers


def test_the_signature_is_that_of_standard_webhooks(start, receiver):
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=1)
    headers, body = receiver.received[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.digest(b"k" * 32, signed, hashlib.sha256)).decode()
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert headers["webhook-signature"] == f"v1,{digest}"


def test_a_source_with_a_token_sends_it_with_the_id(start, receiver):
    with start(auth="token", secret="whk_t") as emulator:
        tell(emulator, "send", source=NAME, count=1)
    headers, _ = receiver.received[0]
    assert headers["authorization"] == "Bearer whk_t"
    assert headers["webhook-id"]
    assert "webhook-signature" not in headers


def test_one_failed_item_makes_it_send_all_of_them_again_as_they_were(start, receiver):
    with start(tries=3) as emulator:
        receiver.refused[f"{NAME.replace('/', ':')}:0:1"] = 503
        assert tell(emulator, "send", source=NAME, count=3)["status"] == "error"
        summary = look(emulator)
    assert len(receiver.received) == 9
    assert len(set(receiver.ids())) == 3
    assert (
        len({(h["webhook-id"], h["webhook-timestamp"], h["webhook-signature"]) for h, _ in receiver.received})
        == 3
    )
    assert (summary["made"], summary["acknowledged"]) == (3, 2)
    assert summary["answers"] == {"202": 6, "503": 3}


def test_it_waits_as_it_was_set_and_not_as_it_is_told(start, receiver):
    receiver.headers["Retry-After"] = "3600"
    receiver.refused[f"{NAME.replace('/', ':')}:0:0"] = 429
    with start(tries=99) as emulator:
        tell(emulator, "send", source=NAME, count=1)
    assert len(receiver.received) == 5


def test_a_redirect_is_not_followed(start, receiver):
    receiver.headers["Location"] = receiver.url
    receiver.refused[f"{NAME.replace('/', ':')}:0:0"] = 307
    with start(tries=1) as emulator:
        assert tell(emulator, "send", source=NAME, count=1)["status"] == "error"
    assert len(receiver.received) == 1


def test_a_burst_is_sent_without_batches(start, receiver):
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=200)
        assert look(emulator)["acknowledged"] == 200
    assert len(set(receiver.ids())) == 200


def test_every_event_keeps_its_contract_and_orders_know_their_lead(start, receiver):
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=200)
        kinds = look(emulator)["kinds"]
    bodies = [json.loads(body) for _, body in receiver.received]
    judges = {kind: Draft202012Validator(event.json_schema()) for (kind, _), event in EVENTS.items()}
    assert [error.message for body in bodies for error in judges[body["type"]].iter_errors(body)] == []
    assert {"lead", "order", "refund", "booking", "custom"} <= set(kinds)
    leads = {body["data"]["lead_id"]: body["data"] for body in bodies if body["type"] == "lead"}
    orders = [body["data"] for body in bodies if body["type"] == "order" and "lead_id" in body["data"]]
    assert orders
    for order in orders:
        lead = leads[order["lead_id"]]
        assert (order["source"], order["medium"]) == (lead["source"], lead["medium"])
    assert len(leads) == kinds["lead"]["keys"]


def test_a_workflow_with_a_mistake_breaks_the_contract_of_some_amounts_and_of_nothing_else(start, receiver):
    with start(mistakes=0.1) as emulator:
        tell(emulator, "send", source=NAME, count=200)
    bodies = [json.loads(body) for _, body in receiver.received]
    wrong = [body for body in bodies if body["data"].get("currency") == "US$"]
    assert 0 < len(wrong) < 40
    judges = {kind: Draft202012Validator(event.json_schema()) for (kind, _), event in EVENTS.items()}
    refused = [body for body in bodies if not judges[body["type"]].is_valid(body)]
    assert refused == wrong


def test_the_same_seed_makes_the_same_events(start, receiver, tmp_path):
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=30)
    first = sorted(body for _, body in receiver.received)
    receiver.received.clear()
    (tmp_path / "n8n.sqlite").unlink()
    with start() as emulator:
        tell(emulator, "send", source=NAME, count=30)
    assert sorted(body for _, body in receiver.received) == first


def test_after_a_restart_it_goes_on_with_new_events(start, receiver):
    for _ in range(2):
        with start() as emulator:
            tell(emulator, "send", source=NAME, count=5)
    assert len(set(receiver.ids())) == 10


def test_a_failed_execution_holds_the_exact_items_and_the_error(start, receiver):
    with start() as emulator:
        execution = tell(emulator, "lose", source=NAME, count=2)["execution"]
        (shown,) = ask(emulator, status="error", includeData="true").json()["data"]
    assert receiver.received == []
    assert (shown["id"], shown["status"], shown["finished"], shown["mode"]) == (
        execution,
        "error",
        False,
        "trigger",
    )
    data = shown["data"]
    items = data["resultData"]["runData"]["Prepare events"][0]["data"]["main"][0]
    assert set(items[0]["json"]) == {"id", "timestamp", "body", "signature"}
    assert len(items) == 2
    (ran,) = data["resultData"]["runData"]["Steadfast"]
    assert ran["source"] == [
        {"previousNode": "Prepare events", "previousNodeOutput": 0, "previousNodeRun": 0}
    ]
    assert (ran["executionIndex"], ran["hints"]) == (2, [])
    assert (ran["executionStatus"], ran["error"]["name"]) == ("error", "NodeApiError")
    assert data["resultData"]["lastNodeExecuted"] == "Steadfast"
    assert data["executionData"]["nodeExecutionStack"][0]["data"]["main"] == [items]


def test_a_retry_sends_the_old_headers_and_marks_the_first_execution(start, receiver):
    with start() as emulator:
        lost = tell(emulator, "lose", source=NAME, count=2)["execution"]
        headers = {"X-N8N-API-KEY": emulator.api_key}
        retried = httpx.post(f"{emulator.api_url}/api/v1/executions/{lost}/retry", headers=headers).json()
        assert (retried["mode"], retried["retryOf"], retried["status"]) == ("retry", lost, "success")
        assert ask(emulator, f"/{lost}").json()["retrySuccessId"] == retried["id"]
        again = httpx.post(f"{emulator.api_url}/api/v1/executions/{retried['id']}/retry", headers=headers)
        assert again.status_code == 400
        assert "succeeded" in again.json()["message"]
    assert {headers["webhook-timestamp"] for headers, _ in receiver.received} == {str(int(NOON.timestamp()))}


def test_the_list_is_paged_newest_first(start):
    with start() as emulator:
        for _ in range(5):
            tell(emulator, "lose", source=NAME, count=1)
        first = ask(emulator, limit=2).json()
        second = ask(emulator, limit=2, cursor=first["nextCursor"]).json()
        third = ask(emulator, limit=2, cursor=second["nextCursor"]).json()
    pages = [[row["id"] for row in page["data"]] for page in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert third["nextCursor"] is None
    assert "data" not in first["data"][0]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 251}, "request/query/limit must be <= 250"),
        ({"startedAfter": "2026-11-20"}, "Unknown query parameter 'startedAfter'"),
        ({"status": "new"}, "allowed values: canceled, error, running, success, waiting"),
        ({"cursor": "x"}, "An invalid cursor was provided"),
        ({"limit": "many"}, "request/query/limit must be number"),
        ({"includeData": "yes"}, "request/query/includeData must be boolean"),
    ],
)
def test_what_n8n_refuses_is_refused(start, query, message):
    with start() as emulator:
        answer = ask(emulator, **query)
    assert answer.status_code == 400
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("key", "message"), [(None, "'X-N8N-API-KEY' header required"), ("x", "unauthorized")]
)
def test_nobody_gets_in_without_the_key(start, key, message):
    with start() as emulator:
        answer = ask(emulator, key=key)
    assert (answer.status_code, answer.json()) == (401, {"message": message})


def kill_while_it_sends(start, **changes) -> dict:
    """What an emulator that starts again makes of an execution that ran."""
    with start(**changes) as emulator:
        executions = emulator.engine.executions
        number = int(tell(emulator, "lose", source=NAME, count=2)["execution"])
        workflow = emulator.engine.workflows[NAME]
        (waiting,) = json.loads(executions.find(number)["data"])["executionData"]["nodeExecutionStack"]
        data = begin_data(workflow.target, 0, waiting["data"]["main"][0], NOON)
        executions.finish(number, "running", data, NOON)
    with start(**changes) as emulator:
        shown = ask(emulator, f"/{number}", includeData="true").json()
        shown["retried"] = tell(emulator, "retry", execution=number)["status"]
    return shown


def test_what_ran_when_it_was_killed_has_crashed_and_holds_what_it_was_about_to_send(start):
    shown = kill_while_it_sends(start)
    runs = shown["data"]["resultData"]["runData"]
    assert shown["status"] == "crashed"
    assert runs["Steadfast"][0]["error"]["name"] == "NodeCrashedError"
    (waiting,) = shown["data"]["executionData"]["nodeExecutionStack"]
    assert waiting["node"]["name"] == "Steadfast"
    assert waiting["data"]["main"] == runs["Prepare events"][0]["data"]["main"]


def test_without_saved_progress_a_kill_takes_all_but_what_started_it(start, receiver):
    shown = kill_while_it_sends(start, saves_progress=False)
    runs = shown["data"]["resultData"]["runData"]
    assert runs["Prepare events"][0]["data"]["main"] == [[{"json": {"isArtificialRecoveredEventItem": True}}]]
    assert [run["source"] for (run,) in runs.values()] == [[None]] * 3
    (waiting,) = shown["data"]["executionData"]["nodeExecutionStack"]
    assert waiting["node"]["name"] == "Schedule Trigger"
    assert shown["retried"] == "success"
    assert receiver.ids() == ["shop:orders:0:0", "shop:orders:0:1"]


def test_one_that_is_stopped_between_two_tries_keeps_only_what_the_nodes_before_gave(start, receiver):
    with start() as emulator:
        assert tell(emulator, "stop", source=NAME, count=2)["status"] == "canceled"
        (shown,) = ask(emulator, status="canceled", includeData="true").json()["data"]
        headers = {"X-N8N-API-KEY": emulator.api_key}
        retried = httpx.post(f"{emulator.api_url}/api/v1/executions/1/retry", headers=headers)
    result = shown["data"]["resultData"]
    assert result["lastNodeExecuted"] == "Steadfast"
    assert list(result["runData"]) == ["Schedule Trigger", "Prepare events"]
    assert shown["data"]["executionData"]["nodeExecutionStack"] == []
    assert shown["workflowData"]["connections"]["Prepare events"]["main"][0][0]["node"] == "Steadfast"
    assert (retried.status_code, receiver.received) == (400, [])


def test_what_waits_is_in_no_list_until_n8n_is_started_again(start, receiver):
    with start(waits=True) as emulator:
        waiting = tell(emulator, "send", source=NAME, count=1)
        assert waiting["status"] == "waiting"
        assert [ask(emulator, **q).json()["data"] for q in ({}, {"status": "waiting"})] == [[], []]
        shown = ask(emulator, f"/{waiting['execution']}", includeData="true").json()
        assert (shown["status"], shown["data"]["resultData"]["lastNodeExecuted"]) == ("waiting", "Wait")
        assert shown["waitTill"] == "3000-01-01T00:00:00.000Z"
    with start(waits=True) as emulator:
        assert [row["id"] for row in ask(emulator, status="waiting").json()["data"]] == ["1"]
        assert tell(emulator, "resume", execution=1)["status"] == "success"
        assert ask(emulator, status="waiting").json()["data"] == []
    assert receiver.ids() == ["shop:orders:0:0"]


def test_the_error_names_the_item_that_failed_and_quotes_one_key_of_the_answer(start, receiver):
    receiver.refused["shop:orders:0:1"] = 409
    with start(tries=1) as emulator:
        tell(emulator, "send", source=NAME, count=3)
        (shown,) = ask(emulator, status="error", includeData="true").json()["data"]
    error = shown["data"]["resultData"]["error"]
    assert error["context"]["itemIndex"] == 1
    assert error["context"]["request"]["headers"]["webhook-id"] == "shop:orders:0:1"
    assert json.loads(error["context"]["request"]["body"])
    assert error["message"] == "Your request is invalid or could not be processed by the service"
    assert (error["httpCode"], error["messages"]) == ("409", ['409 - "{\\"status\\":\\"accepted\\"}"'])


def test_one_execution_says_more_of_itself_than_a_list(start):
    with start() as emulator:
        tell(emulator, "lose", source=NAME, count=1)
        shown = ask(emulator, "/1", includeData="true").json()
        (listed,) = ask(emulator).json()["data"]
    assert set(shown) - set(listed) == {
        *("createdAt", "deletedAt", "storedAt"),
        *("data", "workflowData", "customData"),
    }
    assert shown["data"]["version"] == 1
    assert shown["workflowData"]["settings"]["saveExecutionProgress"] is True


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none_shows_everything(start, limit):
    with start() as emulator:
        for _ in range(3):
            tell(emulator, "lose", source=NAME, count=1)
        answer = ask(emulator, limit=limit)
    assert (answer.status_code, len(answer.json()["data"]), answer.json()["nextCursor"]) == (200, 3, None)


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        ("/abc", {}, 400, "request/params/id must be number"),
        ("/0", {}, 404, "Not Found"),
        ("/99", {}, 404, "Not Found"),
        ("/99", {"ignoreDataSizeLimit": "true"}, 400, "Unknown query parameter 'ignoreDataSizeLimit'"),
        ("/99/what", {}, 404, "not found"),
        ("/99/retry", {}, 405, "GET method not allowed"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_the_words_of_n8n(start, path, query, status, message):
    with start() as emulator:
        answer = ask(emulator, path, **query)
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_what_is_not_there_cannot_be_retried(start):
    with start() as emulator:
        headers = {"X-N8N-API-KEY": emulator.api_key}
        answer = httpx.post(f"{emulator.api_url}/api/v1/executions/9/retry", headers=headers)
    said = {"message": 'The execution with the ID "9" does not exist.'}
    assert (answer.status_code, answer.json()) == (404, said)


def test_an_address_that_is_none_is_refused_before_the_key_is_looked_at(start):
    with start() as emulator:
        answer = httpx.get(f"{emulator.api_url}/api/v1/nothing")
    assert (answer.status_code, answer.json()) == (404, {"message": "not found"})


def test_while_it_starts_it_answers_404_with_a_page(start):
    with start() as emulator:
        assert tell(emulator, "api", is_starting=True)["is_starting"]
        answer = ask(emulator, "/1")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        tell(emulator, "api", is_starting=False)
        assert ask(emulator).status_code == 200


def test_the_key_of_a_member_sees_nothing_and_nothing_says_so(start):
    with start() as emulator:
        tell(emulator, "lose", source=NAME, count=1)
        tell(emulator, "api", is_key_of_member=True)
        headers = {"X-N8N-API-KEY": emulator.api_key}
        workflows = httpx.get(f"{emulator.api_url}/api/v1/workflows", headers=headers)
        answers = [ask(emulator), ask(emulator, "/1"), workflows]
    assert [one.status_code for one in answers] == [200, 404, 200]
    assert answers[0].json() == workflows.json() == {"data": [], "nextCursor": None}


def test_its_pace_can_be_changed_while_it_runs(start, receiver):
    with start(per_minute=60_000) as emulator:
        assert look(emulator)["is_on"] is False
        tell(emulator, "pace", source=NAME, is_on=True)
        assert receiver.has_some.wait(20)
        assert tell(emulator, "pace", is_on=False, per_minute=1)[NAME]["per_minute"] == 1


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("send", {"source": "nobody", "count": 1}, "no source 'nobody'; there are shop/orders"),
        ("send", {"source": NAME, "count": 0}, "1 to 10000 events"),
        ("pace", {"speed": 3}, "unknown keys speed"),
        ("retry", {"execution": 99}, "no execution 99"),
        ("resume", {"execution": 99}, "no execution 99"),
        ("explode", {}, "no such control address"),
    ],
)
def test_a_wrong_control_request_is_answered_with_a_sentence(start, path, body, words):
    with start() as emulator:
        answer = httpx.post(f"{emulator.control_url}/{path}", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auth": "none"}, "auth 'none'"),
        ({"mix": {"invoice": 1}}, "mixes invoice"),
        ({"mix": {}}, "mixes nothing"),
    ],
)
def test_a_target_that_cannot_be_is_refused(start, changes, words):
    with pytest.raises(ConfigError, match=words):
        start(**changes)
