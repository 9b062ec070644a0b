"""Every task with every modality that it reads keeps what tasks and modalities promise.

A new task or modality is covered by being registered: the data are made up by
`Modality.example` and `Task.example`.
"""

from __future__ import annotations

import functools
import html
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.errors import InputError
from elman.inspect import runs as doctor
from elman.modalities import MODALITIES
from elman.nn.transformer import trainable
from elman.registry import absent
from elman.runs import reference, report
from elman.runs.folder import Run
from elman.scoring.predictors import CannotSay
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.training import fit, seed

pytestmark = pytest.mark.xdist_group("conformance")  # so that runs are trained once

PAIRS = [(task, modality) for task in TASKS for modality in TASKS[task].modalities()]
EXAMPLES = 60
# Small, and without what draws at random outside training.
SMALL = {"hidden_size": 8, "max_steps": 4, "batch_size": 8, "resamples": 20, "cell": "gru"}


def settings(task: str, modality: str, **more: Any) -> dict[str, Any]:
    """Settings for a model that can be trained in a moment, and streams where any would."""
    known = type(settings_of(TASKS[task], {})).model_fields
    wanted = {
        **SMALL,
        "num_layers": 1,
        "embedding_size": 8,
        "bidirectional": False,
        "precision": "float32",
        "horizon": 5,
        "modality": modality,
        "test_fraction": 0.2,
        **more,
    }
    other = MODALITIES[modality].Settings.model_fields
    own = TASKS[task].Settings.model_fields
    return {k: v for k, v in wanted.items() if k in known and (k in own or k in other)}


def needs(modality: str) -> None:
    missing = absent(MODALITIES[modality].modules)
    if missing:
        pytest.skip(f"{modality} needs {', '.join(missing)}")


@functools.cache
def data(task: str, modality: str) -> Any:
    return TASKS[task].example(modality, EXAMPLES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of a task on a modality, trained once."""
    made: dict[tuple[str, str], Any] = {}

    def train(task: str, modality: str) -> Any:
        needs(modality)
        if (task, modality) not in made:
            out = tmp_path_factory.mktemp("runs") / f"{task}-{modality}"
            given = settings(task, modality)
            with pytest.MonkeyPatch.context() as patch:
                if made:  # the pictures of training are those of any task
                    patch.setattr(report, "_training", lambda *_: {"losses": "", "watched": ""})
                made[task, modality] = elman.train(
                    task, data(task, modality), out, progress=False, **given
                )
        return made[task, modality]

    return train


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_a_codec_keeps_its_promises(modality: str) -> None:
    needs(modality)
    kind = MODALITIES[modality]
    task = next(t for t, m in PAIRS if m == modality and TASKS[t].reads(m) is not None)
    made = TASKS[task].from_data(
        data(task, modality), settings_of(TASKS[task], settings(task, modality))
    )
    codec, cells = made.codec, kind.example(12, np.random.default_rng(1))
    arrays = [codec.encode(cell) for cell in cells]
    # There and back.
    for array in arrays:
        decoded = codec.decode(array)
        if decoded is not None:
            np.testing.assert_allclose(codec.encode(decoded), array, atol=1e-5)
    # Through JSON.
    again = kind.codec(json.loads(json.dumps(codec.to_json())), made.settings)
    for cell, array in zip(cells, arrays, strict=True):
        np.testing.assert_array_equal(again.encode(cell), array)
    # Padding hides nothing and adds nothing.
    batch = codec.batch(arrays)
    assert batch.lengths.tolist() == [len(a) for a in arrays]
    for row, array in enumerate(arrays):
        np.testing.assert_array_equal(batch.inputs[row, : len(array)].numpy(), array)
    reader, width = codec.reader()
    assert reader.eval()(batch.inputs).shape == (*batch.inputs.shape[:2], width)
    # Augmentation leaves lengths and shapes alone.
    altered = codec.augment(batch)
    assert altered.inputs.shape == batch.inputs.shape
    assert altered.lengths.tolist() == batch.lengths.tolist()
    # Features are as many for every cell, and finite.
    features = codec.features(cells)
    found = features.of(cells[:3])
    assert found.shape == (3, features.train.shape[1])
    assert "{}" in features.title
    dense = found.toarray() if hasattr(found, "toarray") else found
    assert np.isfinite(dense).all()
    # A sequence is nearest to itself.
    for distance in codec.distances:
        nearest = distance.nearest(arrays, arrays[:4])
        assert nearest is None or nearest.tolist() == [0, 1, 2, 3]
    assert len(codec.show(arrays[0]).steps) == len(arrays[0])


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_a_run_is_judged_reported_and_loaded(trained: Any, task: str, modality: str) -> None:
    run = trained(task, modality)
    results = run.results
    assert results["metric"] in results["test"]
    assert results["baselines"], "a score without baselines"
    assert results["verdict"]
    assert json.loads((run.path / "results.json").read_text()) == results
    page = (run.path / "report.html").read_text()
    assert results["verdict"].split(".")[0][:20] in page
    loaded, asked = elman.load(run.path), data(task, modality)
    pd.testing.assert_frame_equal(
        loaded.predict(asked), run.model.predict(asked), check_exact=False, rtol=1e-5
    )


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_an_answer_does_not_depend_on_its_batch(trained: Any, task: str, modality: str) -> None:
    model, asked = trained(task, modality).model, data(task, modality)
    together = model.predict(asked)
    if "forecast" in together:
        pytest.skip("one series is one row")
    first = model.predict(asked.iloc[:5])
    numbers = together.select_dtypes("number").columns.difference(["row"])
    np.testing.assert_allclose(
        together[numbers].iloc[: len(first)], first[numbers], atol=2e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_stopping_and_going_on_is_not_stopping(task: str, modality: str, tmp_path: Path) -> None:
    needs(modality)

    def go(folder: Path | None, *, stop: int | None, resume: bool = False) -> Any:
        given = settings(task, modality, max_steps=6, schedule="constant", warmup=0.0)
        chosen = settings_of(TASKS[task], given)
        seed(0)
        made = TASKS[task].from_data(data(task, modality), chosen)
        seed(0)
        model = made.build()
        wanted = (
            made.settings if stop is None else made.settings.model_copy(update={"max_steps": stop})
        )
        fit(made.objective(model), made.batches(), wanted, run=folder, resume=resume)
        return model.state_dict()

    whole = go(tmp_path / "whole", stop=None)
    go(tmp_path / "parts", stop=3)
    parts = go(tmp_path / "parts", stop=None, resume=True)
    for name, value in whole.items():
        assert torch.equal(parts[name], value), name


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_a_stream_says_what_the_whole_says(trained: Any, task: str, modality: str) -> None:
    run = trained(task, modality)
    made, module = run.model.task, run.model.module
    try:
        stream = run.model.stream()
    except InputError as error:
        pytest.skip(f"cannot stream: {error}")
    asked = data(task, modality)
    if hasattr(made, "said"):  # from examples
        cell = MODALITIES[modality].example(1, np.random.default_rng(3))[0]
        pieces = made.codec.cut(cell)
        [output] = made.outputs(module, [made.codec.encode(cell)])
        whole = made.said(torch.from_numpy(np.atleast_2d(output)[-1:]))
    elif "date" in asked:
        pieces = asked.rename(columns={"date": "time"}).to_dict("records")
        whole = run.model.predict(asked)["forecast"].tolist()
    else:
        pieces = made.codec.cut(str(asked["text"].iloc[0]))
        ids = [made.vocabulary.bos, *made.codec.encode("".join(pieces))]
        with torch.no_grad():
            scores = module(torch.tensor(ids)[:, None])[0][-1, 0]
        whole = dict(zip(made.vocabulary.symbols, scores.softmax(-1).tolist(), strict=True))
    for number, piece in enumerate(pieces):
        if number == len(pieces) // 2:  # memory can be saved, moved and put back
            saved = stream.snapshot()
            stream = run.model.stream()
            stream.restore(saved)
        said = stream.step(piece)
    if "date" in asked:
        said = said["forecast"]["sales"]
    assert flat(said) == pytest.approx(flat(whole), rel=1e-4, abs=1e-5)


def flat(said: Any) -> list[float]:
    """The numbers in what a stream says, in their order."""
    if isinstance(said, dict):
        return [number for key in sorted(said) for number in flat(said[key])]
    if isinstance(said, list | tuple):
        return [number for part in said for number in flat(part)]
    return [float(said)] if isinstance(said, int | float) else []


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_a_snapshot_of_another_model_is_refused(trained: Any, task: str, modality: str) -> None:
    try:
        stream = trained(task, modality).model.stream()
    except InputError as error:
        pytest.skip(f"cannot stream: {error}")
    with pytest.raises(InputError, match="snapshot"):
        stream.restore(b"not a snapshot")


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_the_doctor_examines_it(trained: Any, task: str, modality: str, tmp_path: Path) -> None:
    run = trained(task, modality)
    found = doctor.of_run(run.path, data(task, modality), rows=8)
    assert found.layers
    page = found.save(tmp_path / "doctor.html")
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_a_setting_of_another_modality_is_refused(task: str, modality: str) -> None:
    kind = TASKS[task]
    own = kind.reads(modality)
    fields = set(kind.Settings.model_fields) | set(() if own is None else own.model_fields)
    foreign = next(
        (other, name)
        for other in MODALITIES
        for name, field in MODALITIES[other].Settings.model_fields.items()
        if name not in fields and field.annotation is float
    )
    other, name = foreign
    needs(modality)

    def read() -> None:
        # A value that no modality has as its default.
        given = {**settings(task, modality), name: 0.37}
        kind.from_data(data(task, modality), settings_of(kind, given))

    with pytest.raises(InputError, match=rf"{name} is a setting of .*{other}"):
        read()


def said_by(model: Any, asked: Any) -> Any:
    """The predictions of a model, or why it has none."""
    try:
        found: pd.DataFrame = model(asked)
    except CannotSay as why:
        return str(why)
    return json.loads(found.to_json(orient="split", double_precision=15))


@pytest.fixture(scope="module")
def elsewhere(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The predictions of every kept baseline and blend, as another process gives them."""
    runs = {}
    for task, modality in PAIRS:
        if not absent(MODALITIES[modality].modules):
            runs[f"{task}, {modality}"] = str(trained(task, modality).path)
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import test_conformance as own;"
        "print(json.dumps(own.predicted(json.loads(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), json.dumps(runs)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def predicted(runs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The predictions of every kept baseline of some runs; called in another process."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for pair, path in runs.items():
        task, modality = pair.split(", ")
        names = [row["name"] for row in Run(Path(path)).read_predictors()["predictors"]]
        asked = data(task, modality)
        found[pair] = {
            name: said_by(functools.partial(elman.load(path, name).predict, proba=True), asked)
            for name in names
        }
    return found


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_every_baseline_is_kept_and_says_the_same_in_another_process(
    trained: Any, elsewhere: Any, task: str, modality: str
) -> None:
    run = trained(task, modality)
    made, asked = run.model.task, data(task, modality)
    there = elsewhere[f"{task}, {modality}"]
    assert list(there) == [one.name for one in made.predictors()]
    assert set(run.results["baselines"]) | set(run.results.get("not_run", {})) == set(there)
    for one in made.predictors():
        here = said_by(functools.partial(made.predict, one), asked)
        if isinstance(here, str):
            assert there[one.name] == here
            continue
        assert there[one.name]["columns"] == here["columns"]
        assert here["data"]
        for ours, theirs in zip(here["data"], there[one.name]["data"], strict=True):
            for mine, other in zip(ours, theirs, strict=True):
                # A sequence of symbols is a list, which pytest compares with nothing.
                exact = isinstance(mine, list)
                assert other == (mine if exact else pytest.approx(mine, rel=1e-9, abs=1e-12))


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_kept_baselines_are_judged_without_the_training_data(
    trained: Any, task: str, modality: str
) -> None:
    run = trained(task, modality)
    asked = data(task, modality)
    again = elman.evaluate(run.path, asked)  # the training data were in memory and are gone
    fitted = run.model.task.baselines(asked)
    assert list(again["baselines"]) == list(fitted)
    for name, scored in fitted.items():
        assert again["baselines"][name] == pytest.approx(scored.metrics, rel=1e-9, nan_ok=True)
    assert "Baselines were not run" not in again.get("note", "")


@pytest.mark.parametrize(("task", "modality"), PAIRS)
def test_a_blend_is_a_row_of_its_own_or_its_absence_has_a_reason(
    trained: Any, task: str, modality: str
) -> None:
    run = trained(task, modality)
    blend = run.results["blend"]
    page = html.unescape((run.path / "report.html").read_text())
    if "none" in blend:
        assert blend["none"] in page
        with pytest.raises(InputError, match="no blend"):
            elman.load(run.path, predictor="blend")
        return
    assert blend["with"] in run.results["baselines"]
    assert blend["name"] not in run.results["baselines"]
    assert blend["name"] in page
    mixed = elman.load(run.path, predictor="blend").predict(data(task, modality))
    alone = run.model.predict(data(task, modality))
    if "start" in mixed:  # a row for each span, of which they find others
        mixed, alone = (one.drop_duplicates("row") for one in (mixed, alone))
    assert len(mixed) == len(alone)


@pytest.mark.parametrize(
    ("task", "modality"),
    [
        pytest.param(*pair, marks=[pytest.mark.slow] * (pair[1] != TASKS[pair[0]].modalities()[0]))
        for pair in PAIRS
    ],
)
def test_a_transformer_of_as_many_parameters_can_take_its_place(
    trained: Any, task: str, modality: str
) -> None:
    run, asked = trained(task, modality), data(task, modality)
    made, module = reference.built(run.model.task, run.model.module)
    ours, theirs = trainable(run.model.module), trainable(module)
    assert theirs == pytest.approx(ours, rel=0.05)
    together = made.predict(module.eval(), asked)
    if "forecast" in together:
        assert np.isfinite(together["forecast"]).all()
        return
    first = made.predict(module, asked.iloc[:5])
    numbers = together.select_dtypes("number").columns.difference(["row"])
    np.testing.assert_allclose(
        together[numbers].iloc[: len(first)], first[numbers], atol=2e-5, rtol=1e-4
    )
