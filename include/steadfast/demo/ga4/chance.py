"""Repeatable chance in arrays: many fractions at once, and whole numbers in proportion to weights."""

import numpy as np
import numpy.typing as npt

from steadfast.demo.chance import hash_words
from steadfast.demo.ga4.encode import Integers

Floats = npt.NDArray[np.float64]


def draw_fractions(count: int, *words: object) -> Floats:
    """That many numbers from 0 to 1 from the words."""
    return np.random.default_rng(hash_words(*words)).random(count)


def apportion(total: int, weights: Floats) -> Integers:
    """Whole numbers in proportion to the weights whose sum is exactly the total (largest remainders)."""
    mass = float(weights.sum())
    if not total or mass <= 0:
        return np.zeros(len(weights), dtype=np.int64)
    quotas = weights * (total / mass)
    shares = np.floor(quotas).astype(np.int64)
    missing = total - int(shares.sum())
    if missing > 0:
        order = np.argsort(shares - quotas, kind="stable")
        shares[order[:missing]] += 1
    elif missing < 0:
        shares[int(np.argmax(shares))] += missing
    return shares
