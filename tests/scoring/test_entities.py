"""Strict scores against seqeval, conlleval's published figures, scikit-learn and torchmetrics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.v1 import classification_report, precision_recall_fscore_support
from seqeval.scheme import BILOU, IOB2, IOBES
from sklearn.metrics import accuracy_score, f1_score
from torchmetrics.functional.classification import binary_calibration_error

from elman.data.tagging import Span, spans
from elman.errors import InputError
from elman.scoring.entities import (
    by_label,
    calibration_error,
    entity_units,
    reliability,
    scores,
    segment_scores,
    segment_units,
    step_units,
)

SCHEMES = {"BIO": (IOB2, "BI"), "BIOES": (IOBES, "BIES"), "BILOU": (BILOU, "BILU")}

# https://www.clips.uantwerpen.be/conll2000/chunking/output.html: "processed 961 tokens with 459
# phrases; found: 539 phrases; correct: 371". Phrases of each type in the corpus, found and
# correct, and precision, recall and FB1 as printed there.
CONLLEVAL = {
    "ADJP": (6, 1, 0, 0.00, 0.00, 0.00),
    "ADVP": (8, 11, 5, 45.45, 62.50, 52.63),
    "NP": (262, 317, 206, 64.98, 78.63, 71.16),
    "PP": (90, 107, 89, 83.18, 98.89, 90.36),
    "SBAR": (6, 3, 2, 66.67, 33.33, 44.44),
    "VP": (87, 100, 69, 69.00, 79.31, 73.80),
}


@st.composite
def tagged_pairs(draw):
    """A scheme, and true and predicted tags of some sentences, legal or not."""
    scheme = draw(st.sampled_from(sorted(SCHEMES)))
    tags = ["O", *(f"{p}-{label}" for p in SCHEMES[scheme][1] for label in "XY")]
    pairs = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), min_size=1)
    rows = draw(st.lists(pairs, min_size=1, max_size=4))
    return scheme, [[a for a, _ in row] for row in rows], [[b for _, b in row] for row in rows]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:.*ill-defined.*")
@settings(max_examples=60, deadline=None)
@given(tagged_pairs())
def test_strict_scores_are_those_of_seqeval(case):
    scheme, truth, found = case
    rules = SCHEMES[scheme][0]
    units = entity_units(
        [spans(tags, scheme, illegal="drop") for tags in truth],
        [spans(tags, scheme, illegal="drop") for tags in found],
    )
    options = {"scheme": rules, "zero_division": 0}
    ours = scores(units)
    if not len(by_label(units)):
        # Where there is no entity at all, seqeval has no labels to report.
        assert ours == {"precision": 0, "recall": 0, "f1": 0, "macro_f1": 0}
        return
    for average, names in (("micro", ("precision", "recall", "f1")), ("macro", (0, 0, "macro_f1"))):
        theirs = precision_recall_fscore_support(truth, found, average=average, **options)
        for name, value in zip(names, theirs[:3], strict=True):
            assert not name or ours[name] == pytest.approx(value)
    report = classification_report(truth, found, output_dict=True, **options)
    for row in by_label(units).itertuples():
        theirs = report[row.label]
        assert (row.precision, row.recall, row.F1, row.truth) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )


def test_figures_are_those_of_conllevals_published_example():
    truth, found = [], []
    for label, (there, given_, right, *_) in CONLLEVAL.items():
        one = [Span(0, 2, label)]
        truth += [one] * there + [[]] * (given_ - right)
        found += [one] * right + [[]] * (there - right) + [one] * (given_ - right)
    units = entity_units(truth, found)
    assert units["truth"].to_numpy().sum() == 459
    assert units["found"].to_numpy().sum() == 539
    assert units["right"].to_numpy().sum() == 371
    overall = scores(units)
    printed = [100 * overall[name] for name in ("precision", "recall", "f1")]
    assert [round(value, 2) for value in printed] == [68.83, 80.83, 74.35]
    for row in by_label(units).itertuples():
        *counts, precision, recall, f1 = CONLLEVAL[row.label]
        assert [row.truth, row.found, row.right] == counts
        assert round(100 * row.precision, 2) == precision
        assert round(100 * row.recall, 2) == recall
        assert round(100 * row.F1, 2) == f1


def test_conllevals_counting_of_the_sentences_it_documents():
    # The two sentences of the page above, in its older form, in which the prediction writes
    # I-NP where the corpus has B-NP: conlleval takes the phrases as equal.
    corpus = [["B-NP", "B-NP", "I-NP", "I-NP", "O"], ["B-NP", "B-VP", "B-NP", "I-NP"]]
    output = [["I-NP", "B-NP", "I-NP", "I-NP", "O"], ["I-NP", "B-VP", "B-NP", "I-NP"]]
    truth = [spans(tags, "BIO") for tags in corpus]
    lenient = [spans(tags, "BIO", illegal="repair") for tags in output]
    strict = [spans(tags, "BIO", illegal="drop") for tags in output]
    assert scores(entity_units(truth, lenient))["f1"] == 1
    assert scores(entity_units(truth, strict))["recall"] == pytest.approx(3 / 5)


def test_a_resample_of_sentences_is_scored_as_those_sentences():
    truth = [[Span(0, 1, "A")], [Span(0, 1, "B"), Span(2, 3, "A")], []]
    found = [[Span(0, 1, "A")], [Span(0, 2, "B")], [Span(0, 1, "C")]]
    units = entity_units(truth, found)
    rows = [1, 1, 0]
    again = entity_units([truth[row] for row in rows], [found[row] for row in rows])
    assert scores(units.iloc[rows]) == scores(again)
    assert list(by_label(units.iloc[rows])["label"]) == ["A", "B"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1),
        min_size=1,
    )
)
def test_scores_of_steps_are_those_of_scikit_learn(rows):
    truth = [[a for a, _ in row] for row in rows]
    found = [[b for _, b in row] for row in rows]
    flat = [list(itertools.chain(*part)) for part in (truth, found)]
    ours = scores(step_units(truth, found))
    assert ours["f1"] == pytest.approx(accuracy_score(*flat))
    assert ours["macro_f1"] == pytest.approx(f1_score(*flat, average="macro"))


def test_segments_are_found_by_overlap_and_once():
    truth = ["a"] * 6 + ["b"] * 4
    # Two pieces of a (each a third of it) and b from two steps early on.
    found = ["a", "a", "b", "a", "a", "b", "b", "b", "b", "b"]
    units = segment_units([truth], [found])
    assert units.to_dict("records") == [
        {"truth": 2, "found": 4, "edit": 0.5, "right@0.1": 2, "right@0.25": 2, "right@0.5": 1}
    ]
    assert segment_scores(units) == {
        "segment_f1@0.1": pytest.approx(4 / 6),
        "segment_f1@0.25": pytest.approx(4 / 6),
        "segment_f1@0.5": pytest.approx(2 / 6),
        "edit": 0.5,
    }


def test_segments_of_the_background_are_not_counted():
    units = segment_units([["-", "a", "-"]], [["-", "a", "a"]], background=["-"])
    assert units.to_dict("records") == [
        {"truth": 1, "found": 1, "edit": 1, "right@0.1": 1, "right@0.25": 1, "right@0.5": 1}
    ]
    nothing = segment_scores(segment_units([[]], [[]]))
    assert nothing == {
        "segment_f1@0.1": 0,
        "segment_f1@0.25": 0,
        "segment_f1@0.5": 0,
        "edit": 1,
    }


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1),
    st.sampled_from([1, 5, 10]),
)
def test_calibration_error_is_that_of_torchmetrics(pairs, bins):
    stated = [p for p, _ in pairs]
    # Both put a border into one of its bins, but not into the same.
    if any(abs(p * bins - round(p * bins)) < 1e-4 for p in stated):
        return
    right = [hit for _, hit in pairs]
    theirs = binary_calibration_error(
        torch.tensor(stated, dtype=torch.float64), torch.tensor(right).long(), n_bins=bins
    )
    assert calibration_error(stated, right, bins) == pytest.approx(theirs.item(), abs=1e-6)


def test_reliability_by_hand():
    table = reliability([0.0, 0.1, 0.45, 0.5, 1.0], [False, True, True, False, True], bins=2)
    assert table["count"].tolist() == [4, 1]
    assert table["stated"].tolist() == [pytest.approx(1.05 / 4), 1]
    assert table["right"].tolist() == [0.5, 1]
    assert calibration_error([0.0, 0.1, 0.45, 0.5, 1.0], [0, 1, 1, 0, 1], 2) == pytest.approx(
        (0.5 - 1.05 / 4) * 4 / 5
    )
    assert np.isnan(calibration_error([], []))
    assert reliability([], []).shape == (10, 5)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(InputError, match="1 sequences were predicted; there are 2"):
        entity_units([[], []], [[]])
    with pytest.raises(InputError, match="Sequence 1 has 1 labels, and 2 were predicted"):
        step_units([["a"], ["a"]], [["a"], ["a", "b"]])
    with pytest.raises(InputError, match="Sequence 0 has 1 labels"):
        segment_units([["a"]], [[]])
    with pytest.raises(InputError, match=r"1\.5 is no probability"):
        reliability([1.5], [True])
    with pytest.raises(InputError, match="nan is no probability"):
        calibration_error([float("nan")], [True])
    with pytest.raises(InputError, match="probabilities were given for"):
        calibration_error([0.5], [True, False])
