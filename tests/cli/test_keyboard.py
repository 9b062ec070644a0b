"""`elman complete`: words for each line, and after every key in a terminal."""

from __future__ import annotations

import json

import pytest

from elman.cli.keyboard import _said
from elman.runs import pipeline
from elman.tasks.generate.keyboard import Word


def test_each_line_has_a_line_of_words(elman, generate_run):
    done = elman("complete", generate_run, "--words", 2, typed=b"the cat sees the c\n\nthe cat ")
    assert done.returncode == 0, done.stderr
    begun, first, after = done.stdout.splitlines()
    for line in (begun, first, after):
        *_, last = line.split()
        assert last.endswith("%")
    assert done.stderr == ""


def test_a_line_of_what_no_model_knows_is_warned_of(elman, generate_run):
    done = elman("complete", generate_run, typed="жжжж жжж\n".encode())
    assert done.returncode == 0
    assert "unknown to the model" in done.stderr


def test_a_word_behind_a_line_break_stays_in_the_line_of_its_text():
    words = [Word(".\nquite", ".\nquite", 0.25), Word("the", "the", 0.5)]
    assert _said(words) == ".⏎quite 25.0%  the 50.0%"


def test_words_are_json_where_that_is_asked_for(elman, generate_run):
    done = elman("complete", generate_run, "-n", 3, "--json", typed=b"the cat se\n")
    [words] = map(json.loads, done.stdout.splitlines())
    assert len(words) == 3
    assert words[0].keys() == {"text", "adds", "probability"}
    assert 1 >= words[0]["probability"] >= words[2]["probability"] > 0


def test_words_change_with_every_key_and_tab_takes_the_first(elman, generate_run, terminal):
    with terminal([b"the cap", b"\x7f", b"\t", b"\r", b"\x04"], b"\x1b[1A") as (name, shown):
        done = elman("complete", generate_run, terminal=name)
    assert done.returncode == 0, done.stderr
    assert "Tab takes the first word" in done.stderr
    screen = b"".join(shown).decode()
    first = pipeline.load(generate_run).keyboard().suggest("the ca", 1)[0]
    below = screen[screen.index("the ca\r\n") :]
    assert f"{first.text} {first.probability:.1%}" in below
    assert f"the ca{first.adds} " in below


def test_a_run_that_does_not_write_is_refused(elman, classify_run):
    done = elman("complete", classify_run, typed=b"the\n")
    assert done.returncode == 2
    assert "does not generate text. Use predict" in done.stderr


@pytest.mark.parametrize("with_", ["model", "7-gram"])
def test_a_line_that_is_not_utf_8_is_named(elman, generate_run, with_):
    done = elman("complete", generate_run, "--with", with_, typed=b"the\n\xff\n")
    assert done.returncode == 2
    assert "standard input, row 2: not UTF-8." in done.stderr
