"""Passwords that an installation makes for itself: one file each, readable by its owner only."""

import os
import secrets
from pathlib import Path


def keep_secret(directory: Path, name: str) -> str:
    """Return the secret `name`; the first call makes a random one and stores it."""
    path = directory / name
    if path.exists():
        return path.read_text("ascii").strip()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(24)
    write_private(path, secret)
    return secret


def write_private(path: Path, content: str) -> None:
    """Write `content` with mode 0600, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
