"""What training says of itself: measured rightly, at no change to the run, and no false alarm."""

from __future__ import annotations

import json
import logging
import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elman.nn
from elman.cells import CELLS, Cell, make
from elman.kernels import run, use
from elman.kernels.witness import witnessed
from elman.runs.report import _watched
from elman.training import Settings, fit, health, journal, loop
from elman.training.health import Health, probe
from elman.training.meter import Meter
from elman.training.pace import Pace


class Fading(Cell):
    """h' = a h + W x: the gradient by h k steps back is a^k."""

    def __init__(self, input_size, hidden_size, a=0.7):
        super().__init__(input_size, hidden_size)
        self.a = a
        self.W = nn.Linear(input_size, hidden_size)

    def forward(self, x, state):
        h = self.a * state[0] + self.W(x)
        return h, (h,)


class Sequences:
    """Batches `(x, y)` that `make(generator)` draws, each from its place alone."""

    def __init__(self, make, length=40):
        self.make, self.length, self.epoch, self.position = make, length, 0, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        while self.position < self.length:
            generator = torch.Generator().manual_seed(1000 * self.epoch + self.position)
            self.position += 1
            yield self.make(generator)
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self):
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        self.epoch, self.position = state["epoch"], state["position"]


class Reads(nn.Module):
    def __init__(self, layer, inputs, width, classes):
        super().__init__()
        self.embed = nn.Linear(inputs, layer.input_size)
        self.layer, self.drop, self.head = layer, nn.Dropout(0.1), nn.Linear(width, classes)

    def forward(self, x, state=None):
        y, state = self.layer(self.embed(x), state)
        return self.head(self.drop(y)), state


class Goal:
    """Cross-entropy of classes at every step, the state carried on."""

    metric, higher_is_better = "none", False

    def __init__(self, layer, inputs=4, width=8, classes=4, loss=None):
        torch.manual_seed(0)
        self.model = Reads(layer(), inputs, width, classes)
        self.cost = loss or (lambda y, wanted: F.cross_entropy(y.flatten(0, 1), wanted.flatten()))

    def loss(self, batch, carried):
        x, wanted = batch
        y, carried = self.model(x, carried)
        return self.cost(y.float(), wanted) * wanted.numel(), float(wanted.numel()), carried

    def validate(self):
        return {}


def letters(generator, steps=30, rows=8):
    """A chain in which the letter before says the next one nine times in ten."""
    ids = torch.zeros(steps + 1, rows, dtype=torch.long)
    for t in range(steps):
        jump = torch.rand(rows, generator=generator) < 0.1
        other = torch.randint(4, (rows,), generator=generator)
        ids[t + 1] = torch.where(jump, other, (ids[t] + 1) % 4)
    return F.one_hot(ids[:-1], 4).float(), ids[1:]


def events(fitted):
    return [row["what"] for row in fitted.history if row.get("event") == "health"]


# What is measured


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_decay_is_measured_as_it_is(reverse, backend):
    x, lengths = torch.randn(60, 3, 2), torch.tensor([60, 25, 41])
    with witnessed() as runs:
        run(Fading(2, 5), x, lengths=lengths, reverse=reverse, backend=backend)
    found = probe(runs[0], seed=4)
    wanted = math.sqrt(5) * 0.7 ** torch.arange(60.0)
    torch.testing.assert_close(found.norms.float(), wanted, rtol=1e-4, atol=0)
    assert found.horizon == math.floor(math.log(0.01) / math.log(0.7))
    assert found.saturation is None


def test_norms_are_those_of_the_jacobian():
    torch.manual_seed(0)
    cell, steps = make("lstm", 2, 3).double(), 7
    x = torch.randn(steps, 1, 2, dtype=torch.double)
    with witnessed() as runs:
        run(cell, x.expand(-1, 2000, -1))  # as many vectors of signs
    norms = probe(runs[0]).norms
    with witnessed() as runs:
        run(cell, x)
    h, c = (s[:, 0] for s in runs[0].result.states)

    def last(start, first):
        state = (start[None, :3], start[None, 3:])
        for row in x[first:]:
            _, state = cell(row, state)
        return state[0][0]

    for lag in range(steps):
        t = steps - 1 - lag
        here = torch.cat((h[t], c[t])).detach()
        jacobian = torch.autograd.functional.jacobian(lambda s, t=t: last(s, t + 1), here)
        assert norms[lag].item() == pytest.approx(jacobian.norm().item(), rel=0.05)


def test_saturated_gates_are_counted():
    cell = make("lstm", 2, 4)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.W.bias[:4] = 100.0  # i is open, f and o stand half open
    with witnessed() as runs:
        run(cell, torch.randn(20, 3, 2))
    assert probe(runs[0]).saturation == pytest.approx(1 / 3)


def test_gradients_that_are_not_finite_have_no_horizon():
    with witnessed() as runs:
        run(Fading(2, 5, a=1e8), torch.randn(60, 1, 2))
    assert probe(runs[0]).horizon is None


def test_steps_are_counted():
    ours = Health(nn.Linear(1, 1), clip_at=1.0)
    for norm in (0.5, 2.0, 4.0, 1.0):
        ours.add(0, 1.0, norm, {"epoch": 0, "position": 0})
    assert ours.row() == {"clip_rate": 0.5, "clip_by": 0.375}
    assert ours.row() == {}
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    with ours.moving([weight]), torch.no_grad():
        weight += torch.tensor([0.0, 0.5])
    assert ours.row()["update_ratio"] == pytest.approx(0.1)


def test_a_spike_says_which_batch(line, draws):
    objective = line(spoil=lambda call: 1e4 if call == 120 else None)
    fitted = fit(objective, draws(length=37, rows=64), Settings(max_steps=200, lr=1e-3))
    (spikes,) = [row["spikes"] for row in fitted.history if "spikes" in row]
    ((spike),) = spikes
    assert (spike["step"], spike["epoch"], spike["position"]) == (120, 3, 9)
    again = draws(length=37)
    again.load_state_dict({"epoch": spike["epoch"], "position": spike["position"]})
    wanted = next(iter(draws(length=37)))[0], next(iter(again))[0]
    assert not torch.equal(*wanted)
    generator = torch.Generator().manual_seed(3009)
    assert torch.equal(wanted[1], torch.randn(8, 3, generator=generator))


def test_gradients_are_told_by_parameter_and_before_they_are_clipped(monkeypatch):
    monkeypatch.setattr(journal, "LOG_EVERY", 1)
    goal = Goal(lambda: elman.nn.LSTM(6, 8))
    fitted = fit(goal, Sequences(letters), Settings(max_steps=3, clip="norm", clip_at=1e-4))
    _, *rows = [row for row in fitted.history if "loss" in row]  # the first step's are at step 0
    assert len(rows) == 2
    names = [name for name, _ in goal.model.named_parameters()]
    for row in rows:
        assert list(row["gradients"]) == names
        assert row["norm"] > 1e-3
        assert math.hypot(*row["gradients"].values()) == pytest.approx(row["norm"], rel=1e-3)


# What it may not do


LAYERS = {
    "lstm": lambda: elman.nn.Recurrent(
        "lstm", 6, 8, num_layers=2, dropout=0.2, recurrent_dropout=0.2, zoneout=0.1
    ),
    "gru": lambda: elman.nn.GRU(6, 8, num_layers=2, dropout=0.2),
    "both": lambda: elman.nn.Recurrent("elman", 6, 4, bidirectional=True),
}


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_looking_changes_nothing(monkeypatch, layer, precision):
    monkeypatch.setattr(journal, "LOG_EVERY", 4)
    kept = []
    monkeypatch.setattr(health, "COST", math.inf)
    settings = Settings(max_steps=14, lr=0.01, accumulate=2, precision=precision)
    for looks in (False, True):
        goal = Goal(LAYERS[layer])
        with monkeypatch.context() as blind:
            if not looks:
                blind.setattr(Health, "looking", lambda self: nullcontext())
            fitted = fit(goal, Sequences(letters), settings)
        kept.append(([*goal.model.parameters()], torch.get_rng_state(), fitted.history))
        assert goal.model.layer._forward_pre_hooks == {}
        assert all(not part.training for part in goal.model.modules()), "as fit leaves it"
    (before, random, rows), (after, randomer, looked) = kept
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(random, randomer)
    assert not any("horizon" in row for row in rows)
    found = [row for row in looked if "horizon" in row]
    assert [row["step"] for row in found] == [0, 4, 8, 12]
    ends = ("l0", "l0_reverse") if layer == "both" else ("l0", "l1")
    for row in found:
        assert list(row["horizon"]) == [f"layer.{end}" for end in ends]
        assert row["window"] == 30
        assert all(0 <= lag < 30 for lag in row["horizon"].values())
    kind = {"lstm": True, "gru": True, "both": False}[layer]
    assert all(("saturation" in row) == kind for row in found)
    json.dumps(looked)


def test_training_on_torchs_kernels_is_looked_at_too(monkeypatch):
    monkeypatch.setattr(journal, "LOG_EVERY", 4)
    monkeypatch.setattr(health, "COST", math.inf)
    with use("torch"):
        fitted = fit(Goal(LAYERS["gru"]), Sequences(letters), Settings(max_steps=4))
    assert sum("horizon" in row for row in fitted.history) == 2


def test_what_cannot_be_seen_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(journal, "LOG_EVERY", 4)
    monkeypatch.setattr(health, "COST", math.inf)
    goal = Goal(lambda: nn.LSTM(6, 8))
    fitted = fit(goal, Sequences(letters), Settings(max_steps=8))
    rows = [row for row in fitted.history if "update_ratio" in row]
    assert [row["step"] for row in rows] == [0, 4, 8]
    assert not any("horizon" in row for row in rows)


@pytest.mark.parametrize("name", list(CELLS))
def test_every_cell_can_be_looked_at(name):
    torch.manual_seed(0)
    layer = elman.nn.Recurrent(name, 3, 4)
    ours = Health(layer, None)
    random = torch.get_rng_state()
    with use("reference"), ours.looking():
        layer(torch.randn(12, 2, 3, generator=torch.Generator().manual_seed(0)))
    found = ours.taken()
    assert torch.equal(torch.get_rng_state(), random)
    assert 0 < found["horizon"]["l0"] < 12
    assert layer.training


def test_what_does_not_hang_on_its_past_has_no_memory():
    class Forgetful(Fading):
        def forward(self, x, state):
            h = self.W(x)
            return h, (h,)

    class Deaf(Fading):
        def forward(self, x, state):
            return state[0], (0.5 * state[0],)

    for cell in (Forgetful(2, 5), Deaf(2, 5)):
        with witnessed() as runs:
            run(cell, torch.randn(9, 2, 2), backend="reference")
        assert probe(runs[0]).horizon == 0


def test_only_the_first_process_looks_and_warns(monkeypatch):
    monkeypatch.setattr(journal, "LOG_EVERY", 10)
    monkeypatch.setattr(health, "COST", math.inf)
    monkeypatch.setattr(loop.distributed, "ranks", lambda: loop.distributed.Ranks(rank=1))
    goal = Goal(lambda: elman.nn.Recurrent(Fading, 6, 8, a=0.1))
    fitted = fit(goal, Sequences(letters), Settings(max_steps=40, clip_at=1e-6))
    assert events(fitted) == []
    assert [row["clip_rate"] for row in fitted.history if "lr" in row] == [1.0] * 4
    assert not any("horizon" in row or "update_ratio" in row for row in fitted.history)


def test_ragged_batches_and_layers_that_are_only_stepped():
    ours = Health(elman.nn.Recurrent("gru", 2, 5, batch_first=True), None)
    layer = ours.layers[0].module
    with ours.looking():
        layer(torch.randn(9, 1, 2))
    assert ours.row() == {}
    with ours.looking():
        layer(torch.randn(9, 12, 2), lengths=torch.tensor([3, 12, 0, 1, 2, 7, 7, 7, 5]))
    assert ours.row()["window"] == 12


def test_looks_come_as_often_as_they_are_cheap(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(health.time, "monotonic", lambda: clock.now)
    ours, looks = Health(LAYERS["gru"](), None), []

    def look():
        looks.append(clock.now)
        clock.now += 3.0

    monkeypatch.setattr(ours, "_look", look)
    for _ in range(1000):
        clock.now += 5.0
        with ours.looking():
            pass
    assert looks[0] == 5.0
    assert 3.0 * len(looks) <= 0.02 * clock.now
    assert len(looks) >= 30, "and no less often than that"


def test_a_saved_state_goes_on_the_same():
    one, other = (Health(nn.Linear(1, 1), clip_at=1.0) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(400, generator=generator).tolist()
    losses[380] = 50.0
    for k, loss in enumerate(losses):
        if k == 217:
            other.load_state_dict(json.loads(json.dumps(one.state_dict())))
        for each in (one, other) if k >= 217 else (one,):
            each.add(k, loss, 2 * loss, {"epoch": 0, "position": k})
            if k % 50 == 0:
                row = each.row()
                each.warnings(row)
    assert one.state_dict() == other.state_dict()
    assert [spike["step"] for spike in one.spikes + other.spikes] == [380, 380]


# Warnings


def sick(monkeypatch, layer, change=lambda model: None, steps=40, lr=1e-4):
    monkeypatch.setattr(journal, "LOG_EVERY", 10)
    monkeypatch.setattr(health, "COST", math.inf)
    goal = Goal(layer)
    change(goal.model)
    return fit(goal, Sequences(letters), Settings(max_steps=steps, lr=lr))


def test_clipping_all_the_time_is_told_once(line, draws, caplog):
    with caplog.at_level(logging.WARNING, "elman"):
        fitted = fit(line(), draws(length=50), Settings(max_steps=1200, lr=1e-5, clip_at=0.01))
    (what,) = events(fitted)
    assert "clipped in 100% of the last 500 steps" in what
    assert [record.message for record in caplog.records] == [what]
    assert next(row["step"] for row in fitted.history if "event" in row) == 500


def test_spikes_are_told_once(line, draws):
    objective = line(spoil=lambda call: 100.0 if call % 30 == 29 else None)
    fitted = fit(objective, draws(length=50, rows=64), Settings(max_steps=700, lr=1e-5))
    (what,) = events(fitted)
    assert what.startswith("The loss spiked ")


def test_a_memory_of_two_steps_is_told(monkeypatch):
    fitted = sick(monkeypatch, lambda: elman.nn.Recurrent(Fading, 6, 8, a=0.1))
    (what,) = events(fitted)
    assert "never reached further back than 2 steps of 30" in what
    assert [row["step"] for row in fitted.history if "event" in row] == [20]


def test_gates_that_are_stuck_are_told(monkeypatch):
    def stuck(model):
        with torch.no_grad():
            model.layer.cells[0].W.bias.fill_(30.0)

    fitted = sick(monkeypatch, lambda: elman.nn.Recurrent("lstm", 6, 8), stuck)
    assert any("In layer.l0 100% of the gates" in what for what in events(fitted))


def adding(generator, steps=30, rows=16):
    x = torch.rand(steps, rows, 2, generator=generator)
    marks = torch.zeros(steps, rows)
    marks[3], marks[20] = 1, 1
    x[..., 1] = marks
    return x, (x[..., 0] * marks).cumsum(0)[..., None]


HEALTHY = {
    "letters, lstm": lambda: (Goal(lambda: elman.nn.Recurrent("lstm", 6, 8)), letters, {}),
    "letters, gru, sgd": lambda: (
        Goal(lambda: elman.nn.GRU(6, 8)),
        letters,
        {"optimizer": "sgd", "lr": 0.5},
    ),
    "adding, gru": lambda: (
        Goal(lambda: elman.nn.Recurrent("gru", 6, 8), 2, 8, 1, F.mse_loss),
        adding,
        {"lr": 0.01},
    ),
    "letters, plain": lambda: (Goal(lambda: elman.nn.RNN(6, 8)), letters, {"clip_at": 0.25}),
}


@pytest.mark.parametrize("name", list(HEALTHY))
def test_healthy_runs_are_not_warned(monkeypatch, name):
    monkeypatch.setattr(health, "COST", math.inf)
    monkeypatch.setattr(journal, "LOG_EVERY", 20)
    goal, make, settings = HEALTHY[name]()
    fitted = fit(goal, Sequences(make), Settings(max_steps=240, **{"lr": 0.01} | settings))
    rows = [row for row in fitted.history if "horizon" in row and row["step"]]
    assert len(rows) == 12
    assert rows[-1]["loss"] < rows[0]["loss"], "it learns"
    assert events(fitted) == []


# Told and drawn


def test_two_messages_are_both_told():
    ticks = []
    meter = Meter(ticks.append)
    meter.tell("one")
    meter.tell("other")
    meter.tick(Pace(Settings(), 10))
    assert ticks[0].message == "one\nother"


def test_a_figure_where_there_is_something_to_show():
    assert _watched([{"step": 1, "loss": 1.0}]) is None
    assert _watched([{"step": 0, "horizon": {"a": 3}}]) is not None
    history = [
        {"step": 50, "clip_rate": 0.5, "horizon": {"a": 3, "b": 9}, "saturation": {"a": 0.1}},
        {"step": 100, "clip_rate": 0.25, "horizon": {"a": 4, "b": 20}, "saturation": {"a": 0.2}},
        {"step": 100, "valid": {}},
    ]
    figure = _watched(history)
    lines = {side.get_ylabel(): side.lines for side in figure.axes}
    assert [list(line.get_ydata()) for line in lines["share"]] == [[0.5, 0.25], [0.1, 0.2]]
    assert [list(line.get_ydata()) for line in lines["memory in steps"]] == [[9, 20]]
