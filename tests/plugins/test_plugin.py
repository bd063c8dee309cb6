"""What each component of Airflow gets when it reads the plugin file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "plugins" / "steadfast_plugin.py"
READ = f"""
import json, runpy, sys
import airflow.plugins_manager
before = set(sys.modules)
plugin = runpy.run_path({str(FILE)!r})["SteadfastPlugin"]
prefixes = [app["url_prefix"] for app in plugin.fastapi_apps]
news = sorted(set(sys.modules) - before)
print(json.dumps({{"prefixes": prefixes, "news": news}}))
"""


def read_plugin(tmp_path: Path, **settings: str) -> dict:
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path),
        "STEADFAST_STATE": str(tmp_path),
        **settings,
    }
    command = [sys.executable, "-c", READ]
    printed = subprocess.check_output(command, env=environment, cwd=tmp_path, text=True)
    return json.loads(printed.splitlines()[-1])


def test_a_component_without_the_receiver_s_url_mounts_and_imports_nothing(tmp_path):
    found = read_plugin(tmp_path)
    assert found["prefixes"] == []
    assert [name for name in found["news"] if name.startswith(("steadfast", "fastapi"))] == []


@pytest.mark.parametrize("form", ["", "_FILE"])
def test_a_web_server_with_the_receiver_s_url_mounts_it_under_hooks(tmp_path, form):
    url = "postgresql://steadfast_receiver:x@127.0.0.1:1/steadfast"
    (tmp_path / "url").write_text(url, "ascii")
    given = str(tmp_path / "url") if form else url
    assert read_plugin(tmp_path, **{f"STEADFAST_RECEIVER_URL{form}": given})["prefixes"] == ["/hooks"]
