"""Vectors of runs of symbols: what they depend on, in pieces, rows, documents and streams."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from elman.nn.grams import GramStream, GramVectors

SYMBOLS = 11


def vectors(longest: int = 4, rows: int = 997) -> GramVectors:
    torch.manual_seed(0)
    return GramVectors(SYMBOLS, 6, longest, rows)


def drawn(steps: int, batch: int, seed: int = 1) -> Tensor:
    return torch.randint(SYMBOLS, (steps, batch), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("longest", [2, 3, 5])
def test_a_vector_depends_on_its_run_and_on_nothing_before_it(longest: int) -> None:
    grams = vectors(longest)
    tokens = drawn(20, 1)
    found, _ = grams(tokens)
    for place in range(20):
        changed = tokens.clone()
        changed[place] = (changed[place] + 1) % SYMBOLS
        other, _ = grams(changed)
        differs = (other != found).any(-1)[:, 0].nonzero()[:, 0].tolist()
        assert differs == list(range(place, min(20, place + longest)))


def test_equal_runs_have_equal_vectors_and_order_counts() -> None:
    found, _ = vectors(3)(torch.tensor([[1, 2, 3, 1, 2, 3, 1, 3, 2]]).T)
    torch.testing.assert_close(found[2], found[5])
    assert not torch.allclose(found[5], found[8])  # 1 2 3 is not 1 3 2


def test_runs_spread_over_the_tables() -> None:
    """All runs of two symbols, with as many places as runs: most have one of their own."""
    grams = vectors(2, rows=SYMBOLS**2)
    pairs = torch.cartesian_prod(torch.arange(SYMBOLS), torch.arange(SYMBOLS)).T
    found, _ = grams(pairs)
    different = len(torch.unique(found[1], dim=0))
    # Balls in as many boxes fill 1 - 1/e of them.
    assert different > 0.55 * SYMBOLS**2


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    longest=st.integers(2, 5),
    begins=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1)), max_size=4),
)
def test_pieces_give_what_the_whole_gives(
    steps: int, cuts: list[int], longest: int, begins: list[tuple[int, int]]
) -> None:
    grams, tokens = vectors(longest), drawn(steps, 2)
    reset = torch.zeros(steps, 2, dtype=torch.bool)
    for step, row in begins:
        reset[step % steps, row] = True
    whole, last = grams(tokens, None, reset)
    before, found = None, []
    places = [0, *sorted(min(cut, steps) for cut in cuts), steps]
    for low, high in itertools.pairwise(places):
        piece, before = grams(tokens[low:high], before, reset[low:high])
        found.append(piece)
    torch.testing.assert_close(torch.cat(found), whole, rtol=0, atol=0)
    assert torch.equal(before, last)


def test_a_document_after_another_is_as_one_by_itself() -> None:
    grams, tokens = vectors(4), drawn(9, 1)
    reset = torch.zeros(9, 1, dtype=torch.bool)
    reset[5] = True
    torch.testing.assert_close(grams(tokens, None, reset)[0][5:], grams(tokens[5:])[0])


def test_a_stream_gives_what_the_whole_gives() -> None:
    grams, tokens, embedding = vectors(4), drawn(9, 2), nn.Embedding(SYMBOLS, 6)
    stream = GramStream(embedding, grams, batch=2)
    whole = grams(tokens)[0] + embedding(tokens)
    for step in range(5):
        torch.testing.assert_close(stream.step(tokens[step]), whole[step])
    kept = stream.to_bytes()
    torch.testing.assert_close(stream.chunk(tokens[5:]), whole[5:])
    stream.from_bytes(kept)
    torch.testing.assert_close(stream.step(tokens[5]), whole[5])
    stream.reset([1])
    after = stream.step(tokens[0])
    assert not torch.allclose(after[0], whole[0][0])
    torch.testing.assert_close(after[1], whole[0][1])
