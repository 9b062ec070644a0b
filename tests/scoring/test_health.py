"""Faults of written answers: each is found, set beside the references, and mended by a setting."""

from __future__ import annotations

import json

import pytest

from elman.errors import InputError
from elman.scoring.health import CURES, health

SOURCES = [f"source number {n} with some words in it" for n in range(50)]
GOOD = [f"answer number {n} with other words in it" for n in range(50)]


def signs(outputs, **more):
    return {sign.name: sign for sign in health(outputs, GOOD, SOURCES, **more)}


def test_outputs_like_the_references_have_no_warning():
    found = signs(list(GOOD), ended=[True] * 50, ends=[True] * 50, unknown="<unk>", seen=GOOD)
    assert set(found) == set(CURES)
    assert all(sign.warning is None for sign in found.values())
    assert all(sign.outputs == sign.references for sign in found.values())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("repeats", lambda n: f"{GOOD[n]} go on {n} and go on {n} and"),
        ("generic", lambda n: "I do not know what you mean by that."),
        ("copies", lambda n: SOURCES[n].upper()),
        ("short", lambda n: f"a{n}"),
    ],
)
def test_each_fault_is_found_by_its_share(name, fault):
    outputs = [fault(n) if n < 20 else GOOD[n] for n in range(50)]
    found = signs(outputs, cures={name: "set it=3"})
    assert found[name].outputs == pytest.approx(0.4, abs=0.021)
    assert found[name].references <= 0.04
    assert "set it=3" in found[name].warning
    assert "40 %" in found[name].warning
    assert [key for key, sign in found.items() if sign.warning] == [name]
    json.dumps(found[name].to_json())


def test_outputs_without_end_and_with_unknown_words_are_counted():
    outputs = [f"{text} <unk>" if n < 10 else text for n, text in enumerate(GOOD)]
    found = signs(outputs, ended=[n >= 5 for n in range(50)], unknown="<unk>")
    assert (found["endless"].outputs, found["endless"].references) == (0.1, None)
    assert (found["unknown"].outputs, found["unknown"].references) == (0.2, None)
    assert "references" not in found["unknown"].warning
    assert "subwords" in found["unknown"].warning


def test_what_references_do_too_is_no_fault():
    common = ["Yes."] * 30 + GOOD[30:]
    [found] = [sign for sign in health(common, common, SOURCES) if sign.name == "generic"]
    assert found.outputs == found.references == 0.6
    assert found.warning is None
    # Two of three outputs are too few to warn.
    few = health(["a b c a b c"] * 2 + ["d"], ["a", "b", "c"], ["x", "y", "z"])
    assert [sign.warning for sign in few] == [None] * 4


def test_numbers_that_disagree_are_refused():
    with pytest.raises(InputError, match="2 outputs, 1 references and 1 sources"):
        health(["a", "b"], ["a"], ["a"])
    with pytest.raises(InputError, match="no output"):
        health([], [], [])
