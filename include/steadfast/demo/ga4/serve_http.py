"""The emulated API over REST on loopback, and the token endpoint: Google's JSON, HTML for unknown paths."""

import json
import re
import socket
import struct
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from google.analytics.data_v1beta.types import (
    BatchRunReportsRequest,
    CheckCompatibilityRequest,
    GetMetadataRequest,
    RunReportRequest,
)
from google.protobuf.json_format import MessageToDict, Parse, ParseError

from steadfast.demo.ga4.messages import (
    NOT_FOUND_PAGE,
    ApiError,
    ConnectionCut,
    PlainNotFound,
    reject_argument,
    reject_json_key,
)
from steadfast.demo.ga4.report import Report
from steadfast.demo.ga4.service import Call, Service
from steadfast.demo.ga4.tokens import TokenBook, TokenRefused
from steadfast.demo.web import JsonHandler

_METHOD = re.compile(r"/v1beta/(properties/[^/:]+):(runReport|batchRunReports|checkCompatibility)")
_METADATA = re.compile(r"/v1beta/(properties/[^/:]+/metadata)")
_NO_FIELD = re.compile(r'has no field named "([^"]+)"')
_text = json.encoder.encode_basestring_ascii


class ApiHandler(JsonHandler):
    """One REST connection; `service` and `tokens` are set by `bind_handler`."""

    service: Service
    tokens: TokenBook

    def do_GET(self) -> None:  # noqa: N802 - the name the server calls
        """GetMetadata is the only thing to get."""
        self.read_body()
        found = _METADATA.fullmatch(unquote(urlsplit(self.path).path))
        self.answer(lambda: self._get_metadata(found.group(1)) if found else _miss())

    def do_POST(self) -> None:  # noqa: N802 - the name the server calls
        """Reports, compatibility, and tokens."""
        body, path = self.read_body(), unquote(urlsplit(self.path).path)
        found = _METHOD.fullmatch(path)
        if path == "/token":
            self._give_token(body)
        else:
            self.answer(lambda: self._post(found.group(1), found.group(2), body) if found else _miss())

    do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET  # noqa: N815 - names the server calls

    def answer(self, build: Any) -> None:
        """Send what is built, or the error that the API gives instead."""
        try:
            self.send_text(HTTPStatus.OK, build())
        except ApiError as error:
            self.send_text(error.http, json.dumps(_describe_error(error), indent=2))
        except PlainNotFound:
            self.send_text(HTTPStatus.NOT_FOUND, NOT_FOUND_PAGE, "text/html; charset=UTF-8")
        except ConnectionCut:
            self._cut()

    def _get_metadata(self, name: str) -> str:
        if self.command != "GET":
            return _miss()
        return _write_message(self.service.get_metadata(GetMetadataRequest.pb()(name=name), self._call()))

    def _post(self, name: str, method: str, body: bytes) -> str:
        if method == "runReport":
            request = _read_message(body, RunReportRequest.pb()(), name)
            return write_report(self.service.run_report(request, self._call()))
        if method == "batchRunReports":
            batch = _read_message(body, BatchRunReportsRequest.pb()(), name)
            reports = [write_report(one) for one in self.service.batch_run_reports(batch, self._call())]
            return f'{{"reports": [{", ".join(reports)}], "kind": "analyticsData#batchRunReports"}}'
        question = _read_message(body, CheckCompatibilityRequest.pb()(), name)
        return _write_message(self.service.check_compatibility(question, self._call()))

    def _call(self) -> Call:
        return Call(self.headers.get("Authorization"), self._wait)

    def _wait(self, seconds: float) -> None:
        """Until the time is over or the caller hangs up."""
        self.connection.settimeout(seconds)
        try:
            self.connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return
        finally:
            self.connection.settimeout(None)

    def _cut(self) -> None:
        """Half an answer, then a reset."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b'{"dimensionHeaders": [{"name": "da')
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _give_token(self, body: bytes) -> None:
        try:
            self.send_text(HTTPStatus.OK, json.dumps(self.tokens.issue(body)))
        except TokenRefused as error:
            code, text = error.args
            self.send_text(HTTPStatus.BAD_REQUEST, json.dumps({"error": code, "error_description": text}))


def _miss() -> str:
    raise PlainNotFound


def _read_message(body: bytes, message: Any, name: str) -> Any:
    try:
        Parse(body or b"{}", message)
    except ParseError as error:
        if unknown := _NO_FIELD.search(str(error)):
            raise reject_json_key(unknown.group(1)) from error
        raise reject_argument(f"Invalid JSON payload received. {error}") from error
    message.property = name
    return message


def _describe_error(error: ApiError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.status}
    if error.reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        body["details"] = [{"@type": kind, "reason": error.reason, "domain": "googleapis.com"}]
    return {"error": body}


def _write_message(message: Any) -> str:
    return json.dumps(MessageToDict(message))


def write_report(report: Report) -> str:
    """A report as JSON; rows are written by hand because there may be a quarter of a million of them."""
    content = MessageToDict(report.header)
    if "propertyQuota" in content:
        # Used tokens are shown even when there are none.
        content["propertyQuota"] = {
            name: {"consumed": 0, "remaining": 0, **status}
            for name, status in content["propertyQuota"].items()
        }
    text = json.dumps(content)
    if not len(report.page):
        return text
    rows = ",".join(
        [
            f'{{"dimensionValues":[{_write_values(values)}],"metricValues":[{_write_values(numbers)}]}}'
            for values, numbers in report.page.rows
        ]
    )
    return f'{text[:-1]}, "rows": [{rows}]}}'


def _write_values(values: tuple[str, ...]) -> str:
    return ",".join([f'{{"value":{_text(value)}}}' for value in values])
