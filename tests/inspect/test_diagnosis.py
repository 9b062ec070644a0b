"""Rules on plain figures: each disease is named by the figures that define it, and by no others."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from elman.inspect.diagnosis import Finding, diagnose
from elman.inspect.facts import LayerFacts, RunFacts
from elman.inspect.remedies import Remedy

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
    train_loss=1.2,
    valid_loss=1.3,
    worse=0.01,
)

SGD = {**RUN.settings, "optimizer": "sgd"}

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
    "memorised": ({}, {"worse": 0.4, "train_loss": 0.2, "valid_loss": 1.6}),
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


@pytest.mark.parametrize("name", DISEASES)
def test_every_remedy_is_a_setting_that_training_knows(name):
    from elman.cells import make
    from elman.tasks.generate import GenerateSettings

    of_layer, of_run = DISEASES[name]
    (finding,) = diagnose([replace(WELL, **of_layer)], replace(RUN, **of_run))
    assert finding.remedies
    for remedy in finding.remedies:
        assert remedy.source
        made = GenerateSettings(**remedy.settings)
        make(made.cell, 3, 4, **made.cell_options)


@pytest.mark.parametrize("cell", ["Elman", "IRNN", "GRU", "LSTM", "MGU", "Mine"])
@pytest.mark.parametrize("name", ["vanishing gradients", "exploding gradients", "state drift"])
def test_remedies_fit_the_cell(cell, name):
    from elman.cells import make
    from elman.tasks.generate import GenerateSettings

    of_layer, _ = DISEASES[name]
    own = {"Elman": "elman", "IRNN": "irnn", "GRU": "gru", "LSTM": "lstm", "MGU": "mgu"}
    facts = replace(WELL, cell=cell, **of_layer)
    settings = {**RUN.settings, "cell": own.get(cell, "lstm")}
    (finding,) = diagnose([facts], replace(RUN, settings=settings))
    for remedy in finding.remedies:
        made = GenerateSettings(**{"cell": settings["cell"], **remedy.settings})
        make(made.cell, 3, 4, **made.cell_options)


def test_what_was_not_measured_is_not_blamed():
    nothing = LayerFacts("l0", "Mine", 8, 100)
    (finding,) = diagnose([nothing])
    assert finding.severity == "healthy"
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
    assert finding.name == "saturated gates"
    assert (
        diagnose([replace(facts, saturated={"i": 0.99, "f": 0.97, "o": 0.5})])[0].name == "healthy"
    )


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
