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

PROBLEMS = {"adding": evidence.adding, "copy": evidence.copy}
PLANTED = [(name, case) for name in PROBLEMS for case in evidence.CASES[name]]


@pytest.mark.parametrize(("name", "case"), PLANTED, ids=lambda v: getattr(v, "disease", v))
def test_what_is_planted_is_named_and_its_first_remedy_cures_it(name, case):
    row = evidence.planted(PROBLEMS[name](), case)
    assert row["named"], row["found"]
    assert row["cured"], row


def test_sound_models_are_not_called_sick():
    found = [
        evidence.healthy(PROBLEMS[name](), settings, seed)
        for seed in range(2)
        for name in PROBLEMS
        for settings in evidence.HEALTHY
    ]
    assert len(found) >= 20
    assert sum(row["learnt"] for row in found) == len(found)
    assert sum(bool(row["found"]) for row in found) <= 1
