"""`steadfast receive`: the webhook receiver as a server of its own, the form for production."""

import gc
import json
import logging
import multiprocessing
import os
from typing import Annotated

import typer

from steadfast.cli.terminal import current_time
from steadfast.cli.warehouse_url import owner_url
from steadfast.entities.sealing import Sealer, read_sealing_keys
from steadfast.launch.databases import change_url, role_passwords
from steadfast.launch.processes import end_with_parent
from steadfast.launch.receiver import DEFAULT_PORT
from steadfast.settings import Settings, load_settings
from steadfast.warehouse.bootstrap import RECEIVER
from steadfast.webhooks.receiving.receiver import Receiver
from steadfast.webhooks.receiving.service import ReceiverService

FACTORY = "steadfast.cli.receive:make_receiver"


def run_receiver(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; one a core at most.")] = 1,
) -> None:
    """Receive webhooks until Ctrl-C; prints one JSON line with the port."""
    from steadfast.webhooks.receiving.serve import ServeOptions, serve

    # Wrong settings are said here, once, and not by every worker.
    make_receiver()
    serve(ServeOptions(FACTORY, host, port, workers), lambda bound: typer.echo(json.dumps({"port": bound})))


def make_receiver() -> Receiver:
    """The application of one process, from the settings; ConfigError names the one that is wrong."""
    settings = load_settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if multiprocessing.parent_process() is not None:
        end_with_parent(os.getppid())
    sealer = Sealer(read_sealing_keys(settings.sealing_keys, settings.state))
    service = ReceiverService(receiver_url(settings), sealer.unseal, current_time)
    # What lives now lives for ever, and a request leaves nothing behind: the collector need not look often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return Receiver(service, settings.metrics_token)


def receiver_url(settings: Settings) -> str:
    """How the receiver reaches the warehouse: by its own setting, else in the warehouse of the others."""
    if settings.receiver_url:
        return settings.receiver_url
    password = role_passwords(settings.state, settings).receiver
    return change_url(owner_url(settings), RECEIVER, password)
