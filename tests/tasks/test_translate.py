"""`translate`: what it learns, how it writes, what it reads and what it refuses."""

from __future__ import annotations

import itertools
import random
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.errors import InputError, MissingExtra, PredictionWarning
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate import corpus
from elman.tasks.translate.judging import PENALTIES
from elman.tasks.translate.symbols import Symbols, words_of
from elman.tasks.translate.translator import IGNORED, Batch, Translator
from elman.tasks.translate.writing import Options, write

Task = TASKS["translate"]
SMALL = {
    "unit": "words",
    "hidden_size": 32,
    "epochs": 8,
    "batch_size": 16,
    "lr": 0.01,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "resamples": 20,
    "beam": 2,
}


def reversals(n, seed=1):
    """Digits, and the same digits from the last to the first."""
    draw = random.Random(seed)
    rows = [[draw.choice("0123456789") for _ in range(draw.randint(2, 4))] for _ in range(n)]
    return pd.DataFrame(
        {
            "source": [" ".join(row) for row in rows],
            "target": [" ".join(reversed(row)) for row in rows],
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a file of reversed digits."""
    folder = tmp_path_factory.mktemp("translate")
    reversals(700).to_csv(folder / "digits.tsv", sep="\t", index=False)
    return elman.train("translate", folder / "digits.tsv", folder / "run", progress=False, **SMALL)


def tiny(seed=0, unit="words", **given):
    """Return symbols of a few words and an untrained model with large weights."""
    torch.manual_seed(seed)
    texts = ["a b", "b a"]
    chosen = settings_of(Task, {"hidden_size": 6, "dropout": 0.0, **given})
    chosen = chosen.model_copy(update={"embedding_size": 6})
    symbols = Symbols.fit(
        texts, texts, (unit, unit), joint=True, size=None, min_count=1, lower=False,
        max_source=20, max_target=20,
    )  # fmt: skip
    model = Translator(symbols, chosen).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return symbols, model


def test_reversed_digits_are_learnt_and_the_verdict_says_so(run):
    assert run.results["metric"] == "bleu"
    assert run.results["test"]["bleu"] > 95
    assert run.results["test"]["perplexity"] < 1.2
    assert set(run.results["baselines"]) == {
        "copy the source",
        "dictionary, word by word",
        "nearest by TF-IDF",
    }
    assert run.results["verdict"].startswith("Worth using: bleu")
    lines = dict(run.results["understood"]["lines"])
    assert "sources apart" in lines["pairs"]
    assert lines["metric"].startswith("bleu, for the targets are about as long")


def test_texts_a_text_and_a_file_are_translated_alike(run, tmp_path):
    model = elman.load(run.path)
    texts = ["1 2 3", "9 8"]
    found = model.predict(texts)
    assert found["prediction"].tolist() == ["3 2 1", "8 9"]
    assert list(found) == ["row", "prediction", "score"]
    assert model.predict("1 2 3")["prediction"].tolist() == ["3 2 1"]
    (tmp_path / "new.txt").write_text("1 2 3\n9 8\n")
    assert model.predict(tmp_path / "new.txt")["prediction"].tolist() == ["3 2 1", "8 9"]
    every = model.predict(texts, proba=True)
    assert every["source"].tolist() == texts
    assert every["ended"].all()


def test_an_empty_source_has_no_answer(run):
    with pytest.warns(PredictionWarning, match=r"1 of 3 inputs is empty \(row 2\)"):
        table = run.model.predict(["1 2 3", " ", "4 5"])
    alone = run.model.predict(["1 2 3", "4 5"])
    assert table["prediction"].tolist() == [alone["prediction"][0], "", alone["prediction"][1]]
    with pytest.raises(InputError, match="All 2 inputs are empty"):
        run.model.predict(["", ""])
    with pytest.raises(InputError, match=r"The text is empty\. Give a text, a list of texts"):
        run.model.predict("")
    with pytest.raises(InputError, match="Entry 2 is None, no text"):
        run.model.predict(["9 8 7", None])


def test_several_answers_have_ranks_and_alignments_name_words_of_the_source(run):
    found = run.model.predict(["4 7 1"], n_best=3, alignments=True)
    assert found["rank"].tolist() == [1, 2, 3]
    assert found["score"].is_monotonic_decreasing
    assert found["prediction"].nunique() == 3
    assert [word for word, _ in found["alignment"][0]] == ["1", "7", "4"]
    assert {word for _, word in found["alignment"][0]} <= {"4", "7", "1"}


def test_an_answer_does_not_depend_on_the_others_that_are_asked_for(run):
    texts = ["1", "1 2 3 4", "3", "5 6", "7 7 7 7", "0 1 2"]
    together = run.model.predict(texts, n_best=2, proba=True)
    apart = [run.model.predict([text], n_best=2, proba=True) for text in texts]
    expected = pd.concat(apart, ignore_index=True)
    assert together["prediction"].tolist() == expected["prediction"].tolist()
    np.testing.assert_allclose(together["score"], expected["score"], atol=1e-5)


def test_drawing_at_random_is_repeated_by_its_seed(run):
    drawn = [
        run.model.predict(["1 2 3"], temperature=3.0, n_best=4, seed=seed)["prediction"].tolist()
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_drawn_depends_on_seed_and_row_alone(run):
    how = {"temperature": 3.0, "seed": 5}
    texts = ["1 2 3", "4 5 6 7", "1 2 3", "8 9"]
    every = run.model.predict(texts, **how)["prediction"].tolist()
    assert every[0] != every[2]
    assert run.model.predict(texts[:1], **how)["prediction"].tolist() == every[:1]
    with pytest.warns(PredictionWarning):
        some = run.model.predict(["9 8 7", "", "1 2 3", "1"], **how)["prediction"]
    assert some[2] == every[2]
    several = run.model.predict(texts[:2], n_best=3, **how)
    assert every[0] in several["prediction"][:3].tolist()


def test_it_is_judged_again_on_a_file_and_says_what_it_has_seen(run, tmp_path):
    again = elman.evaluate(run.path)
    assert again["test"] == pytest.approx(run.results["test"], rel=1e-4)
    trained = run.model.task._parts["train"]
    table = pd.DataFrame({"source": trained.source[:20], "target": trained.target[:20]})
    table.to_csv(tmp_path / "seen.csv", index=False)
    assert (
        "20 of these 20 sources were trained"
        in elman.evaluate(run.path, tmp_path / "seen.csv")["note"]
    )


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"top_k": 3}, "top_k is for drawing"),
        ({"beams": 3}, "beams is no option of writing"),
        ({"n_best": 0}, "n_best=0"),
        ({"temperature": 1.0, "beam": 3}, "beam is for search"),
        ({"temperature": 1.0, "min_length": 3}, "min_length is for search"),
        ({"min_length": 4, "max_length": 2}, "must be above min_length"),
    ],
)
def test_options_that_cannot_be_are_refused(run, how, said):
    with pytest.raises(InputError, match=said):
        run.model.predict(["1 2"], **how)


def test_a_baseline_answers_and_has_no_options(run):
    rule = elman.load(run.path, "copy")
    assert rule.predict(["1 2"])["prediction"].tolist() == ["1 2"]
    with pytest.raises(InputError, match="beam is for the model"):
        rule.predict(["1 2"], beam=3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"copying": True, "vocabulary": "separate"}, "vocabulary=joint"),
        ({"copying": True, "attention": "none"}, "copying needs attention"),
        ({"coverage": 1.0, "attention": "none"}, "coverage has no effect"),
        ({"input_feeding": True, "attention": "none"}, "input_feeding has no effect"),
    ],
)
def test_settings_without_effect_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        settings_of(Task, given)


def test_without_the_extra_nothing_begins(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingExtra, match=r"elman\[translate\]"):
        elman.train("translate", reversals(30), tmp_path / "run", progress=False, unit="words")
    assert not (tmp_path / "run").exists()


# Writing, against every text there is


MODELS = (
    {},
    {"copying": True},
    {"coverage": 1.0, "attention": "additive"},
    {"input_feeding": True},
    {"attention": "none", "cell": "lstm"},
    {"copying": True, "reverse_source": True, "bidirectional": False},
)


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    how=st.sampled_from(MODELS),
    alpha=st.sampled_from([0.0, 1.0]),
)
def test_a_wide_beam_finds_the_best_of_all_texts(seed, how, alpha):
    symbols, model = tiny(seed, **how)
    texts, most = ["a b strange", "b"], 2
    options = Options(beam=80, length_penalty=alpha, n_best=3, max_length=most + 1)
    found = write(model, symbols, texts, options, longest=9)
    for text, answers in zip(texts, found, strict=True):
        source = symbols.read(text)
        batch = Batch.of([source], [np.zeros(0, np.int64)], symbols.pad)
        size = len(symbols.target) + (len(source.unknown) if model.gate is not None else 0)
        usual = [i for i in range(size) if i not in (symbols.bos, symbols.pad, symbols.eos)]
        scored = []
        for n in range(most + 1):
            for ids in itertools.product(usual, repeat=n):
                tokens, state, memory = model.start(batch.source, batch.lengths)
                step, total = model.step(batch, memory), 0.0
                for i in (*ids, symbols.eos):
                    scores, state = step(tokens, state)
                    total += float(scores.detach().log_softmax(-1)[0, i])
                    tokens = torch.tensor([i])
                scored.append((total / ((6 + n) / 6) ** alpha, list(ids)))
        ended = [(a.score, a.ids) for a in answers if a.ended]
        best = sorted(scored, reverse=True)
        # A text that was cut may be among the best; those that ended are the best that do.
        assert [ids for _, ids in ended] == [ids for _, ids in best[: len(ended)]]
        for (score, _), (expected, _) in zip(ended, best, strict=False):
            assert score == pytest.approx(expected, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    how=st.sampled_from(MODELS),
    texts=st.lists(
        st.lists(st.sampled_from(["a", "b", "odd", "rare"]), min_size=1, max_size=9).map(" ".join),
        min_size=2,
        max_size=9,
    ),
    beam=st.integers(1, 4),
    temperature=st.sampled_from([None, 1.0]),
)
def test_sources_that_are_done_leave_the_batch_and_answers_stay(
    seed, how, texts, beam, temperature
):
    symbols, model = tiny(seed, **how)
    options = Options(beam=beam, length_penalty=1.0, n_best=beam, temperature=temperature)
    found = write(model, symbols, texts, options, longest=30)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Translator, "narrowed", lambda *_: None)
        whole = write(model, symbols, texts, options, longest=30)
    for some, others in zip(found, whole, strict=True):
        assert [one.text for one in some] == [one.text for one in others]
        assert [one.score for one in some] == pytest.approx([o.score for o in others], rel=1e-5)


def test_few_drawn_texts_are_costed_at_once(monkeypatch):
    symbols, model = tiny(3)
    how = symbols, ["a b", "b", "a a a"], Options(temperature=1.0, n_best=5), 30
    whole = write(model, *how)
    sizes, costs = [], Translator.costs
    monkeypatch.setattr("elman.tasks.translate.writing._COSTED", 40)
    monkeypatch.setattr(
        Translator,
        "costs",
        lambda self, some: (sizes.append(some.target.numel()), costs(self, some))[1],
    )
    few = write(model, *how)
    assert len(sizes) > 1
    assert max(sizes) <= 40
    for some, others in zip(few, whole, strict=True):
        assert [one.text for one in some] == [one.text for one in others]
        assert [one.score for one in some] == pytest.approx([o.score for o in others], rel=1e-5)


def test_with_a_closed_gate_the_source_is_copied_also_words_that_are_unknown():
    symbols, model = tiny(3, copying=True)
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.fill_(-30)
    [[answer]] = write(
        model, symbols, ["zebra quagga"], Options(beam=1, max_length=2, block_repeats=1), 9
    )
    assert set(answer.text.split()) == {"zebra", "quagga"}
    source = symbols.read("zebra b zebra")
    target = symbols.write("zebra", source)
    assert target.tolist() == [len(symbols.target), symbols.eos]
    batch = Batch.of([source], [target[:1]], symbols.pad)
    weights = model.written(batch).weights[0, 0].detach()
    assert float(model.costs(batch)[0, 0].detach()) == pytest.approx(
        -float(torch.log(weights[0] + weights[2])), abs=1e-4
    )


def test_an_unknown_word_is_the_one_that_was_looked_at():
    symbols, model = tiny(0)
    with torch.no_grad():  # only the unknown word is ever written
        model.net.decoder.head.bias.fill_(-1e4)
        model.net.decoder.head.bias[symbols.unk] = 1e4
    [[answer]] = write(model, symbols, ["okapi"], Options(beam=1, max_length=2), 9)
    assert answer.text == "okapi okapi"


def test_coverage_costs_what_is_attended_to_twice():
    symbols, model = tiny(1, coverage=2.0)
    sources = [symbols.read("a b a")]
    batch = Batch.of(sources, [symbols.write("b a b")], symbols.pad)
    weights = model.written(batch).weights[0].detach()
    twice = sum(
        float(torch.minimum(weights[t], weights[:t].sum(0)).sum()) for t in range(1, len(weights))
    )
    plain = float(model.costs(batch).sum().detach())
    assert float(model.loss(batch, 0.0).detach()) == pytest.approx(plain + 2 * twice, rel=1e-4)


def test_costs_do_not_depend_on_padding():
    symbols, model = tiny(2, copying=True, coverage=1.0)
    pairs = [("a b strange", "strange a"), ("b", "a b a"), ("a", "")]
    sources = [symbols.read(one) for one, _ in pairs]
    targets = [symbols.write(other, s) for (_, other), s in zip(pairs, sources, strict=True)]
    together = model.costs(Batch.of(sources, targets, symbols.pad)).detach()
    for row in range(len(pairs)):
        alone = model.costs(Batch.of([sources[row]], [targets[row]], symbols.pad)).detach()
        length = len(targets[row])
        torch.testing.assert_close(together[row, :length], alone[0, :length], atol=1e-5, rtol=1e-4)
        assert not together[row, length:].any()
    assert IGNORED < 0


# Data


def test_a_text_that_holds_a_special_symbol_is_text():
    symbols, _ = tiny()
    assert symbols.read("a <eos> b").ids.tolist().count(symbols.eos) == 0


@pytest.mark.parametrize("unit", ["characters", "subwords"])
def test_words_are_found_again_in_their_parts(unit):
    text = "to be or not"
    symbols = Symbols.fit(
        [text], [text], (unit, unit), joint=True, size=300, min_count=1, lower=False,
        max_source=99, max_target=99,
    )  # fmt: skip
    words, places = words_of(symbols.source, symbols.read(text).ids.tolist())
    assert words == text.split()
    assert sorted(set(places)) == [0, 1, 2, 3]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60), st.integers(0, 99))
def test_pairs_of_one_source_are_in_one_part(sources, seed):
    if len(set(sources)) < 3:
        return
    pairs = SimpleNamespace(
        source=sources,
        target=["x"] * len(sources),
        places=[(None, i) for i in range(len(sources))],
        parts=[None] * len(sources),
        groups=None,
    )
    chosen = settings_of(Task, {"seed": seed, "valid_fraction": 0.2, "test_fraction": 0.2})
    parts, _ = corpus.parts_of(pairs, chosen, [])
    held = [set(part.source) for part in parts.values()]
    assert sum(map(len, held)) == len(set(sources))
    assert sum(map(len, parts.values())) == len(sources)


def test_much_shorter_targets_are_judged_as_summaries():
    rng = random.Random(0)
    words = [f"word{i}" for i in range(50)]
    rows = [[rng.choice(words) for _ in range(30)] for _ in range(40)]
    table = pd.DataFrame(
        {"body": [" ".join(r) for r in rows], "subject": [" ".join(r[:3]) for r in rows]}
    )
    made = Task.from_data(table, settings_of(Task, {"unit": "words", "hidden_size": 8}))
    assert (made.metric, made.settings.block_repeats) == ("rouge1", 3)
    assert "much shorter" in str(made.understood())
    assert [one.name for one in made.predictors()][:3] == [
        "first sentence",
        "longest sentence",
        "TextRank",
    ]
    model = made.build()
    assert made.settle(model)["length_penalty"] in PENALTIES
    assert 0 <= made.evaluate(model).metrics["rouge1"] <= 100
    told = Task.from_data(table, settings_of(Task, {"unit": "words", "metric": "chrf"}))
    assert told.metric == "chrf"


def test_a_test_part_that_is_too_dear_is_drawn_from_and_it_is_said():
    table = reversals(200)
    given = {"unit": "words", "hidden_size": 8, "judge_at_most": 7}
    made = Task.from_data(table, settings_of(Task, given))
    again = Task.from_data(table, settings_of(Task, given))
    assert len(made._parts["test"]) == 7
    assert made._parts["test"] == again._parts["test"]
    assert "7 of 20 pairs of the test part" in str(made.understood())


def test_sources_without_targets_are_no_data_to_learn_from(tmp_path):
    (tmp_path / "a.txt").write_text("one line\nanother line\n")
    with pytest.raises(InputError, match="no targets"):
        Task.from_data(tmp_path / "a.txt", settings_of(Task, {}))
