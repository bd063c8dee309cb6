"""The client of n8n's public API against a server that answers as told."""

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from steadfast.errors import AccessDenied, ConfigError, InvalidRequest, SourceUnavailable
from steadfast.webhooks.n8n import answers as n8n_answers
from steadfast.webhooks.n8n import client as n8n
from steadfast.webhooks.n8n.answers import Execution, N8nServer, Unreadable
from steadfast.webhooks.n8n.client import open_n8n
from steadfast.webhooks.n8n.deadline import Deadline

KEY = "n8n-api-key-that-opens-everything"
ASKED = Execution(7, "error", "w", None)
EMPTY = {"data": [], "nextCursor": None}


@dataclass
class Scripted:
    """A server that gives the answers in turn, and remembers what it was asked."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def answer(self, status: int, body, **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, headers, text))

    @property
    def server(self) -> N8nServer:
        return N8nServer(self.url, KEY, timeout_s=5)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            script.asked.append((parts.path, query, dict(self.headers)))
            status, headers, body = script.answers.pop(0)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    yield script
    server.shutdown()
    server.server_close()


def row(number: int, status: str = "error", started: str | None = "2026-11-20T10:00:00.000Z") -> dict:
    return {"id": str(number), "status": status, "workflowId": "w", "startedAt": started, "finished": False}


def list_ids(scripted: Scripted, status: str = "error", **more) -> list[int]:
    with open_n8n(scripted.server) as client:
        return [one.execution_id for one in client.list_executions(status, **more)]


def test_it_follows_the_cursor_and_names_the_status_on_every_page(scripted):
    scripted.answer(200, {"data": [row(9), row(7, "crashed")], "nextCursor": "abc"})
    scripted.answer(200, {"data": [row(4)], "nextCursor": None})
    assert list_ids(scripted) == [9, 7, 4]
    (path, first, headers), (_, second, _) = scripted.asked
    assert path == "/api/v1/executions"
    assert first == {"status": "error", "limit": "250"}
    assert second == first | {"cursor": "abc"}
    assert headers["X-N8N-API-KEY"] == KEY


def test_it_stops_where_the_last_look_ended(scripted):
    scripted.answer(200, {"data": [row(9), row(7), row(5)], "nextCursor": "abc"})
    assert list_ids(scripted, down_to=7) == [9]
    assert len(scripted.asked) == 1


def test_a_server_that_does_not_filter_is_not_paged_to_its_end(scripted):
    scripted.answer(200, {"data": [row(9, "success"), row(8, "new")], "nextCursor": "abc"})
    scripted.answer(200, {"data": [row(7, "success")], "nextCursor": "def"})
    assert list_ids(scripted, "new") == [8]
    assert len(scripted.asked) == 2


def test_an_execution_in_the_queue_has_not_started(scripted):
    scripted.answer(200, {"data": [row(1, "new", None)], "nextCursor": None})
    with open_n8n(scripted.server) as client:
        assert [one.started_at for one in client.list_executions("new")] == [None]


def test_an_endless_list_ends_with_a_sentence(scripted, monkeypatch):
    monkeypatch.setattr(n8n, "MOST_PAGES", 2)
    for number in (9, 8):
        scripted.answer(200, {"data": [row(number)], "nextCursor": f"below {number}"})
    with pytest.raises(SourceUnavailable, match="has more than 500 executions with status error"):
        list_ids(scripted)


def test_a_deleted_execution_is_none(scripted):
    scripted.answer(404, {"message": "Not Found"})
    with open_n8n(scripted.server) as client:
        assert client.read_execution(ASKED) is None
    path, query, _ = scripted.asked[0]
    assert (path, query) == ("/api/v1/executions/7", {"includeData": "true"})


def test_an_n8n_that_is_starting_has_deleted_nothing(scripted):
    page = b"<!DOCTYPE html><pre>Cannot GET /api/v1/executions/7</pre>"
    for _ in range(2):
        scripted.answer(404, page)
    with open_n8n(scripted.server) as client:
        with pytest.raises(SourceUnavailable, match="it is starting"):
            client.read_execution(ASKED)
        with pytest.raises(SourceUnavailable, match="it is starting"):
            client.newest_id()


@pytest.mark.parametrize(
    ("status", "body", "is_seen"),
    [
        (200, {"data": [{"id": "w"}], "nextCursor": None}, True),
        (200, EMPTY, False),
        (403, {"message": "Forbidden"}, False),
    ],
)
def test_it_tells_whether_the_key_sees_a_workflow(scripted, status, body, is_seen):
    scripted.answer(status, body)
    with open_n8n(scripted.server) as client:
        assert client.shows_workflows() is is_seen
    assert scripted.asked[0][:2] == ("/api/v1/workflows", {"limit": "1"})


def test_what_is_too_large_to_display_is_asked_for_once_more(scripted):
    whole = {"id": "7", "workflowId": "w", "data": {"resultData": {}}}
    scripted.answer(200, {"id": "7", "workflowId": "w", "dataTooLargeToDisplay": True, "data": {}})
    scripted.answer(200, whole)
    with open_n8n(scripted.server) as client:
        assert client.read_execution(ASKED) == whole
    assert scripted.asked[1][1]["ignoreDataSizeLimit"] == "true"


def test_a_path_of_the_address_is_kept(scripted):
    scripted.answer(200, EMPTY)
    with open_n8n(N8nServer(f"{scripted.url}/automation/", KEY)) as client:
        assert client.newest_id() is None
    assert scripted.asked[0][0] == "/automation/api/v1/executions"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AccessDenied, "refuses the API key"),
        (403, AccessDenied, "refuses the API key"),
        (301, AccessDenied, "redirect"),
        (307, AccessDenied, "redirect"),
        (400, InvalidRequest, "refused the request"),
        (404, InvalidRequest, "no public API"),
        (408, SourceUnavailable, "failed"),
        (429, SourceUnavailable, "failed"),
        (500, SourceUnavailable, "failed"),
        (503, SourceUnavailable, "failed"),
    ],
)
def test_an_answer_that_is_no_success_says_what_to_do_and_hides_the_key(scripted, status, error, words):
    scripted.answer(status, {"message": f"you sent {KEY}"}, Location=f"{scripted.url}/login")
    with pytest.raises(error, match=words) as raised:
        list_ids(scripted)
    assert KEY not in str(raised.value)
    assert scripted.url in str(raised.value)
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in</html>",
        b"",
        b"[]",
        b"{}",
        b'{"data": 7, "nextCursor": null}',
        b'{"data": [{}], "nextCursor": null}',
        b'{"data": [{"id": "x", "status": "error", "workflowId": "w"}], "nextCursor": null}',
        b'{"data": [], "nextCursor": 7}',
        b'{"data": [], "nextCursor": "' + b"x" * 5000 + b'"}',
        b'{"data": [7], "nextCursor": null}',
        b'{"data": ["x"], "nextCursor": null}',
        b'{"data": [null], "nextCursor": null}',
        b'{"data": {"id": 7}, "nextCursor": null}',
        b'{"data": [], "nextCursor": null, "count": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"\xff\xfe\xfd",
    ],
)
def test_nonsense_is_a_source_that_is_not_available(scripted, body):
    scripted.answer(200, body)
    with pytest.raises(SourceUnavailable, match="answered"):
        list_ids(scripted)


@pytest.mark.parametrize(
    "number",
    [2**63, "9223372036854775808", 0, "0", -1, "-1", True, None, 1.5, "1.5", " 7", "٣", [7], "1" * 5000],
)
def test_a_number_that_no_execution_can_have_is_nonsense(scripted, number):
    scripted.answer(200, {"data": [row(1) | {"id": number}], "nextCursor": None})
    with pytest.raises(SourceUnavailable, match="not a list of executions"):
        list_ids(scripted)


@pytest.mark.parametrize("number", [1, "1", 2**63 - 1, "9223372036854775807"])
def test_numbers_come_as_text_or_as_numbers(scripted, number):
    scripted.answer(200, {"data": [row(1) | {"id": number}], "nextCursor": None})
    assert list_ids(scripted) == [int(number)]


@pytest.mark.parametrize(
    "changes", [{"status": {}}, {"workflowId": None}, {"status": "x" * 300}, {"startedAt": 7}]
)
def test_a_row_of_another_shape_is_nonsense(scripted, changes):
    scripted.answer(200, {"data": [row(1) | changes], "nextCursor": None})
    with pytest.raises(SourceUnavailable, match="not a list of executions"):
        list_ids(scripted)


@pytest.mark.parametrize(
    "shown",
    [
        [],
        {},
        {"id": "8", "workflowId": "w", "data": {}},
        {"id": "7", "workflowId": "another", "data": {}},
        {"id": "7", "data": {}},
    ],
)
def test_another_execution_than_the_one_that_was_listed_is_not_read(scripted, shown):
    scripted.answer(200, shown)
    with pytest.raises(Unreadable, match="answered"), open_n8n(scripted.server) as client:
        client.read_execution(ASKED)


def test_a_page_of_a_proxy_may_be_gone_the_next_time(scripted):
    scripted.answer(200, b"<html>Be right back</html>")
    with pytest.raises(SourceUnavailable) as raised, open_n8n(scripted.server) as client:
        client.read_execution(ASKED)
    assert not isinstance(raised.value, Unreadable)


@pytest.mark.parametrize("cursors", [("a", "a"), ("a", "b")])
def test_a_list_that_goes_in_circles_ends_with_a_sentence(scripted, cursors):
    for cursor in cursors:
        scripted.answer(200, {"data": [row(9), row(8)], "nextCursor": cursor})
    with pytest.raises(SourceUnavailable, match="in circles"):
        list_ids(scripted)


def test_paging_ends_with_the_time(scripted):
    for number in (9, 8):
        scripted.answer(200, {"data": [row(number)], "nextCursor": f"below {number}"})
    deadline = Deadline(1.0, lambda: float(len(scripted.asked)))
    with pytest.raises(SourceUnavailable, match="in the time"), open_n8n(scripted.server, deadline) as client:
        list(client.list_executions("error"))
    assert len(scripted.asked) == 1


def test_of_the_key_not_even_a_piece_is_shown(scripted):
    scripted.answer(500, {"message": "x" * (n8n_answers.LONGEST_QUOTE - 10) + KEY})
    with pytest.raises(SourceUnavailable) as raised:
        list_ids(scripted)
    assert KEY[:8] not in str(raised.value)


def test_a_refusal_of_many_words_keeps_its_status(scripted):
    scripted.answer(401, {"message": "x" * 1_000_000})
    with pytest.raises(AccessDenied, match="no reason given"):
        list_ids(scripted)


def test_compressed_data_are_not_asked_for_and_not_opened(scripted):
    scripted.answer(200, gzip.compress(b" " * 10_000_000), **{"Content-Encoding": "gzip"})
    with pytest.raises(SourceUnavailable, match="compressed"):
        list_ids(scripted)
    assert scripted.asked[0][2]["Accept-Encoding"] == "identity"


def test_an_answer_of_too_many_small_parts_is_not_built(scripted, monkeypatch):
    monkeypatch.setattr(n8n_answers, "MOST_BRACKETS", 1000)
    scripted.answer(200, b'{"data": [' + b"[]," * 1000 + b"[]]}")
    with pytest.raises(Unreadable, match="more than 1,000 objects"), open_n8n(scripted.server) as client:
        client.read_execution(ASKED)


def test_a_task_can_hold_the_largest_answer():
    assert n8n.LARGEST_ANSWER <= 32 * 1024 * 1024


def test_a_time_without_a_zone_is_nonsense(scripted):
    scripted.answer(200, {"data": [row(1, started="2026-11-20T10:00:00")], "nextCursor": None})
    with pytest.raises(SourceUnavailable, match="not a list of executions"):
        list_ids(scripted)


def test_an_answer_larger_than_an_execution_can_be_is_cut_off(scripted, monkeypatch):
    monkeypatch.setattr(n8n, "LARGEST_ANSWER", 1000)
    scripted.answer(200, b'"' + b"x" * 5000 + b'"')
    with pytest.raises(Unreadable, match="more than 1000 bytes"), open_n8n(scripted.server) as client:
        client.read_execution(ASKED)


def test_a_server_that_is_down_is_named_without_the_key():
    with (
        pytest.raises(SourceUnavailable, match="did not answer") as raised,
        open_n8n(N8nServer("http://127.0.0.1:9", KEY)) as client,
    ):
        client.newest_id()
    assert KEY not in repr(raised.value)
    assert "127.0.0.1:9" in str(raised.value)


def test_a_proxy_of_the_environment_does_not_see_the_key(scripted, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    scripted.answer(200, EMPTY)
    assert list_ids(scripted) == []


@pytest.mark.parametrize(
    "server",
    [
        N8nServer("http://[::", KEY),
        N8nServer("http://n8n", "schlüssel\ud800"),
        N8nServer("http://n8n", f"{KEY}\n"),
    ],
)
def test_an_address_or_key_that_cannot_be_sent_is_a_wrong_setting(server):
    with pytest.raises(ConfigError, match="cannot be asked") as raised, open_n8n(server):
        pass
    assert server.api_key not in str(raised.value)


def test_the_key_is_in_no_description():
    assert KEY not in repr(N8nServer("http://n8n", KEY))
