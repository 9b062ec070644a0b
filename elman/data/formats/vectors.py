"""Word vectors as text: a word and its numbers a line (GloVe), or the same under a line with the
number of words and of dimensions (word2vec, fastText)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.errors import InputError


def read_vectors(
    path: str | Path, most: int | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Return words and their vectors, in the order of the file.

    Args:
        path: a text file, which may end in .gz.
        most: words that are read at most; such files have the commonest first.

    Returns:
        The words, without repeats, and the vectors `(words, dimensions)`.

    Raises:
        InputError: no such file, not such a file, or a line with another number of numbers; the
            message names the line.
    """
    (place,) = files.given([Path(path)])
    encoding = files.encoding_of(place, None)
    words: dict[str, None] = {}
    rows: list[NDArray[np.float32]] = []
    size: int | None = None
    for number, line in enumerate(files.lines(place, encoding), 1):
        word, *numbers = line.rstrip("\r\n ").split(" ")
        if number == 1 and len(numbers) == 1 and word.isdigit() and numbers[0].isdigit():
            size = int(numbers[0])
            continue
        size = len(numbers) if size is None else size
        row = _numbers(numbers, size)
        if row is None:
            raise InputError(
                f"This line is not a word and {size or 'some'} numbers with blanks between them.",
                file=place,
                row=number,
                fix="Give word vectors as text, as GloVe and word2vec write them.",
            )
        if word not in words:
            words[word] = None
            rows.append(row)
        if most is not None and len(rows) >= most:
            break
    if not rows:
        raise InputError("There are no word vectors in this file.", file=place)
    return list(words), np.stack(rows)


def _numbers(texts: list[str], size: int) -> NDArray[np.float32] | None:
    """Return the numbers, or None where they are not so many or not finite."""
    if len(texts) != size or not size:
        return None
    try:
        row = np.array(texts, dtype=np.float32)
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None
