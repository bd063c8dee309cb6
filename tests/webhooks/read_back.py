"""A warehouse whose sources name an n8n, and looks at emulated n8n servers that hold what was lost."""

import base64
import json
from datetime import UTC, datetime, timedelta

from steadfast.demo.n8n import Emulator, EmulatorOptions, Target, run_emulator
from steadfast.demo.n8n.items import PREPARE
from steadfast.errors import ConfigError
from steadfast.webhooks.inbox import store_events
from steadfast.webhooks.n8n.answers import N8nServer
from steadfast.webhooks.n8n.reconcile import reconcile_sources

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ORDERS, LEADS = "shop/orders", "shop/leads"
NOWHERE = "http://127.0.0.1:9"


def insert_source(
    database, name: str, connection_id: str = "n8n_main", workflow_id: str | None = None, **changes
) -> None:
    """A source whose events the n8n behind a Connection posts."""
    entity, slug = name.split("/")
    values = {"max_bytes": 262144, "is_strict": False, "is_enabled": True} | changes
    with database.connect() as owner:
        owner.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (entity, entity, NOW, NOW),
        )
        owner.execute(
            "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone,"
            " n8n_connection_id, n8n_workflow_id, n8n_node, created_at, updated_at,"
            " max_bytes, is_strict, is_enabled)"
            " SELECT entity_id, %s, %s, 'signature', 'UTC', %s, %s, 'Steadfast', %s, %s, %s, %s, %s"
            " FROM config.business_entity WHERE slug = %s",
            (slug, slug, connection_id, workflow_id, NOW, NOW, *values.values(), entity),
        )


def run_n8n(*names: str, receiver: str = NOWHERE, state=None, waits=(), forgets=()):
    """An n8n with a workflow for each name; use it in a `with`. Some wait, some save no progress."""
    targets = [
        Target(
            *(name, f"{receiver}/v1/in/{name}", "signature", SECRET, f"wf-{name}"),
            tries=1,
            waits=name in waits,
            saves_progress=name not in forgets,
        )
        for name in names
    ]
    return run_emulator(EmulatorOptions(targets, state=state, is_on=False, clock=lambda: NOW))


def look_at(database, connection, *emulators: Emulator, now: datetime = LATER, kept=None, store=None, **more):
    """Look at one n8n, or at those behind several Connections; what is found is stored at `kept` or `now`."""
    servers = {f"n8n_{'main' if n == 0 else n}": one for n, one in enumerate(emulators)}

    def ask(connection_id: str) -> N8nServer:
        if connection_id not in servers:
            raise ConfigError(f"Airflow has no Connection {connection_id}.")
        return N8nServer(servers[connection_id].api_url, servers[connection_id].api_key, timeout_s=10)

    def keep(events):
        return store_events(database.pipeline_url, events, origin="reconcile", now=kept or now)

    return reconcile_sources(connection, ask=ask, store=store or keep, now=now, **more)


def lose(emulator: Emulator, count: int, name: str = ORDERS) -> int:
    """An execution that posts nothing and fails; its number."""
    return emulator.engine.send(name, count, is_lost=True)


def change_items(emulator: Emulator, execution_id: int, change) -> None:
    """Edit the items that a failed execution holds."""
    executions = emulator.engine.executions
    data = json.loads(executions.find(execution_id)["data"])
    items = data["resultData"]["runData"][PREPARE][0]["data"]["main"][0]
    for item in items:
        change(item["json"])
    data["executionData"]["nodeExecutionStack"][0]["data"]["main"] = [items]
    executions.finish(execution_id, "error", data, NOW)


def list_signals(connection) -> list[tuple]:
    """Kind, subject and body of what was told."""
    return connection.execute("SELECT kind, subject, body FROM ops.signal ORDER BY signal_id").fetchall()


def count_asked(emulator: Emulator, monkeypatch) -> list[int]:
    """Which executions n8n is asked to show from now on."""
    asked = []
    find = type(emulator.engine.executions).find
    executions = emulator.engine.executions
    monkeypatch.setattr(executions, "find", lambda number: asked.append(number) or find(executions, number))
    return asked
