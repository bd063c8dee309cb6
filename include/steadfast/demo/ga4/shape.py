"""What a report asks for, by the fields' current names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Which fields of a report, and whether rows of zeros count."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    keeps_empty: bool = False
