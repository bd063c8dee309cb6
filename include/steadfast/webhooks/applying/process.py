"""Bring chunks of the inbox into typed tables, each in one transaction with its dead letters.

A kill at any moment leaves a chunk undone or done, nothing between; and what is applied twice is the same
as applied once, since the newest event of a key wins. Any number of processes may take chunks at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection

from steadfast.errors import SteadfastError, WarehouseBusy
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.chunks import Chunk, Contracts, Counts, Work, apply_chunk, claim_chunk
from steadfast.webhooks.applying.failures import explain_failure, postpone
from steadfast.webhooks.events import EVENTS

LIMITS = {"statement_timeout": "4min", "idle_timeout": "1min", "work_mem": "64MB"}


@dataclass(frozen=True)
class Processed:
    """What one worker did, and in words what it could not do."""

    chunk_count: int = 0
    applied_count: int = 0
    dead_count: int = 0
    failures: tuple[str, ...] = ()

    def __add__(self, other: "Processed") -> "Processed":
        return Processed(
            self.chunk_count + other.chunk_count,
            self.applied_count + other.applied_count,
            self.dead_count + other.dead_count,
            self.failures + other.failures,
        )


def process_chunks(
    connect: Callable[[], Connection[Any]],
    *,
    run_id: int,
    clock: Callable[[], datetime],
    is_time_over: Callable[[], bool],
    contracts: Contracts = EVENTS,
) -> Processed:
    """Take the chunks that are due, one transaction each, until none is left or the time is over.

    A chunk that fails stays planned with its error, is tried again later, and stops no other one.
    """
    worker = _Worker(connect, run_id, clock, contracts)
    done = Processed()
    try:
        while not is_time_over():
            outcome = worker.process_next()
            if outcome is None:
                break
            done += outcome
    finally:
        worker.connection.close()
    return done


@dataclass
class _Worker:
    connect: Callable[[], Connection[Any]]
    run_id: int
    clock: Callable[[], datetime]
    contracts: Contracts
    tried: list[Chunk] = field(default_factory=list)
    connection: Connection[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.connection = self.connect()

    def process_next(self) -> Processed | None:
        """Apply one chunk or say why not; None if none is due."""
        tried_before = len(self.tried)
        try:
            with translate_errors(), self.connection.transaction():
                return self._take_chunk()
        except WarehouseBusy as failure:
            if len(self.tried) == tried_before:
                raise
            # The connection went, or the commit failed: the chunk is as it was before.
            if self.connection.closed:
                self.connection = self.connect()
            with translate_errors(), self.connection.transaction():
                return self._postpone(self.tried[-1], failure)

    def _take_chunk(self) -> Processed | None:
        chunk = claim_chunk(self.connection, [chunk.chunk_id for chunk in self.tried], self.clock())
        if chunk is None:
            return None
        self.tried.append(chunk)
        try:
            # A savepoint: whatever fails, the chunk stays locked until its failure is written down.
            with self.connection.transaction():
                counts = self._apply(chunk)
        except (psycopg.Error, SteadfastError) as error:
            if self.connection.closed:
                raise
            return self._postpone(chunk, explain_failure(error))
        return Processed(1, counts.applied, counts.dead)

    def _apply(self, chunk: Chunk) -> Counts:
        self.connection.execute(load_queries("webhook_process")["limit_statements"], LIMITS)
        return apply_chunk(Work(self.connection, chunk, self.run_id, self.clock(), self.contracts))

    def _postpone(self, chunk: Chunk, failure: SteadfastError) -> Processed:
        pause = postpone(failure, chunk.attempt, self.clock())
        values = {"chunk_id": chunk.chunk_id, "error": pause.error, "next_try_at": pause.next_try_at}
        self.connection.execute(load_queries("webhook_process")["postpone_chunk"], values)
        return Processed(failures=(f"Chunk {chunk.chunk_id}: {failure}",))
