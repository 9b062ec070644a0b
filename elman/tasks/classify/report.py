"""The report of a classifier: its mistakes, its classes, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.scoring import calibration, confusion, entities, label_sets
from elman.scoring.label_sets import Judged
from elman.tasks.base import Section
from elman.tasks.looking import reliability
from elman.tasks.understood import shorter

if TYPE_CHECKING:
    import pandas as pd

_MISTAKES = 12
"""Mistaken labels that a report lists."""


def mistakes(wrong: pd.DataFrame) -> list[Section]:
    """Return the wrong answers with the highest probability, where there are any.

    Args:
        wrong: their rows of the predictions.
    """
    if not len(wrong):
        return []
    text = "The wrong answers that the model was surest of: often the label is at fault."
    return [Section("Worst mistakes", text, confusion.surest(wrong))]


def fared(units: pd.DataFrame, classes: Sequence[str]) -> list[Section]:
    """Return how each class and pair of classes fared.

    Args:
        units: the codes of `truth` and `prediction` of each example.
        classes: the names of the codes.
    """
    table = confusion.counts(units, len(classes))
    shown = [Section("Classes", table=confusion.class_table(table, classes))]
    if len(classes) <= confusion.READABLE:
        shown.append(Section("Confusion matrix", figure=confusion.figure(table, classes)))
    if len(classes) > 2:
        confused = confusion.most_confused(table, classes)
        if len(confused):
            shown.append(Section("Most often confused", table=confused))
    return shown


def believed(units: pd.DataFrame, temperature: float | None) -> list[Section]:
    """Return how often answers of each probability are right, and what leaving some out gains.

    Args:
        units: codes of `truth` and `prediction`, `confidence` and `uncalibrated`.
        temperature: found on the validation part, None without one.
    """
    right = (units["truth"] == units["prediction"]).to_numpy()
    shown = reliability("answer", units["confidence"].tolist(), right.tolist())
    if temperature is None:
        shown.text += " There is no validation part to calibrate them on."
    else:
        before = entities.calibration_error(np.clip(units["uncalibrated"], 0, 1), right)
        shown.text += (
            f" Without the temperature {temperature:.3g}, which was found on the validation part, "
            f"it would be {before:.3f}."
        )
    return [shown, _answered(calibration.answered(units["confidence"], right))]


def _answered(table: pd.DataFrame) -> Section:
    """Return the accuracy of the surest answers, as a curve and a table."""
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(table["answered"], table["accuracy"], color="#1f3a5f", marker="o", markersize=4)
    axes.set_xlabel("share of the examples that is answered")
    axes.set_ylabel("share of the answers that is right")
    text = (
        "Where only the surest answers are given: `elman predict --abstain P` leaves those of a "
        "probability below P empty. `confidence` is that P."
    )
    return Section("Accuracy and the share answered", text, table=table, figure=figure)


def labels_mistaken(
    predictions: pd.DataFrame, judged: Judged, classes: Sequence[str]
) -> list[Section]:
    """Return the labels that were most surely given wrongly, and most surely left out.

    Args:
        predictions: the rows of a run's predictions.
        judged: the answers beside the truth.
        classes: the names of the labels.
    """
    import pandas as pd

    chances, truth, chosen = judged.said.chances, judged.truth, judged.said.chosen
    # How wrong: the probability of what is not so.
    off = np.where(truth == chosen, -1.0, np.where(chosen, chances, 1 - chances))
    order = np.argsort(-off, axis=None, kind="stable")[:_MISTAKES]
    places = [divmod(int(place), len(classes)) for place in order if off.flat[place] >= 0]
    if not places:
        return []
    told = next((n for n in ("text", "tokens") if n in predictions), "row")
    table = pd.DataFrame(
        {
            told: [shorter(str(predictions[told].iloc[row]), 200) for row, _ in places],
            "label": [classes[code] for _, code in places],
            "mistake": ["given" if chosen[at] else "left out" for at in places],
            "its probability": [float(chances[at]) for at in places],
            "truth": [", ".join(predictions["truth"].iloc[row]) for row, _ in places],
        }
    )
    text = "Labels that were wrongly given or left out, the surest first: often the data are wrong."
    return [Section("Worst mistakes", text, table)]


def labels_fared(
    judged: Judged, classes: Sequence[str], temperature: float | None
) -> list[Section]:
    """Return how each label fared, and how often labels of each probability are right.

    Args:
        judged: the answers beside the truth.
        classes: the names of the labels.
        temperature: found on the validation part, None without one.
    """
    found = "A label is given from its threshold on, which was found on the validation part."
    if temperature is None:
        found = "A label is given from one half on: there is no validation part."
    if judged.unknown.any():
        found += f" {int(judged.unknown.sum())} labels that training never had count as missed."
    stated, truth = judged.said.chances.ravel(), judged.truth.ravel()
    shown = reliability("label", stated.tolist(), truth.tolist())
    if temperature is not None:
        before = label_sets.chances(judged.said.scores).ravel()
        error = entities.calibration_error(np.clip(before, 0, 1), truth)
        shown.text += f" Without the temperature {temperature:.3g} it would be {error:.3f}."
    table = label_sets.label_table(judged, classes)
    return [Section("Labels", found, table), shown]
