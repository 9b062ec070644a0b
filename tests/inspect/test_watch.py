"""Watching a loop that is not ours: what is seen is right, and nothing else is any different."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import Cell
from elman.errors import InputError
from elman.inspect.watching import watch
from elman.training.health import Health

T, B, D, H = 24, 5, 3, 6


class Fading(Cell):
    """h' = a h + W x, with a = 0.5."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size)

    def forward(self, x, state):
        h = 0.5 * state[0] + self.W(x)
        return h, (h,)


class Read(nn.Module):
    """A layer and a head."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(H, 1)

    def forward(self, x):
        return self.head(self.layer(x)[0])


class ByHand(nn.Module):
    """A loop over torch's cell."""

    def __init__(self):
        super().__init__()
        self.step, self.head = nn.LSTMCell(D, H), nn.Linear(H, 1)

    def forward(self, x):
        state, found = None, []
        for row in x:
            state = self.step(row, state)
            found.append(self.head(state[0]))
        return torch.stack(found)


MODELS = {
    "torch": lambda: Read(nn.LSTM(D, H, num_layers=2)),
    "dropout": lambda: Read(nn.LSTM(D, H, num_layers=2, dropout=0.5)),
    "by hand": ByHand,
    "elman": lambda: Read(elman.nn.Recurrent("gru", D, H)),
    "alike": lambda: Read(elman.nn.LSTM(D, H)),
}
LAYERS = {
    "torch": ["layer.l0", "layer.l1"],
    "dropout": ["layer.l0", "layer.l1"],
    "by hand": ["step"],
    "elman": ["layer.l0"],
    "alike": ["layer.l0"],
}


class Writer:
    """What a SummaryWriter would have been given."""

    def __init__(self):
        self.scalars, self.histograms = {}, {}

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.setdefault(tag, []).append((global_step, scalar_value))

    def add_histogram(self, tag, values, global_step):
        self.histograms.setdefault(tag, []).append((global_step, values.clone()))


def trained(name, every, steps=7, log=None):
    """A plain loop with Adam: losses, the model, and what was seen."""
    torch.manual_seed(0)
    model = MODELS[name]()
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    seen = watch(model, every=every, log=log) if every else None
    losses = []
    for step in range(steps):
        x = torch.randn(T, B, D, generator=torch.Generator().manual_seed(step))
        loss = (model(x) - x.cumsum(0)[..., :1]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, model, seen


@pytest.mark.parametrize("name", list(MODELS))
def test_a_plain_loop_goes_as_before(name):
    plain, model, _ = trained(name, None)
    random = torch.get_rng_state()
    losses, watched, seen = trained(name, 3)
    assert losses == pytest.approx(plain, rel=1e-5)
    assert torch.equal(random, torch.get_rng_state())
    for a, b in zip(model.parameters(), watched.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    rows = seen.history
    states = 1 if name == "elman" else 2
    found = [(row["step"], row["layer"], row["state"]) for row in rows]
    assert found == [(s, n, i) for s in (0, 3, 6) for n in LAYERS[name] for i in range(states)]
    for row in rows:
        assert row["window"] == T
        assert 0 < row["horizon"] < T
        assert 0 <= row["saturation"] <= 1
        assert row["gradient_100"] > 0
        assert (row["gradient_0"] > 0) == (row["state"] == 0), "nothing reads the last c"


@pytest.mark.parametrize("name", ["torch", "by hand", "elman", "alike"])
def test_calls_that_are_not_looked_at_are_the_same_to_a_bit(name):
    torch.manual_seed(0)
    model, x = MODELS[name](), torch.randn(T, B, D)

    def call():
        model.zero_grad()
        y = model(x)
        y.square().sum().backward()
        return [y.detach(), *(p.grad.clone() for p in model.parameters())]

    plain = call()
    with watch(model, every=3):
        found = [call() for _ in range(5)]
    for k, values in enumerate(found):
        for a, b in zip(plain, values, strict=True):
            if k % 3:
                assert torch.equal(a, b)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_loss():
    torch.manual_seed(0)
    layer = elman.nn.Recurrent(Fading, D, H)
    log = Writer()
    seen = watch(layer, every=1, log=log)
    y, _ = layer(torch.randn(9, 2, D))
    y[-1].sum().backward()
    (row,) = seen.history
    for part, lag in ((0, 0), (25, 2), (50, 4), (75, 6), (100, 8)):
        assert row[f"gradient_{part}"] == pytest.approx(math.sqrt(H) * 0.5**lag, rel=1e-5)
    assert (row["layer"], row["horizon"], row["saturation"]) == ("l0", 6, None)
    assert log.scalars["l0/horizon"] == [(0, 6)]
    assert log.scalars["l0/state0/gradient_100"] == [(0, row["gradient_100"])]
    ((step, norms),) = log.histograms["l0/state0/gradients"]
    assert step == 0
    assert norms.shape == (18,)
    assert "l0/saturation" not in log.scalars


def test_zoneout_draws_in_training_and_the_memory_is_that_of_evaluation():
    torch.manual_seed(0)
    z = 0.8
    layer = elman.nn.Recurrent(Fading, D, H, zoneout=z)
    x, reset = torch.randn(60, 4, D), torch.zeros(60, 4, dtype=torch.bool)
    reset[57] = True
    plain, random = copy.deepcopy(layer), torch.get_rng_state()
    wanted, _ = plain(x, reset=reset)
    wanted[-1].sum().backward()
    torch.set_rng_state(random)
    seen = watch(layer, every=1)
    y, _ = layer(x, reset=reset)
    y[-1].sum().backward()
    # The masks are those that would have been drawn without a look.
    torch.testing.assert_close(y, wanted)
    for a, b in zip(plain.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    (row,), (passage,) = seen.history, seen.latest
    # Half of what the masks let through of each unit, all of what they hold, back to the reset.
    kept = torch.where(passage.hold[0], 1.0, 0.5)
    for k in range(60):
        through = kept[60 - k :].prod(0) if k < 3 else torch.zeros(4, H)
        torch.testing.assert_close(passage.gradients[0][59 - k], through)
    assert row["gradient_25"] == row["gradient_100"] == 0
    # As in evaluation, without the reset; and as a training run of ours has it.
    assert row["horizon"] == math.floor(math.log(0.01) / math.log(z + (1 - z) * 0.5))
    health = Health(plain, None)
    with health.looking():
        plain(x, reset=reset)
    assert health.taken()["horizon"] == {"l0": row["horizon"]}


def test_both_directions_and_ragged_rows():
    torch.manual_seed(0)
    layer = nn.GRU(D, H, bidirectional=True, batch_first=True)
    seen = watch(layer, every=1)
    x = nn.utils.rnn.pack_padded_sequence(torch.randn(3, 8, D), [8, 5, 1], batch_first=True)
    output, _ = layer(x)
    output.data.sum().backward()
    assert [row["layer"] for row in seen.history] == ["l0", "l0_reverse"]
    assert [p.lengths.tolist() for p in seen.latest] == [[8, 5, 1]] * 2


def test_latest_waits_for_a_backward_pass():
    model, x = MODELS["torch"](), torch.randn(T, B, D)
    seen = watch(model, every=2)
    loss = model(x).sum()
    assert seen.latest == []
    assert seen.history == []
    loss.backward()
    first = seen.latest
    assert [p.name for p in first] == ["layer.l0", "layer.l1"]
    assert all(g.shape == (T, B, H) for p in first for g in p.gradients)
    assert all(not t.requires_grad for p in first for t in (p.x, p.output, *p.states))
    model(x)
    model(x)  # looked at, and never differentiated
    model(x)
    assert seen.latest is first
    assert len(seen.history) == 4


def test_evaluation_is_not_counted():
    model, x = MODELS["torch"](), torch.randn(T, B, D)
    with watch(model, every=1) as seen:
        with torch.no_grad():
            model(x)
        model.eval()
        model(x).sum().backward()
        assert seen.calls == 0
        assert seen.history == []


@pytest.mark.parametrize("name", list(MODELS))
def test_removing_leaves_nothing(name):
    model = MODELS[name]()
    before = [dict(part.__dict__) for part in model.modules()]
    hooks = [(len(p._forward_hooks), len(p._forward_pre_hooks)) for p in model.modules()]
    seen = watch(model, every=1)
    model(torch.randn(T, B, D)).sum().backward()
    seen.remove()
    seen.remove()
    for part, old in zip(model.modules(), before, strict=True):
        assert part.__dict__.keys() == old.keys()
    assert hooks == [(len(p._forward_hooks), len(p._forward_pre_hooks)) for p in model.modules()]
    assert model(torch.randn(T, B, D)).shape == (T, B, 1)
    assert seen.calls == 1
    assert len(seen.history) == len(LAYERS[name]) * (1 if name == "elman" else 2)


def test_an_error_inside_a_look_leaves_it_watched():
    model = MODELS["torch"]()
    seen = watch(model, every=1)
    with pytest.raises(RuntimeError):
        model(torch.randn(T, B, D + 1))
    model(torch.randn(T, B, D)).sum().backward()
    assert seen.latest
    assert "forward" not in model.layer.__dict__
    assert not model.layer._forward_hooks


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_the_model_is_its_own_and_not_watched(copied):
    model, x = MODELS["torch"](), torch.randn(T, B, D)
    seen = watch(model, every=1, log=Writer())
    other = copied(model)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert other(x).abs().max() == 0
    assert seen.calls == 0
    with watch(other, every=1) as also:
        other(x)
    assert (seen.calls, also.calls) == (0, 1)


def test_what_cannot_be_watched_says_so():
    with pytest.raises(InputError, match="nothing recurrent in this Linear"):
        watch(nn.Linear(2, 2))
    with pytest.raises(InputError, match="one step a call"):
        watch(nn.LSTMCell(2, 2))
    with pytest.raises(InputError, match="no number of calls"):
        watch(nn.LSTM(2, 2), every=0)
    model = nn.LSTM(2, 2)
    watch(model)
    with pytest.raises(InputError, match="replaced already"):
        watch(model)
