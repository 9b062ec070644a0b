"""Rules on plain figures: each disease is named by the figures that define it, and by no others;
each remedy is one that `elman train` takes."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import elman
import elman.nn
from elman.cells import CELLS
from elman.cli.arguments import settings_given
from elman.inspect import flows, horizon, observe
from elman.inspect.diagnosis import Finding, diagnose
from elman.inspect.examination import Layer
from elman.inspect.facts import LayerFacts, RunFacts
from elman.inspect.remedies import Remedy
from elman.nn import Recurrent
from elman.tasks import TASKS
from elman.tasks.base import Task
from elman.tasks.settings import settings_of
from elman.training import Settings

WELL = LayerFacts(
    "rnn.l0",
    "LSTM",
    128,
    200,
    decay=0.97,
    growth=0.01,
    horizon=90.0,
    stuck={"i": (0.02, 0.01), "f": (0.1, 0.0), "o": (0.0, 0.05)},
    keeps="f",
    dead=0.0,
    constant=0.0,
    drift=1.1,
    radius=0.99,
    cut=0.1,
)
RUN = RunFacts(
    need=60.0,
    need_by="mutual information",
    settings={"lr": 1e-3, "cell": "lstm", "cell_options": {}, "k1": 100, "dropout": 0.1},
    window=100,
    clip_rate=0.1,
    clip_at=1.0,
    norms=(0.4, 0.9),
    spikes=0.001,
    update_ratio=2e-3,
    trained=[(50 * k, 1.2 + 2 * 0.6**k) for k in range(1, 13)],
    validated=[(50 * k, 1.3 + 2 * 0.6**k) for k in range(1, 13)],
)
OVERFITTING = {
    "trained": [(50 * k, 0.2 + 2 * 0.6**k) for k in range(1, 13)],
    "validated": [(50 * k, 1.3 + 0.1 * abs(k - 4)) for k in range(1, 13)],
}

SGD = {**RUN.settings, "optimizer": "sgd"}

SMALL = {"hidden_size": 6, "num_layers": 2, "batch_size": 4, "max_steps": 1}

DISEASES = {
    "vanishing gradients": ({"horizon": 12.0, "decay": 0.7}, {}),
    "exploding gradients": ({"decay": 1.06, "growth": 1e5}, {}),
    "saturated gates": ({"stuck": {"i": (0.0, 0.95)}}, {}),
    "dead units": ({"cell": "Elman", "rectified": True, "dead": 0.6}, {}),
    "constant units": ({"constant": 0.7}, {}),
    "state drift": ({"drift": 40.0, "unbounded": True}, {}),
    "truncation too short": ({"cut": 0.8}, {}),
    "clipping always on": ({}, {"clip_rate": 0.99, "norms": (8.0, 20.0), "settings": SGD}),
    "learning rate too high": ({}, {"rollbacks": 2}),
    "overfitting": ({}, OVERFITTING),
    "nothing learnt": ({}, {"trained": [(50 * k, 0.69) for k in range(1, 9)], "validated": []}),
    "undertrained": ({}, {"validated": [(50 * k, 3 - 0.1 * k) for k in range(1, 13)]}),
}


def test_the_well_are_called_well():
    (finding,) = diagnose([WELL], RUN)
    assert finding.name == finding.severity == "healthy"
    assert "90 steps" in finding.evidence
    assert "60" in finding.evidence


@pytest.mark.parametrize("name", DISEASES)
def test_each_disease_is_named_alone(name):
    of_layer, of_run = DISEASES[name]
    found = diagnose([replace(WELL, **of_layer)], replace(RUN, **of_run))
    assert [f.name for f in found] == [name]
    assert found[0].severity in ("ill", "warning")
    assert any(character.isdigit() for character in found[0].evidence)


def test_a_run_too_short_to_be_judged_is_not_called_healthy():
    short = replace(RUN, metric="bleu", trained=[(1, 4.0)], validated=[])
    (finding,) = diagnose([WELL], short)
    assert finding.name == "not measured"
    assert "its loss was taken once" in finding.evidence
    (finding,) = diagnose(
        [WELL], replace(RUN, metric="bleu", trained=[(k, 1.0) for k in (1, 2, 3)])
    )
    assert finding.name == "healthy"


def test_what_was_not_measured_is_not_blamed():
    nothing = LayerFacts("l0", "Mine", 8, 100)
    (finding,) = diagnose([nothing])
    assert (finding.name, finding.severity) == ("not measured", "unknown")
    assert "how gradients flow back and how far the memory reaches" in finding.evidence
    (finding,) = diagnose([replace(WELL, horizon=None)], RUN)
    assert finding.name == "not measured"
    assert "how far the memory reaches" in finding.evidence
    assert "needs about 60 steps" in finding.evidence
    (finding,) = diagnose([replace(nothing, steps=1)])
    assert finding.severity == "unknown"
    assert "a single step" in finding.evidence
    short = replace(nothing, horizon=2.0, decay=0.2)
    assert diagnose([short], RunFacts())[0].severity == "healthy"


def test_a_memory_as_long_as_was_looked_at_is_not_short():
    facts = replace(WELL, horizon=40.0, beyond=True)
    assert diagnose([facts], replace(RUN, need=500.0))[0].severity == "healthy"


def test_the_need_is_not_more_than_the_sequences_hold():
    facts = replace(WELL, steps=21, horizon=12.0)
    assert diagnose([facts], replace(RUN, need=500.0))[0].severity == "healthy"


def test_a_stack_remembers_as_long_as_its_best_layer():
    short = replace(WELL, name="rnn.l1", horizon=5.0)
    assert diagnose([WELL, short], RUN)[0].severity == "healthy"


def test_a_keeping_gate_that_is_open_is_memory():
    facts = replace(WELL, stuck={"f": (0.9, 0.0)})
    found = diagnose([facts], RUN)
    assert [f.severity for f in found] == ["healthy", "note"]
    closed = replace(WELL, stuck={"f": (0.0, 0.9)})
    assert diagnose([closed], RUN)[0].name == "saturated gates"


def test_gates_that_only_switch_are_saturated():
    facts = replace(WELL, saturated={"i": 0.99, "f": 0.97, "o": 0.95})
    (finding,) = diagnose([facts], RUN)
    assert (finding.name, finding.severity) == ("saturated gates", "ill")
    for shares in ({"i": 0.99, "f": 0.97, "o": 0.5}, {"i": 0.42, "f": 0.6, "o": 0.73}):
        (finding,) = diagnose([replace(facts, saturated=shares)], RUN)
        assert (finding.name, finding.severity) == ("saturated gates", "warning")
    # A gate that keeps is open to remember, and one gate alone may switch.
    for shares in ({"i": 0.3, "f": 0.99, "o": 0.2}, {"i": 0.99, "f": 0.97, "o": 0.1}, {"f": 0.9}):
        assert diagnose([replace(facts, saturated=shares)], RUN)[0].name == "healthy"


def test_the_same_in_two_layers_is_said_once():
    sick = replace(WELL, drift=40.0, unbounded=True)
    (finding,) = diagnose([sick, replace(sick, name="rnn.l1")], RUN)
    assert finding.layer == "rnn.l0, rnn.l1"


def test_the_worst_comes_first():
    facts = replace(WELL, horizon=3.0, decay=0.3)
    found = diagnose([facts], replace(RUN, clip_rate=1.0, settings=SGD))
    assert [f.severity for f in found] == ["ill", "warning"]


def test_what_overflowed_explodes():
    facts = replace(WELL, decay=None, growth=math.inf)
    assert diagnose([replace(facts, decay=1.5)], RUN)[0].name == "exploding gradients"
    endless = replace(WELL, drift=math.inf, unbounded=True)
    assert diagnose([endless], RUN)[0].name == "state drift"


def test_the_clip_threshold_follows_the_norms_that_were_measured():
    sick = replace(RUN, clip_rate=0.99, norms=(8.0, 23.4), settings=SGD)
    found: list[Finding] = diagnose([WELL], sick)
    assert found[0].remedies[0].settings["clip_at"] == 23.0
    assert found[0].remedies[0].line == "--set clip=norm --set clip_at=23"


def test_a_remedy_is_a_line_for_the_shell():
    remedy = Remedy("", {"cell_options": {"init": "orthogonal", "layer_norm": True}}, "")
    assert remedy.line == "--set 'cell_options={init: orthogonal, layer_norm: true}'"


def test_a_counter_drifts_and_is_not_ill():
    found = diagnose([replace(WELL, drift=4.0)], RUN)
    assert [(f.name, f.severity) for f in found[1:]] == [("state drift", "note")]


def test_clipping_matters_less_where_the_optimiser_divides_by_the_size():
    sick = replace(RUN, clip_rate=1.0, settings={**RUN.settings, "optimizer": "adamw"})
    assert [f.severity for f in diagnose([WELL], sick)] == ["healthy", "note"]


def test_a_memory_that_training_never_asked_for_is_no_vanishing():
    facts = replace(WELL, horizon=12.0, decay=0.7, cut=None)
    (finding,) = diagnose([facts], replace(RUN, window=10))
    assert finding.name == "truncation too short"
    assert finding.remedies[0].settings == {"k1": 60}


# Gradients between layers


def stack(*gradients: float, **more: object) -> list[LayerFacts]:
    return [replace(WELL, name=f"rnn.l{k}", gradient=g, **more) for k, g in enumerate(gradients)]


def test_a_stack_whose_lowest_layer_gets_next_to_nothing():
    (finding,) = diagnose(stack(1e-5, 1e-3, 0.1, 1.0), RUN)
    assert finding.name == "vanishing gradients between layers"
    assert finding.layer == "rnn.l0"
    assert "1e-05" in finding.evidence
    assert "4 layers" in finding.evidence
    assert finding.remedies[0].settings == {"residual": True}
    assert finding.remedies[-1].settings == {"num_layers": 3}
    assert diagnose(stack(1e-2, 0.1, 1.0), RUN)[0].name == "healthy"


def test_a_stack_that_is_residual_already_is_not_told_to_be():
    run = replace(RUN, settings={**RUN.settings, "residual": True})
    (finding,) = diagnose(stack(1e-5, 1.0), run)
    assert all(r.settings.get("residual") is not True for r in finding.remedies)
    # One layer alone has nothing that could be joined.
    assert finding.remedies[-1].settings == {"num_layers": 1, "residual": False}


def test_what_begins_next_to_nothing_in_a_lower_layer_may_grow():
    grows = {"decay": 1.8, "growth": 1e3}
    low, top = stack(0.1, 1.0)
    assert diagnose([replace(low, **grows), top], RUN)[0].name == "healthy"
    assert diagnose([replace(low, gradient=9.0, **grows), top], RUN)[0].layer == "rnn.l0"
    assert diagnose([low, replace(top, **grows)], RUN)[0].layer == "rnn.l1"


def test_layers_of_two_stacks_are_not_compared():
    low, top = stack(1e-5, 1.0)
    apart = [replace(low, name="encoder.l0"), replace(top, name="decoder.l1")]
    assert diagnose(apart, RUN)[0].name == "healthy"


def test_both_directions_and_every_call_of_a_layer_count_together():
    forth, top = stack(1e-5, 1.0)
    back = replace(forth, name="rnn.l0_reverse", gradient=0.5)
    assert diagnose([forth, back, top], RUN)[0].name == "healthy"
    again = replace(forth, gradient=0.5)
    assert diagnose([forth, top, again, top], RUN)[0].name == "healthy"


def examined(layer: nn.Module, seed: int = 1, steps: int = 40) -> list[str]:
    """What is found of a stack by the gradient of its last answer."""
    x = torch.randn(steps, 8, layer.input_size, generator=torch.Generator().manual_seed(seed))
    loss, passages = observe(layer, lambda: layer(x)[0][-1].square().sum())
    found = [Layer(flow, horizon(flow.influence)) for flow in flows(passages, loss)]
    return [f.name for f in diagnose([layer.facts() for layer in found])]


def shrunk(layer: Recurrent) -> Recurrent:
    with torch.no_grad():
        for cell in layer.cells:
            cell.W.weight.mul_(0.2)
            cell.U.weight.mul_(0.2)
    return layer


def test_six_layers_of_small_weights_pass_no_gradient_down_unless_they_are_residual():
    torch.manual_seed(0)
    assert "vanishing gradients between layers" in examined(shrunk(Recurrent("elman", 8, 16, 6)))
    joined = shrunk(Recurrent("elman", 8, 16, 6, residual=True))
    assert "vanishing gradients between layers" not in examined(joined)


def test_eight_layers_of_ours_on_short_sequences_do_not_explode():
    torch.manual_seed(0)
    assert examined(Recurrent("lstm", 8, 24, 8), steps=10) == ["healthy"]


def test_eight_lstms_as_torch_draws_them_pass_no_gradient_down():
    torch.manual_seed(0)
    assert "vanishing gradients between layers" in examined(nn.LSTM(8, 16, 8))
    assert "vanishing gradients between layers" not in examined(
        elman.nn.Recurrent("lstm", 8, 16, 8)
    )


@pytest.mark.parametrize("layers", [2, 4])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, "lstm", "gru", "elman"])
def test_stacks_as_they_begin_are_well(kind, layers):
    torch.manual_seed(0)
    make = Recurrent if isinstance(kind, str) else kind
    arguments = (kind, 8, 16, layers) if isinstance(kind, str) else (8, 16, layers)
    for steps in (5, 40):
        assert examined(make(*arguments), steps=steps) == ["healthy"]


@pytest.mark.parametrize("layers", [2, 4])
def test_a_trained_stack_is_well(layers):
    torch.manual_seed(0)
    model = nn.LSTM(2, 16, layers)
    head = nn.Linear(16, 1)
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], 1e-2)
    losses = []
    for _ in range(150):
        # The mean so far: something that every step teaches.
        x = torch.randn(20, 16, 2)
        wanted = x[..., :1].cumsum(0) / torch.arange(1, 21)[:, None, None]
        loss = (head(model(x)[0]) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert "vanishing gradients between layers" not in examined(model)


# Which remedy


def remedies(facts: LayerFacts, run: RunFacts) -> list[Remedy]:
    return [r for finding in diagnose([facts], run) for r in finding.remedies]


SHORT = replace(WELL, horizon=12.0, decay=0.7)


def many_to_one(**settings: object) -> RunFacts:
    given = {"cell": "lstm", "cell_options": {}, "bidirectional": False, "reverse": False}
    return replace(RUN, window=None, settings={**given, **settings}, need=60.0, need_reversed=8.0)


def test_what_stands_at_the_beginning_is_read_last():
    first, second, *_ = remedies(SHORT, many_to_one())
    assert first.settings == {"reverse": True}
    assert second.settings == {"bidirectional": True}
    assert "Sutskever" in first.source
    # From the end the memory would be too short as well: gates come first.
    far = replace(many_to_one(), need_reversed=25.0)
    sources = [r.source for r in remedies(SHORT, far)]
    assert sources.index("Sutskever, Vinyals & Le 2014") > 0


@pytest.mark.parametrize(
    "run",
    [
        many_to_one(bidirectional=True),  # reads from both ends already
        replace(many_to_one(), need_reversed=55.0),  # needs as much from there
        replace(many_to_one(), need_reversed=None),  # nobody knows
        replace(many_to_one(), settings=RUN.settings),  # a task without that setting
        replace(many_to_one(), settings={}),
    ],
)
def test_reading_from_the_end_is_proposed_only_where_it_can_help(run):
    proposed = remedies(SHORT, run)
    assert proposed
    assert not any({"reverse", "bidirectional"} & set(r.settings) for r in proposed)


def test_both_ways_are_read_in_place_of_one_that_is_turned_round():
    (turned,) = [r for r in remedies(SHORT, many_to_one(reverse=True)) if "reverse" in r.settings]
    assert turned.settings == {"bidirectional": True, "reverse": False}


def test_a_window_far_longer_than_the_need_is_shortened_where_gradients_explode():
    exploding = replace(WELL, decay=1.06, growth=1e5)
    run = replace(RUN, need=10.0)
    assert {"k1": 20} in [r.settings for r in remedies(exploding, run)]
    with_context = {**RUN.settings, "k1": 30, "k2": 100}
    run = replace(run, settings=with_context)
    assert {"k2": 30} in [r.settings for r in remedies(exploding, run)]
    for need in (None, 0.0, 40.0):
        run = replace(RUN, need=need)
        assert all("k1" not in r.settings for r in remedies(exploding, run))


class NormedGRU(CELLS["gru"]):
    """A cell of somebody's own, with layer normalisation."""

    def __init__(self, input_size: int, hidden_size: int, *, layer_norm: bool = False) -> None:
        super().__init__(input_size, hidden_size)


def test_layer_normalisation_is_proposed_to_every_cell_that_has_it(monkeypatch):
    shut = {"saturated": {"r": 0.99, "z": 0.97}}
    normed = {"cell_options": {"layer_norm": True}}
    run = replace(RUN, settings={**RUN.settings, "cell": "normed"})
    monkeypatch.setitem(CELLS, "normed", NormedGRU)
    assert normed in [r.settings for r in remedies(replace(WELL, cell="NormedGRU", **shut), run)]
    assert normed not in [r.settings for r in remedies(replace(WELL, cell="GRU", **shut), RUN)]


def test_a_run_is_not_told_what_it_does_already():
    explodes = replace(WELL, cell="Elman", decay=1.06, growth=1e5, radius=2.0)
    plain = {**RUN.settings, "cell": "elman", "clip": "norm", "clip_at": None}
    run = replace(RUN, need=None, norms=(5.0, 9.0), settings=plain)
    told = [r.settings for r in remedies(explodes, run)]
    # Orthogonal is how it begins by itself, and 1 where it is clipped.
    assert all("init" not in s.get("cell_options", {}) and "clip" not in s for s in told)
    torch_like = {**plain, "clip": "none", "cell_options": {"init": "torch"}}
    told = [r.settings for r in remedies(explodes, replace(run, settings=torch_like))]
    assert told[0] == {"cell_options": {"init": "orthogonal"}}
    assert {"clip": "norm", "clip_at": 1.0} in told


def test_less_dropout_is_no_remedy_of_learning_by_heart():
    learnt_by_heart = OVERFITTING
    well = {"dropout": 0.8, "patience": 3, "recurrent_dropout": 0.5}
    run = replace(RUN, **learnt_by_heart, settings={**RUN.settings, **well})
    assert remedies(WELL, run) == []


def test_what_overrules_how_weights_begin_is_taken_away():
    run = replace(RUN, settings={**RUN.settings, "init_scale": 0.1})
    first = remedies(SHORT, run)[0]
    assert first.settings == {"cell_options": {"chrono": 60}, "init_scale": None}
    assert first.line == "--set 'cell_options={chrono: 60}' --set init_scale=null"


def test_a_threshold_that_was_left_to_the_kind_of_clipping_needs_no_figure():
    sick = replace(RUN, clip_rate=0.99, clip_at=None, norms=(8.0, 20.0), settings=SGD)
    assert diagnose([WELL], sick)[0].name == "clipping always on"


# Every remedy trains


@cache
def tiny(task: str) -> Task:
    """A task on a handful of data."""
    t = np.arange(200)
    data = {
        "generate": pd.DataFrame({"text": ["to be or not to be " * 40]}),
        "classify": pd.DataFrame(
            {"text": ["up and up", "down and out"] * 10, "label": ["a", "b"] * 10}
        ),
        "forecast": pd.DataFrame({"y": np.sin(t / 3.0)}),
    }
    return TASKS[task].from_data(data[task], settings_of(TASKS[task], SMALL))


def built(task: str, settings: Settings) -> nn.Module:
    """The model that `elman train` would make."""
    made = tiny(task)
    made.settings = settings
    return made.build()


OPTIONS = {
    "elman": [{}, {"nonlinearity": "relu", "init": "torch"}],
    "irnn": [{}, {"scale": 0.5}],
    "lstm": [
        {},
        {"peepholes": True, "forget_bias": None, "init": "torch"},
        {"chrono": 20, "layer_norm": True, "coupled": True},
    ],
    "gru": [{}, {"reset_after": False, "chrono": 9}],
    "indrnn": [{}, {"bound": 1.0}],
    "minlstm": [{}, {"forget_bias": 3.0}],
}

FACTS = [
    *({"layer": layer, "run": run} for layer, run in DISEASES.values()),
    {"layer": {"saturated": {"i": 0.99}}, "run": {"largest_update": 1e9, "update_ratio": 1e9}},
    {"layer": {"dead": 0.3, "rectified": True}, "run": {"norms": (0.0, 0.0), "need": 3.0}},
    {"layer": {"decay": 1.06, "growth": 1e5, "radius": 2.0}, "run": {"norms": (0.0, 0.0)}},
    {"layer": {"decay": None, "growth": math.inf}, "run": {"need": 2.0, "norms": (9.0, 9.0)}},
    {"layer": {"horizon": 3.0, "decay": 0.5}, "run": {"need": 30.0, "need_reversed": 2.0}},
    {"layer": {"horizon": 3.0, "decay": 0.5, "steps": 4000}, "run": {"need": 3000.0}},
    {"layer": {"gradient": 1e-9}, "run": {}},
]

CHANGED = {
    "generate": [{"k1": 100}, {"k1": 20, "k2": 100, "init_scale": 0.1}],
    "classify": [{}, {"bidirectional": False}, {"bidirectional": False, "reverse": True}],
    "forecast": [{}, {"model": "recurrent", "segment": None, "residual": True}],
}


@pytest.mark.fuzz
@pytest.mark.parametrize("task", CHANGED)
def test_every_remedy_is_a_line_that_trains(task):
    own = tiny(task).settings
    checked_by = type(own).of
    whole = checked_by(own.model_dump() | SMALL).model_dump()
    tried = set()
    for cell, changed, facts in product(CELLS, CHANGED[task], FACTS):
        for options in OPTIONS.get(cell, [{}]):
            settings = {**whole, **changed, "cell": cell, "cell_options": options}
            layer = replace(WELL, **{**facts["layer"], "cell": CELLS[cell].__name__})
            top = replace(layer, name="rnn.l1", gradient=1.0)
            run = replace(RUN, **{"need": 60.0, **facts["run"], "settings": settings})
            run = replace(run, window=settings.get("k2") or settings.get("k1"))
            for remedy in [r for f in diagnose([layer, top], run) for r in f.remedies]:
                assert remedy.source
                key = f"{cell} {options} {changed} {remedy.line}"
                if not remedy.line or key in tried:
                    continue
                tried.add(key)
                pairs = [part for part in shlex.split(remedy.line) if part != "--set"]
                told = settings_given(task, pairs, None, None)
                checked = checked_by(settings | told)
                for name, value in remedy.settings.items():
                    assert getattr(checked, name) == pytest.approx(value), remedy.line
                assert checked != checked_by(settings), remedy.line
                built(task, checked)
    assert len(tried) > 200
