"""Where the time of a sync goes: the product's functions, wrapped from outside, timed without callees."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from types import ModuleType
from typing import Any

from steadfast.ga4 import chunks, decode, fetch, publish, sync
from steadfast.ga4.client import Ga4Client

WRAPPED: Mapping[str, tuple[tuple[type | ModuleType, str], ...]] = {
    "request": ((Ga4Client, "run_report"), (fetch, "read_head")),
    "landing": (
        (fetch, "pack_body"),
        (sync, "land_pages"),
        (sync, "mark_landed"),
        (sync, "ensure_day_partitions"),
    ),
    "decode": ((decode, "frame_page"), (decode, "_decode_rows"), (chunks, "_join_pages")),
    "validation": ((publish, "survey_chunk"), (publish, "_judge"), (publish, "record_findings")),
    "publish": ((publish, "_swap"), (publish, "_ensure_months"), (publish, "_list_partitions")),
}


@dataclass
class Stage:
    """Seconds spent in one stage, over all threads."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass
class Stopwatch:
    """Stages by name; a stage inside another counts for itself only."""

    stages: dict[str, Stage] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _local: threading.local = field(default_factory=threading.local)

    def install(self) -> None:
        """Wrap the functions of every stage for the rest of the process."""
        for stage, places in WRAPPED.items():
            self.stages[stage] = Stage()
            for owner, name in places:
                setattr(owner, name, self._wrap(getattr(owner, name), self.stages[stage]))

    def shares(self) -> dict[str, dict[str, float]]:
        """Each stage's part of the time of all stages, by wall clock and by CPU."""
        wall = sum(stage.wall_s for stage in self.stages.values()) or 1.0
        cpu = sum(stage.cpu_s for stage in self.stages.values()) or 1.0
        return {
            name: {"wall": round(stage.wall_s / wall, 3), "cpu": round(stage.cpu_s / cpu, 3)}
            for name, stage in self.stages.items()
        }

    def _wrap(self, function: Callable[..., Any], stage: Stage) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            inner: list[list[float]] = self._local.__dict__.setdefault("inner", [])
            inner.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent = time.perf_counter() - wall, time.thread_time() - cpu
                nested = inner.pop()
                self._add(stage, spent[0] - nested[0], spent[1] - nested[1])
                if inner:
                    inner[-1][0] += spent[0]
                    inner[-1][1] += spent[1]

        return timed

    def _add(self, stage: Stage, wall: float, cpu: float) -> None:
        with self._lock:
            stage.wall_s += wall
            stage.cpu_s += cpu
