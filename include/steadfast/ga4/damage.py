"""What is wrong with single cells of a page, and the repair of texts that PostgreSQL cannot hold."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

LONGEST_TEXT = 200
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Damage:
    """One cell that is not what its column holds; `row` counts from 0 within the page."""

    row: int
    column: str
    text: str
    rule: str


def show_text(raw: bytes) -> str:
    """The cell as a person may read it, at most 200 characters."""
    return repair_text(raw[: 4 * LONGEST_TEXT])[:LONGEST_TEXT]


def repair_text(raw: bytes) -> str:
    """Decode `raw`; NUL and what is not UTF-8 (lone surrogates too) become U+FFFD."""
    return raw.decode("utf-8", "replace").replace("\0", REPLACEMENT)


def repair_texts(cells: pa.BinaryArray, column: str) -> tuple[pa.StringArray, list[Damage]]:
    """Return the column as text that PostgreSQL accepts, and one damage for every cell that was changed."""
    texts = None if _has_nul(cells) else _cast_text(cells)
    if texts is not None:
        return texts, []
    values = cells.to_pylist()
    repaired = {row: repair_text(raw) for row, raw in enumerate(values) if _is_damaged(raw)}
    mended = [repaired[row] if row in repaired else raw.decode() for row, raw in enumerate(values)]
    damages = [Damage(row, column, text[:LONGEST_TEXT], "text_repaired") for row, text in repaired.items()]
    return pa.array(mended, pa.string()), damages


def _cast_text(cells: pa.BinaryArray) -> pa.StringArray | None:
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def _has_nul(cells: pa.BinaryArray) -> bool:
    return not column_bytes(cells).all()


def _is_damaged(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in raw


def column_bytes(cells: pa.BinaryArray) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """All bytes of a column, end to end, without a copy."""
    _, offsets, data = cells.buffers()
    if not len(cells) or data is None:
        return np.zeros(0, dtype=np.uint8)
    bounds = np.frombuffer(offsets, dtype=np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]
