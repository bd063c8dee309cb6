"""Peers come from the package registry, each in an environment of its own outside the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = "3.11"


def find_cache() -> Path:
    """Where peers are kept between benchmarks."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "steadfast-bench"


def ensure_peer(name: str, version: str) -> Path:
    """The environment with this very version; the first call installs it, which may take minutes."""
    place = find_cache() / f"{name}-{version}"
    done = place / ".installed"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        print(f"installing {name} {version} into {place}", file=sys.stderr, flush=True)
        uv = str(Path(sys.executable).parent / "uv")
        python = str(place / "bin" / "python")
        subprocess.run([uv, "venv", "--quiet", "--python", PYTHON, str(place)], check=True)
        pinned = f"{name}=={version}"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, pinned], check=True)
        done.touch()
    return place
