"""Repeatable chance: the same words give the same numbers on every machine and in every process."""

import hashlib


def hash_words(*words: object) -> int:
    """A 64-bit number from the words."""
    text = "\x1f".join(map(str, words)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def draw_fraction(*words: object) -> float:
    """A number from 0 to 1 from the words."""
    return hash_words(*words) / 2**64
