"""A Transformer in the place of recurrent layers: what it may look at, and how large it is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, nn

from elman.errors import InputError
from elman.nn import Recurrent
from elman.nn import state as states
from elman.nn.decoder import Decoder
from elman.nn.seq2seq import EncoderDecoder
from elman.nn.transformer import Transformer, trainable
from elman.nn.transformer_shape import Shape, count, shape_of

SHAPE = Shape(layers=2, width=8, heads=2, inner=12)
CLOSE = {"atol": 1e-10, "rtol": 1e-8}


def stack(**how: object) -> Transformer:
    torch.manual_seed(1)
    made = Transformer(3, 5, SHAPE, batch_first=True, **how)  # type: ignore[arg-type]
    return made.double().eval()


def steps(rows: int, length: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, length, 3, generator=generator, dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(some.integers(1, 12), some.data())
def test_no_step_depends_on_a_later_one(length: int, data: some.DataObject) -> None:
    at = data.draw(some.integers(0, length - 1))
    context = data.draw(some.integers(1, 14))
    layer, x = stack(context=context), steps(2, length)
    later = x.clone()
    later[:, at + 1 :] = steps(2, length, 1)[:, at + 1 :]
    torch.testing.assert_close(layer(later)[0][:, : at + 1], layer(x)[0][:, : at + 1], **CLOSE)
    if at + 1 < length:  # and the steps after it do
        assert not torch.equal(layer(later)[0], layer(x)[0])


@settings(max_examples=15, deadline=None)
@given(some.lists(some.integers(0, 9), min_size=1, max_size=4), some.booleans(), some.data())
def test_padding_and_other_rows_change_no_answer(
    lengths: list[int], both: bool, data: some.DataObject
) -> None:
    layer = stack(bidirectional=both, context=data.draw(some.integers(1, 12)))
    x = steps(len(lengths), max(lengths) + 2)
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan  # what stands beyond an end is never read
    y, _ = layer(x, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, _ = layer(x[row : row + 1, :length])
        torch.testing.assert_close(y[row : row + 1, :length], alone, **CLOSE)
        assert not y[row, length:].any()


@settings(max_examples=15, deadline=None)
@given(some.lists(some.integers(0, 5), min_size=1, max_size=5), some.integers(1, 12), some.data())
def test_pieces_are_the_whole(pieces: list[int], context: int, data: some.DataObject) -> None:
    layer, whole = stack(context=context), sum(pieces)
    x = steps(2, whole)
    reset = torch.tensor(
        data.draw(
            some.lists(
                some.lists(some.booleans(), min_size=whole, max_size=whole), min_size=2, max_size=2
            )
        ),
        dtype=torch.bool,
    ).view(2, whole)
    expected, _ = layer(x, reset=reset)
    state, found, at = None, [], 0
    for piece in pieces:
        here = slice(at, at + piece)
        y, state = layer(x[:, here], state, reset=reset[:, here])
        found.append(y)
        at += piece
    torch.testing.assert_close(torch.cat(found, 1), expected, **CLOSE)
    assert state is not None
    assert state[0][0].shape[1] < context  # a cache does not grow for ever


def test_a_reset_is_a_new_beginning() -> None:
    layer, x = stack(), steps(1, 7)
    reset = torch.zeros(1, 7, dtype=torch.bool)
    reset[0, 4] = True
    torch.testing.assert_close(layer(x, reset=reset)[0][:, 4:], layer(x[:, 4:])[0], **CLOSE)


@pytest.mark.parametrize("context", [3, 20])
def test_a_state_is_that_of_each_rows_last_step(context: int) -> None:
    layer, x, after = stack(context=context), steps(3, 6), steps(3, 4, 1)
    lengths = [6, 2, 0]
    _, state = layer(x, lengths=lengths)
    picked = states.index(state, [2, 1, 0])  # rows in another order, as beam search asks for
    y, _ = layer(after.flip(0), picked)
    for row, length in enumerate(lengths):
        whole = torch.cat([x[row : row + 1, :length], after[row : row + 1]], 1)
        torch.testing.assert_close(y.flip(0)[row : row + 1], layer(whole)[0][:, length:], **CLOSE)


def test_a_context_is_all_that_a_step_looks_at() -> None:
    layer, x = stack(context=4), steps(1, 9)
    # Two layers reach 2 x 3 steps back.
    other = x.clone()
    other[:, :2] = 7
    torch.testing.assert_close(layer(other)[0][:, 8:], layer(x)[0][:, 8:], **CLOSE)
    assert not torch.equal(layer(other)[0][:, 7:8], layer(x)[0][:, 7:8])


def test_the_cached_step_is_the_step() -> None:
    layer = stack(context=64)
    step, x = layer.cached(1), steps(1, 1)
    torch.testing.assert_close(step(x[:, 0]), layer(x)[0][:, 0], **CLOSE)


def translator(lengths: list[int], target: Tensor, *, beyond: float = 0.0) -> Tensor:
    torch.manual_seed(2)
    encoder = Transformer(3, 6, SHAPE, bidirectional=True, batch_first=True)
    inner = Transformer(4, 5, SHAPE, batch_first=True, reads=6)
    decoder = Decoder(nn.Embedding(7, 4), inner, nn.Linear(5, 7), bos=0, eos=1)
    model = EncoderDecoder(encoder, decoder).double().eval()
    source = steps(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        source[row, length:] = beyond
    return model(source, target, lengths=lengths)  # type: ignore[no-any-return]


def test_a_decoder_attends_to_the_source_and_not_beyond_it() -> None:
    target = torch.tensor([[3, 2, 4], [3, 2, 4], [3, 2, 4]])
    y = translator([5, 3, 0], target)
    assert y.isfinite().all()
    assert not torch.allclose(y[0], y[1])
    torch.testing.assert_close(translator([5, 3, 0], target, beyond=9.0), y, **CLOSE)
    later = target.clone()
    later[:, 2] = 6  # the last token that is fed is the one before
    torch.testing.assert_close(translator([5, 3, 0], later), y, **CLOSE)
    later[:, 1] = 6
    torch.testing.assert_close(translator([5, 3, 0], later)[:, :2], y[:, :2], **CLOSE)
    assert not torch.allclose(translator([5, 3, 0], later)[:, 2], y[:, 2])


@given(some.integers(500, 3_000_000), some.integers(1, 600), some.integers(1, 600))
def test_sizes_are_found_by_counting(parameters: int, before: int, after: int) -> None:
    smallest = count(Shape(1, 2, 1, 1), before, after)
    if parameters < smallest:
        with pytest.raises(InputError, match="no Transformer is as small"):
            shape_of(parameters, before, after)
        return
    shape = shape_of(parameters, before, after)
    assert shape.width % (2 * shape.heads) == 0
    if parameters > 20 * (before + after):
        assert count(shape, before, after) == pytest.approx(parameters, rel=0.05)


@pytest.mark.parametrize("reads", [0, 7])
def test_parameters_are_counted_right(reads: int) -> None:
    assert count(SHAPE, 3, 5, reads) == trainable(Transformer(3, 5, SHAPE, reads=reads))


@pytest.mark.parametrize("reads", [0, 11])
@pytest.mark.parametrize("cell", ["gru", "lstm", "elman"])
def test_it_is_as_large_as_the_layers_it_stands_in_for(cell: str, reads: int) -> None:
    layers = Recurrent(cell, 16, 32, num_layers=2, bidirectional=True)
    made = Transformer.like(layers, reads=reads)
    assert trainable(made) == pytest.approx(trainable(layers), rel=0.03)
    assert (made.input_size, made.output_size) == (layers.input_size, layers.output_size)
