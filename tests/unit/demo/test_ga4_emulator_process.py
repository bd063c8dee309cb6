"""The emulator as a program of its own."""

import json
import os
import select
import signal
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from steadfast.demo.ga4 import EmulatorOptions, run_emulator
from steadfast.demo.ga4.__main__ import parse_arguments

COMMAND = [sys.executable, "-m", "steadfast.demo.ga4"]
AGENCY = "395450427"


def test_it_prints_where_it_is_and_ends_when_told(tmp_path):
    arguments = [*COMMAND, "--state", str(tmp_path), "--today", "2026-11-23", "--synthetic", "3"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["properties"] == 31
        with urlopen(Request(f"http://127.0.0.1:{ready['control']}/properties")) as answer:
            assert len(json.load(answer)) == 31
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize("last_words", [signal.SIGKILL])
def test_it_ends_with_the_program_that_started_it(tmp_path, last_words):
    starter = (
        "import subprocess, sys; "
        f"p = subprocess.Popen({[*COMMAND, '--state', str(tmp_path)]!r}, stdout=subprocess.PIPE, text=True); "
        "print(p.pid, flush=True); print(p.stdout.readline(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        assert json.loads(process.stdout.readline())["grpc"]
        watch = os.pidfd_open(child)
        os.kill(process.pid, last_words)
        process.wait(20)
        assert select.select([watch], [], [], 20)[0]


def test_it_remembers_restatements_and_how_far_the_sample_moved(tmp_path, clock):
    day = date(2026, 11, 18)
    asked = (AGENCY, ["date", "pagePath"], ["screenPageViews"], day, day)
    options = EmulatorOptions(state=tmp_path, clock=clock)
    with run_emulator(options) as emulator:
        before = emulator.world.rows(*asked)
        emulator.restate(AGENCY, day)
        emulator.change_property(AGENCY, currency="EUR")
        restated = emulator.world.rows(*asked)
    clock.advance(days=10)
    with run_emulator(options) as emulator:
        assert emulator.world.rows(*asked) == restated != before
        assert emulator.world.describe(AGENCY).currency == "EUR"


def test_a_day_on_the_command_line_stops_the_clock_at_noon():
    options = parse_arguments(["--state", "somewhere", "--today", "2026-11-23", "--no-growth"])
    assert options.clock() == datetime.fromisoformat("2026-11-23T12:00:00+00:00")
    assert (options.state, options.growth) == (Path("somewhere"), False)


def test_without_growth_every_day_is_final_at_once(clock):
    newest = date(2026, 11, 22)
    with run_emulator(EmulatorOptions(clock=clock, growth=False)) as emulator:
        asked = (AGENCY, ["date", "browser", "platform"], ["sessions"], newest, newest)
        first = emulator.world.rows(*asked)
        clock.advance(days=5)
        assert emulator.world.rows(*asked) == first
