"""Faults: each goes wrong the way it does in life, where it was asked for and nowhere else."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest
import requests
from google.analytics.data_v1beta.types import CheckCompatibilityRequest, Dimension, RunReportResponse
from google.api_core import exceptions

from steadfast.demo.ga4 import Fault

AGENCY = "395450427"
OTHER = "395461442"
PATHS = "date pagePath"


@pytest.fixture
def ask(emulator, build):
    """A report of pages over four days in a fixed order."""

    def ask_pages(**more):
        return build(PATHS, "screenPageViews", "4daysAgo", by=PATHS, **more)

    return ask_pages


@pytest.fixture
def raw(session_emulator):
    """The bytes of a report as they are on the wire."""
    with grpc.insecure_channel(session_emulator.grpc_target) as channel:
        method = "/google.analytics.data.v1beta.BetaAnalyticsData/RunReport"
        call = channel.unary_unary(method)
        yield lambda request: call(type(request).serialize(request))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("no_access", exceptions.Forbidden, "sufficient permissions"),
        ("internal", exceptions.InternalServerError, "Internal error encountered"),
        ("unavailable", exceptions.ServiceUnavailable, "currently unavailable"),
        ("new_wording", exceptions.TooManyRequests, "come back later"),
        ("incompatible_field", exceptions.BadRequest, "Please remove pagePath to make the request"),
        ("exhaust_concurrent", exceptions.TooManyRequests, "Exhausted concurrent requests quota"),
    ],
)
def test_a_refusal_hits_its_property_as_often_as_asked(client, emulator, ask, kind, error, message):
    emulator.inject(Fault(AGENCY, kind, times=1, report_has="pagePath"))
    assert client.run_report(ask(property_id=OTHER)).row_count
    with pytest.raises(error, match=message):
        client.run_report(ask())
    assert client.run_report(ask()).row_count


def test_a_revoked_credential_is_refused(emulator, grpc_client, ask):
    emulator.inject(Fault(AGENCY, "unauthenticated", times=2))
    with pytest.raises(exceptions.Unauthorized, match="invalid authentication credentials"):
        grpc_client.run_report(ask())
    answer = requests.post(f"{emulator.http_url}/v1beta/properties/{AGENCY}:runReport", timeout=10)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert grpc_client.run_report(ask()).row_count


def test_a_fault_for_everybody_stays_until_it_is_cleared(client, emulator, ask):
    emulator.inject(Fault("*", "unavailable"))
    for number in (AGENCY, OTHER):
        with pytest.raises(exceptions.ServiceUnavailable):
            client.run_report(ask(property_id=number))
    emulator.clear()
    assert client.run_report(ask()).row_count


def test_a_fault_can_be_kept_to_reports_with_a_field(client, emulator, ask, build):
    emulator.inject(Fault(AGENCY, "internal", report_has="pagePath"))
    assert client.run_report(build("date", "sessions")).row_count == 1
    with pytest.raises(exceptions.InternalServerError):
        client.run_report(ask())


def test_unknown_and_html_look_different_on_each_transport(emulator, grpc_client, rest_client, ask):
    emulator.inject(Fault(AGENCY, "unknown", times=1))
    with pytest.raises(exceptions.Unknown):
        grpc_client.run_report(ask())
    emulator.inject(Fault(AGENCY, "html"))
    with pytest.raises(exceptions.MethodNotImplemented, match="Received http2 header with status: 404"):
        grpc_client.run_report(ask())
    with pytest.raises(exceptions.NotFound, match="DOCTYPE html"):
        rest_client.run_report(ask())


def test_a_deadline_passes_while_the_server_thinks(emulator, grpc_client, ask):
    emulator.inject(Fault(AGENCY, "deadline", times=1))
    with pytest.raises(exceptions.DeadlineExceeded):
        grpc_client.run_report(ask(), timeout=0.3)
    assert grpc_client.run_report(ask()).row_count
    assert emulator.quota(AGENCY).concurrent_requests.consumed == 0


def test_a_connection_is_cut_in_the_middle_of_a_page(emulator, grpc_client, rest_client, ask):
    emulator.inject(Fault(AGENCY, "reset_mid_page", times=2))
    with pytest.raises(exceptions.ServiceUnavailable, match=r"Socket closed|reset"):
        grpc_client.run_report(ask())
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        rest_client.run_report(ask())
    assert grpc_client.run_report(ask()).row_count == rest_client.run_report(ask()).row_count


def test_slow_answers_come_all_the_same(client, emulator, ask):
    emulator.inject(Fault(AGENCY, "slow", seconds=0.05))
    assert client.run_report(ask()).row_count


def test_the_row_count_changes_on_the_second_page(client, emulator, ask):
    emulator.inject(Fault(AGENCY, "row_count_changes", times=1))
    first = client.run_report(ask(limit=50))
    second = client.run_report(ask(limit=50, offset=50))
    assert second.row_count != first.row_count == client.run_report(ask(limit=50, offset=50)).row_count


def test_a_later_page_comes_back_empty(client, emulator, ask):
    emulator.inject(Fault(AGENCY, "page_missing", times=1))
    assert len(client.run_report(ask(limit=50)).rows) == 50
    missing = client.run_report(ask(limit=50, offset=50))
    assert not missing.rows
    assert missing.row_count > 50


def test_a_page_lacks_a_row(client, emulator, ask, read):
    whole = read(client.run_report(ask()))
    emulator.inject(Fault(AGENCY, "page_short", times=1))
    short = client.run_report(ask())
    assert len(short.rows) == len(whole) - 1 == short.row_count - 1


def test_a_key_comes_twice_while_the_count_is_right(client, emulator, ask, read):
    emulator.inject(Fault(AGENCY, "repeat_key", times=1))
    answer = client.run_report(ask())
    keys = [key for key, _ in read(answer)]
    assert len(keys) == answer.row_count == len(set(keys)) + 1


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("metric_text", "", "abc"),
        ("metric_float_in_integer", "", "12.0"),
        ("metric_float_in_integer", "12.5", "12.5"),
        ("negative_metric", "", "-5"),
    ],
)
def test_one_metric_is_spoiled(client, emulator, ask, read, kind, value, text):
    whole = read(client.run_report(ask()))
    emulator.inject(Fault(AGENCY, kind, times=1, value=value))
    spoiled = read(client.run_report(ask()))
    assert [row[1][0] for row in spoiled if row not in whole] == [text]


def test_the_date_of_a_row_is_other(client, emulator, ask, read):
    emulator.inject(Fault(AGENCY, "other_in_date", times=1))
    answer = client.run_report(ask())
    assert sum(key[0] == "(other)" for key, _ in read(answer)) == 1
    assert answer.metadata.data_loss_from_other_row


def test_yesterday_is_empty(client, emulator, ask, read):
    emulator.inject(Fault(AGENCY, "empty_yesterday", times=1))
    answer = client.run_report(ask())
    assert {key[0] for key, _ in read(answer)} == {"20261119", "20261120", "20261121"}
    assert answer.row_count == len(answer.rows)


def test_a_day_collapses_while_its_total_stays(client, emulator, ask, build, read):
    before = read(client.run_report(ask()))
    total = read(client.run_report(build("date", "screenPageViews", "4daysAgo", by="date")))
    emulator.inject(Fault(AGENCY, "collapse", date="2026-11-20"))
    after = read(client.run_report(ask()))
    assert sum(key[0] == "20261120" for key, _ in before) > 20
    assert sum(key[0] == "20261120" for key, _ in after) == 1
    assert [row for row in after if row[0][0] != "20261120"] == [
        row for row in before if row[0][0] != "20261120"
    ]
    assert read(client.run_report(build("date", "screenPageViews", "4daysAgo", by="date"))) == total


def test_a_page_path_has_ten_thousand_characters(client, emulator, ask, read):
    emulator.inject(Fault(AGENCY, "long_path", times=1))
    assert max(len(key[1]) for key, _ in read(client.run_report(ask()))) == 10_000


def test_nul_and_lone_surrogates_are_on_the_wire_as_invalid_bytes(emulator, grpc_client, ask, raw):
    emulator.inject(Fault(AGENCY, "nul_and_surrogate", times=2))
    wire = raw(ask())
    assert b"\x00path\xed\xa0\xbd" in wire
    with pytest.raises(exceptions.InternalServerError, match="deserializing"):
        grpc_client.run_report(ask())


def test_nul_and_lone_surrogates_are_escaped_in_json(emulator):
    emulator.inject(Fault(AGENCY, "nul_and_surrogate", times=1))
    body = {
        "dimensions": [{"name": "pagePath"}],
        "dateRanges": [{"startDate": "yesterday", "endDate": "today"}],
    }
    answer = requests.post(f"{emulator.http_url}/v1beta/properties/{AGENCY}:runReport", json=body, timeout=10)
    values = [row["dimensionValues"][0]["value"] for row in answer.json()["rows"]]
    assert "/bad\x00path\ud83d" in values


@pytest.mark.parametrize(
    ("kind", "value", "field", "expected"),
    [
        ("time_zone_changed", "", "time_zone", "Asia/Tokyo"),
        ("time_zone_changed", "Europe/Paris", "time_zone", "Europe/Paris"),
        ("currency_changed", "", "currency_code", "EUR"),
        ("thresholded", "", "subject_to_thresholding", True),
    ],
)
def test_the_metadata_tells_something_else(client, emulator, ask, kind, value, field, expected):
    assert getattr(client.run_report(ask()).metadata, field) != expected
    emulator.inject(Fault(AGENCY, kind, times=1, value=value))
    assert getattr(client.run_report(ask()).metadata, field) == expected


def test_a_sampled_report_says_how_much_was_read(client, emulator, ask):
    emulator.inject(Fault(AGENCY, "sampled", times=1))
    [sampling] = client.run_report(ask()).metadata.sampling_metadatas
    assert 0 < sampling.samples_read_count < sampling.sampling_space_size


def test_an_incompatible_field_also_shows_in_the_compatibility_check(client, emulator):
    emulator.inject(Fault(AGENCY, "incompatible_field", value="city"))
    asked = CheckCompatibilityRequest(
        property=f"properties/{AGENCY}", dimensions=[Dimension(name="city")], compatibility_filter=2
    )
    answer = client.check_compatibility(asked)
    assert [one.dimension_metadata.api_name for one in answer.dimension_compatibilities] == ["city"]


def test_a_restated_day_has_other_numbers_and_fewer_keys_for_good(client, emulator, clock, ask, read):
    day = "20261119"
    before = dict(read(client.run_report(ask())))
    emulator.restate(AGENCY, emulator.world.now.date().replace(day=19))
    after = dict(read(client.run_report(ask())))
    gone = {key for key in before if key not in after}
    changed = {key for key in after if before[key] != after[key]}
    rows = sum(key[0] == day for key in before)
    assert {key[0] for key in gone | changed} == {day}
    assert (len(gone), len(changed)) == (round(rows * 0.05), round(rows * 0.10))
    assert dict(read(client.run_report(ask()))) == after
    assert sum(int(numbers[0]) for numbers in after.values()) == pytest.approx(
        sum(int(numbers[0]) for numbers in before.values()), rel=0.05
    )


def send(method: str, url: str, body: object = None) -> tuple[int, object]:
    try:
        with urlopen(Request(url, json.dumps(body).encode() if body else None, method=method)) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def test_the_control_endpoint_does_all_of_it_from_outside(emulator, grpc_client, ask, read):
    url = emulator.control_url
    status, _ = send("POST", f"{url}/faults", {"property": AGENCY, "kind": "no_access", "times": 1})
    assert status == 200
    with pytest.raises(exceptions.Forbidden):
        grpc_client.run_report(ask())
    send("POST", f"{url}/faults", {"property": "*", "kind": "internal"})
    send("DELETE", f"{url}/faults")
    assert grpc_client.run_report(ask()).row_count
    send("POST", f"{url}/restate", {"property": AGENCY, "date": "2026-11-19", "change": 0.1, "drop": 0.05})
    send("POST", f"{url}/property/{AGENCY}", {"time_zone": "Asia/Tokyo", "currency": "JPY"})
    answer = grpc_client.run_report(ask())
    assert (answer.metadata.time_zone, answer.metadata.currency_code) == ("Asia/Tokyo", "JPY")
    status, logged = send("GET", f"{url}/requests")
    assert logged[-1]["dimensions"] == PATHS.split()
    status, quota = send("GET", f"{url}/quota/{AGENCY}")
    assert quota["tokensPerDay"]["consumed"] > 0
    where = f"{url}/rows/{AGENCY}?dimensions=date,pagePath&metrics=screenPageViews"
    status, rows = send("GET", f"{where}&start=2026-11-19&end=2026-11-22")
    assert [(tuple(key), tuple(numbers)) for key, numbers in rows] == read(answer)
    status, properties = send("GET", f"{url}/properties")
    assert len(properties) == 28 + 20


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("faults", {"property": "1", "kind": "sunspots"}, "fault kind 'sunspots' is unknown; valid are"),
        ("faults", {"property": "1", "kind": "slow", "hours": 1}, "unknown keys hours; valid are"),
        ("property/1", {"colour": "red"}, "unknown keys colour; valid are currency, time_zone"),
        ("restate", {"property": "1", "date": "soon"}, "Invalid isoformat string"),
        ("moon", {"a": 1}, "no such control address: /moon"),
    ],
)
def test_a_wrong_control_request_is_answered_with_a_sentence(emulator, path, body, message):
    status, answer = send("POST", f"{emulator.control_url}/{path}", body)
    assert status == 400
    assert message in answer["error"]


def test_a_spoiled_page_still_parses_where_it_should(emulator, ask, raw):
    emulator.inject(Fault(AGENCY, "long_path", times=1))
    assert RunReportResponse.pb().FromString(raw(ask())).row_count
