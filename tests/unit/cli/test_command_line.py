"""The command line as such: help, exit codes, and the checks that need no server."""

import pytest
import typer
from typer.testing import CliRunner

from steadfast.cli import SteadfastGroup, app
from steadfast.cli.doctor import check_disk, check_python, check_zones
from steadfast.cli.ga4_property import read_property_id
from steadfast.cli.setting import split_reports
from steadfast.cli.terminal import show_value
from steadfast.errors import ConfigError


def all_commands(group, path=()):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from all_commands(command, (*path, name))


@pytest.mark.parametrize("path", list(all_commands(typer.main.get_command(app))))
def test_every_command_helps(path):
    helped = CliRunner().invoke(app, [*path, "--help"])
    assert helped.exit_code == 0
    assert "Usage" in helped.stdout


def command_that_raises(error):
    broken = typer.Typer(cls=SteadfastGroup)

    @broken.callback()
    def group() -> None:
        pass

    @broken.command()
    def work() -> None:
        raise error

    return CliRunner().invoke(broken, ["work"])


def test_our_errors_are_one_line_and_exit_1():
    failed = command_that_raises(ConfigError("The first line.\nThe second [red]line[/red]."))
    assert failed.exit_code == 1
    assert failed.stderr == "The first line. The second [red]line[/red].\n"


def test_ctrl_c_is_exit_130():
    assert command_that_raises(KeyboardInterrupt()).exit_code == 130


@pytest.mark.parametrize("text", ["123456789", "properties/123456789"])
def test_it_reads_a_property_id_as_google_writes_it(text):
    assert read_property_id(text) == 123456789


@pytest.mark.parametrize("text", ["G-ABC123", "UA-1-1", "", "-5", "\uff11\uff12", "12.0"])
def test_it_tells_a_property_id_from_other_ids(text):
    with pytest.raises(typer.BadParameter, match="Admin > Property details"):
        read_property_id(text)


def test_reports_are_named_with_commas_and_default_means_none():
    assert split_reports("pages, geo,") == ("pages", "geo")
    assert split_reports("default") == ()


@pytest.mark.parametrize(
    ("version", "is_ok"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)]
)
def test_doctor_knows_the_python_it_needs(version, is_ok):
    assert check_python(version).is_ok is is_ok


def test_doctor_finds_a_missing_zone():
    assert check_zones(["Europe/London"]).is_ok
    assert "tzdata" in check_zones(["Mars/Olympus"]).fix


def test_doctor_looks_at_the_disk_of_a_state_directory_that_is_not_there_yet(tmp_path):
    assert str(tmp_path) in check_disk(tmp_path / "not" / "yet").title


def test_values_are_written_for_people():
    assert show_value(None) == "-"
    assert show_value(True) == "yes"
    assert show_value(["a", None]) == "a, -"
