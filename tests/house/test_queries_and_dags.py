"""Every named query is described and used; every DAG is found under its own name."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from steadfast.warehouse.queries import list_packages, load_queries

from .source_tree import parse, python_files

SHORTEST_SHAPE = 4
"""Letters that an f-string must fix before it counts as the name of a query: `f"{a}_{b}"` names anything."""


def nodes_of_code() -> Iterator[ast.AST]:
    for path in python_files("include", "dags", "plugins", "bench"):
        yield from ast.walk(parse(path))


@cache
def named_in_code() -> re.Pattern[str]:
    """The string literals of the code that may name a query; a hole in an f-string stands for any word."""
    names = {
        node.value
        for node in nodes_of_code()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    patterns = {re.escape(name) for name in names if name.isidentifier()}
    patterns |= {shape_of(node) for node in nodes_of_code() if isinstance(node, ast.JoinedStr)}
    return re.compile("|".join(pattern for pattern in patterns if pattern))


def shape_of(text: ast.JoinedStr) -> str:
    """`ensure_{schema}_partition` as a pattern; '' if it cannot be a name."""
    parts = [str(part.value) if isinstance(part, ast.Constant) else None for part in text.values]
    fixed = "".join(part for part in parts if part)
    is_telling = fixed.isidentifier() and len(fixed.strip("_")) >= SHORTEST_SHAPE
    return "".join(r"\w+" if part is None else part for part in parts) if is_telling else ""


@pytest.mark.parametrize("package", list_packages())
def test_every_query_is_described_and_used(package: str) -> None:
    # Loading refuses a block without a description or with a name that is taken.
    queries = set(load_queries(package))
    assert queries, f"{package}.sql holds no query"
    assert {name for name in queries if not named_in_code().fullmatch(name)} == set()


def test_the_rule_about_queries_sees_one_that_nobody_names() -> None:
    assert not named_in_code().fullmatch("count_what_nobody_" + "asks_for")


def test_every_query_file_belongs_to_a_package_that_loads_it() -> None:
    calls = [
        node for node in nodes_of_code() if isinstance(node, ast.Call) and called(node) == "load_queries"
    ]
    loaded = {
        argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)
    }
    assert set(list_packages()) - loaded == set()


def dag_ids(tree: ast.Module) -> list[str]:
    """What `DAG(...)` and `@dag(...)` in a file are called."""
    named = {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) in ("DAG", "dag")
    }
    ids = [explicit_id(node) for node in ast.walk(tree) if id(node) in named]
    implicit = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).split("(")[0].rsplit(".", 1)[-1] == "dag"
        and not (isinstance(decorator, ast.Call) and explicit_id(decorator))
    ]
    return [name for name in ids if name] + implicit


def called(node: ast.Call) -> str:
    return ast.unparse(node.func).rsplit(".", 1)[-1]


def explicit_id(node: ast.Call) -> str:
    given = [keyword.value for keyword in node.keywords if keyword.arg == "dag_id"] or node.args[:1]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


@pytest.mark.parametrize("path", python_files("dags"), ids=lambda path: path.stem)
def test_a_dag_is_called_as_its_file(path: Path) -> None:
    assert dag_ids(parse(path)) == [path.stem]
