"""What one writes for webhooks in an afternoon: a FastAPI route, a pool, one INSERT and one commit a request.

uvicorn imports it as the peer itself; the benchmark imports it to start that. It does what ours promises,
as lightly as it can: signature, time, JSON, the unique key of source and id, and 2xx after the commit. The
table has the columns and keys of ours, in a database of its own on the same server.
"""

import base64
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psycopg
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

NAME = "insert_per_request"
VERSIONS = "FastAPI, asyncpg pool, one INSERT a request, uvicorn with 2 workers, uvloop and httptools"
WORKERS = 2
TOLERANCE_S = 300
CREATE = """
    DROP TABLE IF EXISTS inbox;
    CREATE TABLE inbox (
        inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        entity_id integer NOT NULL,
        source_id integer NOT NULL,
        event_id text NOT NULL,
        event_type text,
        schema_version smallint NOT NULL,
        received_at timestamptz NOT NULL,
        body bytea COMPRESSION lz4 NOT NULL,
        UNIQUE (source_id, event_id)
    );
"""
INSERT = """
    INSERT INTO inbox (entity_id, source_id, event_id, event_type, schema_version, received_at, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT DO NOTHING
    RETURNING inbox_id
"""


@asynccontextmanager
async def open_pool(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool for as long as the server runs."""
    async with asyncpg.create_pool(os.environ["PEER_URL"]) as pool:
        app.state.pool = pool
        app.state.key = bytes.fromhex(os.environ["PEER_KEY"])
        yield


app = FastAPI(lifespan=open_pool)


@app.get("/readyz")
async def tell_ready() -> dict[str, str]:
    """Say that the pool is open."""
    return {"status": "ready"}


@app.post("/v1/in/{entity}/{source}")
async def take_event(entity: str, source: str, request: Request) -> JSONResponse:
    """Check, insert, commit, answer."""
    body = await request.body()
    headers = request.headers
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    message = f"{event_id}.{timestamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(app.state.key, message, "sha256")).decode()
    is_signed = hmac.compare_digest(wanted, headers.get("webhook-signature", ""))
    if not is_signed or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return JSONResponse({"error": "unauthorized"}, 401)
    try:
        event = json.loads(body)
    except ValueError:
        return JSONResponse({"error": "invalid_json"}, 400)
    now = datetime.now(UTC)
    values = (1, 1, event_id, event.get("type"), event.get("version", 1), now, body)
    inbox_id = await app.state.pool.fetchval(INSERT, *values)
    status = "duplicate" if inbox_id is None else "accepted"
    answer = {"status": status, "id": event_id, "inbox_id": inbox_id}
    return JSONResponse(answer, 200 if inbox_id is None else 202)


@contextmanager
def run_peer(url: str, key: bytes, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Make the table and start the server; it stops at the end of the block."""
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
    command = [sys.executable, "-m", "uvicorn", "peers.insert_per_request:app", "--port", str(port)]
    options = ["--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"]
    speed = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    bench = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PEER_URL": url, "PEER_KEY": key.hex()}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *options, *speed], cwd=bench, env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
