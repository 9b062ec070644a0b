"""The validation loss stands in every run, and is the loss that training lowers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

SMALL: dict[str, Any] = {"hidden_size": 6, "max_steps": 2, "validate_every": 1}


def words(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(["up", "down", "left"], rng.integers(2, 9))) for _ in range(n)]


DATA: dict[str, Any] = {
    "classify": lambda: pd.DataFrame({"text": words(240), "label": ["a", "b", "c"] * 80}),
    "regress": lambda: pd.DataFrame({"text": words(240), "target": np.arange(240) / 7}),
    "tag": lambda: pd.DataFrame(
        {"tokens": [t.split() for t in words(240)], "tags": [t.split() for t in words(240)]}
    ),
    "forecast": lambda: pd.DataFrame({"y": np.sin(np.arange(200) / 3)}),
    "generate": lambda: pd.DataFrame({"text": words(240)}),
}


@pytest.mark.parametrize("task", DATA)
def test_it_is_the_mean_over_all_that_was_held_out(task):
    """Whatever the size of batches; and for a model that is the same in training."""
    found = []
    for size in (3, 1000):
        given = {"batch_size": size, "dropout": 0.0, "hidden_size": 6}
        made = TASKS[task].from_data(DATA[task](), settings_of(TASKS[task], given))
        torch.manual_seed(0)
        objective = made.objective(made.build().eval())
        with torch.no_grad():
            found.append(objective.validate())
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)
    if task == "generate":
        assert math.exp(found[0]["loss"]) == pytest.approx(found[0]["perplexity"])


@pytest.mark.parametrize(
    ("task", "more"),
    [*((task, {}) for task in DATA), ("regress", {"members": 2}), ("tag", {"members": 2})],
)
def test_every_validation_row_has_it(task, more, tmp_path):
    run = elman.train(
        task, DATA[task](), tmp_path / "run", progress=False, resamples=0, **SMALL, **more
    )
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["valid"]["loss"] for row in rows if "valid" in row]
    assert len(losses) >= 2
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
