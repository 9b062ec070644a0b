"""Tables with a row for each word are sentences of words, or are refused with what to set."""

from __future__ import annotations

import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.tasks.tag.tables import steps_table

SENTENCES = [
    [("Ada", "B-PER"), ("went", "O"), ("to", "O"), (("Oslo", "Rome")[i % 2], "B-LOC"), (".", "O")]
    for i in range(12)
]


def said(path, **settings):
    made = TASKS["tag"].from_data(path, settings_of(TASKS["tag"], settings))
    return made, dict(made.understood().lines)


def rows(path, header, row, sentences=SENTENCES):
    """Write a CSV with `row(sentence number, word number, word, tag)` for each word."""
    lines = [
        row(i, k, word, tag)
        for i, sentence in enumerate(sentences, 1)
        for k, (word, tag) in enumerate(sentence, 1)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("sentence,word,tag", lambda i, k, w, t: f"{i},{w},{t}"),
        ("sentence_id,words,tag", lambda i, k, w, t: f"{i if k == 1 else ''},{w},{t}"),
        ("Sentence #,Word,POS,Tag", lambda i, k, w, t: f"{f'S: {i}' if k == 1 else ''},{w},X,{t}"),
        ("sentence_idx,token,tag", lambda i, k, w, t: f"{i}.0,{w},{t}"),
        ("sent_id,token_id,form,tag", lambda i, k, w, t: f"news-{i},{k},{w},{t}"),
        ("n,word,tag", lambda i, k, w, t: f"{i},{w},{t}"),
    ],
)
def test_rows_of_words_are_sentences(header, row, tmp_path):
    made, lines = said(rows(tmp_path / "a.csv", header, row))
    inputs = [cell for part in made._parts.values() for cell in part.inputs]
    assert sorted(inputs) == sorted([w for w, _ in sentence] for sentence in SENTENCES)
    answers = [tag for part in made._parts.values() for one in part.answers for tag, _ in one]
    assert answers.count("B-LOC") == 12
    again = TASKS["tag"].from_data(tmp_path / "a.csv", made.settings)
    assert again.layout == made.layout
    name, word = header.split(",")[0], next(n for n in header.split(",")[1:] if n != "token_id")
    assert lines["input"] == (
        f"the rows of each {name!r}, in the order of the file, as tokens; a step is {word} "
        "(the column of words)"
    )


def test_predictions_stand_beside_the_rows_they_are_of(tmp_path):
    path = rows(tmp_path / "a.csv", "sentence,word,tag", lambda i, k, w, t: f"{i},{w},{t}")
    made, _ = said(path, hidden_size=4)
    new = rows(tmp_path / "b.csv", "sentence,word", lambda i, k, w, t: f"{i},{w}", SENTENCES[:2])
    table = steps_table(
        made,
        *(lambda found: (found, made.given(made.build(), found)))(made._read(new, answers=False)),
    )
    assert table["token"].tolist() == [w for sentence in SENTENCES[:2] for w, _ in sentence]
    assert table["row"].tolist() == list(range(2, 12))
    assert table["sentence"].tolist() == ["1"] * 5 + ["2"] * 5


def test_without_a_sentence_the_settings_are_named(tmp_path):
    path = rows(tmp_path / "a.csv", "word,tag", lambda i, k, w, t: f"{w},{t}")
    with pytest.raises(InputError, match=r"Each row is a word.*no column tells which") as told:
        said(path)
    for part in ("--set modality=tokens", "--set 'columns=[word]'", "--set group=NAME", ".conll"):
        assert part in str(told.value)


@pytest.mark.parametrize("settings", [{}, {"group": "sentence"}])
def test_names_that_come_again_are_refused(settings, tmp_path):
    path = rows(tmp_path / "a.csv", "sentence,word,tag", lambda i, k, w, t: f"{i % 4},{w},{t}")
    with pytest.raises(InputError, match=r"row 22, column 'sentence': '1' comes again"):
        said(path, **settings)


def test_the_settings_that_are_named_read_the_same(tmp_path):
    path = rows(tmp_path / "a.csv", "which,word,tag", lambda i, k, w, t: f"s{i},{w},{t}")
    with pytest.raises(InputError, match="no column tells which"):
        said(path)
    made, _ = said(path, modality="tokens", columns=["word"], group="which", target="tag")
    assert made._parts["train"].inputs[0][0] == "Ada"


def test_numbers_beside_a_tag_are_a_series_still(tmp_path):
    lines = [f"{i // 30},{i % 7},{'ab'[i % 2]}" for i in range(300)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["sentence,x,tag", *lines]) + "\n")
    made, _ = said(path, group="sentence")
    assert made.layout.modality == "series"
    assert made.layout.inputs == ("x",)


def test_missing_words_are_counted(tmp_path):
    path = rows(
        tmp_path / "a.csv",
        "sentence,word,tag",
        lambda i, k, w, t: f"{i},{'' if w == 'to' else w},{t}",
    )
    with pytest.raises(InputError, match=r"word is missing in 12 of 60 rows \(rows 4, 9, 14 and 9"):
        said(path)
