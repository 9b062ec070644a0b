"""The answer of a model or a baseline for one sequence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from elman.data.tagging import Span

if TYPE_CHECKING:
    pass

Array = NDArray[Any]


@dataclass
class Said:
    """The answer of a model or a baseline for one sequence.

    Attributes:
        tags: of each step, in the scheme of the data.
        spans: those that the tags stand for.
        chances: the probability of each step's tag, `(T,)`; None of a baseline.
        span_chances: the probability of each span.
        intent: of the sequence.
        intent_chance: its probability.
    """

    tags: list[str]
    spans: list[Span] = field(default_factory=list)
    chances: Array | None = None
    span_chances: list[float] = field(default_factory=list)
    intent: str = ""
    intent_chance: float = float("nan")
