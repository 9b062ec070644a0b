"""What is refused before torch is imported is what the classes would refuse."""

from __future__ import annotations

import os

import pytest

from elman.cli import main
from elman.cli.early import _declared
from elman.modalities import MODALITIES
from elman.tasks import TASKS


def test_every_setting_of_every_task_and_modality_is_found_in_the_source():
    known = {
        name
        for table in (TASKS, MODALITIES)
        for kind in table.values()
        for name in kind.Settings.model_fields
    }
    assert known == _declared()


@pytest.mark.parametrize(("policy", "expected"), [(None, "20000"), ("active", None)])
def test_threads_rest_while_they_wait_unless_a_person_says_how(monkeypatch, policy, expected):
    for name, value in (("GOMP_SPINCOUNT", None), ("OMP_WAIT_POLICY", policy)):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ.get("GOMP_SPINCOUNT") == expected
