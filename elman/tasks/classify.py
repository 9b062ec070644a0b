"""`classify`: a label for a whole sequence: a text, a series, a picture read row by row.

Many to one: each step is read by its modality, an optional convolution shortens the sequence, a
recurrent layer reads it, its outputs are pooled into one vector, and a linear map gives a score a
class. Trained by cross-entropy, judged by accuracy beside majority, linear models on features and
nearest neighbours, all on the same test rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.scoring import Evaluation, confusion
from elman.scoring.leaks import telling_columns, telling_words
from elman.tasks.answers import Labels
from elman.tasks.base import Section
from elman.tasks.examples import (
    FromExamples,
    counted,
    pictures,
)
from elman.tasks.looking import bars
from elman.tasks.networks import many_to_one
from elman.tasks.reading import Examples, Layout
from elman.tasks.settings import ManyToOneSettings
from elman.tasks.understood import class_words, doubts_of_absent, doubts_of_classes

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Codes = NDArray[np.int64]


class ClassifySettings(ManyToOneSettings):
    """Settings of `classify`; those of the modality come on top."""


class Classify(FromExamples):
    """A label for each sequence; see the module."""

    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = "a label for each text, series or picture"
    Settings = ClassifySettings
    Answer = Labels
    metric = "accuracy"
    higher_is_better = True
    average = "probabilities"

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the outputs."""
        names: list[str] = self.answer.classes
        return names

    @classmethod
    def refuse(cls, found: Examples, table: Table, layout: Layout) -> None:
        """Refuse a single class, and a class for nearly every example."""
        labels = found.answers or []
        names = set(labels)
        if len(names) == 1:
            raise InputError(
                f"All {len(found)} examples are of one class, {names.pop()!r}: there is nothing to "
                "tell apart.",
                file=table.source,
                column=layout.target,
                fix="Give examples of another class, or name another column with "
                "--set target=NAME.",
            )
        if 2 * len(names) > len(found) and len(names) > 2:
            raise InputError(
                f"{len(found)} examples have {len(names)} different labels, such as "
                f"{labels[0]!r}: these are not classes.",
                file=table.source,
                column=layout.target,
                fix="Begin each line with its label, then a tab and the text."
                if layout.labels == "first"
                else "Name the column of the label with --set target=NAME.",
            )

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Return the assets of a run of format 1 as this format has them."""
        labels = assets["labels"]
        layout = dict(labels["layout"])
        layout["answers"] = [layout.pop("target")]
        codec = {"vocabulary": assets.get("vocabulary"), "scaler": assets.get("scaler")}
        codec["columns"] = labels["channels"]
        return {"layout": layout, "input": codec, "answer": {"classes": labels["classes"]}}

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the classes, and how often each comes in training."""
        return [("classes", class_words(Counter(answers)))]

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return what is doubtful about the classes."""
        others = {p: o.answers or [] for p, o in self._parts.items() if p != "train"}
        doubts = doubts_of_classes(found.answers or [], found)
        return doubts + doubts_of_absent(Counter(found.answers or []), others)

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return how often each class comes."""
        return [Section("Classes", figure=bars(Counter(answers), "examples"))]

    def leaks(self) -> list[str]:
        """Return the words, or the columns of numbers, that tell the class by themselves."""
        parts = [self._parts[part] for part in ("train", "test")]
        answers, truth = (part.answers or [] for part in parts)
        train, test = (part.inputs for part in parts)
        texts = [[self.codec.told(cell) for cell in cells] for cells in (train, test)]
        if all(isinstance(text, str) for some in texts for text in some):
            said = [[text or "" for text in some] for some in texts]
            words = telling_words(said[0], answers, said[1], truth)
            return [f"the word {word!r}" for word in words]
        arrays = [[np.asarray(cell) for cell in cells] for cells in (train, test)]
        if any(array.ndim != 2 or not len(array) for some in arrays for array in some):
            return []
        names = list(self.layout.inputs)
        if len(names) != arrays[0][0].shape[1]:
            if self.layout.form != "row":
                return []
            arrays = [[array.T for array in some] for some in arrays]  # a column is a step there
        return [
            f"column {n!r}" for n in telling_columns(names, arrays[0], answers, arrays[1], truth)
        ]

    def facts(self) -> dict[str, Any]:
        """Return the number of classes, and of examples of each."""
        facts: dict[str, Any] = {"classes": len(self.classes)}
        if "train" in self._parts:
            labels = self._parts["train"].answers or []
            facts["training examples of a class"] = counted(labels)
        if "test" in self._parts:
            there = set(self._parts["test"].answers or [])
            absent = [name for name in self.classes if name not in there]
            if absent:
                more = f" and {len(absent) - 6} more" if absent[6:] else ""
                facts["classes without a test example"] = (
                    f"{', '.join(absent[:6])}{more}: macro F1 leaves out those that are not "
                    "predicted either"
                )
        return facts

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        return many_to_one(self.codec, self.settings, len(self.classes))

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the cross-entropy, summed."""
        classes, smoothing = answers.to(outputs.device), self.settings.label_smoothing
        return F.cross_entropy(outputs, classes, reduction="sum", label_smoothing=smoothing)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return accuracy and cross-entropy on the validation part."""
        chances = self.chances(model, self._inputs("valid"))
        truth = self._codes(self._parts["valid"])
        right = np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-30))
        return {
            "accuracy": float(np.mean(chances.argmax(1) == truth)),
            "loss": float(-right.mean()),
        }

    def chances(self, model: nn.Module, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return the probability of each class for encoded sequences, `(n, classes)`."""
        return self._chances(self.outputs(model, inputs))

    def _chances(self, outputs: Sequence[Any]) -> NDArray[np.float32]:
        if not len(outputs):
            return np.empty((0, len(self.classes)), np.float32)
        return torch.from_numpy(np.stack(outputs)).softmax(-1).numpy()

    def _codes(self, found: Examples) -> Codes:
        return np.array(self.answer.encode(found.answers or []), dtype=np.int64)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return accuracy and macro F1 of outputs, or of the classes that a baseline says."""
        import pandas as pd

        said = outputs if isinstance(outputs, np.ndarray) else self._chances(outputs).argmax(1)
        units = pd.DataFrame({"truth": self._codes(found), "prediction": said})
        return Evaluation(units, partial(confusion.score, classes=len(self.classes)), predictions)

    def guesses(self, found: Examples) -> Iterator[tuple[str, Codes]]:
        """Yield majority, linear models on features and nearest neighbours."""
        from elman.scoring.baselines.counts import nb_svm
        from elman.scoring.baselines.linear import Labelled, logistic_regression

        train, held = self._parts["train"], self._parts.get("valid")
        truth = self._codes(train)
        yield "majority", np.full(len(found), np.bincount(truth).argmax(), dtype=np.int64)
        arrays, asked = self._inputs("train"), self._encode(found.inputs)
        for distance in self.codec.distances:
            nearest = distance.nearest(arrays, asked)
            if nearest is not None:
                yield distance.name, truth[nearest]
        features = self.codec.features(train.inputs)
        valid = None if held is None else Labelled(features.of(held.inputs), self._codes(held))
        codes = logistic_regression(
            Labelled(features.train, truth), valid, features.of(found.inputs)
        )
        yield features.title.format("logistic regression"), codes
        if features.counts is not None:
            counts = features.counts
            yield "NB-SVM", nb_svm(Labelled(counts.train, truth), counts.of(found.inputs))

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return the likeliest class of each sequence, and the probability of every class."""
        chances = self._chances(outputs)
        columns: dict[str, Any] = {}
        if found.answers is not None:
            columns["truth"] = found.answers
        best = chances.argmax(1)
        columns["prediction"] = [self.classes[code] for code in best]
        columns["probability"] = chances[np.arange(len(best)), best]
        return columns | {f"p_{name}": chances[:, code] for code, name in enumerate(self.classes)}

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return confusion matrix, scores of each class, and the mistakes made most surely."""
        assert evaluation.predictions is not None
        table = confusion.counts(evaluation.units, len(self.classes))
        mistakes = confusion.worst_mistakes(evaluation.predictions)
        shown = [
            Section("Confusion matrix", figure=confusion.figure(table, self.classes)),
            Section("Classes", table=confusion.class_table(table, self.classes)),
        ]
        if len(self.classes) > 2:
            confused = confusion.most_confused(table, self.classes)
            if len(confused):
                shown.append(Section("Most often confused", table=confused))
        if len(mistakes):
            text = "The wrong answers that the model was surest of: often the label is at fault."
            shown.append(Section("Worst mistakes", text, mistakes))
        said = evaluation.predictions
        pairs = zip(said["truth"], said["prediction"], strict=True)
        return shown + pictures(self, [a if a == b else f"{a}, said {b}" for a, b in pairs])

    def said(self, output: Tensor) -> dict[str, float]:
        """Return the probability of each class."""
        return dict(zip(self.classes, output.softmax(-1).tolist()[0], strict=True))
