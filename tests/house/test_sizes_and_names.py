"""Short modules, short functions, and names that say what something is."""

import ast
import re
from pathlib import Path

import pytest

from .source_tree import ROOT, parse, python_files

CODE = ("include", "dags", "plugins", "bench", "sql")
MODULE_LINES = 300
FUNCTION_LINES = 60
DAG_LINES = 60
NAMELESS = {"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"}
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")


def lines_of(path: Path) -> int:
    return len((ROOT / path).read_text("utf-8").splitlines())


def words_of(name: str) -> set[str]:
    """`FileManager` and `file_manager` are both about a manager."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def test_no_module_is_longer_than_the_house_allows() -> None:
    sizes = {str(path): lines_of(path) for path in python_files(*CODE)}
    assert {path: size for path, size in sizes.items() if size > MODULE_LINES} == {}


def test_no_dag_file_is_more_than_wiring() -> None:
    sizes = {str(path): lines_of(path) for path in python_files("dags")}
    assert {path: size for path, size in sizes.items() if size > DAG_LINES} == {}


def test_no_function_is_longer_than_the_house_allows() -> None:
    long = {}
    for path in python_files(*CODE, "tests"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > FUNCTION_LINES:
                    long[f"{path}:{node.name}"] = size
    assert long == {}


def nameless_things(path: Path, tree: ast.Module) -> list[str]:
    """Modules, packages and classes with an empty word in their name; functions called only that."""
    places = [str(path) for part in path.with_suffix("").parts if words_of(part) & NAMELESS]
    for node in ast.walk(tree):
        is_class = isinstance(node, ast.ClassDef) and words_of(node.name) & NAMELESS
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in NAMELESS
        if is_class or is_function:
            places.append(f"{path}:{node.name}")
    return places


def test_nothing_is_called_after_its_drawer() -> None:
    assert [place for path in python_files(*CODE) for place in nameless_things(path, parse(path))] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ga4/utils.py", ""),
        ("ga4/date_helpers.py", ""),
        ("common/x.py", ""),
        ("ga4/x.py", "class SyncManager: ..."),
    ],
)
def test_the_rule_about_names_sees_an_empty_one(path: str, source: str) -> None:
    assert nameless_things(Path(path), ast.parse(source))


def needs_docstring(path: Path) -> bool:
    """An `__init__.py` that defines nothing has nothing to say."""
    defines = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return path.name != "__init__.py" or any(isinstance(node, defines) for node in parse(path).body)


def test_every_module_says_what_it_is_for() -> None:
    modules = [path for path in python_files(*CODE) if needs_docstring(path)]
    assert [str(path) for path in modules if not ast.get_docstring(parse(path))] == []


def test_nothing_is_left_for_later() -> None:
    files = python_files(*CODE, "tests")
    assert [str(path) for path in files if UNFINISHED.search((ROOT / path).read_text("utf-8"))] == []
