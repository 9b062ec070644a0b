"""The settings of `translate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from elman.data.vocabulary import Unit
from elman.modalities.text import VocabularySettings
from elman.needs import Need
from elman.tasks.settings import TaskSettings, other_default
from elman.training.settings import AveragingName, ScheduleName

Metric = Literal[
    "bleu",
    "chrf",
    "rouge1",
    "rouge2",
    "rougeL",
    "recall_at_1",
    "perplexity",
    "accuracy",
    "error_rate",
]
OF_DIALOGUES = ("recall_at_1", "perplexity")
"""Metrics that only dialogues have, for only they have baselines for them."""
OF_SYMBOLS = ("accuracy", "error_rate")
"""Metrics of targets that are lists of symbols, which have no others but perplexity."""


def _attended(value: Any) -> bool:
    return bool(value != "none")


class TranslateSettings(TaskSettings, VocabularySettings):
    """Settings of an encoder-decoder that reads one text and writes another."""

    anew: ClassVar[frozenset[str]] = frozenset(
        {
            "label_smoothing",
            "beam",
            "length_penalty",
            "block_repeats",
            "min_length",
            "max_length",
            "consensus",
            "judge_at_most",
        }
    )
    needs: ClassVar[Mapping[str, Need]] = {
        "input_feeding": Need("attention", _attended, "attention"),
        "coverage": Need("attention", _attended, "attention"),
        "copying": Need("vocabulary", ["joint"]),
        "matching": Need("vocabulary", ["joint"]),
    }

    source: str | None = Field(
        None, description="column, or ending of files, of the texts that are read; found"
    )
    target: str | None = Field(
        None, description="column, or ending of files, of the texts that are written; found"
    )
    turns: int = Field(
        1, ge=1, description="of dialogues: turns before a reply that are its source, at most"
    )
    metric: Metric | None = Field(
        None,
        description="headline score (default: bleu; rouge1 where targets are much shorter than "
        "sources, as summaries are; accuracy of lists of symbols; recall_at_1 of dialogues, "
        "perplexity where they are few)",
    )

    vocabulary: Literal["joint", "separate"] = Field(
        "joint", description="one vocabulary for both sides, or one for each"
    )
    unit: Unit | Literal["symbols"] | None = Field(  # type: ignore[assignment]
        None,
        description="one step is a character, word or subword, or a symbol: an entry of a list, or "
        "what stands between blanks (default: symbols of lists; of texts subwords, or characters "
        "where they are one or two words)",
    )
    lower: bool = other_default(VocabularySettings, "lower", False)
    vocabulary_size: int | None = Field(
        None, ge=2, description="symbols of a vocabulary at most (default: by size of the texts)"
    )
    embedding_size: int | None = Field(
        None, ge=1, description="features of a symbol (default: hidden_size)"
    )
    tied: bool = Field(
        True, description="the scores of symbols share the weights of the decoder's embedding"
    )
    max_source: int = Field(
        400, ge=1, description="symbols of a source at most, the rest is cut off"
    )
    max_target: int = Field(
        200, ge=1, description="symbols of a target of training at most, the rest is cut off"
    )

    cell: str = other_default(TaskSettings, "cell", "gru")
    hidden_size: int = other_default(TaskSettings, "hidden_size", 256)
    dropout: float = other_default(TaskSettings, "dropout", 0.2)
    bidirectional: bool = Field(True, description="the encoder reads forwards and backwards")
    reverse_source: bool = Field(
        False, description="the encoder reads sources from their end (Sutskever et al. 2014)"
    )
    attention: Literal["general", "dot", "additive", "none"] = Field(
        "general",
        description="scores of attention: multiplicative (general, dot; Luong et al. 2015) or "
        "additive (Bahdanau et al. 2015)",
    )
    input_feeding: bool = Field(
        False, description="the decoder also reads what it attended to; then it runs step by step"
    )
    copying: bool = Field(
        False,
        description="symbols of the source can be copied (pointer-generator, See et al. 2017)",
    )
    coverage: float = Field(
        0.0,
        ge=0,
        description="weight of the loss of attending twice to one place (See et al. 2017); above 0 "
        "attention also reads what it attended to before",
    )
    matching: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="of dialogues: weight, in the loss, of telling the true reply from the others "
        "of the batch by the likeness of symbols; 0: replies are told apart by what they cost "
        "alone (default: 0.5 where replies are chosen from, else 0)",
    )
    scheduled_sampling: int | None = Field(
        None,
        ge=1,
        description="k: after k ln k batches half of the steps read the decoder's own symbol "
        "(Bengio et al. 2015)",
    )

    batch_size: int = other_default(TaskSettings, "batch_size", 64)
    lr: float = other_default(TaskSettings, "lr", 2e-3)
    schedule: ScheduleName = other_default(TaskSettings, "schedule", "cosine")
    warmup: float = other_default(TaskSettings, "warmup", 0.05)
    averaging: AveragingName = other_default(TaskSettings, "averaging", "ema")
    ema_decay: float = other_default(TaskSettings, "ema_decay", 0.99)
    label_smoothing: float = other_default(TaskSettings, "label_smoothing", 0.1)

    beam: int = Field(5, ge=1, description="hypotheses that beam search keeps")
    length_penalty: float | None = Field(
        None,
        ge=0,
        description="above 0 favours longer texts (Wu et al. 2016; default: the best of 0, 0.5, "
        "1, 1.5 and 2 on pairs of the validation part)",
    )
    consensus: int | None = Field(
        None,
        ge=0,
        description="of so many texts that beam search finds that which is most like the others is "
        "given (minimum Bayes risk; Kumar & Byrne 2004); 0: the likeliest (default: 20 for "
        "summaries where it is better on pairs of the validation part, else 0)",
    )
    block_repeats: int | None = Field(
        None,
        ge=0,
        description="no text has so many symbols in a row twice (default: 3 for summaries, else 0: "
        "nothing is blocked)",
    )
    min_length: int = Field(0, ge=0, description="symbols of a written text at least")
    max_length: int | None = Field(
        None,
        ge=1,
        description="symbols of a written text at most, its end included (default: by the length "
        "of its source and of the targets of training)",
    )
    judge_at_most: int | None = Field(
        None,
        ge=2,
        description="pairs of the test part that are judged, drawn at random (default: all, or "
        "what a fifth of the budget allows)",
    )

    def in_place(self, make: Callable[..., Any]) -> Self:
        """Return the settings of a reference; its layers attend to the source themselves."""
        return super().in_place(make).model_copy(update={"input_feeding": False})

    @field_validator("consensus")
    @classmethod
    def _several(cls, value: int | None) -> int | None:
        if value == 1:
            raise ValueError("a text is not like others where there is 1; give 2 or more, or 0")
        return value

    @model_validator(mode="after")
    def _attention_to_copy_by(self) -> Self:
        if self.copying and self.attention == "none":
            raise ValueError("copying needs attention, which says where to copy from")
        return self
