"""What an administrator does on a server is the same in Docker Compose, in the document and in the code."""

from pathlib import Path

import pytest

from steadfast.warehouse.queries import load_queries

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", ["deploy/init-databases.sh", "docs/configuration.md"])
def test_the_server_is_closed_as_the_embedded_one_is(path):
    text = (ROOT / path).read_text("utf-8")
    close_functions = load_queries("bootstrap")["close_functions"].as_string()
    assert close_functions[close_functions.index("DO $$") :].strip() in text
    assert "REVOKE ALL ON DATABASE steadfast, airflow FROM PUBLIC;" in text
