"""Files in forms that people have, each read right or refused in words."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

GOOD, BAD = ("great", "lovely", "superb"), ("awful", "boring", "dire")


def said(task: str, data, **settings):
    made = TASKS[task].from_data(data, settings_of(TASKS[task], settings))
    found = made.understood()
    return dict(found.lines), " ".join(found.doubts), made


def sentence(i: int) -> str:
    return f"the film {i} was {(GOOD if i % 2 else BAD)[i % 3]} in part {'abcdefgh'[i % 8]}{i}"


def put(folder, name: str, text: str, encoding: str = "utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_a_folder_of_reviews_with_lists_beside_its_classes(tmp_path):
    """aclImdb: train and test, classes in folders, lists of addresses and words beside them."""
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            for i in range(8):
                put(tmp_path, f"{part}/{label}/{i}_7.txt", f"{part} {label} {sentence(i)}")
    put(tmp_path, "README", "read me")
    put(tmp_path, "imdb.vocab", "the\nfilm\n")
    put(tmp_path, "train/urls_pos.txt", "http://a\nhttp://b\n")
    lines, doubts, _ = said("classify", tmp_path)
    assert "urls_pos.txt" in lines["read"]
    assert lines["classes"].startswith("2 classes: neg 8, pos 8")
    assert lines["examples"].startswith("16 train, 16 test")
    assert "imdb.vocab" in lines["examples"]
    assert doubts == ""


def test_a_stray_file_beside_the_folders_of_classes_is_left_out(tmp_path):
    for label in ("alt.atheism", "sci.space"):
        for i in range(10):
            put(tmp_path, f"{label}/{5000 + i}", f"From: a@b.c\n\n{label} {sentence(i)}\n")
    put(tmp_path, "notes.txt", "made by hand\n")
    lines, _, _ = said("classify", tmp_path)
    assert lines["classes"].startswith("2 classes: alt.atheism 9, sci.space 9")
    assert "Left out, beside the folders of the classes: notes.txt" in lines["read"]


def test_five_minutes_with_a_gap(tmp_path):
    times = pd.date_range("2014-02-14 14:30", periods=600, freq="5min")
    rows = [f"{t},{math.sin(k / 20):.3f}" for k, t in enumerate(times) if not 300 < k < 306]
    file = put(tmp_path, "ambient.csv", "timestamp,value\n" + "\n".join(rows) + "\n")
    lines, _, _ = said("forecast", file)
    assert "595 rows" in lines["series"]
    assert "a season is 288 steps" in lines["time"]
    told = " ".join(lines.values())
    assert "2014-02-15 15:30" in told


def test_prices_with_a_row_of_null(tmp_path):
    days = pd.bdate_range("2020-01-01", periods=200)
    rows = [f"{d:%Y-%m-%d},{100 + k},{1000 + k}" for k, d in enumerate(days)]
    rows[150] = f"{days[150]:%Y-%m-%d},null,null"
    file = put(tmp_path, "prices.csv", "Date,Close,Volume\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="missing") as caught:
        said("forecast", file)
    assert (caught.value.row, caught.value.column) == (152, "Close")


def test_a_date_a_column_with_places_beside_them(tmp_path):
    """The table of cases of Johns Hopkins: provinces, some empty, latitude, longitude, days."""
    days = pd.date_range("2020-01-22", periods=120)
    head = ["Province/State", "Country/Region", "Lat", "Long"]
    head += [f"{d.month}/{d.day}/{d:%y}" for d in days]
    places = [
        ("", "Italy", 41.9, 12.5),
        ("Hubei", "China", 30.9, 112.2),
        ("Tibet", "China", 30, 90),
    ]
    rng = np.random.default_rng(0)
    rows = [[*map(str, place), *map(str, rng.integers(1, 99, 120).cumsum())] for place in places]
    file = put(tmp_path, "cases.csv", "\n".join(",".join(row) for row in [head, *rows]) + "\n")
    lines, _, _ = said("forecast", file)
    assert lines["series"].startswith("3 series (Italy, Hubei / China, Tibet / China), 120 rows")
    assert lines["time"].startswith("2020-01-22 to 2020-05-20, in the names of the columns")
    told = " ".join(lines.values())
    assert "'Lat', 'Long'" in told


def test_conll_2003_with_its_marks_of_documents(tmp_path):
    text = "-DOCSTART- -X- -X- O\n\n" + (
        "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\ncall NN I-NP O\n\n"
        "Peter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER\n\n"
    )
    lines, _, _ = said("tag", put(tmp_path, "eng.train.txt", text * 10))
    assert lines["read"].startswith("20 rows")
    assert lines["the first"].endswith(("→ B-ORG O B-MISC O", "→ B-PER I-PER"))
    assert "-DOCSTART-" not in " ".join(lines.values())


def test_conllu_with_contractions_and_empty_nodes(tmp_path):
    rest = "\t_" * 6
    text = (
        "# sent_id = 1\n1-2\tvámonos\t_\t_" + rest + "\n1\tvamos\tir\tVERB" + rest
        + "\n2\tnos\tnosotros\tPRON" + rest + "\n3\tmar\tmar\tNOUN" + rest
        + "\n3.1\tx\tx\tVERB" + rest + "\n\n"
    )  # fmt: skip
    lines, _, _ = said("tag", put(tmp_path, "a.conllu", text * 20))
    assert lines["lengths"].startswith("3 words each")
    assert lines["the first"].endswith("'vamos nos mar' → VERB PRON NOUN")


def test_spans_of_doccano(tmp_path):
    rows = []
    for i in range(40):
        text = f"Mr Li{i} met Ann in Oslo"
        spans = [(f"Li{i}", "PER"), ("Ann", "PER"), ("Oslo", "LOC")]
        label = [[text.index(w), text.index(w) + len(w), kind] for w, kind in spans]
        rows.append(json.dumps({"id": i, "text": text, "label": label}))
    lines, _, _ = said("tag", put(tmp_path, "a.jsonl", "\n".join(rows) + "\n"))
    assert lines["spans"].startswith("2 classes: PER 72, LOC 36")
    assert lines["the first"].endswith("→ O B-PER O B-PER O B-LOC")


def test_ucr_text_with_exponents(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"   {i % 2 + 1:.7e} "
        + " ".join(f"{math.sin(k / (3 + 3 * (i % 2))) + a: .7e}" for k, a in enumerate(noise))
        for i, noise in enumerate(rng.normal(0, 0.1, (40, 30)))
    ]
    lines, doubts, _ = said("classify", put(tmp_path, "Two_TRAIN.txt", "\n".join(rows) + "\n"))
    assert lines["classes"].startswith("2 classes: 1 18, 2 18")
    assert lines["lengths"].startswith("30 steps each")
    assert doubts == ""


def test_old_line_ends_and_a_mark_of_byte_order(tmp_path):
    rows = [f"{sentence(i)},{'yes' if i % 2 else 'no'}" for i in range(40)]
    file = put(tmp_path, "mac.csv", "\ufefftext,label\r" + "\r".join(rows) + "\r")
    lines, _, _ = said("classify", file)
    assert lines["classes"].startswith("2 classes: no 18, yes 18")
    assert "40 rows" in lines["read"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "<!DOCTYPE html>\n<html><body>\n" + "<p>please</p>\n" * 9, "web page"),
        ("b.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "git lfs"),
        (
            "c.csv",
            "".join(f'"{i % 4}","Title {i}","Story {i}, more"\n' for i in range(40)),
            "text=",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, words):
    with pytest.raises(InputError, match=words):
        said("classify", put(tmp_path, name, text))


def test_names_of_people_in_a_file_for_each_country(tmp_path):
    for country, stems in (("English", ("Smith", "Jones")), ("Russian", ("Ivanov", "Petrov"))):
        names = [f"{stem}{end}" for stem in stems for end in ("", "son", "a", "in", "ko", "er")]
        put(tmp_path, f"{country}.txt", "\n".join(names) + "\n")
    lines, doubts, _ = said("classify", tmp_path)
    assert lines["classes"].startswith("2 classes: English 1")
    assert "each class is named like a file" in doubts.lower()


def test_series_of_unequal_length_in_rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"Y{r}" + "".join(f",{v:.1f}" if i < 40 + r * 5 else "," for i, v in enumerate(values))
        for r, values in enumerate(rng.normal(100, 9, (4, 60)))
    ]
    head = "V1," + ",".join(f"V{i}" for i in range(2, 62))
    lines, _, _ = said("forecast", put(tmp_path, "m4.csv", head + "\n" + "\n".join(rows) + "\n"))
    assert lines["series"].startswith("4 series (Y0, Y1, Y2, Y3), 40 to 55 rows each")


@pytest.mark.parametrize("task", ["classify", "regress"])
@pytest.mark.parametrize("ending", ["png", "JPG", "mp4", "m4a"])
def test_names_of_pictures_are_no_texts(task, ending, tmp_path):
    file = tmp_path / "list.csv"
    answers = {"classify": "ab", "regress": "12"}[task]
    rows = [f"a/img_{row:03}.{ending},{answers[row % 2]}" for row in range(40)]
    file.write_text("\n".join(["filename,target", *rows]))
    kind = TASKS[task]
    with pytest.raises(InputError, match=r"is the name of a (picture|video|recording)") as raised:
        kind.from_data(file, settings_of(kind, {}))
    assert (raised.value.row, raised.value.column) == (2, "filename")
    read = kind.from_data(file, settings_of(kind, {"text": "filename"}))
    assert read.layout.inputs == ("filename",)
