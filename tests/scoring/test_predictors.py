"""Fitted maps written down and read again, weights of mixtures, temperatures: against the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from torchmetrics.functional.classification import multiclass_calibration_error

from elman.errors import InputError
from elman.modalities import ngrams
from elman.scoring import Evaluation, calibration
from elman.scoring.baselines.linear import Labelled, Linear, logistic_regression
from elman.scoring.baselines.ngram import KneserNey
from elman.scoring.baselines.numbers import Trees, boosting
from elman.scoring.blending import mixed_nats, weight_of_chances, weight_of_points
from elman.scoring.bootstrap import MODEL, Comparison, bootstrap, recommended, together
from elman.scoring.predictors import Baseline, class_scores, restored


def through_a_file(arrays):
    return load(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


@pytest.mark.parametrize("classes", [2, 3])
def test_kept_logistic_regression_is_that_of_scikit_learn(classes):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(classes)
    x, y = rng.normal(size=(80, 6)), rng.integers(0, classes, 80)
    found = logistic_regression(Labelled(x, y), None)
    kept = restored(*Baseline("linear", found, "features").to_state(), None).map
    assert np.array_equal(kept(x), found(x))
    theirs = LogisticRegression(C=10.0, max_iter=200).fit(x, y)
    chances = calibration.chances(class_scores(kept(x), kept.classes, classes))
    np.testing.assert_allclose(chances, theirs.predict_proba(x), atol=1e-6)
    assert kept.codes(x).tolist() == theirs.predict(x).tolist()


def test_a_class_that_a_map_does_not_know_has_no_probability():
    scores = class_scores(np.array([[1.0, 2.0]]), np.array([0, 3]), 4)
    assert calibration.chances(scores)[0].round(3).tolist() == [0.269, 0, 0, 0.731]


def test_kept_trees_are_those_of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    x, asked = rng.normal(size=(300, 4)), rng.normal(size=(100, 4))
    x[::7, 1] = asked[::5, 1] = np.nan
    y = np.sin(x[:, 0]) + np.nan_to_num(x[:, 1])
    pairs = [
        (HistGradientBoostingRegressor(max_iter=20).fit(x, y), "predict"),
        (HistGradientBoostingClassifier(max_iter=9).fit(x, y > 0), "decision_function"),
        (HistGradientBoostingClassifier(max_iter=9).fit(x, np.digitize(y, [-1, 1])), None),
    ]
    for model, method in pairs:
        facts, arrays = Trees.of([model]).to_state()
        kept = Trees.from_state(facts, through_a_file(arrays))
        theirs = getattr(model, method or "decision_function")(asked)
        np.testing.assert_allclose(kept(asked), theirs.reshape(100, -1), rtol=1e-12, atol=1e-12)


def test_kept_trees_on_sparse_features_keep_their_reduction():
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(5)
    seen = csr_matrix((rng.random((200, 90)) < 0.3).astype(float))
    made = boosting(seen, np.asarray(seen[:, :2].todense()) * 4)
    again = restored(*Baseline("trees", made, "features").to_state(), None).map
    assert np.array_equal(again(seen), made(seen))


WORDS = st.text("ab cö\ud800\n!", max_size=12)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(WORDS, min_size=2, max_size=6), others=st.lists(WORDS, max_size=4))
def test_kept_ngrams_are_those_that_were_fitted(texts, others):
    from sklearn.feature_extraction.text import TfidfVectorizer

    how = {"analyzer": "char_wb", "ngram_range": (1, 3)}
    texts = [*texts, "ab"]
    found = ngrams.fitted(how, texts)
    kept = ngrams.kept(how, through_a_file(found.state()[1]))
    theirs = TfidfVectorizer(**how, sublinear_tf=True).fit(texts)
    np.testing.assert_allclose(found.train.toarray(), theirs.transform(texts).toarray(), rtol=1e-12)
    for asked in (texts, others or ["b"]):
        expected = theirs.transform(asked).toarray()
        np.testing.assert_allclose(kept.of(asked).toarray(), expected, rtol=1e-12)
        assert np.array_equal(kept.counts.of(asked).toarray(), expected > 0)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_kept_counts_are_those_that_were_counted(data):
    size, order = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 5))
    tokens = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=60)))
    starts = np.unique(data.draw(st.lists(st.integers(0, len(tokens) - 1), max_size=3)))
    counted = KneserNey.fit(tokens, size, order, np.array([0, *starts]))
    facts, arrays = counted.state()
    kept = KneserNey.kept(facts, through_a_file(arrays))
    for ours, theirs in zip(kept.levels, counted.levels, strict=True):
        assert np.array_equal(ours.keys, theirs.keys)
        for one, other in ((ours.raw, theirs.raw), (ours.before, theirs.before)):
            for name in () if other is None else ("counts", "discounts", "totals", "spare"):
                assert np.array_equal(getattr(one, name), getattr(other, name))
    # One step at a time it says what it says of a whole text.
    text = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=12)))
    nats, history = kept.nll(text)[order], np.full(order, text[0])
    for place, symbol in enumerate(text[1:]):
        chances = kept.distribution(history, order)
        assert chances.sum() == pytest.approx(1)
        assert chances[symbol] == pytest.approx(np.exp(-nats[place]), rel=1e-9)
        history = np.append(history, symbol)


def test_a_kind_that_is_not_known_is_named():
    facts, arrays = Baseline("x", Linear(np.ones((1, 1), np.float32), np.ones(1))).to_state()
    with pytest.raises(InputError, match=r"no kind of baseline 'linnear'. Did you mean 'linear'"):
        restored(facts | {"kind": "linnear"}, arrays, None)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), factor=st.floats(0.2, 5.0))
def test_a_temperature_undoes_a_factor_and_changes_no_answer(seed, factor):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(300, 4)) * 2
    stated = calibration.chances(scores)
    truth = np.array([rng.choice(4, p=row) for row in stated])
    first, second = (calibration.temperature(k * scores, truth) for k in (1.0, factor))
    assert second == pytest.approx(factor * first, rel=1e-3)
    assert first == pytest.approx(1, abs=0.35)  # 300 draws from what is stated
    cooled = calibration.chances(factor * scores, second)
    assert cooled.argmax(1).tolist() == scores.argmax(1).tolist()
    costs = [
        -np.log(calibration.chances(scores, t)[np.arange(300), truth]).mean()
        for t in (first * 0.98, first, first * 1.02)
    ]
    assert costs[1] == min(costs)


def test_nearest_neighbours_are_as_sure_as_they_are_often_right():
    scores, truth = np.eye(3)[[0, 1, 2, 0, 1]], np.array([0, 1, 2, 0, 2])
    stated = calibration.chances(scores, calibration.temperature(scores, truth))
    np.testing.assert_allclose(stated.max(1), 0.8, atol=1e-4)


def test_the_calibration_error_of_classes_is_that_of_torchmetrics():
    rng = np.random.default_rng(3)
    stated, truth = rng.dirichlet([0.6] * 4, 400), rng.integers(0, 4, 400)
    units = pd.DataFrame(
        {
            "truth": truth,
            "prediction": stated.argmax(1),
            "confidence": stated.max(1),
            "uncalibrated": stated.max(1) ** 2,
        }
    )
    theirs = multiclass_calibration_error(
        torch.tensor(stated), torch.tensor(truth), 4, n_bins=10, norm="l1"
    )
    found = calibration.of_units(units)
    assert found["error"] == pytest.approx(theirs.item(), abs=1e-6)
    assert found["error"] != found["error_uncalibrated"]
    assert calibration.of_units(units[["truth", "prediction"]]) is None


def test_answers_of_one_confidence_are_all_given_or_none():
    table = calibration.answered([0.9, 0.5, 0.5, 0.5], [True, True, False, False])
    assert table.to_numpy().tolist() == [[1.0, 0.5, 0.5], [0.25, 0.9, 1.0]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999))
def test_weights_of_a_mixture_are_the_best_of_a_grid(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.random(50), rng.random(50)
    grid = np.linspace(0, 1, 2001)[:, None]
    likelihood = np.log(grid * ours + (1 - grid) * theirs).mean(1)
    found = weight_of_chances(ours, theirs)
    assert np.log(found * ours + (1 - found) * theirs).mean() >= likelihood.max() - 1e-9
    truth = rng.normal(size=50)
    errors = ((grid * ours + (1 - grid) * theirs - truth) ** 2).mean(1)
    found = weight_of_points(ours, theirs, truth)
    assert ((found * ours + (1 - found) * theirs - truth) ** 2).mean() <= errors.min() + 1e-9


def test_a_mixture_of_a_symbol_that_one_deems_impossible_is_finite():
    nats = mixed_nats(np.array([np.inf, 1.0]), np.array([2.0, 2.0]), 0.5)
    np.testing.assert_allclose(np.exp(-nats), [np.exp(-2) / 2, (np.exp(-1) + np.exp(-2)) / 2])


def squares(values):
    units = pd.DataFrame({"e": values})
    return Evaluation(units, lambda rows: {"error": float(rows["e"].mean())})


def test_a_blend_is_compared_with_the_model_and_with_the_best_baseline():
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    model, best, other = hard + 1.0, hard + 0.8, hard + 2.0
    found = bootstrap(
        squares(model),
        {"best": squares(best), "other": squares(other)},
        *("error", False, 100, 0),
        blend=squares(hard + 0.5 + 0.1 * rng.normal(size=200)),
    )
    assert [one.baseline for one in found.gains] == [MODEL, "best"]
    assert [round(one.difference, 1) for one in found.gains] == [0.5, 0.3]
    assert all(one.ci95[0] > 0 for one in found.gains)
    assert found.blend["error"][0] < found.model["error"][0]
    sentence = together("error", "best", 1.0, found.gains)
    assert sentence.startswith("Worth using together with best: error 1 of the blend beats the mod")
    # The intervals of all others are as they are without a blend.
    alone = bootstrap(squares(model), {"best": squares(best)}, "error", False, 100, 0)
    assert alone.model == found.model
    assert alone.comparison == found.comparison


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (None, None),
        (Comparison("counts", 0.1, (0.05, 0.2)), None),
        (Comparison("counts", 0.1, (-0.05, 0.2)), "counts"),
        (Comparison("counts", -0.1, (-0.2, -0.05)), "counts"),
        (Comparison("counts", 0.1, None), None),
        (Comparison("counts", -0.1, None), "counts"),
        (Comparison("counts", float("nan"), (0.0, 0.0)), "counts"),
    ],
)
def test_what_is_recommended(comparison, expected):
    assert recommended(comparison) == expected


@pytest.mark.parametrize(
    ("difference", "interval", "preferred", "expected"),
    [
        (0.1, None, False, "counts"),
        (-0.1, None, True, None),
        (0.1, (0.05, 0.2), False, None),
    ],
)
def test_without_an_interval_earlier_origins_recommend(difference, interval, preferred, expected):
    assert recommended(Comparison("counts", difference, interval), preferred) == expected


def test_a_bound_of_confidence_has_few_decimals_and_gives_the_same_answers():
    stated = np.float64([0.99963, 0.99961, 0.99957, 0.7, 0.123456789, 0.123456788])
    table = calibration.answered(stated, np.ones(6))
    for share, bound in zip(table["answered"], table["confidence"], strict=True):
        assert (stated >= bound).mean() == share
    assert 0.9996 in table["confidence"].tolist()
