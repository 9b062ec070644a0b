"""Gradient flow and horizons against networks whose answer is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import Cell, make
from elman.errors import InputError
from elman.inspect import Passage, observe
from elman.inspect.flow import decay, flows, weight_share
from elman.inspect.memory import by_intervention, horizon
from elman.kernels.witness import witnessed
from elman.training.health import probe

H = 6


class Linear(Cell):
    """h' = A h + W x, A of a given spectral radius."""

    def __init__(self, rho: float, orthogonal: bool = True) -> None:
        super().__init__(H, H)
        torch.manual_seed(0)
        self.W = nn.Linear(H, H, bias=False)
        self.U = nn.Linear(H, H, bias=False)
        a = torch.linalg.qr(torch.randn(H, H))[0] if orthogonal else torch.randn(H, H)
        nn.init.orthogonal_(self.W.weight)
        with torch.no_grad():
            self.U.weight.copy_(rho * a / torch.linalg.eigvals(a).abs().max())

    def forward(self, x, state):
        h = self.W(x) + self.U(state[0])
        return h, (h,)


def seen(cell, steps=60, batch=8, loss=None, **options):
    layer = elman.nn.Recurrent(cell, **options)
    x = torch.randn(steps, batch, layer.input_size)
    (output, _), passages = observe(layer, lambda: layer(x))
    return output, passages


@pytest.mark.parametrize("rho", [0.8, 0.95, 1.0, 1.05])
def test_a_linear_recurrence_decays_by_its_radius(rho):
    output, passages = seen(Linear(rho))
    for loss in (None, output[-1].square().sum(), output.square().sum()):
        (flow,) = flows(passages, loss)
        assert flow.decay == pytest.approx(rho, rel=1e-4)
        ratio = flow.whole[1:] / flow.whole[:-1]
        torch.testing.assert_close(ratio, torch.full_like(ratio, rho), rtol=1e-3, atol=0)


@pytest.mark.parametrize("rho", [0.8, 0.95])
def test_its_horizon_is_where_the_radius_says(rho):
    output, passages = seen(Linear(rho), steps=150, batch=16)
    (flow,) = flows(passages, output.square().sum())
    wanted = math.log(0.01) / math.log(rho)
    found = horizon(flow.influence)
    assert found.steps == pytest.approx(wanted, rel=0.01)
    assert found.low <= found.steps <= found.high
    assert not found.beyond
    lags, influence = by_intervention(passages[0].by, flow.at, lags=torch.arange(120))
    assert horizon(influence, lags).steps == pytest.approx(wanted, rel=0.05)


def test_an_orthogonal_recurrence_forgets_nothing():
    output, passages = seen(Linear(1.0))
    (flow,) = flows(passages, output[-1].sum())
    assert horizon(flow.influence).beyond
    assert horizon(flow.influence).steps == 59


class Fading(Linear):
    """h' = rho h + W x: every direction at one radius."""

    def __init__(self, rho):
        super().__init__(rho)
        with torch.no_grad():
            self.U.weight.copy_(rho * torch.eye(H))


@pytest.mark.parametrize(("rho", "z"), [(0.8, 0.5), (0.5, 0.9), (1.1, 0.2)])
def test_zoneout_keeps_its_share_of_the_gradient(rho, z):
    torch.manual_seed(0)
    layer, x = elman.nn.Recurrent(Fading(rho), zoneout=z).eval(), torch.randn(150, 8, H)
    (output, _), passages = observe(layer, lambda: layer(x))
    (flow,) = flows(passages, output[-1].square().sum())
    wanted = z + (1 - z) * rho
    assert flow.decay == pytest.approx(wanted, rel=1e-4)
    with witnessed() as runs:
        layer(x)
    light = probe(runs[0]).horizon
    if wanted > 1:
        assert light == 149
    else:
        # The light look of a training run finds the same, in whole steps.
        assert light == int(horizon(flow.whole).steps)
        steps = math.log(0.01) / math.log(wanted)
        assert horizon(flow.influence).steps == pytest.approx(steps, rel=0.01)
        lags, influence = by_intervention(passages[0].by, flow.at, lags=torch.arange(120))
        assert horizon(influence, lags).steps == pytest.approx(steps, rel=0.05)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("z", [0.0, 0.5])
def test_nothing_passes_beyond_a_reset(z, batch_first):
    rho, every, steps = 0.9, 7, 40
    torch.manual_seed(0)
    layer = elman.nn.Recurrent(Fading(rho), zoneout=z, batch_first=batch_first).eval()
    x, reset = torch.randn(steps, 4, H), torch.zeros(steps, 4, dtype=torch.bool)
    reset[::every] = True
    given = (x.transpose(0, 1), reset.t()) if batch_first else (x, reset)
    (output, _), passages = observe(layer, lambda: layer(given[0], reset=given[1]))
    last = (output.transpose(0, 1) if batch_first else output)[-1]
    (flow,) = flows(passages, last.square().sum())
    begun = steps - 1 - (steps - 1) % every
    assert flow.gradients[0][:begun].abs().max() == 0
    assert flow.gradients[0][begun:].abs().min() > 0
    assert flow.whole.shape == flow.influence.shape == (steps - begun, 4)
    assert flow.decay == pytest.approx(z + (1 - z) * rho, rel=1e-5)
    assert len(weight_share(flow)) == steps - begun
    for influence, lags in (
        (flow.influence, None),
        by_intervention(passages[0].by, flow.at, lags=torch.arange(20))[::-1],
    ):
        found = horizon(influence, lags)
        assert found.steps == pytest.approx(steps - 1 - begun)
        assert found.beyond, "how far it would remember nobody can tell"
        assert found.lags.tolist() == list(range(steps - begun))
        assert bool(influence[: steps - begun].isfinite().all())
    assert by_intervention(passages[0].by, flow.at)[0].max() == steps - 1 - begun


def test_rows_that_were_reset_sooner_do_not_shorten_what_the_others_remember():
    rho = 0.9
    layer, x = elman.nn.Recurrent(Fading(rho)), torch.randn(100, 8, H)
    reset = torch.zeros(100, 8, dtype=torch.bool)
    reset[torch.arange(60, 100, 10), torch.arange(4)] = True
    _, passages = observe(layer, lambda: layer(x, reset=reset))
    (flow,) = flows(passages)
    assert flow.whole.isfinite().sum(0).tolist() == [40, 30, 20, 10, 100, 100, 100, 100]
    wanted = math.log(0.01) / math.log(rho)
    assert horizon(flow.influence).steps == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_shares_of_the_weights_gradient_with_resets_and_zoneout_are_autograds(training):
    torch.manual_seed(0)
    cell = make("lstm", 3, H).double()
    layer = elman.nn.Recurrent(cell, zoneout=[0.3, 0.2]).train(training)
    x, reset = torch.randn(9, 4, 3, dtype=torch.double), torch.zeros(9, 4, dtype=torch.bool)
    reset[torch.tensor([2, 5, 8, 5]), torch.arange(4)] = True
    (output, _), passages = observe(layer, lambda: layer(x, reset=reset))
    loss = output[-1].square().sum()
    (flow,) = flows(passages, loss)
    share = weight_share(flow)
    assert float(share.sum()) == pytest.approx(1.0, abs=1e-9)
    assert len(share) == 7
    # Where every state before the last three steps is cut off, they alone are left.
    passage, states = passages[0], []
    h, c = (s[6].detach() for s in passage.before)
    for t in range(6, 9):
        if t == 8:
            keep = ~reset[8][:, None]
            h, c = h * keep, c * keep
        hold = tuple(m[t] if isinstance(m, torch.Tensor) else m for m in passage.hold)
        _, (h, c) = passage.step(x[t], (h, c), dict(cell.named_parameters()), hold)
        states.append(h)
    torch.testing.assert_close(states[-1], output[-1])
    (cut,) = torch.autograd.grad(states[-1].square().sum(), [cell.U.weight])
    (whole,) = torch.autograd.grad(loss, [cell.U.weight])
    kept = float((whole * cut).sum() / whole.square().sum())
    assert float(share[:3].sum()) == pytest.approx(kept, rel=1e-6)


@pytest.mark.parametrize("f", [0.5, 0.9, 0.99])
def test_forget_gates_fixed_at_f_let_f_to_the_k_through(f):
    cell = make("lstm", 3, H)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.W.weight[2 * H : 3 * H].normal_()  # g reads the input, everything else is fixed
        cell.W.bias[H : 2 * H] = math.log(f / (1 - f))
    output, passages = seen(cell)
    (flow,) = flows(passages, output[-1].sum())
    c = flow.states[1]
    assert decay(c) == pytest.approx(f, rel=1e-3)
    ratio = c[2:] / c[1:-1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, f), rtol=1e-3, atol=0)


def test_a_lag_is_counted_from_the_last_step_of_each_row():
    layer = elman.nn.LSTM(3, H)
    x, lengths = torch.randn(20, 3, 3), torch.tensor([20, 7, 1])
    (output, _), passages = observe(layer, lambda: layer(x, lengths=lengths))
    (flow,) = flows(passages, output.sum())
    assert flow.at.tolist() == [19, 6, 0]
    known = flow.whole.isnan().logical_not().sum(0)
    assert known.tolist() == [20, 7, 1]
    assert bool((flow.whole[~flow.whole.isnan()] > 0).all())


def test_every_layer_of_a_stack_and_both_directions_have_a_flow():
    layer = elman.nn.GRU(3, H, num_layers=2, bidirectional=True)
    x = torch.randn(12, 4, 3)
    (output, _), passages = observe(layer, lambda: layer(x))
    found = flows(passages, output.square().sum())
    assert [f.name for f in found] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    for flow in found:
        assert bool((flow.whole[1] > 0).all())
        assert flow.influence is not None


def test_shares_of_the_weights_gradient_sum_to_one_and_are_what_autograd_adds_up():
    cell = make("lstm", 3, H).double()
    layer = elman.nn.Recurrent(cell)
    x = torch.randn(9, 4, 3, dtype=torch.double)
    (output, _), passages = observe(layer, lambda: layer(x))
    loss = output[-1].square().sum()
    (flow,) = flows(passages, loss)
    share = weight_share(flow)
    assert float(share.sum()) == pytest.approx(1.0, abs=1e-9)
    # The last lag alone: only the first step's use of U, whose state before is zero.
    assert float(share[-1]) == 0.0
    (whole,) = torch.autograd.grad(loss, [cell.U.weight], retain_graph=True)
    (cut,) = torch.autograd.grad(_truncated(cell, x, 3)[-1].square().sum(), [cell.U.weight])
    kept = float((whole * cut).sum() / whole.square().sum())
    assert float(share[:3].sum()) == pytest.approx(kept, rel=1e-6)


def _truncated(cell, x, k):
    state, outputs = cell.init_state(x.shape[1], dtype=x.dtype), []
    for t, row in enumerate(x):
        if t == len(x) - k:
            state = tuple(s.detach() for s in state)
        y, state = cell(row, state)
        outputs.append(y)
    return outputs


def test_a_loop_by_hand_flows_as_the_layer_does():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.step = nn.LSTMCell(3, H)

        def forward(self, x):
            state, found = None, []
            for row in x:
                state = self.step(row, state) if state is not None else self.step(row)
                found.append(state[0])
            return torch.stack(found)

    loop, layer, x = Loop(), nn.LSTM(3, H), torch.randn(15, 4, 3)
    with torch.no_grad():
        for name, p in loop.step.named_parameters():
            layer.get_parameter(f"{name}_l0").copy_(p)
    output, passages = observe(loop, lambda: loop(x))
    (by_hand,) = flows(passages, output.square().sum())
    (again, _), passages = observe(layer, lambda: layer(x))
    (by_layer,) = flows(passages, again.square().sum())
    torch.testing.assert_close(by_hand.whole, by_layer.whole, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(weight_share(by_hand), weight_share(by_layer), rtol=1e-3, atol=1e-5)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    lags, held = torch.arange(120.0)[:, None], 0
    many = 0.9 + 0.02 * torch.randn(20000, generator=generator).clamp(-2, 2)
    truth = horizon(many[None] ** lags, resamples=0).steps
    for trial in range(60):
        rates = 0.9 + 0.02 * torch.randn(40, generator=generator).clamp(-2, 2)
        curve = rates[None] ** lags
        found = horizon(curve, resamples=200, seed=trial)
        held += found.low <= truth <= found.high
    assert held >= 52


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match="no recurrent layer"):
        flows([])
    layer, x = elman.nn.GRU(3, H), torch.randn(5, 2, 3)
    with torch.no_grad():
        _, passages = observe(layer, lambda: layer(x))
    with pytest.raises(InputError, match="without gradients"):
        flows(passages)
    _, passages = observe(layer, lambda: layer(x))
    with pytest.raises(InputError, match="cannot be followed"):
        flows(passages, torch.ones(()))
    with pytest.raises(InputError, match="no weights"):
        weight_share(flows([Passage.of(make("mingru", 3, H), x)])[0])
    for influence in (torch.zeros(5, 2), torch.tensor([[1.0], [math.inf]])):
        with pytest.raises(InputError, match="No input has any influence"):
            horizon(influence)
    for influence in (torch.zeros(5), torch.zeros(5, 0), torch.full((5, 2), math.nan)):
        with pytest.raises(InputError, match="no influence to measure"):
            horizon(influence)


def test_no_gradient_has_no_shares():
    layer, x = elman.nn.Recurrent("elman", 3, H), torch.randn(8, 2, 3)
    with torch.no_grad():
        layer.cells[0].W.bias.fill_(1e3)  # every unit is at its bound
    _, passages = observe(layer, lambda: layer(x))
    with pytest.raises(InputError, match="is 0"):
        weight_share(flows(passages)[0])
