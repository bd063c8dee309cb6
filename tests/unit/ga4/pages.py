"""Pages of GA4 built with the real message classes, and pages no message class would write."""

from collections.abc import Sequence

from google.analytics.data_v1beta import types

from steadfast.ga4 import decode
from steadfast.ga4.reports import Report

Row = tuple[Sequence[str | bytes], Sequence[str | bytes]]


def encode_varint(value: int) -> bytes:
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if not value:
            break
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def encode_field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + encode_varint(len(value)) + value


def encode_row(dimensions: Sequence[str | bytes], metrics: Sequence[str | bytes]) -> bytes:
    cells = [encode_field(0x0A, encode_field(0x0A, _raw(text))) for text in dimensions]
    cells += [encode_field(0x12, encode_field(0x22, _raw(text))) for text in metrics]
    return encode_field(0x1A, b"".join(cells))


def build_frame(report: Report, row_count: int) -> types.RunReportResponse:
    names = (report.grain.value, *report.dimensions)
    return types.RunReportResponse(
        dimension_headers=[types.DimensionHeader(name=name) for name in names],
        metric_headers=[
            types.MetricHeader(name=name, type_=types.MetricType.TYPE_INTEGER) for name in report.metrics
        ],
        row_count=row_count,
        metadata=types.ResponseMetaData(time_zone="America/New_York", currency_code="USD"),
        kind="analyticsData#runReport",
    )


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def build_body(report: Report, rows: Sequence[Row], row_count: int | None = None) -> bytes:
    frame = build_frame(report, len(rows) if row_count is None else row_count)
    body: bytes = types.RunReportResponse.serialize(frame)
    return body + b"".join(encode_row(*row) for row in rows)


def decode_page(body: bytes, report: Report) -> decode.DecodedPage:
    """The whole page as one part."""
    (page,) = decode.decode_page(body, report, part_rows=2**31)
    return page
