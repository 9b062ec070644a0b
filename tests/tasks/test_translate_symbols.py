"""`translate` from and to lists of symbols: letters to phonemes, and the like."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.data.kinds import objects
from elman.errors import InputError
from elman.scoring import translations
from elman.scoring.baselines.dictionary import Dictionary, dictionary
from elman.scoring.translations import Judge
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate.symbols import Symbols

Task = TASKS["translate"]
SMALL = {"hidden_size": 24, "batch_size": 16, "lr": 0.01, "dropout": 0.0, "resamples": 20}
SMALL |= {"label_smoothing": 0.0, "beam": 2, "progress": False}
SOUNDS = {"a": ["AH."], "b": ["B"], "c": ["K"], "x": ["K", "S"], "o": ["OW"], "p": ["P"]}


def spelled(many, seed=0):
    """Words as lists of letters, and their sounds; no word twice."""
    draw, found = random.Random(seed), {}
    while len(found) < many:
        word = tuple(draw.choice(list(SOUNDS)) for _ in range(draw.randint(2, 5)))
        found[word] = [sound for letter in word for sound in SOUNDS[letter]]
    return [{"source": list(word), "target": sounds} for word, sounds in found.items()]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def made(rows, **wanted):
    columns = {name: objects([row[name] for row in rows]) for name in rows[0]}
    return Task.from_data(pd.DataFrame(columns), settings_of(Task, {"hidden_size": 8, **wanted}))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on letters and sounds."""
    folder = tmp_path_factory.mktemp("symbols")
    data = lines(folder / "spelled.jsonl", spelled(400))
    return elman.train("translate", data, folder / "run", epochs=12, **SMALL)


def test_lists_are_read_symbol_by_symbol_and_it_is_said(run):
    told = dict(run.results["understood"]["lines"])
    assert "In 'source' each entry of a list is a symbol." in told["read"]
    assert "In 'target' each entry of a list is a symbol." in told["read"]
    assert told["symbols"].startswith("symbols; ")
    assert told["metric"] == "accuracy of whole targets, for these are lists of symbols"
    assert "AH." in run.model.task.symbols.target.symbols  # no mark is split off
    assert run.results["metric"] == "accuracy"
    assert set(run.results["test"]) == {"accuracy", "error_rate", "perplexity"}
    assert run.results["test"]["accuracy"] > 0.9
    assert run.results["test"]["error_rate"] < 0.05
    assert "dictionary, word by word" in run.results["baselines"]


def test_answers_are_lists_however_they_are_asked_for(run, tmp_path):
    model = elman.load(run.path)
    found = model.predict([["b", "o", "x"], ["c", "a"]])
    assert found["prediction"].tolist() == [["B", "OW", "K", "S"], ["K", "AH."]]
    assert model.predict(["b o x", "c a"])["prediction"].tolist() == found["prediction"].tolist()
    rows = [{"source": ["b", "o", "x"]}, {"source": ["c", "a"]}]
    there = model.predict(lines(tmp_path / "a.jsonl", rows), proba=True)
    assert there["prediction"].tolist() == found["prediction"].tolist()
    assert there["source"].tolist() == [["b", "o", "x"], ["c", "a"]]
    frame = pd.DataFrame({"source": objects([["c", "a"]])})
    assert model.predict(frame)["prediction"].tolist() == [["K", "AH."]]
    several = model.predict([["c", "a"]], n_best=2, alignments=True)
    assert several["rank"].tolist() == [1, 2]
    assert [said for said, _ in several["alignment"][0]] == ["K", "AH."]
    kept = pd.read_parquet(run.path / "predictions.parquet")
    assert all(isinstance(one, list | np.ndarray) for one in kept["reference"])


def test_a_stopped_run_ends_as_one_that_was_not_and_a_judged_one_is_judged_alike(run, tmp_path):
    part = shutil.copytree(run.path, tmp_path / "part")
    for name in ("model.safetensors", "results.json", "metrics.jsonl"):
        (part / name).unlink()
    (part / "checkpoints").mkdir(exist_ok=True)
    again = elman.resume(part, progress=False)
    assert again.results["test"] == run.results["test"]
    new = lines(tmp_path / "new.jsonl", spelled(40, seed=5))
    assert elman.evaluate(run.path, new)["test"]["accuracy"] > 0.8


def test_a_run_on_symbols_goes_on(run, tmp_path):
    new = [
        {"source": ["z", *row["source"]], "target": ["Z", *row["target"]]} for row in spelled(60)
    ]
    more = {"start_from": run.path, "max_steps": 3, "progress": False}
    grown = elman.train("translate", lines(tmp_path / "z.jsonl", new), tmp_path / "z", **more)
    assert grown.results["grown"]["new"] == "12 symbols and 2 new (Z, z)"
    assert grown.results["grown"]["before"]["accuracy"] == run.results["test"]["accuracy"]


def test_columns_with_blanks_between_symbols_are_read_alike():
    listed = made(spelled(40))
    rows = [{name: " ".join(cell) for name, cell in row.items()} for row in spelled(40)]
    written = made(rows, unit="symbols")
    assert written.symbols.target.symbols == listed.symbols.target.symbols
    assert written.metric == "accuracy"
    assert "what stands between blanks is a symbol" in dict(written.understood().lines)["read"]


@pytest.mark.parametrize(
    ("side", "units", "metric"),
    [
        ("target", ("characters", "symbols"), "accuracy"),
        ("source", ("symbols", "subwords"), "bleu"),
    ],
)
def test_one_side_may_be_text(side, units, metric):
    other = "source" if side == "target" else "target"
    rows = []
    for row in spelled(60):
        texts = "".join(row[other]) if other == "source" else f"it sounds {' '.join(row[other])}"
        rows.append({side: row[side], other: texts})
    task = made(rows)
    assert task.symbols.units == units
    assert task.metric == metric
    assert task.settings.vocabulary == "separate"
    assert not task.symbols.joint
    assert dict(task.understood().lines)["symbols"].startswith(" and ".join(units))
    again = Symbols.from_json(json.loads(json.dumps(task.symbols.to_json())))
    assert again.units == units
    with pytest.raises(InputError, match="copying needs both sides to be made of the same"):
        made(rows, copying=True)
    with pytest.raises(InputError, match="vocabulary=joint needs both sides to be made of"):
        made(rows, vocabulary="joint")


def test_lists_are_texts_where_a_unit_of_texts_is_set():
    task = made(spelled(40), unit="words")
    assert task.symbols.units == ("words", "words")
    assert task.metric == "bleu"
    read = dict(task.understood().lines)["read"]
    assert "Lists in 'source' are read as texts of words, a blank between entries." in read


# What is refused


@pytest.mark.parametrize("entry", ["new york", "", " "])
def test_an_entry_with_a_blank_inside_is_no_symbol(tmp_path, entry):
    rows = spelled(20)
    rows[3]["target"] = ["B", entry]
    data = lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=r"'target' is empty or has a blank.*row 4\).*unit=words"):
        elman.train("translate", data, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"metric": "bleu"}, "metric=bleu is for targets that are texts.*accuracy, error_rate"),
        ({"metric": "accuracy", "unit": "words"}, "metric=accuracy is for targets that are lists"),
        ({"metric": "recall_at_1"}, "is for dialogues"),
    ],
)
def test_scores_of_other_targets_are_refused(wanted, said):
    with pytest.raises(InputError, match=said):
        made(spelled(20), **wanted)


def test_dialogues_are_not_made_of_symbols(tmp_path):
    (tmp_path / "talks.txt").write_text(
        "".join(f"hi {n} . __eou__ hello {n} . __eou__ bye .\n" for n in range(9))
    )
    with pytest.raises(InputError, match="unit=symbols is for lists of symbols"):
        Task.from_data(tmp_path / "talks.txt", settings_of(Task, {"unit": "symbols"}))


# Scores


def edits(one, other):
    """Levenshtein's distance, by its definition."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


texts = st.lists(st.sampled_from(["AH.", "B", "K"]), min_size=1, max_size=7)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.just([]) | texts, texts), min_size=1, max_size=6))
def test_accuracy_and_error_rate_are_those_of_their_definition(pairs):
    said, known = ([" ".join(row) for row in side] for side in zip(*pairs, strict=True))
    found = translations.scores(said, known, Judge(("symbols",)))
    assert found["accuracy"] == pytest.approx(np.mean([a == b for a, b in pairs]))
    wrong, many = sum(edits(a, b) for a, b in pairs), sum(len(b) for _, b in pairs)
    assert found["error_rate"] == pytest.approx(wrong / many)


def test_a_rate_of_errors_may_be_the_headline_and_less_is_better():
    task = made(spelled(20), metric="error_rate")
    assert not task.higher_is_better
    assert task.judge.kinds == ("symbols",)


def test_a_dictionary_of_symbols_parts_no_mark_from_them():
    found = dictionary(["a b", "b a", "A"], ["x. y", "y x.", "Z"], plain=True)
    assert found(["b a", "A"]) == ["y x.", "Z"]
    facts, arrays = found.to_state()
    assert Dictionary.from_state(facts, arrays)(["b a"]) == ["y x."]
    assert not Dictionary.from_state({"words": {"a": "b"}}, {}).plain  # as older runs kept it
