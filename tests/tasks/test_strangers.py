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


def test_series_in_another_unit_are_warned_of(series):
    values = np.random.default_rng(1).normal(size=(4, 6, 2))
    assert said(lambda: series.predict(values)) == ""
    assert "lie about" in said(lambda: series.predict(values * 1000))
    assert "those of training about" in said(lambda: series.predict(values / 1000))
    found = said(lambda: series.predict(values * [1, 1000]))
    assert found.startswith("the values of channel 2 of 'series' lie about")
    assert said(lambda: elman.evaluate(series.path, (values * 1000, ["up", "down"] * 2)))


@pytest.mark.parametrize("form", ["degrees", "row"])
def test_a_column_in_another_unit_is_named(tmp_path, form):
    rng = np.random.default_rng(0)
    if form == "degrees":  # Kelvin in training, Celsius later
        table = pd.DataFrame(
            {
                "id": np.repeat(np.arange(30), 8),
                "heat": 293 + rng.normal(size=240),
                "flow": rng.normal(size=240),
                "label": np.repeat(["on", "off"] * 15, 8),
            }
        )
        told, other = {"group": "id"}, table.assign(heat=table.heat - 273)
        word = "'heat'"
    else:
        table = pd.DataFrame(rng.normal(size=(30, 9))).add_prefix("t").assign(label=["a", "b"] * 15)
        told, other = {"modality": "series"}, table.copy()
        other.iloc[:, :9] *= 1000
        word = "the sequences"
    model = elman.train("classify", table, tmp_path / "run", **told, **SMALL).model
    assert said(lambda: model.predict(table)) == ""
    assert f"the values of {word} lie about" in said(lambda: model.predict(other))


def test_quiet_sequences_like_those_of_training_are_none_of_another_unit(tmp_path):
    rng = np.random.default_rng(0)
    still = rng.normal(size=(20, 9, 1)) / 100
    moving = rng.normal(size=(20, 9, 1)) * 5
    values = np.concatenate([still, moving])
    labels = ["still"] * 20 + ["moving"] * 20
    model = elman.train("classify", (values, labels), tmp_path / "run", **SMALL).model
    assert said(lambda: model.predict(still)) == ""


def test_targets_in_another_unit_are_warned_of_when_it_is_evaluated(tmp_path):
    rng = np.random.default_rng(0)
    table = (
        pd.DataFrame(rng.normal(size=(60, 3))).add_prefix("x").assign(price=rng.normal(5, 1, 60))
    )
    run = elman.train("regress", table, tmp_path / "run", target="price", **SMALL)
    assert said(lambda: elman.evaluate(run.path, table)) == ""
    found = said(lambda: elman.evaluate(run.path, table.assign(price=table.price * 1000)))
    assert "the values of 'price' lie about" in found
    assert "the scores are wrong" in found


def test_recordings_of_another_scale_are_warned_of(tmp_path):
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(16):
        tone = np.sin(np.arange(1600) * (0.2 + 0.3 * (number % 2))) * 0.4
        folder = tmp_path / "sounds" / ("high" if number % 2 else "low")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", tone + rng.normal(size=1600) / 100, 8000)
    model = elman.train("classify", tmp_path / "sounds", tmp_path / "run", **SMALL).model
    tone = np.sin(np.arange(1600) * 0.2) * 0.4
    assert said(lambda: model.predict(tone, rate=8000)) == ""
    whole = (tone * 32767).astype(np.int16)
    assert said(lambda: model.predict(whole, rate=8000)) == ""
    assert "the values of 'sound' lie about" in said(
        lambda: model.predict(whole.astype(float), rate=8000)
    )
    assert "If they are in another unit" in said(
        lambda: model.predict(whole.astype(np.int32), rate=8000)
    )
    codec = model.task.codec
    assert torch.equal(codec.step(whole / 32768), codec.step(whole))


def test_pictures_in_memory_are_read_as_those_of_tables(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 200, (20, 6, 6), dtype=np.uint8)
    pictures[::2] //= 2
    model = elman.train(
        "classify", (pictures, ["dark", "bright"] * 10), tmp_path / "run", **SMALL
    ).model
    picture = pictures[1]
    of_table = model.predict(pd.DataFrame({"image": [picture, picture]})).iloc[0, -1]
    for given in (picture, picture / 255):
        assert model.predict(given).iloc[0, -1] == pytest.approx(of_table, abs=1e-6)
    with pytest.raises(InputError, match="brightness lies between 0 and 1"):
        model.predict(picture.astype(float))
