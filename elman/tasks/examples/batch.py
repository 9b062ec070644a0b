"""A batch of sequences with their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from elman.modalities.base import Padded

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Batch:
    """Sequences in the order in which they are read, and their answers `(B, ...)`.

    Where each step has an answer, answers are `(B, T, ...)`, zero beyond each length.
    """

    padded: Padded
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)
