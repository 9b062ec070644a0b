"""The task `translate`: pairs of texts to a model that reads the one and writes the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from elman.data import Batches, Duplicates, bucketed, duplicates
from elman.data.kinds import objects
from elman.data.seen import Seen, hashes_of
from elman.data.turns import END, Conversation, Turn
from elman.errors import InputError
from elman.modalities.base import Indexed
from elman.scoring import Evaluation
from elman.scoring.baselines.translations import TargetNGrams
from elman.scoring.blending import Blend
from elman.scoring.predictors import Asked, Baseline, CannotSay, answer_of, restored
from elman.scoring.translations import Judge
from elman.tasks.base import Sample, Section
from elman.tasks.translate import (
    consensus,
    corpus,
    costing,
    dialogues,
    growing,
    judging,
    predicting,
    ranking,
    report,
)
from elman.tasks.translate.corpus import Part, Where, part_of
from elman.tasks.translate.making import grown_from, made_from
from elman.tasks.translate.objective import CostOfSymbols
from elman.tasks.translate.sampling import sampled
from elman.tasks.translate.settings import TranslateSettings
from elman.tasks.translate.symbols import Ids, Source, Symbols
from elman.tasks.translate.talking import Talk
from elman.tasks.translate.telling import understood_of
from elman.tasks.translate.translator import Batch, Translator
from elman.tasks.translate.writing import Answer, Options, write
from elman.tasks.understood import Understood, overlap_words
from elman.training import Objective
from elman.training.progress import announced

if TYPE_CHECKING:
    import pandas as pd

_PENALTY = 0.5
"""The length penalty where none was set or found."""


class Translate:
    """The task `translate`; see `elman.tasks.base.Task` for what its methods promise."""

    name: ClassVar[str] = "translate"
    summary: ClassVar[str] = (
        "a text, symbols or a conversation in, a text or symbols out: translations, summaries, "
        "answers"
    )
    gives: ClassVar[str] = "text"
    takes: ClassVar[str] = "text"
    Settings = TranslateSettings
    higher_is_better: bool

    def __init__(
        self,
        settings: TranslateSettings,
        symbols: Symbols,
        where: Where,
        judge: Judge,
        parts: dict[str, Part] | None = None,
    ) -> None:
        self.settings, self.symbols, self.where, self.judge = settings, symbols, where, judge
        self.metric = str(settings.metric)
        self.higher_is_better = self.metric not in ("perplexity", "error_rate")
        self.length_penalty = settings.length_penalty
        """As set, or as found on the validation part."""
        self.consensus = settings.consensus or 0
        """As set, or as found on the validation part."""
        self.usual = dialogues.Usual()
        self.matched = dialogues.Matched()
        self._held: dict[Any, ranking.Scores] = {}
        self.searched: dict[Any, dict[str, list[Answer]]] = {}
        """All that a wide search of a model found for some sources of the validation part."""
        self.seen: Seen | None = None
        self._parts = parts or {}
        self._encoded: dict[str, tuple[list[Source], list[Ids]]] = {}
        self._lines: list[tuple[str, str]] = []
        self._doubts: list[str] = []
        self._predictors: list[Baseline] | None = None
        self._probe: Translator | None = None

    # Data

    @property
    def reads_column(self) -> str:
        """The column of sources in data to predict on."""
        return self.where.source or "source"

    @classmethod
    def modalities(cls) -> list[str]:
        """Return what a source may be made of."""
        return ["text", "tokens", "turns"]

    @classmethod
    def reads(cls, modality: str) -> None:
        """Return None: both sides are read in the task's own way."""

    @classmethod
    def recorded(cls, values: dict[str, Any], assets: dict[str, Any]) -> TranslateSettings:
        """Return the settings of a run."""
        return cls.Settings.recorded(values)

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Return the assets: there was no such task in format 1."""
        return assets

    @classmethod
    def example(cls, modality: str, n: int, seed: int = 0) -> pd.DataFrame:
        """Return a table of `n` made-up pairs: numbers in words, and their figures reversed.

        Symbols are lists; of a conversation each utterance says a number.
        """
        import pandas as pd

        generator = np.random.default_rng(seed)
        words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        rows = [generator.integers(0, 10, generator.integers(3, 7)) for _ in range(n)]
        read = [[words[i] for i in row] for row in rows]
        written = [[str(i) for i in row[::-1]] for row in rows]
        if modality == "tokens":
            return pd.DataFrame({"source": objects(read), "target": objects(written)})
        source: Any = [" ".join(row) for row in read]
        if modality == "turns":
            source = objects(
                [
                    Conversation(Turn("AB"[k % 2], word) for k, word in enumerate(row))
                    for row in read
                ]
            )
        return pd.DataFrame({"source": source, "target": [" ".join(row) for row in written]})

    @classmethod
    def from_data(
        cls, data: Any, settings: TranslateSettings, valid: Any = None, test: Any = None
    ) -> Self:
        """Read pairs, share them out, and fit vocabularies on the training part.

        Raises:
            InputError: there are no pairs, or a file is wrong; the message says where.
        """
        return made_from(cls, data, settings, valid, test)

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new pairs, and some of the old ones; see `elman.tasks.base.Growing`.

        Raises:
            InputError: as `from_data`; or the run learnt from dialogues and these are none.
        """
        return grown_from(cls, old, data, settings, valid, test)

    def indexed(self) -> list[Indexed]:
        """Return the symbols of both sides, with their embeddings and scores."""
        return growing.indexed(self)

    def before_and_after(
        self, old: Self, before: nn.Module, after: nn.Module
    ) -> tuple[Evaluation, Evaluation]:
        """Score two models on the test part of another run."""
        return growing.before_and_after(self, old, before, after)

    def met_before(self, old: Self) -> list[str]:
        """Return doubts where the new test part was learnt before, or the old one is learnt now."""
        return growing.met_before(self, old)

    def learnt(self) -> NDArray[np.uint64]:
        """Return hashes of the sources that are trained on and chosen on."""
        parts = (self._parts[part] for part in ("train", "valid") if part in self._parts)
        return hashes_of(chain.from_iterable(part.source for part in parts))

    @classmethod
    def from_assets(cls, settings: TranslateSettings, assets: dict[str, Any]) -> Self:
        """Return the task of a finished run, without its data."""
        made = cls(
            settings,
            Symbols.from_json(assets["symbols"]),
            Where(**assets["pairs"]),
            Judge(**assets["judge"] | {"kinds": tuple(assets["judge"]["kinds"])}),
        )
        made.seen = Seen.from_json(assets["seen"])
        return made

    def assets(self) -> dict[str, Any]:
        """Return the vocabularies, the longest answer, and hashes of what was learnt from."""
        assert self.seen is not None
        return {
            "symbols": self.symbols.to_json(),
            "pairs": asdict(self.where),
            "judge": asdict(self.judge),
            "seen": self.seen.to_json(),
        }

    def understood(self) -> Understood:
        """Return how the pairs were read and shared out, and what a symbol is."""
        return understood_of(self)

    def look(self) -> list[Section]:
        """Return pairs, lengths of both sides, and what parts share."""
        return report.look(self._parts, str(self.shared), self.symbols.units)

    @cached_property
    def shared(self) -> Duplicates:
        """Pairs that stand in more than one part."""
        return duplicates(
            {
                part: list(zip(found.source, found.target, strict=True))
                for part, found in self._parts.items()
            }
        )

    def overlap(self, data: Any) -> str | None:
        """Return how many sources of `data` were trained on or chosen on, or None."""
        if self.seen is None:
            return None
        hashes = hashes_of(self._to_score(data).source)
        return overlap_words(self.seen.shared(hashes), len(hashes), "sources")

    def leaks(self) -> None:
        """Return None: a source that tells its translation is what is to be learnt from."""
        return None

    def describe(self) -> dict[str, Any]:
        """Return sizes of the parts, symbols, and what the parts share."""
        facts: dict[str, Any] = {
            "unit": " and ".join(dict.fromkeys(self.symbols.units)),
            "symbols": len(self.symbols.target),
            "pairs": {part: len(found) for part, found in self._parts.items()},
        }
        if self._parts:
            facts["duplicates"] = str(self.shared)
        return facts

    @property
    def asked(self) -> dialogues.Choice | None:
        """The contexts and replies of dialogues of the validation part, by which is chosen."""
        if not self.where.talks or "valid" not in self._parts:
            return None
        return dialogues.choice(self._parts["valid"], self.settings.seed, once=True)

    # Training

    def build(self) -> nn.Module:
        """Return the model, initialised from torch's generator."""
        return Translator(self.symbols, self.settings)

    def objective(self, model: nn.Module) -> Objective:
        """Return the mean cost of a symbol of the targets, judged on the validation part."""
        self._probe = cast(Translator, model)
        return CostOfSymbols(self, self._probe)

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Batch]:
        """Return training batches of pairs of similar length."""
        sources, targets = self._of("train")
        lengths = [len(a.ids) + len(b) for a, b in zip(sources, targets, strict=True)]
        return Batches(
            bucketed(lengths, self.settings.batch_size),
            lambda rows: self.batch([sources[r] for r in rows], [targets[r] for r in rows]),
            seed=self.settings.seed,
            rank=rank,
            world_size=world_size,
        )

    def batch(self, sources: Sequence[Source], targets: Sequence[Ids]) -> Batch:
        """Return pairs side by side."""
        return Batch.of(sources, targets, self.symbols.source.pad or 0)

    def costs(
        self,
        model: Translator,
        sources: Sequence[Source],
        targets: Sequence[Ids],
        known: Sequence[NDArray[np.bool_]] | None = None,
    ) -> NDArray[np.float64]:
        """Return the nats that each target costs, `(n,)`.

        Args:
            model: the model.
            sources, targets: as symbols.
            known: of each target, which symbols cost something; all when None.
        """
        each = costing.of_symbols(self, model, sources, targets)
        if known is not None:
            each = [nats[kept] for nats, kept in zip(each, known, strict=True)]
        return np.array([nats.sum() for nats in each], np.float64)

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging, by a short measurement."""
        return judging.share_of(self)

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model, or a baseline, on `data` or on the test part."""
        [found] = self.scores([model], data)
        return answer_of(found)

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation | CannotSay]:
        """Score models, baselines and a blend on the same pairs; a model with its predictions."""
        return judging.scores_of(self, predictors, data)

    def looked(self, model: Translator, sources: Sequence[str]) -> list[Answer]:
        """Return the best answer to each source, with where the decoder looked."""
        empty = Answer("", [], 0.0, 0.0, True)
        every = self.answers(model, sources, looks=True)
        return [row[0] if row else empty for row in every]

    def _to_score(self, data: Any) -> Part:
        if data is not None:
            return part_of(corpus.read(data, self.settings, self.where), self.where)
        if "test" not in self._parts:
            raise InputError(
                "There is no test part to judge the model on.",
                fix="Set test_fraction above 0, or give test data.",
            )
        return self._parts["test"]

    # Baselines

    def predictors(self) -> list[Baseline]:
        """Return the baselines, fitted on the training part when they are first asked for."""
        if self._predictors is None:
            train, valid = self._parts["train"], self._parts.get("valid")
            fitted = judging.fitted(self, train)
            if self.where.talks:
                fitted = dialogues.baselines(train, valid, self.symbols, self.settings.seed)
            self._predictors = [
                Baseline(name, one, "arrays" if isinstance(one, TargetNGrams) else "cells")
                for name, one in announced(fitted)
            ]
        return self._predictors

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Score each baseline on the same pairs."""
        pairs = zip(self.predictors(), self.scores(self.predictors(), data), strict=True)
        return {one.name: e for one, e in pairs if isinstance(e, Evaluation)}

    def kept_shared(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
        """Return nothing: baselines share nothing."""

    def kept_predictor(
        self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]], shared: Any
    ) -> Baseline:
        """Return a baseline of which facts and arrays were kept."""
        return restored(facts, arrays, shared)

    def rule_says(self, predictor: Any, sources: Sequence[str]) -> list[str]:
        """Return what a baseline writes for each source.

        Raises:
            CannotSay: it writes nothing.
        """
        if isinstance(predictor.map, TargetNGrams):
            raise CannotSay(
                f"{predictor.name} says how likely a reply is; it writes none.",
                fix="Choose another predictor.",
            )
        asked = Asked(list(sources), lambda: [], count=len(sources))
        return list(predictor.outputs(asked))

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Choose on the validation part the length penalty, where it is not set, and whether the
        text most like others is better, and how replies are told from others."""
        if "valid" in self._parts:
            way = judging.way_of(self, cast(Translator, model))
            self.length_penalty, self.consensus = way
        self._held = ranking.settled(self, cast(Translator, model))
        return {
            "length_penalty": self.length_penalty,
            "consensus": self.consensus,
            "usual": self.usual._asdict(),
            "matched": self.matched._asdict(),
        }

    def recall(self, about: dict[str, Any]) -> None:
        """Take up the length penalty that was found, and how replies are told from others."""
        self.length_penalty = about["length_penalty"]
        # A run of an earlier version gives the likeliest text.
        self.consensus = about.get("consensus", 0)
        self.usual = dialogues.Usual(**about.get("usual", {}))
        self.matched = dialogues.Matched(**about.get("matched", {}))

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with a baseline as the headline score asks, or return why not.

        With TF-IDF it orders replies or agrees on summaries; with n-grams it tells how likely
        replies are.
        """
        if not self.where.talks:
            return consensus.blended(self, model, predictors)
        if self.metric == "perplexity":
            return costing.blended(self, model, predictors)
        return ranking.blended(self, model, predictors, self._held)

    # Use

    @property
    def _options(self) -> Options:
        settings = self.settings
        penalty = self.length_penalty
        return Options(
            beam=settings.beam,
            length_penalty=_PENALTY if penalty is None else penalty,
            block_repeats=settings.block_repeats or 0,
            min_length=settings.min_length,
            max_length=settings.max_length,
            consensus=self.consensus,
        )

    def answers(
        self,
        model: Any,
        sources: Sequence[str],
        options: Options | None = None,
        *,
        looks: bool = False,
        rows: Sequence[int] | None = None,
    ) -> list[list[Answer]]:
        """Return the answers of the model, or of its blend, to each source, best first.

        See `write`, `consensus.agreed`, and `ranking.answered` for a blend of dialogues.
        """
        options, longest = options or self._options, self.where.longest
        if isinstance(model, Blend) and self.where.talks:
            return ranking.answered(self, model, sources, options, looks=looks, rows=rows)
        if isinstance(model, Blend) or options.consensus:
            return consensus.agreed(self, model, sources, options, looks=looks, rows=rows)
        return write(model, self.symbols, sources, options, longest, looks=looks, rows=rows)

    def predict(self, model: Any, data: Any, **how: Any) -> pd.DataFrame:
        """Write an answer for each source of `data`; a row each, or several with `n_best`.

        Args:
            model: the trained model, a kept baseline, or their blend.
            data: paths, a table, a list of texts, or one text.
            how: options of `Options`, and `alignments=True` for the source word that each written
                word was made from.

        Raises:
            InputError: there is no such option, or the data are wrong.
        """
        return predicting.predicted(self, model, data, how)

    def chat(self, predictor: Any, **how: Any) -> Talk:
        """Return a dialogue with the model, with a kept baseline, or with their blend.

        Args:
            predictor: what answers.
            how: options of `Options`.

        Raises:
            InputError: the run was trained on something else, or an option has no effect here.
        """
        if not self.where.talks:
            raise InputError(
                "this run was trained on pairs that are no dialogues, so it cannot talk.",
                fix="Use predict, or train on dialogues: elman train translate DIALOGUES.",
            )
        if "n_best" in how:
            raise InputError(
                "n_best has no effect on a dialogue, which goes on from one answer.",
                fix="Leave it out, and type /n-best N (in Python: n_best(N)) after an answer.",
            )
        if isinstance(predictor, Blend):
            ranking.check_sees(predictor)
        elif not isinstance(predictor, nn.Module):
            predicting.refuse_options(predictor, how)
        return Talk(self, predictor, predicting.options_with(self, how))

    def source_of(self, turns: Sequence[str]) -> str:
        """Return the last turns of a dialogue as one source, as in training."""
        return f" {END} ".join(turns[-self.settings.turns :])

    def rank(
        self, predictor: Any, context: str | Sequence[str], replies: Sequence[str]
    ) -> pd.DataFrame:
        """Put replies to a context in an order; see `elman.Model.rank`."""
        return ranking.ranked(self, predictor, context, replies)

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return where a source stands, its answer, and how it is ranked."""
        return predictions.drop(columns=["source", "log_probability", "ended"], errors="ignore")

    def stream(self, model: Any) -> NoReturn:
        """Refuse: the whole source is read before anything is written.

        Raises:
            InputError: always.
        """
        raise InputError(
            "A translator reads the whole source before it writes, so it cannot stream.",
            fix="Use predict.",
        )

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return examples with attention, lengths, and what is sick in the answers."""
        return report.sections(self, cast(Translator, model), evaluation)

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Return pairs, of which the doctor follows what is read."""
        return sampled(self, data, rows, seed)

    # Parts

    def _of(self, part: str) -> tuple[list[Source], list[Ids]]:
        """Return the pairs of a part as symbols."""
        if part not in self._encoded:
            found = self._parts[part]
            self._encoded[part] = self._encoded_pairs(found.source, found.target)
        return self._encoded[part]

    def _encoded_pairs(
        self, sources: Sequence[str], targets: Sequence[str]
    ) -> tuple[list[Source], list[Ids]]:
        read = [self.symbols.read(text) for text in sources]
        return read, self._targets(targets, read)

    def _targets(self, texts: Sequence[str], sources: Sequence[Source]) -> list[Ids]:
        copying = self.settings.copying
        return [
            self.symbols.write(text, source if copying else None)
            for text, source in zip(texts, sources, strict=True)
        ]
