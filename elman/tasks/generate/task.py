"""Language models: text from a file to a model that scores and writes such text.

Characters, words or subwords, one after another through a recurrence whose state is
carried through the whole of a document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data import Batches, CarriedBatch, CarriedBatches, Vocabulary, bucketed, duplicates
from elman.data.seen import Seen, hashes_of
from elman.data.vocabulary import Unit
from elman.errors import InputError, nearest
from elman.modalities.base import Indexed
from elman.modalities.text import Text, TextCodec, VocabularySettings
from elman.nn.sampled import SampledSoftmax
from elman.scoring import Evaluation
from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.baselines.ngram import KneserNey, NGram
from elman.scoring.blending import (
    NO_VALIDATION,
    ON_VALIDATION,
    Blend,
    blend_of,
    mixed_nats,
    weight_of_chances,
)
from elman.scoring.predictors import Baseline, restored
from elman.tasks.base import Sample, Section, device_of
from elman.tasks.generate import identity, labelled, sameness, windows
from elman.tasks.generate.corpus import Documents, Tokens, encode, find, joined
from elman.tasks.generate.keyboard import Keyboard
from elman.tasks.generate.labelled import Labelled
from elman.tasks.generate.language_model import (
    IGNORED,
    LABEL_SIZE,
    LanguageModel,
    costs,
    padded,
    short,
)
from elman.tasks.generate.plan import planned
from elman.tasks.generate.windows import LabelledBatch
from elman.tasks.generate.writing import Counts, SymbolStream, Writer
from elman.tasks.growing import met_words
from elman.tasks.looking import bars, histogram
from elman.tasks.settings import TaskSettings, other_default
from elman.tasks.understood import Understood, listed, many, overlap_words, shorter
from elman.training import Objective, TruncatedBPTT
from elman.training.progress import doing
from elman.training.settings import Precision, ScheduleName
from elman.training.update import multiplies_bfloat16

if TYPE_CHECKING:
    import pandas as pd

Nats = NDArray[np.float64]

_ORDERS = {"characters": (1, 3, 5, 7, 9), "words": (1, 2, 3, 5), "subwords": (1, 2, 3, 5)}
# Units of the bootstrap: this many tokens each, but at least so many blocks, and at most.
_BLOCK, _BLOCKS, _MOST_BLOCKS = 1000, 100, 2000
# A look at data counts so many symbols, and shows so many characters.
_COUNTED, _BEGINNING = 5_000_000, 400
# Duplicates are looked for in memory.
_LOOKED_AT = 20_000_000
# Of a large text this much is enough to choose a model by, and to score it: characters.
_VALID_AT_MOST, _TEST_AT_MOST = 500_000, 5_000_000
# So many characters are held out to choose by, a tenth of the text at most: what stands just
# before the test part is the best to learn from.
_VALID = {"characters": 30_000, "words": 150_000, "subwords": 100_000}
# Labels of which a report shows a sample, and up to which each has a score of its own.
_SAMPLED, _EACH = 12, 30
# Symbols that n-grams of labelled texts are counted in, of all labels by their shares.
_NGRAMS_OF = 4_000_000
# What the doctor looks at: steps of a sequence, and symbols to see how far back text reaches.
_LOOK_AT_LEAST, _LOOK_AT_MOST, _DEPENDENCE_OF = 200, 400, 1_000_000


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
        None, ge=1, description="rarer symbols are unknown (default: 1; 2 for words of plain text)"
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
        "of words, a tenth at most)",
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
    activation_penalty: float = Field(
        0.0, ge=0, description="weight of the mean square of the output (AR, Merity et al. 2018)"
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


class Generate:
    """The task `generate`; see `elman.tasks.base.Task` for what its methods promise."""

    name: ClassVar[str] = "generate"
    summary: ClassVar[str] = "language models over characters, words or subwords; new text"
    Settings = GenerateSettings
    higher_is_better = False

    def __init__(
        self,
        settings: GenerateSettings,
        codec: TextCodec,
        documents: int,
        parts: dict[str, Documents],
        tokens: dict[str, Tokens],
        labels: Sequence[str] = (),
    ) -> None:
        self.settings, self.codec, self.documents = settings, codec, documents
        self.vocabulary = codec.vocabulary
        self._parts, self._tokens = parts, tokens
        self.labels = tuple(labels)
        """The labels in whose manner the model writes, by their codes; none where it has none."""
        self._predictors: list[Baseline] | None = None
        self.seen: Seen | None = None
        """Hashes of what is trained on and chosen on; None of a run that has none."""
        characters = settings.unit == "characters"
        self.metric = "bits_per_character" if characters else "perplexity"

    # Data

    @classmethod
    def modalities(cls) -> list[str]:
        """Return text."""
        return ["text"]

    @classmethod
    def reads(cls, modality: str) -> None:
        """Return None: a language model reads symbols in its own way."""

    @classmethod
    def recorded(cls, values: dict[str, Any], assets: dict[str, Any]) -> GenerateSettings:
        """Return the settings of a run; one that is older than a setting had none of it."""
        return cls.Settings.recorded({"sampled": 0} | values)

    @classmethod
    def example(cls, modality: str, n: int, seed: int = 0) -> pd.DataFrame:
        """Return a table of `n` made-up documents."""
        import pandas as pd

        return pd.DataFrame({"text": Text.example(n, np.random.default_rng(seed))})

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Return the assets of a run of format 1 as this format has them."""
        return {"input": {"vocabulary": assets["vocabulary"]}, "corpus": assets["corpus"]}

    @classmethod
    def from_data(
        cls, data: Any, settings: GenerateSettings, valid: Any = None, test: Any = None
    ) -> Self:
        """Read text and cut it by position: the first part trains, the last one tests.

        Raises:
            InputError: no text, or too little to train on and to test with.
        """
        whole = _found(data, settings)
        labels = whole.names if isinstance(whole, Labelled) else ()
        told = {
            name: _found(source, settings, labels)
            for name, source in (("valid", valid), ("test", test))
            if source is not None
        }
        if "valid_fraction" not in settings.model_fields_set and "valid" not in told:
            held = min(0.1, _VALID[settings.unit] / max(1, whole.characters))
            settings = settings.model_copy(update={"valid_fraction": round(held, 4)})
        parts = _parts(whole, settings, told) | told
        settings = _decided(settings, parts["train"])
        vocabulary = Vocabulary.fit(
            parts["train"].texts(),
            settings.unit,
            size=settings.vocabulary_size,
            min_count=settings.min_count or 1,
            lower=settings.lower,
            specials=("unk", "bos"),
            punctuation=bool(settings.punctuation),
            line_ends=settings.unit == "words" and "\n" in next(parts["train"].texts(), ""),
        )
        documents = parts["train"].count
        tokens = {
            name: encode(part, vocabulary, ended=documents > 1) for name, part in parts.items()
        }
        _check(tokens, whole)
        settings = planned(settings, tokens["train"].predicted, len(vocabulary))
        made = cls(settings, TextCodec(vocabulary, settings), documents, parts, tokens, labels)
        if sum(part.predicted for part in tokens.values()) <= _LOOKED_AT:
            learnt = [_compared(parts[n], documents > 1) for n in ("train", "valid") if n in parts]
            made.seen = Seen.of(hashes_of(chain.from_iterable(learnt)))
        return made

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new text, and stretches of the old one; see `elman.tasks.base.Growing`.

        Raises:
            InputError: as `from_data`.
        """
        if old.labels:
            raise InputError(
                "a run that writes in the manner of labels cannot be gone on from yet.",
                fix="Train a new run on all the data.",
            )
        given = {"train": data, "valid": valid, "test": test}
        if data is None:
            raise InputError("There are no data to train on: None was given.")
        where = (settings.text, settings.encoding, settings.sheet)
        told = {name: find(source, *where) for name, source in given.items() if source is not None}
        whole = told.pop("train")
        if "valid_fraction" not in settings.model_fields_set and "valid" not in told:
            held = min(0.1, _VALID[settings.unit] / max(1, whole.characters))
            settings = settings.model_copy(update={"valid_fraction": round(held, 4)})
        parts = _parts(whole, settings, told) | told
        vocabulary = old.vocabulary
        if settings.unit != "subwords":  # which can write every text
            vocabulary = vocabulary.grown(
                Vocabulary.fit(
                    parts["train"].texts(),
                    settings.unit,
                    size=settings.vocabulary_size,
                    min_count=settings.min_count or 1,
                    lower=settings.lower,
                    specials=("unk", "bos"),
                    punctuation=bool(settings.punctuation),
                    line_ends=vocabulary.line_ends,
                )
            )
        # Whether the end of a document is to be learnt stays as it was.
        ended = old.documents > 1
        tokens = {name: encode(part, vocabulary, ended=ended) for name, part in parts.items()}
        _check(tokens, whole)
        for name in ("train", "valid"):
            again = old._parts[name].stretches(settings.rehearsal) if name in old._parts else []
            if again and name in tokens:
                read = [encode(part, vocabulary, ended=ended) for part in again]
                # Validation may stop before the end, so the old text comes first there.
                order = [tokens[name], *read] if name == "train" else [*read, tokens[name]]
                tokens[name] = joined(order)
        settings = planned(settings, tokens["train"].predicted, len(vocabulary))
        documents = max(2, parts["train"].count) if ended else 1
        made = cls(settings, TextCodec(vocabulary, settings), documents, parts, tokens)
        if old.seen is not None:
            learnt = [_compared(parts[n], ended) for n in ("train", "valid") if n in parts]
            made.seen = old.seen.with_more(hashes_of(chain.from_iterable(learnt)))
        return made

    def indexed(self) -> list[Indexed]:
        """Return the symbols, each with an embedding and a score."""
        axes = dict.fromkeys(("embedding.weight", "bias"), (0,))
        if not self.settings.tied:
            axes["head.weight"] = (0,)
        symbols, unknown = self.vocabulary.symbols, self.vocabulary.unknown
        return [Indexed(self.codec.unit, symbols, axes, unknown)]

    def before_and_after(
        self, old: Self, before: nn.Module, after: nn.Module
    ) -> tuple[Evaluation, Evaluation]:
        """Score two models on the test part of another run.

        A symbol that was unknown before and is told apart now costs more by that alone, so what
        was unknown is left out of both scores.
        """
        part, theirs = old._parts["test"], old._tokens["test"]
        ours = encode(part, self.vocabulary, ended=old.documents > 1)
        known = (theirs.ids[1:] != old.vocabulary.unk).astype(np.int64)
        models = ((before, theirs), (after, ours))
        nats = [costs(cast(LanguageModel, model), tokens) for model, tokens in models]
        units = [self._blocks(theirs, one, known) for one in nats]
        then, now = (Evaluation(one, self._score, one) for one in units)
        return then, now

    def met_before(self, old: Self) -> list[str]:
        """Return doubts where the new test part was learnt before, or the old one is learnt now."""
        if old.seen is None or self.seen is None:
            return []
        many = self.documents > 1
        met = old.seen.shared(hashes_of(_compared(self._parts["test"], many)))
        missed = 0
        if "test" in old._parts:
            asked = hashes_of(_compared(old._parts["test"], many))
            missed = self.seen.shared(asked) - old.seen.shared(asked)
        return met_words(met, max(0, missed), "documents" if many else "long lines")

    @classmethod
    def from_assets(cls, settings: GenerateSettings, assets: dict[str, Any]) -> Self:
        """The task of a finished run, without its data."""
        codec = Text.codec(assets["input"], settings)
        about = assets["corpus"]
        made = cls(settings, codec, about["documents"], {}, {}, about.get("labels", ()))
        made.seen = Seen.from_json(assets["seen"]) if "seen" in assets else None
        return made

    def assets(self) -> dict[str, Any]:
        """The vocabulary, and whether there were documents that end."""
        corpus: dict[str, Any] = {"documents": self.documents}
        if self.labels:
            corpus["labels"] = list(self.labels)
        about = {"input": self.codec.to_json(), "corpus": corpus}
        return about if self.seen is None else about | {"seen": self.seen.to_json()}

    def understood(self) -> Understood:
        """Return how the text was read, what a symbol is, and how it was cut."""
        train, settings = self._parts["train"], self.settings
        files = [source.name for source in train.sources if isinstance(source, Path)]
        read = listed(files, 4) if files else f"{len(train.sources):,} texts"
        named = {name for name in train.encodings if name is not None}
        if named:
            read += f", as {listed(sorted(named))}"
        what = "1 document" if self.documents == 1 else f"{self.documents:,} documents"
        sizes = ", ".join(f"{tokens.predicted:,} {n}" for n, tokens in self._tokens.items())
        lines = [
            ("read", f"{read}; {train.characters:,} characters"),
            *([("left out", listed(train.left_out))] if train.left_out else []),
            ("documents", f"{what} to train on"),
            ("symbols", f"{settings.unit}; {many(self._symbols, 'different ones')}"),
            ("split", f"{sizes} symbols, {self._cut}: the first train, the last test"),
        ]
        if isinstance(train, Labelled):
            told = f"{many(len(self.labels), 'labels')} as label={settings.label} says; to train on"
            lines.insert(-1, ("label", f"{told}: {labelled.shown(train)}"))
        elif train.unread:
            lines.insert(-1, ("label", f"none; there could be one: {'; '.join(train.unread)}"))
        for name, share in self._unknown.items():
            if share:
                lines.append((f"in {name}", f"{share:.2%} of the symbols are unknown"))
        lines.append(("the first", repr(shorter(next(iter(train)).text[:200]))))
        return Understood(lines, [*train.doubts, *sameness.doubts(train.texts())])

    @property
    def _cut(self) -> str:
        """How the parts were made, in words."""
        return "by position in the text of each label" if self.labels else "by position"

    @property
    def _symbols(self) -> int:
        """Symbols that stand for text: neither the unknown nor the end of a document."""
        own = (self.vocabulary.unk, self.vocabulary.bos)
        return len(self.vocabulary) - sum(symbol is not None for symbol in own)

    def look(self) -> list[Section]:
        """Return the commonest symbols, lengths of documents, and how each part begins."""
        ids = np.asarray(self._tokens["train"].ids[:_COUNTED], np.int64)
        counts = np.bincount(ids, minlength=len(self.vocabulary))
        symbols = {
            repr(symbol): int(count)
            for symbol, count in zip(self.vocabulary.symbols, counts.tolist(), strict=True)
            if count
        }
        sections = [Section("Commonest symbols", figure=bars(symbols, "times in training"))]
        if self.documents > 1:
            lengths = [len(text) for text in self._parts["train"].whole()]
            sections.append(Section("Lengths", figure=histogram(lengths, "characters")))
        begins = [next(iter(part)).text[:_BEGINNING] for part in self._parts.values()]
        text = f"The first characters of {', '.join(self._parts)}."
        sections.append(Section("Where the parts begin", text, preformatted=begins))
        sections.append(Section("In several parts", self._duplicates()))
        return sections

    def overlap(self, data: Any) -> str | None:
        """Return how much of `data` was trained on or chosen on, or None."""
        if self.seen is None:
            return None
        found = _found(data, self.settings, self.labels)
        values = _compared(found, self.documents > 1)
        what = "documents" if self.documents > 1 else "lines of 40 characters or more"
        return overlap_words(self.seen.shared(hashes_of(values)), len(values), what)

    def leaks(self) -> list[str]:
        """Return nothing: what is to be said is the input itself, later."""
        return []

    @cached_property
    def _unknown(self) -> dict[str, float]:
        """The share of unknown symbols of each part but the training part."""
        return {
            name: int((tokens.ids == self.vocabulary.unk).sum()) / max(1, tokens.predicted)
            for name, tokens in self._tokens.items()
            if name != "train"
        }

    def describe(self) -> dict[str, Any]:
        """Sizes of the parts, of the vocabulary, and what the parts share."""
        facts: dict[str, Any] = {
            "unit": self.settings.unit,
            "symbols": self._symbols,
            "split": self._cut,
        }
        for name, part in self._parts.items():
            tokens = self._tokens[name]
            facts[name] = {"documents": part.count, "tokens": tokens.predicted}
            if isinstance(part, Labelled):
                facts[name]["labels"] = labelled.shown(part)
            if name != "train":
                facts[name]["unknown"] = f"{self._unknown[name]:.2%}"
        facts["duplicates"] = self._duplicates()
        return facts

    def _duplicates(self) -> str:
        """Documents, or long lines of one document, that stand in more than one part."""
        if sum(tokens.predicted for tokens in self._tokens.values()) > _LOOKED_AT:
            return "not looked for in a text of this size"
        many = self.documents > 1
        texts = {name: _compared(part, many) for name, part in self._parts.items()}
        found = duplicates(texts)
        what = "documents" if many else "lines of 40 characters or more"
        return (
            "; ".join(
                f"{count:,} {what} of {later} are also in {earlier}"
                for (earlier, later), count in found.counts.items()
                if count
            )
            or f"no {what} in more than one part"
        )

    # Training

    def build(self) -> nn.Module:
        """The model, initialised from torch's generator."""
        settings = self.settings
        size = settings.embedding_size
        assert size is not None  # decided with the data
        assert settings.dropout is not None
        width = size + (LABEL_SIZE if self.labels else 0)
        recurrent = settings.build(width, variational=settings.variational)
        model = LanguageModel(
            len(self.vocabulary),
            size,
            recurrent,
            dropout=settings.dropout,
            embedding_dropout=settings.embedding_dropout,
            variational=settings.variational,
            tied=settings.tied,
            labels=len(self.labels),
        )
        if settings.init_scale is not None:
            for parameter in model.parameters():
                nn.init.uniform_(parameter, -settings.init_scale, settings.init_scale)
        return model

    def objective(self, model: nn.Module) -> Objective:
        """The mean cost of a token, judged on the validation part."""
        return _Objective(self, cast(LanguageModel, model))

    def sampled_softmax(self) -> SampledSoftmax | None:
        """Return what training estimates a large softmax with; None where all is scored."""
        if not self.settings.sampled:
            return None
        ids = np.asarray(self._tokens["train"].ids[:_COUNTED], np.int64)
        counts = torch.from_numpy(np.bincount(ids, minlength=len(self.vocabulary)))
        return SampledSoftmax(counts, self.settings.sampled)

    def batches(self, rank: int = 0, world_size: int = 1) -> Any:
        """Windows of rows that run through the text, or whole documents where they are short."""
        tokens, settings = self._tokens["train"], self.settings
        rows = settings.batch_size
        assert rows is not None  # decided with the data
        if self.labels:
            share = {"rank": rank, "world_size": world_size}
            return windows.batches(tokens, rows, settings.k1, seed=settings.seed, **share)
        if short(tokens, rows):
            lengths = tokens.lengths
            return Batches(
                bucketed(lengths, max(rows, int(rows * settings.k1 / lengths.mean()))),
                lambda chosen: _Whole.of(tokens, lengths, chosen),
                seed=settings.seed,
                rank=rank,
                world_size=world_size,
            )
        return CarriedBatches(
            tokens.ids,
            rows,
            settings.k1,
            settings.k2,
            # The state is fresh at the beginning of the text anyway.
            starts=tokens.starts[1:],
            rank=rank,
            world_size=world_size,
        )

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging: the test part, and all held out."""
        sizes = {name: tokens.predicted for name, tokens in self._tokens.items()}
        held = sizes.get("valid", 0)
        looked_at = min(held, self.settings.validate_on or held)
        test, labels = sizes.get("test", 0), len(self.labels)
        tried = labels * min(test, identity.COSTED // labels) if labels else 0
        return (test + held + tried) / looked_at if looked_at else 0.0

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model on the test part, or on `data`, in blocks of consecutive tokens."""
        return self.scores([model], data)[0]

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation]:
        """Score models, n-grams and blends on the same blocks of tokens."""
        tokens, memo = self._to_score(data), dict[Any, Nats]()
        trial = identity.Trial.drawn(tokens, len(self.labels), self.settings.seed)
        found = []
        for one in predictors:
            units = self._blocks(tokens, self._nats(one, tokens, memo))
            if trial is not None and _knows_labels(one):
                units = units.assign(cheapest=trial.cheapest(partial(self._nats, one)))
            found.append(Evaluation(units, self._score, units))
        return found

    def _nats(self, predictor: Any, tokens: Tokens, memo: dict[Any, Nats]) -> Nats:
        """Return the cost of each of `tokens.ids[1:]`; `memo` holds what is known of others."""
        if predictor not in memo:
            if isinstance(predictor, nn.Module):
                memo[predictor] = costs(cast(LanguageModel, predictor), tokens)
            elif isinstance(predictor, Blend):
                parts = (predictor.model, predictor.baseline)
                ours, theirs = (self._nats(one, tokens, memo) for one in parts)
                memo[predictor] = mixed_nats(ours, theirs, predictor.weight)
            else:
                counts, order = predictor.shared, predictor.map.order
                if (counts, order) not in memo:
                    # All orders come from one pass.
                    found = _all_orders(counts, tokens)
                    memo |= {(counts, length): nats for length, nats in found.items()}
                memo[predictor] = memo[counts, order]
        return memo[predictor]

    # Baselines

    def predictors(self) -> list[Baseline]:
        """Return Kneser–Ney n-grams of several orders, counted in the training part."""
        if self._predictors is None:
            orders = _ORDERS[self.settings.unit]
            train, size = self._tokens["train"], len(self.vocabulary)
            with doing("baselines: counting n-grams"):
                some = train.first(_NGRAMS_OF) if self.labels else train
                counted = KneserNey.fit(some.ids, size, max(orders), some.starts)
            last = "" if self.labels else "last "
            part = counted.trained_on == len(train.ids)
            told = "" if part else f" ({last}{counted.trained_on:,})"
            self._predictors = [
                Baseline(
                    ("unigram" if order == 1 else f"{order}-gram Kneser-Ney") + told,
                    NGram(order),
                    shared=counted,
                )
                for order in orders
            ]
            if self.labels:
                self._predictors += self._of_labels(orders[1:])
        return self._predictors

    def _of_labels(self, orders: Sequence[int]) -> list[Baseline]:
        """Return n-grams that are counted for each label by itself."""
        train = self._tokens["train"]
        parts = [identity.of_label(train, code) for code in range(len(self.labels))]
        with doing("baselines: counting n-grams of each label"):
            counted = LabelledKneserNey.fit(parts, len(self.vocabulary), max(orders))
        return [
            Baseline(f"{order}-gram Kneser-Ney of each label", NGram(order), shared=counted)
            for order in orders
        ]

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Score the n-grams."""
        names = [one.name for one in self.predictors()]
        return dict(zip(names, self.scores(self.predictors(), data), strict=True))

    def kept_shared(
        self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]
    ) -> KneserNey | LabelledKneserNey:
        """Return the counts of which facts and arrays were kept."""
        kind: Any = LabelledKneserNey if "labels" in facts else KneserNey
        counts: KneserNey | LabelledKneserNey = kind.kept(facts, arrays)
        return counts

    def kept_predictor(
        self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]], shared: Any
    ) -> Baseline:
        """Return the n-grams of one order."""
        return restored(facts, arrays, shared)

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Return nothing: a language model has no more to find on the validation part."""
        return {}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up nothing."""

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Interpolate the model and the n-grams that are best on the validation part.

        The weight is that at which the tokens of the validation part are likeliest (Mikolov et
        al. 2010).
        """
        tokens = self._tokens.get("valid")
        if tokens is None:
            return NO_VALIDATION
        memo: dict[Any, Nats] = {}
        counts = self._counted(tokens)
        cost = {one: float(self._nats(one, tokens, memo) @ counts) for one in predictors}
        best = min(cost, key=lambda one: cost[one])
        there = counts > 0
        ours, theirs = (np.exp(-self._nats(one, tokens, memo)[there]) for one in (model, best))
        return blend_of(model, best, weight_of_chances(ours, theirs), ON_VALIDATION)

    def predict(self, model: Any, data: Any) -> pd.DataFrame:
        """The cost of each document of `data`: a row with its beginning, size and scores.

        Args:
            model: the trained model, n-grams, or a blend.
            data: a path, paths, or a DataFrame.
        """
        import pandas as pd

        documents = _found(data, self.settings, self.labels)
        tokens = encode(documents, self.vocabulary, ended=self.documents > 1)
        units = self._units(tokens, self._nats(model, tokens, {}), tokens.starts)
        codes = tokens.labels
        rows = [
            {"text": text[:80]}
            | ({} if codes is None else {"label": self.labels[codes[i]]})
            | {"tokens": int(units["count"].iloc[i])}
            | self._overall(units.iloc[i : i + 1])
            for i, text in enumerate(documents.whole())
        ]
        return pd.DataFrame(rows)

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return everything: what a document cost is the answer."""
        return predictions

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Stretches of text, four times as long as a window of training where there is enough."""
        tokens = self._tokens["train"] if data is None else self._to_score(data)
        wanted = min(max(4 * self.settings.k1, _LOOK_AT_LEAST), _LOOK_AT_MOST)
        steps = max(1, min(wanted, tokens.predicted // 2))
        generator = np.random.default_rng(seed)
        firsts = np.sort(generator.integers(0, tokens.predicted - steps + 1, rows))
        if self.labels:  # a document begins with the state of its label, so none begins inside
            steps, firsts = identity.stretches(tokens, steps, rows, generator)
        places = firsts + np.arange(steps)[:, None]
        inputs = torch.from_numpy(tokens.ids[places].astype(np.int64))
        targets = torch.from_numpy(tokens.ids[places + 1].astype(np.int64))
        begins = np.zeros(len(tokens.ids), bool)
        begins[tokens.starts] = True
        codes = None if tokens.labels is None else np.repeat(tokens.labels, tokens.lengths)

        def label(places: NDArray[np.int64], device: Any) -> Tensor | None:
            return None if codes is None else torch.from_numpy(codes[places]).to(device)

        reset = torch.from_numpy(begins[places] & (np.arange(steps)[:, None] > 0))

        def loss(model: nn.Module) -> Tensor:
            language, device = cast(LanguageModel, model), device_of(model)
            here = reset.to(device) if bool(reset.any()) else None
            own = label(places, device)
            output, _ = language.read(inputs.to(device), None, here, label=own)
            scores = language.scores(language.dropped(output)).flatten(0, 1)
            return F.cross_entropy(scores, targets.to(device).flatten(), reduction="sum")

        series = np.asarray(tokens.ids[:_DEPENDENCE_OF], np.int64)

        def read(model: nn.Module, places: NDArray[np.int64]) -> Tensor:
            device, later = device_of(model), np.arange(len(places))[:, None] > 0
            cut = torch.from_numpy(begins[places] & later)
            pieces = torch.from_numpy(series[places]).to(device)
            here = cut.to(device) if bool(cut.any()) else None
            own = label(places, device)
            return cast(LanguageModel, model).read(pieces, None, here, label=own)[0]

        def texts() -> list[list[str]]:
            # Documents are apart: what is open in one is not in the next.
            ends = [int(start) for start in tokens.starts[1:] if start < len(series)]
            return [self.vocabulary.pieces(part) for part in np.split(series, ends)]

        return Sample(
            loss,
            self.codec.unit,
            [self.vocabulary.symbols[i] for i in inputs[:, 0].tolist()],
            window=int(self.settings.k2 or self.settings.k1),
            series=series,
            read=read,
            texts=texts,
        )

    def _to_score(self, data: Any) -> Tokens:
        if data is None:
            return self._tokens["test"]
        documents = _found(data, self.settings, self.labels)
        return encode(documents, self.vocabulary, ended=self.documents > 1)

    def _blocks(
        self, tokens: Tokens, nats: NDArray[np.float64], known: NDArray[np.int64] | None = None
    ) -> pd.DataFrame:
        """Cost and size of blocks of tokens; with labels, of documents or passages of them."""
        count = len(nats)
        if tokens.labels is not None:
            firsts, labels = identity.passages(tokens)
            return self._units(tokens, nats, firsts).assign(label=labels)
        size = max(1, count // _MOST_BLOCKS, min(_BLOCK, count // _BLOCKS))
        return self._units(tokens, nats, np.arange(0, count, size), known)

    def _units(
        self,
        tokens: Tokens,
        nats: NDArray[np.float64],
        firsts: NDArray[np.int64],
        known: NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        """Cost and size of the tokens from each of `firsts` up to the next; only of those `known`,
        which is 0 or 1 for each of `tokens.ids[1:]`."""
        import pandas as pd

        targets, counted = tokens.ids[1:], self._counted(tokens)
        counted = counted if known is None else counted * known
        characters = self._written()[targets]
        return pd.DataFrame(
            {
                "nll": np.add.reduceat(nats * counted, firsts),
                "count": np.add.reduceat(counted, firsts),
                "characters": np.add.reduceat(characters * counted, firsts),
            }
        )

    def _counted(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return 1 for each of `tokens.ids[1:]` that is judged, else 0."""
        counted = np.ones(len(tokens.ids) - 1, np.int64)
        if self.documents == 1:
            # The end of a document is nothing that a model of one document could know.
            counted[tokens.ids[1:] == self.vocabulary.bos] = 0
        return counted

    def _score(self, units: pd.DataFrame) -> dict[str, float]:
        """Return the scores of blocks; with labels, of those of each label too."""
        found = self._overall(units)
        if "label" not in units:
            return found
        if len(self.labels) <= _EACH:
            each = identity.sums(units, len(self.labels))
            for name, own in zip(self.labels, each, strict=True):
                value = math.nan
                if own["count"]:
                    value = self._overall_of(own)[self.metric]
                found[f"{self.metric}: {name}"] = value
        if "cheapest" in units:
            found[identity.METRIC] = identity.share(units)
        return found

    def _overall(self, units: pd.DataFrame) -> dict[str, float]:
        return self._overall_of({name: units[name].sum() for name in identity.SUMMED})

    def _overall_of(self, units: Mapping[str, float]) -> dict[str, float]:
        nats = float(units["nll"])
        token = nats / max(1, int(units["count"]))
        perplexity = math.exp(min(token, 700.0))
        if self.settings.unit == "characters":
            bits = token / math.log(2)
            return {
                "bits_per_character": bits,
                "nats_per_character": token,
                "perplexity": perplexity,
            }
        found = {"perplexity": perplexity}
        if self.settings.unit == "subwords":
            characters = max(1, int(units["characters"]))
            found["bits_per_character"] = nats / math.log(2) / characters
        return found | {"bits_per_token": token / math.log(2), "nats_per_token": token}

    def _written(self) -> NDArray[np.int64]:
        """How many characters of text each symbol stands for; the end of a document is one."""
        symbols = self.vocabulary.symbols
        if self.settings.unit != "subwords":
            return np.ones(len(symbols), np.int64)
        special = {self.vocabulary.bos, self.vocabulary.unk}
        return np.array([1 if i in special else _letters(s) for i, s in enumerate(symbols)])

    # New text

    def generate(
        self, model: Any, prompt: str = "", label: str | None = None, **options: Any
    ) -> list[str]:
        """Texts that begin with `prompt`; other options as for `Writer.generate`."""
        return self._writer(model, label).generate(prompt, **options)

    def complete(
        self, model: Any, prompt: str, n: int = 5, label: str | None = None
    ) -> list[dict[str, Any]]:
        """The likeliest next words; see `Writer.complete`."""
        return self._writer(model, label).complete(prompt, n)

    def keyboard(self, model: Any, label: str | None = None) -> Keyboard:
        """Return what suggests words while a text is typed."""
        return Keyboard(self._writer(model, label))

    def stream(self, model: Any, label: str | None = None) -> SymbolStream:
        """Return the model on a stream: a symbol in, the probability of every next one out."""
        return SymbolStream(self._writer(model, label))

    def _writer(self, model: Any, label: str | None = None) -> Writer:
        """Return what writes with a network, n-grams, or a blend, in the manner of a label.

        Raises:
            InputError: the label is not known, or is given or left out where it must not be.
        """
        code = self._code(label)
        if isinstance(model, nn.Module):
            network, share, grams = cast(LanguageModel, model), 1.0, None
        elif isinstance(model, Blend):
            network, share, grams = cast(LanguageModel, model.model), model.weight, model.baseline
        else:
            network, share, grams = None, 0.0, model
        counts = None
        if grams is not None:
            counted = grams.shared
            if isinstance(counted, LabelledKneserNey):
                assert code is not None  # such counts are of a run with labels
                counted = counted.of[code]
            counts = Counts(counted, grams.map.order)
        return Writer(network, self.vocabulary, self.documents > 1, counts, share, code)

    def _code(self, label: str | None) -> int | None:
        if label is None and not self.labels:
            return None
        if not self.labels:
            raise InputError(
                f"label {label!r} means nothing here: the model was trained without labels.",
                fix="Leave the label out, or train with --set label=COLUMN.",
            )
        if label is None:
            raise InputError(
                "this model writes in the manner of a label, and none is named.",
                fix=f"Name one with --label: {listed(self.labels, 12)}.",
            )
        if label not in self.labels:
            raise InputError(f"there is no label {label!r}.", fix=nearest(label, self.labels))
        return self.labels.index(label)

    # Report

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Samples at several temperatures; with labels, one of each, and how each fared."""
        length = 400 if self.settings.unit == "characters" else 80
        how: list[dict[str, Any]] = [{"temperature": heat} for heat in (0.5, 0.8, 1.0)]
        if self.labels:
            how = [{"label": name, "temperature": 0.8} for name in self.labels[:_SAMPLED]]
        texts = [
            ", ".join(f"{name} {value}" for name, value in one.items())
            + "\n\n"
            + self.generate(model, length=length, seed=self.settings.seed, **one)[0]
            for one in how
        ]
        said = "Text the model wrote, from nothing."
        if len(self.labels) > len(texts):
            said += f" The first {len(texts)} of {len(self.labels)} labels."
        if not self.labels:
            said += " The lower the temperature, the likelier and the duller."
        samples = [Section("Samples", said, preformatted=texts)]
        if self.labels:
            samples.append(identity.section(evaluation.units, self.labels, self._overall_of))
        return samples


class _Objective:
    """Cross-entropy of the next token, with the state carried from window to window."""

    model: nn.Module
    higher_is_better = False

    def __init__(self, task: Generate, model: LanguageModel) -> None:
        self.model = self.language = model
        self.task, self.metric = task, task.metric
        self.through = TruncatedBPTT(task.settings.k1, task.settings.k2)
        self.some = task.sampled_softmax()

    def loss(
        self, batch: CarriedBatch | LabelledBatch | _Whole, carried: Any
    ) -> tuple[Tensor, float, Any]:
        """The summed cost of the tokens of a window, and the state for the next one."""
        device = device_of(self.model)
        if isinstance(batch, LabelledBatch):
            output, carried = batch.read(self.language, carried, device)
            return *self._cost(output, batch.targets.to(device)), carried
        inputs, targets = batch.inputs.to(device), batch.targets.to(device)
        if isinstance(batch, _Whole):
            output, _ = self.language.read(inputs, lengths=batch.lengths.to(device))
            return *self._cost(output, targets), None
        reset = batch.reset.to(device) if bool(batch.reset.any()) else None
        state = None if batch.first else carried
        output, carried = self.through(
            self.language.read, inputs, state, reset=reset, context=batch.context
        )
        return *self._cost(output, targets[batch.context :]), carried

    def _cost(self, output: Tensor, targets: Tensor) -> tuple[Tensor, float]:
        settings = self.task.settings
        if not targets.numel():
            return torch.zeros((), device=output.device), 0.0
        dropped = self.language.dropped(output)
        there = targets != IGNORED
        count = float(there.sum())
        if self.some is not None:
            some = self.some.to(output.device)
            total = some(*self.language.scoring(dropped[there]), targets[there]).sum()
        else:
            total = F.cross_entropy(
                self.language.scores(dropped).flatten(0, 1).float(),
                targets.flatten(),
                reduction="sum",
                ignore_index=IGNORED,
                label_smoothing=settings.label_smoothing,
            )
        if settings.activation_penalty:
            total = total + settings.activation_penalty * count * dropped.float().square().mean()
        if settings.slowness_penalty and len(output) > 1:
            change = output[1:].float() - output[:-1].float()
            total = total + settings.slowness_penalty * count * change.square().mean()
        return total, count

    def validate(self) -> dict[str, float]:
        """The scores of the validation part; nothing where there is none."""
        tokens = self.task._tokens.get("valid")
        if tokens is None:
            return {}
        tokens = tokens.first(self.task.settings.validate_on)
        nats_of_each = costs(self.language, tokens)
        found = self.task._overall(self.task._units(tokens, nats_of_each, np.zeros(1, np.int64)))
        nats = next(
            found[name] for name in ("nats_per_character", "nats_per_token") if name in found
        )
        return {**found, "loss": nats}


@dataclass(frozen=True)
class _Whole:
    """A batch of whole documents: `(T, B)` inputs and targets, `(B,)` lengths."""

    inputs: Tensor
    targets: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, tokens: Tokens, lengths: NDArray[np.int64], rows: NDArray[np.int64]) -> Self:
        return cls(*padded(tokens, rows), torch.from_numpy(lengths[rows]))


# What is decided from the data


def _parts(
    whole: Documents, settings: GenerateSettings, told: Collection[str]
) -> dict[str, Documents]:
    """Training, validation and test text by position; parts that are told are not cut off."""
    valid = 0.0 if "valid" in told else settings.valid_fraction
    test = 0.0 if "test" in told else settings.test_fraction
    if valid + test >= 1:
        raise InputError(
            f"valid_fraction={valid} and test_fraction={test} leave nothing to train on."
        )
    words = settings.unit != "characters"
    if isinstance(whole, Labelled):
        limits = {"train": None, "valid": _VALID_AT_MOST, "test": _TEST_AT_MOST}
        names = [name for name, held in (("valid", valid), ("test", test)) if held]
        cuts = [1 - valid - test, 1 - test][-len(names) :] if names else []
        made = whole.split(cuts, words, [limits[name] for name in ("train", *names)])
        return _with_all(dict(zip(("train", *names), made, strict=True)))
    first, second = whole.cut(1 - valid - test, words), whole.cut(1 - test, words)
    parts = {"train": whole.part(0, first)}
    if valid:
        parts["valid"] = whole.part(first, min(second, first + _VALID_AT_MOST))
    if test:
        parts["test"] = whole.part(second, min(whole.characters, second + _TEST_AT_MOST))
    return parts


def _with_all(parts: dict[str, Labelled]) -> dict[str, Documents]:
    """Refuse labels that have too little text to train on.

    Raises:
        InputError: with the label.
    """
    train = parts["train"]
    absent = sorted(set(range(len(train.names))) - set(train.labels.tolist()))
    if absent:
        raise InputError(
            f"label {train.names[absent[0]]!r} has too little text to train on.",
            file=train.name,
            fix="Give it more text, or take it out.",
        )
    return dict(parts)


def _found(source: Any, settings: GenerateSettings, labels: Sequence[str] = ()) -> Documents:
    """Return the documents of `source`, with their labels where there are any.

    Args:
        source: as a person gave it.
        settings: name the columns.
        labels: those that are known; none where the data tell them.
    """
    where = settings.encoding, settings.sheet
    if settings.label is None:
        return find(source, settings.text, *where)
    if settings.k2 is not None and settings.k2 > settings.k1:
        raise InputError(
            "with label= gradients flow back k1 steps, and k2 has no effect.",
            fix="Leave k2 out, or set k1 higher.",
        )
    return labelled.find(source, settings.text, settings.label, *where, labels or None)


def _knows_labels(predictor: Any) -> bool:
    """Tell whether what a predictor says of a text depends on its label."""
    if isinstance(predictor, Blend):
        return True
    if isinstance(predictor, nn.Module):
        return cast(LanguageModel, predictor).label is not None
    return isinstance(predictor.shared, LabelledKneserNey)


def _all_orders(counts: KneserNey | LabelledKneserNey, tokens: Tokens) -> dict[int, Nats]:
    """Return the cost of each token under the n-grams of every order."""
    if isinstance(counts, KneserNey):
        return counts.nll(tokens.ids, tokens.starts)
    return counts.nll(partial(identity.of_label, tokens), tokens.predicted)


def _decided(settings: GenerateSettings, train: Documents) -> GenerateSettings:
    """Return the settings with what vocabulary and precision need filled in."""
    found: dict[str, Any] = {
        "precision": "bf16" if multiplies_bfloat16(settings.device) else "float32"
    }
    sample = next(train.texts(), "")
    characters = train.size
    if settings.unit == "words":
        prepared = "<unk>" in sample
        found["punctuation"] = _has_attached_marks(sample)
        found["min_count"] = 1 if prepared else 2
        found["vocabulary_size"] = None if prepared else 10_000
    elif settings.unit == "subwords":
        found["vocabulary_size"] = int(np.clip(characters // 500, 500, 8000))
    found = {name: value for name, value in found.items() if getattr(settings, name) is None}
    return settings.model_copy(update=found)


def _has_attached_marks(sample: str) -> bool:
    """Tell whether marks stand against words, as in plain prose, and not apart already."""
    attached = len(re.findall(r"\w[,;!?](?=\s)", sample))
    return attached > 0.005 * len(sample.split())


def _check(tokens: dict[str, Tokens], where: Documents) -> None:
    for name, part in tokens.items():
        if part.predicted < 2:
            raise InputError(
                f"there is too little text: the {name} part has {part.predicted} symbols.",
                file=where.name,
                fix="Give more text, or other files with valid= and test=.",
            )
    if "test" not in tokens:
        raise InputError(
            "there is no text to test with.", fix="Set test_fraction above 0, or give test=."
        )


def _compared(part: Documents, whole: bool) -> list[str]:
    """Return what is looked for in other parts: whole documents, or long lines."""
    return list(part.whole()) if whole else _long_lines(part.texts())


def _long_lines(texts: Iterator[str]) -> list[str]:
    return [line for text in texts for line in text.splitlines() if len(line.strip()) >= 40]


def _letters(symbol: str) -> int:
    """Characters in a byte-level symbol: its bytes that do not continue a character."""
    return sum(letter not in _CONTINUES for letter in symbol)


def _continuation_bytes() -> frozenset[str]:
    """How byte-level subwords write the bytes 0x80 to 0xBF (Radford et al. 2019)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    written = {byte: chr(byte) for byte in shown}
    written |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return frozenset(written[byte] for byte in range(0x80, 0xC0))


_CONTINUES = _continuation_bytes()
