"""What the doctor is called with, and loops that take their state out of the graph."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import elman
from elman.errors import InputError


class Detached(nn.Module):
    """A loop over a cell, or a layer, that takes its state out of the graph now and then."""

    def __init__(self, part: nn.Module, every: int):
        super().__init__()
        self.part, self.every = part, every

    def forward(self, x):
        state = None
        for t in range(len(x)):
            if state is not None and t % self.every == 0:
                state = tuple(s.detach() for s in state)
            if isinstance(self.part, nn.LSTM):
                _, state = self.part(x[t : t + 1], state)
            elif isinstance(self.part, nn.LSTMCell):
                state = self.part(x[t], state)
            else:
                state = (self.part(x[t], None if state is None else state[0]),)
        return state[0]


@pytest.mark.parametrize("make", [nn.LSTMCell, nn.GRUCell, nn.RNNCell, nn.LSTM])
def test_a_state_that_is_detached_is_named_and_its_loop_is_one_layer(make):
    torch.manual_seed(0)
    x = torch.randn(12, 4, 3)
    found = elman.doctor(Detached(make(3, 8), 1), x)
    assert len(found.layers) == 1
    assert found.layers[0].passage.steps == 12
    assert [f.severity for f in found.findings if f.name == "state detached"] == ["ill"]
    assert "detached after each step" in found.verdict
    now_and_then = elman.doctor(Detached(make(3, 8), 5), x)
    assert len(now_and_then.layers) == 1
    told = [f for f in now_and_then.findings if f.name == "state detached"]
    assert [f.severity for f in told] == ["warning"]
    assert "2 times in 12 steps" in told[0].evidence
    whole = elman.doctor(Detached(make(3, 8), 99), x)
    assert not any(f.name == "state detached" for f in whole.findings)


@pytest.mark.parametrize(
    "form", [lambda x: x.numpy(), lambda x: x.double().numpy(), torch.Tensor.tolist]
)
def test_arrays_and_lists_are_batches_too(form):
    torch.manual_seed(0)
    model, x = nn.GRU(3, 8), torch.randn(20, 4, 3)
    assert str(elman.doctor(model, form(x))) == str(elman.doctor(model, x))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ((torch.zeros(9, 2, 3), torch.zeros(2)), "float32 (9, 2, 3), a tensor of float32 (2,)"),
        (torch.zeros(9, 2, 5), "(a tensor of float32 (9, 2, 5))"),
        ({"y": torch.zeros(9, 2, 3)}, "y=a tensor"),
        (None, "NoneType"),
    ],
)
def test_a_batch_that_the_model_does_not_take_is_said_in_words(batch, said):
    with pytest.raises(InputError, match="cannot be called with") as caught:
        elman.doctor(Detached(nn.LSTMCell(3, 8), 99), batch)
    assert said in str(caught.value)
