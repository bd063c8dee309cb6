"""The directory of an installation: others may pass through it to PostgreSQL's own, and read nothing.

To keep one more thing from other users of the machine, add its directory to PRIVATE.
"""

from pathlib import Path

PASSAGE_MODE = 0o711
"""PostgreSQL may run under another account, whose data lies inside."""
PRIVATE_MODE = 0o700
PRIVATE = ("airflow", "logs", "mail", "secrets")


def make_state(state: Path) -> None:
    """Make the directory, which keeps its mode if it was there, and its parts, which are always private."""
    missing = [directory for directory in (state, *state.parents) if not directory.exists()]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        # The mode of mkdir is cut by the umask.
        directory.chmod(PASSAGE_MODE)
    for name in PRIVATE:
        part = state / name
        part.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        part.chmod(PRIVATE_MODE)
