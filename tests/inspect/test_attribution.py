"""What an output is due to, against recurrences of which it is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import make
from elman.cells.base import Cell
from elman.errors import InputError
from elman.inspect import Passage, observe
from elman.inspect.attribution import attribute, integrated_gradients, occlusion

T, B, D, H = 12, 3, 2, 5


class Linear(Cell):
    """h' = U h + W x."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size, bias=False)
        self.U = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state):
        h = self.U(state[0]) + self.W(x)
        return h, (h,)


def sequences(cell="lstm", lengths=None, steps=T):
    torch.manual_seed(0)
    made = Linear(D, H) if cell == "linear" else make(cell, D, H)
    return Passage.of(made.double(), torch.randn(steps, B, D, dtype=torch.double), lengths)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_of_a_linear_recurrence_it_is_what_the_powers_say(method):
    passage = sequences("linear")
    U, W, unit, t = passage.cell.U.weight, passage.cell.W.weight, 3, 9
    want = torch.zeros(T, B, D, dtype=torch.double)
    for k in range(t + 1):
        want[t - k] = (torch.linalg.matrix_power(U, k) @ W)[unit] * passage.x[t - k]
    found = attribute(passage, (t, unit), method, features=True)
    torch.testing.assert_close(found.values, want.detach(), rtol=1e-10, atol=1e-12)
    assert found.values[t + 1 :].abs().max() == 0
    torch.testing.assert_close(attribute(passage, (t, unit), method).values, found.values.sum(2))
    assert found.gap.max() < 1e-12


def test_the_baseline_is_what_counts_as_no_input():
    passage = sequences("linear")
    mean = passage.x.mean((0, 1))
    found = attribute(passage, (-1, 0), baseline=mean, features=True)
    plain = attribute(passage, (-1, 0), features=True).values
    torch.testing.assert_close(found.values, plain * (passage.x - mean) / passage.x)
    same = attribute(passage, (-1, 0), baseline=passage.x)
    assert same.values.abs().max() == 0


def test_integrated_gradients_are_complete():
    passage = sequences("lstm", steps=40)
    many, few = (attribute(passage, (-1, 2), steps=s) for s in (64, 2))
    torch.testing.assert_close(many.output, passage.output[-1, :, 2])
    assert many.gap.max() < 1e-9
    assert 1e-8 < few.gap.max() < 1e-1
    torch.testing.assert_close(many.values.sum(0), many.output - many.at_baseline)


@pytest.mark.parametrize(("width", "back", "ahead"), [(1, 0, 0), (2, 1, 0), (5, 2, 2)])
def test_occlusion_is_the_difference_of_outputs(width, back, ahead):
    passage = sequences("gru", lengths=[12, 7, 0])
    fill = torch.tensor([0.5, -1.0])

    def total(output):
        return output.square().sum((0, 2))

    found = attribute(passage, total, "occlusion", fill, width=width)
    apart = attribute(passage, total, "occlusion", fill, width=width, features=True)
    for t in range(T):
        hidden = passage.x.clone()
        hidden[max(0, t - back) : t + ahead + 1] = fill.double()
        output = Passage.of(passage.cell, hidden, passage.lengths).output
        want = (total(passage.output) - total(output)) * passage.valid[t]
        torch.testing.assert_close(found.values[t], want.detach(), rtol=1e-9, atol=1e-12)
        one = passage.x.clone()
        one[max(0, t - back) : t + ahead + 1, :, 1] = fill[1]
        output = Passage.of(passage.cell, one, passage.lengths).output
        want = (total(passage.output) - total(output)) * passage.valid[t]
        torch.testing.assert_close(apart.values[t, :, 1], want.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
@pytest.mark.parametrize(
    ("output", "ends"),
    [((5, 1), [6, 6, 0]), ((-2, 1), [11, 5, 0]), (lambda y: y.sum((0, 2)), [12, 6, 1])],
)
def test_what_cannot_matter_has_exactly_nothing(method, output, ends):
    torch.manual_seed(0)
    x = torch.randn(T, B, D)
    passage = Passage.of(make("lstm", D, H), x, [12, 6, 1])
    values = attribute(passage, output, method).values
    matters = torch.arange(T)[:, None] < torch.tensor(ends)
    assert values[~matters].abs().max() == 0
    assert values[matters].abs().min() > 0


def test_all_copies_in_one_call_or_in_many_are_the_same(monkeypatch):
    passage = sequences("gru")
    once = [attribute(passage, (-1, 0), m).values for m in ("occlusion", "integrated_gradients")]
    monkeypatch.setattr("elman.inspect.attribution._AT_ONCE", 7 * T * B)
    many = [attribute(passage, (-1, 0), m).values for m in ("occlusion", "integrated_gradients")]
    for a, b in zip(once, many, strict=True):
        torch.testing.assert_close(a, b)


def test_a_layer_read_backwards_is_in_its_own_time():
    torch.manual_seed(0)
    layer = elman.nn.LSTM(D, H, bidirectional=True).double()
    x = torch.randn(T, B, D, dtype=torch.double)
    (y, _), (_, back) = observe(layer, lambda: layer(x))
    found = attribute(back, (-1, 1))
    torch.testing.assert_close(found.output, y[0, :, H + 1].detach())
    assert found.values[-1].abs().min() > 0
    assert attribute(back, (0, 1)).values[1:].abs().max() == 0


def test_any_function_of_sequences_will_do():
    torch.manual_seed(0)
    x = torch.randn(4, B, D, dtype=torch.double)
    found = integrated_gradients(lambda x: x.prod(0).sum(1), x, features=True)
    torch.testing.assert_close(found.values, (x.prod(0) / 4).expand(4, B, D))
    assert occlusion(lambda x: x.sum((0, 2)), x[:0]).values.shape == (0, B)


def test_what_is_wrong_is_said():
    passage = sequences("gru")
    with pytest.raises(InputError, match="no step 12"):
        attribute(passage, (T, 0))
    with pytest.raises(InputError, match="no unit 5"):
        attribute(passage, (0, H))
    with pytest.raises(InputError, match="Did you mean 'occlusion'"):
        attribute(passage, (0, 0), "oclusion")
    with pytest.raises(InputError, match="one number a row"):
        attribute(passage, lambda y: y.sum())
    with pytest.raises(InputError, match="broadcast"):
        attribute(passage, baseline=torch.zeros(D + 1))
    with pytest.raises(InputError, match="No gradient"):
        integrated_gradients(lambda x: x.detach().sum((0, 2)), passage.x)
    with pytest.raises(InputError, match="embeddings"):
        occlusion(lambda x: x.sum((0, 2)), torch.zeros(2, 3, 1, dtype=torch.long))


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
@pytest.mark.parametrize("z", [0.0, 0.4])
def test_of_a_layer_that_is_reset_and_keeps_it_is_what_the_powers_say(method, z):
    torch.manual_seed(0)
    layer = elman.nn.Recurrent(Linear(D, H).double(), zoneout=z).eval()
    x, reset = torch.randn(T, B, D, dtype=torch.double), torch.zeros(T, B, dtype=torch.bool)
    reset[[0, 4, 7, 10], [0, 1, 1, 2]] = True
    state = [(torch.randn(B, H, dtype=torch.double),)]
    _, (passage,) = observe(layer, lambda: layer(x, state, reset=reset))
    (cell,) = layer.cells
    step = z * torch.eye(H).double() + (1 - z) * cell.U.weight
    want, unit, t, begins = torch.zeros_like(x), 3, 9, [0, 7, 0]
    for b, first in enumerate(begins):
        for k in range(t - first + 1):
            reach = torch.linalg.matrix_power(step, k) @ cell.W.weight * (1 - z)
            want[t - k, b] = reach[unit] * x[t - k, b]
    found = attribute(passage, (t, unit), method, features=True)
    torch.testing.assert_close(found.values, want.detach(), rtol=1e-10, atol=1e-12)
    assert found.values[:7, 1].abs().max() == 0
    assert found.gap.max() < 1e-12
    torch.testing.assert_close(found.output, passage.output[t, :, unit])
    # Of all outputs together every input counts, each in its own sequence.
    whole = attribute(passage, lambda y: y[6:8, :, unit].sum(0), method)
    early, late = (attribute(passage, (t, unit), method).values for t in (6, 7))
    torch.testing.assert_close(whole.values, early + late)


def test_masks_that_were_drawn_are_drawn_no_more():
    torch.manual_seed(0)
    layer = elman.nn.Recurrent("lstm", D, H, zoneout=0.5, bidirectional=True)
    x, reset = torch.randn(T, B, D), torch.rand(T, B) < 0.3
    _, passages = observe(layer, lambda: layer(x, lengths=[12, 7, 1], reset=reset))
    for passage in passages:
        found = attribute(passage, (-1, 0))
        rows = passage.lengths - 1, torch.arange(B)
        torch.testing.assert_close(found.output, passage.output[..., 0][rows].double())
        assert found.gap.max() < 1e-5


def test_a_layer_that_has_changed_since_is_refused():
    layer, x = elman.nn.Recurrent("gru", D, H), torch.randn(T, B, D)
    _, (passage,) = observe(layer, lambda: layer(x))
    with torch.no_grad():
        next(layer.parameters()).mul_(2)
    with pytest.raises(InputError, match="as it is now"):
        attribute(passage)
