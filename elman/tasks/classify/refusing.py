"""Where a classifier says "none of these": its settings, its examples, and its part of a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from elman.errors import InputError
from elman.scoring import rejection
from elman.scoring.calibration import Classes
from elman.scoring.rejection import Rejection
from elman.tasks.base import Section
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.later import read_like
from elman.tasks.reading.layout import Layout
from elman.tasks.reading.tables import Writing
from elman.tasks.settings import ManyToOneSettings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TAUGHT = 0.5
"""Weight of the loss of an example of no class, as Hendrycks et al. 2019 have it for text."""


class RefusingSettings(ManyToOneSettings):
    """Settings of a classifier that may say "none of these"."""

    outside: str | None = Field(
        None, description="label of examples that are of no class: they teach where to say none"
    )
    outside_data: str | list[str] | None = Field(
        None, description="a file, or several, of more examples that are of no class"
    )
    reject: bool = Field(
        False, description="say none where too unsure, also without examples of no class"
    )
    none_name: str = Field("none", min_length=1, description="the answer that says none of these")

    @property
    def refuses(self) -> bool:
        """True where answers may be refused."""
        return self.reject or self.outside is not None or self.outside_data is not None

    @property
    def outside_label(self) -> str | None:
        """The label of examples that are of no class; None where there may be none."""
        if self.outside is None and self.outside_data is not None:
            return self.none_name
        return self.outside

    @model_validator(mode="after")
    def _a_name_for_something(self) -> Self:
        if self.none_name != "none" and not self.refuses:
            raise ValueError("none_name needs outside, outside_data or reject=true")
        return self


def extended(found: Examples, settings: Any, layout: Layout) -> Examples:
    """Return examples with those of no class that lie in files of their own.

    Raises:
        InputError: the files cannot be read; or a class has the name of the answer none.
    """
    label = settings.outside_label
    if settings.refuses and label != settings.none_name:
        _free_name(found, settings, layout)
    if settings.outside_data is None:
        return found
    if settings.outside is None:
        _free_name(found, settings, layout)
    if settings.together is not None:
        raise InputError(
            "outside_data does not say to whom its examples belong, so they cannot be kept "
            f"together by {settings.together!r}.",
            fix="Put them into the training file, with a label, and set outside=LABEL.",
        )
    given = settings.outside_data
    paths = [Path(path) for path in ([given] if isinstance(given, str) else given)]
    others = read_like(
        paths if len(paths) > 1 else paths[0], layout, None, (), Writing.of(settings)
    )
    return found.and_more(replace(others, answers=[label] * len(others), owners={}))


def _free_name(found: Examples, settings: Any, layout: Layout) -> None:
    if settings.none_name in (found.answers or []):
        file, number = found.where((found.answers or []).index(settings.none_name))
        raise InputError(
            f"There is a class {settings.none_name!r}, so that name cannot say none of these.",
            file=file,
            row=number,
            column=layout.target,
            fix=f"Set outside={settings.none_name} if its examples are of no class, or none_name "
            "to another name.",
        )


def found_on(said: Classes, truth: NDArray[np.int64], classes: int) -> Rejection:
    """Return the rule of rejection that is best on held-out examples."""
    inside = truth < classes
    if said.outside:
        # It has a class for none: it says none where that is the likeliest.
        return Rejection("own class", 0.5)
    return rejection.found_on(said.scores_in_scope(), said.best == truth, inside)


def section(
    units: pd.DataFrame,
    score: NDArray[Any],
    rule: Rejection,
    metrics: dict[str, float],
    taught: bool,
) -> Section:
    """Return what refusing answers costs and gains on the test part.

    Args:
        units: as `rejection.units` has them.
        score: of being in scope, `(n,)`.
        rule: by which answers are refused.
        metrics: the scores.
        taught: whether examples of no class were held out to find the threshold.
    """
    inside, refused = units["inside"].to_numpy(), score < rule.least
    how = (
        "at which the share in scope that is answered rightly and the share of the others that is "
        "refused have the largest sum on the validation part"
        if taught
        else "above which 95 % of the right answers of the validation part lie"
    )
    text = (
        f"An answer is refused where its {rule.by} is below {rule.least:.4g}, {how}. Of the "
        f"{int(inside.sum()):,} test examples in scope {refused[inside].mean():.1%} are refused"
    )
    right = (units["best"] == units["truth"]).to_numpy()
    if inside.all():
        given = inside & ~refused
        share = right[given].mean() if given.any() else float("nan")
        text += f", and {share:.1%} of the given answers are right. The test part has none outside."
        return Section("None of these", text)
    text += (
        f", of the {int((~inside).sum()):,} others {refused[~inside].mean():.1%}. A random one in "
        f"scope has a higher score than a random other one in {metrics['rejection_auroc']:.1%} of "
        "pairs (AUROC). The curve shows all other thresholds."
    )
    table = rejection.trade(score, right, inside)
    here = refused[~inside].mean(), (right & ~refused)[inside].mean()
    return Section("None of these", text, table, _curve(score, right, inside, here))


def _curve(
    score: NDArray[Any],
    right: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    here: tuple[float, float],
) -> Figure:
    """Draw what is refused of the others against what is answered rightly in scope."""
    from matplotlib.figure import Figure

    order = np.sort(score[~inside])
    given = np.sort(score[inside & right])
    refused = np.arange(len(order) + 1) / len(order)
    edges = np.append(order, np.nextafter(order[-1], np.inf))
    answered = (len(given) - np.searchsorted(given, edges)) / inside.sum()
    figure: Figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(refused, answered, color="#1f3a5f", label="every threshold")
    axes.plot(*here, color="#b35c1e", marker="o", linestyle="", label="the one of this run")
    axes.set_xlabel("share of what is of no class that is refused")
    axes.set_ylabel("share in scope answered rightly")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
