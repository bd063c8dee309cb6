"""One POST as n8n's HTTP Request node sends it: axios, its own connection, no redirects."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

AGENT = "axios/1.12.0"
ACCEPT = (
    "application/json,text/html,application/xhtml+xml,application/xml,text/*;q=0.9, image/*;q=0.8, */*;q=0.7"
)
LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0 and a Node.js error code if nothing did."""

    status: int
    text: str = ""
    code: str = ""

    @property
    def is_good(self) -> bool:
        """Whether n8n takes it for a success."""
        return 200 <= self.status < 300


async def post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
    """Send one request; every failure is an answer too."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(url, headers, body)
    except TimeoutError:
        return Answer(0, f"timeout of {timeout_s * 1000:.0f}ms exceeded", "ECONNABORTED")
    except ConnectionRefusedError:
        return Answer(0, f"connect ECONNREFUSED {urlsplit(url).netloc}", "ECONNREFUSED")
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
        return Answer(0, "socket hang up", "ECONNRESET")
    except OSError as error:
        return Answer(0, error.strerror or "the host was not found", "ENOTFOUND")


async def _exchange(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=is_tls or None)
    try:
        writer.write(_head(parts.path or "/", parts.netloc, headers, len(body)) + body)
        await writer.drain()
        return await _read_answer(reader)
    finally:
        writer.close()


def _head(path: str, host: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = {
        "Accept": ACCEPT,
        "Content-Type": "application/json",
        **headers,
        "User-Agent": AGENT,
        "Content-Length": str(length),
        "Accept-Encoding": "gzip, compress, deflate, br",
        "Host": host,
        "Connection": "close",
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    length = headers.get("content-length")
    body = await (reader.read(LONGEST_ANSWER) if length is None else reader.readexactly(int(length)))
    return Answer(int(first.split(" ", 2)[1]), body.decode("utf-8", "replace"))
