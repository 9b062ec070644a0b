"""Warnings of Elman on the command line, and from Python."""

from __future__ import annotations

import warnings

from elman.cli import show
from elman.errors import PredictionWarning, SlowPathWarning, warn


def test_a_warning_is_one_line_of_words_and_is_said_once(capsys):
    with show.warnings_as_words():
        for _ in range(2):
            warn("2 of 9 texts are empty.", PredictionWarning)
        warn("The reference loop runs.", SlowPathWarning)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "note: 2 of 9 texts are empty.",
        "note: The reference loop runs.",
    ]


def test_pythons_options_do_not_silence_or_raise_it(capsys):
    for option in ("ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(option)
            with show.warnings_as_words():
                warn("2 of 9 texts are empty.", PredictionWarning)
        assert capsys.readouterr().err == "note: 2 of 9 texts are empty.\n"


def test_others_are_printed_as_python_does(recwarn, capsys):
    with show.warnings_as_words():
        warnings.warn("gone soon", FutureWarning, stacklevel=1)
    assert "note:" not in capsys.readouterr().err
    assert [str(one.message) for one in recwarn] == ["gone soon"]


def test_the_caller_outside_of_elman_is_named():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn("2 of 9 texts are empty.", PredictionWarning)
    assert told[0].filename == __file__
