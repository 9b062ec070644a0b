"""Curves of losses with a known story: what is said of them, and of no others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.inspect.curves import falling, rise
from elman.inspect.diagnosis import diagnose
from elman.inspect.facts import LayerFacts, RunFacts

LAYER = LayerFacts("l0", "LSTM", 16, 100, decay=0.97, growth=0.01, horizon=90.0, keeps="f")


def curve(of: Any, points: int = 20) -> list[tuple[int, float]]:
    return [(10 * k, float(of(10 * k))) for k in range(1, points + 1)]


def names(**run: Any) -> list[str]:
    return [f.name for f in diagnose([LAYER], RunFacts(**run))]


STORIES: dict[str, tuple[Any, list[str]]] = {
    "learns by heart": (lambda t: 1 + abs(t - 80) / 100, ["overfitting"]),
    "rises by half": (lambda t: 1 + max(0, t - 100) / 200, ["overfitting"]),
    "still falls": (lambda t: 2 - t / 200, ["undertrained"]),
    "falls at last, after a plateau": (
        lambda t: 2 - max(0, t - 120) / 160,
        ["undertrained"],
    ),
    "has converged": (lambda t: 0.5 + 2 * math.exp(-t / 20), ["healthy"]),
    "never moves": (lambda t: 0.693, ["healthy"]),
    "ends near nothing": (lambda t: 2 * math.exp(-t / 10) + 1e-6 * t, ["healthy"]),
}


@pytest.mark.parametrize("story", STORIES)
def test_each_story_is_told_by_its_curve(story):
    of, wanted = STORIES[story]
    train = curve(lambda t: 0.2 + 2 * math.exp(-t / 50))
    assert names(validated=curve(of), trained=train) == wanted


@pytest.mark.parametrize("story", STORIES)
def test_noise_of_a_percent_changes_no_story(story):
    of, wanted = STORIES[story]
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=21)
        noisy = [(s, v * (1 + 0.01 * noise[k])) for k, (s, v) in enumerate(curve(of))]
        found = [n for n in names(validated=noisy) if n != "evaluation noise"]
        assert found == wanted, seed


@given(st.floats(0.1, 5), st.floats(0.01, 0.09), st.integers(0, 2**31))
def test_noise_alone_is_nothing(level, spread, seed):
    noise = np.random.default_rng(seed).uniform(-1, 1, 21)
    flat = [(k, level * (1 + spread / 2 * noise[k])) for k in range(1, 21)]
    assert rise(flat) is None


def test_a_loss_that_rises_in_training_too_is_no_overfitting():
    valid = curve(lambda t: 1 + abs(t - 80) / 100)
    assert rise(valid, curve(lambda t: 1 + abs(t - 80) / 100)) is None
    assert rise(valid, curve(lambda t: 2 - t / 200)) is not None


def test_one_bad_validation_at_the_end_is_none():
    values = curve(lambda t: 0.5 + 2 * math.exp(-t / 20), 19)
    assert rise([*values, (200, 5.0)]) is None
    assert falling([*values, (200, 5.0)]) is None


@pytest.mark.parametrize("points", [0, 1, 2])
def test_a_few_points_say_nothing(points):
    assert rise(curve(lambda t: 1 + t, points)) is None or points == 2
    assert falling(curve(lambda t: 9 - t / 100, points)) is None


def test_what_stopped_by_patience_needs_no_more():
    falls = curve(lambda t: 2 - t / 200)
    assert names(validated=falls, stopped="patience") == ["healthy"]
    found = diagnose(
        [LAYER],
        RunFacts(validated=falls, stopped="epochs", settings={"epochs": 10, "cell": "lstm"}),
    )
    assert found[0].remedies[0].settings == {"epochs": 20}
    assert "still falling when training ended at step 200: from" in found[0].evidence
    found = diagnose([LAYER], RunFacts(trained=falls, stopped="max_steps", settings={"x": 1}))
    assert found[0].remedies[0].settings == {}
    assert found[0].evidence.startswith("The training loss")


def test_a_training_loss_that_never_moved_is_no_health():
    still = {"trained": curve(lambda t: 0.693 - t / 1e6), "settings": {"lr": 1e-5}}
    (finding,) = diagnose([LAYER], RunFacts(**still, update_ratio=1e-5))
    assert (finding.name, finding.severity) == ("nothing learnt", "warning")
    assert finding.remedies[0].settings == {"lr": 1e-3}
    (finding,) = diagnose([LAYER], RunFacts(**still, update_ratio=1e-3))
    assert "the inputs do not tell the answer" in finding.evidence
    assert not finding.remedies


def test_how_sure_a_score_is():
    twenty = {"metric": "accuracy", "score": 0.85, "interval": (0.7, 1.0), "examples": 20}
    (_, noise) = diagnose([LAYER], RunFacts(**twenty))
    assert (noise.name, noise.severity) == ("evaluation noise", "note")
    assert "0.85 on 20 rows" in noise.evidence
    assert "from 0.7 to 1" in noise.evidence
    learnt = {"trained": [(k, 0.1 + 0.5**k) for k in range(1, 40)]}
    sure = twenty | learnt | {"interval": (0.83, 0.87), "examples": 2000}
    assert names(**sure) == ["healthy"]
    assert names(**sure | {"trained": []}) == ["not measured"]


def test_few_long_series_are_sent_to_convolutions_beside():
    of = {"validated": curve(lambda t: 1 + abs(t - 80) / 100)}
    settings = {"cell": "lstm", "front_channels": [], "dropout": 0.3, "patience": None}
    few = RunFacts(**of, settings=settings, sequences=36)
    (finding,) = diagnose([LayerFacts(**{**vars(LAYER), "steps": 251})], few)
    assert finding.remedies[0].settings["front_beside"] is True
    assert "LSTM-FCN" in finding.remedies[0].what
    for other in (
        {"sequences": 5000},
        {"sequences": None},
        {"settings": settings | {"front_channels": [16]}},
        {"settings": {"cell": "lstm"}},
    ):
        (finding,) = diagnose(
            [LayerFacts(**{**vars(LAYER), "steps": 251})], RunFacts(**{**vars(few), **other})
        )
        assert all("front_beside" not in r.settings for r in finding.remedies)
