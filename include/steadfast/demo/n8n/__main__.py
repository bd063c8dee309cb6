"""Runs the emulator as a program: prints one JSON line with its ports, then works until told to end."""

import argparse
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from steadfast.demo.n8n.emulator import EmulatorOptions, start_emulator
from steadfast.demo.n8n.targets import read_targets
from steadfast.launch.processes import end_with_parent


def parse_arguments(arguments: Sequence[str]) -> EmulatorOptions:
    """The options on the command line."""
    parser = argparse.ArgumentParser(prog="python -m steadfast.demo.n8n", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory for what survives a restart")
    parser.add_argument(
        "--targets", type=Path, required=True, help="JSON list of what to make and post where"
    )
    for name in ("api", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 takes any free port")
    parser.add_argument(
        "--idle", action="store_true", help="the workflows wait until the control endpoint switches them on"
    )
    values = vars(parser.parse_args(arguments))
    targets = read_targets(values.pop("targets"))
    return EmulatorOptions(targets=targets, is_on=not values.pop("idle"), **values)


def main() -> None:
    """Start, tell where, wait for the end."""
    options = parse_arguments(sys.argv[1:])
    end_with_parent(os.getppid())
    # A burst of 1000 events is 1000 connections at once.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    emulator = start_emulator(options)
    ready = {
        "api": emulator.api_server.server_port,
        "control": emulator.control_server.server_port,
        "api_key": emulator.api_key,
        "sources": len(options.targets),
    }
    print(json.dumps(ready), flush=True)
    ended.wait()
    emulator.stop()


if __name__ == "__main__":
    main()
