"""A file of numbers for each recording: in folders of classes, or named by a list."""

import math
import shutil

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.recorded import group_of

COUNT = 10


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two classes of waves, a folder each; a file has its time, two channels, 30 to 39 rows."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("recorded") / "all"
    for name, speed in (("walk", 3), ("run", 9)):
        (folder / name).mkdir(parents=True)
        for i in range(COUNT):
            noise = rng.normal(size=(30 + i, 2))
            rows = [
                f"{t * 0.02:.2f},{math.sin(speed * t / 10) + a / 10:.3f},{b:.3f}"
                for t, (a, b) in enumerate(noise)
            ]
            text = "t,ax,ay\n" + "\n".join(rows) + "\n"
            (folder / name / f"{name}_{i:02}.csv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def listed(folders, tmp_path_factory):
    """The same files in one folder, beside a list of their classes and weights."""
    folder = tmp_path_factory.mktemp("listed") / "all"
    (folder / "files").mkdir(parents=True)
    rows = ["recording,activity,weight"]
    for file in sorted(folders.rglob("*.csv")):
        shutil.copy(file, folder / "files" / file.name)
        rows.append(f"{file.name},{file.parent.name},{len(rows) / 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_folder_is_the_class_and_a_file_a_sequence(folders):
    table = learnable(folders)
    assert group_of(table) == "file"
    assert "t" not in table.kinds
    assert len(table) == 2 * sum(30 + i for i in range(COUNT))
    by_file = table.frame.groupby("file")["label"].agg(["first", "nunique", "size"])
    assert (by_file["nunique"] == 1).all()
    assert by_file.loc["walk_03.csv"].tolist() == ["walk", 1, 33]
    said = " ".join(table.notes())
    assert "'t' left out" in said
    assert "20 files" in said
    assert table.where(0)[0].name == "run_00.csv"


@pytest.mark.parametrize("way", ["folder", "list"])
def test_a_list_says_the_class(listed, way):
    table = learnable(listed if way == "folder" else listed / "labels.csv")
    assert set(table.kinds) == {"ax", "ay", "file", "activity", "weight"}
    first = table.frame.groupby("file").first()
    assert first.loc["walk_00.csv", "activity"] == "walk"
    assert first.loc["run_00.csv", "weight"] == 0.5


@pytest.mark.parametrize("way", ["folder", "list"])
def test_a_list_may_leave_out_the_endings(listed, tmp_path, way):
    folder = tmp_path / "all"
    shutil.copytree(listed, folder)
    text = (folder / "labels.csv").read_text().replace(".csv", "")
    (folder / "labels.csv").write_text(text)
    table = learnable(folder if way == "folder" else folder / "labels.csv")
    assert set(table.kinds) == {"ax", "ay", "file", "activity", "weight"}
    assert table.frame.groupby("file").first().loc["walk_00.csv", "activity"] == "walk"
    assert "'recording' names files without their endings" in " ".join(table.notes())


@pytest.mark.fuzz
def test_from_the_folder_to_a_prediction(folders, listed, tmp_path):
    elman.train("classify", folders, tmp_path / "run", max_steps=150, lr=0.01, resamples=20)
    run = elman.load(tmp_path / "run")
    one = run.predict(folders / "walk" / "walk_04.csv")
    assert len(one) == 1
    assert one["prediction"][0] == "walk"
    many = run.predict(listed / "files")
    assert many["file"].tolist() == sorted(f.name for f in (listed / "files").iterdir())
    truth = [name.split("_")[0] for name in many["file"]]
    assert np.mean(many["prediction"] == truth) > 0.9


def test_a_number_for_each_file_is_learnt_as_well(listed, tmp_path):
    how = {"max_steps": 2, "resamples": 10, "target": "weight"}
    elman.train("regress", listed, tmp_path / "run", **how)
    assert len(elman.load(tmp_path / "run").predict(listed / "files")) == 2 * COUNT


def test_what_is_no_recording_is_read_as_before(tmp_path):
    for part in ("north", "south"):
        (tmp_path / part).mkdir()
        rows = [f"{i},{i % 3},{'ab'[i % 2]}" for i in range(20)]
        (tmp_path / part / "x.csv").write_text("p,q,label\n" + "\n".join(rows) + "\n")
    table = learnable(tmp_path)
    assert group_of(table) is None
    assert set(table.kinds) == {"p", "q", "label"}


def test_files_that_say_nothing_of_their_class_are_refused(listed):
    with pytest.raises(InputError, match=r"none says its label.*labels\.csv"):
        elman.train("classify", listed / "files", max_steps=1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("none.csv,walk,1", "no file 'none.csv'"),
        ("walk_00.csv,walk,1", "named twice"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_row(listed, tmp_path, row, said):
    folder = tmp_path / "all"
    shutil.copytree(listed, folder)
    with (folder / "labels.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(InputError, match=said) as caught:
        learnable(folder)
    assert caught.value.row is not None


def test_a_list_with_a_column_of_the_files_is_refused(listed, tmp_path):
    folder = tmp_path / "all"
    shutil.copytree(listed, folder)
    text = (folder / "labels.csv").read_text().replace("weight", "ax")
    (folder / "labels.csv").write_text(text)
    with pytest.raises(InputError, match="both have this column"):
        learnable(folder)


def test_names_of_files_may_be_what_is_learnt_from(listed):
    table = learnable(listed / "labels.csv", text="recording")
    assert set(table.kinds) == {"recording", "activity", "weight"}


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "one.csv").write_text("x\n1\n2\n5\n")
    table = learnable(tmp_path)
    assert pd.unique(table.frame["file"]).tolist() == ["a/one.csv", "b/one.csv"]
