"""Several labels for a whole sequence, each or none of them: its topics, moods, faults.

The network is that of one label; each score goes through a logistic function by itself. From which
probability a label is given is found on the validation part. Judged by micro F1 beside the most
frequent set, one linear model a label and nearest neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.packed import lengths_of
from elman.errors import InputError
from elman.scoring import Evaluation, label_sets
from elman.scoring.baselines import share
from elman.scoring.blending import weight_of_chances
from elman.scoring.label_sets import Judged, LabelScores
from elman.scoring.predictors import Baseline, Constant, Nearest
from elman.tasks import alike
from elman.tasks.answers import Labels
from elman.tasks.base import Section
from elman.tasks.classify import report
from elman.tasks.classify.label_sets import LabelSets, holds_lists, refuse_sets, refuse_unmarked
from elman.tasks.classify.one_label import OneLabel
from elman.tasks.examples.judging import Memo
from elman.tasks.examples.telling import spread
from elman.tasks.looking import bars, pictures
from elman.tasks.networks import many_to_one
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.understood import class_words, listed

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

_RARE = 1e-3
"""Least share of a label with which its score begins: a rarer one would take too long to rise."""


class SeveralLabels(OneLabel):
    """A set of labels for each sequence; see the module."""

    Answer = LabelSets
    metric = "micro_f1"
    average = "outputs"
    gives = None
    alone = True
    thresholds: NDArray[np.float64] | None = None
    """The probability from which each label is given; None where it is one half."""

    # From data

    @classmethod
    def fits(cls, table: Table, settings: Any) -> bool:
        """Tell whether an example of a table may have several labels."""
        if settings.label_separator is not None:
            return True
        target = settings.target
        if isinstance(target, list):
            return len(target) > 1
        if target is None:
            return LabelSets.guess(table, _free(settings, table)) is not None
        return target in table.kinds and holds_lists(table, target)

    @classmethod
    def targets(cls, table: Any, settings: Any) -> str | Sequence[str] | None:
        """Return the columns of the labels.

        Raises:
            InputError: cells are to be parted, but the labels stand in several columns; or answers
                are to be refused.
        """
        if settings.refuses:
            raise InputError(
                "outside, outside_data and reject mean nothing where an example may have several "
                "labels: it has none of them where no probability is above its threshold.",
                fix="Leave them out, and give examples without labels.",
            )
        target: str | list[str] | None = settings.target
        if settings.label_separator is None:
            free = _free(settings, table)
            # One label each, where another part has lists of them.
            return target or LabelSets.guess(table, free) or Labels.guess(table, free)
        if isinstance(target, list) and len(target) > 1:
            raise InputError(
                "label_separator has no effect where the labels have a column each.",
                fix="Leave it out, or name one column with target=NAME.",
            )
        return target or Labels.guess(table, _free(settings, table))

    @classmethod
    def refuse(cls, found: Examples, table: Table, layout: Layout) -> None:
        """Refuse answers that are all alike, and labels that are no classes."""
        refuse_unmarked(found.answers or [], table, layout)
        refuse_sets(found.answers or [], table, layout)

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the labels, how often each comes, and how many an example has."""
        counts = Counter(name for answer in answers for name in answer)
        sizes = [len(answer) for answer in answers]
        each = f"{spread(sizes)} an example, {np.mean(sizes):.2f} in the mean"
        empty = sizes.count(0)
        return [
            ("labels", class_words(counts)),
            ("of each", f"{each}{f'; {empty:,} have none' if empty else ''}"),
        ]

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return what is doubtful: labels that training lacks, and rare ones."""
        every = Counter(
            name for one in self._parts.values() for answer in one.answers or [] for name in answer
        )
        doubts = alike.doubts(every, "labels", alike.AS_ONE)
        for part, other in self._parts.items():
            names = {name for answer in other.answers or [] for name in answer}
            strange = sorted(names - set(self.classes))
            if strange:
                doubts.append(
                    f"{part} has labels that training lacks ({listed(strange, 6)}): they count as "
                    "missed, with an F1 of 0 each."
                )
        held = self._parts.get("valid")
        if held is not None:
            counts = Counter(name for answer in held.answers or [] for name in answer)
            few = [name for name in self.classes if counts[name] < label_sets.FEW]
            if few:
                doubts.append(
                    f"{len(few)} of {len(self.classes)} labels have fewer than {label_sets.FEW} "
                    f"validation examples ({listed(few, 4)}): they share one threshold."
                )
        return doubts

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return how often each label comes, and how many an example has."""
        counts = Counter(name for answer in answers for name in answer)
        sizes = Counter(str(len(answer)) for answer in answers)
        return [
            Section("Labels", figure=bars(counts, "examples")),
            Section("Labels of an example", figure=bars(sizes, "examples")),
        ]

    def leaks(self) -> list[str]:
        """Return the words, or the columns of numbers, that tell a label by themselves."""
        train, test = (self._parts[part].answers or [] for part in ("train", "test"))
        found: dict[str, None] = {}
        for name in self.classes:
            has = [[str(name in answer) for answer in answers] for answers in (train, test)]
            found |= dict.fromkeys(self._leaks_of(has[0], has[1]))
        return list(found)

    def facts(self) -> dict[str, Any]:
        """Return the number of labels, how many an example has, and the thresholds."""
        facts: dict[str, Any] = {"labels": len(self.classes)}
        if "train" in self._parts:
            answers = self._parts["train"].answers or []
            counts = Counter(name for answer in answers for name in answer)
            facts["training examples of a label"] = spread(counts.values())
            facts["labels of a training example"] = spread(map(len, answers))
        if self.thresholds is not None:
            facts["thresholds"] = spread_of(self.thresholds)
        return facts

    # Model and training

    def member(self) -> nn.Module:
        """Return one network, whose scores begin at the odds of each label in training."""
        made = many_to_one(self.codec, self.settings, len(self.classes))
        if "train" in self._parts:
            share_of = self._truth(self._parts["train"]).mean(0).clip(_RARE, 1 - _RARE)
            last: Any = list(made.head.children())[-1]
            with torch.no_grad():
                last.bias.copy_(torch.from_numpy(label_sets.logits(share_of)))
        return made

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the cross-entropy of each label by itself, summed."""
        smoothing = self.settings.label_smoothing
        wanted = answers.to(outputs) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, wanted, reduction="sum")

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return micro F1 at one threshold for all labels, and cross-entropy, on validation."""
        found = self._parts["valid"]
        scores, truth = self._scores(model, self._inputs("valid")), self._truth(found)
        stated = label_sets.chances(scores)
        cut = label_sets.best_cut(stated.ravel(), truth.ravel())
        said = LabelScores(
            scores,
            np.full(len(self.classes), cut),
            stated=True,
            never_empty=self.answer.never_empty,
        )
        signed = np.where(truth, 1.0, -1.0) * scores.astype(np.float64)
        return {
            "micro_f1": self._judged(found, said)(_all(len(found)))["micro_f1"],
            "loss": float(np.logaddexp(0, -signed).sum(1).mean()),
        }

    def _scores(self, model: nn.Module, inputs: Sequence[Any]) -> NDArray[Any]:
        outputs = self.outputs(model, inputs)
        return np.stack(outputs) if len(outputs) else np.empty((0, len(self.classes)), np.float32)

    def chances(self, model: nn.Module, inputs: Sequence[Any]) -> NDArray[Any]:
        """Return the probability of each label for encoded sequences, `(n, K)`."""
        found: NDArray[Any] = self.of_model(model, inputs).chances
        return found

    # Scores

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Find temperature and thresholds of the model's scores on the validation part."""
        about: dict[str, Any] = {"temperature": None, "thresholds": None}
        if "valid" in self._parts:
            scores = self._scores(model, self._inputs("valid"))
            about = label_sets.settled(scores, self._truth(self._parts["valid"]))
        self.recall(about)
        return about

    def recall(self, about: dict[str, Any]) -> None:
        """Take up the temperature and the thresholds that were found."""
        self.temperature = about["temperature"]
        found = about["thresholds"]
        self.thresholds = None if found is None else np.array(found)

    def of_model(self, model: nn.Module, inputs: Sequence[Any]) -> Any:
        """Return the scores of each label, their temperature and thresholds."""
        half = np.full(len(self.classes), 0.5)
        return LabelScores(
            self._scores(model, inputs),
            half if self.thresholds is None else self.thresholds,
            self.temperature or 1.0,
            never_empty=self.answer.never_empty,
        )

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> Any:
        """Return the scores of each label; they are probabilities where a temperature is known."""
        scores = predictor.outputs(self._question(found))
        heat, cuts, known = label_sets.taken_up(predictor.about, len(self.classes))
        stated = known or predictor.about["logits"]
        return LabelScores(scores, cuts, heat, stated, self.answer.never_empty)

    def mixed(self, model: Any, baseline: Any, weight: float) -> Any:
        """Return the mixture of probabilities and thresholds."""
        return label_sets.mixed(model, baseline, weight)

    def weight(self, held: Examples, model: Any, baseline: Any) -> float | str:
        """Return the weight at which the labels of the validation part are likeliest."""
        truth = self._truth(held)
        ours, theirs = (
            np.where(truth, one.chances, 1 - one.chances).ravel() for one in (model, baseline)
        )
        return weight_of_chances(ours, theirs)

    def _truth(self, found: Examples) -> NDArray[np.bool_]:
        made: NDArray[np.bool_] = self.answer.encode(found.answers or []) > 0
        return made

    def _judged(self, found: Examples, said: LabelScores) -> Judged:
        unknown = self.answer.unknown(found.answers or [])
        return Judged(said, self._truth(found), unknown)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return F1, average precision and the share of sets that are right."""
        return Evaluation(_all(len(found)), self._judged(found, outputs), predictions)

    # Baselines

    def fit_baselines(self) -> Iterator[Baseline]:
        """Yield the most frequent set, linear models of each label and nearest neighbours."""
        from elman.scoring.baselines.label_sets import logistic_regressions, nb_svms
        from elman.scoring.baselines.linear import Labelled

        whole, held = self._parts["train"], self._parts.get("valid")
        count, size, budget = len(whole), len(self.classes), self.settings.budget
        often, _ = Counter(whole.answers or []).most_common(1)[0]
        always = np.where(self.answer.encode([often])[0] > 0, np.inf, -np.inf)
        about = {"logits": True, "temperature": None}
        yield Baseline("most frequent set", Constant(always), "all", about=about)
        judged = sum(len(found) for found in self._parts.values()) - count
        if self.codec.distances:
            train = self.taught(share.for_nearest(budget, self._numbers_each, judged))
            arrays = self._encode(train.inputs)
            # Margins: on this side of a label or on that.
            values = np.where(self._truth(train), 1.0, -1.0)
            for distance in self.codec.distances:
                name = share.named(distance.name, len(train), count)
                nearest = Nearest(distance.name, arrays, values)
                yield self._settled(name, nearest, "all", logits=False)
        if self.codec.timed:
            yield self._of_patterns(count, judged)
        train = self.taught(share.for_linear(budget, self._numbers_each, size))
        truth = self._truth(train).astype(np.int64)
        features = self.codec.features(train.inputs)
        self._question(train).are_training(features)
        valid = None
        if held is not None:
            seen = self._question(held).described(features)
            valid = Labelled(seen, self._truth(held).astype(np.int64))
        linear = logistic_regressions(Labelled(features.train, truth), valid)
        title = features.title.format("logistic regression for each label")
        yield self._settled(share.named(title, len(train), count), linear, "features", features)
        if features.counts is not None:
            svm = nb_svms(Labelled(features.counts.train, truth))
            name = share.named("NB-SVM for each label", len(train), count)
            yield self._settled(name, svm, "counts", features, logits=False)

    def _of_patterns(self, count: int, judged: int) -> Baseline:
        """Return MiniRocket, which is strong where steps are numbers."""
        from elman.scoring.baselines.rocket import FEATURES, PATTERNS, MiniRocket

        budget, seed = self.settings.budget, self.settings.seed
        steps = float(lengths_of(self._inputs("train")).mean())
        most, features = share.for_rocket(budget, steps, count, judged, len(PATTERNS), FEATURES)
        train = self.taught(most)
        truth = self._truth(train).astype(np.int64)
        rocket = MiniRocket.fit(self._encode(train.inputs), truth, seed, features)
        name = share.named("MiniRocket + ridge", len(train), count)
        return self._settled(name, rocket, "arrays", logits=False)

    @property
    def _outputs_of_baselines(self) -> int:
        """The labels: none of them has a score of its own for none of them."""
        return len(self.classes)

    def _settled_on(self, said: Any, held: Examples, none: bool) -> dict[str, Any]:
        """Return temperature and thresholds of a baseline's scores."""
        return label_sets.settled(said.scores, self._truth(held))

    # Answers

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return the labels of each sequence with their probabilities, and those of all labels."""
        said: LabelScores = outputs
        columns: dict[str, Any] = {}
        if found.answers is not None:
            columns["truth"] = _cells([list(answer) for answer in found.answers])
        given = [np.flatnonzero(row) for row in said.chosen]
        order = [
            codes[np.argsort(-said.chances[row, codes], kind="stable")]
            for row, codes in enumerate(given)
        ]
        columns["prediction"] = _cells([[self.classes[code] for code in codes] for codes in order])
        if not said.stated:
            return columns
        columns["probabilities"] = _cells(
            [said.chances[row, codes].round(6).tolist() for row, codes in enumerate(order)]
        )
        return columns | {
            f"p_{name}": said.chances[:, code] for code, name in enumerate(self.classes)
        }

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return which sequence, its labels, and the probability of each."""
        sure = predictions.columns.intersection(["probabilities"])
        return predictions[[*self.places_of(predictions), "prediction", *sure]]

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return the mistakes, how each label fared, and how far probabilities can be believed."""
        predictions, judged = evaluation.predictions, evaluation.score
        assert predictions is not None
        assert isinstance(judged, Judged)
        shown = report.labels_mistaken(predictions, judged, self.classes)
        shown += report.labels_fared(judged, self.classes, self.temperature)
        pairs = zip(predictions["truth"], predictions["prediction"], judged.right, strict=True)
        titles = [
            ", ".join(own) if right else f"{', '.join(own)}, said {', '.join(given)}"
            for own, given, right in pairs
        ]
        return shown + pictures(self, titles)

    def _explained(self, outputs: Any) -> NDArray[np.int64]:
        """Return the likeliest label of each answer, of which the shares are told."""
        return np.asarray(outputs.chances.argmax(1), np.int64)

    def said(self, output: Tensor) -> dict[str, float]:
        """Return the probability of each label."""
        cooled = output / (self.temperature or 1.0)
        return dict(zip(self.classes, cooled.sigmoid().tolist()[0], strict=True))


def spread_of(cuts: NDArray[np.float64]) -> str:
    """Return smallest, largest and median threshold in words."""
    return f"{cuts.min():.2f} to {cuts.max():.2f} (median {float(np.median(cuts)):.2f})"


def _free(settings: Any, table: Table) -> list[str]:
    """Return the columns of a table that may hold the answer."""
    told = (settings.text, settings.group, settings.time, settings.together)
    return [name for name in table.kinds if name not in (*told, *(settings.columns or ()))]


def _all(count: int) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"row": np.arange(count)})


def _cells(values: list[Any]) -> NDArray[Any]:
    """Return a column whose cells are lists, also where all are as long."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
