"""Which columns are taken for sequence and label, and what is refused, with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elman import data
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.runs.model import Model
from elman.tasks.answers import Labels, Numbers
from elman.tasks.classify.task import Classify
from elman.tasks.reading import tables
from elman.tasks.reading.examples import examples_in
from elman.tasks.reading.finding import find_layout
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.tables import named_parts
from elman.tasks.settings import settings_of


def layout_of(data, **told):
    return find_layout(tables.read(data), Labels, list(MODALITIES), **told)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def made(data, valid=None, test=None, **settings) -> Classify:
    return Classify.from_data(data, settings_of(Classify, settings), valid=valid, test=test)


@pytest.fixture
def reviews() -> pd.DataFrame:
    n = 40
    return pd.DataFrame(
        {
            "id": range(n),
            "review": [f"film number {i} was a {'joy' if i % 2 else 'pain'}" for i in range(n)],
            "stars": [5 if i % 2 else 1 for i in range(n)],
            "sentiment": ["good" if i % 2 else "bad" for i in range(n)],
        }
    )


def test_label_is_found_by_name_and_text_by_kind(reviews):
    found = layout_of(reviews)
    assert (found.modality, found.form, found.inputs, found.target) == (
        "text",
        "cell",
        ("review",),
        "sentiment",
    )


def test_label_is_found_by_its_few_values(reviews):
    found = layout_of(reviews.rename(columns={"sentiment": "verdict"}))
    assert found.target == "verdict"


def test_columns_can_be_told(reviews):
    found = layout_of(reviews, text="sentiment", target="stars")
    assert (found.inputs, found.target) == (("sentiment",), "stars")
    assert examples_in(tables.read(reviews), found, Labels).answers[:2] == ["1", "5"]


def test_a_wrong_name_is_answered_with_the_nearest(reviews):
    with pytest.raises(InputError, match=r"'sentimant'.*'sentiment'"):
        layout_of(reviews, target="sentimant")


def test_what_cannot_be_guessed_is_asked_for():
    table = pd.DataFrame({"a": [f"some text {i}" for i in range(9)], "b": np.arange(9.0) / 3})
    with pytest.raises(InputError, match=r"which column holds the label.*a \(text\).*target=NAME"):
        layout_of(table)


def test_rows_of_numbers_are_series_that_may_end_early(tmp_path):
    file = write(tmp_path / "s.csv", "label,t0,t1,t2\na,1,2,3\nb,4,5,\na,7,8,9\nb,1,1,1\n")
    table = tables.read(file)
    layout = find_layout(table, Labels, list(MODALITIES))
    found = examples_in(table, layout, Labels)
    assert [x[:, 0].tolist() for x in found.inputs[:2]] == [[1, 2, 3], [4, 5]]
    assert found.answers == ["a", "b", "a", "b"]


def test_a_hole_in_a_series_is_refused_with_row_and_column(tmp_path):
    file = write(tmp_path / "s.csv", "label,t0,t1,t2\na,1,2,3\nb,4,,6\na,7,8,9\nb,1,1,1\n")
    with pytest.raises(InputError, match=r"s.csv, row 3, column 't1': A value is missing"):
        made(file)


def test_text_in_a_column_of_numbers_is_refused_with_row_and_column(tmp_path):
    file = write(tmp_path / "s.csv", "label,t0,t1,t2\na,1,2,3\nb,4,oops,6\na,7,8,9\nb,1,1,1\n")
    with pytest.raises(InputError, match=r"s.csv, row 3, column 't1': 'oops' is not a number"):
        made(file)


def long_table() -> pd.DataFrame:
    rows = [
        {"walk": f"w{w}", "at": t, "x": w + t, "y": -t, "who": "ab"[w % 2]}
        for w in range(6)
        for t in range(3 + w)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)


def test_a_long_table_is_one_series_a_group_in_the_order_of_time():
    table = tables.read(long_table())
    layout = find_layout(table, Labels, list(MODALITIES), target="who", group="walk", time="at")
    assert (layout.form, layout.inputs) == ("long", ("x", "y"))
    found = examples_in(table, layout, Labels)
    by_name = dict(zip(found.names, zip(found.inputs, found.answers, strict=True), strict=True))
    series, label = by_name["w1"]
    assert (series.tolist(), label) == ([[1, 0], [2, -1], [3, -2], [4, -3]], "b")


def test_a_label_that_changes_within_a_group_is_refused():
    table = long_table()
    table.loc[table["walk"].eq("w2") & table["at"].eq(1), "who"] = "b"
    with pytest.raises(InputError, match=r"column 'who': The label .* differs .* walk 'w2'"):
        made(table, target="who", group="walk", time="at")


def test_one_file_a_class(tmp_path):
    for name, words in {"Red": "rose ruby", "Blue": "sky sea", "README": "not data"}.items():
        write(tmp_path / f"{name}.txt", "".join(f"{words} {i}\n" for i in range(30)))
    task = made(tmp_path)
    assert task.classes == ["Blue", "Red"]
    assert task.describe()["examples"] == {"train": 48, "test": 6, "valid": 6} or (
        task.describe()["examples"] == {"train": 54, "test": 6}
    )


def test_a_folder_is_split_as_its_names_say(tmp_path):
    line = "1 a fine film\n0 a dull film\n"
    write(tmp_path / "sst.train.txt", line * 60)
    write(tmp_path / "sst.dev.txt", line * 3)
    write(tmp_path / "sst.test.txt", line * 2)
    task = made(tmp_path)
    assert task.describe()["examples"] == {"train": 120, "valid": 6, "test": 4}
    assert task.classes == ["0", "1"]
    assert "4 rows of test are also in train" in task.describe()["duplicates"]


def test_folders_of_folders_as_imdb_has_them(tmp_path):
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            for i in range(4):
                write(tmp_path / part / label / f"{i}.txt", f"{part} {label}\n{i}\n")
    found = named_parts(tmp_path)
    assert {part: len(paths) for part, paths in found.items()} == {"train": 8, "test": 8}
    task = made(tmp_path)
    assert task.classes == ["neg", "pos"]


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes())


def test_pictures_of_mnist_form(tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 6)):
        pictures = rng.integers(0, 256, (n, 4, 3))
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(pictures))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(n) % 2))
    task = made(tmp_path)
    assert task.layout.modality == "image"
    assert task.describe()["examples"] == {"train": 20, "test": 6}
    brightness = np.concatenate(task._inputs("test"))
    assert brightness.shape == (24, 3)
    assert brightness.max() <= 1


TS = "@problemName x\n@timeStamps false\n@univariate false\n@classLabel true a b\n@data\n"


def test_ts_files_with_a_class_only_in_test(tmp_path):
    write(tmp_path / "x_TRAIN.ts", TS + "1,2:3,4:a\n1,2,3:3,4,5:b\n" * 2)
    write(tmp_path / "x_TEST.ts", TS.replace("a b", "a b c") + "1,2:3,4:a\n1:2:c\n")
    with pytest.raises(InputError, match=r"x_TEST.ts, row 7.*'c' \(1 row\).*Add examples"):
        made(tmp_path)


def test_other_channels_in_test_are_refused(tmp_path):
    train = write(tmp_path / "x_TRAIN.ts", TS + "1,2:3,4:a\n1,2,3:3,4,5:b\n" * 2)
    test = write(tmp_path / "other.ts", TS + "1,2:a\n")
    with pytest.raises(InputError, match=r"other.ts, row 6: This sequence has 1 values a step"):
        made(train, test=test)


def test_one_class_is_refused(tmp_path):
    file = write(tmp_path / "one.csv", "text,label\n" + "some words,yes\n" * 20)
    with pytest.raises(InputError, match=r"one.csv, column 'label': All 20 .*'yes'"):
        made(file)


def test_split_keeps_the_proportions_and_is_made_before_the_fit(reviews):
    task = made(reviews, text="review", target="sentiment", test_fraction=0.25, valid_fraction=0.25)
    for part in ("train", "valid", "test"):
        labels = task._parts[part].answers
        assert labels.count("good") == labels.count("bad")
    numbers = {text.split()[2] for text in task._parts["train"].inputs}
    assert set(task.codec.vocabulary.symbols) & {str(i) for i in range(40)} == numbers


def test_scaler_sees_the_training_part_only(tmp_path):
    train = write(tmp_path / "a_TRAIN.ts", TS + "0,2:0,20:a\n0,2:0,20:b\n" * 4)
    test = write(tmp_path / "a_TEST.ts", TS + "900,900:9,9:a\n")
    task = made(train, test=test)
    assert task.codec.scaler.shift.tolist() == [1, 10]
    assert task.codec.scaler.scale.tolist() == [1, 10]


def test_few_examples_are_not_held_out_unless_asked(reviews):
    data = {"data": reviews, "text": "review", "target": "sentiment"}
    assert "valid" not in made(**data).describe()["examples"]
    assert made(**data, valid_fraction=0.1).describe()["examples"]["valid"] == 4


def test_what_was_chosen_is_chosen_again(reviews):
    task = made(reviews, target="sentiment", text="review")
    again = Classify.from_data(reviews, settings_of(Classify, task.settings.model_dump()))
    assert again.settings == task.settings
    assert again.layout == task.layout
    assert again.describe() == task.describe()


def test_prose_is_not_labelled_lines(tmp_path):
    file = write(tmp_path / "novel.txt", "".join(f"word{i} follows word\n" for i in range(30)))
    with pytest.raises(InputError, match=r"novel.txt.*30 different labels.*Begin each line"):
        made(file)


def nested(n: int = 30) -> list[dict]:
    return [
        {"id": i, "review": {"text": f"a film of day {i}", "stars": i % 5 + 1}} for i in range(n)
    ]


def test_an_id_is_never_what_is_to_be_learnt():
    layout = find_layout(data.read(nested()), Numbers, ["text", "series"])
    assert layout.answers == ("review.stars",)
    assert layout.inputs == ("review.text",)
    texts = [f"words {i}" for i in range(30)]
    for name, values in {
        "id": [i * 7 for i in range(30)],
        "customer_id": [i // 3 for i in range(30)],
        "nr": list(range(1, 31)),
        "rank": list(range(30)),
    }.items():
        table = data.read(pd.DataFrame({"text": texts, name: values}))
        with pytest.raises(InputError, match="not clear which column holds the number"):
            find_layout(table, Numbers, ["text", "series"])
        assert find_layout(
            table, Numbers, ["text", "series"], target=name, text="text"
        ).answers == (name,)
    repeated = pd.DataFrame({"text": texts, "user_id": ["a", "b", "c"] * 10})
    with pytest.raises(InputError, match="not clear which column holds the label"):
        find_layout(data.read(repeated), Labels, ["text", "series"])


@pytest.mark.parametrize(
    "written",
    [
        lambda row: json.dumps(row),
        repr,
        lambda row: json.dumps([row, row]),
        lambda row: json.dumps([1, [2, row["stars"]]]),
    ],
    ids=["JSON", "Python", "list of objects", "uneven lists"],
)
def test_objects_and_lists_written_out_are_never_text_in_silence(written):
    rows = [row["review"] for row in nested()]
    cells = [written(row) for row in rows]
    frame = pd.DataFrame({"payload": cells, "text": [f"words {i}" for i in range(30)]})
    frame["label"] = ["a", "b"] * 15
    layout = find_layout(data.read(frame), Labels, ["text", "series"])
    assert layout.inputs == ("text",)
    assert "no sequence of numbers or words" in layout.left_out["payload"]
    alone = data.read(frame.drop(columns="text"))
    with pytest.raises(InputError, match=r"not a list of numbers|not a list|different") as caught:
        find_layout(alone, Labels, ["text", "series"])
    assert caught.value.column == "payload"
    told = find_layout(alone, Labels, ["text", "series"], text="payload")
    assert told.modality == "text"


def test_first_words_written_as_sentences_begin_are_doubted(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    begins = ["The", "A", "We", "They", "He", "She", "My", "It"]
    words = ["dog", "cat", "house", "tree", "runs", "sees", "likes"]
    rest = [" ".join(rng.choice(words, 6)) for _ in range(80)]
    lines = [f"{rng.choice(begins)} {text}." for text in rest]
    path = tmp_path / "prose.txt"
    path.write_text("\n".join(lines) + "\n")
    (doubt,) = [d for d in learnable(path).doubts() if "first word" in d]
    most = max(begins, key=lambda word: sum(line.startswith(word + " ") for line in lines))
    assert f"'{most}' (" in doubt
    labelled = [f"{rng.choice(['Good', 'Bad'])} The {text}." for text in rest]
    path.write_text("\n".join(labelled) + "\n")
    assert not [d for d in learnable(path).doubts() if "first word" in d]


def test_predictions_name_the_ids_of_new_data_though_training_had_none(reviews, tmp_path) -> None:
    train = reviews[["review", "sentiment"]]
    task = made(train, resamples=10)
    model = Model(task, task.build(), tmp_path)
    new = train[["review"]].head(3)
    assert list(model.predict(new)) == ["row", "prediction", "probability"]
    found = model.predict(new.assign(film_id=["A7", "A9", "B1"]))
    assert list(found) == ["film_id", "prediction", "probability"]
    assert found["film_id"].tolist() == ["A7", "A9", "B1"]
    whole = model.predict(new.assign(film_id=["A7", "A9", "B1"]), proba=True)
    assert whole["row"].tolist() == [1, 2, 3]
    # What repeats or is missing tells no rows apart.
    for ids in (["A7", "A7", "B1"], ["A7", None, "B1"]):
        assert list(model.predict(new.assign(film_id=ids))) == ["row", "prediction", "probability"]


def test_a_class_that_is_called_like_an_id_is_none(reviews, tmp_path) -> None:
    task = made(reviews.assign(sentiment=reviews["sentiment"].replace({"good": "id"})))
    model = Model(task, task.build(), tmp_path)
    found = model.predict(reviews[["review"]].head(2), proba=True)
    assert "p_id" in found
    assert list(task.brief(found)) == ["row", "prediction", "probability"]


def test_one_column_of_numbers_is_asked_about():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x1": rng.normal(size=60).round(3), "y": ["a", "b"] * 30})
    with pytest.raises(InputError, match="'x1' is the only column of numbers"):
        made(table, target="y")
    assert made(table, target="y", modality="series").layout.inputs == ("x1",)


def test_one_class_after_rejects_says_what_was_left_out(tmp_path):
    lines = [
        {"text": f"t{i}", "label": "A", "answer": "reject" if i % 4 else "accept"}
        for i in range(20)
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    with pytest.raises(InputError) as told:
        made(path)
    assert "All 5 examples are of one class, 'A'" in str(told.value)
    assert "Of 20 lines of Prodigy were left out: 15 with the answer 'reject'." in str(told.value)
    assert "says only that its text is not 'A'" in str(told.value)
    assert str(told.value).endswith("--set target=NAME.")


def test_conversations_without_a_label_are_named(tmp_path):
    talk = [{"role": "user", "content": "is it so?"}, {"role": "assistant", "content": "yes it is"}]
    path = write(tmp_path / "a.jsonl", f"{json.dumps({'messages': talk})}\n" * 20)
    with pytest.raises(InputError, match=r"conversations, in column 'messages'.*train translate"):
        made(path)


def test_columns_of_yes_and_no_are_named_together(tmp_path):
    marks = {name: [(n >> k) % 2 for n in range(40)] for k, name in enumerate(["mean", "rude"])}
    texts = {"id": [f"x{n}y" for n in range(40)], "comment": [f"so {n} it is" for n in range(40)]}
    path = tmp_path / "a.csv"
    pd.DataFrame(texts | marks).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"mean, rude hold 0 and 1.*'target=\[mean,rude\]'"):
        made(path)
    assert made(path, target=["mean", "rude"]).classes == ["mean", "rude"]
