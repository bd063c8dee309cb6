"""What the documents say is what the code does, and no file knows the machine it was written on."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from steadfast import errors
from steadfast.ga4.reports import REPORTS
from steadfast.settings import PREFIX, Settings, variable_name
from steadfast.warehouse.locations import HOME_VARIABLE
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.refusals import REFUSALS

from .source_tree import ROOT, kept_files

VARIABLES = [variable_name(setting.name) for setting in fields(Settings)]
# Somebody's home, a checkout, a scratch directory: whatever only one machine has.
MACHINE_PATH = re.compile(r"(?<![\w./:$}-])/(?:work|root|Users|home/(?!airflow\b)\w+)/")
BINARY = {".zst", ".png", ".gz", ".parquet"}


@pytest.mark.parametrize("document", [".env.example", "docs/configuration.md"])
def test_every_setting_is_documented(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert [name for name in VARIABLES if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("document", [".env.example", "docs/configuration.md"])
def test_no_document_names_a_setting_that_does_not_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    known = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES), HOME_VARIABLE}
    assert set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", text)) - known == set()


def drawn_tree(drawing: str) -> dict[str, str]:
    """Class -> parent, as the tree in a docstring draws them."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in drawing.splitlines():
        found = re.match(r"(?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:\s{2,}.*)?$", line)
        if found and (found["lines"] or found["name"] == "SteadfastError"):
            depth = len(found["lines"]) // 4
            path[depth:] = [found["name"]]
            parents[found["name"]] = path[depth - 1] if depth else ""
    return parents


def test_the_drawing_of_the_errors_is_the_tree_of_the_errors() -> None:
    classes = dict(inspect.getmembers(errors, inspect.isclass)).values()
    ours = [error for error in classes if issubclass(error, errors.SteadfastError)]
    parents = {error.__name__: error.__bases__[0].__name__ for error in ours}
    assert drawn_tree(errors.__doc__ or "") == parents | {"SteadfastError": ""}


def test_every_report_is_in_the_documents() -> None:
    text = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    assert [name for name in REPORTS if not re.search(rf"`(?:facts\.)?(?:fact_)?{name}`", text)] == []


def test_every_event_type_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
    assert [name for name, _ in EVENTS if not re.search(rf"\| `{name}` \|", text)] == []


def test_every_answer_to_a_sender_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
    assert [code for code in REFUSALS if f"`{code}`" not in text] == []


def make_targets_of(text: str) -> set[str]:
    return set(re.findall(r"(?:^|`|\$ |&& )make ([a-z][\w-]*)", text, re.MULTILINE))


def test_every_make_command_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    unknown = {path.name: make_targets_of(path.read_text("utf-8")) - targets for path in documents}
    assert {name: missing for name, missing in unknown.items() if missing} == {}


def test_the_readme_starts_with_the_two_commands() -> None:
    assert {"demo", "test"} <= make_targets_of((ROOT / "README.md").read_text("utf-8"))


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for path in [Path("README.md"), *(path for path in kept_files() if path.match("docs/*.md"))]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", (ROOT / path).read_text("utf-8")):
            if not (ROOT / path.parent / target).exists():
                broken.append(f"{path} -> {target}")
    assert broken == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in kept_files():
        if path.suffix not in BINARY:
            lines = (ROOT / path).read_text("utf-8", errors="replace").splitlines()
            found += [f"{path}:{number}" for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert found == []


@pytest.mark.parametrize("text", ["see /wo" + "rk/x", '"/ro' + 'ot/.cache"', "/ho" + "me/ann/steadfast"])
def test_the_rule_about_paths_sees_a_machine(text: str) -> None:
    assert MACHINE_PATH.search(text)
