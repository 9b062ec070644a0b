"""Settings of `tag`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elman.data.tagging import Scheme
from elman.needs import Need
from elman.tasks.settings import AlignedSettings, other_default

if TYPE_CHECKING:
    pass

NO_INTENT = "none"
"""Value of the setting `intent` that leaves intents out."""


class TagSettings(AlignedSettings):
    """Settings of `tag`; those of the modality come on top."""

    needs: ClassVar[Mapping[str, Need]] = {
        "intent_weight": Need("intent", lambda name: name != NO_INTENT, "intent"),
        "pooling": Need("intent", lambda name: name != NO_INTENT, "intent"),
    }
    anew: ClassVar[frozenset[str]] = frozenset({"repair", "intent_weight"})

    cell: str = other_default(AlignedSettings, "cell", "lstm")
    dropout: float = other_default(AlignedSettings, "dropout", 0.5)
    lr: float = other_default(AlignedSettings, "lr", 3e-3)
    batch_size: int = other_default(AlignedSettings, "batch_size", 24)

    scheme: Scheme | None = Field(
        None, description="how the data's tags are written: BIO, IOB1, BIOES, BILOU, plain; found"
    )
    model_scheme: Literal["BIO", "BIOES"] = Field(
        "BIO", description="how the tags of spans are written for the model"
    )
    repair: bool = Field(
        False, description="read illegal sequences of tags as conlleval does, not refuse them"
    )
    crf: bool | None = Field(
        None, description="decide for whole sequences by a CRF; empty: where tags are of spans"
    )
    intent: str | None = Field(
        None, description="column of the intent, learnt beside the tags; found; none leaves it out"
    )
    intent_weight: float = Field(2.0, ge=0, description="weight of the intents' loss")
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "attention", description="how the outputs of all steps become one vector, for intents"
    )

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.reverse:
            raise ValueError("reverse means nothing for tag: bidirectional=true reads both ways")
        return self
