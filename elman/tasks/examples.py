"""The base of tasks that learn from examples, each a sequence with its answer.

Read, split, fit codecs on the training part, batch and score: written once here. A task adds its
answer, its head and loss, what its outputs mean, its metrics and its rules for baselines.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data import Batches, Duplicates, bucketed, duplicates, files
from elman.data.packed import Packed, lengths_of
from elman.data.seen import Seen, hashes_of
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.modalities.base import Codec, Indexed, ModalitySettings, Padded
from elman.nn import Ensemble
from elman.scoring import Evaluation
from elman.scoring.baselines import share
from elman.scoring.blending import NO_VALIDATION, ON_VALIDATION, Blend, blend_of
from elman.scoring.predictors import Asked, Baseline, CannotSay, restored
from elman.tasks import alike, gaps, growing, looking, number_cells, understood, units
from elman.tasks.base import Sample, Section, device_of
from elman.tasks.parts import (
    check_cells,
    check_steps,
    chosen,
    installed,
    kept_aligned,
    pieces,
    shared_out,
)
from elman.tasks.reading import tables
from elman.tasks.reading.examples import Examples, examples_in, order_words
from elman.tasks.reading.finding import find_layout
from elman.tasks.reading.groups import filled_down, owners_in
from elman.tasks.reading.labelled import learnable
from elman.tasks.reading.later import read_like
from elman.tasks.reading.layout import Layout
from elman.tasks.reading.recorded import as_calls, group_of, recorded_like
from elman.tasks.reading.tables import Writing, as_written, named_parts
from elman.tasks.settings import ExamplesSettings, joined, recorded
from elman.tasks.streaming import CodecStream
from elman.tasks.understood import Column, Understood, overlap_words
from elman.training.progress import announced

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table
    from elman.training import Objective

Array = NDArray[Any]

_DEPENDENCE_OF = 1000
"""Examples in which the doctor looks for what the answer depends on."""
_DRAWN = 6
"""Test sequences that a report draws."""
_AT_ONCE, _IN_ROW = 256, 1 << 14
"""Sequences whose outputs are computed at once, and that lie in one array."""


@dataclass(frozen=True)
class Batch:
    """Sequences in the order in which they are read, and their answers `(B, ...)`.

    Where each step has an answer, answers are `(B, T, ...)`, zero beyond each length.
    """

    padded: Padded
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(eq=False)
class Memo:
    """Answers that models and baselines have given to the same sequences."""

    said: dict[Any, Any] = field(default_factory=dict)


class FromExamples:
    """The base of tasks that learn from examples; see the module and `elman.tasks.base.Task`."""

    name: ClassVar[str]
    Settings: ClassVar[type[ExamplesSettings]]
    Answer: ClassVar[type[Any]]
    average: ClassVar[Literal["probabilities", "outputs"]] = "outputs"
    """The way in which several networks side by side are averaged."""
    aligned: ClassVar[bool] = False
    """True where each step has an answer, unless the task looks at the data for it."""
    metric: str
    higher_is_better: bool

    def __init__(
        self,
        settings: Any,
        layout: Layout,
        codec: Codec,
        answer: Any,
        parts: dict[str, Examples] | None = None,
    ) -> None:
        self.settings, self.layout, self.codec, self.answer = settings, layout, codec, answer
        self._parts = parts or {}
        self._encoded: dict[str, Sequence[Array]] = {}
        self.columns_read: list[Column] = []
        """The columns of the training table and what each was used for."""
        self._read_lines: list[tuple[str, str]] = []
        self._read_doubts: list[str] = []
        self.seen: Seen | None = None
        """Hashes of what is trained on and chosen on; None of a run that has none."""
        self._predictors: list[Baseline] | None = None
        self._asked_before: dict[int, Asked] = {}

    # From data

    @classmethod
    def modalities(cls) -> list[str]:
        """Return every modality: any sequence has an answer."""
        return list(MODALITIES)

    @classmethod
    def reads(cls, modality: str) -> type[ModalitySettings]:
        """Return all settings of a modality."""
        own: type[ModalitySettings] = MODALITIES[modality].Settings
        return own

    @classmethod
    def recorded(cls, values: dict[str, Any], assets: dict[str, Any]) -> Any:
        """Return the settings of a run; those of other modalities, once recorded, are left out."""
        modality = MODALITIES[assets["layout"]["modality"]]
        return recorded(cls, modality, values)

    @classmethod
    def from_data(cls, data: Any, settings: Any, valid: Any = None, test: Any = None) -> Self:
        """Read and split `data`, then fit the codecs on the training part.

        A folder whose files say train and test in their names is split as they say. Otherwise
        the split keeps the shares of classes, where the answers are classes.

        Raises:
            InputError: the data cannot be read, or hold an answer that training lacks; the
                message says where.
        """
        given = _given(data, valid, test)
        asked = settings.model_dump()
        table = learnable(given["train"], Writing.of(settings), text=settings.text)
        table = as_calls(table, settings, cls.aligned)
        settings = as_written(settings, table)
        cls = cls.suited(table, settings)
        writing = Writing.of(settings)
        layout = find_layout(
            table,
            cls.Answer,
            cls.modalities(),
            modality=settings.modality,
            text=settings.text,
            target=cls.targets(table, settings),
            columns=settings.columns,
            group=settings.group or group_of(table),
            time=settings.time,
            together=settings.together,
            aligned=lambda targets: cls.each_step(table, targets, settings),
        )
        layout = replace(layout, separator=getattr(settings, "label_separator", None))
        modality = installed(layout.modality)
        settings = joined(cls, modality, settings)
        if layout.aligned:
            settings = kept_aligned(settings)
        table = filled_down(table, layout.group)
        layout = replace(layout, signs=units.signs_of(table, layout))
        owners = owners_in(table, layout, settings.together)
        everything = examples_in(table, layout, cls.Answer, owners=owners)
        everything = cls.extended(everything, settings, layout)
        cls.refuse(everything, table, layout)
        parts = {"train": everything}
        for part in ("valid", "test"):
            if part in given:
                other = tables.read(given[part], writing, each=layout.each, labels=layout.labels)
                other = recorded_like(other, given[part], layout, writing)
                other = filled_down(other, layout.group)
                there = [name for name in owners if name in other.kinds]
                parts[part] = examples_in(other, layout, cls.Answer, owners=there)
        settings = chosen(settings, layout, modality, everything)
        settings = settings.model_copy(update=cls.decide(settings, layout, everything))
        parts = shared_out(parts, settings, cls.Answer)
        train = parts["train"]
        answer = cls.Answer.fit(train, layout, settings)
        codec = modality.fit(train.inputs, settings)
        for found in parts.values():
            answer.check(found, layout)
            check_cells(codec, found)
        made = cls(settings, layout, codec, answer, parts)
        made.columns_read = understood.columns_of(table, layout)
        made._read_lines = [
            ("read", " ".join(table.notes())),
            ("input", understood.input_words(layout, asked)),
            *((("lists", lists),) if (lists := number_cells.words(table, layout)) else ()),
            *(("order", words) for words in order_words(table, layout)),
            ("answer", understood.answer_words(layout, asked, cls.Answer.word)),
            ("split", _split_words(data, given, settings, parts)),
        ]
        made._read_doubts = [
            *table.doubts(),
            *(number_cells.doubts(table, layout) if asked["modality"] is None else ()),
            *understood.doubts_of_numbers(table, layout),
            *understood.doubts_of_marks(table, layout),
            *understood.doubts_of_times(table, layout),
            *understood.doubts_of_answers(table, layout, asked),
            *understood.doubts_of_utterances(table, layout),
        ]
        learnt = [made._hashes[part] for part in ("train", "valid") if part in parts]
        made.seen = Seen.of(np.concatenate(learnt))
        if layout.aligned:
            for part, found in parts.items():
                check_steps(found, made._inputs(part), made.codec.unit, layout, cls.Answer.word)
        return made

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new data as those of another run; see `elman.tasks.base.Growing`."""
        given = _given(data, valid, test)

        def split(settings: Any, parts: dict[str, Examples]) -> str:
            return _split_words(data, given, settings, parts)

        return cast(Self, growing.grown(old, given, settings, split))

    def indexed(self) -> list[Indexed]:
        """Return the vocabularies of what is read, and those of the answers."""
        return [one.within("embedding") for one in self.codec.indexed()]

    def before_and_after(
        self, old: Self, before: nn.Module, after: nn.Module
    ) -> tuple[Evaluation, Evaluation]:
        """Score two models on the test part of another run, each with its own vocabulary."""
        found = old._asked(None)
        ours, theirs = self.given(after, found), old.given(before, found)
        return old.scored(found, theirs), self.scored(found, ours)

    def met_before(self, old: Self) -> list[str]:
        """Return doubts where the new test part was learnt before, or the old one is learnt now."""
        return growing.met_before(self, old)

    @classmethod
    def suited(cls, table: Table, settings: Any) -> type[Self]:
        """Return the class of the task for the kind of answer that a table has."""
        return cls

    @classmethod
    def each_step(cls, table: Table, targets: Sequence[str], settings: Any) -> bool:
        """Tell whether each step has an answer; a task may look at its settings or the table."""
        return cls.aligned

    @classmethod
    def targets(cls, table: Any, settings: Any) -> str | Sequence[str] | None:
        """Return the columns of the answer that were given, or None where they are to be found."""
        target: str | None = settings.target
        return target

    @classmethod
    def decide(cls, settings: Any, layout: Layout, found: Examples) -> dict[str, Any]:
        """Return the settings of the task that were left to the data.

        Raises:
            InputError: a setting that was given has no effect with what was found.
        """
        return {}

    @classmethod
    def extended(cls, found: Examples, settings: Any, layout: Layout) -> Examples:
        """Return the examples with those that a setting of the task brings from elsewhere."""
        return found

    @classmethod
    def refuse(cls, found: Examples, table: Any, layout: Layout) -> None:
        """Refuse examples from which nothing can be learnt."""

    @classmethod
    def from_assets(cls, settings: Any, assets: dict[str, Any]) -> Self:
        """Return the task of a finished run, without its data."""
        layout = Layout.from_json(assets["layout"])
        modality = installed(layout.modality)
        settings = joined(cls, modality, settings, strict=False)
        codec = modality.codec(assets["input"], settings)
        made = cls(settings, layout, codec, cls.Answer.from_json(assets["answer"]))
        made.seen = Seen.from_json(assets["seen"]) if "seen" in assets else None
        return made

    def assets(self) -> dict[str, Any]:
        """Return the layout and the two codecs as JSON."""
        return {
            "layout": self.layout.to_json(),
            "input": self.codec.to_json(),
            "answer": self.answer.to_json(),
            **({"seen": self.seen.to_json()} if self.seen is not None else {}),
        }

    @classmethod
    def example(cls, modality: str, n: int, seed: int = 0) -> pd.DataFrame:
        """Return a table of `n` made-up sequences and their answers."""
        import pandas as pd

        generator = np.random.default_rng(seed)
        cells = MODALITIES[modality].example(n, generator)
        column = {"input": cells}
        known: list[Any] = cells
        if cls.aligned:
            kind = MODALITIES[modality]
            codec = kind.fit(cells, kind.Settings())
            known = [codec.show(codec.encode(cell)).steps for cell in cells]
        if not MODALITIES[modality].kinds:
            column = {f"x{i}": list(values) for i, values in enumerate(np.stack(cells).T)}
        return pd.DataFrame(column | {"target": cls.Answer.example(known, cls.aligned, generator)})

    def understood(self) -> Understood:
        """Return how the data were read, what was taken for what, and what is doubtful."""
        train = self._parts["train"]
        lines = [pair for pair in self._read_lines if pair[0] != "split"]
        gone = understood.left_out(self.columns_read, self.layout.left_out)
        lines += [("left out", gone)] if gone else []
        every = [answer for found in self._parts.values() for answer in found.answers or []]
        told = zip(self.answer_lines(train.answers or []), self.answer_lines(every), strict=True)
        said, more = self.codec.told_cells(train.inputs)
        lines += [(word, f"{words} in train") for word, words in said]
        for (word, own), (_, whole) in told:
            lines.append((word, own if own == whole else f"{own} in train; in all {whole}"))
        sizes = {part: len(found) for part, found in self._parts.items()}
        counts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
        lines.append(("examples", f"{counts}; {dict(self._read_lines)['split']}"))
        lengths = lengths_of(self._inputs("train"))
        longest = self.settings.max_length
        cut = int((lengths == longest).sum()) if longest else 0
        lines.append(
            ("lengths", f"{_spread(lengths, self.codec.unit)}{f', {cut:,} cut' if cut else ''}")
        )
        encoded = self._inputs("train")[0]
        shown = understood.shown_cell(encoded, self.codec.decode(encoded), self.codec.unit)
        answer = understood.shown_answer((train.answers or [""])[0])
        lines.append(("the first", f"{shown} → {answer}"))
        doubts = self._read_doubts + more
        doubts += understood.doubts_of_inputs(self.layout, train.inputs)
        doubts += self.answer_doubts(train)
        names = Counter(n for found in self._parts.values() for n in set(found.names or []))
        doubts += alike.doubts(names, "groups", alike.AS_OTHERS)
        doubts += understood.doubts_of_parts(self.shared, sizes, "examples")
        drawn = "drawn at random" in dict(self._read_lines)["split"]
        if self.settings.together is None:
            owners = {part: found.owners for part, found in self._parts.items()}
            doubts += understood.doubts_of_owners(owners, drawn)
        return Understood(lines, doubts)

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return lines about the answers of the training part."""
        return []

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return what is doubtful about the answers of the training part."""
        return []

    def look(self) -> list[Section]:
        """Return examples of each class, counts, lengths, columns, and what parts share."""
        return looking.at_examples(self)

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return pictures of the answers of the training part."""
        return []

    def overlap(self, data: Any) -> str | None:
        """Return how many examples of `data` were trained on or chosen on, or None."""
        if self.seen is None:
            return None
        cells = hashes_of(self._keys(self._asked(data).inputs))
        return overlap_words(self.seen.shared(cells), len(cells), "examples")

    def _keys(self, cells: Sequence[Any]) -> list[Any]:
        return [self.codec.told(cell) or cell for cell in cells]

    def leaks(self) -> list[str]:
        """Return what of the inputs tells the answer by itself; nothing where it is not looked for.

        Looked for where the answer is a class for a sequence of numbers or of text.
        """
        return []

    @cached_property
    def shared(self) -> Duplicates:
        """Examples that stand in more than one part."""
        keys = {part: self._keys(found.inputs) for part, found in self._parts.items()}
        return duplicates(keys, hashes=self._hashes)

    @cached_property
    def _hashes(self) -> dict[str, NDArray[np.uint64]]:
        """A hash of each example of each part."""
        return {part: hashes_of(self._keys(found.inputs)) for part, found in self._parts.items()}

    def describe(self) -> dict[str, Any]:
        """Return sizes, lengths and duplicates across the parts."""
        facts: dict[str, Any] = {"modality": self.layout.modality}
        if not self._parts:
            return facts | self.facts()
        lengths = lengths_of(self._inputs("train"))
        return {
            **facts,
            "input": ", ".join(self.layout.inputs[:8]),
            "target": ", ".join(self.layout.answers[:8]),
            "examples": {part: len(found) for part, found in self._parts.items()},
            **({"group": self.layout.group} if self.layout.group else {}),
            **({"time": self.layout.time} if self.layout.time else {}),
            **self.facts(),
            f"{self.codec.unit} of an example": spread(lengths),
            "duplicates": str(self.shared),
        }

    def facts(self) -> dict[str, Any]:
        """Return what the task says of its answers."""
        return {}

    # Model and training

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        raise NotImplementedError

    def build(self) -> nn.Module:
        """Return the model: one network, or several side by side."""
        members = self.settings.members
        if members == 1:
            return self.member()
        return self.together(self.member() for _ in range(members))

    def together(self, members: Iterator[nn.Module]) -> nn.Module:
        """Return the model that several networks make, by the mean of what they give out."""
        return Ensemble(members, self.average)

    def objective(self, model: nn.Module) -> Objective:
        """Return what training minimises and how it is validated."""
        return _Objective(self, model)

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Batch]:
        """Return training batches of examples of similar length."""
        inputs, answers = self._inputs("train"), self._answers("train")
        stretch = getattr(self.settings, "stretch", None)
        if stretch is not None and self.layout.aligned:
            inputs, answers = pieces(inputs, stretch), self.cut(answers, stretch)
        return Batches(
            bucketed(lengths_of(inputs), self.settings.batch_size),
            lambda rows: self._batch([inputs[row] for row in rows], [answers[r] for r in rows]),
            seed=self.settings.seed,
            rank=rank,
            world_size=world_size,
        )

    def cut(self, answers: Sequence[Array], length: int) -> list[Array]:
        """Return the answers of steps, cut into pieces of at most so many steps."""
        return pieces(answers, length)

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the summed loss of a batch."""
        raise NotImplementedError

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the summed loss of a batch, altered at random where the model is in training."""
        padded = batch.padded
        mixture = None
        if model.training:
            padded = self.codec.augment(padded)
            mixture = self.codec.mixed(padded)
        read = padded if mixture is None else mixture.batch
        outputs = self._run(model, read)
        each = outputs.unbind(1) if isinstance(model, Ensemble) and model.training else (outputs,)

        def cost(answers: Tensor) -> Tensor:
            return torch.stack([self.cost(one, answers, read.lengths) for one in each]).mean(0)

        if mixture is None:
            return cost(batch.answers)
        own, other = cost(batch.answers), cost(batch.answers[mixture.others])
        return mixture.share * own + (1 - mixture.share) * other

    def terms(self, batch: Batch) -> float:
        """Return the number of terms that the loss of a batch sums."""
        return float(batch.padded.lengths.sum() if self.layout.aligned else len(batch))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return metrics of the validation part."""
        raise NotImplementedError

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging: the test part, and what is settled."""
        held = len(self._parts.get("valid", ()))
        return len(self._parts.get("test", ())) / held + 2 if held else 0.0

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model, or what is used in its place, on `data` or on the test part."""
        [found] = self.scores([model], data)
        if isinstance(found, CannotSay):
            raise found
        return found

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation | CannotSay]:
        """Score models, baselines and blends on the same rows; a model with its predictions."""
        found, memo, scores = self._asked(data), Memo(), list[Evaluation | CannotSay]()
        for one in predictors:
            try:
                outputs = self.given(one, found, memo)
            except CannotSay as why:
                scores.append(why)
                continue
            model = isinstance(one, nn.Module)
            table = self._judged_table(one, found, outputs) if model else None
            scores.append(self.scored(found, outputs, table))
        return scores

    def _judged_table(self, model: nn.Module, found: Examples, outputs: Any) -> pd.DataFrame:
        return self._table(found, outputs)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return the evaluation of what the model or a baseline gives."""
        raise NotImplementedError

    def given(
        self, predictor: Any, found: Examples, memo: Memo | None = None, *, every: bool = False
    ) -> Any:
        """Return what a model, a baseline or a blend says of sequences.

        Args:
            predictor: one of them.
            found: the sequences.
            memo: what others said of the same sequences.
            every: each step's answer, also where fewer are scored.

        Raises:
            CannotSay: a baseline has no answer to these.
        """
        memo = Memo() if memo is None else memo
        if predictor not in memo.said:
            if isinstance(predictor, nn.Module):
                said = self.of_model(predictor, self._encode(found.inputs))
            elif isinstance(predictor, Blend):
                parts = (predictor.model, predictor.baseline)
                ours, theirs = (self.given(one, found, memo, every=every) for one in parts)
                said = self.mixed(ours, theirs, predictor.weight)
            else:
                said = self.of_baseline(predictor, found, memo, every)
            memo.said[predictor] = said
        return memo.said[predictor]

    def of_model(self, model: nn.Module, inputs: Sequence[Array]) -> Any:
        """Return what the model says of encoded sequences."""
        raise NotImplementedError

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> Any:
        """Return what a baseline says of sequences."""
        raise NotImplementedError

    def mixed(self, model: Any, baseline: Any, weight: float) -> Any:
        """Return the mixture of what a model and a baseline say."""
        raise NotImplementedError

    # Baselines

    def fit_baselines(self) -> Iterator[Baseline]:
        """Fit each baseline on the training part; what is chosen is chosen on the validation."""
        raise NotImplementedError

    def predictors(self) -> list[Baseline]:
        """Return the baselines, fitted when they are first asked for."""
        if self._predictors is None:
            fitted = ((one.name, one) for one in self.fit_baselines())
            self._predictors = [one for _, one in announced(fitted)]
            self._asked_before.pop(id(self._parts["train"]), None)
            for one in self._predictors:
                if one.shared is not None:
                    one.shared.forget_training()
        return self._predictors

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Score each baseline, fitted on the training part, on the same rows."""
        predictors = self.predictors()
        pairs = zip(predictors, self.scores(predictors, data), strict=True)
        return {one.name: e for one, e in pairs if isinstance(e, Evaluation)}

    def kept_shared(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Any:
        """Return features that baselines share, of which facts and arrays were kept."""
        return self.codec.kept_features(facts, arrays)

    def kept_predictor(
        self, facts: dict[str, Any], arrays: dict[str, Array], shared: Any
    ) -> Baseline:
        """Return a baseline of which facts and arrays were kept."""
        return restored(facts, arrays, shared)

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Find out what is still to be found of a trained model on the validation part."""
        return {}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up what `settle` once found out."""

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with the baseline that is best on the validation part.

        Returns:
            The blend, or why there is none.
        """
        held = self._parts.get("valid")
        if held is None or not len(held):
            return NO_VALIDATION
        scores, weigh = self.on_held(held, model, predictors)
        finite = {one: score for one, score in scores.items() if np.isfinite(score)}
        if not finite:
            return "no baseline could be scored on the validation part"
        best = (max if self.higher_is_better else min)(finite, key=lambda one: finite[one])
        weight = weigh(best)
        if isinstance(weight, str):
            return weight
        return blend_of(model, best, weight, ON_VALIDATION)

    def on_held(
        self, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
    ) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
        """Return each baseline's score on the validation part, and a way to weigh the model.

        The latter gives the weight of the model in its blend with a baseline, or why there is none.
        """
        memo, scores = Memo(), dict[Baseline, float]()
        for one in predictors:
            try:
                said = self.given(one, held, memo)
            except CannotSay:
                continue
            scores[one] = self.scored(held, said).metrics[self.metric]
        return scores, lambda one: self.weight(held, self.given(model, held), memo.said[one])

    def weight(self, held: Examples, model: Any, baseline: Any) -> float | str:
        """Return the weight of the model in a blend, or why there is none."""
        raise NotImplementedError

    def taught(self, most: int) -> Examples:
        """Return what a baseline is fitted on: the training part, or so many of it at random."""
        train = self._parts["train"]
        rows = share.drawn(len(train), most, self.settings.seed)
        return train if rows is None else train.take(rows)

    def _question(self, found: Examples) -> Asked:
        """Return sequences as baselines are asked about them."""
        known = self._asked_before.get(id(found))
        if known is None:
            known = Asked(
                found.inputs,
                lambda: self._encode(found.inputs),
                self.codec.distances,
                count=len(found),
            )
            if any(found is part for part in self._parts.values()):
                self._asked_before[id(found)] = known
        return known

    def predict(self, model: Any, data: Any, *, why: bool = False, **how: Any) -> pd.DataFrame:
        """Return predictions on new data, a row each.

        Args:
            model: the trained model, a kept baseline, or a blend.
            data: a path, paths, a DataFrame, or arrays in memory where the modality has them.
            why: a column with the share of each step in the answer, where the task has it.
            how: what the modality must know of arrays, such as the `rate` of samples.
        """
        for name in how:
            if name not in inspect.signature(self.codec.raw).parameters:
                raise InputError(
                    f"{name} means nothing for {self.layout.modality}.", fix="Leave it out."
                )
        cells = self.codec.raw(data, **how)
        if cells is None:
            in_memory = any(hasattr(data, name) for name in ("iloc", "__array__", "keys"))
            if not (isinstance(data, str | Path | list | tuple) or in_memory):
                raise InputError(
                    f"{type(data).__name__} cannot be predicted on.",
                    fix="Give a path, paths, a DataFrame, or arrays.",
                )
            found = self._read(data, answers=False)
        else:
            found = Examples(cells, None, lambda number: (None, number + 1))
            check_cells(self.codec, found)
        there = gaps.filled(found.inputs, found.where)
        if self.layout.aligned:
            gaps.warn_of_steps(found.inputs, found.place)
        return self._answered(model, found, there, why)

    def _answered(
        self, model: Any, found: Examples, there: NDArray[np.int64], why: bool
    ) -> pd.DataFrame:
        """Return a table of predictions, without an answer where a sequence holds nothing.

        Args:
            model: what predicts.
            found: sequences.
            there: the numbers of those that hold something.
            why: whether a column tells the share of each step in the answer.
        """
        kept = found if len(there) == len(found) else found.take(there)
        outputs = self.given(model, kept, every=True)
        table = self._table(kept, outputs)
        if why:
            column = np.empty(len(kept), dtype=object)
            column[:] = self.why(model, kept, outputs)
            table["why"] = column
        if kept is found or self.layout.aligned:
            return table
        return gaps.beside(self._places(found), table, there)

    def why(self, model: Any, found: Examples, outputs: Any) -> Sequence[Any]:
        """Return each step of each sequence with its share in the answer.

        Raises:
            InputError: the task has no such shares.
        """
        raise InputError(f"{self.name} has no shares of steps.", fix="Leave --why out.")

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the columns people want first; a task that has more than those leaves some out."""
        return predictions

    def places_of(self, predictions: pd.DataFrame) -> list[str]:
        """Return the columns that say which sequence a prediction is of: an id, or else the row."""
        known = [*self.layout.ids, *([self.layout.group] if self.layout.group else [])]
        ids = [name for name in known if name in predictions]
        files = ["file"] if "file" in predictions else []
        return list(dict.fromkeys([*files, *(ids or ["row"])]))

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return the columns of a table of predictions that only the task can fill."""
        raise NotImplementedError

    def stream(self, model: Any) -> CodecStream:
        """Return the model on a stream; each step gives the answer so far.

        Raises:
            InputError: the model reads backwards or has a convolution, which looks ahead; or it is
                a baseline, which needs the whole sequence.
        """
        if not isinstance(model, nn.Module):
            whole = model.baseline.name if isinstance(model, Blend) else model.name
            raise InputError(
                f"{whole} needs the whole sequence, so it cannot stream.",
                fix="Stream the model by itself.",
            )
        settings = self.settings
        if settings.bidirectional:
            raise InputError(
                "This model reads backwards too, so it needs the whole sequence and cannot stream.",
                fix="Train it with bidirectional=false.",
            )
        if settings.reverse:
            raise InputError(
                "This model reads sequences from their end, so it cannot begin before that has "
                "come, and cannot stream.",
                fix="Train it with reverse=false.",
            )
        if settings.front_channels:
            raise InputError(
                "This model has a convolution, which looks ahead, so it cannot stream.",
                fix="Train it without front_channels.",
            )
        return CodecStream(self.codec, model, self.said)

    def said(self, output: Tensor) -> Any:
        """Return one output of the model `(1, O)` in the user's own terms."""
        raise NotImplementedError

    @torch.no_grad()
    def outputs(self, model: nn.Module, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return what the model gives out for each sequence: `(O,)`, or `(T, O)` where aligned."""
        # Small results that stay among large ones that go would leave the memory full of holes, so
        # each is copied to its place in a few large arrays.
        made: list[Array] = [np.empty(0)] * len(inputs)
        lengths = lengths_of(inputs)
        order = np.argsort(lengths, kind="stable")
        training = model.training
        model.eval()
        for many in np.array_split(order, range(_IN_ROW, len(order), _IN_ROW)):
            ends = np.cumsum(lengths[many]) if self.layout.aligned else np.arange(1, len(many) + 1)
            row: Array | None = None
            for start in range(0, len(many), _AT_ONCE):
                some = many[start : start + _AT_ONCE]
                padded = self._padded([inputs[place] for place in some])
                found = self._run(model, padded).float().cpu().numpy()
                if row is None:
                    row = np.empty((ends[-1], found.shape[-1]), found.dtype)
                for place, number in enumerate(some.tolist()):
                    end = int(ends[start + place])
                    if not self.layout.aligned:
                        row[end - 1] = found[place]
                        made[number] = row[end - 1]
                        continue
                    length = int(lengths[number])
                    own = row[end - length : end]
                    own[:] = self._in_reading_order(found[place, :length])
                    made[number] = own
        model.train(training)
        return made

    # The doctor

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Return examples with their answers."""
        if data is None:
            part = next(iter(self._parts))
            inputs, answers = self._inputs(part), self._answers(part)
        else:
            found = self._read(data, answers=True)
            inputs, answers = self._encode(found.inputs), self.answer.encode(found.answers or [])
        drawn = np.random.default_rng(seed).permutation(len(inputs))
        chosen = np.sort(drawn[: min(rows, len(inputs))])
        batch = self._batch([inputs[k] for k in chosen], [answers[k] for k in chosen])

        def loss(model: nn.Module) -> Tensor:
            return self.loss(model, batch)

        more = np.sort(drawn[: min(_DEPENDENCE_OF, len(inputs))])
        known = self._batch([inputs[k] for k in more], [answers[k] for k in more])
        shown = self.codec.show(self._in_reading_order(inputs[int(chosen[0])]))
        read, lengths = known.padded

        def forward(model: nn.Module, rows: NDArray[np.int64]) -> Tensor:
            longest = int(lengths[rows].max())
            return self._run(model, Padded(read[rows, :longest], lengths[rows]))

        def texts() -> list[list[str]]:
            return [
                self.codec.show(row[:length].numpy()).pieces or []
                for row, length in zip(read, lengths, strict=True)
            ]

        return Sample(
            loss,
            self.codec.unit,
            shown.steps,
            inputs=read.transpose(0, 1).numpy(),
            forward=forward,
            lengths=lengths,
            # Of several numbers the first one stands for them.
            target=None if self.layout.aligned else known.answers.view(len(more), -1)[:, 0].numpy(),
            texts=None if shown.pieces is None else texts,
            count=None if self.layout.aligned or data is not None else len(inputs),
        )

    # Parts

    def _asked(self, data: Any) -> Examples:
        """Return what is to be judged: new data, or the test part."""
        if data is not None:
            return self._read(data, answers=True)
        if "test" not in self._parts:
            raise InputError(
                "There is no test part to judge the model on.",
                fix="Set test_fraction above 0, or give test data.",
            )
        return self._parts["test"]

    def _read(self, data: Any, answers: bool) -> Examples:
        found = read_like(
            data,
            self.layout,
            self.Answer if answers else None,
            getattr(self.answer, "classes", ()),
            Writing.of(self.settings),
        )
        adapted = [cell if cell is None else self.codec.adapt(cell) for cell in found.inputs]
        found = replace(found, inputs=adapted)
        if answers:
            self.answer.check(found, self.layout)
        check_cells(self.codec, found)
        if answers and self.layout.aligned:
            arrays = self._encode(found.inputs)
            check_steps(found, arrays, self.codec.unit, self.layout, self.Answer.word)
        return found

    def _inputs(self, part: str) -> Sequence[Array]:
        if part not in self._encoded:
            self._encoded[part] = self._encode(self._parts[part].inputs)
        return self._encoded[part]

    def _answers(self, part: str) -> Sequence[Array]:
        encoded: Sequence[Array] = self.answer.encode(self._parts[part].answers or [])
        return encoded

    def _encode(self, inputs: Sequence[Any]) -> Sequence[Array]:
        return Packed.of(self.codec.encode_each(inputs))

    def _in_reading_order(self, x: Array) -> Array:
        return x[::-1] if self.settings.reverse else x

    def _padded(self, inputs: Sequence[Array]) -> Padded:
        return self.codec.batch([self._in_reading_order(x) for x in inputs])

    def _batch(self, inputs: Sequence[Array], answers: Sequence[Array]) -> Batch:
        padded = self._padded(inputs)
        if not self.layout.aligned:
            known = np.stack(answers) if len(answers) else np.zeros(0, np.int64)
            return Batch(padded, torch.from_numpy(known))
        longest = padded.inputs.shape[1]
        like = answers[0] if len(answers) else np.zeros(0, np.int64)
        steps = np.zeros((len(answers), longest, *like.shape[1:]), like.dtype)
        for row, answer in enumerate(answers):
            steps[row, : len(answer)] = self._in_reading_order(answer)
        return Batch(padded, torch.from_numpy(steps))

    @staticmethod
    def _run(model: nn.Module, padded: Padded) -> Tensor:
        there = padded.to(device_of(model))
        result = model(there.inputs, lengths=there.lengths)
        # A model with an output for each step returns its state as well.
        outputs: Tensor = result[0] if isinstance(result, tuple) else result
        return outputs

    def _table(self, found: Examples, outputs: Any) -> pd.DataFrame:
        """Return where each sequence stands, what it is, and what is said of it."""
        import pandas as pd

        places = self._places(found)
        return pd.DataFrame({n: places[n] for n in places} | self.columns(found, outputs))

    def _places(self, found: Examples) -> pd.DataFrame:
        """Return where each sequence stands, and what it is where it can be told."""
        import pandas as pd

        rows = np.empty(len(found), np.int64)
        files: list[str | None] = []
        for number in range(len(found)):
            file, rows[number] = found.where(number)
            files.append(file if file is None else file.name)
        columns: dict[str, Any] = {"row": rows}
        if len(set(files)) > 1:
            columns = {"file": files} | columns
        if found.names is not None:
            columns[self.layout.group or "group"] = found.names
        columns |= {name: of for name, of in found.owners.items() if name in self.layout.ids}
        told = [None if cell is None else self.codec.told(cell) for cell in found.inputs]
        if any(text is not None for text in told):
            columns[self.layout.modality] = told
        return pd.DataFrame(columns)


class _Objective:
    """The loss of a task from examples, and its metrics on the validation part."""

    def __init__(self, task: FromExamples, model: nn.Module) -> None:
        self.task, self.model = task, model
        self.metric, self.higher_is_better = task.metric, task.higher_is_better

    def loss(self, batch: Batch, carried: Any) -> tuple[Tensor, float, Any]:
        """Return the summed loss and the number of its terms."""
        if not len(batch):
            return torch.zeros((), device=device_of(self.model)), 0.0, None
        return self.task.loss(self.model, batch), self.task.terms(batch), None

    def validate(self) -> dict[str, float]:
        """Return metrics and loss of the validation part; nothing where no example is held out."""
        if "valid" not in self.task._parts:
            return {}
        found = self.task.validate(self.model)
        # Where a task tells no loss of its own, the one that training lowers.
        return found if "loss" in found else {**found, "loss": self._validation_loss()}

    def _validation_loss(self) -> float:
        inputs, answers = self.task._inputs("valid"), self.task._answers("valid")
        stretch = getattr(self.task.settings, "stretch", None)
        if stretch is not None and self.task.layout.aligned:
            inputs, answers = pieces(inputs, stretch), self.task.cut(answers, stretch)
        total, terms = 0.0, 0.0
        for first in range(0, len(inputs), size := self.task.settings.batch_size):
            rows = slice(first, first + size)
            batch = self.task._batch(inputs[rows], answers[rows])
            total += float(self.task.loss(self.model, batch))
            terms += self.task.terms(batch)
        return total / max(terms, 1.0)


def pictures(task: FromExamples, titles: Sequence[str]) -> list[Section]:
    """Return a section with some test sequences drawn, where the modality can draw them."""
    arrays = task._inputs("test") if "test" in task._parts else []
    if not arrays or len(titles) != len(arrays):
        return []
    places = np.unique(np.linspace(0, len(arrays) - 1, _DRAWN).astype(int)).tolist()
    drawn = [(titles[k], task.codec.show(arrays[k]).picture) for k in places]
    if any(picture is None for _, picture in drawn):
        return []
    figure = looking.panels([picture for _, picture in drawn], [title for title, _ in drawn])
    return [Section("Test examples", f"As the model reads them: {task.codec.unit}.", figure=figure)]


def _given(data: Any, valid: Any, test: Any) -> dict[str, Any]:
    """Return the data of each part that is given; a folder may hold several parts."""
    given = {"train": data, "valid": valid, "test": test}
    if valid is None and test is None:
        given |= named_parts(data) or {}
    given = {part: source for part, source in given.items() if source is not None}
    if "train" not in given:
        raise InputError(
            "There are no data to train on: None was given.",
            fix="Give a path, paths, a folder, a DataFrame, or arrays.",
        )
    return given


def _split_words(
    data: Any, given: dict[str, Any], settings: ExamplesSettings, parts: dict[str, Examples]
) -> str:
    """Return how the examples were shared out to the parts."""
    drawn = [part for part in parts if part not in given]
    said = [f"{part} as given" for part in given if part != "train"]
    if drawn and parts["train"].steps is not None and len(parts["train"]) < 3:
        said.append(f"{' and '.join(drawn)} are the last steps of each sequence")
    elif drawn:
        said.append(f"{' and '.join(drawn)} drawn at random (seed {settings.seed})")
        if settings.together:
            said.append(f"all of one {settings.together!r} in one part")
    if "valid" not in parts:
        said.append("none held out to choose the best step")
    if isinstance(data, str | Path) and given["train"] is not data:
        used = {path for paths in given.values() for path in paths}
        left = [path.name for path in files.listing(Path(data)) if path not in used]
        if left:
            said.append(f"left out, beside the folders of the parts: {', '.join(left[:3])}")
    return "; ".join(said)


def _spread(lengths: NDArray[np.int64], unit: str) -> str:
    if len(np.unique(lengths)) == 1:
        return f"{understood.many(int(lengths[0]), unit)} each"
    return f"{spread(lengths)} {unit}"


def spread(values: Any) -> str:
    """Return smallest, largest and median in words.

    >>> spread([3, 1, 2])
    '1 to 3 (median 2)'
    """
    numbers = np.array(list(values))
    return f"{numbers.min()} to {numbers.max()} (median {int(np.median(numbers))})"


def counted(labels: Sequence[Any]) -> str:
    """Return how often the labels come, in words."""
    return spread(Counter(labels).values())
