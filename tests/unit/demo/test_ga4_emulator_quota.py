"""The quota buckets: what a report costs, when they are empty, when they fill again."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.analytics.data_v1beta.types import RunReportRequest
from google.api_core import exceptions

from steadfast.demo.ga4 import EmulatorOptions, Fault, run_emulator
from steadfast.demo.ga4.quota import QuotaLimits, price_report

AGENCY = "395450427"
OTHER = "395461442"


@pytest.mark.parametrize(
    ("dimensions", "metrics", "days", "tokens"), [(1, 1, 1, 1), (1, 10, 7, 2), (9, 10, 7, 4), (1, 1, 365, 7)]
)
def test_reports_cost_what_was_measured_on_the_real_service(dimensions, metrics, days, tokens):
    assert price_report(dimensions, metrics, days) == tokens


def test_the_quota_is_only_shown_when_asked_for_and_tells_what_this_request_used(client, emulator, build):
    plain = client.run_report(build("date", "sessions"))
    assert "property_quota" not in plain
    quota = client.run_report(build("date", "sessions", return_property_quota=True)).property_quota
    assert (quota.tokens_per_day.consumed, quota.tokens_per_day.remaining) == (1, 199_998)
    assert quota.tokens_per_project_per_hour.remaining == 13_998
    assert quota.concurrent_requests.remaining == 9
    assert emulator.quota(OTHER).tokens_per_day.consumed == 0


@pytest.mark.parametrize(
    ("bucket", "message", "hours"),
    [
        ("hour", "Exhausted property tokens for a property per hour.", 1),
        ("project_hour", "Exhausted property tokens for a project per hour.", 1),
        ("server_errors", "Exhausted server errors quota.", 1),
        ("day", "Exhausted property tokens for a property per day.", 20),
    ],
)
def test_an_exhausted_bucket_refuses_until_it_refills(client, emulator, clock, build, bucket, message, hours):
    emulator.inject(Fault(AGENCY, f"exhaust_{bucket}", times=1))
    for _ in range(2):
        with pytest.raises(exceptions.TooManyRequests, match=message):
            client.run_report(build("date", "sessions"))
    assert client.run_report(build("date", "sessions", property_id=OTHER)).row_count == 1
    clock.advance(hours=hours)
    assert client.run_report(build("date", "sessions")).row_count == 1


def test_the_day_bucket_fills_at_midnight_in_california(emulator, clock, grpc_client, build):
    emulator.inject(Fault(AGENCY, "exhaust_day", times=1))
    clock.now = clock.now.replace(hour=6)
    with pytest.raises(exceptions.TooManyRequests):
        grpc_client.run_report(build("date", "sessions"))
    clock.advance(hours=1, minutes=59)
    with pytest.raises(exceptions.TooManyRequests):
        grpc_client.run_report(build("date", "sessions"))
    clock.advance(minutes=2)
    assert grpc_client.run_report(build("date", "sessions")).row_count == 1


def test_demographic_reports_have_a_quota_of_their_own(client, emulator, build):
    emulator.inject(Fault(AGENCY, "exhaust_thresholded", times=1, report_has="userAgeBracket"))
    with pytest.raises(exceptions.TooManyRequests, match="potentially thresholded requests"):
        client.run_report(build("userAgeBracket", "activeUsers"))
    with pytest.raises(exceptions.TooManyRequests, match="potentially thresholded requests"):
        client.run_report(build("userGender", "activeUsers"))
    assert client.run_report(build("date", "sessions")).row_count == 1


def test_ten_server_errors_in_an_hour_close_the_property(emulator, grpc_client, build):
    emulator.inject(Fault(AGENCY, "internal"))
    for _ in range(10):
        with pytest.raises(exceptions.InternalServerError):
            grpc_client.run_report(build("date", "sessions"))
    with pytest.raises(exceptions.TooManyRequests, match="server errors"):
        grpc_client.run_report(build("date", "sessions"))


def test_requests_that_run_at_the_same_time_are_counted(session_clock, clock, build):
    limits = QuotaLimits(concurrent=2)
    with run_emulator(EmulatorOptions(clock=session_clock, limits=limits)) as emulator:
        emulator.inject(Fault(AGENCY, "slow", seconds=1.0))
        with grpc.insecure_channel(emulator.grpc_target) as channel, ThreadPoolExecutor(6) as pool:
            call = channel.unary_unary(
                "/google.analytics.data.v1beta.BetaAnalyticsData/RunReport",
                request_serializer=RunReportRequest.serialize,
            )
            waiting = [pool.submit(call, build("date", "sessions")) for _ in range(6)]
            errors = [one.exception() for one in waiting]
        refused = [error for error in errors if error]
        assert len(refused) == 4
        assert {error.details() for error in refused} == {"Exhausted concurrent requests quota."}
        assert emulator.quota(AGENCY).concurrent_requests.consumed == 0
