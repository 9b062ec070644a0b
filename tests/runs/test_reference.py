"""A Transformer beside the model: a row of the report, and nothing of the verdict."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import elman
from elman.errors import InputError
from elman.nn.transformer import Transformer, trainable
from elman.runs import pipeline, reference, report
from elman.tasks import TASKS
from elman.tasks.settings import settings_of
from elman.training import Interrupted
from elman.training.distributed import Ranks

TABLE = pd.DataFrame(
    [(f"a {'good' if i % 3 else 'bad'} film {i % 7}", "pn"[i % 3 == 0]) for i in range(90)],
    columns=["text", "label"],
)
HOW: dict[str, Any] = {
    "hidden_size": 16, "max_steps": 6, "resamples": 30, "embedding_size": 8, "schedule": "constant",
    "warmup": 0.0, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("reference") / "run"
    return elman.train("classify", TABLE, place, reference="transformer", **HOW)


def test_it_has_a_row_and_no_part_in_the_verdict(beside: Any, tmp_path: Path) -> None:
    alone = elman.train("classify", TABLE, tmp_path / "alone", **HOW).results
    results = beside.results
    for name in ("test", "ci95", "baselines", "verdict", "recommended", "blend", "parameters"):
        assert results[name] == alone[name], name
    found = results["reference"]
    assert found["parameters"] == pytest.approx(results["parameters"], rel=reference.CLOSE)
    assert (found["steps"], found["test"].keys()) == (6, results["test"].keys())
    by = results["test"]["accuracy"] - found["test"]["accuracy"]
    assert found["difference"]["difference"] == pytest.approx(by)
    low, high = found["difference"]["ci95"]
    assert low <= by <= high
    assert found["name"] not in results["baselines"]
    assert [row["name"] for row in report.score_rows(results)].count(found["name"]) == 1
    page = html.unescape((beside.path / "report.html").read_text())
    assert reference.sentence(results) in page
    assert found["name"] not in html.unescape((tmp_path / "alone" / "report.html").read_text())
    assert not (beside.path / "reference").exists()
    assert "  reference: transformer\n" in (beside.path / "config.yaml").read_text()


def test_what_a_step_costs_is_told_with_cache_and_state(beside: Any) -> None:
    costs = beside.results["reference"]["step_costs"]
    assert costs["lengths"] == list(reference.LENGTHS)
    # How much longer the last takes is a matter of clocks, and none of a test.
    assert len(costs["transformer"]) == len(costs["lengths"])
    assert min(costs["transformer"]) > 0
    assert costs["state"] == 16  # units of one GRU
    assert costs["recurrent"] > 0
    stack = Transformer.like(elman.nn.Recurrent("gru", 8, 16))
    # Keys and values of 8,192 steps; the run's layers read both ways and are about twice as wide.
    assert costs["cache"] % (2 * 8192) == 0
    assert costs["cache"] >= 2 * 8192 * stack.shape.width


def test_words_say_who_is_better_and_by_how_much() -> None:
    def said(difference: dict[str, Any] | None) -> str:
        found = {
            "test": {"rmse": 2.5}, "difference": difference, "parameters": 1003, "seconds": 4.0,
            "steps": 70, "model_seconds": 4.5,
        }  # fmt: skip
        training = {"steps": 80}
        whole = {"metric": "rmse", "parameters": 1000, "training": training, "reference": found}
        return reference.sentence(whole)

    first = "Transformer (reference): rmse 2.5"
    assert said({"difference": 0.5, "ci95": [-0.1, 0.9]}) == (
        f"{first}; the model is better by 0.5 [-0.1, 0.9]. 1,003 parameters against 1,000, trained "
        "4 s and 70 steps against 4.5 s and 80 steps."
    )
    assert "the model is worse by 0.5 [-0.1, 0.9]." in said(
        {"difference": -0.5, "ci95": [-0.9, 0.1]}
    )
    assert "the model has as much [-1, 1]." in said({"difference": 0.0, "ci95": [-1.0, 1.0]})
    assert said(None).startswith(f"{first}. 1,003")
    assert "worse by 0.5. 1,003" in said({"difference": -0.5, "ci95": None})


@pytest.mark.fuzz
def test_a_stopped_reference_goes_on(
    beside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "table.csv"
    TABLE.to_csv(file, index=False)
    whole = reference.fit

    def stopped(objective: Any, batches: Any, settings: Any, **how: Any) -> Any:
        whole(objective, batches, settings.model_copy(update={"max_steps": 3}), **how)
        raise Interrupted("Ctrl-C")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(reference, "fit", stopped)
        with pytest.raises(Interrupted, match=rf"reference was trained\. .* elman resume {run}$"):
            elman.train("classify", file, run, reference="transformer", **HOW)
    found = elman.resume(run, progress=False).results["reference"]
    expected = beside.results["reference"]
    assert found["test"] == pytest.approx(expected["test"])
    assert found["steps"] == 6


@pytest.mark.fuzz
def test_a_budget_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []

    def watched(fit: Any) -> Any:
        def short(objective: Any, batches: Any, settings: Any, **how: Any) -> Any:
            seen.append((settings.budget, how["around"]))
            settings = settings.model_copy(update={"budget": None})
            return fit(objective, batches, settings, **how)

        return short

    monkeypatch.setattr(reference, "fit", watched(reference.fit))
    monkeypatch.setattr(pipeline, "fit", watched(pipeline.fit))
    how = {**HOW, "max_steps": 2, "resamples": 0, "budget": 500.0}
    results = elman.train("classify", TABLE, tmp_path / "run", reference="transformer", **how)
    assert [budget for budget, _ in seen] == [250.0, 250.0]
    assert seen[0][1] == seen[1][1] >= pipeline.REPORTING / 2
    assert results.results["budget"] == 500.0


def test_where_there_is_none_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    tiny = {**HOW, "hidden_size": 1, "embedding_size": 1, "bidirectional": False}
    with pytest.raises(InputError, match="no Transformer"):
        elman.train("classify", TABLE, run, reference="transformer", cell="indrnn", **tiny)
    with pytest.raises(
        InputError, match=r"Setting reference cannot be 'transformr'\. .*transformer"
    ):
        elman.train("classify", TABLE, run, reference="transformr", **HOW)
    monkeypatch.setattr(pipeline, "ranks", lambda: Ranks(0, 2))
    with pytest.raises(InputError, match="one process only"):
        elman.train("classify", TABLE, run, reference="transformer", **HOW)
    assert not run.exists()


@pytest.mark.parametrize("more", [{"copying": True, "coverage": 1.0}, {"input_feeding": True}])
def test_a_decoder_of_its_own_attends_in_every_layer(more: dict[str, Any]) -> None:
    small = {"hidden_size": 16, "embedding_size": 8, "dropout": 0.4, **more}
    kind = TASKS["translate"]
    task = kind.from_data(kind.example("text", 40), settings_of(kind, small))
    model = task.build()
    other, module = reference.built(task, model)
    assert trainable(module) == pytest.approx(trainable(model), rel=reference.CLOSE)
    decoder: Any = module.net.decoder
    assert (model.net.decoder.input_feeding, decoder.input_feeding) == (
        small.get("input_feeding", False), False
    )  # fmt: skip
    assert decoder.recurrent.reads == module.net.encoder.output_size
    assert decoder.recurrent.layers[0].dropout == reference.DROPOUT
    assert module.net.bridge is None
    assert len(other.evaluate(module).units) > 0
    assert task.settings.input_feeding == small.get("input_feeding", False)


def test_penalties_of_a_recurrence_are_not_those_of_a_reference() -> None:
    given = {"hidden_size": 32, "init_scale": 0.01, "activation_penalty": 2.0, "max_steps": 2}
    kind = TASKS["generate"]
    task = kind.from_data(kind.example("text", 40), settings_of(kind, given))
    other, module = reference.built(task, task.build())
    assert (other.settings.init_scale, other.settings.activation_penalty) == (None, 0.0)
    assert module.recurrent.norm.weight.eq(1).all()
    assert task.settings.activation_penalty == 2.0
