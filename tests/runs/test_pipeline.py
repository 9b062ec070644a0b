"""Runs that ended badly say so."""

import pandas as pd
import pytest

import elman
from elman.errors import InputError


def test_a_run_that_diverged_says_so_where_its_model_is_asked_for(tmp_path):
    rows = [(f"a {'good' if i % 2 else 'bad'} film {i}", "pn"[i % 2]) for i in range(40)]
    table = pd.DataFrame(rows, columns=["text", "label"])
    how = {"lr": 1e30, "clip": "none", "cell": "irnn", "max_steps": 30, "optimizer": "sgd"}
    with pytest.raises(elman.errors.RunFailed, match="the loss is"):
        elman.train("classify", table, tmp_path / "run", **how)
    with pytest.raises(InputError, match=r"diverged \d times and left no model.*at step"):
        elman.load(tmp_path / "run")
