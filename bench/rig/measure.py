"""Run programs and account for them: wall clock, CPU of the process and its children, peak memory."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What one or more programs took; CPU is user plus system, `work_s` the wall clock without the start."""

    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    work_s: float | None = None


class ProgramFailed(Exception):
    """A measured program did not end well."""


def run_measured(
    commands: Sequence[Sequence[str]], log: Path, output: Path, environment: Mapping[str, str] | None = None
) -> Usage:
    """Run a pipeline of programs to its end; errors go to `log`, the last one's output to `output`."""
    began = time.monotonic()
    with log.open("wb") as errors, output.open("wb") as last_output:
        processes = _start_pipeline(commands, errors, last_output, environment)
        endings = [os.wait4(process.pid, 0) for process in processes]
    wall = time.monotonic() - began
    for command, (_, status, _) in zip(commands, endings, strict=True):
        if status:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
            raise ProgramFailed(f"{' '.join(command[:3])} ended with {status}:\n{tail}")
    used = [usage for _, _, usage in endings]
    return Usage(
        round(wall, 2),
        round(sum(one.ru_utime + one.ru_stime for one in used), 2),
        round(sum(one.ru_maxrss for one in used) / 1024, 1),
    )


def _start_pipeline(
    commands: Sequence[Sequence[str]],
    errors: object,
    last_output: object,
    environment: Mapping[str, str] | None,
) -> list[subprocess.Popen[bytes]]:
    processes: list[subprocess.Popen[bytes]] = []
    for number, command in enumerate(commands):
        source = processes[-1].stdout if processes else subprocess.DEVNULL
        target = last_output if number == len(commands) - 1 else subprocess.PIPE
        processes.append(
            subprocess.Popen(
                list(command),
                stdin=source,
                stdout=target,
                stderr=errors,
                env={**os.environ, **(environment or {})},
            )
        )
        if number:
            # Only the reader may keep the pipe, or the writer never learns that it is gone.
            processes[-2].stdout.close()
    return processes


def find_peak_rss(root: int) -> float:
    """The largest peak memory in MB that any living descendant of process `root` has had."""
    parents: dict[int, int] = {}
    peaks: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, KeyError, ValueError):
            lines = (entry / "status").read_text("utf-8").splitlines()
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            parents[int(entry.name)] = int(fields["PPid"])
            peaks[int(entry.name)] = int(fields["VmHWM"].split()[0]) / 1024
    return round(max((peak for pid, peak in peaks.items() if _descends(pid, root, parents)), default=0.0), 1)


def _descends(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == root:
            return True
    return False
