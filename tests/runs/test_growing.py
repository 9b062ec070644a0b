"""A run that goes on from another one keeps what that knew, grows by what is new, and says what it
has forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from begun import only_begun
from hypothesis import given, settings, strategies
from torch import Tensor

import elman
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.modalities.base import Indexed
from elman.registry import absent
from elman.runs import growing, pipeline
from elman.runs.folder import FORMAT, Run
from elman.runs.growing import Origin
from elman.tasks import TASKS
from elman.tasks.base import Growing
from elman.tasks.growing import drawn
from elman.tasks.settings import settings_of
from elman.training import Interrupted, seed

SMALL = {"hidden_size": 16, "embedding_size": 16, "resamples": 60, "progress": False}
OLD = {"good": ("splendid", "fine"), "bad": ("dreadful", "poor")}
NEW = {"bad": ("dire", "awful"), "long": ("endless", "lengthy")}
PAIRS = [
    (task, modality)
    for task in TASKS
    if issubclass(TASKS[task], Growing) and hasattr(TASKS[task], "outputs")
    for modality in TASKS[task].modalities()
]


def reviews(words: dict[str, tuple[str, ...]], count: int, draw: int) -> pd.DataFrame:
    """Sentences with a label that one of their words decides."""
    rng = np.random.default_rng(draw)
    rows = []
    for number in range(count):
        label = list(words)[number % len(words)]
        some = ["film", "story", "with", "a", "slow", "plot", "and", "music"]
        said = [*rng.choice(some, 5), str(rng.choice(words[label]))]
        rng.shuffle(said)
        rows.append((" ".join(said), label))
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    """A finished classifier of two labels, and beside it the files `old.csv` and `new.csv`."""
    folder = tmp_path_factory.mktemp("growing")
    reviews(OLD, 240, 1).to_csv(folder / "old.csv", index=False)
    reviews(NEW, 240, 2).to_csv(folder / "new.csv", index=False)
    elman.train("classify", folder / "old.csv", folder / "old", max_steps=80, lr=0.01, **SMALL)
    return folder / "old"


def beside(run: Path, name: str = "new.csv") -> Path:
    return run.parent / name


def grown(run: Path, out: Path, **how: Any) -> Any:
    how = {"max_steps": 80, "lr": 0.01, "progress": False} | how
    return elman.train("classify", beside(run), out, start_from=run, **how)


# What is taken over


@given(
    old=strategies.lists(strategies.integers(0, 30), unique=True, min_size=1),
    more=strategies.lists(strategies.integers(0, 30), unique=True),
    order=strategies.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_every_entry_of_an_old_name_is_kept_wherever_it_stands(old, more, order):
    new = list(dict.fromkeys([*old, *more]))
    order.shuffle(new)
    axes = {"both": (0, 1), "columns": (1,)}
    before = {"both": torch.randn(len(old), len(old)), "columns": torch.randn(3, len(old))}
    begins = {"both": torch.randn(len(new), len(new)), "columns": torch.randn(3, len(new))}
    before["whole"], begins["whole"] = torch.randn(2), torch.zeros(2)
    made = growing.carried(
        before, begins, [Indexed("names", old, axes)], [Indexed("names", new, axes)]
    )
    for i, a in enumerate(new):
        known = a in old
        column = before["columns"][:, old.index(a)] if known else begins["columns"][:, i]
        assert torch.equal(made["columns"][:, i], column)
        for j, b in enumerate(new):
            both = known and b in old
            value = before["both"][old.index(a), old.index(b)] if both else begins["both"][i, j]
            assert torch.equal(made["both"][i, j], value)
    assert torch.equal(made["whole"], before["whole"])


def other_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table, in which some labels and tags are new."""
    if "target" not in frame or pd.api.types.is_numeric_dtype(frame["target"]):
        return frame

    def renamed(cell: Any) -> Any:
        if isinstance(cell, list):
            return [renamed(one) for one in cell]
        return {"odd": "aside", "high": "a peak"}.get(cell, str(cell).replace("-name", "-called"))

    return frame.assign(target=frame["target"].map(renamed))


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_before_training_a_grown_model_gives_the_old_answers(task, modality):
    if absent(MODALITIES[modality].modules):
        pytest.skip("an extra is missing")
    kind = TASKS[task]
    wanted = {"hidden_size": 8, "num_layers": 1, "modality": modality, "test_fraction": 0.3}
    if kind.reads(modality) is None:
        del wanted["modality"]
    seed(0)
    first = kind.from_data(kind.example(modality, 60), settings_of(kind, wanted))
    module = first.build().eval()
    origin = Origin(Run(Path("old")), first, module.state_dict(), None)
    asked = growing.settings_from(origin, settings_of(kind, {"rehearsal": 0.5}))
    second = first.grown(first, other_answers(kind.example(modality, 40, 1)), asked)
    seed(5)
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    names = {one.what: list(one.names) for one in first.indexed()}
    for was, now in zip(first.indexed(), second.indexed(), strict=True):
        assert list(now.names[: len(was.names)]) == names[was.what]
    answers, after = old_answers(first, module, second, larger)
    assert answers.numel()
    assert (after - answers).square().mean().sqrt() <= 1e-5 * answers.square().mean().sqrt()


@pytest.mark.parametrize(("task", "modality"), [("classify", "text"), ("tag", "tokens")])
def test_before_training_new_words_are_read_as_unknown_ones_were(task, modality):
    kind = TASKS[task]
    first = kind.from_data(kind.example(modality, 60), settings_of(kind, {"hidden_size": 8}))
    module = first.build().eval()
    origin = Origin(Run(Path("old")), first, module.state_dict(), None)
    rows = kind.example(modality, 40, 1)

    def said(cell: Any) -> Any:
        return [f"{w}q" for w in cell] if isinstance(cell, list) else cell.replace("and", "yet")

    second = first.grown(
        first,
        rows.assign(input=rows["input"].map(said)),
        growing.settings_from(origin, settings_of(kind, {})),
    )
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    cells = second._parts["train"].inputs
    ours, theirs = (
        np.concatenate([np.atleast_2d(one) for one in t.outputs(net, t._encode(cells))])
        for t, net in ((second, larger), (first, module))
    )
    assert len(second.indexed()[0].names) > len(first.indexed()[0].names)
    np.testing.assert_allclose(ours[:, : theirs.shape[1]], theirs, rtol=1e-4, atol=1e-6)


def old_answers(first: Any, module: Any, second: Any, larger: Any) -> tuple[Tensor, Tensor]:
    """What both models give for the old test part, of the old names alone."""
    found = first._asked(None)
    ours = second.outputs(larger, second._encode(found.inputs))
    theirs = first.outputs(module, first._encode(found.inputs))
    last = first.indexed()[-1:]
    count = len(last[0].names) if last and last[0].what in ("classes", "tags") else None
    if count is not None:  # the most that they could be is that of the new ones
        assert len(second.indexed()[-1].names) > count
    before, after = (
        torch.from_numpy(np.concatenate([np.atleast_2d(one)[:, :count] for one in each]))
        for each in (theirs, ours)
    )
    return (before, after) if count is None else (before.softmax(-1), after.softmax(-1))


@pytest.mark.parametrize("unit", ["characters", "words"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_grown_language_model_gives_old_symbols_their_old_chances(unit, tied):
    kind = TASKS["generate"]
    wanted = {"hidden_size": 8, "num_layers": 1, "embedding_size": 6, "epochs": 1, "min_count": 1}
    wanted |= {"unit": unit, "tied": tied}
    texts = [pd.DataFrame({"text": [text] * 30}) for text in ("ab ba aab", "ab xyz zz")]
    first = kind.from_data(texts[0], settings_of(kind, wanted))
    module = first.build().eval()
    origin = Origin(Run(Path("old")), first, module.state_dict(), None)
    asked = growing.settings_from(origin, settings_of(kind, {"rehearsal": 0.5}))
    second = first.grown(first, texts[1], asked)
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    count = len(first.vocabulary)
    assert second.vocabulary.symbols[:count] == first.vocabulary.symbols
    assert len(second.vocabulary) > count
    ids = torch.from_numpy(first._tokens["test"].ids.astype(np.int64))[:, None]
    ours, theirs = (net(ids)[0][..., :count].softmax(-1) for net in (larger, module))
    assert (ours - theirs).square().mean().sqrt() <= 1e-5 * theirs.square().mean().sqrt()
    # Stretches of the old text are read again, each as a document of its own.
    fresh = kind.grown(first, texts[1], asked.model_copy(update={"rehearsal": 0.0}))
    more = second._tokens["train"].ids.size - fresh._tokens["train"].ids.size
    half = 0.5 * first._tokens["train"].ids.size
    assert half <= more <= 1.6 * half
    assert second._tokens["test"].ids.tolist() == fresh._tokens["test"].ids.tolist()
    then, now = second.before_and_after(first, module, larger)
    assert then.units["count"].sum() == now.units["count"].sum() > 0


def test_several_labels_and_two_networks_grow():
    kind = TASKS["classify"]
    first_rows = [("a b c", ["x"]), ("b c d", ["x", "y"]), ("c d e", ["y"]), ("d e a", ["x"])] * 12
    more_rows = [("f g a", ["z"]), ("g a b", ["z", "x"]), ("h a f", ["y", "z"])] * 14
    tables = [pd.DataFrame(r, columns=["text", "labels"]) for r in (first_rows, more_rows)]
    wanted = {"hidden_size": 4, "members": 2, "test_fraction": 0.2}
    first = kind.from_data(tables[0], settings_of(kind, wanted))
    module = first.build().eval()
    origin = Origin(Run(Path("old")), first, module.state_dict(), "it is gone.")
    asked = growing.settings_from(origin, settings_of(kind, {}))
    assert asked.rehearsal == 0
    second = first.grown(first, tables[1], asked)
    assert second.classes == ["x", "y", "z"]
    larger = second.build().eval()
    growing.begin(larger, second, origin)
    inputs = first._asked(None).inputs
    ours, theirs = (
        np.stack(task.outputs(net, task._encode(inputs)))
        for task, net in ((second, larger), (first, module))
    )
    np.testing.assert_allclose(ours[:, :2], theirs, rtol=1e-5)


def test_a_share_leaves_out_no_class():
    strata = ["a"] * 50 + ["b"] * 2 + ["c"]
    rows = drawn(len(strata), 0.1, 0, strata)
    assert [strata[row] for row in rows] == ["a"] * 5 + ["b", "c"]
    assert drawn(3, 0.0, 0).size == 0
    assert drawn(4, 1.0, 0).tolist() == [0, 1, 2, 3]


# A whole run


def test_without_rehearsal_more_is_forgotten(old, tmp_path):
    alone = grown(old, tmp_path / "alone", rehearsal=0).results
    again = grown(old, tmp_path / "again", rehearsal=0.5).results
    for results in (alone, again):
        told = results["grown"]
        assert "2 classes and 1 new (long)" in told["new"]
        assert "4 new" in told["new"]
        assert told["before"] == elman.evaluate(old)["test"]
        assert results["test"]["accuracy"] > 0.9
    lost, kept = alone["grown"], again["grown"]
    assert lost["forgotten"]
    assert lost["between"][1] < 0
    assert any("has forgotten" in doubt for doubt in alone["understood"]["doubts"])
    assert not kept["forgotten"]
    assert kept["after"]["accuracy"] > lost["after"]["accuracy"] + 0.2
    assert not any("has forgotten" in doubt for doubt in again["understood"]["doubts"])
    page = (tmp_path / "alone" / "report.html").read_text()
    assert "The old test part" in page
    assert "has forgotten" in page
    # The grown run is a run as any other: from it another one goes on.
    run = tmp_path / "again"
    model = elman.load(run)
    assert model.task.classes == ["bad", "good", "long"]
    assert model.predict(["an endless film"])["prediction"].tolist() == ["long"]
    assert pipeline.scored_again(Run(run)).metrics == pytest.approx(again["test"])
    reviews({"short": ("brief",), "good": ("great",)}, 80, 3).to_csv(tmp_path / "third.csv")
    third = elman.train(
        "classify", tmp_path / "third.csv", tmp_path / "third",
        start_from=run, max_steps=3, progress=False,
    )  # fmt: skip
    assert "3 classes and 1 new (short)" in third.results["grown"]["new"]
    assert third.results["grown"]["before"] == pytest.approx(again["test"])


def test_a_grown_run_that_was_stopped_ends_as_one_that_was_not(old, tmp_path, monkeypatch):
    whole = grown(old, tmp_path / "whole", max_steps=12)

    def stop(*arguments: Any, **how: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(growing, "remembered", stop)
        with pytest.raises(Interrupted, match="elman resume"):
            grown(old, tmp_path / "parts", max_steps=12)
    only_begun(tmp_path / "parts")
    parts = elman.resume(tmp_path / "parts", progress=False)
    assert parts.results["test"] == whole.results["test"]
    ours, theirs = whole.model.module.state_dict(), parts.model.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_old_data_that_are_gone_are_told_and_not_rehearsed(old, tmp_path):
    run, file = tmp_path / "run", tmp_path / "then.csv"
    reviews(OLD, 60, 4).to_csv(file, index=False)
    elman.train("classify", file, run, max_steps=2, **SMALL)
    file.unlink()
    shutil.copy(beside(old), tmp_path / "new.csv")
    with pytest.raises(InputError, match=r"rehearsal=0.5 has no effect.*no longer there"):
        grown(run, tmp_path / "a", rehearsal=0.5)
    assert not (tmp_path / "a").exists()
    results = grown(run, tmp_path / "b", max_steps=2).results
    assert "cannot be known" in results["grown"]["words"]
    assert results["grown"]["forgotten"] is None
    assert Run(tmp_path / "b").config()["settings"]["rehearsal"] == 0
    # What the run went on from must stay what it was, where the run reads its own data again.
    (run / "model.safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="other weights"):
        elman.evaluate(tmp_path / "b")
    shutil.rmtree(run)
    with pytest.raises(InputError, match="no longer there"):
        elman.evaluate(tmp_path / "b")
    assert len(elman.load(tmp_path / "b").predict(["a dire film"])) == 1


def test_examples_that_both_runs_share_are_doubted(old, tmp_path):
    mixed = pd.concat([pd.read_csv(beside(old, "old.csv")), reviews(NEW, 40, 5)])
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    results = elman.train(
        "classify", tmp_path / "mixed.csv", tmp_path / "run",
        start_from=old, max_steps=2, progress=False,
    ).results  # fmt: skip
    doubts = " ".join(results["understood"]["doubts"])
    assert "test examples were learnt by the run that this one goes on from" in doubts
    assert "examples of the old test part stand in the new data" in doubts


# What is refused


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"hidden_size": 32}, "hidden_size comes from the run.*there it is 16"),
        ({"unit": "characters"}, "unit comes from the run"),
        ({"cell": "lstm"}, "cell comes from the run.*'gru'"),
        ({"mixup": 0.1}, "mixup means nothing for the input"),
        ({"ema_decay": 0.5, "averaging": "none"}, "ema_decay has no effect"),
        ({"rehearsal": 2}, "rehearsal cannot be 2"),
    ],
)
def test_a_setting_that_shapes_the_model_is_refused(old, tmp_path, how, words):
    with pytest.raises(InputError, match=words):
        grown(old, tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


def test_a_task_that_cannot_grow_is_refused_and_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "TASKS", {"rank": type("Rank", (), {})})  # of another package
    (tmp_path / "config.yaml").write_text(f"format: {FORMAT}\ntask: rank\nsettings: {{}}\n")
    with pytest.raises(InputError) as refused:
        growing.check(Run(tmp_path), "rank")
    assert "a run of rank cannot go on with new data yet" in str(refused.value)
    assert "Put the old data and the new ones together" in str(refused.value)
    assert "elman train rank DATA, without --from" in str(refused.value)


def test_what_cannot_be_gone_on_from_is_refused(old, tmp_path):
    new = beside(old)
    with pytest.raises(InputError, match="this run is of the task classify"):
        elman.train("regress", new, tmp_path / "r", start_from=old, progress=False)
    with pytest.raises(InputError, match="rehearsal has no effect: this run goes on from no"):
        elman.train("classify", new, tmp_path / "r", rehearsal=0.2, progress=False)
    with pytest.raises(InputError, match="nothing new in them"):
        elman.train("classify", beside(old, "old.csv"), tmp_path / "r", start_from=old)
    with pytest.raises(InputError, match="None was given"):
        elman.train("classify", None, tmp_path / "r", start_from=old, progress=False)
    other = tmp_path / "other.csv"
    reviews(NEW, 40, 1).rename(columns={"text": "said"}).to_csv(other, index=False)
    with pytest.raises(InputError, match=r"other.csv.*'text'"):
        elman.train("classify", other, tmp_path / "r", start_from=old, progress=False)
    copy = shutil.copytree(old, tmp_path / "copy")
    (copy / "results.json").unlink()
    with pytest.raises(InputError, match=r"not finished.*elman resume"):
        elman.train("classify", new, tmp_path / "r", start_from=copy, progress=False)
    with pytest.raises(InputError, match=r"format 1.*Train it again"):
        elman.train(
            "classify", new, tmp_path / "r",
            start_from=Path(__file__).parent / "format_1" / "classify", progress=False,
        )  # fmt: skip
    assert not (tmp_path / "r").exists()
