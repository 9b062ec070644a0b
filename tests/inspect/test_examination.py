"""The doctor on whole models: diseases that were planted are named, and nothing of the model is
changed by looking."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

import elman
import elman.nn
from elman.errors import InputError

D, H, T, B = 4, 24, 60, 8


def found(layer, need=None, loss=lambda out: out[0].square().sum(), steps=T, **options):
    torch.manual_seed(1)
    x = torch.randn(steps, B, layer.input_size)
    return elman.doctor(layer, x, loss, need=need, **options)


def names(examination):
    return {f.name for f in examination.findings}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_small_recurrent_matrix_vanishes_where_memory_is_needed():
    layer = nn.RNN(D, H)
    assert found(layer, need=50).findings[0].name == "vanishing gradients"
    assert found(layer).healthy  # nobody said that a long memory is needed
    assert found(elman.nn.LSTM(D, H, chrono=60), need=50).healthy


def test_a_large_recurrent_matrix_explodes():
    layer = elman.nn.Recurrent("elman", D, H, nonlinearity="relu")
    with torch.no_grad():
        layer.cells[0].U.weight.mul_(2.0)
        layer.cells[0].W.bias.fill_(0.5)
    examination = found(layer)
    assert "exploding gradients" in names(examination)
    assert "state drift" in names(examination)
    assert examination.layers[0].flow.decay > 1.1


def test_a_gate_that_is_shut_is_named():
    layer = elman.nn.Recurrent("lstm", D, H)
    with torch.no_grad():
        layer.cells[0].W.bias[:H] = -12.0
    finding = found(layer).findings[0]
    assert finding.name == "saturated gates"
    assert "Gate i is closed" in finding.evidence


def test_dead_units_are_counted():
    layer = elman.nn.Recurrent("irnn", D, H)
    with torch.no_grad():
        layer.cells[0].W.bias[: H // 2] = -100.0
        layer.cells[0].U.weight.mul_(0.5)
    finding = next(f for f in found(layer).findings if f.name == "dead units")
    assert "50%" in finding.evidence


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_a_fresh_layer_of_torchs_is_well(kind, options):
    examination = found(getattr(nn, kind)(D, H, **options))
    assert examination.healthy
    assert examination.verdict.startswith("Healthy")


def test_looking_changes_nothing():
    layer = nn.LSTM(D, H, num_layers=2, dropout=0.5)
    before = {name: p.clone() for name, p in layer.named_parameters()}
    layer.weight_ih_l0.grad = torch.ones_like(layer.weight_ih_l0)
    state = torch.get_rng_state()
    x = torch.randn(T, B, D)
    torch.set_rng_state(state)
    elman.doctor(layer, x, lambda out: out[0].sum())
    assert torch.equal(state, torch.get_rng_state())
    assert layer.training
    assert bool((layer.weight_ih_l0.grad == 1).all())
    assert layer.weight_hh_l0.grad is None
    for name, p in layer.named_parameters():
        assert torch.equal(p, before[name])
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks


def test_the_same_seed_finds_the_same():
    layer = nn.GRU(D, H)
    one, two = (found(layer, seed=3).to_dict() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_it_prints_plots_and_turns_into_plain_data(tmp_path):
    examination = found(nn.LSTM(D, H, num_layers=2), need=40, unit="hours")
    told = str(examination)
    assert told.splitlines()[0].startswith("LSTM: ")
    assert "hours" in told
    assert "--set" in told
    data = examination.to_dict()
    json.dumps(data, allow_nan=False)
    assert [layer["name"] for layer in data["layers"]] == ["l0", "l1"]
    first = data["layers"][0]
    assert len(first["flow"]) == 2
    assert len(first["flow"][0]["median"]) == T
    assert {g["name"] for g in first["gates"]} == {"i", "f", "o"}
    assert sum(first["gates"][0]["counts"]) == pytest.approx(T * B * H)
    assert math.fsum(first["weight_share"]["share"]) == pytest.approx(1.0, abs=1e-6)
    assert first["intervention"]["lags"][0] == 0
    assert len(examination.plot().axes) == 2
    page = examination.save(tmp_path / "doctor.html")
    assert "vanishing gradients" in page.read_text(encoding="utf-8").lower()
    assert examination._repr_html_().startswith("<iframe")


def test_inputs_may_be_several_or_named_and_ragged():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = elman.nn.GRU(D, H)
            self.head = nn.Linear(H, 2)

        def forward(self, x, lengths):
            _, hidden = self.rnn(x, lengths=lengths)
            return self.head(hidden[-1])

    model, x = Model(), torch.randn(T, B, D)
    lengths = torch.tensor([T, 50, 40, 30, 20, 10, 2, 1])
    for batch in ((x, lengths), {"x": x, "lengths": lengths}):
        examination = elman.doctor(model, batch, lambda y: y.square().sum())
        (layer,) = examination.layers
        assert layer.flow.at.tolist() == [n - 1 for n in lengths.tolist()]
        json.dumps(examination.to_dict(), allow_nan=False)


def test_a_model_without_a_recurrence_is_refused():
    with pytest.raises(InputError, match="no recurrent layer"):
        elman.doctor(nn.Linear(3, 3), torch.zeros(2, 3))
    with pytest.raises(InputError, match="does not depend"):
        elman.doctor(nn.GRU(3, 3), torch.randn(4, 2, 3), lambda out: out[0].sum() * 0)


def test_sequences_of_one_step_have_no_memory_and_no_findings():
    examination = elman.doctor(nn.LSTM(D, H), torch.randn(1, B, D), lambda out: out[0].sum())
    assert examination.healthy
    json.dumps(examination.to_dict(), allow_nan=False)
