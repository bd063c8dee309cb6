"""The core is handed its time, its values and its SQL: it takes nothing from its surroundings."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .source_tree import OUTER, package_files, parse_package

CLOCK_OWNERS = {"datetime", "date", "Timestamp", "pendulum", "dt"}
CLOCK_WORDS = {"now", "utcnow", "today"}
READS_ENVIRONMENT = {Path("settings.py"), Path("warehouse/locations.py")}
SQL_CALLS = {"execute", "executemany", "copy", "stream", "SQL", "text"}
SQL_VERBS = (
    "ALTER ",
    "COPY ",
    "CREATE ",
    "DELETE ",
    "DROP ",
    "GRANT ",
    "INSERT ",
    "SELECT ",
    "SET ",
    "UPDATE ",
)


def core_files() -> list[Path]:
    return [path for path in package_files() if path.parts[0] not in OUTER]


def violations(paths: list[Path], find: Callable[[ast.AST], Iterator[ast.AST]]) -> list[str]:
    return [f"{path}:{node.lineno}" for path in paths for node in find(parse_package(path))]


def find_clock(tree: ast.AST) -> Iterator[ast.AST]:
    """`datetime.now`, `date.today`, `time.time`, called or handed on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rsplit(".", 1)[-1]
            is_wall_clock = owner == "time" and node.attr in {"time", "time_ns"}
            if is_wall_clock or (owner in CLOCK_OWNERS and node.attr in CLOCK_WORDS):
                yield node


def find_environment(tree: ast.AST) -> Iterator[ast.AST]:
    """`os.environ`, `os.getenv`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {
            "os.environ",
            "os.getenv",
            "os.environb",
        }:
            yield node


def find_built_sql(tree: ast.AST) -> Iterator[ast.AST]:
    """SQL that Python puts together from text: f-strings, `%`, `+` and `.format` on a literal."""
    for node in ast.walk(tree):
        is_statement = isinstance(node, ast.JoinedStr) and starts_like_sql(*node.values[:1])
        is_call = isinstance(node, ast.Call) and called_name(node) in SQL_CALLS
        if is_statement or (is_call and is_built_text(*node.args[:1])):
            yield node


def called_name(node: ast.Call) -> str:
    return ast.unparse(node.func).rsplit(".", 1)[-1]


def starts_like_sql(node: ast.AST | None = None) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).lstrip().startswith(SQL_VERBS)


def is_built_text(node: ast.AST | None = None) -> bool:
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return any(is_text(side) for side in (node.left, node.right))
    is_format = isinstance(node, ast.Call) and called_name(node) == "format"
    return is_format and isinstance(node.func, ast.Attribute) and is_text(node.func.value)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_the_core_is_told_the_time() -> None:
    assert violations(core_files(), find_clock) == []


def test_the_core_does_not_read_the_environment() -> None:
    assert (
        violations([path for path in core_files() if path not in READS_ENVIRONMENT], find_environment) == []
    )


def test_no_sql_is_put_together_from_text() -> None:
    assert violations(package_files(), find_built_sql) == []


@pytest.mark.parametrize(
    "source",
    ["datetime.now(UTC)", "datetime.datetime.now()", "date.today()", "time.time()", "f(clock=datetime.now)"],
)
def test_the_rule_about_time_sees_a_clock(source: str) -> None:
    assert list(find_clock(ast.parse(source)))


def test_the_rule_about_time_leaves_rate_limits_alone() -> None:
    assert list(find_clock(ast.parse("time.monotonic(); clock.now; request.today"))) == []


@pytest.mark.parametrize(
    "source",
    [
        'connection.execute(f"SELECT {column} FROM t")',
        'cursor.executemany("INSERT INTO " + table, rows)',
        'cursor.copy("COPY {} FROM STDIN".format(table))',
        'sql.SQL("DROP TABLE %s" % table)',
        'statement = f"DELETE FROM {table}"',
    ],
)
def test_the_rule_about_sql_sees_built_text(source: str) -> None:
    assert list(find_built_sql(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        'connection.execute(QUERIES["claim"], {"id": 1})',
        'connection.execute(QUERIES["claim"].format(table=sql.Identifier(name)))',
        'raise ConfigError(f"Select {name} first")',
    ],
)
def test_the_rule_about_sql_lets_named_queries_pass(source: str) -> None:
    assert list(find_built_sql(ast.parse(source))) == []
