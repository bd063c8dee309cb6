"""What the demo has for an outside world: emulators of GA4 and n8n, a mail sink, the sample's entities."""

import json
import sys
from typing import Any

from psycopg import Connection

from steadfast.demo.ga4.sample import list_properties
from steadfast.demo.webhooks import ACTOR, start_n8n
from steadfast.entities.businesses import add_entity
from steadfast.entities.properties import add_property
from steadfast.ga4.client import ClientConfig, open_client
from steadfast.launch.stack import Groundwork, LaunchOptions, Sources
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.warehouse.secret_files import write_private

CONNECTION_ID = "steadfast_ga4"
MAIL = {"STEADFAST_MAIL_TO": "ops@demo.example", "STEADFAST_MAIL_FROM": "steadfast@demo.example"}
EMULATOR_FILE = "emulator.json"
"""The ports of the running emulator, in the state directory."""


def start_demo_sources(ground: Groundwork, steps: Steps) -> Sources:
    """Start the emulators and register what they send; tasks get connections to all of it."""
    options, children = ground.options, ground.children
    with steps.step("Starting the GA4 emulator and the mail sink") as step:
        command = [sys.executable, "-m", "steadfast.demo.ga4", "--state", str(options.state / "emulator")]
        ga4 = children.start_announcing("ga4-emulator", command, options.environ)
        write_private(options.state / EMULATOR_FILE, json.dumps(ga4))
        mails = options.state / "mail"
        command = [sys.executable, "-m", "steadfast.demo.mail_sink", "--directory", str(mails)]
        mail = children.start_announcing("mail-sink", command, options.environ)
        step.result = f"GA4 emulator with {ga4['properties']} properties, mail sink in {mails}"
    target = f"127.0.0.1:{ga4['grpc']}"
    with steps.step("Adding the entities and properties of the sample") as step:
        with translate_errors(), connect(ground.opened.databases.owner_url) as connection:
            added = add_sample(connection, target, options)
        step.result = f"{len(list_properties())} entities with a GA4 property each, {added} of them new"
    n8n = start_n8n(ground, steps)
    return Sources({**_connections(target, mail["smtp"]), **n8n.connections}, {**MAIL, **n8n.environment})


def _connections(ga4: str, smtp_port: int) -> dict[str, dict[str, Any]]:
    return {
        CONNECTION_ID: {"conn_type": "generic", "extra": {"endpoint": ga4, "is_plaintext": True}},
        "steadfast_smtp": {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": smtp_port,
            "extra": {"disable_ssl": True, "disable_tls": True},
        },
    }


def add_sample(connection: Connection[Any], target: str, options: LaunchOptions) -> int:
    """Add what is missing of the sample, with the zone and currency that GA4 answers; return how many."""
    queries = load_queries("demo")
    known = {row[0] for row in connection.execute(queries["list_property_ids"])}
    slugs = {row[0] for row in connection.execute(queries["list_slugs"])}
    missing = [found for found in list_properties() if int(found.property_id) not in known]
    client = open_client(ClientConfig(keyfile=None, endpoint=target, is_plaintext=True))
    now = options.clock()
    for found in missing:
        if found.entity not in slugs:
            add_entity(connection, found.entity, name=found.display_name, country="US", actor=ACTOR, now=now)
        time_zone, currency = client.time_zone_and_currency(int(found.property_id))
        add_property(
            connection,
            found.entity,
            int(found.property_id),
            connection_id=CONNECTION_ID,
            time_zone=time_zone,
            currency=currency,
            display_name=found.display_name,
            actor=ACTOR,
            now=now,
        )
    return len(missing)
