"""What people do by mistake with tables, streams and loaded runs: read rightly, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.classify.task import Classify
from elman.tasks.regress import Regress
from elman.tasks.settings import settings_of
from elman.tasks.tag.task import Tag

SMALL = {"hidden_size": 4, "max_steps": 3, "batch_size": 8}


def engines(n: int = 30) -> pd.DataFrame:
    rows = [
        {
            "engine": f"e{e}",
            "date": pd.Timestamp("2024-01-01") + pd.Timedelta(days=t),
            "s1": float(t * t),
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
        assert series[:, 0].tolist() == [0, 1, 4, 9, 16, 25]
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


def test_steps_with_an_owner_and_a_clock_are_asked_for_a_group() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "person": np.repeat(["A", "B", "C", "D"], 30),
            "second": np.tile(np.arange(30), 4),
            "ax": rng.normal(size=120).round(3),
            "activity": ["sit", "walk"] * 60,
        }
    )
    with pytest.raises(InputError, match=r"'second' begins anew.*group=person and time=second"):
        Tag.from_data(table, settings_of(Tag, {"target": "activity"}))
    # A clock that runs on is one of all rows.
    Tag.from_data(
        table.assign(second=np.arange(120)), settings_of(Tag, {"target": "activity", **SMALL})
    )
    Tag.from_data(table, settings_of(Tag, {"target": "activity", "columns": ["ax"], **SMALL}))


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
        (None, "a list of numbers, not None"),
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
    one = run.model.predict(rows, proba=True)["p_a"].item()
    assert one == run.model.predict(np.array(rows), proba=True)["p_a"].item()
    for nothing in (None, 3.0):
        with pytest.raises(InputError, match="cannot be predicted on"):
            run.model.predict(nothing)


def test_texts_in_a_list_are_no_paths(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["up and away", "down and out"] * 20, "label": ["a", "b"] * 20})
    run = elman.train("classify", table, tmp_path / "run", progress=False, resamples=10, **SMALL)
    found = run.model.predict(["up and out", "down"], proba=True)
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
    from elman.tasks.tag.task import Tag

    file = tmp_path / "nosep.conll"
    file.write_text("".join(f"w{i}\t{'B-x' if i % 3 else 'O'}\n" for i in range(30)))
    with pytest.raises(InputError, match=r"nosep.conll.*one example.*a blank line"):
        Tag.from_data(file, settings_of(Tag, SMALL))


# Files that people have, and what is taken for what


def taken(kind: Any, data: Any, **settings: Any) -> Any:
    return kind.from_data(data, settings_of(kind, {**SMALL, **settings}))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_customer_a_row_is_read_by_its_numbers_not_by_its_id(tmp_path: Path) -> None:
    rows = "".join(f"C{i},{i % 2},{1 + i % 2},{i % 3},{'ab'[i % 2]}\n" for i in range(40))
    layout = taken(Classify, written(tmp_path / "a.csv", "id,jan,feb,mar,status\n" + rows)).layout
    assert (layout.form, layout.inputs) == ("row", ("jan", "feb", "mar"))
    assert layout.left_out == {"id": "an id: another one in each row"}


@pytest.mark.parametrize("name", ["Customer No.", "customer", "Kundennummer", "order_nr"])
@pytest.mark.parametrize("steps", [1, 37])
def test_numbers_of_customers_are_ids_whatever_they_are_called(
    tmp_path: Path, name: str, steps: int
) -> None:
    rows = "".join(
        f"{1000 + i * steps % 41},{1 + i % 2},{i % 3},{i % 5},{'ab'[i % 2]}\n" for i in range(40)
    )
    layout = taken(
        Classify, written(tmp_path / "a.csv", f"{name},jan,feb,mar,churn\n" + rows)
    ).layout
    assert layout.inputs == ("jan", "feb", "mar")
    assert list(layout.left_out) == [name]


@pytest.mark.parametrize("ids", [["p0", "p1", "p2", "p3"], [7, 8, 9, 10]])
@pytest.mark.parametrize("channels", [["x"], ["x", "z"]])
def test_an_id_that_repeats_beside_numbers_asks_for_the_group(ids: Any, channels: Any) -> None:
    table = pd.DataFrame(
        [
            {"case_id": name, **{c: float(t) for c in channels}, "label": "ab"[n % 2]}
            for n, name in enumerate(ids)
            for t in range(5)
        ]
    )
    with pytest.raises(InputError, match=r"'case_id' holds names that repeat.*group=case_id"):
        taken(Classify, table)
    layout = taken(Classify, table, group="case_id", target="label").layout
    assert (layout.form, layout.inputs) == ("long", tuple(channels))


@pytest.mark.parametrize("name", ["id", "customer_id", "customerID", "uuid"])
def test_an_id_beside_a_text_is_left_out_and_alone_refused(name: str) -> None:
    table = pd.DataFrame({name: [f"u{i}" for i in range(20)], "label": ["a", "b"] * 10})
    with pytest.raises(InputError, match=f"no input but '{name}', an id.*text={name}"):
        taken(Classify, table)
    assert taken(Classify, table, text=name).layout.inputs == (name,)
    texts = table.assign(review=[f"a film of {i} hours" for i in range(20)])
    assert taken(Classify, texts).layout.inputs == ("review",)


def test_an_unnamed_index_is_no_input(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(20.0) / 3, "z": 1.5, "label": ["a", "b"] * 10})
    table.to_csv(tmp_path / "a.csv")
    assert taken(Classify, tmp_path / "a.csv").layout.inputs == ("x", "z")


def test_texts_of_which_the_words_have_digits_are_still_read() -> None:
    table = pd.DataFrame({"password": [f"ab{i}!" for i in range(20)], "strong": ["y", "n"] * 10})
    assert taken(Classify, table).layout.inputs == ("password",)


def test_a_folder_of_lines_with_labels_is_not_learnt_by_its_names(tmp_path: Path) -> None:
    for name in ("amazon_labelled", "imdb_labelled"):
        lines = "".join(f"a {name} of {i} hours .\t{i % 2}\n" for i in range(30))
        written(tmp_path / f"{name}.txt", lines)
    task = taken(Classify, tmp_path)
    assert task.classes == ["0", "1"]
    assert task.layout.labels == "after tab"
    plain = written(tmp_path / "new" / "plain.txt", "a film of two hours\nanother\n")
    found = task.predict(task.build(), plain)
    assert found["text"].tolist() == ["a film of two hours", "another"]
    labelled = written(tmp_path / "new" / "with.txt", "a film\t1\nanother\t0\n")
    assert task.predict(task.build(), labelled)["text"].tolist() == ["a film", "another"]
    with pytest.raises(InputError, match=r"plain.txt, row 1: The line has no tab"):
        task.evaluate(task.build(), plain)


def test_sentences_without_labels_are_refused(tmp_path: Path) -> None:
    begin = [
        "The mic is great",
        "It was so good and the case",
        "So what is it",
        "What a case it is",
    ]
    lines = "".join(f"{begin[i % 4]} {i} .\n" for i in range(80))
    with pytest.raises(InputError, match=r"a.txt: The lines have no labels.*the label, a tab"):
        taken(Classify, written(tmp_path / "a.txt", lines))


def test_tagged_sentences_are_no_examples_of_classify(tmp_path: Path) -> None:
    text = "Ann B-PER\nran O\n\nBob B-PER\nsat O\n\n" * 20
    for name in ("a.conll", "a.txt", "a"):
        with pytest.raises(InputError, match=r"tagged sentences.*elman train tag"):
            taken(Classify, written(tmp_path / name, text))


def test_sentences_with_tags_and_intents_are_classified_by_their_intent(tmp_path: Path) -> None:
    for name, lines in (("seq.in", "go to Oslo\n"), ("seq.out", "O O B-x\n"), ("label", "go\n")):
        written(tmp_path / name, lines * 9 + lines.replace("go", "stay") * 9)
    task = taken(Classify, tmp_path)
    assert (task.classes, task.layout.inputs) == (["go", "stay"], ("tokens",))


def test_a_model_of_whole_files_reads_a_file_as_one_example(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        for i in range(6):
            written(tmp_path / "data" / label / f"{i}.txt", f"a {label} film\nof {i} hours\n")
    task = taken(Classify, tmp_path / "data")
    assert task.layout.each == "file"
    new = written(tmp_path / "new" / "1.txt", "a film\nof two\nhours\n")
    assert len(task.predict(task.build(), new)) == 1
    written(tmp_path / "new" / "2.txt", "another\n")
    found = task.predict(task.build(), tmp_path / "new")
    assert found["file"].tolist() == ["1.txt", "2.txt"]
    # Recorded and read again, it is the same.
    again = type(task.layout).from_json(json.loads(json.dumps(task.layout.to_json())))
    assert again == task.layout


def test_arrays_train_and_predict() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6, 2))
    task = taken(Classify, (x, x[:, 0, 0] > 0))
    assert task.classes == ["false", "true"]
    assert len(task.predict(task.build(), x[:5])) == 5
    assert taken(Regress, (x, x.mean((1, 2)))).layout.target == "label"


@pytest.mark.parametrize("data", [np.array(["a"]), np.zeros((2, 2, 2, 2)), [[1, 2], [3]], object()])
def test_what_cannot_be_predicted_on_is_an_input_error(run: Any, data: Any) -> None:
    with pytest.raises(InputError):
        run.model.predict(data)


def test_a_rate_means_something_for_sound_alone(run: Any) -> None:
    with pytest.raises(InputError, match="rate means nothing for series"):
        run.model.predict(np.zeros((4, 2)), rate=8000)


def test_classes_that_the_test_part_lacks_are_said() -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"series": list(rng.normal(size=(30, 5))), "label": ["a", "b", "c"] * 10})
    test = train[train["label"] != "c"].reset_index(drop=True)
    task = Classify.from_data(train, settings_of(Classify, SMALL), test=test)
    assert task.describe()["classes without a test example"].startswith("c: macro F1")


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["lr", "budget", "dropout", "weight_decay"])
def test_no_setting_is_a_number_that_is_none(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        settings_of(Classify, {name: value})


@pytest.mark.parametrize("bad", [{"temperature": float("nan")}, {"temperature": float("inf")}])
def test_a_temperature_is_a_finite_number(bad: Any) -> None:
    import torch

    from elman.nn.decoding import with_temperature

    with pytest.raises(InputError, match="finite number, 0 or more"):
        with_temperature(torch.zeros(3), **bad)


def test_a_folder_of_recordings_has_the_labels_of_its_names(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    for i in range(12):
        soundfile.write(tmp_path / f"{'ab'[i % 2]}_{i}.wav", np.sin(np.arange(900) / (i + 1)), 8000)
    task = taken(Classify, tmp_path)
    assert task.classes == ["a", "b"]
    assert (task.layout.modality, task.layout.labels, task.layout.each) == ("audio", None, None)
    assert len(task.predict(task.build(), tmp_path)) == 12


@pytest.mark.parametrize(
    "task", ["classify", "regress", "tag", "forecast", "generate", "translate"]
)
def test_every_setting_of_words_names_them(task: str) -> None:
    """Also where a setting may be empty, or a list of words."""
    kind = TASKS[task]
    found = {name: field.annotation for name, field in kind.Settings.model_fields.items()}
    of_words = [name for name, annotation in found.items() if _of_words(annotation)]
    assert "schedule" in of_words
    for name in of_words:
        with pytest.raises(InputError, match=rf"{name} cannot be 'nonesuch'.*(Choose|Did you)"):
            settings_of(kind, {name: "nonesuch"})


def _of_words(annotation: Any) -> bool:
    words = [part for part in get_args(annotation) if part is not type(None)]
    nested = [get_args(part) if get_origin(part) is Literal else (part,) for part in words]
    flat = [one for some in nested for one in some]
    return bool(flat) and all(isinstance(one, str) for one in flat)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"target has 'y' twice"):
        settings_of(TASKS["forecast"], {"target": ["y", "y"]})


def test_classes_in_rows_of_0_and_1_are_called_one_hot():
    x, y = np.random.default_rng(0).normal(size=(30, 5)), np.arange(30) % 3
    with pytest.raises(InputError, match=r"one-hot: .* y.argmax\(1\)"):
        Classify.from_data((x, np.eye(3)[y]), settings_of(Classify, SMALL))


def test_rows_of_numbers_are_no_classes():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(30, 5)), np.where(generator.random((30, 3)) < 0.5, 0.5, 0)
    y[0] = 0.5, 0, 0.5
    message = r"row 1, column 'label': The label is 3 numbers \(0.5, 0, 0.5\).*y.argmax\(1\)"
    with pytest.raises(InputError, match=message):
        Classify.from_data((x, y), settings_of(Classify, SMALL))


@pytest.mark.parametrize("form", [np.array, list])
def test_complex_numbers_are_refused(form):
    x = np.random.default_rng(0).normal(size=(30, 5)) + 1j
    with pytest.raises(InputError, match="The numbers are complex"):
        Classify.from_data((form(x), np.arange(30) % 3), settings_of(Classify, SMALL))


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        (np.arange(6) + 1j, 1),
        ([1.0, 2.0, 3 + 1j, 1.0, 2.0, 3.0], 1),
        ([None, "a", 3 + 1j, "a", "b", "c"], None),
        ([np.arange(3.0), np.arange(3) + 1j, *[np.arange(3.0)] * 4], 2),
    ],
)
def test_complex_numbers_in_a_table_are_refused_with_their_cell(cells, row):
    table = pd.DataFrame({"z": pd.Series(cells), "label": ["a", "b"] * 3})
    if row is None:  # words: nothing is computed with them
        assert elman.data.read(table).kinds["z"] in ("text", "category")
        return
    with pytest.raises(InputError, match=f"row {row}, column 'z': .*complex.*real and imaginary"):
        elman.data.read(table)


def test_an_array_of_complex_numbers_is_refused():
    with pytest.raises(InputError, match=r"The numbers are complex. Give their parts as columns"):
        elman.data.read(np.arange(9) + 1j)
