"""Word vectors are read as people have them, and a line that is none is named."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from elman.data.formats.vectors import read_vectors
from elman.errors import InputError


@pytest.mark.parametrize("head", ["", "3 2\n"])
def test_glove_and_word2vec_are_read(tmp_path, head):
    file = tmp_path / "vectors.txt.gz"
    file.write_bytes(gzip.compress(f"{head}the 1 2\n, 0.5 -1e-2\nthe 9 9\nü 3 4 \n".encode()))
    words, vectors = read_vectors(file)
    assert words == ["the", ",", "ü"]
    np.testing.assert_array_equal(vectors, np.array([[1, 2], [0.5, -0.01], [3, 4]], np.float32))
    assert read_vectors(file, most=1)[0] == ["the"]


@pytest.mark.parametrize("line", ["a 1", "a 1 2 3", "a 1 x", "a 1 nan", "a 1 inf", "a  1 2"])
def test_a_line_that_is_no_vector_is_named(tmp_path, line):
    file = tmp_path / "vectors.txt"
    file.write_text(f"the 1 2\n{line}\n")
    with pytest.raises(InputError, match="row 2") as caught:
        read_vectors(file)
    assert "2 numbers" in str(caught.value)


def test_a_file_without_vectors_is_refused(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("3 2\n")
    with pytest.raises(InputError, match="no word vectors"):
        read_vectors(file)
