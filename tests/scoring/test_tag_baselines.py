"""Simple taggers: by hand, and on data whose answer is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from elman.errors import MissingExtra
from elman.scoring.baselines.tags import (
    REACH,
    TaggedPart,
    crf,
    majority,
    most_frequent_tag,
    token_accuracy,
    window_features,
    window_logistic_regression,
)

TRAIN = TaggedPart(
    [["the", "dog", "walked"], ["a", "walk", "talked"], ["the", "walk", "the", "walk"]],
    [["D", "N", "V"], ["D", "V", "V"], ["D", "N", "D", "N"]],
)


def test_a_word_gets_its_commonest_tag_and_an_unknown_one_that_of_all():
    # walk: N twice, V once. D and N are equally common: the first in the alphabet.
    assert most_frequent_tag(TRAIN, None)([["walk", "ran", ""], []]) == [["N", "D", "D"], []]


def test_endings_are_used_for_unknown_words_where_validation_says_so():
    by_ending = TaggedPart([["jumped"]], [["V"]])
    assert most_frequent_tag(TRAIN, by_ending)([["hiked", "log"]]) == [["V", "N"]]
    commonest = TaggedPart([["jumped"]], [["D"]])
    assert most_frequent_tag(TRAIN, commonest)([["hiked", "log"]]) == [["D", "D"]]


def test_features_of_a_word_know_two_neighbours_on_each_side():
    words = ["a", "b", "c", "D", "e", "f", "g"]
    found = window_features(words)
    assert len(found) == len(words)
    around = {feature for feature in found[3] if feature[0] in "-12"}
    assert around == {
        *("-2:l=b", "-2:f=x", "-1:l=c", "-1:f=x", "1:l=e", "1:f=x", "2:l=f", "2:f=x"),
        "-1|0=c|d",
    }
    assert {"w=D", "l=d", "f=X", "p=d", "s=d", "0|1=d|e"} <= set(found[3])
    assert "first" in found[0]
    assert "last" in found[-1]


def alternating(rng, sentences):
    """A word's tag is told by the word before it alone: no tagger of single words can know."""
    inputs, tags = [], []
    for _ in range(sentences):
        words = [str(word) for word in rng.choice(["red", "blue"], 8)]
        inputs.append(words)
        tags.append(["O", *("B-x" if word == "red" else "O" for word in words[:-1])])
    return TaggedPart(inputs, tags)


def test_a_crf_learns_from_neighbours_what_single_words_do_not_tell():
    rng = np.random.default_rng(0)
    train, valid, test = (alternating(rng, size) for size in (60, 10, 20))
    assert crf(train, valid)(test.inputs) == test.tags
    alone = most_frequent_tag(train, valid)(test.inputs)
    assert token_accuracy(alone, test.tags) < 0.7
    assert crf(train, None)([[], ["red", "red"]]) == [[], ["O", "B-x"]]


def test_the_penalty_is_chosen_by_the_score():
    rng = np.random.default_rng(0)
    train, valid = alternating(rng, 20), alternating(rng, 3)
    asked = []

    def second_best_first(tags):
        assert [len(row) for row in tags] == [8] * 3
        asked.append(tags)
        return {1: 0.0, 2: 1.0, 3: 0.5}[len(asked)]

    found = crf(train, valid, score=second_best_first)(valid.inputs)
    assert len(asked) == 3
    assert found == asked[1]


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycrfsuite", None)
    with pytest.raises(MissingExtra, match=r"pip install 'elman\[tag\]'"):
        crf(TRAIN, None)


def test_majority():
    train = [["b", "a"], ["a", "b", "b"]]
    assert majority(train)([[0.5] * 2, []]) == [["b", "b"], []]


def waves(rng, count):
    """Steps of noise around a level for 'up' and another for 'down'; a second channel is 0."""
    inputs, tags = [], []
    for _ in range(count):
        labels = np.repeat(rng.permutation(["up", "down", "up"]), 20)
        level = np.where(labels == "up", 1.0, -1.0) + rng.normal(0, 1.5, 60)
        inputs.append(np.stack([100 + 5 * level, np.zeros(60)], 1))
        tags.append(list(labels))
    return TaggedPart(inputs, tags)


def test_windows_of_values_tell_what_single_steps_do_not():
    rng = np.random.default_rng(1)
    train, valid, test = (waves(rng, size) for size in (20, 4, 10))
    found = window_logistic_regression(train, valid)(test.inputs)
    # The sign of a single step is right 75 % of the time.
    single = [["up" if x > 100 else "down" for x in one[:, 0]] for one in test.inputs]
    assert token_accuracy(single, test.tags) < 0.8
    assert token_accuracy(found, test.tags) > 0.88
    assert [len(one) for one in found] == [60] * 10


def test_windows_take_short_and_empty_series_and_labels_that_training_lacks():
    rng = np.random.default_rng(2)
    train = waves(rng, 4)
    valid = TaggedPart([np.zeros((3, 2))], [["new"] * 3])
    short = [np.full((1, 2), 110.0), np.empty((0, 2)), np.full((REACH, 2), 90.0)]
    for found in (
        window_logistic_regression(train, valid)(short),
        window_logistic_regression(train, None)(short),
    ):
        assert found == [["up"], [], ["down"] * REACH]
    assert window_logistic_regression(train, None)([]) == []
