"""Answers a call as the API does: who asks, which faults wait, what is left of the quota, then the report.

Both servers call this; it knows nothing of gRPC or HTTP.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from google.analytics.data_v1beta.types import RunReportRequest

from steadfast.demo.ga4 import messages
from steadfast.demo.ga4.catalog import build_compatibility, build_metadata
from steadfast.demo.ga4.days import find_today
from steadfast.demo.ga4.faults import (
    ANY_METHOD,
    EXHAUSTION,
    KINDS,
    LATER_PAGES,
    REFUSALS,
    Fault,
    FaultBook,
)
from steadfast.demo.ga4.quota import QuotaBook, price_report
from steadfast.demo.ga4.report import Report, build_report
from steadfast.demo.ga4.tokens import TokenBook
from steadfast.demo.ga4.validate import ReportQuery, parse_property, read_query
from steadfast.demo.ga4.world import World

FIRST_PAGE_KINDS = KINDS - LATER_PAGES
LOG_LENGTH = 200_000


@dataclass(frozen=True)
class Call:
    """What a server knows of a call: its credential, and how to wait until a time or the caller's end."""

    authorization: str | None
    wait: Callable[[float], None]


@dataclass(frozen=True)
class RequestRecord:
    """One call as it came in."""

    property: str
    method: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    dates: tuple[tuple[str, str], ...]
    offset: int
    limit: int
    at: datetime


class Service:
    """The API's four methods."""

    def __init__(
        self,
        world: World,
        quota: QuotaBook,
        faults: FaultBook,
        tokens: TokenBook | None,
        shuffles: bool = True,
    ) -> None:
        self.world = world
        self.quota = quota
        self.faults = faults
        self.tokens = tokens
        self.requests: deque[RequestRecord] = deque(maxlen=LOG_LENGTH)
        self._shuffles = shuffles

    def run_report(self, request: Any, call: Call) -> Report:
        """RunReport."""
        property_id = self._admit(request, "RunReport", call)
        with self.quota.hold_slot(property_id):
            return self._run(property_id, request, call)

    def batch_run_reports(self, request: Any, call: Call) -> list[Report]:
        """BatchRunReports: at most five, all of one property; one that fails spoils the batch."""
        property_id = self._admit(request, "BatchRunReports", call)
        if len(request.requests) > 5:
            raise messages.reject_argument(
                "Batch requests are limited to 5 requests.\n"
                f"  This batch request contains {len(request.requests)} requests."
            )
        with self.quota.hold_slot(property_id):
            return [self._run(property_id, one, call) for one in request.requests]

    def get_metadata(self, request: Any, call: Call) -> Any:
        """GetMetadata; property 0 stands for the fields that all properties have."""
        property_id = self._admit(request, "GetMetadata", call, any_property="0")
        self._meet_faults(property_id, (), call, ANY_METHOD)
        return build_metadata(property_id)

    def check_compatibility(self, request: Any, call: Call) -> Any:
        """CheckCompatibility."""
        property_id = self._admit(request, "CheckCompatibility", call)
        fields = [one.name for one in (*request.dimensions, *request.metrics)]
        kinds = ANY_METHOD - {"incompatible_field"}
        self._meet_faults(property_id, fields, call, kinds)
        broken = self.faults.take(property_id, fields, frozenset({"incompatible_field"}))
        return build_compatibility(request, [name_field(fault, fields) for fault in broken])

    def _admit(self, request: Any, method: str, call: Call, any_property: str | None = None) -> str:
        """The property's number, once the caller may speak of it."""
        name = request.name if method == "GetMetadata" else request.property
        self._record(request, method, name)
        if self.tokens:
            self.tokens.check(call.authorization)
        property_id = parse_property(name)
        if property_id not in self.world and property_id != any_property:
            raise replace(messages.NO_ACCESS)
        return property_id

    def _record(self, request: Any, method: str, name: str) -> None:
        is_report = isinstance(request, RunReportRequest.pb())
        entry = RequestRecord(
            property=name.removeprefix("properties/").removesuffix("/metadata"),
            method=method,
            dimensions=tuple(one.name for one in getattr(request, "dimensions", ())),
            metrics=tuple(one.name for one in getattr(request, "metrics", ())),
            dates=tuple((one.start_date, one.end_date) for one in request.date_ranges) if is_report else (),
            offset=request.offset if is_report else 0,
            limit=request.limit if is_report else 0,
            at=self.world.now,
        )
        self.requests.append(entry)

    def _run(self, property_id: str, request: Any, call: Call) -> Report:
        fields = [one.name for one in (*request.dimensions, *request.metrics)]
        kinds = KINDS if request.offset > 0 else FIRST_PAGE_KINDS
        faults = self._meet_faults(property_id, fields, call, kinds)
        zone = self.world.describe(property_id).time_zone
        query = read_query(request, find_today(self.world.now, zone))
        tokens = self._charge(property_id, query)
        report = build_report(self.world, property_id, query, faults, self._shuffles)
        if request.return_property_quota:
            report.header.property_quota.CopyFrom(self.quota.describe(property_id, tokens))
        return report

    def _charge(self, property_id: str, query: ReportQuery) -> int:
        self.quota.check(property_id, query.is_thresholded)
        tokens = price_report(len(query.dimensions), len(query.metrics), query.days)
        self.quota.charge(property_id, tokens, query.is_thresholded)
        return tokens

    def _meet_faults(
        self, property_id: str, fields: Sequence[str], call: Call, kinds: frozenset[str]
    ) -> list[Fault]:
        """The faults that spoil the answer; those that refuse, cut or delay the call happen here."""
        faults = self.faults.take(property_id, fields, kinds)
        for fault in faults:
            self._hit(property_id, fields, call, fault)
        return faults

    def _hit(self, property_id: str, fields: Sequence[str], call: Call, fault: Fault) -> None:
        if fault.kind in ("slow", "deadline"):
            call.wait(fault.seconds)
        if fault.kind == "deadline":
            raise replace(messages.DEADLINE_EXCEEDED)
        if fault.kind == "reset_mid_page":
            raise messages.ConnectionCut
        if fault.kind == "html":
            raise messages.PlainNotFound
        if fault.kind == "incompatible_field":
            raise messages.reject_incompatible(name_field(fault, fields))
        if fault.kind in EXHAUSTION:
            self._exhaust(property_id, EXHAUSTION[fault.kind])
        if fault.kind in REFUSALS:
            self._refuse(property_id, REFUSALS[fault.kind])

    def _exhaust(self, property_id: str, bucket: str) -> None:
        if bucket != "concurrent":
            self.quota.drain(property_id, bucket)
        raise messages.refuse_quota(bucket)

    def _refuse(self, property_id: str, refusal: messages.ApiError) -> None:
        if refusal.http >= 500:
            self.quota.check(property_id, False)
            self.quota.count_server_error(property_id)
        raise replace(refusal)


def name_field(fault: Fault, fields: Sequence[str]) -> str:
    """The field a fault calls incompatible: its own, else the report's last dimension or metric."""
    return fault.value or fault.report_has or (fields[-1] if fields else "date")
