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


def asked_at(step):
    return lambda out: out[0][step].square().sum()


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
    assert "elman.nn.Recurrent(..., chrono=40)" in told
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


def test_sequences_of_one_step_have_no_memory_to_measure():
    examination = elman.doctor(nn.LSTM(D, H), torch.randn(1, B, D), lambda out: out[0].sum())
    assert [finding.name for finding in examination.findings] == ["not measured"]
    json.dumps(examination.to_dict(), allow_nan=False)


def test_what_a_linear_layer_adds_up_is_attributed_to_each_input():
    # h' = 0.9 h + w x: an input k steps back adds 0.9^k w (x - mean x), along the gradient.
    layer = elman.nn.Recurrent("irnn", D, H, scale=0.9)
    with torch.no_grad():
        layer.cells[0].W.weight.fill_(0.1)
        layer.cells[0].W.bias.zero_()
    torch.manual_seed(1)
    x = torch.rand(T, B, D) + 1.0  # above zero, where it is linear
    examination = elman.doctor(layer, x, lambda out: out[0][-1].sum())
    (due,) = (measured.due for measured in examination.layers)
    away = (x[:, 0] - x.mean((0, 1))).double().sum(-1) * 0.1
    wanted = 0.9 ** torch.arange(T - 1.0, -1.0, -1.0).double() * away * math.sqrt(H)
    torch.testing.assert_close(due, wanted, rtol=1e-4, atol=1e-5)
    example = examination.to_dict()["layers"][0]["example"]
    assert example["first"] == 0
    assert example["attribution"]["step"] == T - 1
    assert example["attribution"]["values"] == pytest.approx(due.tolist())


def test_the_example_ends_at_the_step_asked_about():
    examination = found(nn.GRU(D, H), loss=asked_at(390), steps=400, labels=list(range(400)))
    example = examination.to_dict()["layers"][0]["example"]
    assert example["first"] == 391 - 256
    assert example["labels"] == list(range(391 - 256, 391))
    assert len(example["states"]) == len(example["attribution"]["values"]) == 256
    assert example["gradient"][-1] > 0
    short = found(nn.GRU(D, H), loss=asked_at(3), labels=list(range(T)))
    assert short.to_dict()["layers"][0]["example"]["labels"] == list(range(T))


def test_a_layer_that_reads_backwards_is_shown_in_the_order_of_the_sequence():
    layer = nn.GRU(D, H, bidirectional=True)
    examination = found(layer, loss=asked_at(5), steps=400)
    forwards, backwards = (part["example"] for part in examination.to_dict()["layers"])
    for example, first in ((forwards, 0), (backwards, 5)):
        assert example["attribution"]["step"] == 5
        assert example["first"] == first
        values = example["attribution"]["values"]
        largest = max(range(len(values)), key=lambda k: abs(values[k]))
        assert abs(largest + example["first"] - 5) <= 3, "what was read last matters most"


def test_what_does_not_add_up_is_not_attributed():
    layer = elman.nn.Recurrent("elman", D, H)
    with torch.no_grad():
        layer.cells[0].U.weight.mul_(6.0)  # chaos: no quadrature adds up
    examination = found(layer)
    assert examination.layers[0].due is None
    assert "attribution" not in examination.to_dict()["layers"][0]["example"]


def test_small_networks_are_searched_for_fixed_points():
    layer = elman.nn.Recurrent("elman", 1, 1)
    with torch.no_grad():
        layer.cells[0].U.weight.fill_(2.0)
        layer.cells[0].W.weight.fill_(1.0)
        layer.cells[0].W.bias.zero_()
    x = torch.randn(200, 16, 1)
    examination = elman.doctor(layer, x - x.mean(), lambda out: out[0][-1].sum())
    points = examination.to_dict()["layers"][0]["fixed_points"]
    # h = tanh(2 h) at 0 and at ±0.958, where the slope 2 (1 - h²) is 0.166.
    assert (points["distinct"], points["stable"]) == (3, 2)
    norms = sorted(round(point["norm"], 3) for point in points["points"])
    assert norms == pytest.approx([0.0, 0.958, 0.958], abs=1e-3)
    assert {round(p["radius"], 2) for p in points["points"]} == {0.17, 2.0}
    assert points["input"] == "the mean input"
    large = found(nn.LSTM(D, 40))
    assert "fixed_points" not in large.to_dict()["layers"][0]


def test_a_pattern_of_ones_own_is_searched_on_the_batch():
    examination = found(nn.LSTM(D, H, num_layers=2))
    every = torch.arange(T) % 6 == 0
    examination.layers[1].passage.states[1][:, :, 4] = every[:, None] * 1.0
    examination.layers[1].passage.states[1][:, :, 4] += torch.randn(T, B) / 9
    followed = examination.follow(every, name="every sixth")
    assert (followed.best[0].layer, followed.best[0].state) == ("l1", "c")
    assert (followed.best[0].unit, followed.units) == (4, 4 * H)
    assert "every sixth" in str(examination)
    assert examination.to_dict()["followed"][0]["best"][0]["unit"] == 4
    assert "every sixth" in examination.page()


def test_a_gate_that_keeps_beside_zoneout_is_still_found_to_keep():
    layer = elman.nn.Recurrent("lstm", D, H, chrono=5000, zoneout=(0.3, 0.0))
    examination = found(layer)
    assert examination.layers[0].facts().keeps == "f"
    assert "saturated gates" not in names(examination)


def test_intervention_asks_the_step_that_the_loss_asks_in_both_directions():
    layer = elman.nn.Recurrent("gru", D, H, bidirectional=True)
    changed = found(layer, loss=asked_at(-1)).layers[0].changed
    assert len(changed.lags) > 5
    assert changed.lags[-1] == T - 1
    assert changed.influence[0] == 1
    assert changed.influence[-1] < 0.01


def test_nothing_is_due_to_what_was_read_before_a_reset():
    layer = elman.nn.Recurrent("gru", D, H, zoneout=0.2)
    x, reset = torch.randn(T, B, D), torch.zeros(T, B, dtype=torch.bool)
    reset[T // 2] = True
    found = elman.doctor(layer, {"x": x, "reset": reset}, asked_at(-1))
    due = found.layers[0].due
    assert due[: T // 2].abs().max() == 0
    assert due[-1].abs() > 1e-3
    assert "attribution" in found.to_dict()["layers"][0]["example"]
