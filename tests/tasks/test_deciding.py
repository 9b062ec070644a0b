"""The part of each step in a class's score, where it can be worked out by hand."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import elman
from elman.cli import show
from elman.errors import InputError
from elman.modalities.base import Padded, Shown
from elman.nn import Ensemble
from elman.tasks.classify.deciding import deleted, of_numbers, of_texts, told, weights
from elman.tasks.classify.task import Classify
from elman.tasks.settings import settings_of
from elman.training import fit, seed


class Sum(nn.Module):
    """Scores of classes as the sum over steps of a linear map: parts are known exactly."""

    def __init__(self, seed: int, embedding: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding, self.head = embedding, nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = x if self.embedding is None else self.embedding(x)
        return self.head(x).sum(1)


def margin(model: Sum, code: int) -> Tensor:
    rows = model.head.weight.detach()
    return rows[code] - (rows.sum(0) - rows[code]) / (len(rows) - 1)


def test_parts_of_a_linear_model_of_numbers():
    x, model = torch.randn(2, 5, 4), Sum(0)
    found = weights(model, Padded(x, torch.tensor([5, 5])), [2, 0])
    wanted = torch.stack([x[0] @ margin(model, 2), x[1] @ margin(model, 0)])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    scores = model(x).detach()
    own, others = scores[0, 2], (scores[0, 0] + scores[0, 1]) / 2
    assert found[0].sum() == pytest.approx(float(own - others), rel=1e-4)


def test_parts_of_embedded_symbols_and_of_several_networks():
    members = [Sum(seed, nn.Embedding(6, 4)) for seed in (1, 2)]
    x = torch.tensor([[0, 3, 5]])
    single = [weights(member, Padded(x, torch.tensor([3])), [1]) for member in members]
    for member, part in zip(members, single, strict=True):
        wanted = member.embedding(x)[0].detach() @ margin(member, 1)
        np.testing.assert_allclose(part[0], wanted, rtol=1e-5, atol=1e-6)
        assert not member.embedding._forward_hooks, "nothing is left behind"
    both = weights(Ensemble(members, "outputs").eval(), Padded(x, torch.tensor([3])), [1])
    np.testing.assert_allclose(both, (single[0] + single[1]) / 2, rtol=1e-4, atol=1e-6)


def test_parts_add_up_to_what_the_score_gains():
    class Bent(Sum):
        def forward(self, x, lengths=None):
            return torch.tanh(super().forward(x, lengths))

    x, model = torch.randn(3, 6, 4), Bent(3)
    found = weights(model, Padded(x, torch.tensor([6, 6, 6])), [0, 1, 2], alone=True)
    wanted = model(x).detach()[torch.arange(3), torch.arange(3)]
    np.testing.assert_allclose(found.sum(1), wanted, rtol=1e-4, atol=1e-5)


def test_taking_out_what_weighs_most_counts_more_than_chance():
    arrays = [np.eye(10)[:, :1] * 5 + k for k in range(4)]
    parts = [array[:, 0] for array in arrays]

    def chances(some):
        return np.array([array.max() / 10 for array in some])

    found = deleted(arrays, parts, chances)
    assert found.strongest == pytest.approx(0.5)
    assert found.random < 0.3
    assert told(["a", "b"], np.array([3.0, -1.0])) == [["a", 0.75], ["b", -0.25]]


def test_pieces_are_coloured_by_sign_and_long_texts_cut_around_the_heaviest():
    pieces = [f"w{k} " for k in range(400)]
    part = np.zeros(400)
    part[[300, 301]] = 1.0, -0.5
    section = of_texts(["good"], [Shown(pieces, pieces=pieces)], [part], "words")
    (line,) = section.marked
    said = {mark.text: mark.colour for mark in line}
    assert said["w300 "].startswith("rgba(90")
    assert said["w301 "].startswith("rgba(235")
    assert sum(bool(colour) for colour in said.values()) == 2
    assert "w0 " not in said
    assert line[0].text == "good: … "
    assert len(line) == 120 + 2
    drawn = of_numbers(["a", "b", "c"], [np.zeros((9, 2))] * 3, [np.ones(9)] * 3, "steps").figure
    assert drawn is not None
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["a", "b", "c", ""]


def reviews() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    filler = ["film", "story", "with", "a", "slow", "plot"]
    texts, labels = [], []
    for k in range(140):
        words = [*rng.choice(filler, 5), "splendid" if k % 2 else "dreadful"]
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append("good" if k % 2 else "bad")
    return pd.DataFrame({"text": texts, "label": labels})


def test_the_word_that_decides_is_found():
    table = reviews()
    how = {"hidden_size": 8, "epochs": 10, "dropout": 0.0, "lr": 0.02}
    how |= {"reverse": True, "bidirectional": False}
    task = Classify.from_data(table, settings_of(Classify, how))
    seed(0)
    model = task.build()
    fit(task.objective(model), task.batches(), task.settings)
    evaluation = task.evaluate(model)
    assert evaluation.metrics["accuracy"] > 0.9
    assert evaluation.predictions is not None
    section = task.decided(model, evaluation)
    assert section is not None
    strongest = []
    for line in section.marked:
        shades = [float(m.colour.split()[-1].rstrip(")")) if m.colour else 0.0 for m in line]
        strongest.append(line[int(np.argmax(shades))].text.strip())
    deciding = [word for word in strongest if word in ("splendid", "dreadful")]
    assert len(deciding) > 0.6 * len(strongest), "by chance one in six"


@pytest.mark.fuzz
def test_why_is_told_and_holds_when_words_are_taken_out(tmp_path, capsys):
    how = {"hidden_size": 8, "epochs": 30, "dropout": 0.0, "lr": 0.02, "test_fraction": 0.3}
    run = elman.train("classify", reviews(), tmp_path / "run", progress=False, **how)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Taking out the fifth of the steps" in page
    table = run.model.predict(["a slow plot splendid film", "dreadful story"], why=True)
    assert list(table) == ["row", "prediction", "probability", "why"]
    for steps, word in zip(table["why"], ["splendid", "dreadful"], strict=True):
        assert abs(sum(abs(share) for _, share in steps) - 1) < 1e-2
        assert max(steps, key=lambda pair: pair[1])[0].strip() == word
    unknown = run.model.predict(["a Zyzzyva splendid film"], why=True)["why"][0]
    assert [word.strip() for word, _ in unknown] == ["a", "Zyzzyva", "splendid", "film"]
    empty = pd.DataFrame({"text": ["film", ""]})
    assert run.model.predict(empty, why=True)["why"][1] is None
    show.reasons(table)
    assert "a slow plot splendid film" in capsys.readouterr().out
    assert json.loads(pd.read_csv(io.StringIO(show.as_csv(table)))["why"][0]) == table["why"][0]
    task, model = run.model.task, run.model.module
    inputs = list(task._encode(reviews()["text"].tolist()))
    own = task.chances(model, inputs).argmax(1)
    fell = deleted(
        inputs,
        task._parts_of(model, inputs, own.tolist()),
        lambda some: task.chances(model, some)[np.arange(len(own)), own],
    )
    assert fell.strongest > fell.random + 0.1
    with pytest.raises(InputError, match="known of the model alone"):
        elman.load(run.path, "majority").predict(["film"], why=True)
