"""Samples of a language model, for the report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from elman.scoring import Evaluation
from elman.tasks.base import Section
from elman.tasks.generate import identity
from elman.tasks.generate.scores import overall_of

if TYPE_CHECKING:
    from elman.tasks.generate.task import Generate

# Labels of which a report shows a sample.
_SAMPLED = 12


def sections_of(task: Generate, model: nn.Module, evaluation: Evaluation) -> list[Section]:
    """Samples at several temperatures; with labels, one of each, and how each fared."""
    length = 400 if task.settings.unit == "characters" else 80
    how: list[dict[str, Any]] = [{"temperature": heat} for heat in (0.5, 0.8, 1.0)]
    if task.labels:
        how = [{"label": name, "temperature": 0.8} for name in task.labels[:_SAMPLED]]
    texts = [
        ", ".join(f"{name} {value}" for name, value in one.items())
        + "\n\n"
        + task.generate(model, length=length, seed=task.settings.seed, **one)[0]
        for one in how
    ]
    said = "Text the model wrote, from nothing."
    if len(task.labels) > len(texts):
        said += f" The first {len(texts)} of {len(task.labels)} labels."
    if not task.labels:
        said += " The lower the temperature, the likelier and the duller."
    samples = [Section("Samples", said, preformatted=texts)]
    if task.labels:
        samples.append(identity.section(evaluation.units, task.labels, partial(overall_of, task)))
    return samples
