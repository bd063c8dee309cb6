"""Who may import whom: subjects meet in tables, and only the edge knows Airflow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .source_tree import (
    OUTER,
    PACKAGE,
    ROOT,
    imported_names,
    package_files,
    parse,
    parse_package,
    python_files,
    top_level,
)

SUBJECTS = {"ga4", "webhooks", "quality", "anomaly", "backup", "retention", "health"}
FOUNDATION = {"warehouse", "entities", "resilience", "errors", "settings"}
FACTS_OF_THE_PACKAGE = {"__version__"}
TELLING_ALERTS = "steadfast.alerts.signals"
HEAVY = {"google", "grpc", "numpy", "pandas", "pandera", "pyarrow", "scipy", "statsmodels"}


def allowed_imports(package: str) -> set[str]:
    """The parts of steadfast that a part of it may import."""
    everything = {path.parts[0].removesuffix(".py") for path in package_files()}
    if package in OUTER:
        return everything
    if package in FOUNDATION:
        return FOUNDATION
    return FOUNDATION | {package}


def forbidden_imports(path: Path, tree: ast.AST) -> list[str]:
    """The imports of a file of the package that its place in the house does not allow."""
    package = path.parts[0].removesuffix(".py")
    allowed = allowed_imports(package) | FACTS_OF_THE_PACKAGE
    wrong = []
    for name in imported_names(tree):
        first, *rest = name.split(".")
        is_airflow = first == "airflow" and package != "orchestration"
        is_foreign = first == "steadfast" and rest and rest[0] not in allowed
        is_signal = package in SUBJECTS and name.startswith(TELLING_ALERTS)
        if is_airflow or (is_foreign and not is_signal) or first in ("dags", "plugins"):
            wrong.append(f"{path} imports {name}")
    return wrong


def test_every_part_imports_only_what_its_place_allows() -> None:
    assert [wrong for path in package_files() for wrong in forbidden_imports(path, parse_package(path))] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ga4/sync.py", "import airflow"),
        ("cli/entity.py", "def show():\n    from airflow.sdk import Connection"),
        ("ga4/sync.py", "from steadfast.quality.check import check_frame"),
        ("ga4/sync.py", "from steadfast import quality"),
        ("warehouse/facts.py", "from steadfast.ga4.reports import REPORTS"),
        ("entities/properties.py", "from steadfast.cli import main"),
        ("quality/check.py", "from steadfast.demo.ga4 import world"),
        ("alerts/mail.py", "from steadfast.health import kpis"),
        ("orchestration/windows.py", "from dags.ga4_sync import plan"),
    ],
)
def test_the_rule_about_imports_sees_a_wrong_one(path: str, source: str) -> None:
    assert forbidden_imports(Path(path), ast.parse(source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("orchestration/assets.py", "from airflow.sdk import Asset"),
        ("ga4/sync.py", "from steadfast.alerts.signals import record_signal"),
        ("ga4/reports.py", "from steadfast.warehouse.facts import FactTable"),
        ("cli/demo.py", "from steadfast.demo import scenario"),
    ],
)
def test_the_rule_about_imports_lets_a_right_one_pass(path: str, source: str) -> None:
    assert forbidden_imports(Path(path), ast.parse(source)) == []


def heavy_imports(path: Path, seen: set[Path], chain: tuple[str, ...] = ()) -> Iterator[str]:
    """Heavy libraries that come with importing `path`, with the way that leads to them."""
    if path in seen:
        return
    seen.add(path)
    for name in imported_names(top_level(parse(path))):
        way = (*chain, name)
        if name.split(".")[0] in HEAVY:
            yield " > ".join(way)
        for module in modules_of(name):
            yield from heavy_imports(module, seen, way)


def modules_of(name: str) -> Iterator[Path]:
    """The files of the package that importing a dotted name runs."""
    if not name.startswith("steadfast."):
        return
    place = PACKAGE
    for part in name.split(".")[1:]:
        place = place / part
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file.relative_to(ROOT)


@pytest.mark.parametrize("path", python_files("dags"), ids=lambda path: path.stem)
def test_a_dag_file_parses_without_heavy_libraries(path: Path) -> None:
    assert sorted(heavy_imports(path, set())) == []


def test_the_rule_about_heavy_imports_follows_our_own_modules() -> None:
    found = list(heavy_imports(Path("include/steadfast/quality/check.py"), set()))
    assert any(way.endswith(("pandas", "pyarrow")) and "steadfast." in way for way in found)


def lint(path: str, source: str) -> str:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", path, "-"]
    return subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False).stdout


def test_ruff_refuses_airflow_inside_a_subject() -> None:
    for source in ("import airflow\n", "from airflow.sdk import DAG\n"):
        assert "TID251" in lint("include/steadfast/ga4/anything.py", source)


def test_ruff_allows_airflow_where_it_belongs() -> None:
    for path in ("include/steadfast/orchestration/anything.py", "dags/anything.py"):
        assert "TID251" not in lint(path, "from airflow.sdk import DAG\n")
