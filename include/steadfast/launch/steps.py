"""What a person sees while things start: one line a step, with its result and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass
class Step:
    """A running step; `result` replaces its title on the finished line."""

    title: str
    result: str = ""


@dataclass
class Steps:
    """The list of steps on a console, and the time since the first."""

    console: Console
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the launch began."""
        return time.monotonic() - self.started

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` as running, then as done or failed with the seconds it took."""
        step, began = Step(title), time.monotonic()
        try:
            with self.console.status(f"{title} …"):
                yield step
        except BaseException:
            self._print_line("[red]✗[/red]", title, began)
            raise
        self._print_line("[green]✓[/green]", step.result or title, began)

    def say(self, text: str) -> None:
        """Print a line that is not a step."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def _print_line(self, mark: str, text: str, began: float) -> None:
        self.say(f"{mark} {text}  [dim]{time.monotonic() - began:.1f} s[/dim]")
