"""Files that were written for a program are known by their name or their lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from elman.data.formats.pairs import read_pairs
from elman.data.written_for import written_for
from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


def flat(parts: Iterable[list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(parts))


SQL = ["CREATE TABLE t (id int, subject text);"]
SQL += [f"INSERT INTO t VALUES ({i},'cannot log in {i}','auth');" for i in range(60)]
LOG = [f'10.0.0.{i % 9} - - [05/Jan/2024:10:{i % 60:02}:00] "GET /{i} HTTP/1.1"' for i in range(60)]
MAIL = ["From: a@b.c", "To: c@d.e", "Subject: hi", "", *(f"text line {i}" for i in range(60))]
MBOX = flat(
    ["From a@b Mon Jan  1 00:00:02 2024", "From: a@b.c", "Subject: hi", "", f"text {i}", ""]
    for i in range(20)
)
CODE = flat([f"def f{i}(x):", f"    return x + {i}"] for i in range(50))
INI = ["[main]", *(f"key{i % 4} = value {i}" for i in range(60))]
PATCH = flat(["@@ -1,3 +1,4 @@", f"+new {i} line", f"-old {i} line"] for i in range(30))
CATALOGUE = flat([f'msgid "hello {i}"', f'msgstr "hallo {i}"', ""] for i in range(50))
HTML = ["<html><body>", *(f"<p>hello {i}</p>" for i in range(60))]
MARKDOWN = ["# Title", "", *(f"- [ ] buy {i} apples" for i in range(60))]
ASKED = flat([f"Q: what is {i}", f"A: it is {i}", ""] for i in range(50))
KINDS = {
    "SQL": SQL,
    "a log": LOG,
    "electronic mail": MAIL,
    "code of a program": CODE,
    "a file of settings": INI,
    "a patch": PATCH,
    "a catalogue of gettext": CATALOGUE,
    "HTML or XML": HTML,
    "Markdown": MARKDOWN,
    "questions and answers": ASKED,
}


@pytest.mark.parametrize("what", KINDS)
def test_lines_tell_for_what_a_file_was_written(what: str) -> None:
    assert written_for(Path("a.txt"), KINDS[what]) == what


def test_a_box_of_mail_is_known_by_its_first_lines() -> None:
    assert written_for(None, MBOX) == "electronic mail"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.eml", "electronic mail"),
        ("a.mbox", "electronic mail"),
        ("a.sql.gz", "SQL"),
        ("a.log", "a log"),
        ("a.po", "a catalogue of gettext"),
        ("a.patch", "a patch"),
    ],
)
def test_the_name_alone_tells(name: str, what: str) -> None:
    assert written_for(Path(name), ["one line", "another"]) == what


@pytest.mark.parametrize(
    "lines",
    [
        ["1 a lovely film; really", "0 a dull one (if ever)", "1 great"],
        ["pos: I return to it again and again", "neg: the class was dull"],
        ["From whom is it? I ask.", "To me: it is from Ada.", "Date: soon"],
        ["__label__a for you;", "__label__b while waiting"],
        ["ham return my call", "spam import offers now", "ham let me know"],
    ],
)
def test_texts_with_labels_were_written_for_nobody_but_people(lines: list[str]) -> None:
    assert written_for(Path("a.txt"), lines) is None


def _doubts(path: Path) -> str:
    made = TASKS["classify"].from_data(path, settings_of(TASKS["classify"], {}))
    return " ".join(made.understood().doubts)


def test_first_words_of_a_dump_are_no_labels_without_a_doubt(tmp_path: Path) -> None:
    path = tmp_path / "dump.txt"
    path.write_text("\n".join([*SQL[1:], *(s.replace("INSERT", "REPLACE") for s in SQL[1:30])]))
    assert (
        "dump.txt looks like SQL, and the first word of each line is taken as its label "
        "('INSERT' (60), 'REPLACE' (29))"
    ) in _doubts(path)


def test_labelled_lines_are_not_doubted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"{'pos' if i % 2 else 'neg'} the film {i} was x" for i in range(60)))
    assert "looks like" not in _doubts(path)


@pytest.mark.parametrize(("name", "lines"), [("de.po", CATALOGUE), ("m.txt", MBOX)])
def test_lines_for_a_program_are_no_dialogues(tmp_path: Path, name: str, lines: list[str]) -> None:
    (tmp_path / name).write_text("\n".join(lines))
    what = "electronic mail" if name == "m.txt" else "a catalogue of gettext"
    with pytest.raises(InputError, match=f"looks like {what}, and its lines are no turns"):
        read_pairs(tmp_path / name)


@pytest.mark.parametrize("name", ["qa.txt", "qa.log"])
def test_questions_with_answers_are_dialogues(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n".join(ASKED))
    assert len(read_pairs(tmp_path / name)) == 50
