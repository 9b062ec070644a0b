"""What the doctor tells and does not tell: numbers that are none, loops by hand, compiled models,
and remedies for a model that is no run of `elman train`."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import nn

import elman
import elman.nn
from elman.errors import InputError
from elman.inspect.diagnosis import Trial

X = torch.randn(40, 4, 3, generator=torch.Generator().manual_seed(0))


def lstm() -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(3, 8)


class Looped(nn.Module):
    """A loop by hand over torch's cell, with the weights of a layer."""

    def __init__(self, layer: nn.LSTM, before: nn.Module | None = None) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
        self.before = before or nn.Identity()
        named = {n.removesuffix("_l0"): p for n, p in layer.named_parameters()}
        self.cell.load_state_dict(named)

    def forward(self, x):
        state, out = None, []
        for row in self.before(x):
            state = self.cell(row, state)
            out.append(state[0])
        return torch.stack(out)


@pytest.mark.parametrize("loss", [None, lambda y: y[-1].square().sum()])
def test_a_loop_by_hand_is_called_what_the_layer_is(loss):
    layer = lstm()
    whole = elman.doctor(layer, X, loss and (lambda out: loss(out[0])), need=39)
    by_hand = elman.doctor(Looped(layer), X, loss, need=39)
    assert by_hand.verdict == whole.verdict
    assert whole.findings[0].name == "vanishing gradients"
    a, b = by_hand.layers[0], whole.layers[0]
    torch.testing.assert_close(a.flow.influence, b.flow.influence, rtol=1e-4, atol=1e-9)
    assert a.horizon.steps == pytest.approx(b.horizon.steps, rel=1e-4)
    # Whatever comes before the loop: its own input is asked for.
    after = elman.doctor(Looped(layer, nn.Linear(3, 3)), X, loss, need=39)
    assert after.layers[0].horizon is not None


def test_the_gradient_by_an_input_goes_through_a_loop_that_is_watched():
    model = Looped(lstm(), nn.Linear(3, 3))
    model(X).sum().backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    elman.inspect.observe(model, lambda: model(X))[0].sum().backward()
    for p, grad in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, grad)


def spoilt(at: tuple[int, ...], value: float) -> torch.Tensor:
    x = X.clone()
    x[at] = value
    return x


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_input_that_is_no_number_is_named_first(value):
    for model, batch, name in (
        (lstm(), spoilt((5, 2, 1), value), "batch"),
        (lstm(), (spoilt((5, 2, 1), value),), r"batch\[0\]"),
        (lstm(), {"input": spoilt((5, 2, 1), value)}, r"batch\['input'\]"),
        (Looped(lstm()), spoilt((5, 2, 1), value), "batch"),
    ):
        found = elman.doctor(model, batch, need=39)
        assert [f.name for f in found.findings] == ["not a number"]
        pattern = rf"The input {name} is not finite: 1 of 480 .*at \[5, 2, 1\].*step 5 of row 2"
        assert re.search(pattern, found.verdict), found.verdict
        assert not found.healthy
        assert "not finite" in found.page()


def test_a_weight_that_is_no_number_is_named():
    model = lstm()
    with torch.no_grad():
        model.weight_hh_l0[3, 4] = math.nan
    found = elman.doctor(model, X)
    assert [f.name for f in found.findings] == ["not a number"]
    assert "The weight weight_hh_l0 is not finite: 1 of 256 values" in found.verdict
    assert "at [3, 4]" in found.verdict


def test_a_state_that_overflows_is_named_with_its_step():
    layer = elman.nn.Recurrent("elman", 3, 8, nonlinearity="relu")
    with torch.no_grad():
        layer.cells[0].U.weight.copy_(1e8 * torch.eye(8))
    found = elman.doctor(layer, X.abs())
    (finding,) = found.findings
    assert finding.name == "not a number"
    assert "Inputs and weights are finite, but layer l0 has a state" in finding.evidence
    step = int(finding.evidence.split("at step ")[1].split()[0])
    states = found.layers[0].passage.states[0]
    assert states[:step].isfinite().all()
    assert not states[step].isfinite().all()


def test_a_loss_that_is_no_number_is_named():
    found = elman.doctor(lstm(), X, lambda out: out[0].sum() * math.nan)
    assert [f.name for f in found.findings] == ["not a number"]
    assert "The loss is not finite, though inputs, weights and the states" in found.verdict


@pytest.mark.parametrize("part", [False, True])
def test_a_compiled_model_is_refused(part):
    model: Any = torch.compile(lstm())
    if part:
        model = nn.Sequential(model)
    with pytest.raises(InputError, match=r"compiled by torch\.compile.*_orig_mod"):
        elman.doctor(model, X)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(lstm(), nn.Dropout())
    model[0].eval()
    model[1].train()
    elman.doctor(model[0], X)
    with pytest.raises(InputError):
        elman.doctor(nn.Sequential(nn.Dropout(), nn.Linear(3, 3).eval()).train(), X)
    assert (model[0].training, model[1].training) == (False, True)


def test_remedies_for_a_model_of_ones_own_are_code():
    found = elman.doctor(lstm(), X, need=39)
    told = str(found)
    assert "--set" not in told
    assert "elman.nn.Recurrent(..., chrono=39)" in told
    assert "--set" not in str(found.to_dict())


def test_trials_say_which_helped_and_by_what():
    found = elman.doctor(lstm(), X, need=39)
    known = {"by": "validation accuracy", "higher_is_better": True}
    found.trials = [
        Trial("as it was", {}, 0.5, 9.0, None, **known),
        Trial("gates", {"cell": "lstm"}, 0.9, 60.0, True, **known),
        Trial("slower", {"lr": 1e-4}, 0.4, 9.0, False, **known),
        Trial("broken", {"lr": 9.0}, math.nan, None, False, "it diverged"),
    ]
    lines = str(found).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("tried"))
    assert lines[at].endswith("by validation accuracy (higher is better):")
    assert lines[at + 1] == "  0.5  memory 9  as it was"
    assert lines[at + 2] == "  0.9  memory 60  gates  helped, by validation accuracy"
    assert lines[at + 3] == "  0.4  memory 9  slower  did not help"
    assert lines[at + 4] == "  –  –  broken  failed: it diverged"
    told = found.to_dict()["trials"]
    assert [t["helped"] for t in told] == [None, True, False, False]
    found.trials = found.trials[:1] + found.trials[2:]
    assert str(found).endswith("none of them helped")
