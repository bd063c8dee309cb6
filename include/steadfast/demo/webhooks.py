"""The webhook sources of the demo, and the emulated n8n whose workflows send to them.

To let another business of the sample send events, add a row to SENDERS.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from psycopg import Connection

from steadfast.demo.n8n.targets import EVERYTHING, Target
from steadfast.entities.n8n_settings import DEFAULT_NODE, source_url
from steadfast.entities.properties import list_properties
from steadfast.entities.sealing import Sealer, read_sealing_keys
from steadfast.entities.webhook_keys import rotate_key
from steadfast.entities.webhook_sources import add_source, list_sources, show_source
from steadfast.launch.stack import Groundwork, Sources
from steadfast.launch.state_directory import PRIVATE_MODE
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.secret_files import write_private

ACTOR = "demo"
CONNECTION_ID = "steadfast_n8n"
EMULATOR_FILE = "n8n.json"
"""The ports of the running emulator, in the state directory."""
INGEST_MINUTES = 1
"""So that the marts grow while somebody looks."""


@dataclass(frozen=True)
class Sender:
    """A workflow of one business: what it tells, how often, and how many of its amounts are wrong."""

    entity: str
    slug: str
    name: str
    auth: str = "signature"
    mix: dict[str, float] = field(default_factory=lambda: dict(EVERYTHING), hash=False)
    per_minute: float = 6.0
    mistakes: float = 0.0

    @property
    def source(self) -> str:
        """ENTITY/SOURCE."""
        return f"{self.entity}/{self.slug}"

    @property
    def workflow_id(self) -> str:
        """How n8n knows it."""
        return f"{self.entity}-{self.slug}"


SENDERS = (
    Sender("agriculture", "shop", "Online shop", per_minute=24.0, mistakes=0.12),
    Sender("commerce", "shop", "Online shop", per_minute=12.0),
    Sender("education", "courses", "Courses", mix={"lead": 5.0, "order": 2.0, "subscription_change": 1.0}),
    Sender("interior", "bookings", "Park bookings", mix={"booking": 5.0, "support_ticket": 1.0}),
    Sender("postal-service", "help", "Help desk", auth="token", mix={"support_ticket": 4.0, "custom": 1.0}),
    Sender("treasury", "ads", "Ads and leads", mix={"campaign_spend": 1.0, "lead": 5.0, "order": 3.0}),
)


def start_n8n(ground: Groundwork, steps: Steps) -> Sources:
    """Register the sources and start the emulator, whose workflows wait; tasks get a connection to it."""
    options = ground.options
    sealer = Sealer(read_sealing_keys(options.settings.sealing_keys, options.state))
    with steps.step("Adding the webhook sources and starting the n8n emulator") as step:
        with translate_errors(), connect(ground.opened.databases.owner_url) as connection:
            targets = [_register(connection, sender, sealer, ground) for sender in SENDERS]
        n8n = _start_emulator(ground, targets)
        step.result = f"n8n emulator with {n8n['sources']} workflows, one for each webhook source"
    url = f"http://127.0.0.1:{n8n['api']}"
    connection_fields = {"conn_type": "http", "host": url, "password": n8n["api_key"]}
    settings = {"STEADFAST_N8N_URLS": url, "STEADFAST_WEBHOOK_INGEST_MINUTES": str(INGEST_MINUTES)}
    return Sources({CONNECTION_ID: connection_fields}, settings)


def read_control(state: Path) -> str:
    """Where the workflows of a running demo are steered."""
    return f"http://127.0.0.1:{json.loads((state / EMULATOR_FILE).read_text('ascii'))['control']}"


def _register(connection: Connection[Any], sender: Sender, sealer: Sealer, ground: Groundwork) -> Target:
    """Add the source unless an earlier start has, and give it a new key: nobody kept the last one."""
    now = ground.options.clock()
    known = {source.slug for source in list_sources(connection, sender.entity)}
    if sender.slug not in known:
        add_source(
            connection,
            sender.entity,
            sender.slug,
            name=sender.name,
            auth=sender.auth,
            n8n_connection_id=CONNECTION_ID,
            n8n_workflow_id=sender.workflow_id,
            n8n_node=DEFAULT_NODE,
            actor=ACTOR,
            now=now,
        )
    issued = rotate_key(
        connection, sender.entity, sender.slug, sealer, overlap=timedelta(), actor=ACTOR, now=now
    )
    return Target(
        name=sender.source,
        url=source_url(ground.webhook_url, sender.entity, sender.slug),
        auth=sender.auth,
        secret=issued.secret,
        workflow_id=sender.workflow_id,
        mix=sender.mix,
        per_minute=sender.per_minute,
        mistakes=sender.mistakes,
        node=DEFAULT_NODE,
        time_zone=show_source(connection, sender.entity, sender.slug).time_zone,
        currency=list_properties(connection, sender.entity)[0].currency,
    )


def _start_emulator(ground: Groundwork, targets: Sequence[Target]) -> dict[str, Any]:
    state = ground.options.state
    path = state / "secrets" / "n8n_targets.json"
    write_private(path, json.dumps([asdict(target) for target in targets]))
    directory = state / "n8n"
    directory.mkdir(mode=PRIVATE_MODE, exist_ok=True)
    command = [sys.executable, "-m", "steadfast.demo.n8n", "--idle", "--state", str(directory)]
    started = ground.children.start_announcing(
        "n8n-emulator", [*command, "--targets", str(path)], ground.options.environ
    )
    ports = {name: started[name] for name in ("api", "control")}
    write_private(state / EMULATOR_FILE, json.dumps(ports))
    return started
