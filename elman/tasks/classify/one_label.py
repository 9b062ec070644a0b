"""One label for a whole sequence: a text, a series, a picture read row by row.

Many to one: each step is read by its modality, an optional convolution shortens the sequence, a
recurrent layer reads it, its outputs are pooled into one vector, and a linear map gives a score a
class. Trained by cross-entropy, judged by accuracy beside majority, linear models on features and
nearest neighbours, all on the same test rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from elman.data.packed import lengths_of
from elman.errors import InputError
from elman.modalities.base import Codec, Indexed
from elman.scoring import Evaluation, calibration, confusion, rejection
from elman.scoring.baselines import share
from elman.scoring.blending import Blend, weight_of_chances
from elman.scoring.calibration import Classes
from elman.scoring.leaks import telling_channels, telling_words
from elman.scoring.predictors import Baseline, CannotSay, Constant, Nearest, Sees, class_scores
from elman.scoring.rejection import Rejection
from elman.tasks import alike
from elman.tasks.answers import Labels, refuse_labels
from elman.tasks.base import Section
from elman.tasks.classify import deciding, refusing, report
from elman.tasks.classify.refusing import RefusingSettings
from elman.tasks.classify.written_sets import doubts_of_separators
from elman.tasks.examples.judging import Memo
from elman.tasks.examples.task import FromExamples
from elman.tasks.examples.telling import counted
from elman.tasks.looking import bars, pictures
from elman.tasks.networks import many_to_one
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.understood import (
    class_words,
    doubts_of_absent,
    doubts_of_classes,
    doubts_of_no_class,
    doubts_of_one_example,
    listed,
)

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table


_AT_ONCE = 256
"""Sequences whose shares are computed at once."""


class ClassifySettings(RefusingSettings):
    """Settings of `classify`; those of the modality come on top."""

    target: str | list[str] | None = Field(  # type: ignore[assignment]
        None,
        description="column of the label, or of lists of labels; or a list of columns that say 1 "
        "where an example has the label, else 0; guessed when empty",
    )
    label_separator: str | None = Field(
        None,
        min_length=1,
        description="of cells with several labels: the marks that part them, such as ; or ;|",
    )


class OneLabel(FromExamples):
    """One label for each sequence; see the module."""

    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = "a label for each text, series or picture"
    Settings = ClassifySettings
    Answer: ClassVar[type[Any]] = Labels
    metric = "accuracy"
    higher_is_better = True
    average: ClassVar[Literal["probabilities", "outputs"]] = "probabilities"
    gives: ClassVar[str | None] = "text"
    """The kind of column that the answers make, for a run that reads them; None where none."""
    alone: ClassVar[bool] = False
    """True where the score of a class stands by itself, not beside the others."""
    temperature: float | None = None
    """The model's scores are divided by it; found on the validation part, None where not."""
    rejection: Rejection | None = None
    """The rule by which the model's answers are refused; None where none is."""

    def __init__(
        self,
        settings: Any,
        layout: Layout,
        codec: Codec,
        answer: Any,
        parts: dict[str, Examples] | None = None,
    ) -> None:
        super().__init__(settings, layout, codec, answer, parts)
        if parts and settings.refuses and "valid" not in parts:
            raise InputError(
                "There is no validation part to find out on where to say none of these.",
                fix="Set valid_fraction above 0, or give validation data.",
            )
        every = {label for found in (parts or {}).values() for label in found.answers or []}
        if parts and settings.outside is not None and settings.outside not in every:
            raise InputError(
                f"outside={settings.outside} has no effect: no example has that label.",
                column=layout.target,
                fix="Correct the label; or set reject=true, which needs no examples of no class.",
            )

    @property
    def refusal(self) -> str | None:
        """The answer that says none of these; None where no answer is refused."""
        return self.settings.none_name if self.settings.refuses else None

    @property
    def _named(self) -> list[str]:
        """The names of all answers, by their codes."""
        return self.classes + ([self.refusal] if self.refusal is not None else [])

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the outputs."""
        names: list[str] = self.answer.classes
        return names

    @classmethod
    def refuse(cls, found: Examples, table: Table, layout: Layout) -> None:
        """Refuse a single class, and a class for nearly every example."""
        refuse_labels(found.answers or [], table, layout)

    @classmethod
    def extended(cls, found: Examples, settings: Any, layout: Layout) -> Examples:
        """Return the examples with those of no class that lie in files of their own."""
        return refusing.extended(found, settings, layout)

    @classmethod
    def decide(cls, settings: Any, layout: Layout, found: Examples) -> dict[str, Any]:
        """Return the files of examples of no class by their whole paths, for a later resume.

        Raises:
            InputError: without the examples of no class there is one class, or none.
        """
        outside = settings.outside_label
        if outside is not None and len(set(found.answers or []) - {outside}) < 2:
            raise InputError(
                f"Without the examples of no class ({outside!r}) there are not two classes to tell "
                "apart.",
                column=layout.target,
                fix="Give examples of more classes.",
            )
        given = settings.outside_data
        if given is None:
            return {}
        paths = [str(Path(one).resolve()) for one in ([given] if isinstance(given, str) else given)]
        return {"outside_data": paths}

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
        counts = Counter(answers)
        counts.pop(self.answer.outside, None)
        lines = [("classes", class_words(counts))]
        if self.refusal is not None:
            of_none = {
                part: (found.answers or []).count(self.answer.outside)
                for part, found in self._parts.items()
            }
            by = "examples of no class teach it" if of_none["train"] else "by a threshold"
            there = ", ".join(f"{count:,} in {part}" for part, count in of_none.items() if count)
            told = f"; of no class: {there}" if there else ""
            lines.append(("refused", f"answered with {self.refusal!r}; {by}{told}"))
        return lines

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return what is doubtful about the classes."""
        others = {p: o.answers or [] for p, o in self._parts.items() if p != "train"}
        counts = Counter(found.answers or [])
        every = counts + Counter(label for some in others.values() for label in some)
        doubts = doubts_of_classes(found.answers or [], found)
        doubts += alike.doubts(every, "classes", alike.AS_ONE)
        doubts += doubts_of_separators(every)
        doubts += doubts_of_no_class(every)
        doubts += doubts_of_one_example(every, self._parts)
        return doubts + doubts_of_absent(counts, others)

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return how often each class comes."""
        return [Section("Classes", figure=bars(Counter(answers), "examples"))]

    def leaks(self) -> list[str]:
        """Return the words, or the columns of numbers, that tell the class by themselves."""
        answers, truth = (self._parts[part].answers or [] for part in ("train", "test"))
        return self._leaks_of(answers, truth)

    def _leaks_of(self, answers: Sequence[Any], truth: Sequence[Any]) -> list[str]:
        """Return what tells the class of training and test examples by itself."""
        train, test = (self._parts[part].inputs for part in ("train", "test"))
        texts = [[self.codec.told(cell) for cell in cells] for cells in (train, test)]
        if all(isinstance(text, str) for some in texts for text in some):
            said = [[text or "" for text in some] for some in texts]
            return [f"the word {w!r}" for w in telling_words(said[0], answers, said[1], truth)]
        by_row = self.layout.form == "row"
        names = telling_channels(list(self.layout.inputs), by_row, train, answers, test, truth)
        return [f"column {name!r}" for name in names]

    def facts(self) -> dict[str, Any]:
        """Return the number of classes, and of examples of each."""
        facts: dict[str, Any] = {"classes": len(self.classes)}
        if "train" in self._parts:
            facts["training examples of a class"] = counted(self._parts["train"].answers or [])
        if "test" in self._parts:
            there = set(self._parts["test"].answers or [])
            absent = [name for name in self.classes if name not in there]
            if absent:
                facts["classes without a test example"] = (
                    f"{listed(absent, 6)}: macro F1 leaves out those that are not predicted either"
                )
        return facts

    def indexed(self) -> list[Indexed]:
        """Return the vocabularies of what is read, and the classes, each with a score."""
        scores = dict.fromkeys(("head.1.weight", "head.1.bias"), (0,))
        return [*super().indexed(), Indexed("classes", self.classes, scores)]

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        return many_to_one(self.codec, self.settings, len(self.classes))

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the cross-entropy, summed; of no class with all classes as likely.

        The latter is outlier exposure (Hendrycks, Mazeika & Dietterich 2019, "Deep anomaly
        detection with outlier exposure").
        """
        classes, smoothing = answers.to(outputs.device), self.settings.label_smoothing
        outside = None
        if self.answer.outside is not None:
            strange = classes == len(self.classes)
            outside = -F.log_softmax(outputs[strange], -1).mean(-1).sum()
            outputs, classes = outputs[~strange], classes[~strange]
        known = F.cross_entropy(outputs, classes, reduction="sum", label_smoothing=smoothing)
        return known if outside is None else known + refusing.TAUGHT * outside

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return accuracy and cross-entropy on the validation part, of what is of a class."""
        truth = self._codes(self._parts["valid"])
        inside = truth < len(self.classes)
        chances, truth = self.chances(model, self._inputs("valid"))[inside], truth[inside]
        right = np.log(np.maximum(chances[np.arange(len(truth)), truth], 1e-30))
        return {
            "accuracy": float(np.mean(chances.argmax(1) == truth)),
            "loss": float(-right.mean()),
        }

    def chances(self, model: nn.Module, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return the probability of each class for encoded sequences, `(n, classes)`."""
        return self.of_model(model, inputs).chances

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Find the temperature of the model's scores, and what to refuse, on validation."""
        self.temperature = self.rejection = None
        if "valid" in self._parts:
            said = self.of_model(model, self._inputs("valid"))
            truth = self._codes(self._parts["valid"])
            inside = truth < len(self.classes)
            self.temperature = calibration.temperature(said.scores[inside], truth[inside])
            if self.refusal is not None:
                cooled = replace(said, temperature=self.temperature)
                self.rejection = refusing.found_on(cooled, truth, len(self.classes))
        rule = {} if self.rejection is None else {"rejection": self.rejection.to_json()}
        return {"temperature": self.temperature, **rule}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up the temperature that was found, and the rule by which answers are refused."""
        self.temperature = about["temperature"]
        self.rejection = Rejection(**about["rejection"]) if "rejection" in about else None

    def of_model(self, model: nn.Module, inputs: Sequence[Any]) -> Classes:
        """Return the scores of each class, and their temperature."""
        outputs = self.outputs(model, inputs)
        scores = np.stack(outputs) if len(outputs) else np.empty((0, len(self.classes)), np.float32)
        return Classes(scores, self.temperature or 1.0, rejection=self.rejection)

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> Classes:
        """Return the scores of each class; they are probabilities where a temperature is known."""
        said = predictor.outputs(self._question(found))
        about = predictor.about
        none = about.get("outside", False)
        size = len(self.classes) + none
        scores = class_scores(said, getattr(predictor.map, "classes", None), size)
        found_for: float | None = about["temperature"]
        rule = Rejection(**about["rejection"]) if "rejection" in about else None
        stated = found_for is not None or about["logits"]
        return Classes(scores, found_for or 1.0, stated, rule, none)

    def blend(self, model: nn.Module, predictors: Sequence[Baseline]) -> Blend | str:
        """Mix the model with the best baseline, or return why there is no blend."""
        if self.refusal is not None:
            return "each has its own rule by which answers are refused"
        return super().blend(model, predictors)

    def mixed(self, model: Classes, baseline: Classes, weight: float) -> Classes:
        """Return the logarithm of the mixture of the probabilities."""
        mixture = weight * model.chances + (1 - weight) * baseline.chances
        with np.errstate(divide="ignore"):
            return Classes(np.log(mixture), 1.0)

    def weight(self, held: Examples, model: Classes, baseline: Classes) -> float | str:
        """Return the weight at which the classes of the validation part are likeliest."""
        rows, truth = np.arange(len(held)), self._codes(held)
        return weight_of_chances(
            model.chances[rows, truth].astype(np.float64),
            baseline.chances[rows, truth].astype(np.float64),
        )

    def _codes(self, found: Examples) -> NDArray[np.int64]:
        return np.array(self.answer.encode(found.answers or []), dtype=np.int64)

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return accuracy and macro F1 of outputs, or of the classes that a baseline says."""
        import pandas as pd

        said: Classes = outputs
        truth, size = self._codes(found), len(self.classes)
        units: dict[str, Any] = {"truth": truth, "prediction": said.codes}
        score: Any = partial(confusion.score, classes=size)
        if said.rejection is not None:
            units = rejection.units(truth, said.best, said.codes, said.in_scope, size)
            some = bool((truth == size).any())
            score = partial(rejection.scored, classes=size, outside=some)
        if said.stated:
            units |= {"confidence": said.confidence, "uncalibrated": said.uncalibrated}
        return Evaluation(pd.DataFrame(units), score, predictions)

    def fit_baselines(self) -> Iterator[Baseline]:
        """Yield majority, linear models on features and nearest neighbours."""
        from elman.scoring.baselines.counts import nb_svm
        from elman.scoring.baselines.linear import Labelled, logistic_regression

        whole, held = self._parts["train"], self._parts.get("valid")
        count, size, budget = len(whole), self._outputs_of_baselines, self.settings.budget
        with np.errstate(divide="ignore"):
            often = np.log(np.bincount(self._codes(whole), minlength=size) / count)
        yield self._settled("majority", Constant(often), "all")
        judged = sum(len(found) for found in self._parts.values()) - count
        if self.codec.distances:
            train = self.taught(share.for_nearest(budget, self._numbers_each, judged))
            arrays, values = self._encode(train.inputs), np.eye(size)[self._codes(train)]
            for distance in self.codec.distances:
                nearest = Nearest(distance.name, arrays, values)
                name = share.named(distance.name, len(train), count)
                yield self._settled(name, nearest, "all", logits=False)
        if self.codec.timed:
            yield from self._of_curves(count, judged)
        train = self.taught(share.for_linear(budget, self._numbers_each, size))
        truth = self._codes(train)
        features = self.codec.features(train.inputs)
        self._question(train).are_training(features)
        valid = None
        if held is not None:
            valid = Labelled(self._question(held).described(features), self._codes(held))
        linear = logistic_regression(Labelled(features.train, truth), valid)
        name = share.named(features.title.format("logistic regression"), len(train), count)
        yield self._settled(name, linear, "features", features)
        if features.counts is not None:
            svm = nb_svm(Labelled(features.counts.train, truth))
            name = share.named("NB-SVM", len(train), count)
            yield self._settled(name, svm, "counts", features, logits=False)

    def _of_curves(self, count: int, judged: int) -> Iterator[Baseline]:
        """Yield what is strong where steps are numbers: MiniRocket, and trees on summaries."""
        from elman.scoring.baselines.linear import Labelled
        from elman.scoring.baselines.rocket import FEATURES, PATTERNS, MiniRocket
        from elman.scoring.baselines.summaries import BoostedSummaries

        budget, seed = self.settings.budget, self.settings.seed
        steps = float(lengths_of(self._inputs("train")).mean())
        most, features = share.for_rocket(budget, steps, count, judged, len(PATTERNS), FEATURES)
        train = self.taught(most)
        rocket = MiniRocket.fit(self._encode(train.inputs), self._codes(train), seed, features)
        name = share.named("MiniRocket + ridge", len(train), count)
        yield self._settled(name, rocket, "arrays", logits=False)
        size = self._outputs_of_baselines
        train = self.taught(share.for_linear(budget, self._numbers_each, size))
        known: Labelled[Any] = Labelled(self._encode(train.inputs), self._codes(train))
        name = share.named("gradient boosting on summary features", len(train), count)
        held = self._parts.get("valid")
        valid = (
            Labelled[Any](self._inputs("valid"), self._codes(held)) if held is not None else None
        )
        yield self._settled(name, BoostedSummaries.fit(known, valid, seed), "arrays")

    @property
    def _outputs_of_baselines(self) -> int:
        """The classes, and one more where there are training examples of none."""
        size = len(self.classes)
        return size + bool((self._codes(self._parts["train"]) == size).any())

    @property
    def _numbers_each(self) -> float:
        """Symbols or numbers of a training example in the mean."""
        arrays = self._inputs("train")
        return float(lengths_of(arrays).mean()) * arrays[0][:1].size

    def _settled(
        self, name: str, fitted: Any, sees: Sees, shared: Any = None, *, logits: bool = True
    ) -> Baseline:
        """Return a baseline with the temperature of its scores, found on the validation part.

        Args:
            name: in tables of scores.
            fitted: gives scores of classes.
            sees: what it is shown.
            shared: features that it reads.
            logits: whether scores are probabilities without a temperature too; margins are not.
        """
        about: dict[str, Any] = {"logits": logits, "temperature": None}
        none = self._outputs_of_baselines > len(self.classes)
        if none:
            about["outside"] = True
        made = Baseline(name, fitted, sees, shared, about)
        held = self._parts.get("valid")
        if held is not None and len(held):
            try:
                said = self.of_baseline(made, held, Memo(), every=False)
            except CannotSay:
                return made
            about |= self._settled_on(said, held, none)
        return made

    def _settled_on(self, said: Any, held: Examples, none: bool) -> dict[str, Any]:
        """Return what the validation part says of a baseline's scores.

        Args:
            said: the scores.
            held: the validation part.
            none: whether there is a score of no class.
        """
        truth, size = self._codes(held), len(self.classes)
        known = truth < size + none
        heat = calibration.temperature(said.scores[known], truth[known])
        found: dict[str, Any] = {"temperature": heat}
        if self.refusal is not None:
            cooled = replace(said, temperature=heat)
            found["rejection"] = refusing.found_on(cooled, truth, size).to_json()
        return found

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return the likeliest class of each sequence, and the probability of every class."""
        said: Classes = outputs
        columns: dict[str, Any] = {}
        if found.answers is not None:
            columns["truth"] = found.answers
        names = self._named
        columns["prediction"] = [names[code] for code in said.codes]
        if said.rejection is not None:
            columns["score"] = said.in_scope
        if not said.stated:
            return columns
        columns["probability"] = said.confidence
        return columns | {
            f"p_{name}": said.chances[:, code] for code, name in enumerate(self.classes)
        }

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return which sequence, its likeliest class, and the probability of that."""
        # Nearest neighbours and margins have no probability without a validation part.
        sure = predictions.columns.intersection(["probability", "score"])
        return predictions[[*self.places_of(predictions), "prediction", *sure]]

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return the mistakes, what decided, and how each class and pair of classes fared."""
        said, units = evaluation.predictions, evaluation.units
        assert said is not None
        wrong = (units["truth"] != units["prediction"]).to_numpy()
        shown = report.mistakes(said[wrong])
        if (decided := self.decided(model, evaluation)) is not None:
            shown.append(decided)
        shown += self._refused(evaluation)
        shown += report.fared(units, self._named)
        if self.refusal is not None:  # the rest is of classes
            units = units[units["inside"]].assign(prediction=lambda own: own["best"])
        shown += report.believed(units, self.temperature)
        pairs = zip(said["truth"], said["prediction"], wrong, strict=True)
        titles = [f"{truth}, said {answer}" if off else truth for truth, answer, off in pairs]
        return shown + pictures(self, titles)

    def _refused(self, evaluation: Evaluation) -> list[Section]:
        """Return what refusing answers costs and gains, where any may be refused."""
        if self.rejection is None:
            return []
        held, said = self._parts.get("valid"), evaluation.predictions
        assert said is not None
        some = held is not None and bool((self._codes(held) == len(self.classes)).any())
        score, metrics = said["score"].to_numpy(), evaluation.metrics
        return [refusing.section(evaluation.units, score, self.rejection, metrics, some)]

    def decided(self, model: nn.Module, evaluation: Evaluation) -> Section | None:
        """Return the words or steps that decided some answers of the test part, errors first.

        None where the modality has neither text nor plain numbers for a step, and where other data
        than the test part were judged.

        Args:
            model: the trained model.
            evaluation: of the test part.
        """
        inputs = self._inputs("test") if "test" in self._parts else []
        if evaluation.predictions is None or len(inputs) != len(evaluation.predictions):
            return None
        rows = deciding.chosen(evaluation.units, lengths_of(inputs))
        picked = [inputs[row] for row in rows]
        units = evaluation.units
        codes = units["best" if "best" in units else "prediction"].to_numpy()
        titles = deciding.titles(evaluation, rows)

        def parts() -> list[NDArray[Any]]:
            return self._parts_of(model, picked, codes[rows].tolist())

        shown = deciding.section(self.codec, picked, titles, parts)
        if shown is not None:
            shown.text += self._checked(model, inputs, codes)
        return shown

    def _checked(self, model: nn.Module, inputs: Sequence[Any], codes: NDArray[np.int64]) -> str:
        """Return what taking out steps does to some answers of the test part, in words."""
        lengths = lengths_of(inputs)
        rows = [row for row in range(len(inputs)) if lengths[row] > 1]
        if not rows:
            return ""
        few = int(deciding.STEPS_LOOKED_AT / np.mean([lengths[row] for row in rows]))
        most = min(deciding.LOOKED_AT, max(20, few))
        chosen = share.drawn(len(rows), most, self.settings.seed)
        rows = rows if chosen is None else [rows[place] for place in chosen]
        some, own = [inputs[row] for row in rows], codes[rows]
        parts = self._parts_of(model, some, own.tolist())

        def chances(arrays: Sequence[Any]) -> NDArray[Any]:
            return self.chances(model, arrays)[np.arange(len(own)), own]

        return f" {deciding.deleted(some, parts, chances, self.settings.seed)}"

    def _parts_of(
        self, model: nn.Module, arrays: Sequence[Any], codes: Sequence[int]
    ) -> list[NDArray[Any]]:
        """Return the part that each step of each sequence has in the score of a class."""
        made: list[NDArray[Any]] = []
        for first in range(0, len(arrays), _AT_ONCE):
            some = arrays[first : first + _AT_ONCE]
            own = codes[first : first + _AT_ONCE]
            found = deciding.weights(model, self._padded(some), own, self.alone)
            made += [
                self._in_reading_order(part[: len(cells)])
                for part, cells in zip(found, some, strict=True)
            ]
        return made

    def why(self, model: Any, found: Examples, outputs: Any) -> list[list[list[Any]] | None]:
        """Return each step of each sequence with its share in the answer.

        None for an empty sequence. Where steps are no words, numbers stand for them.

        Raises:
            InputError: what answers is a baseline or a blend.
        """
        if not isinstance(model, nn.Module):
            raise InputError(
                "the shares of steps are known of the model alone.", fix="Leave --with out."
            )
        arrays = self._encode(found.inputs)
        rows = [row for row in range(len(arrays)) if len(arrays[row])]
        codes = self._explained(outputs)
        parts = self._parts_of(model, [arrays[r] for r in rows], [int(codes[r]) for r in rows])
        made: list[list[list[Any]] | None] = [None] * len(arrays)
        for row, part in zip(rows, parts, strict=True):
            steps: Sequence[Any] = self._pieces(found.inputs[row], arrays[row])
            made[row] = deciding.told(steps, part)
        return made

    def _pieces(self, cell: Any, array: Any) -> Sequence[Any]:
        """Return the words of a sequence as a person wrote them, or the numbers of its steps."""
        # A codec of another package may know words by its vocabulary alone.
        written = getattr(self.codec, "told_pieces", None)
        pieces = written(cell) if written is not None else self.codec.show(array).pieces
        if pieces is not None and len(pieces) != len(array):
            pieces = self.codec.show(array).pieces
        return pieces or range(1, len(array) + 1)

    def _explained(self, outputs: Any) -> NDArray[np.int64]:
        """Return the class of each answer of which the shares are told."""
        found: NDArray[np.int64] = outputs.best
        return found

    def said(self, output: Tensor) -> dict[str, float]:
        """Return the probability of each class."""
        cooled = output / (self.temperature or 1.0)
        return dict(zip(self.classes, cooled.softmax(-1).tolist()[0], strict=True))
