"""`regress`: a number, or several, for a whole sequence or for each of its steps.

Remaining life, a dose, a rating, the total of a basket. Many to one as `classify`, or aligned; the
linear map at the end gives a point and quantiles for each target. Targets are scaled by the
training part, and the quantiles corrected on the validation part. Judged by RMSE beside mean,
median, nearest neighbours, ridge regression and gradient boosting, all on the same test part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import InputError
from elman.needs import Need
from elman.nn.masking import valid_steps
from elman.scoring import Evaluation, numbers
from elman.scoring.blending import weight_of_points
from elman.scoring.predictors import Asked, Baseline, CannotSay, Constant, Last, Nearest, Sees
from elman.tasks import gaps
from elman.tasks.answers import Numbers
from elman.tasks.base import Section
from elman.tasks.examples.judging import Memo
from elman.tasks.examples.task import FromExamples
from elman.tasks.intervals import between, correction, moved
from elman.tasks.looking import histogram
from elman.tasks.networks import aligned, many_to_one
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.settings import AlignedSettings, ManyToOneSettings, other_default
from elman.writing import written

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Array = NDArray[Any]
Floats = NDArray[np.float64]

WINDOW = 30
"""Steps, up to the one that is asked for, that a baseline sees where each step has an answer."""
_FITTED, _CHECKED = 4000, 1000
"""Steps of the training and validation parts, drawn at random, that such baselines are fitted on
and whose errors they are given quantiles by."""


class RegressSettings(AlignedSettings):
    """Settings of `regress`; those of the modality come on top."""

    target: str | list[str] | None = Field(  # type: ignore[assignment]
        None, description="column of the number, or a list of several; guessed when empty"
    )
    each: Literal["sequence", "step"] | None = Field(
        None, description="what has a number of its own: a sequence, or each of its steps; found"
    )
    bidirectional: bool = other_default(AlignedSettings, "bidirectional", False)
    pooling: Literal["last", "mean", "max", "attention"] = other_default(
        ManyToOneSettings, "pooling", "max"
    )
    loss: Literal["mse", "mae", "huber"] = Field(
        "mse",
        description="loss of the point, of scaled targets; quantiles add their pinball loss",
    )
    quantiles: list[float] = Field(
        default_factory=lambda: [0.1, 0.25, 0.5, 0.75, 0.9],
        description="quantiles predicted beside the point; none: []",
    )
    cap: float | None = Field(
        None, description="targets above it are trained and scored as the cap: all that is known"
    )
    score: Literal["all", "last"] = Field(
        "all", description="score all steps of a test sequence, or its last one only"
    )

    needs: ClassVar[Mapping[str, Need]] = {
        "pooling": Need("each", lambda each: each != "step", "each=sequence"),
        "stretch": Need("each", lambda each: each != "sequence", "each=step"),
        "score": Need("each", lambda each: each != "sequence", "each=step"),
    }
    anew: ClassVar[frozenset[str]] = frozenset({"loss", "score"})
    unused: ClassVar[Mapping[str, str]] = {"label_smoothing": "a number has no classes"}

    @field_validator("quantiles")
    @classmethod
    def _levels(cls, value: list[float]) -> list[float]:
        if any(not 0 < level < 1 for level in value) or sorted(set(value)) != value:
            raise ValueError("quantiles lie between 0 and 1, ascending")
        return value


class CorrectedQuantiles(nn.Module):
    """The end of the head: outside training, quantiles are sorted and moved by their correction.

    The correction is a buffer `(K, Q)`, saved with the parameters it belongs to.

    Args:
        targets: K.
        levels: the Q levels, ascending.

    >>> layer = CorrectedQuantiles(1, [0.1, 0.9]).eval()
    >>> layer(torch.tensor([[5.0, 9.0, 1.0], [0.0, 1.0, 9.0]])).tolist()
    [[5.0, 1.0, 9.0], [1.0, 1.0, 9.0]]
    """

    stepwise = True
    correction: Tensor

    def __init__(self, targets: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("correction", torch.zeros(targets, len(levels)))

    def forward(self, y: Tensor) -> Tensor:
        """Return `(..., K (1 + Q))`: of each target a point, then quantiles."""
        targets, levels = self.correction.shape
        if self.training or not levels:
            return y
        each = y.view(*y.shape[:-1], targets, 1 + levels)
        quantiles = moved(each[..., 1:], self.correction)
        point = between(each[..., :1], quantiles, self.levels)
        return torch.cat([point, quantiles], -1).flatten(-2)


@dataclass(frozen=True, eq=False)
class Numbered:
    """Points and quantiles in their own units, of each sequence.

    Attributes:
        each: `(T, K, 1 + Q)` of each sequence, T = 1 where a sequence has one answer; of the
            steps that are scored where `picked`.
        picked: whether steps that are not scored are left out.
    """

    each: list[Floats]
    picked: bool = False


class Regress(FromExamples):
    """A number for each sequence or step; see the module."""

    name: ClassVar[str] = "regress"
    summary: ClassVar[str] = "a number, or several, for each sequence or each of its steps"
    Settings = RegressSettings
    gives = "number"
    Answer = Numbers
    metric = "rmse"
    higher_is_better = False

    # What has a number

    @classmethod
    def each_step(cls, table: Table, targets: Sequence[str], settings: Any) -> bool:
        """Tell whether each step has a number: as set, or as the targets show.

        They do where they are series, and where a target changes within a group of a long table.

        Raises:
            InputError: targets are series, and `each=sequence` is set.
        """
        series = all(table.kinds[name] == "series" for name in targets)
        if series and settings.each == "sequence":
            raise InputError(
                "each=sequence needs one number a sequence; this column has one for each step.",
                file=table.source,
                column=targets[0],
                fix="Leave each out.",
            )
        if settings.each is not None or series or settings.group is None:
            return series or settings.each == "step"
        groups = table.column(settings.group, "category")
        return any(
            bool((table.column(name).groupby(groups).nunique(dropna=False) > 1).any())
            for name in targets
        )

    @classmethod
    def decide(cls, settings: Any, layout: Layout, found: Examples) -> dict[str, Any]:
        """Return `each` as it was found.

        Raises:
            InputError: a setting was given that has no effect with it, or one cap for several
                targets.
        """
        if settings.cap is not None and len(layout.answers) > 1:
            raise InputError(
                f"cap is one number, and there are {len(layout.answers)} targets.",
                fix="Train a run for each target, or cap the columns in the file.",
            )
        given = {name: getattr(settings, name) for name in settings.model_fields_set}
        each = "step" if layout.aligned else "sequence"
        type(settings).of(given | {"each": each})
        return {"each": each}

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return how often each value of the targets comes."""
        values = np.concatenate(self.answer.values(answers))
        return [
            Section(f"Values of {name}", figure=histogram(column.tolist(), name))
            for name, column in zip(self.answer.names, values.T, strict=True)
        ]

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the range of each target."""
        values = np.concatenate(self.answer.values(answers))
        ranges = [
            f"{name} {_range(column)}"
            for name, column in zip(self.answer.names, values.T, strict=True)
        ]
        return [("targets", "; ".join(ranges))]

    def facts(self) -> dict[str, Any]:
        """Return the range of the targets, what has one, and what it is scored against."""
        facts: dict[str, Any] = {"each": "each step has a number"}
        if not self.layout.aligned:
            facts["each"] = "each sequence has a number"
        facts["scored"] = self._scored_words()
        if "train" in self._parts:
            values = np.concatenate(self.answer.values(self._parts["train"].answers or []))
            for name, column in zip(self.answer.names, values.T, strict=True):
                facts[f"training {name}"] = _range(column)
            if self.answer.cap is not None:
                share = float(np.mean(values > self.answer.cap))
                facts["cap"] = f"{self.answer.cap:g}; {share:.1%} of training targets are above it"
            if self.settings.quantiles and "valid" not in self._parts:
                facts["quantiles"] = "not corrected: there is no validation part"
        return facts

    def _scored_words(self) -> str:
        words = "the last step of each sequence" if self._last else "every step"
        if not self.layout.aligned:
            words = "every sequence"
        if self.answer.cap is None:
            return f"{words}, against the truth as it is"
        return (
            f"{words}, against the truth capped at {self.answer.cap:g}; rmse_uncapped and "
            "mae_uncapped are against the truth as it is"
        )

    @property
    def _last(self) -> bool:
        return self.layout.aligned and bool(self.settings.score == "last")

    # Model and training

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        targets, levels = len(self.answer.names), self.settings.quantiles
        build = aligned if self.layout.aligned else many_to_one
        model: Any = build(self.codec, self.settings, targets * (1 + len(levels)))
        model.head.append(CorrectedQuantiles(targets, levels))
        network: nn.Module = model
        return network

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the loss of the point and the pinball loss of the quantiles, summed over steps.

        Both are means over targets, the latter over levels too; of scaled targets.
        """
        truth = answers.to(outputs.device)
        if self.layout.aligned:
            there = valid_steps(lengths, outputs.shape[1], outputs.device)
            outputs, truth = outputs[there], truth[there]
        each = outputs.float().reshape(*truth.shape, -1)
        losses: dict[str, Callable[..., Tensor]] = {
            "mse": F.mse_loss,
            "mae": F.l1_loss,
            "huber": F.huber_loss,
        }
        total = losses[self.settings.loss](each[..., 0], truth, reduction="sum")
        if self.settings.quantiles:
            levels = torch.tensor(self.settings.quantiles, device=outputs.device)
            over = truth.unsqueeze(-1) - each[..., 1:]
            pinball = torch.maximum(levels * over, (levels - 1) * over)
            total = total + pinball.sum() / len(levels)
        return total / len(self.answer.names)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return metrics of all steps of the validation part, with the quantiles corrected on it.

        Also where only the last step of a test sequence is scored: in the training file, from
        which the validation part comes, the last steps may be alike (nothing is left to live).
        """
        found, inputs = self._parts["valid"], self._inputs("valid")
        layers = [m for m in model.modules() if isinstance(m, CorrectedQuantiles)]
        for layer in layers:
            layer.correction.zero_()
        if self.settings.quantiles:
            truth = torch.from_numpy(
                np.concatenate(self.answer.encode(found.answers or [])).reshape(
                    -1, len(self.answer.names)
                )
            )
            each = torch.from_numpy(np.concatenate(self._split(self.outputs(model, inputs))))
            for k in range(truth.shape[1]):
                found_for = correction(each[:, k, 1:], truth[:, k], self.settings.quantiles)
                for layer in layers:
                    layer.correction[k] = found_for.to(layer.correction)
        return self._judged(found, self.of_model(model, inputs), last=False).metrics

    # Outputs

    def _split(self, outputs: Sequence[Array]) -> list[Array]:
        """Return outputs as `(T, K, 1 + Q)` each, T = 1 of a sequence."""
        shape = (-1, len(self.answer.names), 1 + len(self.settings.quantiles))
        return [np.asarray(one).reshape(shape) for one in outputs]

    def _own_units(self, each: Array) -> Floats:
        """Return points and quantiles `(..., K, 1 + Q)` in own units.

        Nothing is above the cap, and no point beyond the outermost quantiles where these are on
        both sides of the median: they give way.
        """
        scaler = self.answer.scaler
        own: Floats = each.astype(np.float64) * scaler.scale[:, None] + scaler.shift[:, None]
        own = self.answer.capped(own)
        levels = self.settings.quantiles
        if levels and levels[0] < 0.5 < levels[-1]:
            own[..., 1] = np.minimum(own[..., 1], own[..., 0])
            own[..., -1] = np.maximum(own[..., -1], own[..., 0])
        return own

    def said(self, output: Tensor) -> dict[str, Any]:
        """Return the point and the quantiles by name; of several targets, those of each."""
        own = self._own_units(self._split([output.cpu().numpy()])[0])[-1]
        named = [dict(zip(self._labels, row.tolist(), strict=True)) for row in own]
        return named[0] if len(named) == 1 else dict(zip(self.answer.names, named, strict=True))

    @property
    def _labels(self) -> list[str]:
        return ["prediction", *(f"q{level:g}" for level in self.settings.quantiles)]

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return truth, point and quantiles of each target; steps one after the other."""
        own: Numbered = outputs
        said = np.concatenate(
            own.each or [np.zeros((0, len(self.answer.names), len(self._labels)))]
        )
        truth = None
        if found.answers is not None:
            truth = np.concatenate(self.answer.values(found.answers))
        columns: dict[str, Any] = {}
        for k, name in enumerate(self.answer.names):
            end = f"_{name}" if len(self.answer.names) > 1 else ""
            if truth is not None:
                columns[f"truth{end}"] = truth[:, k]
            columns |= {f"{label}{end}": said[:, k, i] for i, label in enumerate(self._labels)}
        return columns

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return which sequence or step, the point of each target, and the outermost quantiles."""
        kept = self.places_of(predictions)
        if self.layout.aligned:
            known = ("file", "row", str(self.layout.group), "step")
            kept = [name for name in known if name in predictions]
        names, ends = (
            {},
            [f"_{n}" for n in self.answer.names] if len(self.answer.names) > 1 else [""],
        )
        for end in ends:
            names[f"prediction{end}"] = f"prediction{end}"
            if len(self._labels) > 2:
                names[f"{self._labels[1]}{end}"] = f"lower{end}"
                names[f"{self._labels[-1]}{end}"] = f"upper{end}"
        return predictions[[*kept, *names]].rename(columns=names)

    def _table(self, found: Examples, outputs: Any) -> pd.DataFrame:
        """Return a row for each sequence, or for each step in the order of the file's rows."""
        if not self.layout.aligned:
            return super()._table(found, outputs)
        import pandas as pd

        counts = [len(one) for one in outputs.each]
        steps = found.steps
        if steps is None:
            steps = [[found.where(k)] * count for k, count in enumerate(counts)]
        places = [place for some in steps for place in some]
        files = {file: number for number, file in enumerate(dict.fromkeys(f for f, _ in places))}
        table = pd.DataFrame({"row": [row for _, row in places]})
        if len(files) > 1:
            table.insert(0, "file", [None if f is None else f.name for f, _ in places])
        if found.names is not None:
            table[str(self.layout.group)] = np.repeat(np.array(found.names, object), counts)
        table["step"] = [step for count in counts for step in range(1, count + 1)]
        answers = self.columns(found, outputs)
        table = table.assign(**answers)
        blank = [gaps.blank_steps(cell) for cell in found.inputs]
        empty = [k in of for of, count in zip(blank, counts, strict=True) for k in range(count)]
        table.loc[empty, list(answers)] = np.nan
        order = sorted(range(len(places)), key=lambda k: (files[places[k][0]], places[k][1]))
        return table.iloc[order].reset_index(drop=True)

    # Scores

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return the metrics of what a model or a baseline says."""
        return self._judged(found, outputs, self._last, predictions=predictions)

    def of_model(self, model: nn.Module, inputs: Sequence[Array]) -> Numbered:
        """Return points and quantiles of every step."""
        return Numbered([self._own_units(one) for one in self._split(self.outputs(model, inputs))])

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> Numbered:
        """Return points and quantiles of the steps that are scored, or of every step."""
        if "around" not in predictor.extra:
            raise CannotSay("it would take too long to say how far it errs.")
        if not len(found):
            return Numbered([])
        asked = self._windows(found, every=every)
        point = predictor.outputs(asked)[..., None]
        around = predictor.extra["around"]
        said = self.answer.capped(np.concatenate([point, point + around], -1))
        counts = np.bincount(asked.of, minlength=len(found))
        return Numbered(np.split(said, np.cumsum(counts)[:-1]), picked=not every)

    def mixed(self, model: Numbered, baseline: Numbered, weight: float) -> Numbered:
        """Return the mixture of points and of quantiles."""
        pairs = []
        for ours, theirs in zip(model.each, baseline.each, strict=True):
            # Of the model there is every step; the last ones where only they are scored.
            pairs.append(weight * ours[len(ours) - len(theirs) :] + (1 - weight) * theirs)
        return Numbered(pairs, baseline.picked)

    def on_held(
        self, held: Examples, model: nn.Module, predictors: Sequence[Baseline]
    ) -> tuple[dict[Baseline, float], Callable[[Baseline], float | str]]:
        """Return each baseline's error on validation steps, and the weight of least squares.

        Each target is measured in units of its scale. Of many steps some are drawn.
        """
        seen, truth = self._drawn("valid", _CHECKED)
        scale = self.answer.scaler.scale
        points: dict[Baseline, Floats] = {}
        for one in predictors:
            with suppress(CannotSay):
                points[one] = self.answer.capped(one.outputs(seen)) / scale
        scores = {
            one: float(np.sqrt(np.mean((point - truth / scale) ** 2)))
            for one, point in points.items()
        }
        each = self.of_model(model, self._inputs("valid")).each
        at = np.zeros_like(seen.of) if seen.at is None else seen.at
        pairs = zip(seen.of.tolist(), at.tolist(), strict=True)
        ours = np.stack([each[k][t] for k, t in pairs])[..., 0] / scale
        return scores, lambda one: weight_of_points(ours, points[one], truth / scale)

    def _steps(self, found: Examples, last: bool) -> list[NDArray[np.int64]]:
        """Return the numbers of the steps of each sequence that are scored."""
        counts = [len(values) for values in self.answer.values(found.answers or [])]
        return [np.arange(count - 1 if last else 0, count) for count in counts]

    def _judged(
        self,
        found: Examples,
        said: Numbered,
        last: bool,
        *,
        predictions: pd.DataFrame | None = None,
    ) -> Evaluation:
        import pandas as pd

        levels = np.array(self.settings.quantiles)
        truths, rows = self.answer.values(found.answers or []), []
        for steps, truth, one in zip(self._steps(found, last), truths, said.each, strict=True):
            own = one if said.picked else one[steps]
            row = numbers.sums(
                self.answer.capped(truth[steps]), own, levels, self.answer.scaler.shift
            )
            if self.answer.cap is not None:
                missed = np.abs(truth[steps] - own[..., 0])
                row |= {"raw squared": float((missed**2).sum()), "raw": float(missed.sum())}
            rows.append(row)
        return Evaluation(
            pd.DataFrame(rows), partial(_score, self.answer.names, levels), predictions
        )

    # Baselines

    def fit_baselines(self) -> Iterator[Baseline]:
        """Yield mean, median, nearest neighbours, ridge regression and gradient boosting.

        Where one series is split in time, also the last target before the test part: only there
        is it known when the test part begins. Each has quantiles of its own errors on the
        validation part (on the training part where there is none) around it.
        """
        from elman.scoring.baselines.numbers import boosting, ridge

        train, truth = self._drawn("train", _FITTED)
        seen, known = self._drawn("valid", _CHECKED) if "valid" in self._parts else (train, truth)

        def settled(name: str, fitted: Any, sees: Sees, shared: Any = None) -> Iterator[Baseline]:
            made = Baseline(name, fitted, sees, shared)
            with suppress(CannotSay):
                errors = known - made.outputs(seen)
                made.extra["around"] = np.quantile(errors, self.settings.quantiles, axis=0).T
            yield made

        values = np.concatenate(self.answer.values(self._parts["train"].answers or []))
        values = self.answer.capped(values)
        yield from settled("mean", Constant(values.mean(0)), "all")
        yield from settled("median", Constant(np.median(values, 0)), "all")
        before = self._parts.get("valid", self._parts["train"])
        if "test" in self._parts and _goes_on(before, self._parts["test"]):
            ends = np.stack([steps[-1] for steps in self.answer.values(before.answers or [])])
            last = Last(self.answer.capped(ends))
            made = Baseline("last value", last)
            errors = known - last.values[seen.of]
            made.extra["around"] = np.quantile(errors, self.settings.quantiles, axis=0).T
            yield made
        for distance in self.codec.distances:
            nearest = Nearest(distance.name, train.arrays, truth)
            yield from settled(distance.name, nearest, "all")
        if train.cells is None:
            return
        features = self.codec.features(train.cells)
        train.are_training(features)
        x, held, right = train.described(features), None, None
        if seen is not train:
            held, right = seen.described(features), known
        linear = ridge(x, truth, held, right)
        name = features.title.format("ridge regression")
        yield from settled(name, linear, "features", features)
        trees = boosting(x, truth, self.settings.seed)
        name = features.title.format("gradient boosting")
        yield from settled(name, trees, "features", features)

    def _drawn(self, part: str, most: int) -> tuple[Asked, Floats]:
        """Return sequences of a part, or windows before steps of it drawn at random; the targets.

        Args:
            part: its name.
            most: steps at most.
        """
        found = self._parts[part]
        values = [self.answer.capped(one) for one in self.answer.values(found.answers or [])]
        if not self.layout.aligned:
            return self._question(found), np.concatenate(values)
        counts = [len(one) for one in values]
        of = np.repeat(np.arange(len(counts)), counts)
        at = np.concatenate([np.arange(count) for count in counts])
        if len(at) > most:
            rng = np.random.default_rng(self.settings.seed)
            chosen = np.sort(rng.permutation(len(at))[:most])
            of, at = of[chosen], at[chosen]
        truth = np.stack([values[k][t] for k, t in zip(of.tolist(), at.tolist(), strict=True)])
        return self._windowed(found, of, at), truth

    def _windows(self, found: Examples, *, every: bool) -> Asked:
        """Return the sequences, or the window before each step that is scored, or before all."""
        if not self.layout.aligned:
            asked = self._question(found)
        else:
            counts = [len(one) for one in self._encode(found.inputs)]
            firsts = [count - 1 if self._last and not every else 0 for count in counts]
            pairs = list(zip(firsts, counts, strict=True))
            of = np.repeat(np.arange(len(counts)), [last - first for first, last in pairs])
            at = np.concatenate([np.arange(*pair) for pair in pairs])
            asked = self._windowed(found, of, at)
        before = self._parts.get("valid", self._parts.get("train"))
        test = found is self._parts.get("test") and before is not None
        asked.goes_on = test and before is not None and _goes_on(before, found)
        return asked

    def _windowed(self, found: Examples, of: NDArray[np.int64], at: NDArray[np.int64]) -> Asked:
        """Return the windows before steps `at` of the sequences `of`."""
        arrays = self._encode(found.inputs)
        pairs = zip(of.tolist(), at.tolist(), strict=True)
        windows = [arrays[k][max(0, t + 1 - WINDOW) : t + 1] for k, t in pairs]
        cells = [self.codec.decode(window) for window in windows]
        return Asked(
            None if any(cell is None for cell in cells) else cells,
            lambda: windows,
            self.codec.distances,
            count=len(windows),
            at=at,
            of=of,
        )

    # Report

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """Return predictions against truth, errors by time left and by truth, and the worst."""
        assert evaluation.predictions is not None
        table = evaluation.predictions
        shown: list[Section] = []
        if np.isnan(evaluation.metrics["r2"]):
            text = "Every truth of the test part is alike, so R² is undefined and left empty."
            shown.append(Section("R²", text))
        left = None
        if self.layout.aligned:
            keys = [k for k in ("file", self.layout.group) if k in table]
            if self.layout.form == "cell":
                keys.append("row")
            ends = table.groupby(keys)["step"].transform("max") if keys else table["step"].max()
            left = (ends - table["step"]).to_numpy(np.int64)
            if self._last:
                table, left = table[left == 0], left[left == 0]
        for name in self.answer.names:
            end = f"_{name}" if len(self.answer.names) > 1 else ""
            truth = self.answer.capped(table[f"truth{end}"].to_numpy(np.float64))
            said = table[[f"{label}{end}" for label in self._labels]].to_numpy(np.float64)
            title = f" of {name}" if end else ""
            text = f"Scored: {self._scored_words()}."
            if said.shape[1] > 2:
                first, last = self._labels[1], self._labels[-1]
                text += f" Bars: from {first} to {last}."
            drawn = numbers.against_truth(truth, said, name)
            shown.append(Section(f"Predicted against true{title}", text, figure=drawn))
            error = said[:, 0] - truth
            if left is not None and left.max(initial=0) > 0:
                drawn = numbers.against_left(left, error, name)
                shown.append(Section(f"Error against steps left{title}", figure=drawn))
            by = numbers.by_truth(truth, said)
            shown.append(Section(f"Error against truth{title}", table=by))
            inner = [f"{label}{end}" for label in self._labels[2:-1]]
            worst = table.drop(columns=inner).assign(error=error)
            worst = worst.iloc[np.argsort(-np.abs(error), kind="stable")[:12]]
            text = "The predictions that are furthest from the truth."
            shown.append(Section(f"Worst cases{title}", text, worst))
        return shown


def _range(values: Floats) -> str:
    least, most, mean = (written(float(v)) for v in (values.min(), values.max(), values.mean()))
    return f"{least} to {most} (mean {mean})"


def _score(names: Sequence[str], levels: Floats, units: pd.DataFrame) -> dict[str, float]:
    own = units.drop(columns=["raw squared", "raw"], errors="ignore")
    found = numbers.score(own, names, quantiles=len(levels) > 1)
    if "raw" in units:
        count = units["count"].sum()
        found["rmse_uncapped"] = float(np.sqrt(units["raw squared"].sum() / count))
        found["mae_uncapped"] = float(units["raw"].sum() / count)
    return found


def _goes_on(before: Examples, found: Examples) -> bool:
    """Tell whether each sequence of a long table goes on where it ends in an earlier part."""
    if before.steps is None or found.steps is None or before.names != found.names:
        return False
    return all(
        first[-1][0] == later[0][0] and max(row for _, row in first) < min(row for _, row in later)
        for first, later in zip(before.steps, found.steps, strict=True)
    )
