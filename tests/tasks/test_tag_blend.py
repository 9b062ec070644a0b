"""The blend of `tag` mixes probabilities of steps, and decides once more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import elman
from elman.data.tagging import first_illegal
from elman.scoring.blending import Blend
from elman.scoring.predictors import CannotSay
from elman.tasks.examples.judging import Memo
from elman.tasks.tag import blending

pytestmark = pytest.mark.xdist_group("tag blend")

SMALL = {
    "hidden_size": 8,
    "embedding_size": 8,
    "character_size": 4,
    "max_steps": 100,
    "lr": 2e-2,
    "resamples": 50,
    "batch_size": 8,
    "valid_fraction": 0.2,
}
TOWNS = [*"abcdefgh"]


def trips(n: int, begin: str = "B", alone: str = "S", last: str = "E") -> pd.DataFrame:
    """Sentences with towns of one or two words, after the word that mostly says what they are."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        words, tags = ["go"], ["O"]
        for word, label in (("from", "start"), ("to", "goal")):
            label = label if generator.random() > 0.2 else "goal"
            town = generator.choice(TOWNS, int(generator.integers(1, 3))).tolist()
            prefixes = [alone] if len(town) == 1 else [begin, last]
            words += [word, *town]
            tags += ["O", *(f"{prefix}-{label}" for prefix in prefixes)]
        rows.append(
            {"tokens": words, "tags": tags, "intent": "short" if len(words) < 6 else "long"}
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module", params=["BIO", "BIOES"])
def run(request, tmp_path_factory):
    prefixes = {"BIO": ("B", "B", "I"), "BIOES": ("B", "S", "E")}[request.param]
    out = tmp_path_factory.mktemp("blend") / "run"
    with pytest.MonkeyPatch.context() as patch:
        # The CRF alone may be best on so few sentences; that a weight is best is tested below.
        patch.setattr(blending, "weight_of_chances", lambda ours, theirs: 0.4)
        return elman.train("tag", trips(150, *prefixes), out, progress=False, **SMALL)


def mixed(run, weight):
    task, model = run.model.task, run.model.module
    [crf] = [one for one in task.predictors() if one.name.startswith("linear-chain")]
    return task, Blend(model, crf, weight)


def test_probabilities_of_both_are_of_the_same_tags_and_sum_to_1(run):
    task, blend = mixed(run, 0.5)
    held = task._parts["valid"]
    assert blending.mixed_tags(task) == ["O", "B-goal", "B-start", "I-goal", "I-start"]
    for some, *both in blending._both(task, blend.model, blend.baseline, held, Memo()):
        for given in both:
            for cell, one in zip(some.inputs, given, strict=True):
                assert one.shape == (len(cell), 5)
                np.testing.assert_allclose(one.sum(1), 1, atol=1e-4)


def test_model_and_blend_are_judged_by_one_pass_through_the_network(run, monkeypatch):
    task, blend = mixed(run, 0.3)
    alone = task.given(blend, task._parts["test"])
    passed, method = [], task._run
    monkeypatch.setattr(task, "_run", lambda *given: passed.append(given) or method(*given))
    found = task.scores([blend.model, blend.baseline, blend])
    assert len(passed) == 1  # so few sentences are one batch
    assert {"row", "outcome"} <= set(found[0].predictions)  # also of the spans that were missed
    assert found[2].metrics == task.scored(task._parts["test"], alone).metrics


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_what_a_blend_says_is_legal_and_has_its_probabilities(run, weight):
    task, blend = mixed(run, weight)
    held = task._parts["valid"]
    said = task.given(blend, held)
    ours = task.given(blend.model, held)
    assert [one.intent for one in said] == [one.intent for one in ours]
    for cell, one in zip(held.inputs, said, strict=True):
        assert len(one.tags) == len(cell)
        assert first_illegal(one.tags, task.answer.scheme) is None
        assert one.chances.min() > 0
        assert one.chances.max() <= 1 + 1e-5
        assert len(one.span_chances) == len(one.spans)
    theirs = task.given(blend.baseline, held)
    if weight == 0:
        pairs = zip(said, theirs, strict=True)
        same = np.mean([x == y for a, b in pairs for x, y in zip(a.tags, b.tags, strict=True)])
        assert same > 0.9  # the CRF takes the likeliest sequence, the blend the likeliest tags


def test_the_weight_makes_the_validation_part_likeliest(run):
    task, blend = mixed(run, 0.5)
    held = task._parts["valid"]
    found = blending.weight_in(task, held, blend.model, blend.baseline)

    def cost(weight: float) -> float:
        total = 0.0
        codes = {tag: code for code, tag in enumerate(blending.mixed_tags(task))}
        for some, ours, theirs in blending._both(task, blend.model, blend.baseline, held, Memo()):
            for answer, a, b in zip(some.answers, ours, theirs, strict=True):
                truth = [codes[blending._bio(tag)] for tag, _ in answer]
                both = weight * a + (1 - weight) * b
                total -= np.log(both[np.arange(len(truth)), truth]).sum()
        return total

    assert cost(found) <= min(cost(w) for w in np.linspace(0, 1, 11)) + 1e-3


def test_a_baseline_without_probabilities_gives_no_blend(run):
    task, blend = mixed(run, 0.5)
    [words] = [one for one in task.predictors() if one.name.startswith("most frequent")]
    why = blending.weight_in(task, task._parts["valid"], blend.model, words)
    assert why == "most frequent tag of the word gives tags without probabilities"
    with pytest.raises(CannotSay):
        words.chances(task._question(task._parts["valid"]))


def test_a_blend_is_kept_and_predicts_the_same(run, tmp_path):
    blend = run.results["blend"]
    assert blend["with"] == "linear-chain CRF on window features"
    assert "f1" in blend["test"]
    table = elman.load(run.path, predictor="blend").predict(trips(5))
    assert {"label", "probability", "intent"} <= set(table)
    assert table["row"].nunique() == 5


def test_in_iob1_a_tag_cannot_be_mixed(tmp_path):
    rows = trips(60, "I", "I", "I")
    rows.loc[0, "tokens"], rows.loc[0, "tags"] = ["a", "b"], ["I-goal", "B-goal"]
    run = elman.train("tag", rows, tmp_path / "run", progress=False, scheme="IOB1", **SMALL)
    assert run.results["blend"]["none"].startswith("in IOB1 a tag depends on the one before")


def test_steps_of_numbers_are_mixed_too(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for case in range(40):
        up = generator.random(30) > 0.5
        rows += [
            {"case": case, "t": t, "x": generator.normal(0.6 if one else 0), "label": f"is {one}"}
            for t, one in enumerate(up)
        ]
    run = elman.train(
        "tag",
        pd.DataFrame(rows),
        tmp_path / "run",
        progress=False,
        group="case",
        time="t",
        hidden_size=8,
        max_steps=20,
        resamples=50,
        valid_fraction=0.2,
    )
    task, model = run.model.task, run.model.module
    [linear] = [one for one in task.predictors() if one.name.startswith("logistic")]
    held = task._parts["test"]
    said = task.given(Blend(model, linear, 0.0), held)
    assert [one.tags for one in said] == [one.tags for one in task.given(linear, held)]
    assert "with" in run.results["blend"] or "alone" in run.results["blend"]["none"]
