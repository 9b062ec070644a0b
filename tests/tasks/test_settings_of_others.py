"""A setting of another task, or one without effect, is refused by name."""

from __future__ import annotations

import pandas as pd
import pytest

from elman.errors import InputError
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


@pytest.mark.parametrize(
    ("task", "setting", "owner"),
    [
        ("classify", "horizon", "forecast"),
        ("classify", "scheme", "tag"),
        ("tag", "k1", "generate"),
        ("generate", "decimal", "classify and forecast and regress and tag"),
    ],
)
def test_the_task_that_has_the_setting_is_named(task, setting, owner):
    with pytest.raises(InputError, match=f"{setting} is a setting of the tasks? {owner}; {task}"):
        settings_of(TASKS[task], {setting: 3})


@pytest.mark.parametrize("mark", [",", "."])
def test_a_mark_before_decimals_without_numbers_is_refused(mark, tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"so it is in {i}th,{'pn'[i % 2]}" for i in range(30)]
    path.write_text("\n".join(["text,label", *rows]))
    kind = TASKS["classify"]
    with pytest.raises(InputError, match="has no effect: no column holds numbers"):
        kind.from_data(path, settings_of(kind, {"decimal": mark}))
    frame = pd.read_csv(path).assign(x=0.5)
    frame.to_csv(path, index=False)
    assert kind.from_data(path, settings_of(kind, {"decimal": ".", "text": "text"}))
