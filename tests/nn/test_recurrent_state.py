"""Helpers on nested state: values, nesting kept, gradients cut."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from elman.errors import InputError
from elman.nn import LSTM, Recurrent, state


class Pair(NamedTuple):
    h: torch.Tensor
    c: torch.Tensor | None


def test_nesting_is_kept():
    nested = [Pair(torch.ones(2, 1), None), (torch.zeros(2, 3), [torch.full((2, 1), 5.0)])]
    assert [t.shape[1] for t in state.flatten(nested)] == [1, 3, 1]
    back = state.unflatten(nested, state.flatten(nested))
    assert isinstance(back[0], Pair)
    assert back[0].c is None
    assert isinstance(back[1][1], list)
    assert torch.equal(back[1][1][0], nested[1][1][0])
    assert state.flatten(None) == []
    with pytest.raises(InputError, match="holds 3 tensors, got 2"):
        state.unflatten(nested, state.flatten(nested)[:2])


def test_detach_keeps_values_and_cuts_gradients():
    layer = Recurrent("lstm", 3, 4)
    x = torch.randn(5, 2, 3)
    _, carried = layer(x)
    assert carried[0][0].requires_grad
    cut = state.detach(carried)
    assert not any(t.requires_grad for t in state.flatten(cut))
    assert torch.equal(layer(x, cut)[0], layer(x, carried)[0])


def test_rows_may_be_picked_repeated_and_masked():
    layer = Recurrent("gru", 3, 4, 2)
    x = torch.randn(5, 3, 3)
    _, carried = layer(x)
    rows = torch.tensor([2, 0, 2])
    y, _ = layer(x[:, rows], state.index(carried, rows))
    assert torch.allclose(y, layer(x, carried)[0][:, rows])
    mask = torch.tensor([True, False, True])
    assert torch.equal(state.index(carried, mask)[0][0], carried[0][0][[0, 2]])


def test_rows_of_a_torch_shaped_state_lie_on_the_second_axis():
    layer = LSTM(3, 4, 2)
    x = torch.randn(5, 3, 3)
    _, carried = layer(x)
    y, _ = layer(x[:, [1]], state.index(carried, [1], axis=1))
    assert torch.allclose(y, layer(x, carried)[0][:, [1]])


def test_to_casts_and_moves():
    cast = state.to((torch.ones(1), None), torch.float64)
    assert cast[0].dtype == torch.float64
    assert cast[1] is None
    assert state.to([torch.ones(1)], "meta")[0].is_meta
