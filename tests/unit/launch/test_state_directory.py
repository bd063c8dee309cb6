"""What other users of the machine find in the state directory: a way to PostgreSQL's part, nothing else."""

import os
from pathlib import Path

import pytest

from steadfast.launch.state_directory import make_state


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(params=[0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_others_may_pass_through_a_new_state_directory_and_read_nothing(tmp_path):
    state = tmp_path / "state" / "demo"
    make_state(state)
    assert [mode_of(path) for path in (state.parent, state)] == [0o711, 0o711]
    parts = {path.name: mode_of(path) for path in state.iterdir()}
    assert parts == dict.fromkeys(("airflow", "logs", "mail", "secrets"), 0o700)


def test_parts_that_were_open_are_closed(tmp_path):
    (tmp_path / "logs").mkdir(mode=0o755)
    make_state(tmp_path)
    assert mode_of(tmp_path / "logs") == 0o700


def test_a_directory_that_somebody_else_made_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o750)
    make_state(tmp_path)
    assert mode_of(tmp_path) == 0o750
