"""`steadfast demo` as a person runs it: a process of its own, watched by what it prints."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from steadfast.demo.webhooks import read_control
from steadfast.launch.airflow_api import AirflowApi

STEADFAST = Path(sys.executable).parent / "steadfast"
READY = "Everything stays up"
READY_SECONDS = 400
RUN_SECONDS = 300
END_SECONDS = 60
# The demo is on this machine: a proxy of the environment must not be asked for it.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class DemoProcess:
    """A demo that was started, and what can be asked of it from outside."""

    state: Path
    process: subprocess.Popen
    log: Path

    @property
    def printed(self) -> str:
        return self.log.read_text("utf-8")

    @property
    def url(self) -> str:
        return re.search(r"Airflow +(http://localhost:\d+) ", self.printed)[1]

    @property
    def password(self) -> str:
        return re.search(r"user admin +password (\S+)", self.printed)[1]

    @property
    def api(self) -> AirflowApi:
        return AirflowApi(self.url, "admin", self.password)

    @property
    def psql(self) -> str:
        """The printed psql line up to its query, as a person would copy it into a shell."""
        return re.search(r"^ +(PGPASSWORD=\S+ \S+psql .*) -c ", self.printed, re.MULTILINE)[1]

    @property
    def reader(self) -> dict[str, str]:
        """How the login of the printed psql line connects."""
        names = {"-h": "host", "-p": "port", "-U": "user", "-d": "dbname"}
        password, _, *options = shlex.split(self.psql)
        given = {names[name]: value for name, value in zip(options[::2], options[1::2], strict=True)}
        return {"password": password.removeprefix("PGPASSWORD="), **given}

    def wait_for(self, text: str, seconds: float = READY_SECONDS) -> None:
        """Wait until the demo has printed `text`; a demo that ends before is a failure with its output."""
        wait_for(
            lambda: text in self.printed or self.process.poll() is not None,
            seconds,
            f"{text!r}\n{self.printed}",
        )
        assert text in self.printed, f"the demo ended with {self.process.returncode}:\n{self.printed}"

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Send a signal to the demo, wait for its end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(END_SECONDS)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a `steadfast` command on the demo's state."""
        environment = {**os.environ, "STEADFAST_STATE": str(self.state)}
        return subprocess.run(
            [STEADFAST, *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    def wait_for_end(self, run_id: str, dag_id: str = "ga4_sync") -> str:
        """Wait for a run and return how it ended."""
        wait_for(lambda: self.api.run_state(dag_id, run_id) in ("success", "failed"), RUN_SECONDS, run_id)
        return self.api.run_state(dag_id, run_id)

    def ask_n8n(self, path: str, body: dict) -> dict:
        """Make the emulated n8n do something."""
        control = read_control(self.state)
        request = urllib.request.Request(control + path, json.dumps(body).encode(), method="POST")
        with OPENER.open(request, timeout=120) as answer:
            return json.load(answer)

    def sent_in(self, execution: str) -> list[str]:
        """The ids of the events that an execution of the emulated n8n had to send."""
        port = json.loads((self.state / "n8n.json").read_text("ascii"))["api"]
        key = (self.state / "n8n" / "n8n-api-key").read_text("ascii").strip()
        url = f"http://127.0.0.1:{port}/api/v1/executions/{execution}?includeData=true"
        with OPENER.open(urllib.request.Request(url, headers={"X-N8N-API-KEY": key}), timeout=30) as answer:
            prepared = json.load(answer)["data"]["resultData"]["runData"]["Prepare events"]
        return [item["json"]["id"] for item in prepared[0]["data"]["main"][0]]

    def break_property(self, property_id: int, kind: str) -> None:
        """Let the GA4 emulator fail for one property."""
        self._control("POST", {"property": str(property_id), "kind": kind})

    def mend_properties(self) -> None:
        """Let the GA4 emulator answer again."""
        self._control("DELETE")

    def living_processes(self) -> list[str]:
        """The command lines of every process that knows the state directory, except zombies."""
        return find_processes(self.state)

    def _control(self, method: str, body: dict | None = None) -> None:
        port = json.loads((self.state / "emulator.json").read_text("ascii"))["control"]
        content = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"http://127.0.0.1:{port}/faults", content, method=method)
        with OPENER.open(request, timeout=10):
            pass


def start_demo(state: Path, *arguments: str) -> DemoProcess:
    """Start a demo on `state`, on a port that is most likely free."""
    log = state.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [STEADFAST, "demo", "--state", state, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return DemoProcess(state, process, log)


def wait_for(is_done, seconds: float, what: str) -> None:
    """Ask until the answer is yes; no fixed pause decides whether a test passes."""
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        threading.Event().wait(0.2)


def find_processes(state: Path) -> list[str]:
    """The command lines of the processes whose arguments or environment name the state directory."""
    return list(list_processes(state).values())


def list_processes(state: Path) -> dict[int, str]:
    """The same, by the number of the process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            known = command + (entry / "environ").read_bytes()
        except OSError:
            continue
        if command and int(entry.name) != os.getpid() and bytes(state) in known:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found
