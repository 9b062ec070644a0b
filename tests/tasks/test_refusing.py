"""A classifier that says "none of these": taught by examples, by a file, or by a threshold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import elman
from elman.errors import InputError
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of

CLASSES = {"card": ["card", "visa"], "cash": ["cash", "coins"], "rate": ["rate", "percent"]}
STRANGE = ["rain", "horse", "violin", "soup", "moon"]
SMALL = {"hidden_size": 12, "embedding_size": 12, "resamples": 20, "batch_size": 16, "lr": 0.02}


def talk(n=180, strange=60, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n + strange):
        name = list(CLASSES)[k % 3] if k < n else "oos"
        told = CLASSES.get(name, STRANGE)
        words = [*rng.choice(["where", "is", "my", "the", "a"], 4), *rng.choice(told, 2)]
        rows.append((" ".join(rng.permutation(words)), name))
    return pd.DataFrame(rows, columns=["text", "intent"])


def read(data, **told):
    return Classify.from_data(data, settings_of(Classify, SMALL | {"max_steps": 2} | told))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("refusing") / "run"
    told = SMALL | {"outside": "oos", "max_steps": 120, "word_dropout": 0.1}
    return elman.train("classify", talk(), path, progress=False, **told)


@pytest.mark.fuzz
def test_a_taught_run_refuses_and_says_so_everywhere(run):
    test = run.results["test"]
    assert test["accuracy"] > 0.9
    assert test["rejection_auroc"] > 0.9
    assert test["overall_accuracy"] > 0.85
    assert {"accuracy_at_95", "macro_f1"} <= set(test)
    assert run.results["baselines"]["tf-idf + logistic regression"]["rejection_auroc"] > 0.9
    assert "rule" in run.results["blend"]["none"]
    page = (run.path / "report.html").read_text()
    assert "None of these" in page
    assert "answered with &#39;none&#39;" in page
    model = elman.load(run.path)
    assert model.task.classes == list(CLASSES)
    assert elman.evaluate(run.path, talk(60, 30, seed=1))["test"]["rejection_auroc"] > 0.9
    table = model.predict(["where is my visa card", "soup moon violin horse"], proba=True)
    assert table["prediction"].tolist() == ["card", "none"]
    rule = model.task.rejection
    assert rule is not None
    assert table["score"][0] >= rule.least > table["score"][1]
    every = model.predict(["where is my visa card"], abstain=1.0)
    assert every["prediction"].tolist() == ["none"], "one mechanism: the same answer"
    beside = elman.load(run.path, "tf-idf").predict(["soup moon violin horse", "visa card card"])
    assert beside["prediction"].tolist() == ["none", "card"]


def test_the_loss_of_no_class_wants_all_as_likely():
    task = read(talk(), outside="oos")
    outputs = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, -1.0]], requires_grad=True)
    known = torch.nn.functional.cross_entropy(outputs[:1], torch.tensor([0]))
    flat = -torch.log_softmax(outputs[1], -1).mean()
    found = task.cost(outputs, torch.tensor([0, 3]), torch.ones(2))
    assert found.item() == pytest.approx((known + 0.5 * flat).item())
    even = task.cost(torch.zeros(1, 3, requires_grad=True), torch.tensor([3]), torch.ones(1))
    assert even.item() == pytest.approx(0.5 * np.log(3))


def test_another_file_teaches_too(tmp_path):
    strange = tmp_path / "strange.txt"
    strange.write_text("".join(f"{text}\n" for text in talk(0, 50)["text"]))
    task = read(talk(180, 0), outside_data=str(strange))
    counts = {p: sum(a == "none" for a in found.answers) for p, found in task._parts.items()}
    assert counts == {"train": 40, "valid": 5, "test": 5}
    place = next(k for k, a in enumerate(task._parts["train"].answers) if a == "none")
    assert task._parts["train"].where(place)[0] == strange
    assert task.settings.outside_data == [str(strange)]
    assert "teach it; of no class: 40 in train, 5 in valid, 5 in test" in str(task.understood())
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        read(talk(180, 0), outside_data="nowhere.txt")


@pytest.mark.fuzz
def test_a_threshold_alone_keeps_most_right_answers(tmp_path):
    told = SMALL | {"reject": True, "max_steps": 60, "valid_fraction": 0.3, "none_name": "other"}
    found = elman.train("classify", talk(180, 0), tmp_path / "run", progress=False, **told)
    assert "rejection_auroc" not in found.results["test"]
    refused = found.model.predict(talk(180, 0))["prediction"] == "other"
    assert 0 < refused.mean() < 0.2
    assert "95 % of the right answers" in (found.path / "report.html").read_text()


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"none_name": "other"}, "none_name needs outside"),
        ({"outside": "oops"}, "outside=oops has no effect: no example has that label"),
        ({"reject": True, "none_name": "card"}, "There is a class 'card'"),
        ({"outside": "oos", "valid_fraction": 0.0}, "no validation part to find out"),
        ({"reject": True, "label_separator": ";"}, "mean nothing where an example may have sev"),
    ],
)
def test_what_is_refused(told, match):
    with pytest.raises(InputError, match=match):
        read(talk(), **told)


def test_one_class_beside_the_others_is_refused():
    table = talk()
    table = table[table["intent"].isin(["card", "oos"])]
    with pytest.raises(InputError, match="not two classes"):
        read(table, outside="oos")
