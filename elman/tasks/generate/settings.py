"""Settings of `generate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from elman.data.vocabulary import Unit
from elman.modalities.text import VocabularySettings
from elman.tasks.settings import TaskSettings, other_default
from elman.training.settings import Precision, ScheduleName

if TYPE_CHECKING:
    pass


class GenerateSettings(TaskSettings, VocabularySettings):
    """Settings of a language model."""

    anew: ClassVar[frozenset[str]] = frozenset(
        {
            "variational",
            "embedding_dropout",
            "activation_penalty",
            "slowness_penalty",
            "k1",
            "k2",
            "sampled",
            "validate_on",
        }
    )

    text: str | None = Field(
        None, description="column of a table that holds the text, a document a row"
    )
    label: str | None = Field(
        None,
        description="column of a label (a style, an author, a topic) in whose manner texts are "
        "written; of text files `folder`: the name of the folder of each",
    )
    unit: Unit = other_default(VocabularySettings, "unit", "characters")
    lower: bool = other_default(VocabularySettings, "lower", False)
    punctuation: bool | None = Field(
        None, description="words: marks are words of their own (default: where the text needs it)"
    )
    vocabulary_size: int | None = Field(
        None, ge=2, description="symbols at most (default: by unit and length of the text)"
    )
    min_count: int | None = Field(
        None,
        ge=1,
        description="rarer symbols are unknown (default: 2 for words of plain text; "
        "for characters one in ten million)",
    )
    embedding_size: int | None = Field(
        None,
        ge=1,
        description="features of a symbol (default: 64 of a character, else hidden_size)",
    )

    valid_fraction: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share held out to choose the best model (default: 30,000 characters, 150,000 "
        "of words, a tenth at most, 0.05 % at least)",
    )
    hidden_size: int | None = Field(  # type: ignore[assignment]
        None, ge=1, description="units in each recurrent layer (default: by text and time)"
    )
    num_layers: int | None = Field(  # type: ignore[assignment]
        None,
        ge=1,
        description="recurrent layers on top of each other (default: by text and time)",
    )
    dropout: float | None = Field(  # type: ignore[assignment]
        None,
        ge=0,
        lt=1,
        description="dropout around and between layers (default: by passes over the text)",
    )
    tied: bool = Field(False, description="scores share the embedding's weights")
    init_scale: float | None = Field(
        None, gt=0, description="all parameters begin uniform in ±this (default: the cell's own)"
    )
    variational: bool = Field(False, description="dropout masks stay the same in every step")
    embedding_dropout: float = Field(0.0, ge=0, lt=1, description="dropout of whole symbols")
    activation_penalty: float | None = Field(
        None,
        ge=0,
        description="weight of the mean square of the output (AR, Merity et al. 2018; default: by "
        "unit and cell)",
    )
    slowness_penalty: float = Field(
        0.0, ge=0, description="weight of the mean square of its change in a step (TAR, the same)"
    )

    k1: int = Field(64, ge=1, description="tokens between updates, of each row")
    k2: int | None = Field(
        None, ge=1, description="tokens back that gradients flow (default: k1), at least k1"
    )
    batch_size: int | None = Field(  # type: ignore[assignment]
        None,
        ge=1,
        description="rows of text in a batch (default: by the symbols of the run); short documents "
        "are run whole, as many at a time as have batch_size x k1 symbols",
    )
    lr: float | None = Field(  # type: ignore[assignment]
        None, gt=0, description="learning rate at its highest (default: by hidden_size)"
    )
    weight_decay: float | None = Field(  # type: ignore[assignment]
        None,
        ge=0,
        description="decay of weight matrices (never of biases, gains, diagonals; default: by unit "
        "and optimizer)",
    )
    schedule: ScheduleName = other_default(TaskSettings, "schedule", "cosine")
    warmup: float = other_default(TaskSettings, "warmup", 0.05)
    sampled: int | None = Field(
        None,
        ge=0,
        description="symbols drawn in each step to stand for all in the softmax of training; 0: "
        "all are scored (default: 0 below 4,000 symbols, else 6 % of them)",
    )
    validate_on: int | None = Field(
        None,
        ge=1,
        description="symbols of the validation part that each validation reads (default: as many "
        "as the run can afford)",
    )
    precision: Precision | None = Field(  # type: ignore[assignment]
        None,
        description="precision of training's forward pass (default: bf16 where the processor "
        "multiplies it, else float32); scores are always in float32",
    )

    def in_place(self, make: Callable[..., Any]) -> Self:
        """Return the settings of a reference: what is of outputs between -1 and 1 is left out."""
        without = {"init_scale": None, "activation_penalty": 0.0, "slowness_penalty": 0.0}
        return super().in_place(make).model_copy(update=without)
