"""What the numbers were measured on, and how busy it was: ratios survive a busy machine, seconds do not."""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, load, versions and the date."""
    processor = next(
        (line.split(":", 1)[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((line.split()[1] for line in _read("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 1024**2, 1),
        "load_1_5_15_min": [round(load, 1) for load in os.getloadavg()],
        "system": platform.platform(),
        # The same version is a third faster where it was built with a profile, as Debian does.
        "python": f"{platform.python_version()} of {sys.base_prefix}",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read(path: str) -> list[str]:
    place = Path(path)
    return place.read_text("utf-8").splitlines() if place.exists() else []
