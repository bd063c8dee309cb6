"""The data directory of the embedded server: where it lies, whose it is, and how it is first made."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from steadfast.errors import ConfigError
from steadfast.warehouse.embedded_binaries import (
    Account,
    find_binaries,
    place_binaries,
    server_account,
    server_version,
)
from steadfast.warehouse.secret_files import keep_secret, write_private

SUPERUSER = "postgres"
UNREACHABLE_STATE_GOES_TO = Path("/var/lib/steadfast")
LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": LOCALE}


@dataclass(frozen=True)
class Cluster:
    """A data directory, the programs that serve it and the account they run as."""

    home: Path
    account: Account
    binaries: Path
    password: str = field(repr=False)

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "data"


def prepare_cluster(state: Path, binaries: Path | None, *, durable: bool) -> Cluster:
    """Find the cluster of `state`, or make one; ConfigError says why neither is possible."""
    found = find_binaries(binaries)
    home, account = _find_home(state)
    _refuse_lost_password(state, home)
    password = keep_secret(state / "secrets", "postgres")
    cluster = Cluster(home, account, place_binaries(found, home, account), password)
    if not cluster.data.exists():
        _create_data(cluster, durable)
    _refuse_other_major(cluster)
    return cluster


def _find_home(state: Path) -> tuple[Path, Account]:
    """A state directory that the server's account cannot enter keeps its data elsewhere, and says where."""
    pointer = state / "postgres.location"
    home = Path(pointer.read_text("utf-8").strip()) if pointer.exists() else state / "postgres"
    if pointer.exists() and not home.exists():
        raise ConfigError(
            f"The data of {state} was in {home}, which is gone; delete {pointer} to start empty."
        )
    account = server_account(home)
    if home.exists():
        if home.stat().st_uid != account.uid:
            raise ConfigError(
                f"{home} belongs to user id {home.stat().st_uid}, the server would run as {account.uid}; "
                "start as its owner or change the owner."
            )
        return home, account
    if not account.may_enter(state):
        UNREACHABLE_STATE_GOES_TO.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix=f"{state.name}-", dir=UNREACHABLE_STATE_GOES_TO))
        pointer.write_text(f"{home}\n", "utf-8")
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, account.uid, account.gid)
    return home, account


def _refuse_lost_password(state: Path, home: Path) -> None:
    password = state / "secrets" / "postgres"
    if (home / "data").exists() and not password.exists():
        raise ConfigError(f"{home} holds a database, but its password file {password} is gone; put it back.")


def _refuse_other_major(cluster: Cluster) -> None:
    data_major = int((cluster.data / "PG_VERSION").read_text("ascii"))
    server_major, _ = server_version(cluster.binaries)
    if data_major != server_major:
        raise ConfigError(
            f"{cluster.data} was made by PostgreSQL {data_major}, {cluster.binaries} is {server_major}. "
            "Start it with the old version and restore a dump of it into a new state directory."
        )


def _create_data(cluster: Cluster, durable: bool) -> None:
    partial = cluster.home / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    password_file = cluster.home / "initdb.password"
    write_private(password_file, cluster.password)
    os.chown(password_file, cluster.account.uid, cluster.account.gid)
    try:
        _run_initdb(cluster, partial, password_file, durable)
    finally:
        password_file.unlink()
    partial.rename(cluster.data)


def _run_initdb(cluster: Cluster, target: Path, password_file: Path, durable: bool) -> None:
    command = [str(cluster.binaries / "initdb"), "--pgdata", str(target), "--username", SUPERUSER]
    command += ["--pwfile", str(password_file), "--auth=scram-sha-256", "--data-checksums"]
    command += ["--encoding=UTF8", f"--locale={LOCALE}", *([] if durable else ["--no-sync"])]
    done = subprocess.run(
        command,
        cwd=cluster.home,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        **cluster.account.popen_options(),
    )
    if done.returncode != 0:
        raise ConfigError(f"initdb could not create {target}: {done.stderr.strip()}")
