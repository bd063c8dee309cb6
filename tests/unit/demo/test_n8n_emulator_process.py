"""The emulated n8n as a program of its own."""

import json
import signal
import subprocess
import sys

import pytest

from steadfast.demo.n8n import read_targets
from steadfast.errors import ConfigError

TARGET = {
    "name": "shop/orders",
    "url": "http://127.0.0.1:9/v1/in/shop/orders",
    "auth": "token",
    "secret": "whk_secret",
    "workflow_id": "wf1",
}


def test_it_prints_where_it_is_and_ends_when_told(tmp_path):
    targets = tmp_path / "targets.json"
    targets.write_text(json.dumps([TARGET]), "utf-8")
    command = [sys.executable, "-m", "steadfast.demo.n8n", "--state", str(tmp_path / "state"), "--idle"]
    with subprocess.Popen(
        [*command, "--targets", str(targets)], stdout=subprocess.PIPE, text=True
    ) as process:
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"api", "control", "api_key", "sources"}
        assert ready["sources"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert (tmp_path / "state" / "n8n-api-key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("{}", "must hold a JSON list"),
        (json.dumps([{**TARGET, "speed": 3}]), "unknown speed"),
        (json.dumps([{"name": "shop/orders"}]), "missing auth, secret, url, workflow_id"),
    ],
)
def test_targets_that_are_wrong_are_named(tmp_path, content, words):
    path = tmp_path / "targets.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=words):
        read_targets(path)
