"""The emulated API over gRPC on loopback: generic handlers, ready-made bytes, errors with rich status."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.analytics.data_v1beta.types import (
    BatchRunReportsRequest,
    CheckCompatibilityRequest,
    GetMetadataRequest,
    RunReportRequest,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from steadfast.demo.ga4.encode import encode_varint
from steadfast.demo.ga4.messages import ApiError, ConnectionCut, PlainNotFound
from steadfast.demo.ga4.service import Call, Service

API = "google.analytics.data.v1beta.BetaAnalyticsData"
WORKERS = 64
_TCP = (socket.AF_INET, socket.AF_INET6)
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),
]
_BATCH_KIND = b"\x12\x1danalyticsData#batchRunReports"

Answer = Callable[[Any, Call], bytes]


def start_grpc(service: Service, port: int) -> tuple[grpc.Server, int]:
    """A started server and the port it listens on (0 asks for any free one)."""
    server = grpc.server(ThreadPoolExecutor(WORKERS, "ga4-grpc"), options=_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(API, _list_handlers(service)),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


def _list_handlers(service: Service) -> Mapping[str, grpc.RpcMethodHandler]:
    methods: dict[str, tuple[Any, Answer]] = {
        "RunReport": (RunReportRequest, lambda request, call: service.run_report(request, call).write_wire()),
        "BatchRunReports": (BatchRunReportsRequest, lambda request, call: _batch(service, request, call)),
        "GetMetadata": (
            GetMetadataRequest,
            lambda request, call: service.get_metadata(request, call).SerializeToString(),
        ),
        "CheckCompatibility": (
            CheckCompatibilityRequest,
            lambda request, call: service.check_compatibility(request, call).SerializeToString(),
        ),
    }
    return {
        name: grpc.unary_unary_rpc_method_handler(_guard(answer), message.pb().FromString, None)
        for name, (message, answer) in methods.items()
    }


def _batch(service: Service, request: Any, call: Call) -> bytes:
    wires = [report.write_wire() for report in service.batch_run_reports(request, call)]
    return b"".join(b"\x0a" + encode_varint(len(wire)) + wire for wire in wires) + _BATCH_KIND


def _guard(answer: Answer) -> Callable[[Any, grpc.ServicerContext], bytes]:
    """The handler around an answer: errors of the API become gRPC statuses."""

    def handle(request: Any, context: grpc.ServicerContext) -> bytes:
        try:
            return answer(request, _read_call(context))
        except ApiError as error:
            _abort(context, error)
        except PlainNotFound:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Received http2 header with status: 404")
        except ConnectionCut:
            cut_connection(context.peer())
            context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
        raise AssertionError("abort raises")

    return handle


def _read_call(context: grpc.ServicerContext) -> Call:
    metadata = dict(context.invocation_metadata() or ())
    authorization = metadata.get("authorization")
    return Call(str(authorization) if authorization else None, lambda seconds: _wait(context, seconds))


def _wait(context: grpc.ServicerContext, seconds: float) -> None:
    """Until the time is over or the caller has given up."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(seconds)


def _abort(context: grpc.ServicerContext, error: ApiError) -> None:
    code = grpc.StatusCode[error.status]
    if error.reason:
        details = AnyMessage()
        details.Pack(ErrorInfo(reason=error.reason, domain="googleapis.com"))
        status = Status(code=code.value[0], message=error.message, details=[details])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, error.message)


def cut_connection(peer: str) -> None:
    """Shut the caller's TCP connection for real; where /proc is missing, only the status tells."""
    _, _, port = peer.rpartition(":")
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as found:
                if found.family in _TCP and found.getpeername()[1] == int(port):
                    found.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The descriptor closed meanwhile or has no peer: not the one we look for.
            continue
