"""HTTP as bytes on a socket: what a broken, old or hostile sender can say, and what it gets back."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

PATIENCE_SECONDS = 30.0
"""No case may take longer; a machine that is busy gets some of it."""


@dataclass(frozen=True)
class Address:
    """Where a form of the receiver listens; Airflow mounts it below a prefix."""

    host: str
    port: int
    prefix: str = ""


@dataclass(frozen=True)
class Answer:
    """One response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    version: str = "HTTP/1.1"

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class ConnectionEnded(Exception):
    """The server hung up before it had answered in full."""


class Wire:
    """One connection; what is read too far is kept for the next answer."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection((address.host, address.port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_if_wanted(self, data: bytes) -> bool:
        """False if the server hung up while we were talking."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read_answer(self, *, method: str = "POST") -> Answer:
        """Read one answer, also an interim one; ConnectionEnded if there is none."""
        head = self._read_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        has_body = method != "HEAD" and int(status) >= 200
        return Answer(int(status), headers, self._read_body(headers) if has_body else b"", version)

    def read_to_the_end(self) -> bytes:
        """Everything until the server hangs up; TimeoutError if it does not."""
        while chunk := self._receive():
            self.kept += chunk
        rest, self.kept = self.kept, b""
        return rest

    def is_silent(self, seconds: float) -> bool:
        """Nothing comes for so long, and nobody hangs up."""
        self.socket.settimeout(seconds)
        try:
            self.kept += self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE_SECONDS)
        return False

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self.kept:
            chunk = self._receive()
            if not chunk:
                raise ConnectionEnded(f"after {self.kept[:200]!r}")
            self.kept += chunk
        found, _, self.kept = self.kept.partition(mark)
        return found

    def _read_count(self, count: int) -> bytes:
        while len(self.kept) < count:
            chunk = self._receive()
            if not chunk:
                raise ConnectionEnded(f"after {len(self.kept)} of {count} bytes of a body")
            self.kept += chunk
        found, self.kept = self.kept[:count], self.kept[count:]
        return found

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int(self._read_until(b"\r\n"), 16):
                parts.append(self._read_count(size))
                self._read_count(2)
            self._read_until(b"\r\n")
            return b"".join(parts)
        if "content-length" in headers:
            return self._read_count(int(headers["content-length"]))
        return self.read_to_the_end()


Headers = Mapping[str, str | bytes]


def write_request(
    target: str | bytes,
    headers: Headers,
    body: bytes = b"",
    *,
    method: str = "POST",
    version: str = "HTTP/1.1",
    extra: bytes = b"",
) -> bytes:
    """The bytes of a request; its length is added unless the headers speak of one. `extra`: header lines."""
    spoken = {name.lower() for name in headers}
    lines = [b"%s %s %s" % (method.encode(), _encode(target), version.encode())]
    lines += [_encode(name) + b": " + _encode(value) for name, value in headers.items()]
    if "host" not in spoken and version == "HTTP/1.1":
        lines.insert(1, b"Host: receiver.test")
    if not spoken & {"content-length", "transfer-encoding"} and b"ontent-" not in extra:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n" + body


def chunked(*parts: bytes) -> bytes:
    """A body in chunks, with its end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def sign(secret: str, event_id: str | bytes, timestamp: str | bytes, body: bytes) -> str:
    """A signature as Standard Webhooks describes it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b".".join([_encode(event_id), _encode(timestamp), body])
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def wait_until(is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> float:
    """Ask until it is so; the seconds that took. Fails after `seconds`."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"it was not so within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


def _encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
