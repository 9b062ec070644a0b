"""The report of a classifier: its mistakes, its classes, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elman.scoring import calibration, confusion, entities
from elman.tasks.base import Section
from elman.tasks.looking import reliability

if TYPE_CHECKING:
    import pandas as pd


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
