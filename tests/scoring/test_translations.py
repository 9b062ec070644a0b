"""BLEU, chrF, ROUGE and the choice of replies: known answers, and equality with the libraries."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from elman.errors import InputError, MissingExtra
from elman.scoring import Evaluation
from elman.scoring.bootstrap import bootstrap
from elman.scoring.consensus import alike, expected
from elman.scoring.translations import (
    Judge,
    candidates,
    distinct,
    each,
    score,
    scores,
    selection_units,
)

WORDS = st.sampled_from(["the", "dog", "Dog", "runs", "ein", "Hund", "läuft", ",", ".", "(a)", "7"])
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS, lowercase=st.booleans(), seed=st.integers(0, 9))
def test_every_resample_has_the_scores_of_the_libraries(pairs, lowercase, seed):
    judge = Judge(lowercase=lowercase)
    units = judge.units(*zip(*pairs, strict=True))
    rows = np.random.default_rng(seed).integers(0, len(pairs), len(pairs))
    for chosen in (np.arange(len(pairs)), rows):
        ours, theirs = zip(*(pairs[row] for row in chosen), strict=True)
        found = score(units.iloc[chosen])
        bleu = sacrebleu.metrics.BLEU(lowercase=lowercase).corpus_score(ours, [theirs])
        assert found["bleu"] == pytest.approx(bleu.score, abs=1e-9)
        chrf = sacrebleu.metrics.CHRF(lowercase=lowercase).corpus_score(ours, [theirs])
        assert found["chrf"] == pytest.approx(chrf.score, abs=1e-9)
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
        rouge = [scorer.score(t, o) for o, t in zip(ours, theirs, strict=True)]
        for name in ("rouge1", "rouge2", "rougeL"):
            mean = 100 * np.mean([one[name].fmeasure for one in rouge])
            assert found[name] == pytest.approx(mean, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), lowercase=st.booleans())
def test_texts_are_as_alike_as_the_libraries_say(texts, lowercase):
    rouge, judge = Judge(("chrf", "rouge"), lowercase), Judge(("bleu", "chrf"), lowercase)
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    chrf = sacrebleu.metrics.CHRF(lowercase=lowercase)
    for row, one in enumerate(texts):
        words = [100 * scorer.score(other, one)["rouge1"].fmeasure for other in texts]
        assert alike(texts, rouge)[row] == pytest.approx(words)
        characters = [chrf.sentence_score(one, [other]).score for other in texts]
        assert alike(texts, judge)[row] == pytest.approx(characters)


def test_the_text_most_like_the_likely_ones_has_the_best_expected_score():
    scores = alike(["a b c d", "a b x", "a b y", "q"], Judge(("rouge",)))
    chances = [0.3, 0.25, 0.25, 0.2]
    found = expected(scores, chances)
    assert found.argmax() == 1
    assert found[3] == pytest.approx(20)
    assert found == pytest.approx(expected(scores, np.array(chances) * 7))


def test_scores_of_a_known_case():
    # Of the output's 6 words 5 are right, of its 5 pairs 3, of its 4 triples 1, of its fours 0.
    found = scores(["the cat sat on the mat"], ["the cat is on the mat"])
    expected = 100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / (2 * 3)) ** 0.25
    assert found["bleu"] == pytest.approx(expected)
    assert found["rouge1"] == pytest.approx(100 * 5 / 6)
    assert found["rouge2"] == pytest.approx(100 * 3 / 5)
    assert found["rougeL"] == pytest.approx(100 * 5 / 6)


def test_signatures_name_versions_and_what_was_done():
    said = Judge(lowercase=True).signatures()
    assert said["bleu"] == (
        f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    )
    assert said["chrf"].startswith("nrefs:1|case:lc|eff:yes|nc:6|nw:0|space:no|")
    assert "Porter" in said["rouge"]
    assert set(Judge(("rouge",)).signatures()) == {"rouge"}


def test_words_of_other_scripts_count_in_rouge_and_bleu():
    russian = ["собака бежит по траве"]
    assert scores(russian, russian)["rouge1"] == pytest.approx(100)
    assert Judge.of(russian) == Judge(stemmed=False)
    assert Judge.of(["今日は犬が走る"]).tokenize == "char"
    chinese = ["一只狗在草地上跑"]
    assert scores(chinese, chinese)["bleu"] == pytest.approx(100)


def test_the_bootstrap_takes_rows_and_gives_a_paired_interval():
    truth = [f"a dog number {n} runs on the green grass" for n in range(40)]
    good = [text if n % 4 else "no" for n, text in enumerate(truth)]
    bad = [text if n % 2 else "no" for n, text in enumerate(truth)]
    judge = Judge.of(truth, ("bleu", "chrf"))
    ours, theirs = (Evaluation(judge.units(some, truth), score) for some in (good, bad))
    found = bootstrap(ours, {"bad": theirs}, "bleu", True, 50, 0)
    low, high = found.comparison.ci95
    assert 0 < low < ours.metrics["bleu"] - theirs.metrics["bleu"] < high


def test_each_example_has_its_own_chrf():
    truth = ["a dog runs", "two cats sleep", ""]
    units = Judge().units(["a dog runs", "dogs", ""], truth)
    single = [
        sacrebleu.sentence_chrf(o, [t]).score
        for o, t in zip(["a dog runs", "dogs", ""], truth, strict=True)
    ]
    assert each(units) == pytest.approx(single)


def test_distinct_counts_different_n_grams_of_words():
    found = distinct(["a b a b", "a b", ""])
    assert found == {"distinct_1": 2 / 6, "distinct_2": 2 / 4}
    assert np.isnan(distinct([""])["distinct_1"])


def test_candidates_hold_the_true_reply_first_and_no_text_twice():
    replies = [f"reply {n % 15}" for n in range(40)]
    found = candidates(replies, 10, seed=3)
    assert found[:, 0].tolist() == list(range(40))
    for row in found:
        assert len({replies[n] for n in row}) == 10
    assert (found == candidates(replies, 10, seed=3)).all()
    assert (found != candidates(replies, 10, seed=4)).any()
    # Every other text is drawn about as often: 40 rows give 9 of 14 each.
    drawn = np.bincount([int(replies[n].split()[1]) for n in found[:, 1:].ravel()], minlength=15)
    assert drawn.min() > 10
    with pytest.raises(InputError, match="10 different ones are needed; there are 9"):
        candidates([str(n % 9) for n in range(20)])


def test_recall_is_fair_among_equal_scores():
    ties = selection_units(np.zeros((4, 10)))
    assert ties["recall_at_1"].tolist() == [0.1] * 4
    assert ties["recall_at_5"].tolist() == [0.5] * 4
    matrix = np.arange(10)[None] * np.array([[1.0], [-1.0]])
    found = selection_units(matrix)
    assert found["recall_at_1"].tolist() == [0.0, 1.0]
    assert found["recall_at_5"].tolist() == [0.0, 1.0]
    assert score(found) == {"recall_at_1": 0.5, "recall_at_5": 0.5}
    fifth = selection_units([[5.0, 9, 8, 7, 6, 4, 3, 2, 1, 0]])
    assert fifth.iloc[0].tolist() == [0.0, 1.0]
    with pytest.raises(InputError, match="not a number"):
        selection_units([[np.nan, 1.0]])


def test_perplexity_comes_from_all_tokens():
    units = Judge(("bleu",)).units(["a", "b"], ["a", "c"])
    units["nll"], units["tokens"] = [np.log(4), 2 * np.log(2)], [1, 3]
    assert score(units)["perplexity"] == pytest.approx(2.0)


def test_what_is_wrong_is_said(monkeypatch):
    with pytest.raises(InputError, match="1 outputs for 2 references"):
        scores(["a"], ["a", "b"])
    with pytest.raises(InputError, match="nothing to score"):
        scores([], [])
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingExtra, match=r"elman\[translate\]"):
        scores(["a"], ["a"])
