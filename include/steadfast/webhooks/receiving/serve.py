"""The receiver as a server of its own: uvicorn with our protocol, one process or several on one socket."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from steadfast.errors import ConfigError
from steadfast.webhooks.receiving.direct import DirectProtocol
from steadfast.webhooks.receiving.guarded_protocol import raise_file_limit

KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 15
BACKLOG = 4096
HEALTHY_SECONDS = 60
"""A worker that is only busy must not be taken for dead."""


@dataclass(frozen=True)
class ServeOptions:
    """Where to listen, with how many processes, and the application as `module:function`."""

    factory: str
    host: str
    port: int
    workers: int


def serve(options: ServeOptions, announce: Callable[[int], None]) -> None:
    """Listen until SIGTERM or SIGINT; `announce` hears the port once connections are let in.

    ConfigError if the port is taken.
    """
    raise_file_limit()
    config = uvicorn.Config(options.factory, **_settings(options))
    listener = _listen(options)
    announce(listener.getsockname()[1])
    if options.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _settings(options: ServeOptions) -> dict[str, Any]:
    return {
        "factory": True,
        "host": options.host,
        "port": options.port,
        "workers": options.workers,
        "http": DirectProtocol,
        "ws": "none",
        "loop": "uvloop",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "log_level": "warning",
        "backlog": BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": STOP_SECONDS,
        "timeout_worker_healthcheck": HEALTHY_SECONDS,
    }


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The receiver cannot listen on {options.host}:{options.port}: {error.strerror}."
        ) from error
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener
