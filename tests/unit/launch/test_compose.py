"""docker-compose.yaml is whole: it parses, and whatever it names exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"init"})


def test_every_component_of_airflow_is_there():
    assert {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer"} <= set(SERVICES)


def test_redis_and_workers_only_come_with_the_celery_profile():
    assert [name for name in SERVICES if SERVICES[name].get("profiles") == ["celery"]] == ["worker", "redis"]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_has_a_health_check_and_restarts(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_uses_is_declared(name):
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    volumes = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert {volume for volume in volumes if not volume.startswith(".")} <= set(COMPOSE["volumes"])
    assert all((ROOT / volume).exists() for volume in volumes if volume.startswith("."))


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name):
    environment = SERVICES[name].get("environment", {})
    secret = [key for key in environment if "PASSWORD" in key or "SECRET_KEY" in key or "CONN" in key]
    assert [key for key in secret if not key.endswith(("_FILE", "_CMD"))] == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_becomes_an_argument_of_a_program(name):
    words = [SERVICES[name].get(part, "") for part in ("entrypoint", "command")]
    assert not re.search(r"--?\w*pass\w*[ =]", str(words))


def test_no_secret_becomes_an_argument_while_the_databases_are_made():
    script = (ROOT / "deploy" / "init-databases.sh").read_text("utf-8")
    (call,) = re.findall(r"^psql.*", script, re.MULTILINE)
    assert "password" not in call


def test_every_secret_is_made_by_the_script():
    script = (ROOT / "deploy" / "make-secrets").read_text("utf-8")
    assert [name for name in COMPOSE["secrets"] if name not in script] == []


def test_only_the_web_page_is_published_and_only_on_this_host():
    published = {name: SERVICES[name]["ports"] for name in SERVICES if "ports" in SERVICES[name]}
    assert list(published) == ["api-server"]
    assert all(":-127.0.0.1:" in port for port in published["api-server"])
