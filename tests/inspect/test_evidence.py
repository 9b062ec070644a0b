"""Does the doctor know a sick model from a well one? The evidence on the page, run again."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_SPEC = importlib.util.spec_from_file_location(
    "doctor_evidence", Path(__file__).parents[2] / "benchmarks" / "doctor.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
evidence = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = evidence  # where dataclasses look for it
_SPEC.loader.exec_module(evidence)

PLANTED = [(name, case) for name, cases in evidence.CASES.items() for case in cases]


def named(case):
    """A case by its disease, a problem by its name."""
    return getattr(case, "disease", case)


@pytest.fixture
def text(data_dir):
    """Shakespeare; of another text the figures would be others."""
    return data_dir / "tinyshakespeare" / "input.txt"


@pytest.mark.parametrize(("name", "case"), PLANTED, ids=named)
def test_what_is_planted_is_named_and_its_first_remedy_cures_it(name, case):
    row = evidence.planted(name, case)
    assert row["named"], row["found"]
    assert row["cured"], row


@pytest.mark.parametrize("case", evidence.TEXT_CASES, ids=named)
def test_the_same_in_models_of_text(case, text, tmp_path):
    row = evidence.of_text(text, case, tmp_path)
    assert row["named"], row["found"]
    assert row["cured"], row


def test_sound_models_are_not_called_sick():
    found = [
        evidence.healthy(name, settings, seed)
        for seed in range(2)
        for name in evidence.PROBLEMS
        for settings in evidence.HEALTHY
    ]
    assert len(found) >= 20
    assert sum(row["learnt"] for row in found) == len(found)
    assert sum(bool(row["found"]) for row in found) <= 1


def test_sound_models_of_text_are_not_called_sick(text, tmp_path):
    found = [
        evidence.healthy_on_text(text, settings, 0, tmp_path) for settings in evidence.TEXT_HEALTHY
    ]
    assert all(row["learnt"] for row in found), found
    assert not any(row["found"] for row in found), found
