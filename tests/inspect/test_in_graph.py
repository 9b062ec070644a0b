"""Loops written by hand, over plain linear maps and over layers, are measured as the layer is."""

import pytest
import torch
from torch import nn

import elman
import elman.nn
from elman.errors import InputError
from elman.inspect import flows
from elman.inspect.passage import search
from elman.inspect.watching import LAGS

D, H, T, B = 3, 6, 25, 4


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Elman(nn.Module):
    """h = tanh(W x + U h), rows first or steps first."""

    def __init__(self, layer, batch_first=False):
        super().__init__()
        self.wx, self.wh = nn.Linear(D, H), nn.Linear(H, H)
        self.batch_first = batch_first
        _copy(layer, (self.wx, self.wh))

    def forward(self, x):
        x = x.transpose(0, 1) if self.batch_first else x
        h, found = x.new_zeros(x.shape[1], H), []
        for t in range(len(x)):
            h = torch.tanh(self.wx(x[t]) + self.wh(h))
            found.append(h)
        return torch.stack(found)


class Joined(nn.Module):
    """An LSTM whose gates are one map of input and state together."""

    def __init__(self, layer):
        super().__init__()
        self.gates = nn.Linear(D + H, 4 * H)
        with torch.no_grad():
            w = torch.cat([layer.weight_ih_l0, layer.weight_hh_l0], 1)
            self.gates.weight.copy_(w)
            self.gates.bias.copy_(layer.bias_ih_l0 + layer.bias_hh_l0)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[1], H)
        found = []
        for row in x.unbind(0):
            i, f, g, o = self.gates(torch.cat([row, h], -1)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            found.append(h)
        return torch.stack(found)


class Gated(nn.Module):
    """A GRU of six maps, its inputs computed before the loop."""

    def __init__(self, layer):
        super().__init__()
        self.w = nn.ModuleList(nn.Linear(D, H) for _ in range(3))
        self.u = nn.ModuleList(nn.Linear(H, H) for _ in range(3))
        with torch.no_grad():
            for maps, end in ((self.w, "ih"), (self.u, "hh")):
                for k, one in enumerate(maps):
                    rows = slice(k * H, (k + 1) * H)
                    one.weight.copy_(getattr(layer, f"weight_{end}_l0")[rows])
                    one.bias.copy_(getattr(layer, f"bias_{end}_l0")[rows])

    def forward(self, x):
        wr, wz, wn = (w(x) for w in self.w)
        ur, uz, un = self.u
        h, found = x.new_zeros(x.shape[1], H), []
        for t in range(len(x)):
            r, z = torch.sigmoid(wr[t] + ur(h)), torch.sigmoid(wz[t] + uz(h))
            n = torch.tanh(wn[t] + r * un(h))
            h = (1 - z) * n + z * h
            found.append(h)
        return torch.stack(found)


class Chunks(nn.Module):
    """A layer called for a few steps at a time, as a decoder or a truncated pass calls it."""

    def __init__(self, layer, steps):
        super().__init__()
        self.layer, self.steps = layer, steps

    def forward(self, x):
        state, found = None, []
        for part in x.split(self.steps):
            y, state = self.layer(part, state)
            found.append(y)
        return torch.cat(found)


def _copy(layer, maps):
    with torch.no_grad():
        for one, end in zip(maps, ("ih", "hh"), strict=True):
            one.weight.copy_(getattr(layer, f"weight_{end}_l0"))
            one.bias.copy_(getattr(layer, f"bias_{end}_l0"))


def _flow(model, x, states=()):
    loss, passages = search(model, lambda: _output(model(x))[-1].square().sum(), states)
    return flows(passages, loss)


def _output(given):
    return given[0] if isinstance(given, tuple) else given


LOOPS = {
    "elman": (nn.RNN, Elman, ["h"]),
    "joined lstm": (nn.LSTM, Joined, ["h", "c"]),
    "gru": (nn.GRU, Gated, ["h"]),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("which", LOOPS)
def test_a_loop_over_maps_flows_as_the_layer_does(which, named):
    kind, loop, states = LOOPS[which]
    layer, x = kind(D, H), torch.randn(T, B, D)
    model = loop(layer)
    torch.testing.assert_close(model(x), layer(x)[0])
    (whole,) = _flow(layer, x)
    (by_hand,) = _flow(model, x, states if named else ())
    torch.testing.assert_close(by_hand.whole, whole.whole, rtol=1e-4, atol=1e-8)
    assert by_hand.decay == pytest.approx(whole.decay, rel=1e-3)
    assert by_hand.influence.shape == (T, B)
    if which == "gru":
        return  # it reads three maps of the input, and is asked about these
    if which == "elman":
        # It reads W x, of which every step is the same map of its input.
        x = torch.randn(T, B, D)
        (turned,) = _flow(Elman(layer, batch_first=True), x.transpose(0, 1))
        (straight,) = _flow(Elman(layer), x)
        torch.testing.assert_close(turned.influence, straight.influence)
        return
    torch.testing.assert_close(by_hand.influence, whole.influence, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, elman.nn.LSTM])
def test_a_layer_called_for_a_few_steps_at_a_time_is_one_passage(kind, steps):
    layer, x = kind(D, H, num_layers=2), torch.randn(T, B, D)
    whole = _flow(layer, x)
    parts = _flow(Chunks(layer, steps), x)
    assert [flow.name for flow in parts] == ["layer.l0", "layer.l1"]
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a.whole, b.whole, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(a.influence, b.influence, rtol=1e-4, atol=1e-8)
    examined = elman.doctor(Chunks(layer, steps), x)
    assert [layer.passage.steps for layer in examined.layers] == [T, T]


def test_sequences_of_their_own_are_not_joined():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(D, H)

        def forward(self, x):
            return torch.cat([self.layer(x)[0], self.layer(x.flip(0))[0]])

    model = Twice()
    _, passages = search(model, lambda: model(torch.randn(T, B, D)))
    assert [p.steps for p in passages] == [T, T]


def test_a_single_step_is_not_called_healthy():
    found = elman.doctor(nn.LSTM(D, H), torch.randn(1, B, D))
    assert not found.healthy
    assert "a single step" in found.verdict


def test_a_loop_beside_a_layer_is_measured_as_well():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.w, self.u = nn.GRU(D, H), nn.Linear(H, H), nn.Linear(H, H)

        def forward(self, x):
            y, _ = self.layer(x)
            h = y.new_zeros(x.shape[1], H)
            for t in range(len(y)):
                h = torch.tanh(self.u(y[t]) + 0.01 * self.w(h))
            return h

    found = elman.doctor(Both(), torch.randn(T, B, D), lambda h: h.sum(), need=20)
    assert [layer.flow.name for layer in found.layers] == ["layer.l0", "loop over w"]
    assert found.layers[1].flow.decay < 0.1
    assert "loop over w" in str(found)
    assert "loop over w" in found.page()


def test_a_scan_without_parameters_in_its_loop_is_found():
    class Scan(nn.Module):
        def forward(self, x):
            h, found = torch.zeros_like(x[0]), []
            for t in range(len(x)):
                h = 0.9 * h + x[t]
                found.append(h)
            return torch.stack(found)

    model = Scan()
    (flow,) = _flow(model, torch.randn(T, B, D))
    assert flow.decay == pytest.approx(0.9, rel=1e-5)
    found = elman.doctor(model, torch.randn(100, B, D))
    # 0.9^k falls under a hundredth of its peak at 43.7 steps.
    assert found.layers[0].horizon.steps == pytest.approx(43.7, abs=0.2)
    assert found.layers[0].units is None


def test_what_is_no_loop_through_time_is_not_taken_for_one():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.ModuleList(nn.Linear(D, D) for _ in range(6))

        def forward(self, x):
            for one in self.maps:
                x = torch.relu(one(x))
            return x

    model = Deep()
    with pytest.raises(InputError, match=r"ran no recurrent layer.*three times.*as an elman\.Cell"):
        elman.doctor(model, torch.randn(B, D))


def test_states_that_are_named_wrongly_are_refused():
    model = Joined(nn.LSTM(D, H))
    with pytest.raises(InputError, match="No local variable 'hidden'"):
        elman.doctor(model, torch.randn(T, B, D), states="hidden")
    with pytest.raises(InputError, match="No local variable 'found'"):
        elman.doctor(model, torch.randn(T, B, D), states=["found"])


def test_a_state_that_is_changed_in_place_is_refused():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Linear(H, H)

        def forward(self, x):
            h = x.new_zeros(x.shape[1], H)
            for t in range(len(x)):
                h = self.w(h).add_(x[t].sum(-1, keepdim=True))
            return h

    with pytest.raises(InputError, match="in place"):
        elman.doctor(InPlace(), torch.randn(T, B, D))


def test_a_loop_that_is_not_the_same_twice_is_refused():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.calls = nn.Linear(H, H), 0

        def forward(self, x):
            self.calls += 1
            h = x.new_zeros(x.shape[1], H)
            if self.calls > 1:
                h = h + 1
            for t in range(len(x)):
                h = torch.tanh(self.w(h) + x[t].sum(-1, keepdim=True))
            return h

    with pytest.raises(InputError, match="a second time"):
        elman.doctor(Counts(), torch.randn(T, B, D))


def test_a_layer_called_step_by_step_is_watched_as_one():
    layer, x = nn.LSTM(D, H), torch.randn(T, B, D)
    told = []
    for model in (layer, Chunks(layer, 1)):
        with elman.inspect.watch(model, every=1) as seen:
            _output(model(x))[-1].square().sum().backward()
        told.append(seen.history)
    whole, parts = told
    assert [row["state"] for row in parts] == [0, 1]
    for a, b in zip(whole, parts, strict=True):
        for part in LAGS:
            assert b[f"gradient_{part}"] == pytest.approx(a[f"gradient_{part}"], rel=1e-4)
