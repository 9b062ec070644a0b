"""The columns that people want first: which one, the answer, how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import elman
from elman.tasks.forecast.tables import brief

SMALL = {"max_steps": 2, "hidden_size": 4, "resamples": 5, "progress": False}


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    rows = [
        (f"r{i:03d}", f"a {'good' if i % 2 else 'bad'} film {i % 7}", "pn"[i % 2])
        for i in range(60)
    ]
    return pd.DataFrame(rows, columns=["review_id", "text", "label"])


def test_an_id_the_class_and_its_probability(reviews, tmp_path):
    run = elman.train("classify", reviews, tmp_path / "run", **SMALL)
    said = elman.load(run.path).predict(reviews[["text", "review_id"]])
    assert list(said.columns) == ["review_id", "prediction", "probability"]
    assert said["review_id"].tolist() == reviews["review_id"].tolist()
    every = run.model.predict(reviews, proba=True)
    assert list(every.columns)[:3] == ["row", "review_id", "text"]
    classes = every[["p_n", "p_p"]].to_numpy()
    np.testing.assert_allclose(classes.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(classes.max(1), said["probability"])
    kept = pd.read_parquet(run.path / "predictions.parquet")
    assert {"p_n", "p_p", "truth", "text"} <= set(kept.columns)


def test_without_an_id_the_row(reviews, tmp_path):
    run = elman.train("classify", reviews.drop(columns="review_id"), tmp_path / "run", **SMALL)
    said = run.model.predict(["a good film", "a bad one"])
    assert list(said.columns) == ["row", "prediction", "probability"]
    assert said["row"].tolist() == [1, 2]


def test_a_number_has_its_outermost_quantiles(reviews, tmp_path):
    data = reviews.assign(label=np.arange(60) / 7, other=np.arange(60.0)[::-1])
    how = SMALL | {"target": ["label", "other"], "quantiles": [0.05, 0.5, 0.95]}
    model = elman.train("regress", data, tmp_path / "run", **how).model
    said, every = model.predict(data), model.predict(data, proba=True)
    ends = ["prediction", "lower", "upper"]
    wanted = [f"{end}_{name}" for name in ("label", "other") for end in ends]
    assert list(said.columns) == ["review_id", *wanted]
    np.testing.assert_array_equal(said["lower_other"], every["q0.05_other"])
    np.testing.assert_array_equal(said["upper_label"], every["q0.95_label"])
    bare = elman.train("regress", data, tmp_path / "bare", **how | {"quantiles": []}).model
    assert list(bare.predict(data).columns) == ["review_id", *wanted[::3]]


def test_series_and_target_only_where_there_are_several():
    one = pd.DataFrame({"series": ["", ""], "time": [1, 2], "step": [1, 2], "target": ["y", "y"]})
    one = one.assign(**{"forecast": [3.0, 4.0], "q0.1": [1.0, 2.0], "q0.9": [5.0, 6.0]})
    assert list(brief(one).columns) == ["time", "forecast", "lower", "upper"]
    many = pd.concat([one.assign(series="a"), one.assign(series="b", target="x")])
    assert list(brief(many).columns) == ["series", "time", "target", "forecast", "lower", "upper"]
    assert list(brief(one.drop(columns=["q0.1", "q0.9"])).columns) == ["time", "forecast"]
