"""The webhook receiver as a part of Airflow's web server, which starts and ends it with itself.

Airflow runs the lifespan of what is mounted only if it is a FastAPI; so this is one, by name: requests go
to the receiver as they come. The receiver starts with its first event if no lifespan comes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from steadfast.webhooks.receiving.receiver import Receiver


class MountedReceiver(FastAPI):
    """A FastAPI without routes of its own."""

    def __init__(self, receiver: "Receiver") -> None:
        super().__init__(lifespan=_run_with_server, docs_url=None, redoc_url=None, openapi_url=None)
        self.receiver = receiver

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self.receiver(scope, receive, send)


def mount_receiver() -> MountedReceiver:
    """The application, from the settings; ConfigError names the one that is wrong."""
    from steadfast.entities.sealing import Sealer, read_sealing_keys
    from steadfast.settings import load_settings
    from steadfast.webhooks.receiving.receiver import Receiver
    from steadfast.webhooks.receiving.service import ReceiverService

    settings = load_settings()
    sealer = Sealer(read_sealing_keys(settings.sealing_keys, settings.state))
    service = ReceiverService(settings.receiver_url, sealer.unseal, lambda: datetime.now(UTC))
    return MountedReceiver(Receiver(service, settings.metrics_token))


@asynccontextmanager
async def _run_with_server(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, MountedReceiver)
    await app.receiver.service.start()
    yield
    await app.receiver.service.stop()
