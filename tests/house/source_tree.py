"""The project's own files as the house rules see them: parsed, never run."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "include" / "steadfast"
OUTER = {"cli", "demo", "launch", "orchestration"}
"""Packages at the edge: they may read the clock and the environment, and nothing inside imports them."""


@cache
def kept_files() -> tuple[Path, ...]:
    """Every file that is or may be committed, relative to the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (Path(name) for name in listed.split("\0") if name)
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


def python_files(*folders: str) -> list[Path]:
    """The Python files below `folders`, relative to the root."""
    return [path for path in kept_files() if path.suffix == ".py" and path.parts[0] in folders]


def package_files() -> list[Path]:
    """The Python files of the package, relative to the package: `ga4/reports.py`."""
    return [path.relative_to("include/steadfast") for path in python_files("include")]


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file given relative to the root."""
    return ast.parse((ROOT / path).read_text("utf-8"), str(path))


def parse_package(path: Path) -> ast.Module:
    """The syntax tree of a file given relative to the package."""
    return parse(Path("include/steadfast") / path)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that an import statement below `tree` asks for, members included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: not the bodies of functions, not what is there for types."""

    class Outline(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            is_for_types = "TYPE_CHECKING" in ast.dump(node.test)
            return node.orelse if is_for_types else self.generic_visit(node)

    # The transformer edits in place and parsed trees are shared.
    return Outline().visit(ast.parse(ast.unparse(tree)))
