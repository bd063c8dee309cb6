"""What the REST and the control server share: a quiet HTTP/1.1 handler that reads and writes whole bodies."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Keeps the connection open, sends small answers at once, logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "ESF"
    sys_version = ""

    def log_message(self, *args: Any) -> None:
        """Calls are in the request log instead."""

    def read_body(self) -> bytes:
        """The whole body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send_text(self, status: int, text: str, kind: str = "application/json; charset=UTF-8") -> None:
        """One whole answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class LoopbackServer(ThreadingHTTPServer):
    """A server on loopback that runs beside the program and ends with it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hung up is what some faults are for; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError | ValueError):
            super().handle_error(request, client_address)


def start_http(handler: type[JsonHandler], port: int, **bound: Any) -> LoopbackServer:
    """A started server whose handlers carry `bound` as attributes; port 0 asks for any free one."""
    server = LoopbackServer(("127.0.0.1", port), type(handler.__name__, (handler,), bound))
    threading.Thread(target=server.serve_forever, args=(0.1,), name="ga4-http", daemon=True).start()
    return server
