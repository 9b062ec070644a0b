"""A text that says one thing again and again is doubted, and its symbols are counted."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, strategies

from elman.tasks import TASKS
from elman.tasks.generate import sameness
from elman.tasks.settings import settings_of


def lines_of(data, **settings):
    task = TASKS["generate"].from_data(data, settings_of(TASKS["generate"], settings))
    found = task.understood()
    return dict(found.lines), found.doubts


@pytest.mark.parametrize(
    ("text", "symbols", "said"),
    [
        ("a" * 3000, "1 different one", "the text is 'a' again and again"),
        ("ab" * 1500, "2 different ones", "the text is 'ab' again and again"),
        ("good morning\n" * 300, "9 different ones", "the line 'good morning' again and again"),
        ("a" * 50_000, "1 different one", "the text is 'a' again and again"),
    ],
)
def test_one_thing_again_and_again(text, symbols, said, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text)
    lines, doubts = lines_of(path)
    assert lines["symbols"] == f"characters; {symbols}".replace("9", str(len(set(text))))
    assert said in " ".join(doubts)


def test_documents_that_are_all_the_same():
    _, doubts = lines_of(pd.DataFrame({"text": ["good morning to you all"] * 60}))
    assert "'good morning to you all' again and again" in " ".join(doubts)


def test_one_other_letter_far_behind_is_a_text():
    assert sameness.doubts(["a" * 30_000, "b"]) == []
    assert sameness.doubts(["a" * 30_000, "a" * 9]) != []


@given(strategies.text("ab", min_size=1, max_size=60))
def test_the_period_is_the_shortest(text):
    repeats = [
        p for p in range(1, len(text) + 1) if all(text[i] == text[i % p] for i in range(len(text)))
    ]
    assert sameness.period(text) == min(repeats)
