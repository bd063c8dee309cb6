"""One running receiver for all tests of this folder, in each form in which it can be run.

To add a form, add it to FORMS and to `receiver`; list in STAND_ALONE_ONLY what it cannot show, and why.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .mounted import start_mounted
from .rig import SENDERS, Receiver, prepare_database, start_receiver

FORMS = ("stand-alone", "mounted")
STAND_ALONE_ONLY = {
    "test_hostile_connections": "how long a header may take is the server's business; Airflow's has no limit",
    "test_hostile_headers": "Airflow's server reads the headers before anything of ours sees the request",
    "test_hostile_pressure": "each case stops, starves or kills a server of its own",
    "test_the_log_holds_nothing_that_a_sender_chose": "Airflow's server logs the path and the x-request-id",
    "test_no_line_of_the_log_was_written_by_a_sender": "Airflow may write its log in colours",
    "test_who_knows_an_address_only_takes_the_room_of_its_source": "each of Airflow's workers has its own",
    "test_who_does_not_read_his_answers_is_sent_away": "the connections are those of Airflow's server",
    "test_an_address_that_is_none_gets_an_answer_also_before_its_body": "Airflow's server answers that",
    "test_a_large_body_costs_as_much_as_several_events": "each of Airflow's workers counts for itself",
    "test_far_too_many_are_counted_before_they_are_built": "the memory is that of Airflow's workers",
}
"""Test modules, and tests, that only the stand-alone form can pass."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test against each form that can show what it is about."""
    if "receiver" in metafunc.fixturenames:
        names = {metafunc.module.__name__.rpartition(".")[2], metafunc.function.__name__}
        is_only_alone = not names.isdisjoint(STAND_ALONE_ONLY)
        forms = FORMS[:1] if is_only_alone else FORMS
        metafunc.parametrize("receiver", forms, indirect=True, scope="session")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="steadfast-receiver-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def inbox_database(empty_databases, migrated_template):
    """A database that knows the senders; it goes when the server goes."""
    made = empty_databases(migrated_template)
    prepare_database(made)
    return made


@pytest.fixture(scope="session")
def stand_alone(inbox_database, scratch) -> Iterator[Receiver]:
    with start_receiver(inbox_database, scratch / "stand-alone") as running:
        yield running


@pytest.fixture(scope="session")
def mounted(inbox_database, empty_databases, scratch) -> Iterator[Receiver]:
    with start_mounted(inbox_database, empty_databases(), scratch / "mounted") as running:
        yield running


@pytest.fixture(scope="session")
def receiver(request) -> Receiver:
    return request.getfixturevalue(request.param.replace("-", "_"))


@pytest.fixture
def orders():
    """The sender that most tests speak as."""
    return SENDERS["orders"]
