"""Runs the emulator as a program: prints one JSON line with its ports, then serves until told to end."""

import argparse
import ctypes
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

from steadfast.demo.ga4.emulator import EmulatorOptions, read_clock, start_emulator

_PR_SET_PDEATHSIG = 1


def parse_arguments(arguments: Sequence[str]) -> EmulatorOptions:
    """The options on the command line."""
    parser = argparse.ArgumentParser(prog="python -m steadfast.demo.ga4", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory for what survives a restart")
    for name in ("grpc", "http", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--synthetic", type=int, default=0, help="number of made-up properties")
    parser.add_argument("--rows-per-day", type=int, default=12, help="their rows a report and day")
    parser.add_argument("--today", type=date.fromisoformat, help="stop the clock at noon UTC of this day")
    parser.add_argument(
        "--growth", action=argparse.BooleanOptionalAction, default=True, help="young days grow"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other numbers")
    parser.add_argument("--require-token", action="store_true", help="refuse calls without a bearer token")
    parser.add_argument(
        "--shuffle-ties",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="open order falls anew each time",
    )
    values = vars(parser.parse_args(arguments))
    today = values.pop("today")
    noon = datetime.combine(today, time(12), UTC) if today else None
    return EmulatorOptions(**values, clock=(lambda: noon) if noon else read_clock)


def follow_parent() -> None:
    """End when the starting process ends, however it ends (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Start, tell where, wait for the end."""
    options = parse_arguments(sys.argv[1:])
    follow_parent()
    # Reports are many small tuples without cycles; looking through them over and over costs seconds.
    gc.set_threshold(200_000, 50, 1_000)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    emulator = start_emulator(options)
    ready = {
        "grpc": emulator.grpc_port,
        "http": emulator.http_server.server_port,
        "control": emulator.control_server.server_port,
        "properties": len(emulator.world.list_properties()),
    }
    print(json.dumps(ready), flush=True)
    ended.wait()
    emulator.stop()


if __name__ == "__main__":
    main()
