"""New data of which training knew little, or that are read otherwise, are warned of or refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.errors import InputError, PredictionWarning

pytestmark = pytest.mark.xdist_group("strangers")

SMALL = {"max_steps": 2, "hidden_size": 4, "resamples": 10, "progress": False}


def said(call) -> str:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return " ".join(str(one.message) for one in found if one.category is PredictionWarning)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    texts = [f"the film {i} was {('fine', 'dull')[i % 2]}" for i in range(40)]
    table = pd.DataFrame({"text": texts, "label": ["good", "bad"] * 20})
    out = tmp_path_factory.mktemp("strangers") / "run"
    return elman.train("classify", table, out, **SMALL).model


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    values = np.random.default_rng(0).normal(size=(40, 6, 2))
    out = tmp_path_factory.mktemp("series") / "run"
    return elman.train("classify", (values, ["up", "down"] * 20), out, **SMALL).model


def test_text_of_another_language_is_warned_of(classifier):
    assert "7 of 8 words here are unknown" in said(
        lambda: classifier.predict(["ein guter Film gewesen", "das gefiel mir nicht"])
    )
    assert said(lambda: classifier.predict(["the film was good"])) == ""


def test_a_guessed_encoding_is_said_when_it_predicts(classifier, tmp_path):
    path = tmp_path / "later.csv"
    path.write_bytes("text\nthe film café was fine\nthe film était dull\n".encode("cp1252"))
    assert "cp1252" in said(lambda: classifier.predict(path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_in_arrays_is_refused_with_its_step(series, value):
    values = np.zeros((3, 6, 2))
    values[1, 4, 0] = value
    with pytest.raises(InputError, match=f"row 2.*Step 5 of this sequence has the value {value}"):
        series.predict(values)


def test_a_beginning_that_is_unknown_or_no_text(tmp_path):
    path = tmp_path / "abc.txt"
    path.write_text("abc abd " * 200)
    model = elman.train("generate", path, tmp_path / "run", **SMALL).model
    assert "6 of 6 characters here are unknown" in said(lambda: model.generate("Привет", length=3))
    assert said(lambda: model.generate("", length=3)) == ""
    with pytest.raises(InputError, match="A beginning is a text, not int 5"):
        model.generate(5)
    with pytest.raises(InputError, match="A beginning is a text, not int 5"):
        model.complete(5)


def test_an_empty_batch_is_not_examined():
    layer = elman.nn.LSTM(3, 4)
    with pytest.raises(InputError, match="The batch is empty"):
        elman.doctor(layer, torch.zeros(0, 2, 3))


def test_labels_that_training_never_had_are_named_when_it_is_evaluated(tmp_path):
    words = [["Ann", "went", "to", "Rome"], ["Bo", "saw", "Oslo", "again"]] * 30
    tags = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "B-LOC", "O"]] * 30
    table = pd.DataFrame({"tokens": words, "tags": tags})
    run = elman.train("tag", table, tmp_path / "run", **SMALL)
    other = table.assign(tags=[[tag.replace("PER", "PERSON") for tag in one] for one in tags])
    assert "Training never had 'PERSON' (60): each counts as missed" in said(
        lambda: elman.evaluate(run.path, other)
    )
    assert said(lambda: elman.evaluate(run.path, table)) == ""


def test_a_time_with_two_readings_is_asked_about(tmp_path):
    days = pd.date_range("2023-01-01", periods=80)
    table = pd.DataFrame({"day": days, "y": np.sin(np.arange(80.0))})
    stream = elman.train("forecast", table, tmp_path / "run", horizon=3, **SMALL).model.stream()
    with pytest.raises(InputError, match=r"'05/06/2023' .* may have its day or its month first"):
        stream.step({"y": 1.0, "day": "05/06/2023"})
    stream.step({"y": 1.0, "day": "2023-06-05"})
