"""`translate` on dialogues: perplexity, the choice of replies, variety, and baselines for each."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import run_on_talks, talks

import elman
from elman.data.formats.pairs import read_pairs
from elman.errors import InputError
from elman.scoring.translations import candidates, distinct, distinct_units, score
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate import corpus, dialogues
from elman.tasks.translate.corpus import Part, Where, part_of
from elman.tasks.translate.symbols import Symbols

Task = TASKS["translate"]
SMALL = {
    "unit": "words", "hidden_size": 24, "epochs": 10, "batch_size": 16, "lr": 0.02,
    "dropout": 0.0, "label_smoothing": 0.0, "resamples": 40, "beam": 2, "turns": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a file of dialogues."""
    return run_on_talks(tmp_path_factory.mktemp("talks"), SMALL)


@pytest.mark.fuzz
def test_a_model_of_dialogues_is_judged_by_choice_likelihood_and_variety(run):
    found = run.results
    test, baselines = found["test"], found["baselines"]
    assert (found["metric"], found["higher_is_better"]) == ("recall_at_1", True)
    assert set(baselines) == {"nearest by TF-IDF", "5-gram"}
    assert test["recall_at_1"] > 0.5
    assert test["recall_at_1"] <= test["recall_at_5"] <= 1
    # The topic of a reply is in its context, which n-grams of replies do not see.
    assert test["perplexity"] < baselines["5-gram"]["perplexity"]
    assert test["perplexity_per_word"] < baselines["5-gram"]["perplexity_per_word"]
    # Every symbol is a word here, and each reply has an end.
    assert test["perplexity_per_word"] == pytest.approx(test["perplexity"])
    for name in ("recall_at_1", "recall_at_5", "perplexity_per_word", "distinct_1", "distinct_2"):
        low, high = found["ci95"][name]
        assert low <= test[name] <= high
    low, high = found["ci95"]["perplexity_per_word"]
    assert low < high
    assert set(found["baselines_ci95"]["5-gram"]) == {"perplexity", "perplexity_per_word"}
    assert "recall at 1" in found["verdict"]


@pytest.mark.fuzz
def test_the_report_and_what_was_understood_say_how_replies_were_chosen(run):
    count = len(run.model.task._parts["test"])
    said = str(run.model.task.understood())
    assert f"told from 9 of other dialogues of the test part, for {count} contexts" in said
    page = (run.path / "report.html").read_text()
    assert f"For {count} contexts the true reply stood among 9 of other dialogues" in page
    assert "TF-IDF orders them by the likeness of a reply" in page
    assert "distinct-1" in page


@pytest.mark.fuzz
def test_a_loaded_run_judges_alike_with_its_kept_baselines(run):
    again = elman.evaluate(run.path, None)
    assert again["test"] == pytest.approx(run.results["test"], rel=1e-4)
    assert again["baselines"].keys() == run.results["baselines"].keys()
    for name, scores in run.results["baselines"].items():
        assert again["baselines"][name] == pytest.approx(scores)


def test_pairs_in_a_table_are_dialogues_of_one_reply_for_a_run_on_dialogues():
    pairs = read_pairs(pd.DataFrame({"source": ["a b", "c"], "target": ["d", "e f"]}))
    assert part_of(pairs, Where(None, None, longest=9)).dialogues == [0, 1]
    assert part_of(pairs, Where("source", "target", longest=9)).dialogues is None


TALK = "I: word3 is 4\nB: word5 is 1\nI: so it is\nB: yes\n"


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (f"{TALK}\n" * 3, ["word3 is 4", "word5 is 1", "so it is"] * 3),
        (TALK, ["word3 is 4", "word5 is 1", "so it is"]),
        ("word3 is 4\nis it so ?\n", ["word3 is 4", "is it so ?"]),
        ("Note: it is 4\nis it so ?\nso it is\n", ["Note: it is 4", "is it so ?", "so it is"]),
    ],
)
def test_dialogues_to_answer_are_read_as_those_of_training(tmp_path, text, sources):
    path = tmp_path / "dia.txt"
    path.write_text(text)
    asked, where = settings_of(Task, {}), Where(None, None, longest=9)
    assert corpus.read(path, asked, where, answered=False).source == sources
    if text.startswith(TALK):
        assert corpus.read(path, asked, where).source == sources


def test_too_few_dialogues_are_refused_with_the_file_and_what_to_do(tmp_path):
    path = tmp_path / "result.json"
    said = [{"from": "AB"[n % 2], "text": f"is it {n} ?"} for n in range(20)]
    path.write_text(json.dumps({"name": "Ann", "messages": said}))
    with pytest.raises(InputError) as failed:
        Task.from_data(path, settings_of(Task, {}))
    assert failed.value.file == path
    assert "There is one dialogue, too few to share out to 3 parts" in str(failed.value)
    assert "a column such as conversation" in str(failed.value)
    same = tmp_path / "same.txt"
    same.write_text("hello there friend __eou__ yes __eou__\n" * 80)
    with pytest.raises(InputError, match="There are 80 dialogues, all alike, which count as one"):
        Task.from_data(same, settings_of(Task, {}))
    alone = settings_of(Task, {"valid_fraction": 0.0, "test_fraction": 0.0, "unit": "words"})
    assert "19 train" in str(Task.from_data(path, alone).understood())
    pairs = pd.DataFrame({"source": ["a b", "A b"], "target": ["x", "y"]})
    with pytest.raises(InputError, match=r"There is one source, too few .* Give more pairs;"):
        Task.from_data(pairs, settings_of(Task, {}))


@pytest.mark.fuzz
def test_n_grams_write_no_reply(run):
    with pytest.raises(InputError, match="5-gram says how likely a reply is; it writes none"):
        elman.load(run.path, "5-gram").predict(["do you like tea ?"])


def test_few_dialogues_are_judged_by_perplexity():
    few = [{"turns": turns} for turns in talks(12)]
    table = pd.DataFrame(
        [
            {"conversation": n, "order": place, "text": text}
            for n, one in enumerate(few)
            for place, text in enumerate(one["turns"])
        ]
    )
    made = Task.from_data(table, settings_of(Task, {"unit": "words", "hidden_size": 8}))
    assert (made.metric, made.higher_is_better) == ("perplexity", False)
    assert "fewer than 10 different replies" in str(made.understood())
    model = made.build()
    metrics = made.evaluate(model).metrics
    assert math.isnan(metrics["recall_at_1"])
    assert metrics["perplexity"] > 1
    assert made.settle(model)["length_penalty"] in (0.0, 0.5, 1.0, 1.5, 2.0)


def test_metrics_of_dialogues_are_refused_for_pairs():
    pairs = pd.DataFrame({"source": ["a b"] * 30, "target": ["c d"] * 30})
    with pytest.raises(InputError, match="metric=perplexity is for dialogues"):
        Task.from_data(pairs, settings_of(Task, {"metric": "perplexity"}))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 5)), min_size=4, max_size=40),
    st.integers(0, 99),
)
def test_other_replies_come_from_other_dialogues(pairs, seed):
    texts, numbers = [text for text, _ in pairs], [number for _, number in pairs]
    own = {n: {t for t, other in pairs if other == n} for n in numbers}
    if min(len(set(texts) - said) for said in own.values()) < 2:
        with pytest.raises(InputError, match="without the others of its dialogue"):
            candidates(texts, 3, seed, dialogues=numbers)
        return
    found = candidates(texts, 3, seed, dialogues=numbers)
    for row, (true, *others) in enumerate(found.tolist()):
        assert true == row
        assert len({texts[n] for n in others}) == 2
        assert not {texts[n] for n in others} & own[numbers[row]]


def test_the_reply_that_costs_least_a_symbol_is_chosen():
    part = Part(
        [f"c{n}" for n in range(12)], [f"r{n}" for n in range(12)], [(None, 1)] * 12,
        list(range(12)),
    )  # fmt: skip
    asked = dialogues.choice(part, 3)
    assert asked is not None

    def costs(sources, replies):
        same = [s[1:] == r[1:] for s, r in zip(sources, replies, strict=True)]
        return np.where(same, 1.0, 2.0)

    units = pd.DataFrame({"nll": np.zeros(12)})
    dialogues.with_selection(units, asked, lambda a: dialogues.chosen_by_cost(costs, part, a))
    assert units["recall_at_1"].tolist() == [1.0] * 12
    opposite = pd.DataFrame({"nll": np.zeros(12)})
    dialogues.with_selection(opposite, asked, lambda a: -dialogues.chosen_by_cost(costs, part, a))
    assert opposite["recall_at_5"].tolist() == [0.0] * 12


def test_what_a_reply_costs_anywhere_is_taken_off_as_far_as_validation_says():
    part = Part(
        [f"c{n}" for n in range(12)], [f"r{n}" for n in range(12)], [(None, 1)] * 12,
        list(range(12)),
    )  # fmt: skip
    asked = dialogues.choice(part, 3)
    assert asked is not None

    def costs(sources, replies):
        # The later a reply, the dearer it is anywhere; after its own context it is cheaper.
        same = [s[1:] == r[1:] for s, r in zip(sources, replies, strict=True)]
        return np.array([float(r[1:]) for r in replies]) - np.array(same)

    usual, held = dialogues.usual_of(costs, part, asked, part, seed=0)
    assert usual.weight == 1.0
    np.testing.assert_allclose(held, dialogues.chosen_by_cost(costs, part, asked, usual))
    assert len(set(usual.contexts)) == 4
    for taken_off, least, most in ((usual, 1.0, 1.0), (dialogues.Usual(), 0.0, 0.5)):
        units = pd.DataFrame({"nll": np.zeros(12)})
        dialogues.with_selection(
            units, asked, lambda a, u=taken_off: dialogues.chosen_by_cost(costs, part, a, u)
        )
        assert least <= units["recall_at_1"].mean() <= most

    def alike(sources, replies):
        return np.zeros(len(replies))

    usual, held = dialogues.usual_of(alike, part, asked, part, seed=0)
    assert usual.weight == 0.0
    assert not held.any()


def test_only_some_contexts_are_asked_and_the_others_do_not_count(monkeypatch):
    monkeypatch.setattr(dialogues, "_CONTEXTS", 4)
    part = Part(["c"] * 20, [f"r{n}" for n in range(20)], [(None, 1)] * 20, list(range(20)))
    asked = dialogues.choice(part, 0)
    assert asked is not None
    assert asked.among[:, 0].tolist() == asked.rows.tolist()
    units = pd.DataFrame({"nll": np.zeros(20)})
    dialogues.with_selection(units, asked, lambda a: np.eye(10)[[0, 0, 1, 1]])
    assert units["recall_at_1"].notna().sum() == 4
    assert score(units)["recall_at_1"] == 0.5


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), min_size=1))
def test_shares_of_n_grams_add_up_to_the_different_ones(texts):
    words = [word for text in texts for word in text.split()]
    units = distinct_units(texts)
    assert units["distinct_1.different"].sum() == pytest.approx(len(set(words)))
    assert units["distinct_1.all"].sum() == len(words)
    if words:
        assert distinct(texts)["distinct_1"] == pytest.approx(len(set(words)) / len(words))


def test_words_are_counted_without_regard_to_the_symbols():
    texts = ["Well , hello there .", "no"]
    for unit in ("words", "characters"):
        symbols = Symbols.fit(
            texts, texts, (unit, unit), joint=True, size=None, min_count=1, lower=False,
            max_source=99, max_target=8,
        )  # fmt: skip
        ids = [symbols.write(text) for text in texts]
        # Eight characters hold "Well , h", two words and a mark, and no end.
        assert dialogues.words_in(texts, ids, symbols) == [6 if unit == "words" else 3, 2]
