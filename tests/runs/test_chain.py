"""Runs one after another: each reads what the one before it answers."""

from __future__ import annotations

import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.runs import chain

SMALL = {"hidden_size": 8, "embedding_size": 8, "resamples": 0, "progress": False}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """From words of a colour to its name, from the name to warm or cold, and a number."""
    folder = tmp_path_factory.mktemp("chain")
    rows = [("some blood here", "red"), ("the sea is wide", "blue"), ("a fire burns", "red"),
            ("the sky is clear", "blue")] * 20  # fmt: skip
    names = [("red", "warm"), ("blue", "cold")] * 40
    first = pd.DataFrame(rows, columns=["text", "label"])
    second = pd.DataFrame(names, columns=["name", "label"])
    third = pd.DataFrame({"text": first["text"], "y": [1.0, 2.0, 3.0, 4.0] * 20})
    how = SMALL | {"max_steps": 40, "lr": 0.03, "dropout": 0.0}
    return [
        elman.train("classify", first, folder / "a", **how).model,
        elman.train("classify", second, folder / "b", text="name", target="label", **how).model,
        elman.train("regress", third, folder / "c", **(how | {"max_steps": 2})).model,
    ]


def test_answers_go_on_as_inputs(models):
    data = pd.DataFrame({"text": ["the sea is wide", "a fire burns"]})
    table = chain.predict(models[:2], data)
    assert table["prediction"].tolist() == ["blue", "red"]
    assert table["prediction_2"].tolist() == ["cold", "warm"]
    assert list(table) == ["row", "prediction", "probability", "prediction_2", "probability_2"]
    alone = models[1].predict(pd.DataFrame({"name": ["blue", "red"]}))
    assert table["probability_2"].tolist() == alone["probability"].tolist()
    unsure = chain.predict([*models[:2], models[1]], data, abstain=1.0)
    assert unsure["prediction"].isna().all()
    assert "prediction_3" in unsure


def test_kinds_that_do_not_fit_are_refused_before_work(models):
    with pytest.raises(InputError, match=r"c \(regress\) gives numbers, and .*a .* reads text"):
        chain.predict([models[2], models[0]], "nowhere.csv")


def test_what_is_translated_goes_on_and_is_gone_on_to(models, tmp_path):
    sources = [f"{what} {number}" for number in range(20) for what in ("la mer", "le feu")]
    pairs = pd.DataFrame({"source": sources, "target": ["blue", "red"] * 20})
    how = {"unit": "words", "hidden_size": 8, "max_steps": 60, "lr": 0.03, "progress": False}
    made = elman.train("translate", pairs, tmp_path / "t", resamples=0, **how).model
    table = chain.predict([made, models[1]], ["la mer 1", "le feu 2"])
    alone = made.predict(["la mer 1", "le feu 2"])
    assert table["prediction"].tolist() == alone["prediction"].tolist()
    after = models[1].predict(pd.DataFrame({"name": table["prediction"]}))
    assert table["prediction_2"].tolist() == after["prediction"].tolist()
    back = chain.predict([models[0], made], pd.DataFrame({"text": ["the sea is wide"]}))
    assert back["prediction_2"].tolist() == made.predict(["blue"])["prediction"].tolist()
    with pytest.raises(InputError, match=r"gives numbers, and .*translate.* reads text"):
        chain.fits([models[2], made])
