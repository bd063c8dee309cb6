"""The official Google Analytics client, asked for raw pages.

Reports come back as the bytes Google sent, because they are landed as received and decoded in columns.
Everything that fails leaves here as a Ga4Failure.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import google.auth.exceptions
import grpc
from google.analytics.data_v1beta import BetaAnalyticsDataClient, types
from google.analytics.data_v1beta.services.beta_analytics_data.transports import (
    BetaAnalyticsDataGrpcTransport,
)
from google.api_core.exceptions import GoogleAPICallError, from_grpc_error
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from steadfast.errors import ConfigError, SourceUnavailable
from steadfast.ga4.decode import read_head
from steadfast.ga4.failures import FailureKind, Ga4Failure, classify
from steadfast.ga4.reports import Report

SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
RUN_REPORT = "/google.analytics.data.v1beta.BetaAnalyticsData/RunReport"
LARGEST_PAGE = 250_000
KEY_FIELDS = ("client_email", "private_key", "token_uri")


@dataclass(frozen=True)
class ClientConfig:
    """How to reach GA4; `keyfile` is the parsed JSON key of a service account."""

    keyfile: Mapping[str, Any] | None = field(default=None, repr=False)
    endpoint: str | None = None
    is_plaintext: bool = False
    timeout_s: float = 180.0


def open_client(config: ClientConfig) -> "Ga4Client":
    """Open a client; ConfigError names what is missing or wrong in the key. Nothing is sent yet."""
    credentials = _read_credentials(config.keyfile) if config.keyfile is not None else None
    if config.is_plaintext:
        channel = _open_plain_channel(config, credentials)
        transport = BetaAnalyticsDataGrpcTransport(channel=channel)
        return Ga4Client(transport, config.timeout_s, credentials, True)
    if credentials is None:
        raise ConfigError("The GA4 connection has no keyfile; paste the JSON key of a service account.")
    host = config.endpoint or BetaAnalyticsDataClient.DEFAULT_ENDPOINT
    transport = BetaAnalyticsDataGrpcTransport(host=host, credentials=credentials)
    return Ga4Client(transport, config.timeout_s, credentials, False)


class Ga4Client:
    """Asks GA4; safe to share between threads."""

    def __init__(
        self,
        transport: BetaAnalyticsDataGrpcTransport,
        timeout_s: float,
        credentials: Credentials | None,
        sends_token: bool,
    ) -> None:
        self._transport = transport
        self._client = BetaAnalyticsDataClient(transport=transport)
        self._timeout_s = timeout_s
        self._credentials = credentials
        self._sends_token = sends_token and credentials is not None
        self._token_lock = threading.Lock()
        self._fetch: Callable[..., bytes] = transport.grpc_channel.unary_unary(
            RUN_REPORT, request_serializer=types.RunReportRequest.serialize, response_deserializer=None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.grpc_channel.close()

    @property
    def email(self) -> str:
        """The address of the service account, or an empty string."""
        return str(self._credentials.service_account_email) if self._credentials else ""

    def run_report(
        self,
        property_id: int,
        report: Report,
        start: date,
        end: date,
        offset: int,
        limit: int = LARGEST_PAGE,
    ) -> bytes:
        """Fetch one page as Google sent it, ordered by the grain and then by every other dimension."""
        return self._fetch_page(build_request(property_id, report, start, end, offset, limit))

    def time_zone_and_currency(self, property_id: int) -> tuple[str, str]:
        """The zone of the property's days and the currency of its money."""
        request = types.RunReportRequest(
            property=_name_property(property_id),
            metrics=[types.Metric(name="sessions")],
            date_ranges=[types.DateRange(start_date="yesterday", end_date="yesterday")],
            limit=1,
        )
        try:
            head = read_head(self._fetch_page(request))
        except SourceUnavailable as error:
            raise Ga4Failure(FailureKind.NOT_AN_ANSWER, str(error)) from error
        return head.time_zone, head.currency

    def field_names(self, property_id: int) -> tuple[set[str], set[str]]:
        """Names of all dimensions and of all metrics the property answers, deprecated ones too."""
        request = types.GetMetadataRequest(name=f"{_name_property(property_id)}/metadata")
        with _translate_failures(self._forget_token):
            metadata = self._client.get_metadata(
                request, retry=None, timeout=self._timeout_s, metadata=self._authorize()
            )
        return _collect_names(metadata.dimensions), _collect_names(metadata.metrics)

    def incompatible_fields(self, property_id: int, report: Report) -> tuple[str, ...]:
        """Fields of the report that GA4 does not combine with the others."""
        request = types.CheckCompatibilityRequest(
            property=_name_property(property_id),
            dimensions=[types.Dimension(name=name) for name in _dimension_names(report)],
            metrics=[types.Metric(name=name) for name in report.metrics],
        )
        try:
            with _translate_failures(self._forget_token):
                answer = self._client.check_compatibility(
                    request, retry=None, timeout=self._timeout_s, metadata=self._authorize()
                )
        except Ga4Failure as failure:
            # GA4 answers this question with an error when what is asked about is already incompatible.
            if failure.kind is FailureKind.INCOMPATIBLE_FIELD and failure.field:
                return (failure.field,)
            raise
        refused = _collect_incompatible(answer)
        return tuple(name for name in (*_dimension_names(report), *report.metrics) if name in refused)

    def _fetch_page(self, request: types.RunReportRequest) -> bytes:
        route = ("x-goog-request-params", f"property={quote(request.property, safe='')}")
        with _translate_failures(self._forget_token):
            return self._fetch(request, timeout=self._timeout_s, metadata=(route, *self._authorize()))

    def _authorize(self) -> tuple[tuple[str, str], ...]:
        # A channel without TLS carries no credentials of its own, so the token travels as metadata.
        if not self._sends_token or self._credentials is None:
            return ()
        with self._token_lock:
            if not self._credentials.valid:
                self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
            return (("authorization", f"Bearer {self._credentials.token}"),)

    def _forget_token(self) -> None:
        if self._credentials is not None:
            with self._token_lock:
                self._credentials.token = None


def build_request(
    property_id: int, report: Report, start: date, end: date, offset: int, limit: int
) -> types.RunReportRequest:
    """The request for one page; pages only fit together because the order names every dimension."""
    names = _dimension_names(report)
    by_value = types.OrderBy.DimensionOrderBy.OrderType.ALPHANUMERIC
    return types.RunReportRequest(
        property=_name_property(property_id),
        dimensions=[types.Dimension(name=name) for name in names],
        metrics=[types.Metric(name=name) for name in report.metrics],
        date_ranges=[types.DateRange(start_date=start.isoformat(), end_date=end.isoformat())],
        order_bys=[
            types.OrderBy(dimension=types.OrderBy.DimensionOrderBy(dimension_name=name, order_type=by_value))
            for name in names
        ],
        offset=offset,
        limit=limit,
        keep_empty_rows=False,
        return_property_quota=True,
    )


@contextmanager
def _translate_failures(forget_token: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise _name_failure(_read_error(error), forget_token) from error
    except GoogleAPICallError as error:
        raise _name_failure(error, forget_token) from error
    except google.auth.exceptions.TransportError as error:
        raise Ga4Failure(FailureKind.CONNECTION, f"no token: {error}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise Ga4Failure(FailureKind.UNAUTHENTICATED, f"no token: {error}") from error


def _read_error(error: grpc.RpcError) -> GoogleAPICallError:
    translated: GoogleAPICallError = from_grpc_error(error)  # type: ignore[no-untyped-call]
    return translated


def _name_failure(error: GoogleAPICallError, forget_token: Callable[[], None]) -> Ga4Failure:
    code = error.grpc_status_code or grpc.StatusCode.UNKNOWN
    text = f"{error.message or code.name}" + (f" [{error.reason}]" if error.reason else "")
    kind = classify(code, text)
    if kind is FailureKind.UNAUTHENTICATED:
        forget_token()
    return Ga4Failure(kind, text)


def _read_credentials(keyfile: Mapping[str, Any]) -> Credentials:
    if keyfile.get("type") != "service_account":
        raise ConfigError(
            f"The GA4 key has type {keyfile.get('type')!r}; valid is the JSON key of a 'service_account'."
        )
    for name in KEY_FIELDS:
        if not isinstance(keyfile.get(name), str) or not keyfile[name]:
            raise ConfigError(
                f"The GA4 key has no {name}; download the JSON key of the service account again."
            )
    try:
        credentials: Credentials = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            keyfile, scopes=[SCOPE]
        )
    except (ValueError, google.auth.exceptions.GoogleAuthError):
        # Without its cause: the cause may quote the key.
        raise ConfigError(
            f"The private_key of {keyfile['client_email']} cannot be read; it must be a PEM block "
            "with its line breaks. Download the JSON key of the service account again."
        ) from None
    return credentials


def _open_plain_channel(config: ClientConfig, credentials: Credentials | None) -> grpc.Channel:
    if not config.endpoint:
        raise ConfigError("A GA4 connection without TLS needs an endpoint, such as 127.0.0.1:8123.")
    if credentials is not None and not _is_loopback(config.endpoint):
        raise ConfigError(
            f"The GA4 endpoint {config.endpoint} is another machine: without TLS the token would be readable."
        )
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    return grpc.insecure_channel(config.endpoint, options=options)


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]") or endpoint
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _dimension_names(report: Report) -> tuple[str, ...]:
    return (report.grain.value, *report.dimensions)


def _name_property(property_id: int) -> str:
    return f"properties/{property_id}"


def _collect_names(fields: Any) -> set[str]:
    return {name for field in fields for name in (field.api_name, *field.deprecated_api_names)}


def _collect_incompatible(answer: types.CheckCompatibilityResponse) -> set[str]:
    refused = types.Compatibility.INCOMPATIBLE
    dimensions = [
        one.dimension_metadata.api_name
        for one in answer.dimension_compatibilities
        if one.compatibility == refused
    ]
    metrics = [
        one.metric_metadata.api_name for one in answer.metric_compatibilities if one.compatibility == refused
    ]
    return {*dimensions, *metrics}
