"""Find the one event that PostgreSQL refuses among many: halve until it is alone, keep its neighbours.

For k such events among n it takes about k * log2(n) attempts, most of them small.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

Refusal = TypeVar("Refusal", bound=Exception)


def apply_in_halves(
    numbers: Sequence[int],
    apply: Callable[[int, int], None],
    refusal: type[Refusal],
    bury: Callable[[int, Refusal], None],
) -> None:
    """Apply sorted `numbers` in ranges (after, up to); what raises `refusal` all alone goes to `bury`.

    `apply` must undo itself when it raises.
    """
    waiting = [list(numbers)]
    while waiting:
        part = waiting.pop()
        if not part:
            continue
        try:
            apply(part[0] - 1, part[-1])
        except refusal as error:
            if len(part) == 1:
                bury(part[0], error)
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
