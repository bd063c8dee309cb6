"""docker-compose.yaml is whole: it parses, and whatever it names exists."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from steadfast.entities.sealing import Sealer

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
ONE_OFF = {"init", "cli"}
LONG_RUNNING = sorted(set(SERVICES) - ONE_OFF)


def test_every_component_of_airflow_is_there():
    assert {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer"} <= set(SERVICES)


def test_the_receiver_runs_as_a_server_of_its_own_and_is_asked_whether_it_is_ready():
    receiver = SERVICES["receiver"]
    assert receiver["command"][:2] == ["steadfast", "receive"]
    assert "/readyz" in str(receiver["healthcheck"]["test"])


def test_the_receiver_gets_its_own_secrets_and_nothing_that_the_others_have():
    receiver = SERVICES["receiver"]
    assert set(receiver["secrets"]) == {"receiver_url", "sealing_keys"}
    assert not {"env_file", "volumes"} & set(receiver)
    assert [name for name in receiver["environment"] if not name.startswith("STEADFAST_")] == []


def test_nobody_else_may_open_signing_secrets_but_the_command_line():
    holders = {name for name in SERVICES if "sealing_keys" in SERVICES[name].get("secrets", [])}
    assert holders == {"receiver", "cli"}


def test_no_component_of_airflow_is_the_owner_of_the_warehouse():
    owners = {name for name in SERVICES if "warehouse_url" in SERVICES[name].get("secrets", [])}
    assert owners == ONE_OFF


def test_the_command_line_runs_only_when_called():
    assert SERVICES["cli"]["profiles"] == ["cli"]
    assert SERVICES["cli"]["restart"] == "no"


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


def test_only_the_web_page_and_the_receiver_are_published_and_only_on_this_host():
    published = {name: SERVICES[name]["ports"] for name in SERVICES if "ports" in SERVICES[name]}
    assert set(published) == {"api-server", "receiver"}
    assert all(":-127.0.0.1:" in port for ports in published.values() for port in ports)


def make_secrets(directory: Path) -> dict[str, str]:
    script = directory / "make-secrets"
    script.write_bytes((ROOT / "deploy" / "make-secrets").read_bytes())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return {path.name: path.read_text("ascii") for path in (directory / "secrets").iterdir()}


def test_the_secrets_fit_together_and_stay_the_same_the_second_time(tmp_path):
    made = make_secrets(tmp_path)
    assert set(made) == set(COMPOSE["secrets"])
    assert made["receiver_url"].startswith(f"postgresql://steadfast_receiver:{made['receiver_password']}@")
    assert Sealer(made["sealing_keys"]).unseal(Sealer(made["sealing_keys"]).seal("s")) == "s"
    assert make_secrets(tmp_path) == made
