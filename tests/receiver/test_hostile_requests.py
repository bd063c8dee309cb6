"""Wrong methods, addresses and media types; never a redirect: n8n follows one with its credentials."""

import gzip

import pytest
import zstandard

from .rig import SENDERS, Sender, new_id, order
from .wire import write_request

ORDERS = SENDERS["orders"]
PATHS = {
    "a slash at the end": "/v1/in/acme/orders/",
    "a slash too many at the start": "//v1/in/acme/orders",
    "a slash too many inside": "/v1/in//acme/orders",
    "a slash too many before the source": "/v1/in/acme//orders",
    "a dot": "/v1/in/./acme/orders",
    "two dots": "/v1/in/other/../acme/orders",
    "two dots, encoded": "/v1/in/other/%2e%2e/acme/orders",
    "two dots, encoded twice": "/v1/in/other/%252e%252e/acme/orders",
    "an encoded slash": "/v1/in/acme%2Forders",
    "an encoded backslash": "/v1/in/acme%5Corders",
    "capitals": "/V1/IN/acme/orders",
    "another version": "/v2/in/acme/orders",
    "no source": "/v1/in/acme",
    "no tenant": "/v1/in/",
    "too much behind it": "/v1/in/acme/orders/batch/more",
    "a slash behind batch": "/v1/in/acme/orders/batch/",
    "batch in capitals": "/v1/in/acme/orders/BATCH",
    "the root": "/",
    "a file of the host": "/../../../../etc/passwd",
    "what scanners ask for": "/.env",
    "the documentation of a framework": "/docs",
    "the description of a framework": "/openapi.json",
}
OTHER_NAMES = [
    "",
    "Orders",
    "ORDERS",
    "orders.",
    "orders_",
    "orders;a=b",
    "orders%00",
    "orders%0d%0a",
    "orders%20",
    "orders%",
    "order%C5%BF",
    "%ff%fe",
    "%6frders%2e",
    "..",
    "%2e%2e",
    "o" * 300,
]
METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
OTHER_TYPES = {
    "text": "text/plain",
    "a form": "application/x-www-form-urlencoded",
    "a form with files": "multipart/form-data; boundary=x",
    "XML": "application/xml",
    "JSON of old": "text/json",
    "a longer name": "application/jsonx",
    "a shorter name": "application/jso",
    "only a parameter": "; charset=utf-8",
    "two types": "text/plain, application/json",
    "empty": "",
    "none": None,
}
JSON_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json;charset=UTF-8",
]
ENCODINGS = {
    "gzip": gzip.compress(b"{}"),
    "x-gzip": gzip.compress(b"{}"),
    "deflate": b"x\x9c\xab\xae\x05\x00\x01u\x00\xf9",
    "br": b"\x0b\x00\x80{}\x03",
    "zstd": zstandard.compress(bytes(8 * 1024 * 1024)),
    "gzip, gzip": gzip.compress(gzip.compress(b"{}")),
    "identity, gzip": gzip.compress(b"{}"),
    "GZIP": gzip.compress(b"{}"),
    "nonsense": b"{}",
}


@pytest.mark.parametrize("fault", PATHS)
def test_an_address_that_is_none_is_not_found(receiver, fault):
    path = PATHS[fault]
    answer = receiver.post(ORDERS, target=receiver.address.prefix + path)
    assert (answer.status, answer.error) == (404, "not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize("fault", PATHS)
def test_no_stranger_is_sent_elsewhere(receiver, fault):
    target = receiver.address.prefix + PATHS[fault]
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        request = write_request(target, {"connection": "close"}, method=method)
        answer = receiver.ask(request, method=method)
        assert 400 <= answer.status < 500
        assert "location" not in answer.headers


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_name_is_taken_by_its_letters_as_they_are(receiver, name):
    answer = receiver.post(ORDERS, target=f"{receiver.address.prefix}/v1/in/acme/{name}")
    # It has the shape of an address, so it is a source that nobody knows, or the parser refuses it.
    # Airflow's router takes a line break at its end for the end of the address.
    assert answer.status in (400, 401) or (receiver.address.prefix and answer.status == 404)
    assert "location" not in answer.headers


def test_the_missing_page_is_a_problem_document(receiver):
    answer = receiver.get("/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, answer.error) == (404, "not_found")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tail", ["", "/batch"])
def test_every_method_but_post_is_refused_and_told_which_is_right(receiver, method, tail):
    target = receiver.target(ORDERS, tail)
    answer = receiver.ask(write_request(target, {"connection": "close"}, method=method), method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_method_that_is_refused_stores_nothing(receiver, method):
    event_id = new_id()
    assert receiver.post(ORDERS, event_id=event_id, method=method).status == 405
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("method", ["FOO", "post", "P\xd6ST", "POST/", "GET\x00"])
def test_a_method_that_does_not_exist_is_refused(receiver, method):
    raw = receiver.write(ORDERS).replace(b"POST", method.encode("latin-1"), 1)
    assert receiver.ask(raw).status in (400, 405, 501)


@pytest.mark.parametrize("page", ["/livez", "/readyz", "/metrics"])
def test_pages_for_the_operator_are_read_and_nothing_else(receiver, page):
    assert receiver.get(page).status == 200
    assert receiver.get(page, "POST").status in (404, 405)
    assert receiver.get(page + "/").status == 404


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_what_does_not_call_itself_json_is_refused(receiver, kind):
    event_id = new_id()
    answer = receiver.post(ORDERS, event_id=event_id, change={"content-type": OTHER_TYPES[kind]})
    assert (answer.status, answer.error) == (415, "unsupported_media_type")
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("kind", JSON_TYPES)
def test_json_may_be_written_in_several_ways(receiver, kind):
    assert receiver.post(ORDERS, change={"content-type": kind}).status == 202


def test_lines_of_events_belong_into_a_batch(receiver):
    answer = receiver.post(ORDERS, change={"content-type": "application/x-ndjson"})
    assert answer.status == 415


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_packed_body_is_refused_and_not_unpacked(receiver, encoding):
    answer = receiver.post(ORDERS, ENCODINGS[encoding], change={"content-encoding": encoding})
    assert (answer.status, answer.error) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_a_body_that_says_it_is_not_packed_is_taken(receiver, encoding):
    assert receiver.post(ORDERS, change={"content-encoding": encoding}).status == 202


def test_header_names_may_be_written_in_any_case(receiver):
    for shape in (str.upper, str.title, str.lower):
        body = order()
        headers = {shape(name): value for name, value in ORDERS.prove(body, new_id()).items()}
        request = write_request(receiver.target(ORDERS), headers | {"connection": "close"}, body)
        assert receiver.ask(request).status == 202


def test_a_whole_url_is_an_address_too(receiver):
    target = f"http://receiver.test{receiver.target(ORDERS)}"
    assert receiver.post(ORDERS, target=target).status == 202


@pytest.mark.parametrize(
    "target", ["*", "receiver.test:80", "http://", "http:///", "?", "", "v1/in/acme/orders"]
)
def test_a_target_that_is_no_address_is_refused(receiver, target):
    assert receiver.post(ORDERS, target=target).status in (400, 404, 405)


@pytest.mark.parametrize("host", ["", "evil.test", "receiver.test:99999", "[::1", "a b", "\xff"])
def test_the_name_of_the_host_decides_nothing(receiver, host):
    answer = receiver.post(ORDERS, change={"host": host})
    assert answer.status in (202, 400)
    assert "evil.test" not in str(answer)


def test_an_old_client_is_answered_and_the_connection_ends(receiver):
    event_id = new_id()
    with receiver.open() as wire:
        wire.send(receiver.write(ORDERS, event_id=event_id, version="HTTP/1.0"))
        assert wire.read_answer().status == 202
        assert wire.read_to_the_end() == b""
    assert len(receiver.stored(event_id)) == 1


@pytest.mark.parametrize("version", ["HTTP/9.9", "HTTP/1.1.1", "XTTP/1.1", "http/1.1"])
def test_a_version_that_we_do_not_speak_stores_nothing(receiver, version):
    event_id = new_id()
    answer = receiver.post(ORDERS, event_id=event_id, version=version)
    assert 400 <= answer.status < 600
    assert receiver.stored(event_id) == []


def test_no_answer_repeats_what_was_sent(receiver):
    marked = "<script>7731</script>"
    stranger = Sender("unknown")
    answers = [
        receiver.post(ORDERS, change={"content-type": marked}),
        receiver.post(ORDERS, change={"content-encoding": marked}),
        receiver.post(ORDERS, change={"webhook-id": marked}),
        receiver.post(ORDERS, change={"webhook-signature": marked}),
        receiver.post(stranger, change={"user-agent": marked, "x-request-id": marked}),
        receiver.post(ORDERS, marked.encode()),
        receiver.post(ORDERS, target=f"{receiver.address.prefix}/v1/in/7731/%3Cscript%3E"),
        receiver.post(SENDERS["strict"], order(status=marked)),
        receiver.post(SENDERS["strict"], b'{"type": "7731"}'),
        receiver.post(SENDERS["strict"], b'{"7731": 1, "7731": 2}'),
    ]
    assert [answer.status for answer in answers if answer.status < 400] == []
    assert [answer for answer in answers if "7731" in str(answer)] == []
