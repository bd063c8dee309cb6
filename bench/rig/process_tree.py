"""A program with everything it started: its processes, the CPU they took, the memory they hold."""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK_SECONDS = 0.2


def list_tree(root: int) -> list[int]:
    """The process and its living descendants."""
    children: dict[int, list[int]] = {}
    for pid, fields in _read_all().items():
        children.setdefault(int(fields[1]), []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def read_cpu_seconds(root: int) -> float:
    """User and system time of the whole tree; those who have ended count in whoever waited for them."""
    stats = _read_all()
    ticks = sum(int(tick) for pid in list_tree(root) if pid in stats for tick in stats[pid][11:15])
    return ticks / TICKS


def read_rss_mb(root: int) -> float:
    """Resident memory of the whole tree; a page that two of them share counts twice."""
    pages = 0
    for pid in list_tree(root):
        with contextlib.suppress(OSError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * PAGE / 2**20


@dataclass
class PeakRss:
    """The most memory that a tree held at once, looked at several times a second."""

    root: int
    peak_mb: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator["PeakRss"]:
        """Look for the length of a block."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self.peak_mb = max(self.peak_mb, read_rss_mb(self.root))


def _read_all() -> dict[int, list[str]]:
    """What /proc/PID/stat says after the name: state, parent, … user and system time at 11 to 14."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (entry / "stat").read_text("utf-8", "replace")
            found[int(entry.name)] = text.rpartition(")")[2].split()
    return found
