"""A translator that goes on from another run: old symbols stay, new ones are added, and what was
forgotten is told."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from begun import only_begun

import elman
from elman.errors import InputError
from elman.runs import growing, pipeline
from elman.runs.folder import Run
from elman.runs.growing import Origin
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.translate.symbols import Symbols
from elman.training import Interrupted

Task = TASKS["translate"]
SMALL = {"unit": "words", "hidden_size": 32, "batch_size": 16, "lr": 0.01, "dropout": 0.0}
SMALL |= {"label_smoothing": 0.0, "resamples": 60, "beam": 2, "progress": False}
OLD, NEW = "0123456789", ("ten", "eleven", "twelve", "twenty", "thirty", "ninety")


def reversals(symbols, n, seed=1):
    """Symbols, and the same symbols from the last to the first."""
    draw = random.Random(seed)
    rows = [[draw.choice(symbols) for _ in range(draw.randint(2, 4))] for _ in range(n)]
    said = [(" ".join(row), " ".join(reversed(row))) for row in rows]
    return pd.DataFrame(said, columns=["source", "target"])


def copies(symbols, n, seed):
    """Symbols, and the same symbols in their order, which unlearns reversing."""
    table = reversals(symbols, n, seed)
    return table.assign(target=table["source"])


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A run on reversed digits, and beside it a file of new pairs."""
    folder = tmp_path_factory.mktemp("growing")
    reversals(OLD, 700).to_csv(folder / "old.csv", index=False)
    copies(NEW, 500, 2).to_csv(folder / "new.csv", index=False)
    elman.train("translate", folder / "old.csv", folder / "old", epochs=7, **SMALL)
    return folder / "old"


def grown(run, out, **how):
    how = {"epochs": 12, "progress": False} | how
    return elman.train("translate", run.parent / "new.csv", out, start_from=run, **how)


def first_and_second(how, rows=None, **more):
    """The task of a run and one that goes on from it, each with its model before training."""
    torch.manual_seed(0)
    tables = rows or (reversals(OLD, 80), reversals(NEW, 60, 2))
    first = Task.from_data(tables[0], settings_of(Task, {"hidden_size": 8, **how}))
    module = first.build().eval()
    origin = Origin(Run(Path("old")), first, module.state_dict(), None)
    asked = growing.settings_from(origin, settings_of(Task, more))
    second = first.grown(first, tables[1], asked)
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    return first, module, second, larger


@pytest.mark.parametrize("unit", ["words", "characters", "subwords"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"tied": False},
        {"vocabulary": "separate"},
        {"copying": True, "input_feeding": True},
        {"coverage": 1.0, "embedding_size": 5},
    ],
)
def test_before_training_old_symbols_have_their_old_chances(unit, how):
    first, module, second, larger = first_and_second(how | {"unit": unit}, rehearsal=0.5)
    count = len(first.symbols.target)
    assert second.symbols.target.symbols[:count] == first.symbols.target.symbols
    assert (len(second.symbols.target) > count) == (unit != "subwords")
    assert second.symbols.joint == (how.get("vocabulary") != "separate")
    part, chances = first._parts["test"], []
    for task, model in ((first, module), (second, larger)):
        batch = task.batch(*task._encoded_pairs(part.source, part.target))
        written = model.written(batch)
        scores = model.net.decoder.head(written.features)[..., :count]
        chances.append(scores.detach().softmax(-1))
    before, after = chances
    assert (after - before).square().mean().sqrt() <= 1e-5 * before.square().mean().sqrt()


def test_a_new_word_is_read_and_scored_as_the_unknown_one_was():
    first, module, second, larger = first_and_second({"unit": "words"})
    one = "eleven 1 twelve"
    costs = [
        task.costs(model, [task.symbols.read(one)], [task.symbols.write("1 2")])[0]
        for task, model in ((first, module), (second, larger))
    ]
    # The same scores, shared among more symbols.
    assert costs[1] > costs[0]
    states = [
        model.start(*(part[None] for part in (torch.tensor(task.symbols.read(one).ids),)),
                    torch.tensor([3]))[1][0]
        for task, model in ((first, module), (second, larger))
    ]  # fmt: skip
    assert torch.allclose(states[0][0][0], states[1][0][0], atol=1e-6)


def test_old_pairs_are_read_again_and_never_tested_on():
    first, _, second, _ = first_and_second({"unit": "words"}, rehearsal=0.5)
    _, _, alone, _ = first_and_second({"unit": "words"}, rehearsal=0)
    for part in ("train", "valid"):
        more = len(second._parts[part]) - len(alone._parts[part])
        assert more == round(0.5 * len(first._parts[part]))
        assert set(second._parts[part].source[-more:]) <= set(first._parts[part].source)
    assert second._parts["test"] == alone._parts["test"]
    assert dict(second.understood().lines)["rehearsed"].startswith("32 in train and 4 in valid")
    assert dict(alone.understood().lines)["rehearsed"] == "none of the old pairs"


def test_what_was_unknown_costs_nothing_before_or_after():
    rows = reversals(OLD, 80), reversals(NEW, 60, 2)
    test = pd.DataFrame({"source": ["1 2 3"], "target": ["eleven 2 1"]})
    first, module, second, larger = first_and_second({"unit": "words"}, rows)
    first._parts["test"] = Task.from_data(rows[0], first.settings, test=test)._parts["test"]
    then, now = second.before_and_after(first, module, larger)
    assert then.units["tokens"].tolist() == now.units["tokens"].tolist() == [3]
    [source], [target] = second._encoded_pairs(test["source"], test["target"])
    [each] = larger.costs(second.batch([source], [target])).tolist()
    assert now.units["nll"][0] == pytest.approx(sum(each[1:]), rel=1e-5)


def test_symbols_grow_and_stay_one_vocabulary_or_two():
    fit = {"size": None, "min_count": 1, "lower": False, "max_source": 9, "max_target": 9}
    one, other = (
        Symbols.fit([text], [text], ("words", "words"), joint=True, **fit)
        for text in ("a cat", "a dog")
    )
    assert one.grown(other).joint
    assert one.grown(other).target.symbols[-3:] == ["a", "cat", "dog"]
    assert one.known("a dog cat").tolist() == [True, False, True, True]


# A whole run


def test_a_run_learns_new_words_and_says_what_was_forgotten(old, tmp_path):
    alone = grown(old, tmp_path / "alone", rehearsal=0)
    again = grown(old, tmp_path / "again", rehearsal=0.5)
    lost, kept = (run.results["grown"] for run in (alone, again))
    for told in (lost, kept):
        assert "6 new (" in told["new"]
        assert told["before"] == pytest.approx(elman.evaluate(old)["test"])
    assert lost["forgotten"]
    assert any("has forgotten" in doubt for doubt in alone.results["understood"]["doubts"])
    assert not kept["forgotten"]
    assert kept["after"]["bleu"] > lost["after"]["bleu"] + 10
    assert again.results["test"]["bleu"] > 80
    said = again.model.predict(["ten ten twelve", "1 2 3"])["prediction"]
    assert said.tolist() == ["ten ten twelve", "3 2 1"]
    page = (tmp_path / "alone" / "report.html").read_text()
    assert "The old test part" in page
    # The grown run is a run as any other.
    assert elman.evaluate(tmp_path / "again")["test"] == pytest.approx(again.results["test"])
    reversals(("ten", "forty"), 40, 3).to_csv(tmp_path / "third.csv", index=False)
    third = elman.train(
        "translate", tmp_path / "third.csv", tmp_path / "third",
        start_from=tmp_path / "again", max_steps=2, beam=3, progress=False,
    )  # fmt: skip
    assert "1 new (forty)" in third.results["grown"]["new"]


def test_a_grown_run_that_was_stopped_ends_as_one_that_was_not(old, tmp_path, monkeypatch):
    whole = grown(old, tmp_path / "whole", epochs=None, max_steps=8)

    def stop(*arguments, **how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(growing, "remembered", stop)
        with pytest.raises(Interrupted, match="elman resume"):
            grown(old, tmp_path / "parts", epochs=None, max_steps=8)
    only_begun(tmp_path / "parts")
    parts = elman.resume(tmp_path / "parts", progress=False)
    assert parts.results["test"] == whole.results["test"]
    ours, theirs = whole.model.module.state_dict(), parts.model.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_sources_that_both_runs_share_are_doubted(old, tmp_path):
    mixed = pd.concat([pd.read_csv(old.parent / "old.csv", dtype=str), reversals(NEW, 40, 5)])
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    results = elman.train(
        "translate", tmp_path / "mixed.csv", tmp_path / "run",
        start_from=old, max_steps=2, progress=False,
    ).results  # fmt: skip
    doubts = " ".join(results["understood"]["doubts"])
    assert "test sources were learnt by the run that this one goes on from" in doubts
    assert "sources of the old test part stand in the new data" in doubts


def test_a_talker_learns_more_dialogues_and_refuses_pairs(tmp_path):
    def talks(name, topics, many):
        draw = random.Random(0)
        with open(tmp_path / name, "w") as file:
            for _ in range(many):
                one, other = draw.sample(topics, 2)
                file.write(f"do you like {one} ? __eou__ yes , {one} and {other} . __eou__ ok .\n")

    topics = [f"topic{letter}" for letter in "abcdefghijklm"]
    talks("old.txt", topics, 160)
    talks("new.txt", [f"{topic}s" for topic in topics], 160)
    how = {"unit": "words", "turns": 2, "hidden_size": 8, "max_steps": 3, "resamples": 20}
    elman.train("translate", tmp_path / "old.txt", tmp_path / "old", progress=False, **how)
    more = {"start_from": tmp_path / "old", "max_steps": 3, "progress": False}
    run = elman.train("translate", tmp_path / "new.txt", tmp_path / "new", **more)
    grown_by = run.results["grown"]
    assert "13 new" in grown_by["new"]
    assert grown_by["before"]["recall_at_1"] is not None
    assert run.model.task.where.talks
    train = pipeline.from_recorded_data(Run(run.path), Run(run.path).config())._parts["train"]
    [words] = [words for name, words in run.results["understood"]["lines"] if name == "rehearsed"]
    many = len(train) - int(words.split()[0])
    assert len(set(train.dialogues[:many]) & set(train.dialogues[many:])) == 0
    assert [s for s in train.source[many:] if "s ?" in s] == []
    reversals(OLD, 40).to_csv(tmp_path / "pairs.csv", index=False)
    assert elman.evaluate(run.path, tmp_path / "pairs.csv")["test"]["perplexity"] > 1
    with pytest.raises(InputError, match="learnt from dialogues"):
        elman.train("translate", tmp_path / "pairs.csv", tmp_path / "r", **more)
    talks("few.txt", topics[:5], 40)
    with pytest.raises(InputError, match=r"fewer than 10 different replies.*--test F"):
        elman.train("translate", tmp_path / "few.txt", tmp_path / "r", **more)


# What is refused


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"hidden_size": 8}, "hidden_size comes from the run.*there it is 32"),
        ({"cell": "lstm"}, "cell comes from the run.*'gru'"),
        ({"unit": "characters"}, "unit comes from the run"),
        ({"vocabulary": "separate"}, "vocabulary comes from the run"),
        ({"copying": True}, "copying comes from the run"),
        ({"metric": "chrf"}, "metric comes from the run"),
        ({"rehearsal": 2}, "rehearsal cannot be 2"),
    ],
)
def test_a_setting_that_shapes_the_model_is_refused(old, tmp_path, how, words):
    with pytest.raises(InputError, match=words):
        grown(old, tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


def test_columns_and_data_must_be_those_of_the_other_run(old, tmp_path):
    other = tmp_path / "other.csv"
    reversals(NEW, 30).rename(columns={"source": "said"}).to_csv(other, index=False)
    with pytest.raises(InputError, match="'source'"):
        elman.train("translate", other, tmp_path / "r", start_from=old, progress=False)
    with pytest.raises(InputError, match="nothing new in them"):
        elman.train("translate", old.parent / "old.csv", tmp_path / "r", start_from=old)
    assert not np.any([path.name == "r" for path in tmp_path.iterdir()])
