"""Figures of reports: labels in any script stay text, and are no formulas."""

from __future__ import annotations

import re
import warnings

import pytest

from elman.runs.report import svg
from elman.tasks.looking import bars


@pytest.mark.parametrize(
    "label", ["🤷", "良い", "شكرا", "나쁜", "$x$", "$\\foo{$", "a$b$c", "R&D <b>"]
)
def test_labels_are_drawn_as_text_without_a_warning(label: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = svg(bars({label: 3, "other": 2}, "times"))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in texts
    assert "other" in texts


def test_a_figure_gives_the_same_bytes_again() -> None:
    assert svg(bars({"a": 3}, "times")) == svg(bars({"a": 3}, "times"))
