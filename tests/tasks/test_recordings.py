"""A file of numbers for each recording: in folders of classes, or named by a list."""

import math
import shutil

import numpy as np
import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.tasks.classify.task import Classify
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.recorded import group_of
from elman.tasks.settings import settings_of

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


def clips(folder, meta, nested):
    """Sounds as collections of them are laid out: `audio/` beside the folder of a list."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    rows = []
    for i in range(20):
        fold = i % 5 + 1
        name = f"{fold}-{1000 + i}-A-{i % 2}.wav"
        place = folder / "audio" / (f"fold{fold}" if nested else "")
        place.mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(np.arange(1600) * (0.1 + 0.3 * (i % 2)))
        soundfile.write(place / name, tone + np.arange(1600) * i / 1e6, 8000)
        rows.append({"filename": name, "fold": fold, "category": ["dog", "rain"][i % 2]})
    (folder / meta).mkdir()
    (folder / "README.md").write_text("Clips.")
    path = folder / meta / "clips.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(("meta", "nested"), [("meta", False), ("metadata", True)])
def test_a_list_in_a_folder_beside_the_sounds_names_them(tmp_path, meta, nested):
    listed = clips(tmp_path, meta, nested)
    for source in (tmp_path, listed):
        table = learnable(source)
        assert table.kinds["filename"] == "sound"
        assert table.frame["category"].tolist() == ["dog", "rain"] * 10
        made = Classify.from_data(source, settings_of(Classify, {"max_steps": 1}))
        [doubt] = [one for one in made.understood().doubts if "fold" in one]
        assert "'fold' shares the rows out to 5 folds" in doubt
        assert "--set together=fold" in doubt
    kept = Classify.from_data(listed, settings_of(Classify, {"max_steps": 1, "together": "fold"}))
    assert not [one for one in kept.understood().doubts if "fold" in one]
    listed.write_text(listed.read_text().replace("1-1000-A-0.wav", "1-9999-A-0.wav"))
    with pytest.raises(InputError, match=r"row 2, column 'filename': There is no file"):
        learnable(tmp_path)


def test_a_column_that_says_train_and_test_is_doubted():
    table = pd.DataFrame({"text": [f"film {i} is {'ab'[i % 2]}" for i in range(60)]})
    table = table.assign(label=["a", "b"] * 30, split=["Train"] * 30 + ["dev"] * 12 + ["test"] * 18)
    made = Classify.from_data(table, settings_of(Classify, {"max_steps": 1}))
    [doubt] = [one for one in made.understood().doubts if "split" in one]
    assert "(30 of train and 12 of valid and 18 of test)" in doubt
    assert "give their folder" in doubt
    given = Classify.from_data(table[:30], settings_of(Classify, {"max_steps": 1}), test=table[42:])
    assert not [one for one in given.understood().doubts if "split" in one]
