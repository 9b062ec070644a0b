"""What is refused before torch is imported is what the classes would refuse."""

from __future__ import annotations

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
