"""Token files: the tokens of all texts in a row, on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elman.data import CarriedBatches, Vocabulary, tokens
from elman.errors import InputError, RunFailed


@pytest.mark.parametrize("unit", ["characters", "words", "subwords"])
def test_the_file_holds_what_encoding_all_texts_gives(tmp_path: Path, unit: str) -> None:
    texts = ["a cat\n", "the dog\n", "", "é\n"]
    v = Vocabulary.fit(texts, unit)  # type: ignore[arg-type]
    path = tmp_path / "t.npy"
    expected = np.concatenate([v.encode(text) for text in texts])
    assert tokens.write(iter(texts), v, path) == len(expected)
    np.testing.assert_array_equal(tokens.open(path), expected)
    np.testing.assert_array_equal(tokens.encode(texts, v)[0], expected)
    assert isinstance(tokens.open(path), np.memmap)
    assert tokens.starts(path) is None
    # An ordinary array file, whole and under its own name.
    np.testing.assert_array_equal(np.load(path), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["t.npy"]


def test_documents_are_closed_and_their_starts_kept(tmp_path: Path) -> None:
    v = Vocabulary.fit(["abc"], specials=["eos"])
    path = tmp_path / "t.npy"
    assert tokens.write(["ab", "", "c"], v, path, documents=True) == 6
    assert tokens.open(path).tolist() == [1, 2, 0, 0, 3, 0]
    starts = tokens.starts(path)
    assert starts is not None
    assert starts.tolist() == [0, 3, 4]
    ids, in_memory = tokens.encode(["ab", "", "c"], v, documents=True)
    assert (ids.tolist(), in_memory.tolist()) == ([1, 2, 0, 0, 3, 0], [0, 3, 4])  # type: ignore[union-attr]
    resets = [
        w.reset[:, 0].tolist() for w in CarriedBatches(tokens.open(path), 1, 5, starts=starts)
    ]
    assert resets == [[True, False, False, True, True]]
    # Written again without documents, no starts of the old text are left over.
    tokens.write(["ab"], v, path)
    assert tokens.starts(path) is None


@pytest.mark.parametrize("on_disk", [False, True])
def test_pieces_are_gathered_in_memory_or_on_disk(on_disk: bool) -> None:
    pieces = [(True, [3, 1]), (False, [299]), (True, [0]), (False, [])]
    encoded = [(begins, np.array(ids, dtype=np.int64)) for begins, ids in pieces]
    ids, begins = tokens.gather(iter(encoded), 300, on_disk=on_disk)
    assert (ids.tolist(), ids.dtype) == ([3, 1, 299, 0], np.dtype("uint16"))
    assert begins.tolist() == [0, 3]
    assert isinstance(ids, np.memmap) == on_disk
    nothing, begins = tokens.gather([], 300, on_disk=on_disk)
    assert (nothing.tolist(), begins.tolist()) == ([], [])


@pytest.mark.parametrize(("size", "dtype"), [(256, "uint8"), (257, "uint16"), (65537, "uint32")])
def test_the_width_is_that_of_the_vocabulary(tmp_path: Path, size: int, dtype: str) -> None:
    symbols = [chr(0x10000 + i) for i in range(size)]
    v = Vocabulary(symbols)
    text = symbols[-1] + symbols[0]
    tokens.write([text], v, tmp_path / "t.npy")
    ids = tokens.open(tmp_path / "t.npy")
    assert (ids.dtype, ids.tolist()) == (np.dtype(dtype), [size - 1, 0])
    assert tokens.encode([text], v)[0].dtype == np.dtype(dtype)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    v = Vocabulary.fit(["ab"], specials=[])
    path = tmp_path / "t.npy"
    with pytest.raises(InputError, match="'x' is not in the vocabulary"):
        tokens.write(["ab", "x"], v, path, documents=True)
    with pytest.raises(InputError, match="no token"):
        tokens.write([""], v, path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunFailed, match="cannot be written"):
        tokens.write(["ab"], v, tmp_path / "none" / "t.npy")


def test_a_file_that_is_no_token_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match="no token file"):
        tokens.open(path)
    np.save(path, np.zeros((2, 2)))
    with pytest.raises(InputError, match="no token file"):
        tokens.open(path)
    with pytest.raises(InputError, match=r"There is no such file.*'t\.npy'"):
        tokens.open(tmp_path / "tt.npy")
