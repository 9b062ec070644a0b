"""Scores of tags, spans, segments and intents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elman.scoring import Evaluation, entities
from elman.tasks.answers import only_tags
from elman.tasks.reading.examples import Examples
from elman.tasks.tag.labels import is_text
from elman.tasks.tag.said import Said

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.tag.task import Tag

_FEW = 20
"""Sequences below which each is scored in blocks, so that there is something to resample."""


def scores_of(
    task: Tag, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
) -> Evaluation:
    """Return the scores of what the model or a baseline says."""
    import pandas as pd

    said: list[Said] = outputs
    truth = [only_tags(answer) for answer in found.answers or []]
    given = [one.tags for one in said]
    hits: list[bool] = []
    if task.answer.intents:
        intents = [answer[0][1] for answer in found.answers or []]
        hits = [a == one.intent for a, one in zip(intents, said, strict=True)]
    if not task.answer.has_spans:
        if len(truth) < _FEW and not hits:
            truth, given = _blocks(truth), _blocks(given)
        columns = [entities.step_units(truth, given)]
        segments = None
        if not is_text(task, found):
            segments = entities.segment_units(truth, given)
            columns.append(segments)
        if hits:
            columns.append(pd.DataFrame({"intent": hits}, dtype=float))
        width = 0 if segments is None else segments.shape[1]
        score = _StepScore(width, bool(hits))
        return Evaluation(pd.concat(columns, axis=1), score, predictions)
    spans = [task.answer.spans(tags) for tags in truth]
    units = entities.entity_units(spans, [one.spans for one in said])
    right = [set(a) == set(one.spans) for a, one in zip(spans, said, strict=True)]
    extra = {"sentence": np.array(right, float)}
    if hits:
        both = np.array(hits, float)
        extra = {"intent": both, "sentence": extra["sentence"] * both}
    return Evaluation(
        pd.concat([units, pd.DataFrame(extra)], axis=1), _SpanScore(tuple(extra)), predictions
    )


@dataclass(frozen=True)
class _SpanScore:
    """Strict scores of spans, and shares of what stands in the last columns of the units."""

    extra: tuple[str, ...]

    def __call__(self, units: pd.DataFrame) -> dict[str, float]:
        found = entities.scores(units.iloc[:, : units.shape[1] - len(self.extra)])
        shares = {f"{name}_accuracy": float(units[name].mean()) for name in self.extra}
        return {name: found[name] for name in ("f1", "precision", "recall")} | shares


@dataclass(frozen=True)
class _StepScore:
    """Accuracy and macro F1 of steps; of columns after theirs, scores of segments and intents."""

    segments: int
    intents: bool

    def __call__(self, units: pd.DataFrame) -> dict[str, float]:
        steps = units.shape[1] - self.segments - self.intents
        found = entities.scores(units.iloc[:, :steps])
        scores = {"accuracy": found["f1"], "macro_f1": found["macro_f1"]}
        if self.segments:
            scores |= entities.segment_scores(units.iloc[:, steps : steps + self.segments])
        if self.intents:
            scores["intent_accuracy"] = float(units["intent"].mean())
        return scores


def _blocks(sequences: Sequence[list[str]]) -> list[list[str]]:
    """Return few long sequences cut into at least `_FEW` blocks, each a unit of its own."""
    total = sum(map(len, sequences))
    size = max(1, min(50, total // _FEW))
    return [one[k : k + size] for one in sequences for k in range(0, len(one), size)]
