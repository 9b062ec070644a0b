"""What units and gates do, where it is known: fixed gates, planted dead units, known growth."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import CELLS, ESN, IRNN, LRU, LSTM, Cell, IndRNN, make
from elman.errors import InputError
from elman.inspect import Passage, observe
from elman.inspect.gates import HORIZONS, gates, saturation, time_constants
from elman.inspect.units import activity, drift, norms, units
from elman.kernels import record, use

T, B, D, H = 12, 3, 4, 5


@pytest.fixture(autouse=True)
def _uncompiled(request):
    """Dozens of little cells, each of which would be compiled."""
    with nullcontext() if "compiled" in request.fixturenames else use("reference"):
        yield


@pytest.fixture
def compiled():
    """Run as users do."""


def passage_of(cell, lengths=None, steps=T, batch=B, seed=0, **options):
    x = torch.randn(steps, batch, D, generator=torch.Generator().manual_seed(seed))
    return Passage.of(cell, x.to(next(cell.parameters()).dtype), lengths, **options)


def fixed(forget, **options):
    """An LSTM whose forget gate is that number in every unit; all other gates are 1/2."""
    cell = LSTM(D, H, **options).double()
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.W.bias[H : 2 * H] = torch.as_tensor(forget, dtype=torch.double).logit()
    return cell


TABLE = {
    "elman": ([], []),
    "irnn": ([], []),
    "jordan": ([], []),
    "lstm": (["i", "f", "o"], [((1,), "f", False)]),
    "gru": (["r", "z"], [((0,), "z", False)]),
    "gru_cho": (["r", "z"], [((0,), "z", False)]),
    "mgu": (["f"], [((0,), "f", True)]),
    "ugrnn": (["g"], [((0,), "g", False)]),
    "indrnn": ([], [((0,), None, False)]),
    "mingru": (["z"], [((0,), "z", True)]),
    "minlstm": (["f", "i"], [((0,), "f", False)]),
    "lru": ([], [((0, 1), None, False)]),
    "esn": ([], []),
}
OPTIONS = [
    ("lstm", {"coupled": True}, ["i", "o"], [((1,), "i", True)]),
    ("lstm", {"peepholes": True}, ["i", "f", "o"], [((1,), "f", False)]),
    ("lstm", {"layer_norm": True}, ["i", "f", "o"], [((1,), "f", False)]),
    ("lstm", {"proj_size": 2}, ["i", "f", "o"], [((1,), "f", False)]),
    ("mingru", {"positive": True}, ["z"], [((0,), "z", True)]),
    ("minlstm", {"positive": True, "scaled": False}, ["f", "i"], [((0,), "f", False)]),
    ("jordan", {"output_nonlinearity": "sigmoid"}, [], []),
    ("jordan", {"decay": 0.5}, [], [((0,), None, False)]),
    ("esn", {"leak": 0.2}, [], [((0,), None, False)]),
]


def test_the_table_has_every_cell():
    assert list(TABLE) == list(CELLS)


@pytest.mark.parametrize(
    ("name", "options", "names", "keeping"),
    [(name, {}, *row) for name, row in TABLE.items()] + OPTIONS,
)
def test_gates_have_the_names_of_the_cell_and_the_one_that_keeps_is_found(
    name, options, names, keeping
):
    torch.manual_seed(0)
    passage = passage_of(make(name, D, H, **options))
    found = gates(passage)
    assert list(found) == names
    assert all(values.shape == (T * B, H) for values in found.values())
    constants = time_constants(passage, found)
    assert [(c.states, c.gate, c.turned) for c in constants] == keeping
    for c in constants:
        if c.gate is not None:
            mean = found[c.gate].double().mean(0)
            torch.testing.assert_close(c.kept, 1 - mean if c.turned else mean)


def test_values_are_those_of_the_equation():
    torch.manual_seed(0)
    passage = passage_of(make("gru", D, H).double(), lengths=[T, 2, 7])
    cell, (h,), x = passage.cell, passage.before, passage.x
    want = torch.sigmoid(cell.W(x)[..., : 2 * H] + cell.U(h)[..., : 2 * H])[passage.valid]
    found = gates(passage)
    torch.testing.assert_close(torch.cat([found["r"], found["z"]], -1), want)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gates_of_torchs_layers_and_cells_are_those_of_ours(kind):
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(D, H, bidirectional=True)
    x = torch.randn(T, B, D)
    _, (forth, back) = observe(theirs, lambda: theirs(x))
    ours = getattr(elman.nn, kind)(D, H, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    _, (ours_forth, ours_back) = observe(ours, lambda: ours(x))

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.step = getattr(nn, kind + "Cell")(D, H)
            for name, p in self.step.named_parameters():
                p.data = theirs.get_parameter(f"{name}_l0").data

        def forward(self, x):
            state = self.step(x[0])
            for row in x[1:]:
                state = self.step(row, state)

    loop = Loop()
    _, (by_hand,) = observe(loop, lambda: loop(x))
    for a, b in ((forth, ours_forth), (back, ours_back), (by_hand, ours_forth)):
        found, wanted = gates(a), gates(b)
        assert list(found) == list(wanted) == (["i", "f", "o"] if kind == "LSTM" else ["r", "z"])
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name])
        (constant,), (same,) = time_constants(a, found), time_constants(b, wanted)
        assert constant.gate == same.gate == ("f" if kind == "LSTM" else "z")
        torch.testing.assert_close(constant.tau, same.tau)
        torch.testing.assert_close(drift(a).norms, drift(b).norms)


class Own(Cell):
    """A cell somebody wrote; `way` is how."""

    def __init__(self, way, size=H):
        super().__init__(D, size)
        self.way = way
        self.W, self.U = nn.Linear(D, 3 * size), nn.Linear(size, 3 * size)
        self.a = nn.Parameter(torch.linspace(-2, 2, size))
        self.inner = make("gru", D, size)

    def forward(self, x, state):
        (h,) = state
        keep, write, new = (self.W(x) + self.U(h)).chunk(3, -1)
        if self.way == "anonymous":
            h = torch.sigmoid(keep) * h + torch.sigmoid(write) * new.tanh()
        elif self.way == "at once":
            both = torch.sigmoid((self.W(x) + self.U(h))[:, : 2 * len(self.a)])
            p, q = both.chunk(2, -1)
            h = p * h + q * new.tanh()
        elif self.way == "in a list":
            both = [torch.sigmoid(s) for s in (keep, write)]
            h = both[0] * h + both[1] * new.tanh()
        elif self.way == "in place":
            keep = keep + 1
            keep.sigmoid_()
            fresh = (1 - keep) * new.tanh()
            h = keep.mul_(h) + fresh
        elif self.way == "lerp":
            w = nn.functional.hardsigmoid(write)
            h = torch.lerp(h, new.tanh(), w)
        elif self.way == "clamp":
            w = (0.2 * write + 0.5).clamp(0, 1)
            h = w * new.tanh() + (torch.ones_like(w) - w) * h
        elif self.way == "elsewhere":
            p = squashed(keep)
            h = p * h + squashed(write) * new.tanh()
        elif self.way == "nowhere":
            h = torch.sigmoid(keep + 1) * h + torch.sigmoid(write + 1) * new.tanh()
        elif self.way == "parameter":
            leak = torch.sigmoid(self.a)
            h = (1 - leak) * h + leak * new.tanh()
        elif self.way == "ratio":
            p, q = torch.sigmoid(keep), torch.sigmoid(write)
            h = (p * h + q * new.tanh()) / (p + q)
        elif self.way == "inner":
            return self.inner(x, state)
        elif self.way == "state":
            h = torch.sigmoid(keep)
            return h * new.tanh(), (h,)
        elif self.way == "no gate":
            h = torch.sigmoid(keep + self.U(torch.sigmoid(write)).chunk(3, -1)[0])
        return h, (h,)


def squashed(a):
    return torch.sigmoid(a)


@pytest.mark.parametrize(
    ("way", "names", "keeps"),
    [
        ("anonymous", ["keep", "write"], ("keep", False)),
        ("at once", ["p", "q"], ("p", False)),
        ("in a list", ["both[0]", "both[1]"], ("both[0]", False)),
        ("in place", ["keep"], ("keep", False)),
        ("lerp", ["w"], ("w", True)),
        ("clamp", ["w"], ("w", True)),
        ("elsewhere", ["p", "write"], ("p", False)),
        ("nowhere", ["gate 1", "gate 2"], ("gate 1", False)),
        ("parameter", ["leak"], ("leak", True)),
        ("ratio", ["p", "q"], (None, False)),
        ("inner", ["r", "z"], ("z", False)),
        ("state", [], None),
        ("no gate", [], None),
    ],
)
def test_gates_of_a_cell_somebody_wrote(way, names, keeps):
    torch.manual_seed(0)
    passage = passage_of(Own(way))
    found = gates(passage)
    assert list(found) == names
    assert all(v.shape == (T * B, H) and v.min() >= 0 and v.max() <= 1 for v in found.values())
    constants = time_constants(passage, found)
    assert [(c.gate, c.turned) for c in constants] == ([] if keeps is None else [keeps])


def test_gates_are_seen_under_inference_mode_too():
    torch.manual_seed(0)
    plain = passage_of(Fused())
    with torch.inference_mode():
        passage = passage_of(plain.cell)
        found = gates(passage)
        (constant,) = time_constants(passage, found)
    assert (list(found), constant.gate) == (["i", "f", "o"], "f")
    for name, values in gates(plain).items():
        torch.testing.assert_close(found[name], values)


class Fused(Cell):
    """One of torch's cells within one that somebody wrote."""

    def __init__(self):
        super().__init__(D, H, state_sizes=(H, H))
        self.step = nn.LSTMCell(D, H)

    def forward(self, x, state):
        h, c = self.step(x, state)
        return h, (h, c)


def test_a_ratio_of_gates_keeps_its_mean():
    torch.manual_seed(0)
    passage = passage_of(Own("ratio").double())
    found = gates(passage)
    want = (found["p"] / (found["p"] + found["q"])).mean(0)
    torch.testing.assert_close(time_constants(passage, found)[0].kept, want, rtol=1e-7, atol=0)


def test_passages_longer_than_a_block_are_whole(monkeypatch):
    torch.manual_seed(0)
    passage = passage_of(make("lstm", D, H))
    at_once = gates(passage)
    monkeypatch.setattr("elman.inspect.gates._BLOCK", 7)
    for name, values in gates(passage).items():
        torch.testing.assert_close(values, at_once[name])


def test_fixed_forget_gates_are_measured_and_decay_as_told():
    f = torch.tensor([0.1, 0.5, 0.9, 0.99, 0.999], dtype=torch.double)
    passage = passage_of(fixed(f), state=(torch.zeros(B, H).double(), torch.ones(B, H).double()))
    found = gates(passage)
    torch.testing.assert_close(found["f"], f.expand(T * B, H), rtol=1e-12, atol=0)
    (constant,) = time_constants(passage, found)
    # 0.5 is what i and o are too: the forget gate is found by what it does.
    assert (constant.states, constant.gate, constant.turned) == ((1,), "f", False)
    torch.testing.assert_close(constant.tau, -1 / f.log(), rtol=1e-10, atol=0)
    k = torch.arange(1, T + 1)[:, None]
    for decay in (f**k, torch.exp(-k / constant.tau)):
        torch.testing.assert_close(passage.states[1][:, 0], decay, rtol=1e-10, atol=0)


def test_horizons_are_counted_a_unit_each():
    passage = passage_of(fixed([0.5, 0.99, 0.99, 1 - 1e-8, 1e-9]))
    (constant,) = time_constants(passage, gates(passage))
    assert sum(constant.counts) == H
    for tau, count in ((1 / math.log(2), 1), (-1 / math.log(0.99), 2)):
        assert constant.counts[np.searchsorted(HORIZONS, tau) - 1] == count
    assert (constant.counts[0], constant.counts[-1]) == (1, 1)


@pytest.mark.parametrize("name", ["lru", "esn", "indrnn"])
def test_what_is_kept_without_gates(name):
    torch.manual_seed(0)
    if name == "lru":
        cell = LRU(D, H, r_min=0.3, r_max=0.999).double()
        want = (-cell.nu.exp()).exp()
    elif name == "esn":
        cell, want = ESN(D, H, leak=0.05).double(), torch.full((H,), 0.95).double()
    else:
        cell = IndRNN(D, H, nonlinearity="relu", bound=0.9).double()
        nn.init.constant_(cell.W.bias, 50.0)
        cell.u.data[:2] = torch.tensor([-0.5, 7.0])
        want = cell.u.clamp(-0.9, 0.9).abs()
    passage = passage_of(cell)
    (constant,) = time_constants(passage, {})
    torch.testing.assert_close(constant.kept, want.detach(), rtol=1e-7, atol=0)


def zoned(cell, rates, training=False, steps=T):
    """What goes through a layer with zoneout, and is reset now and then."""
    layer = elman.nn.Recurrent(cell, zoneout=rates).train(training)
    x = torch.randn(steps, B, D, generator=torch.Generator().manual_seed(0)).double()
    reset = torch.zeros(steps, B, dtype=torch.bool)
    reset[5] = True
    _, (passage,) = observe(layer, lambda: layer(x, reset=reset))
    return passage


@pytest.mark.parametrize("training", [False, True])
def test_zoneout_keeps_beside_the_gate(training):
    f = torch.tensor([0.1, 0.5, 0.9, 0.99, 0.999], dtype=torch.double)
    passage = zoned(fixed(f), [0.2, 0.4], training)
    found = gates(passage)
    assert list(found) == ["i", "f", "o"]
    h, c = time_constants(passage, found)
    # Of h an LSTM keeps nothing, and c through f: what zoneout keeps comes first.
    assert (h.states, h.gate, c.states, c.gate) == ((0,), None, (1,), "f")
    torch.testing.assert_close(h.kept, torch.full((H,), 0.2).double())
    torch.testing.assert_close(c.kept, 0.4 + 0.6 * f)
    torch.testing.assert_close(c.tau, -1 / (0.4 + 0.6 * f).log())


class Squashed(Cell):
    """h' = σ(W x + U h), whose state is no gate, whatever of it zoneout takes."""

    def __init__(self):
        super().__init__(D, H)
        self.W, self.U = nn.Linear(D, H), nn.Linear(H, H)

    def forward(self, x, state):
        h = torch.sigmoid(self.W(x) + self.U(state[0]))
        return h, (h,)


@pytest.mark.parametrize(
    ("name", "options", "gate"),
    [
        ("gru", {}, "z"),
        ("mingru", {}, "z"),
        ("irnn", {}, None),
        ("esn", {"leak": 0.2}, None),
        ("squashed", {}, None),
    ],
)
def test_zoneout_of_one_state(name, options, gate):
    torch.manual_seed(0)
    cell = Squashed() if name == "squashed" else make(name, D, H, **options)
    cell = cell.double()
    bare, passage = (zoned(cell, z) for z in (0.0, 0.3))
    found = gates(passage)
    assert list(found) == list(gates(bare))
    (constant,) = time_constants(passage, found)
    assert constant.gate == gate
    own = found[gate].mean(0) if gate else torch.tensor(0.8 if name == "esn" else 0.0)
    own = 1 - own if constant.turned else own
    torch.testing.assert_close(constant.kept, (0.3 + 0.7 * own).double().expand(H))


def test_real_and_imaginary_part_turn_less_far_with_zoneout():
    torch.manual_seed(0)
    cell = LRU(D, H, r_min=0.3, r_max=0.999).double()
    (constant,) = time_constants(zoned(cell, [0.25, 0.25]), {})
    value = torch.polar((-cell.nu.exp()).exp(), cell.theta.exp())
    torch.testing.assert_close(constant.kept, (0.25 + 0.75 * value).abs().detach())


def test_a_state_that_loses_nothing_lasts_for_ever():
    passage = passage_of(Counter())
    (constant,) = time_constants(passage, {})
    assert constant.tau.tolist() == [math.inf] * H
    assert constant.counts[-1] == H


def test_a_planted_gate_is_the_only_one_saturated():
    torch.manual_seed(0)
    cell = make("lstm", D, H)
    with torch.no_grad():
        for p in cell.parameters():
            p.mul_(0.3)
        cell.W.bias[2 * 0 * H + 3] += 10.0
        cell.W.bias[3 * H + 1] -= 10.0
    found = saturation(gates(passage_of(cell)))
    for name, s in found.items():
        assert s.open.nonzero().flatten().tolist() == ([3] if name == "i" else [])
        assert s.closed.nonzero().flatten().tolist() == ([1] if name == "o" else [])
    assert (found["i"].open[3], found["o"].closed[1]) == (1, 1)
    assert found["i"].open_share == pytest.approx(1 / H)
    assert found["o"].closed_share == pytest.approx(1 / H)


def test_planted_dead_and_constant_units_are_found_and_nothing_else():
    torch.manual_seed(0)
    cell = make("elman", D, 20, nonlinearity="relu")
    with torch.no_grad():
        cell.U.weight.mul_(0.5)
        for unit, bias in ((4, -100.0), (7, 2.5)):
            cell.W.bias[unit] = bias
            cell.W.weight[unit] = cell.U.weight[unit] = 0
    found = activity(passage_of(cell, steps=60, batch=8))
    assert (found.dead, found.constant) == ([4], [7])
    assert (found.dead_share, found.constant_share) == (0.05, 0.05)


def test_dead_is_next_to_nothing_beside_units_that_work_however_few():
    torch.manual_seed(0)
    cell = make("elman", D, 20, nonlinearity="relu")
    with torch.no_grad():
        cell.U.weight.zero_()
        cell.W.weight[:12] *= 1e-5
        cell.W.bias[:11] = -100.0
        cell.W.weight[19] *= 1e6
    found = activity(passage_of(cell, steps=60, batch=8))
    assert (found.dead, found.constant) == (list(range(12)), [])


def test_a_layer_may_be_dead_or_constant_as_a_whole():
    cell = IRNN(D, H)
    nn.init.constant_(cell.W.bias, -9.0)
    found = activity(passage_of(cell))
    assert (found.dead, found.constant_share) == (list(range(H)), 0)
    stuck = make("elman", D, H)
    nn.init.constant_(stuck.W.bias, 3.0)
    nn.init.zeros_(stuck.U.weight)
    nn.init.zeros_(stuck.W.weight)
    passage = passage_of(stuck)
    passage.output = passage.output * (1 + 1e-7 * torch.randn(T, B, H))
    found = activity(passage)
    assert (found.dead, found.constant) == ([], list(range(H)))


class Counter(Cell):
    """h' = h + 1."""

    def __init__(self):
        super().__init__(D, H)
        self.W = nn.Linear(D, H)

    def forward(self, x, state):
        h = state[0] + 1 + 0 * self.W(x)
        return h, (h,)


def test_norms_are_over_the_rows_that_took_a_step():
    rows = torch.tensor([0.0, 10.0, 20.0])
    passage = passage_of(Counter(), lengths=[4, 2, 0], state=(rows[:, None].expand(B, H),))
    found = norms(passage)
    unit = math.sqrt(H)
    assert found.mean.shape == (1, T)
    want = torch.tensor([6, 7, 3, 4]) * unit
    torch.testing.assert_close(found.mean[0, :4], want.double())
    torch.testing.assert_close(found.low[0, :2], torch.tensor([2, 3]).double() * unit)
    torch.testing.assert_close(found.high[0, :2], torch.tensor([10, 11]).double() * unit)
    assert all(bool(part[0, 4:].isnan().all()) for part in (found.mean, found.low, found.high))


def linear(radius):
    """A rotation times a number."""
    torch.manual_seed(0)
    cell = Linear().double()
    nn.init.orthogonal_(cell.U.weight).data.mul_(radius)
    return cell


class Linear(Cell):
    """h' = W x + U h."""

    def __init__(self):
        super().__init__(D, H)
        self.W, self.U = nn.Linear(D, H, bias=False), nn.Linear(H, H, bias=False)

    def forward(self, x, state):
        h = self.W(x) + self.U(state[0])
        return h, (h,)


def test_a_state_of_radius_above_one_drifts_as_told():
    cell = linear(1.01)
    start = (torch.randn(B, H, dtype=torch.double),)
    alone = drift(Passage.of(cell, torch.zeros(50, B, D).double(), None, start))
    assert alone.growth == pytest.approx(math.log(1.01), rel=1e-9)
    assert alone.ratio == pytest.approx(1.01**150, rel=1e-9)
    assert alone.norms.shape == (200,)
    driven = drift(passage_of(cell, steps=200, batch=8), times=8)
    assert driven.growth == pytest.approx(math.log(1.01), rel=0.01)


@pytest.mark.parametrize("training", [False, True])
def test_a_state_held_by_zoneout_drifts_the_slower_and_is_never_reset(training):
    rho, z = 1.02, 0.4
    cell = Linear().double()
    cell.W.weight.data.zero_()
    cell.U.weight.data = rho * torch.eye(H, dtype=torch.double)
    layer = elman.nn.Recurrent(cell, zoneout=z).train(training)
    x, reset = torch.zeros(50, B, D).double(), torch.zeros(50, B, dtype=torch.bool)
    reset[25] = True
    state = [(torch.randn(B, H, dtype=torch.double),)]
    _, (passage,) = observe(layer, lambda: layer(x, state, reset=reset))
    assert passage.states[0][25:].abs().max() == 0
    found = drift(passage)
    assert found.growth == pytest.approx(math.log(z + (1 - z) * rho), rel=1e-9)
    assert found.ratio == pytest.approx((z + (1 - z) * rho) ** 150, rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_contracting_state_does_not_drift(seed):
    found = drift(passage_of(linear(0.9), steps=100, batch=16), seed=seed)
    assert abs(found.growth) < 1e-3
    assert found.ratio == pytest.approx(1, abs=0.1)


def test_a_sum_grows_with_time_and_what_overflows_without_end():
    counted = drift(passage_of(Counter(), steps=100), times=5)
    assert counted.ratio == pytest.approx(5, rel=0.05)
    torch.testing.assert_close(counted.norms, torch.arange(1, 501).double() * math.sqrt(H))
    found = drift(passage_of(linear(1.5).float(), steps=100))
    assert found.ratio == math.inf
    assert found.growth == pytest.approx(math.log(1.5), rel=0.01)


def test_a_dead_state_does_not_drift():
    cell = IRNN(D, H)
    nn.init.constant_(cell.W.bias, -9.0)
    found = drift(passage_of(cell))
    assert (found.growth, found.ratio) == (0, 1)


def test_rows_go_on_with_rows_of_the_batch_whole():
    class Last(Cell):
        """h' = x."""

        def __init__(self):
            super().__init__(D, D)
            self.W = nn.Linear(D, D, bias=False)
            nn.init.eye_(self.W.weight)

        def forward(self, x, state):
            h = self.W(x)
            return h, (h,)

    # A row counts up to its length from its own hundred; what is padding is far away.
    lengths = [5, 3, 0]
    x = torch.full((5, B, D), 1e6)
    for b, n in enumerate(lengths):
        x[:n, b] = 100.0 * (b + 1) + torch.arange(n)[:, None]
    found = drift(Passage.of(Last(), x, lengths), times=3)
    seen = found.norms / math.sqrt(D)
    assert len(seen) == 15
    assert seen.max() <= 204
    # The first two go on for 5 and 3 steps by themselves, the third at once with another.
    own = torch.tensor([100.0 + 200, 101 + 201, 102 + 202])
    third = 3 * seen[:3] - own
    assert third.round().tolist() in ([100, 101, 102], [200, 201, 202])


def test_padding_never_counts():
    torch.manual_seed(0)
    cell, lengths = make("lstm", D, H), [T, 4, 0]
    x = torch.randn(T, B, D)
    padded = x.clone()
    for b, n in enumerate(lengths):
        padded[n:, b] = 1e6
    a, b = units(Passage.of(cell, x, lengths)), units(Passage.of(cell, padded, lengths))
    assert len(a.gates["f"]) == T + 4
    rows = [Passage.of(cell, x[:n, k : k + 1]) for k, n in enumerate(lengths) if n]
    alone = torch.cat([gates(row)["f"] for row in rows])
    want, got = alone.sort(0).values, a.gates["f"].sort(0).values
    torch.testing.assert_close(got, want)
    for name in a.gates:
        assert torch.equal(a.gates[name], b.gates[name])
        assert torch.equal(a.saturation[name].open, b.saturation[name].open)
    assert torch.equal(a.time_constants[0].tau, b.time_constants[0].tau)
    assert a.activity == b.activity
    assert torch.equal(a.norms.mean, b.norms.mean)
    assert torch.equal(a.drift.norms, b.drift.norms)


@pytest.mark.parametrize("name", ["lstm", "lru"])
def test_a_seed_gives_the_same_and_leaves_torchs_own_alone(name):
    torch.manual_seed(0)
    passage = passage_of(make(name, D, H))
    before = torch.get_rng_state()
    a, b = units(passage, seed=3), units(passage, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a.drift.norms, b.drift.norms)
    assert torch.equal(a.time_constants[0].tau, b.time_constants[0].tau)
    assert not torch.equal(a.drift.norms, units(passage, seed=4).drift.norms)


@pytest.mark.usefixtures("compiled")
def test_a_layer_runs_on_by_compiled_kernels():
    torch.manual_seed(0)
    passage = passage_of(make("lstm", D, H), lengths=[T, 3, 7])
    with record() as choices:
        fast = units(passage)
    assert {choice.backend for choice in choices} == {"cpu"}
    with use("reference"):
        torch.testing.assert_close(drift(passage).norms, fast.drift.norms, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["gru", "lru", "indrnn", "irnn"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_layer_that_has_diverged_can_still_be_looked_at(name, value):
    torch.manual_seed(0)
    cell = make(name, D, H)
    cell.W.weight.data[0] = value
    found = units(passage_of(cell))
    assert found.activity.dead == found.activity.constant == []
    if name in ("irnn", "lru") and not math.isfinite(value):
        assert found.drift.ratio == math.inf


def test_too_little_to_tell_is_an_error():
    with pytest.raises(InputError, match="took 1 steps, and fewer than 2"):
        units(passage_of(make("gru", D, H), lengths=[1, 0, 0]))
    with pytest.raises(InputError, match="times=1"):
        drift(passage_of(make("gru", D, H)), times=1)
