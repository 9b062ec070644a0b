"""Baselines of written answers: known answers, plain reference loops, and restored ones."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.scoring.baselines.dictionary import (
    Dictionary,
    Model1,
    dictionary,
    joined,
    words_of,
)
from elman.scoring.baselines.extracts import DAMPING, Extract, sentences_of, textrank
from elman.scoring.baselines.translations import CopySource, retrieval, target_ngrams
from elman.scoring.predictors import Asked, Baseline, restored
from elman.scoring.translations import candidates, selection_units

TOY = [("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")]


def split(pairs):
    return tuple(zip(*((one.split(), other.split()) for one, other in pairs), strict=True))


def plain_model1(source, target, iterations):
    """IBM model 1 as Brown et al. write it, a loop over words."""
    seen = defaultdict(set)
    for one, other in zip(source, target, strict=True):
        for word in ["", *one]:
            seen[word] |= set(other)
    t = {(f, e): 1 / len(seen[f]) for f in seen for e in seen[f]}
    for _ in range(iterations):
        counts, totals = defaultdict(float), defaultdict(float)
        for one, other in zip(source, target, strict=True):
            for e in other:
                below = sum(t[f, e] for f in ["", *one])
                for f in ["", *one]:
                    counts[f, e] += t[f, e] / below
                    totals[f] += t[f, e] / below
        t = {(f, e): counts[f, e] / totals[f] for f, e in t}
    return t


SENTENCE = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=5), st.integers(1, 4))
def test_model_1_is_that_of_the_plain_loop_and_its_likelihood_rises(pairs, iterations):
    source, target = zip(*pairs, strict=True)
    found = Model1.fit(source, target, iterations=iterations)
    for (f, e), probability in plain_model1(source, target, iterations).items():
        assert found.of(f)[e] == pytest.approx(probability, abs=1e-9)
    assert all(
        b >= a - 1e-9 for a, b in zip(found.likelihoods, found.likelihoods[1:], strict=False)
    )
    # Of each source word the probabilities sum to 1, and all target words come from some word.
    for word in found.source:
        assert sum(found.of(word).values()) == pytest.approx(1)


def test_model_1_learns_a_dictionary_from_what_occurs_together():
    found = Model1.fit(*split(TOY), iterations=50)
    assert found.best() == {"das": "the", "Haus": "house", "Buch": "book", "ein": "a"}
    assert found.of("Buch")["book"] > 0.95


def test_the_diagonal_decides_where_counts_do_not():
    pair = (["a b"], ["x y"])
    even = Model1.fit(*split(zip(*pair, strict=True)))
    assert even.of("a") == pytest.approx({"x": 0.5, "y": 0.5})
    drawn = Model1.fit(*split(zip(*pair, strict=True)), diagonal=True)
    assert drawn.of("a")["x"] > 0.9
    assert drawn.of("b")["y"] > 0.9


def test_a_corpus_that_is_too_large_is_drawn_from(monkeypatch):
    monkeypatch.setattr("elman.scoring.baselines.dictionary.MOST_LINKS", 60)
    source, target = split(TOY * 20)
    found = Model1.fit(source, target, seed=1)
    assert sum(found.fertility * 0) == 0
    assert set(found.target) <= {"the", "house", "book", "a"}
    again = Model1.fit(source, target, seed=1)
    assert (found.probability == again.probability).all()
    # 60 pairs of words are ten pairs of sentences of two words and none.
    assert found.likelihoods[-1] == pytest.approx(again.likelihoods[-1])


def test_a_text_is_translated_word_by_word():
    known = dictionary([one for one, _ in TOY], [other for _, other in TOY], diagonal=False)
    assert known(["Das Buch, das Haus."]) == ["The book, the house."]
    assert known(["ein Zebra"]) == ["a Zebra"]  # unknown words are copied
    assert Dictionary({"of": ""})(["Men of war"]) == ["Men war"]
    assert dictionary(["a man"] * 3, ["Ein Mann"] * 3)(["a"])[0].lower() == "ein"


def test_words_and_marks_are_taken_apart_and_joined():
    text = "“It's well-known”, he said (twice): 3 times!"
    assert joined(words_of(text)) == text
    assert words_of("一只狗 runs") == ["一", "只", "狗", "runs"]
    assert joined(["一", "只", "狗"]) == "一只狗"


def test_sentences_end_with_marks_or_lines():
    text = 'He said "No." Then 3.5 cm fell!\n\nwithout a mark\nbye'
    assert sentences_of(text) == ['He said "No.', "Then 3.5 cm fell!", "without a mark", "bye"]
    assert Extract("lead")([text, "", " \n"]) == ['He said "No.', "", ""]
    assert Extract("longest")([text]) == ["Then 3.5 cm fell!"]


def test_textrank_by_hand():
    # The middle sentence shares two words with the first, one with the last; these share none.
    sentences = ["red dog ran", "red dog slept here today", "here comes rain"]
    ranks = textrank(sentences)
    # All of the others goes to the middle: r = 0.15 / 3 + d (1 - r).
    middle = (0.05 + DAMPING) / (1 + DAMPING)
    # The lengths of the first and the last are equal, so its links weigh as 2 to 1.
    expected = [0.05 + DAMPING * middle * 2 / 3, middle, 0.05 + DAMPING * middle / 3]
    assert ranks == pytest.approx(expected, abs=1e-6)
    assert Extract("textrank")([". ".join(sentences) + "."]) == ["red dog slept here today."]
    assert textrank(["one"]) == pytest.approx([1.0])


def test_textrank_leaves_out_what_is_beyond_its_limit(monkeypatch):
    monkeypatch.setattr("elman.scoring.baselines.extracts.MOST_SENTENCES", 2)
    assert textrank(["a b", "a b", "a b"]) == pytest.approx([0.5, 0.5, 0.0])


SOURCE = ["a red dog runs", "a blue cat sleeps", "the train is late today"]
TARGET = ["ein roter Hund rennt", "eine blaue Katze schläft", "der Zug kommt heute spät"]


def test_the_target_of_the_likest_source_is_given():
    near = retrieval(SOURCE, TARGET)
    assert near(["the late train", "a cat sleeps", "a blue cat sleeps"]) == [
        TARGET[2],
        TARGET[1],
        TARGET[1],
    ]
    # What shares no word with any is answered by the first.
    assert near(["xyz"]) == [TARGET[0]]


def test_replies_are_chosen_in_the_way_that_validation_shows():
    topics = ["tea", "rain", "golf", "jazz", "cars", "math", "fish", "snow", "film", "rome"]
    asks = [f"what about {topic} ?" for topic in topics]
    echo = [f"{topic} is fine with us" for topic in topics]
    drawn = candidates(echo)
    direct = retrieval(["hello there"], ["good morning"], (asks, echo, drawn))
    assert selection_units(direct.choose(asks, echo, drawn))["recall_at_1"].mean() == 1
    # Replies that share no word with their context are known from those of training.
    other = [
        f"{word} indeed"
        for word in ("leaf", "wet", "club", "horn", "road", "sum", "net", "ice", "sun", "pope")
    ]
    learnt = retrieval(asks, other, (asks, other, candidates(other)))
    assert learnt.way == "neighbours"
    assert selection_units(learnt.choose(asks, other, drawn))["recall_at_1"].mean() == 1


def test_target_n_grams_cost_what_each_next_symbol_costs():
    targets = [np.array([1, 2, 3]), np.array([1, 2]), np.array([], int), np.array([2, 2, 1, 3])]
    grams = target_ngrams(targets, size=5, end=0, order=3)
    asked = [np.array([1, 2, 4]), np.array([], int), np.array([3])]
    nats, counts = grams(asked)
    assert counts.tolist() == [4, 1, 2]
    for target, found in zip(asked, nats, strict=True):
        history, cost = [0] * 3, 0.0  # a text begins after its first symbol, repeated
        for symbol in [*target.tolist(), 0]:
            cost -= np.log(grams.model.distribution(np.array(history))[symbol])
            history.append(symbol)
        assert found == pytest.approx(cost)


def test_every_baseline_is_the_same_when_it_is_restored():
    drawn = np.array([[0, 1], [1, 2], [2, 0]])
    maps = [
        CopySource(),
        dictionary(SOURCE, TARGET),
        Extract("textrank"),
        retrieval(SOURCE, TARGET, (SOURCE, TARGET, drawn)),
    ]
    for one in maps:
        asked = Asked(["A red cat is late.", "tödlich"], list, count=2)
        baseline = Baseline(one.kind, one, "cells")
        facts, arrays = baseline.to_state()
        again = restored(facts, arrays, None)
        assert again.outputs(asked) == baseline.outputs(asked)
    again = restored(*baseline.to_state(), None).map
    assert (again.choose(SOURCE, TARGET, drawn) == one.choose(SOURCE, TARGET, drawn)).all()
    grams = target_ngrams([np.array([1, 2]), np.array([2])], 3, 0)
    kept = restored(*Baseline("5-gram", grams, "arrays").to_state(), None)
    asked = Asked(None, lambda: [np.array([2, 1])], count=1)
    assert kept.outputs(asked)[0].tolist() == grams([np.array([2, 1])])[0].tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=4))
def test_any_text_is_kept(pairs):
    source, target = map(list, zip(*pairs, strict=True))
    found = retrieval(source, target)
    again = type(found).from_state(*found.to_state())
    assert (again.sources, again.targets) == (source, target)
    assert again(source) == found(source)
