"""Encoded text on disk, of any length, written and read in constant memory.

A token file is an ordinary `.npy` of one axis, of the smallest unsigned integers that hold the
vocabulary; where texts are documents, a second one (`.starts.npy`) holds where each begins.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from elman.data.files import find
from elman.data.vocabulary import Vocabulary, joined
from elman.errors import InputError, RunFailed


def dtype_for(size: int) -> np.dtype[Any]:
    """Return the smallest unsigned integer type for a vocabulary of `size` symbols.

    >>> dtype_for(256), dtype_for(257), dtype_for(100_000)
    (dtype('uint8'), dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32)


def gather(
    pieces: Iterable[tuple[bool, NDArray[np.int64]]], symbols: int, *, on_disk: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Put pieces of encoded text in a row.

    Args:
        pieces: pairs of a flag and `(n,)` tokens; the flag is true where the piece begins a
            document.
        symbols: the size of the vocabulary.
        on_disk: put the tokens in a memory-mapped temporary file, not in memory.

    Returns:
        The tokens `(N,)`, and the positions where documents begin `(D,)`, ascending.
    """
    dtype = dtype_for(symbols)
    begins: list[int] = []
    held: list[NDArray[Any]] = []
    count = 0
    with tempfile.TemporaryFile() if on_disk else nullcontext() as file:
        for begin, ids in pieces:
            if begin:
                begins.append(count)
            count += len(ids)
            if file is None:
                held.append(ids.astype(dtype))
            else:
                file.write(ids.astype(dtype).tobytes())
        if file is None or not count:
            tokens: NDArray[Any] = np.concatenate([np.empty(0, dtype), *held])
        else:
            file.flush()
            # The file has no name; the system deletes it when nothing maps it any more.
            tokens = np.memmap(file, dtype, mode="r", shape=(count,))
    return tokens, np.array(begins, np.int64)


def encode(
    texts: Iterable[str], vocabulary: Vocabulary, *, documents: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Return the tokens of all texts in a row, and where documents begin: `write` in memory.

    >>> v = Vocabulary.fit(["ab"], specials=["eos"])
    >>> ids, starts = encode(["ab", "b"], v, documents=True)
    >>> ids.tolist(), starts.tolist()
    ([1, 2, 0, 2, 0], [0, 3])
    """
    pieces = ((documents, ids) for ids in _encoded(texts, vocabulary, documents))
    ids, begins = gather(pieces, len(vocabulary))
    return ids, begins if documents else None


def write(
    texts: Iterable[str],
    vocabulary: Vocabulary,
    path: str | os.PathLike[str],
    *,
    documents: bool = False,
) -> int:
    """Encode texts into a token file and return the number of tokens.

    The file appears under its name when it is complete. Memory holds one text at a time.

    Args:
        texts: strings, read once.
        vocabulary: how they are encoded.
        path: the file to make, `.npy`.
        documents: each text is a document: its beginning is kept (see `starts`), and
            `vocabulary.eos`, if there is one, is put after it.

    Raises:
        InputError: the texts hold no token.
        RunFailed: the file cannot be written.
    """
    target = Path(path)
    beside = _starts_of(target)
    if not documents:
        beside.unlink(missing_ok=True)
    total = 0
    with (
        _growing(target, dtype_for(len(vocabulary))) as tokens,
        _growing(beside, np.dtype(np.int64)) if documents else nullcontext() as begins,
    ):
        for piece in _encoded(texts, vocabulary, documents):
            if begins is not None:
                begins.append(np.array([total]))
            tokens.append(piece)
            total += len(piece)
        if not total:
            raise InputError("The texts hold no token.", file=target)
    return total


def open(path: str | os.PathLike[str]) -> np.memmap[Any, Any]:
    """Map the tokens of a file, `(n,)`: they are read from disk when they are used.

    Raises:
        InputError: there is no such file, or it is not a token file.
    """
    return _mapped(find(path))


def starts(path: str | os.PathLike[str]) -> np.memmap[Any, Any] | None:
    """Return the positions where documents begin, ascending; None without documents."""
    beside = _starts_of(find(path))
    return _mapped(beside) if beside.exists() else None


def _mapped(path: Path) -> np.memmap[Any, Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"This is no token file ({error}).", file=path) from None
    if not isinstance(array, np.memmap) or array.ndim != 1 or array.dtype.kind not in "ui":
        raise InputError("This is no token file.", file=path)
    return array


def _starts_of(path: Path) -> Path:
    return path.with_suffix(".starts.npy")


def _encoded(
    texts: Iterable[str], vocabulary: Vocabulary, documents: bool
) -> Iterator[NDArray[np.int64]]:
    if documents:
        end = [] if vocabulary.eos is None else [np.array([vocabulary.eos], dtype=np.int64)]
        for text in texts:
            yield np.concatenate([vocabulary.encode(text), *end])
        return
    # The end of a text makes no difference to characters, and to words none that a blank does
    # not make. To subwords it does.
    if vocabulary.unit == "characters":
        texts = joined(texts, "")
    elif vocabulary.unit == "words":
        texts = joined(texts, " ")
    for text in texts:
        yield vocabulary.encode(text)


class _Growing:
    """A `.npy` file of one axis, written from its beginning; its length is filled in last."""

    def __init__(self, file: BinaryIO, dtype: np.dtype[Any]) -> None:
        self.file, self.dtype, self.length = file, dtype, 0
        self.header()

    def header(self) -> None:
        # numpy leaves room in a header for the length to grow.
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self.file, about)

    def append(self, values: NDArray[Any]) -> None:
        self.length += len(values)
        self.file.write(values.astype(self.dtype).tobytes())


@contextmanager
def _growing(path: Path, dtype: np.dtype[Any]) -> Iterator[_Growing]:
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb", buffering=1 << 20) as file:
            array = _Growing(file, dtype)
            yield array
            file.seek(0)
            array.header()
        os.replace(partial, path)
    except OSError as error:
        raise RunFailed(f"{path} cannot be written ({error.strerror}).") from None
    finally:
        partial.unlink(missing_ok=True)
