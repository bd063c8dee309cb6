"""One emulator for all tests of this folder, and the real Google client in front of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.analytics.data_v1beta import BetaAnalyticsDataClient
from google.analytics.data_v1beta.services.beta_analytics_data.transports import (
    BetaAnalyticsDataGrpcTransport,
)
from google.analytics.data_v1beta.types import DateRange, Dimension, Metric, OrderBy, RunReportRequest
from google.auth.credentials import AnonymousCredentials

from steadfast.demo.ga4 import Emulator, EmulatorOptions, run_emulator

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Clock:
    """A clock that only moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture(scope="session")
def session_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def session_emulator(session_clock: Clock) -> Iterator[Emulator]:
    with run_emulator(EmulatorOptions(clock=session_clock, synthetic=20)) as emulator:
        yield emulator


@pytest.fixture
def clock(session_clock: Clock) -> Clock:
    session_clock.now = NOON
    return session_clock


@pytest.fixture
def emulator(session_emulator: Emulator, clock: Clock) -> Iterator[Emulator]:
    session_emulator.clear()
    session_emulator.state.restatements.clear()
    session_emulator.state.properties.clear()
    yield session_emulator
    session_emulator.clear()


@pytest.fixture(scope="session")
def grpc_client(session_emulator: Emulator) -> Iterator[BetaAnalyticsDataClient]:
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(session_emulator.grpc_target, options=options) as channel:
        yield BetaAnalyticsDataClient(transport=BetaAnalyticsDataGrpcTransport(channel=channel))


@pytest.fixture(scope="session")
def rest_client(session_emulator: Emulator) -> BetaAnalyticsDataClient:
    return BetaAnalyticsDataClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": session_emulator.http_url},
    )


@pytest.fixture(params=["gRPC", "REST"])
def client(request: pytest.FixtureRequest) -> BetaAnalyticsDataClient:
    return request.getfixturevalue("grpc_client" if request.param == "gRPC" else "rest_client")


@pytest.fixture
def build() -> Callable[..., RunReportRequest]:
    """A report request from plain words; `by` orders by these dimensions."""

    def build_request(
        dimensions: str,
        metrics: str,
        start: str = "yesterday",
        end: str = "yesterday",
        property_id: str = "395450427",
        by: str = "",
        **more: Any,
    ) -> RunReportRequest:
        orders = [OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name=name)) for name in by.split()]
        return RunReportRequest(
            property=f"properties/{property_id}",
            dimensions=[Dimension(name=name) for name in dimensions.split()],
            metrics=[Metric(name=name) for name in metrics.split()],
            **{
                "date_ranges": [DateRange(start_date=start, end_date=end)],
                "order_bys": orders,
                **more,
            },
        )

    return build_request


@pytest.fixture
def read() -> Callable[..., list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """The rows of a response as plain values."""

    def read_rows(response: Any) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        raw = type(response).pb(response)
        return [
            (tuple(one.value for one in row.dimension_values), tuple(one.value for one in row.metric_values))
            for row in raw.rows
        ]

    return read_rows
