"""Signing secrets at rest: sealed with Fernet, so that a copy of the warehouse signs nothing.

Several keys may open, the newest seals. To change the key, put a new one in front, restart the receivers,
run `steadfast source reseal`, and take the old one away.
"""

import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from steadfast.errors import ConfigError
from steadfast.warehouse.secret_files import write_private

SETTING = "STEADFAST_SEALING_KEYS"
FILE_NAME = "sealing_key"


class Sealer:
    """Seals with the first of some Fernet keys (comma-separated, newest first), opens with any."""

    def __init__(self, keys: str) -> None:
        fernets = [_read_key(number, key) for number, key in enumerate(_split(keys), 1)]
        if not fernets:
            raise ConfigError(f"There is no key to seal secrets with: set {SETTING}.")
        self._newest = fernets[0]
        self._all = MultiFernet(fernets)

    def seal(self, secret: str) -> bytes:
        """Encrypt with the newest key."""
        return self._newest.encrypt(secret.encode())

    def unseal(self, sealed: bytes, owner: str = "a webhook source") -> str:
        """Decrypt with whichever key opens it; ConfigError names the `owner` if none does."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken as error:
            raise ConfigError(
                f"No key of {SETTING} opens the secret of {owner}: add the key that sealed it, "
                "or give the source a new secret and revoke this one."
            ) from error

    def is_sealed_with_newest(self, sealed: bytes) -> bool:
        """Whether the newest key opens it."""
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            return False
        return True


def read_sealing_keys(given: str, state: Path) -> str:
    """The keys that the settings give, else the one of the state directory; the first call makes it."""
    return given or keep_sealing_key(state / "secrets")


def find_sealing_keys(given: str, state: Path) -> str:
    """The same, but nothing is made: empty if there is no key yet."""
    path = state / "secrets" / FILE_NAME
    return given or (path.read_text("ascii").strip() if path.exists() else "")


def keep_sealing_key(directory: Path) -> str:
    """Return the sealing key of `directory`; the first call makes one and stores it for its owner only."""
    path = directory / FILE_NAME
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        candidate = directory / f"{FILE_NAME}.{secrets.token_hex(8)}"
        write_private(candidate, Fernet.generate_key().decode())
        # Of two programs that start at once the second link fails, and both use the first key.
        with suppress(FileExistsError):
            path.hardlink_to(candidate)
        candidate.unlink()
    return path.read_text("ascii").strip()


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _read_key(number: int, key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise ConfigError(
            f"Key number {number} of {SETTING} is not a Fernet key. Make one with "
            '`python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`.'
        ) from error
