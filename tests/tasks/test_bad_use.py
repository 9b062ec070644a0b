"""What people do by mistake with tables, streams and loaded runs: read rightly, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.tasks.classify import Classify
from elman.tasks.regress import Regress
from elman.tasks.settings import settings_of

SMALL = {"hidden_size": 4, "max_steps": 3, "batch_size": 8}


def engines(n: int = 30) -> pd.DataFrame:
    rows = [
        {
            "engine": f"e{e}",
            "date": pd.Timestamp("2024-01-01") + pd.Timedelta(days=t),
            "s1": float(t),
            "s2": float(e),
            "y": float(e % 5),
        }
        for e in range(n)
        for t in range(6)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)


def test_the_one_column_of_times_orders_the_steps() -> None:
    given = {"group": "engine", "target": "y", **SMALL}
    task = Regress.from_data(engines(), settings_of(Regress, given))
    assert task.layout.time == "date"
    assert task.settings.time == "date"
    for series in task._parts["train"].inputs:
        assert series[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert task.describe()["time"] == "date"


def test_two_columns_of_times_are_asked_about() -> None:
    table = engines().assign(until=lambda t: t["date"] + pd.Timedelta(days=1))
    with pytest.raises(InputError, match=r"which of date, until orders the steps.*time=NAME"):
        Regress.from_data(table, settings_of(Regress, {"group": "engine", "target": "y"}))


@pytest.mark.parametrize("kind", [Classify, Regress])
def test_a_name_that_repeats_beside_numbers_is_no_text(kind: Any) -> None:
    table = engines().drop(columns="date")
    if kind is Classify:
        table["y"] = table["y"].map(str)
    with pytest.raises(InputError, match=r"'engine' holds names that repeat.*group=engine"):
        kind.from_data(table, settings_of(kind, {"target": "y"}))
    # Asked for by name, it is read.
    assert (
        kind.from_data(
            table, settings_of(kind, {"target": "y", "text": "engine", **SMALL})
        ).layout.modality
        == "text"
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"series": [rng.normal(size=(5, 2)) for _ in range(30)], "label": ["a", "b"] * 15}
    )
    out = tmp_path_factory.mktemp("run") / "run"
    return elman.train(
        "classify", table, out, bidirectional=False, progress=False, resamples=10, **SMALL
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([float("nan"), 1], "missing or infinite"),
        ([1, float("inf")], "missing or infinite"),
        (["a", 1], "a list of numbers"),
        ({"s1": 1}, "a list of numbers"),
        (None, "missing or infinite|A step has 2 values"),
        ([1.0], "A step has 2 values"),
    ],
)
def test_a_bad_step_is_refused_and_leaves_the_stream_as_it_was(
    run: Any, value: Any, said: str
) -> None:
    stream, twin = run.model.stream(), run.model.stream()
    assert stream.step([1.0, 2.0]) == twin.step([1.0, 2.0])
    with pytest.raises(InputError, match=said):
        stream.step(value)
    assert stream.step([3.0, 4.0]) == twin.step([3.0, 4.0])


@pytest.mark.parametrize("snapshot", [None, {}, 3, "x"])
def test_a_snapshot_is_bytes(run: Any, snapshot: Any) -> None:
    with pytest.raises(InputError, match="a snapshot is bytes"):
        run.model.stream().restore(snapshot)


def test_plain_lists_are_predicted_on_as_arrays_are(run: Any) -> None:
    rows = [[1.0, 2.0], [3.0, 4.0]]
    one = run.model.predict(rows)["p_a"].item()
    assert one == run.model.predict(np.array(rows))["p_a"].item()
    for nothing in (None, 3.0):
        with pytest.raises(InputError, match="cannot be predicted on"):
            run.model.predict(nothing)


def test_texts_in_a_list_are_no_paths(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["up and away", "down and out"] * 20, "label": ["a", "b"] * 20})
    run = elman.train("classify", table, tmp_path / "run", progress=False, resamples=10, **SMALL)
    found = run.model.predict(["up and out", "down"])
    assert found["text"].tolist() == ["up and out", "down"]


@pytest.mark.parametrize("name", ["answer", "input", "layout"])
@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_damaged_asset_is_named(run: Any, tmp_path: Path, name: str, how: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    file = copy / "assets" / f"{name}.json"
    file.unlink() if how == "gone" else file.write_text(json.dumps({}))
    with pytest.raises(InputError, match="assets of this run are damaged"):
        elman.load(copy)


def test_one_sequence_is_split_in_time_beside_test_data() -> None:
    rows = pd.DataFrame({"x": np.arange(60.0), "z": 0.0, "y": np.arange(60.0) % 7})
    chosen = settings_of(Regress, {"target": "y", "each": "step", "columns": ["x", "z"], **SMALL})
    task = Regress.from_data(rows, chosen, test=rows.tail(20))
    assert task.describe()["examples"].keys() >= {"train", "test"}
    assert len(task._parts["test"].inputs[0]) == 20


def test_one_sentence_is_too_few_to_share_out(tmp_path: Path) -> None:
    from elman.tasks.tag import Tag

    file = tmp_path / "nosep.conll"
    file.write_text("".join(f"w{i}\t{'B-x' if i % 3 else 'O'}\n" for i in range(30)))
    with pytest.raises(InputError, match=r"nosep.conll.*one example.*a blank line"):
        Tag.from_data(file, settings_of(Tag, SMALL))
