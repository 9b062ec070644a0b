"""The task `translate`: pairs of texts to a model that reads the one and writes the other."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data import Batches, Duplicates, bucketed, duplicates
from elman.data.seen import Seen, hashes_of
from elman.data.turns import END
from elman.errors import InputError
from elman.scoring import Evaluation, translations
from elman.scoring.baselines.dictionary import LONGEST, dictionary, words_of
from elman.scoring.baselines.extracts import Extract
from elman.scoring.baselines.translations import CopySource, TargetNGrams, retrieval
from elman.scoring.blending import Blend
from elman.scoring.predictors import Asked, Baseline, CannotSay, answer_of, restored
from elman.scoring.translations import Judge, Kind
from elman.tasks import gaps
from elman.tasks.base import Sample, Section, device_of
from elman.tasks.translate import corpus, dialogues, ranking, report
from elman.tasks.translate.corpus import Part, Where, part_of
from elman.tasks.translate.settings import OF_DIALOGUES, TranslateSettings
from elman.tasks.translate.symbols import Ids, Source, Symbols
from elman.tasks.translate.talking import Talk
from elman.tasks.translate.translator import IGNORED, Batch, Translator
from elman.tasks.translate.writing import Answer, Options, write
from elman.tasks.understood import Understood, overlap_words, shorter
from elman.training import Objective
from elman.training.progress import announced, doing

if TYPE_CHECKING:
    import pandas as pd

_PENALTIES = (0.0, 0.5, 1.0)
_CHOSEN_ON = 100
"""Pairs of the validation part on which the length penalty is chosen."""
_JUDGED = 0.2
"""Share of a budget for writing what is judged."""
_WORK = 4e9
"""Floating-point operations a second that beam search makes at least, on one slow core."""
_ROOM = 1.2
"""Symbols of an answer at most, for each of the longest target of training."""
_SHARED = 0.01
"""Share of a part that stands in an earlier part too, from which it is a doubt."""
_COSTED = 1 << 13
"""Symbols of sources and targets whose costs are computed at once."""


Select = Callable[["pd.DataFrame", Any], None]
"""Adds to the units of a predictor whether it chose the true replies."""


class Translate:
    """The task `translate`; see `elman.tasks.base.Task` for what its methods promise."""

    name: ClassVar[str] = "translate"
    summary: ClassVar[str] = "a text in, another out: translations, summaries, answers"
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
        self.higher_is_better = self.metric != "perplexity"
        self.length_penalty = settings.length_penalty
        """As set, or as found on the validation part."""
        self.usual = dialogues.Usual()
        self._held: dict[Any, ranking.Scores] = {}
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
        """Return text."""
        return ["text"]

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
        """Return a table of `n` made-up pairs: numbers in words, and their figures reversed."""
        import pandas as pd

        generator = np.random.default_rng(seed)
        words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        rows = [generator.integers(0, 10, generator.integers(3, 7)) for _ in range(n)]
        return pd.DataFrame(
            {
                "source": [" ".join(words[i] for i in row) for row in rows],
                "target": [" ".join(str(i) for i in row[::-1]) for row in rows],
            }
        )

    @classmethod
    def from_data(
        cls, data: Any, settings: TranslateSettings, valid: Any = None, test: Any = None
    ) -> Self:
        """Read pairs, share them out, and fit vocabularies on the training part.

        Raises:
            InputError: there are no pairs, or a file is wrong; the message says where.
        """
        given = {"train": data, "valid": valid, "test": test}
        given = {part: source for part, source in given.items() if source is not None}
        if "train" not in given:
            raise InputError("There are no data to train on: None was given.")
        pairs = corpus.read(data, settings)
        where = Where.of(pairs)
        if settings.metric in OF_DIALOGUES and not where.talks:
            raise InputError(
                f"metric={settings.metric} is for dialogues, and these are pairs.",
                fix="Leave it out.",
            )
        parts, shared_out = corpus.parts_of(pairs, settings, given)
        for part in ("valid", "test"):
            if part in given:
                parts[part] = part_of(corpus.read(given[part], settings, where), where)
        parts = {part: parts[part] for part in ("train", "valid", "test") if part in parts}
        chooses = "test" in parts and dialogues.choice(parts["test"], settings.seed) is not None
        asked = settings
        settings = corpus.decided(settings, parts["train"], where.talks, chooses)
        train = parts["train"]
        assert settings.unit is not None
        symbols = Symbols.fit(
            train.source,
            train.target,
            settings.unit,
            joint=settings.vocabulary == "joint",
            size=settings.vocabulary_size,
            min_count=settings.min_count or 1,
            lower=bool(settings.lower),
            max_source=settings.max_source,
            max_target=settings.max_target,
        )
        judge = Judge.of(train.target, _kinds(settings), lowercase=bool(settings.lower))
        made = cls(settings, symbols, where, judge, parts)
        lengths = np.array([len(ids) for ids in made._of("train")[1]])
        longest = int(min(settings.max_target, math.ceil(_ROOM * lengths.max())))
        made.where = replace(where, longest=longest)
        judged = made._judged_words()
        made._doubts = pairs.doubts
        made._lines = [
            ("read", " ".join(pairs.said)),
            ("split", _split_words(given, shared_out, parts)),
            *([("judged", judged)] if judged else []),
            ("metric", _metric_words(asked, settings)),
            *([("replies", made._choice_words())] if where.talks and "test" in parts else []),
            *(("", f"{name}: {how}") for name, how in judge.signatures().items()),
        ]
        learnt = [
            text for part in ("train", "valid") if part in parts for text in parts[part].source
        ]
        made.seen = Seen.of(hashes_of(learnt))
        return made

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
        sizes = {part: len(found) for part, found in self._parts.items()}
        lines = [pair for pair in self._lines if pair[0] != "split"]
        counts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
        lines.insert(1, ("pairs", f"{counts}; {dict(self._lines)['split']}"))
        ours, theirs = self.symbols.source, self.symbols.target
        many = f"{len(ours):,} for both sides"
        if not self.symbols.joint:
            many = f"{len(ours):,} of sources, {len(theirs):,} of targets"
        lines.append(("symbols", f"{ours.unit}; {many}"))
        sources, targets = self._of("train")
        for word, rows, most in (
            ("sources", [one.ids for one in sources], self.symbols.max_source),
            ("targets", targets, self.symbols.max_target),
        ):
            lengths = np.array([len(row) for row in rows])
            cut = int((lengths == most).sum())
            said = f"{lengths.min()} to {lengths.max()} {ours.unit}"
            said += f" (median {int(np.median(lengths))})"
            lines.append((word, f"{said}{f', {cut:,} cut' if cut else ''}"))
        for part in self._parts:
            if part != "train" and self._unknown(part):
                lines.append((f"in {part}", f"{self._unknown(part):.2%} of symbols are unknown"))
        train = self._parts["train"]
        first = f"{shorter(train.source[0])!r} → {shorter(train.target[0])!r}"
        lines.append(("the first", first))
        doubts = list(self._doubts)
        doubts += [
            f"{count:,} of {sizes[later]:,} pairs of {later} stand in {earlier} too: the scores "
            "flatter. Take them out."
            for (earlier, later), count in self.shared.counts.items()
            if count > _SHARED * sizes[later]
        ]
        return Understood(lines, doubts)

    def _unknown(self, part: str) -> float:
        """Return the share of unknown symbols of a part."""
        sources, targets = self._of(part)
        pairs = (
            *((one.ids, self.symbols.source.unk) for one in sources),
            *((ids, self.symbols.target.unk) for ids in targets),
        )
        total = sum(len(ids) for ids, _ in pairs)
        return sum(int((ids == unk).sum()) for ids, unk in pairs) / max(1, total)

    def look(self) -> list[Section]:
        """Return pairs, lengths of both sides, and what parts share."""
        return report.look(self._parts, str(self.shared))

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

    def leaks(self) -> list[str]:
        """Return nothing: a source that tells its translation is what is to be learnt from."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return sizes of the parts, symbols, and what the parts share."""
        facts: dict[str, Any] = {
            "unit": self.symbols.source.unit,
            "symbols": len(self.symbols.target),
            "pairs": {part: len(found) for part, found in self._parts.items()},
        }
        if self._parts:
            facts["duplicates"] = str(self.shared)
        return facts

    # Training

    def build(self) -> nn.Module:
        """Return the model, initialised from torch's generator."""
        return Translator(self.symbols, self.settings)

    def objective(self, model: nn.Module) -> Objective:
        """Return the mean cost of a symbol of the targets, judged on the validation part."""
        self._probe = cast(Translator, model)
        return _Objective(self, self._probe)

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

    @torch.no_grad()
    def costs(
        self, model: Translator, sources: Sequence[Source], targets: Sequence[Ids]
    ) -> NDArray[np.float64]:
        """Return the nats that each target costs, `(n,)`."""
        training = model.training
        model.eval()
        found = np.zeros(len(sources))
        sizes = np.array([len(a.ids) + len(b) for a, b in zip(sources, targets, strict=True)])
        order = np.argsort(sizes, kind="stable")
        first = 0
        while first < len(order):
            many = max(1, int(_COSTED // max(1, sizes[order[first]])))
            while many > 1 and sizes[order[min(first + many, len(order)) - 1]] * many > _COSTED:
                many //= 2
            rows = order[first : first + many]
            batch = self.batch([sources[r] for r in rows], [targets[r] for r in rows])
            nats = model.costs(batch.to(device_of(model)))
            found[rows] = nats.double().sum(1).cpu().numpy()
            first += many
        model.train(training)
        return found

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging, by a short measurement.

        It is nothing where no budget is to be shared out.
        """
        if self.settings.budget is None or self._probe is None or "valid" not in self._parts:
            return 0.0
        model, (sources, targets) = self._probe, self._of("valid")
        few = min(len(sources), 16)
        began = time.perf_counter()
        self.costs(model, sources[:few], targets[:few])
        once = time.perf_counter()
        mean = int(np.mean([len(ids) for ids in targets[:few]]))
        options = self._options.with_(max_length=mean + self.settings.min_length + 1)
        write(model, self.symbols, self._parts["valid"].source[:few], options, self.where.longest)
        ratio = (time.perf_counter() - once) / max(once - began, 1e-6)
        test = self._parts.get("test")
        asked = (0 if test is None else len(test)) + min(_CHOSEN_ON, len(sources))
        choice = None if test is None else dialogues.choice(test, self.settings.seed)
        costed = dialogues.costed(choice)
        if self.where.talks:
            costed += dialogues.costed(dialogues.choice(self._parts["valid"], self.settings.seed))
        return (ratio * asked + costed) / len(sources)

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model, or a baseline, on `data` or on the test part."""
        [found] = self.scores([model], data)
        return answer_of(found)

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation | CannotSay]:
        """Score models, baselines and a blend on the same pairs; a model with its predictions."""
        part = self._to_score(data)
        select = self._selecting(part)
        found: list[Evaluation | CannotSay] = []
        for one in predictors:
            if isinstance(one, nn.Module):
                found.append(self._of_model(cast(Translator, one), part, select))
                continue
            try:
                units = self._units_of_rule(one, part, select)
            except CannotSay as why:
                found.append(why)
                continue
            found.append(Evaluation(units, translations.score))
        return found

    def _selecting(self, part: Part) -> Select:
        """Return what adds to the units of a predictor whether it chose the true replies."""
        choice = dialogues.choice(part, self.settings.seed) if self.where.talks else None
        memo: dict[Any, ranking.Scores] = {}

        def select(units: pd.DataFrame, predictor: Any) -> None:
            dialogues.with_selection(
                units,
                choice,
                lambda asked: ranking.scores_of(self, predictor, part, asked, memo),
            )

        return select

    def _units_of_rule(self, rule: Any, part: Part, select: Select) -> pd.DataFrame:
        """Return what the scores of a baseline, or of a blend, are made of."""
        import pandas as pd

        if isinstance(rule, Blend):
            units = pd.DataFrame(index=range(len(part)))
            select(units, rule)
            return units
        if isinstance(rule.map, TargetNGrams):
            return dialogues.units_of_counts(rule, part, self.symbols)
        said = self.rule_says(rule, part.source)
        units = self.judge.units(said, part.target)
        if self.where.talks:
            dialogues.with_variety(units, said)
            select(units, rule)
        return units

    def _of_model(self, model: Translator, part: Part, select: Select) -> Evaluation:
        with doing(f"writing {len(part):,} answers"):
            answers = self.answers(model, part.source)
        said = [row[0].text if row else "" for row in answers]
        units = self.judge.units(said, part.target)
        sources, targets = self._encoded_pairs(part.source, part.target)
        units["nll"] = self.costs(model, sources, targets)
        units["tokens"] = [len(ids) for ids in targets]
        if self.where.talks:
            units["words"] = dialogues.words_in(part.target, targets, self.symbols)
            dialogues.with_variety(units, said)
            select(units, model)
        table = self._table(part, [row[:1] for row in answers])
        table["reference"] = part.target
        return Evaluation(units, translations.score, table)

    def _costs_of_symbols(self, model: Translator) -> dialogues.Costs:
        """Return what gives the nats that a symbol of each reply costs after its context."""

        def costs(some: Sequence[str], replies: Sequence[str]) -> NDArray[np.float64]:
            pairs = self._encoded_pairs(some, replies)
            return self.costs(model, *pairs) / [len(ids) for ids in pairs[1]]

        return costs

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
            fitted = self._fitted(train)
            if self.where.talks:
                fitted = dialogues.baselines(train, valid, self.symbols, self.settings.seed)
            self._predictors = [
                Baseline(name, one, "arrays" if isinstance(one, TargetNGrams) else "cells")
                for name, one in announced(fitted)
            ]
        return self._predictors

    def _fitted(self, train: Part) -> Iterator[tuple[str, Any]]:
        """Fit each baseline; which there are depends on what answers are judged as."""
        if self.metric.startswith("rouge"):
            yield "first sentence", Extract("lead")
            yield "longest sentence", Extract("longest")
            yield "TextRank", Extract("textrank")
        else:
            yield "copy the source", CopySource()
            if any(
                _short(a) and _short(b) for a, b in zip(train.source, train.target, strict=True)
            ):
                found = dictionary(train.source, train.target, seed=self.settings.seed)
                yield "dictionary, word by word", found
        yield "nearest by TF-IDF", retrieval(train.source, train.target)

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
        """Choose on the validation part the length penalty, where it is not set, and how replies
        are told from others."""
        if self.settings.length_penalty is None and "valid" in self._parts:
            part = self._parts["valid"].take(range(min(_CHOSEN_ON, len(self._parts["valid"]))))
            options = self._options.with_(n_best=self.settings.beam)
            every = self.answers(cast(Translator, model), part.source, options)
            metric = "chrf" if self.metric in OF_DIALOGUES else self.metric
            scores = {
                alpha: translations.scores(
                    [_best(row, alpha) for row in every], part.target, self.judge
                )[metric]
                for alpha in _PENALTIES
            }
            self.length_penalty = max(_PENALTIES, key=lambda alpha: scores[alpha])
        asked = None
        if self.where.talks and "valid" in self._parts:
            asked = dialogues.choice(self._parts["valid"], self.settings.seed)
        if asked is not None:
            costs = self._costs_of_symbols(cast(Translator, model))
            train, valid = self._parts["train"], self._parts["valid"]
            self.usual, held = dialogues.usual_of(costs, valid, asked, train, self.settings.seed)
            self._held = {model: held}
        return {"length_penalty": self.length_penalty, "usual": self.usual._asdict()}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up the length penalty that was found, and how replies are told from others."""
        self.length_penalty = about["length_penalty"]
        self.usual = dialogues.Usual(**about.get("usual", {}))

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Let the model and TF-IDF order replies to dialogues together, or return why not."""
        return ranking.blended(self, model, predictors, self._held)

    # Use

    @property
    def _options(self) -> Options:
        settings = self.settings
        penalty = self.length_penalty
        return Options(
            beam=settings.beam,
            length_penalty=_PENALTIES[1] if penalty is None else penalty,
            block_repeats=settings.block_repeats or 0,
            min_length=settings.min_length,
            max_length=settings.max_length,
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

        See `write`, and `ranking.answered` for a blend.
        """
        options, longest = options or self._options, self.where.longest
        if isinstance(model, Blend):
            return ranking.answered(self, model, sources, options, looks=looks, rows=rows)
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
        texts = corpus.raw(data)
        if texts is None:
            read = corpus.read(data, self.settings, self.where, answered=False)
            part = part_of(read, self.where)
        else:
            places = [(None, number) for number in range(1, len(texts) + 1)]
            part = Part(texts, [""] * len(texts), list(places))
        there = gaps.filled(part.source, lambda number: part.places[number]).tolist()
        alignments = bool(how.pop("alignments", False))
        if not isinstance(model, nn.Module | Blend):
            _refuse_options(model, how | ({"alignments": True} if alignments else {}))
            said = self.rule_says(model, [part.source[number] for number in there])
            written = [[Answer(text, [], math.nan, math.nan, True)] for text in said]
            return self._table(part, _beside(len(part.source), there, written))
        options = self._options_with(how, "alignments")
        sources = [part.source[number] for number in there]
        answers = self.answers(model, sources, options, looks=alignments, rows=there)
        every = _beside(len(part.source), there, answers)
        return self._table(part, every, alignments=alignments)

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
        if not isinstance(predictor, nn.Module | Blend):
            _refuse_options(predictor, how)
        return Talk(self, predictor, self._options_with(how))

    def source_of(self, turns: Sequence[str]) -> str:
        """Return the last turns of a dialogue as one source, as in training."""
        return f" {END} ".join(turns[-self.settings.turns :])

    def rank(
        self, predictor: Any, context: str | Sequence[str], replies: Sequence[str]
    ) -> pd.DataFrame:
        """Put replies to a context in an order; see `elman.Model.rank`."""
        return ranking.ranked(self, predictor, context, replies)

    def _options_with(self, how: dict[str, Any], *others: str) -> Options:
        known = [field.name for field in fields(Options)]
        for name in how:
            if name not in known:
                raise InputError(
                    f"{name} is no option of writing.",
                    fix=f"Choose from {', '.join([*known, *others])}.",
                )
        return self._options.with_(**how)

    def _table(
        self, part: Part, answers: Sequence[Sequence[Answer]], *, alignments: bool = False
    ) -> pd.DataFrame:
        """Return where each source stands, what it is, and what is written for it.

        Where sources stand in the same place, `reply` counts them there.
        """
        import pandas as pd

        several = any(len(row) > 1 for row in answers)
        files = {file for file, _ in part.places}
        # Several replies of a dialogue that stands on one line have the same place.
        one_place = len(set(part.places)) < len(part.places)
        met: Counter[tuple[Path | None, int]] = Counter()
        rows: list[dict[str, Any]] = []
        for number, some in enumerate(answers):
            file, place = part.places[number]
            about: dict[str, Any] = {"file": None if file is None else file.name}
            about = (about if len(files) > 1 else {}) | {"row": place}
            met[part.places[number]] += 1
            about |= {"reply": met[part.places[number]]} if one_place else {}
            about["source"] = part.source[number]
            for rank, answer in enumerate(some or [Answer("", [], 0.0, 0.0, True)], 1):
                row = about | ({"rank": rank} if several else {}) | {"prediction": answer.text}
                if answer.score == answer.score:
                    row["score"] = answer.score
                if answer.log_probability == answer.log_probability:
                    row["log_probability"] = answer.log_probability
                    row["ended"] = answer.ended
                if alignments:
                    row["alignment"] = report.aligned(self.symbols, part.source[number], answer)
                rows.append(row)
        return pd.DataFrame(rows)

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
        part = self._parts["train"] if data is None else self._to_score(data)
        drawn = np.random.default_rng(seed).permutation(len(part))[:rows]
        chosen = part.take(np.sort(drawn))
        sources = [self.symbols.read(text) for text in chosen.source]
        batch = self.batch(sources, self._targets(chosen.target, sources))

        def loss(model: nn.Module) -> Tensor:
            return cast(Translator, model).loss(batch.to(device_of(model)), 0.0)

        def forward(model: nn.Module, chosen: NDArray[np.int64]) -> Any:
            some = Batch(*(part[chosen] for part in batch)).to(device_of(model))
            return cast(Translator, model).written(some).features

        vocabulary = self.symbols.source
        return Sample(
            loss,
            vocabulary.unit,
            [vocabulary.symbols[i] for i in sources[0].ids.tolist()],
            inputs=batch.source.t().numpy(),
            forward=forward,
            lengths=batch.lengths,
            count=len(part) if data is None else None,
            texts=lambda: [vocabulary.pieces(one.ids.tolist()) for one in sources],
        )

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

    def _choice_words(self) -> str:
        """Return how replies are chosen from others, in words."""
        choice = dialogues.choice(self._parts["test"], self.settings.seed)
        if choice is None:
            return (
                f"the test part has fewer than {dialogues.REPLIES} different replies that are not "
                "of one dialogue, so none is chosen from others"
            )
        return (
            f"the true one is to be told from {dialogues.REPLIES - 1} of other dialogues of the "
            f"test part, for {len(choice.rows):,} contexts (seed {self.settings.seed})"
        )

    def _judged_words(self) -> str | None:
        """Draw the pairs that are judged where the test part is too dear; return what to say."""
        test, settings = self._parts.get("test"), self.settings
        if test is None:
            return None
        most, why = settings.judge_at_most, "as set"
        if most is None and settings.budget is not None:
            with torch.device("meta"):
                model = Translator(self.symbols, settings)
            decoder = model.net.decoder
            weights = sum(p.numel() for p in decoder.parameters())
            steps = float(np.mean([len(ids) for ids in self._of("train")[1]]))
            work = 2.0 * settings.beam * weights * steps
            most = max(100, int(_JUDGED * settings.budget * _WORK / work))
            why = f"for writing all would take more than {_JUDGED:.0%} of the budget"
        if most is None or most >= len(test):
            return None
        rows = np.random.default_rng(settings.seed).permutation(len(test))[:most]
        self._parts["test"] = test.take(np.sort(rows))
        self._encoded.pop("test", None)
        return f"{most:,} of {len(test):,} pairs of the test part, drawn at random, {why}"


class _Objective:
    """Cross-entropy of the symbols of the targets."""

    metric = "loss"
    higher_is_better = False
    model: nn.Module

    def __init__(self, task: Translate, model: Translator) -> None:
        self.task, self.model, self.translator = task, model, model

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the summed cost, and the number of symbols."""
        if not len(batch):
            return torch.zeros((), device=device_of(self.model)), 0.0, None
        total = self.translator.loss(
            batch.to(device_of(self.model)), self.task.settings.label_smoothing
        )
        return total, float((batch.target != IGNORED).sum()), None

    def validate(self) -> dict[str, float]:
        """Return nats and perplexity of a symbol of the validation part."""
        if "valid" not in self.task._parts:
            return {}
        sources, targets = self.task._of("valid")
        nats = self.task.costs(self.translator, sources, targets).sum()
        loss = float(nats) / sum(map(len, targets))
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def _refuse_options(rule: Any, how: dict[str, Any]) -> None:
    if how:
        raise InputError(
            f"{next(iter(how))} is for the model; {rule.name} has no such option.",
            fix="Leave it out.",
        )


def _best(answers: Sequence[Answer], alpha: float) -> str:
    """Return the text that is best with a length penalty."""
    from elman.nn.decoding import length_penalty

    def score(answer: Answer) -> float:
        return answer.log_probability / length_penalty(len(answer.ids) + answer.ended, alpha)

    return max(answers, key=score).text if answers else ""


def _beside(
    count: int, there: Sequence[int], answers: Sequence[Sequence[Answer]]
) -> list[Sequence[Answer]]:
    """Return an answer for each of `count` sources: an empty one for those that are not there."""
    every: list[Sequence[Answer]] = [[Answer("", [], math.nan, math.nan, True)]] * count
    for number, some in zip(there, answers, strict=True):
        every[number] = some
    return every


def _short(text: str) -> bool:
    """Tell whether a dictionary can be learnt from a text."""
    return 0 < len(words_of(text)) <= LONGEST


def _split_words(given: dict[str, Any], drawn: str, parts: dict[str, Part]) -> str:
    said = [f"{part} as given" for part in given if part != "train"]
    said += [drawn] if drawn else []
    if "valid" not in parts:
        said.append("none held out to choose the best step")
    return "; ".join(said)


def _kinds(settings: TranslateSettings) -> tuple[Kind, ...]:
    """Return the scores that are computed; chrF always, for it can be told of a single answer."""
    if str(settings.metric).startswith("rouge"):
        return ("chrf", "rouge")
    return ("bleu", "chrf")


def _metric_words(asked: TranslateSettings, settings: TranslateSettings) -> str:
    if asked.metric is not None:
        return f"{settings.metric}, as set"
    if settings.metric == "recall_at_1":
        return "recall_at_1, for these are dialogues, in which many answers are right"
    if settings.metric == "perplexity":
        return "perplexity, for these are dialogues, and too few to choose replies from"
    if settings.metric == "rouge1":
        return "rouge1, for the targets are much shorter than the sources, as summaries are"
    return "bleu, for the targets are about as long as the sources, as translations are"
