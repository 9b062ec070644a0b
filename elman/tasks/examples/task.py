"""The base of tasks that learn from examples, each a sequence with its answer.

Read, split, fit codecs on the training part, batch and score: written once here. A task adds its
answer, its head and loss, what its outputs mean, its metrics and its rules for baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.data import Batches, Duplicates, bucketed, duplicates
from elman.data.packed import Packed, lengths_of
from elman.data.seen import Seen, hashes_of
from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.modalities.base import Codec, Indexed, Padded
from elman.nn import Ensemble
from elman.scoring import Evaluation
from elman.scoring.baselines import share
from elman.scoring.blending import Blend
from elman.scoring.predictors import Asked, Baseline, CannotSay, answer_of, restored
from elman.tasks import called, growing, looking
from elman.tasks.base import Sample, Section, device_of
from elman.tasks.examples.batch import Batch
from elman.tasks.examples.hooks import Hooks
from elman.tasks.examples.judging import Memo, blended, said_by, scored_on_held, scores_of
from elman.tasks.examples.making import given_parts, made_from, split_words
from elman.tasks.examples.objective import ExamplesObjective
from elman.tasks.examples.predicting import answered, places_in, predicted, streamed
from elman.tasks.examples.running import outputs_of
from elman.tasks.examples.sampling import sampled
from elman.tasks.examples.telling import described, understood_of
from elman.tasks.parts import (
    check_cells,
    check_steps,
    installed,
    pieces,
)
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.later import read_like
from elman.tasks.reading.layout import Layout
from elman.tasks.reading.tables import Writing
from elman.tasks.settings import joined, recorded
from elman.tasks.strangers import warn_of_levels
from elman.tasks.streaming import CodecStream
from elman.tasks.understood import Column, Understood, overlap_words
from elman.training.progress import announced

if TYPE_CHECKING:
    import pandas as pd

    from elman.training import Objective

Array = NDArray[Any]
_ANSWERS = ("truth", "prediction")
"""The columns of predictions that answers begin with."""


class FromExamples(Hooks):
    """The base of tasks that learn from examples; see the module and `elman.tasks.base.Task`."""

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
        return made_from(cls, data, settings, valid, test)

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new data as those of another run; see `elman.tasks.base.Growing`."""
        given = given_parts(data, valid, test)

        def split(settings: Any, parts: dict[str, Examples]) -> str:
            return split_words(data, given, settings, parts)

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
        return understood_of(self)

    def look(self) -> list[Section]:
        """Return examples of each class, counts, lengths, columns, and what parts share."""
        return looking.at_examples(self)

    def overlap(self, data: Any) -> str | None:
        """Return how many examples of `data` were trained on or chosen on, or None."""
        if self.seen is None:
            return None
        cells = hashes_of(self._keys(self._asked(data).inputs))
        return overlap_words(self.seen.shared(cells), len(cells), "examples")

    def _keys(self, cells: Sequence[Any]) -> list[Any]:
        return [self.codec.told(cell) or cell for cell in cells]

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
        return described(self)

    # Model and training

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
        return ExamplesObjective(self, model)

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

    # Scores

    def judging(self) -> float:
        """Return how many validations fit into judging: the test part, and what is settled."""
        held = len(self._parts.get("valid", ()))
        return len(self._parts.get("test", ())) / held + 2 if held else 0.0

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model, or what is used in its place, on `data` or on the test part."""
        [found] = self.scores([model], data)
        return answer_of(found)

    def scores(self, predictors: Sequence[Any], data: Any = None) -> list[Evaluation | CannotSay]:
        """Score models, baselines and blends on the same rows; a model with its predictions."""
        return scores_of(self, predictors, data)

    def _judged_table(
        self, model: nn.Module, found: Examples, outputs: Any, memo: Memo
    ) -> pd.DataFrame:
        return self._table(found, outputs)

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
        return said_by(self, predictor, found, Memo() if memo is None else memo, every)

    # Baselines

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

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with the baseline that is best on the validation part.

        Returns:
            The blend, or why there is none.
        """
        return blended(self, model, predictors)

    def on_held(
        self, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
    ) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
        """Return each baseline's score on the validation part, and a way to weigh the model.

        The latter gives the weight of the model in its blend with a baseline, or why there is none.
        """
        return scored_on_held(self, held, model, predictors)

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
        return predicted(self, model, data, why, how)

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
        return answered(self, model, found, there, why)

    def places_of(self, predictions: pd.DataFrame) -> list[str]:
        """Return the columns that say which sequence a prediction is of: an id, or else the row."""
        known = [*self.layout.ids, *([self.layout.group] if self.layout.group else [])]
        # Answers are called like their classes, which may be called like an id.
        places = takewhile(lambda name: not name.startswith(_ANSWERS), map(str, predictions))
        ids = [name for name in places if name in known or called.an_id(name)]
        files = ["file"] if "file" in predictions else []
        return list(dict.fromkeys([*files, *(ids or ["row"])]))

    def stream(self, model: Any) -> CodecStream:
        """Return the model on a stream; each step gives the answer so far.

        Raises:
            InputError: the model reads backwards or has a convolution, which looks ahead; or it is
                a baseline, which needs the whole sequence.
        """
        return streamed(self, model)

    def outputs(self, model: nn.Module, inputs: Sequence[Array]) -> Sequence[Array]:
        """Return what the model gives out for each sequence: `(O,)`, or `(T, O)` where aligned."""
        return outputs_of(self, model, inputs)

    # The doctor

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Return examples with their answers."""
        return sampled(self, data, rows, seed)

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
        warn_of_levels(self.codec, self.layout, found.inputs)
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
        return places_in(self, found)
