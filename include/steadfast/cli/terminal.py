"""What every command shares: how it prints, what time it is and who is asking."""

import getpass
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

PIPE_WIDTH = 240
"""A pipe has no width; lines must not break in it."""


def current_time() -> datetime:
    """The one place where the commands read the clock (aware UTC)."""
    return datetime.now(UTC)


def current_actor() -> str:
    """Name the person for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid-{os.getuid()}"


def print_json(value: Any) -> None:
    """Print dataclasses, lists and dicts of them as JSON."""
    typer.echo(json.dumps(_plain(value), indent=2, default=str, ensure_ascii=False))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under titles, if any is not empty, or the sentence `empty` if there is no row."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(show_value(cell)) for cell in row))
    if table.row_count:
        _console().print(table)
    else:
        print_line(empty)


def print_line(text: str, style: str = "") -> None:
    """Print one line of text as it is."""
    _console().print(Text(text, style=style), soft_wrap=True)


def print_error(text: str) -> None:
    """Print one red line on stderr."""
    _console(stderr=True).print(Text(" ".join(text.split()), style="red"), soft_wrap=True)


def print_step(is_ok: bool, text: str, fix: str = "") -> None:
    """Print one checked step with its mark, and what to do if it failed."""
    print_line(f"{'✓' if is_ok else '✗'} {text}", "green" if is_ok else "red")
    if fix and not is_ok:
        print_line(f"  → {fix}")


@contextmanager
def show_progress(text: str) -> Iterator[None]:
    """Turn a spinner on stderr while something takes its time; a pipe sees nothing."""
    console = _console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(text)):
        yield


def show_value(value: Any) -> str:
    """Write a value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, list | tuple):
        return ", ".join(map(show_value, value))
    return str(value)


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
