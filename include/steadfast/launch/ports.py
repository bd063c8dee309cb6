"""Which TCP port to listen on: the wanted one if it is free, else any free one."""

import socket


def choose_port(wanted: int | None = None) -> int:
    """Return `wanted` if nobody listens there on this machine, else a free port."""
    if wanted is not None and is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of every address of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
