"""Language models: text from a file to a model that scores and writes such text.

Characters, words or subwords, one after another through a recurrence whose state is
carried through the whole of a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from elman.data import Batches, CarriedBatches, bucketed
from elman.data.seen import Seen
from elman.modalities.base import Indexed
from elman.modalities.text import Text, TextCodec
from elman.nn.sampled import SampledSoftmax
from elman.scoring import Evaluation
from elman.scoring.baselines.label_ngrams import LabelledKneserNey
from elman.scoring.baselines.ngram import KneserNey
from elman.scoring.blending import Blend
from elman.scoring.predictors import Baseline, restored
from elman.tasks.base import Sample, Section
from elman.tasks.generate import identity, windows
from elman.tasks.generate.corpus import Documents, Tokens, encode
from elman.tasks.generate.costs import blended, nats_of
from elman.tasks.generate.keyboard import Keyboard
from elman.tasks.generate.language_model import LABEL_SIZE, LanguageModel, costs, short
from elman.tasks.generate.making import grown_from, made_from
from elman.tasks.generate.ngrams import counted_ngrams
from elman.tasks.generate.objective import NextToken, WholeDocuments
from elman.tasks.generate.overlap import doubts_of_met, overlap_with
from elman.tasks.generate.report import sections_of
from elman.tasks.generate.sampling import sampled
from elman.tasks.generate.scores import blocks_of, overall, scored_blocks, scores_of, units_of
from elman.tasks.generate.settings import GenerateSettings
from elman.tasks.generate.sharing import documents_in
from elman.tasks.generate.telling import COUNTED, described, looked_at, understood_of
from elman.tasks.generate.writers import writer_of
from elman.tasks.generate.writing import SymbolStream
from elman.tasks.strangers import warn_of_unknown
from elman.tasks.understood import Understood
from elman.training import Objective

if TYPE_CHECKING:
    import pandas as pd


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
        """Read text and cut it by position: the last part tests.

        Raises:
            InputError: no text, or too little to train on and to test with.
        """
        return made_from(cls, data, settings, valid, test)

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new text, and stretches of the old one; see `elman.tasks.base.Growing`.

        Raises:
            InputError: as `from_data`.
        """
        return grown_from(cls, old, data, settings, valid, test)

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
        units = [blocks_of(self, theirs, one, known) for one in nats]
        then, now = (Evaluation(one, self._score, one) for one in units)
        return then, now

    def met_before(self, old: Self) -> list[str]:
        """Return doubts where the new test part was learnt before, or the old one is learnt now."""
        return doubts_of_met(self, old)

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
        return understood_of(self)

    def look(self) -> list[Section]:
        """Return the commonest symbols, lengths of documents, and how each part begins."""
        return looked_at(self)

    def overlap(self, data: Any) -> str | None:
        """Return how much of `data` was trained on or chosen on, or None."""
        return overlap_with(self, data)

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
        return described(self)

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
        return NextToken(self, cast(LanguageModel, model))

    def sampled_softmax(self) -> SampledSoftmax | None:
        """Return what training estimates a large softmax with; None where all is scored."""
        if not self.settings.sampled:
            return None
        ids = np.asarray(self._tokens["train"].ids[:COUNTED], np.int64)
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
                lambda chosen: WholeDocuments.of(tokens, lengths, chosen),
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
        return scores_of(self, predictors, data)

    # Baselines

    def predictors(self) -> list[Baseline]:
        """Return Kneser–Ney n-grams of several orders, counted in the training part."""
        if self._predictors is None:
            self._predictors = counted_ngrams(self)
        return self._predictors

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
        return blended(self, model, predictors)

    def predict(self, model: Any, data: Any) -> pd.DataFrame:
        """The cost of each document of `data`: a row with its beginning, size and scores.

        Args:
            model: the trained model, n-grams, or a blend.
            data: a path, paths, or a DataFrame.
        """
        import pandas as pd

        documents = documents_in(data, self.settings, self.labels)
        tokens = encode(documents, self.vocabulary, ended=self.documents > 1)
        warn_of_unknown(self.vocabulary, documents.texts())
        units = units_of(self, tokens, nats_of(self, model, tokens, {}), tokens.starts)
        codes = tokens.labels
        rows = [
            {"text": text[:80]}
            | ({} if codes is None else {"label": self.labels[codes[i]]})
            | {"tokens": int(units["count"].iloc[i])}
            | overall(self, units.iloc[i : i + 1])
            for i, text in enumerate(documents.whole())
        ]
        return pd.DataFrame(rows)

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return everything: what a document cost is the answer."""
        return predictions

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Stretches of text, four times as long as a window of training where there is enough."""
        return sampled(self, data, rows, seed)

    def _to_score(self, data: Any) -> Tokens:
        if data is None:
            return self._tokens["test"]
        documents = documents_in(data, self.settings, self.labels)
        return encode(documents, self.vocabulary, ended=self.documents > 1)

    def _score(self, units: pd.DataFrame) -> dict[str, float]:
        """Return the scores of blocks; with labels, of those of each label too."""
        return scored_blocks(self, units)

    # New text

    @staticmethod
    def needed_to_write(assets: dict[str, Any]) -> dict[str, str]:
        """Return the options of writing without which a run is refused: a label where it has any.

        Args:
            assets: of the run.
        """
        labels = assets["corpus"].get("labels", ())
        return {"label": labels[0]} if labels else {}

    def generate(
        self, model: Any, prompt: str = "", label: str | None = None, **options: Any
    ) -> list[str]:
        """Texts that begin with `prompt`; other options as for `Writer.generate`."""
        return writer_of(self, model, label).generate(prompt, **options)

    def complete(
        self, model: Any, prompt: str, n: int = 5, label: str | None = None
    ) -> list[dict[str, Any]]:
        """The likeliest next words; see `Writer.complete`."""
        return writer_of(self, model, label).complete(prompt, n)

    def keyboard(self, model: Any, label: str | None = None) -> Keyboard:
        """Return what suggests words while a text is typed."""
        return Keyboard(writer_of(self, model, label))

    def stream(self, model: Any, label: str | None = None) -> SymbolStream:
        """Return the model on a stream: a symbol in, the probability of every next one out."""
        return SymbolStream(writer_of(self, model, label))

    # Report

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Samples at several temperatures; with labels, one of each, and how each fared."""
        return sections_of(self, model, evaluation)
