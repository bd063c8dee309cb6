"""A mail server that delivers to a directory: every message becomes one .eml file.

`python -m steadfast.demo.mail_sink --directory DIR` prints one JSON line with its port and runs until
SIGTERM. It accepts everything and sends nothing on.
"""

import argparse
import json
import re
import signal
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from steadfast.launch.ports import choose_port

LARGEST_MESSAGE_BYTES = 33_554_432


@dataclass
class MailDirectory:
    """Writes each message under the next number and its subject."""

    directory: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Store one message; the sender hears 250 only once it is written."""
        subject = str(message_from_bytes(envelope.content, policy=policy.default)["Subject"] or "no subject")
        words = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:80]
        with self.lock:
            number = len(list(self.directory.glob("*.eml"))) + 1
            path = self.directory / f"{number:04d}-{words}.eml"
            partial = path.with_suffix(".partial")
            partial.write_bytes(envelope.content)
            partial.rename(path)
        return "250 Message accepted"


def start_mail_sink(directory: Path, port: int = 0) -> Controller:
    """Serve on 127.0.0.1, on `controller.port`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    controller = Controller(
        MailDirectory(directory),
        hostname="127.0.0.1",
        # The controller dials the port it was given, so it cannot be left to the kernel.
        port=choose_port(port or None),
        data_size_limit=LARGEST_MESSAGE_BYTES,
    )
    controller.start()
    return controller


def list_mails(directory: Path) -> list[Path]:
    """The mails of a sink, oldest first."""
    return sorted(directory.glob("*.eml"))


def main() -> None:
    """Run the sink until somebody ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    # Before any thread starts, so that every thread inherits it and sigwait below is the one to wake.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    controller = start_mail_sink(options.directory, options.port)
    print(json.dumps({"smtp": controller.port}), flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()


if __name__ == "__main__":
    main()
