"""The protocol of a task.

A task is a shape of the problem (`generate`, `forecast`, `classify`): one file
says what its examples are, its topology and loss, its decoding, its metrics and
its baselines. Everything that is the same for all of them (training, scoring
beside baselines, intervals, the run directory, the report) is `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from torch import Tensor, nn

from elman.tasks.settings import TaskSettings
from elman.tasks.understood import Understood

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from elman.data import Batches
    from elman.errors import InputError
    from elman.modalities.base import Indexed
    from elman.scoring import Evaluation
    from elman.scoring.blending import Blend
    from elman.training import Objective


@dataclass(frozen=True)
class Sample:
    """A few sequences of a task to look at a model by, in terms that every task has.

    Attributes:
        loss: gives the summed loss of a model on them, all steps of a sequence in one piece.
        unit: what one step is, in the plural.
        labels: the steps of the first sequence: symbols, or numbers of a series.
        window: steps that a gradient flows back in training, which goes on from sequence to
            sequence; None where training takes a sequence as a whole.
        series: a longer stretch of data behind them, for what depends on what: `(N,)` symbols as
            integers, or `(N, C)` numbers; None where sequences are labelled one by one.
        read: runs a model on pieces of `series`, given their places `(T, B)`; None where `series`
            cannot be cut anywhere.
        inputs: `(T, B, C)` numbers or `(T, B)` symbols as the model reads them, zero beyond an
            end; None where pieces of `series` are read.
        forward: runs a model on some of `inputs`, given their numbers.
        lengths: `(B,)`, of `inputs`; None where all are as long.
        target: `(B,)`, the class of each of `inputs`.
        begins: `(B,)`, where in `series` each of `inputs` begins; -1 where it is of another series.
        count: sequences that they were drawn from, where each has one answer.
        texts: gives, where steps are text, the piece of text of each step, such that the pieces
            joined are the text: one list for each document of `series`, one after the other, or
            for each of `inputs`.
    """

    loss: Callable[[nn.Module], Tensor]
    unit: str
    labels: list[str] | list[float]
    window: int | None = None
    series: NDArray[Any] | None = None
    read: Callable[[nn.Module, NDArray[np.int64]], object] | None = None
    inputs: NDArray[Any] | None = None
    forward: Callable[[nn.Module, NDArray[np.int64]], object] | None = None
    lengths: Tensor | None = None
    target: NDArray[Any] | None = None
    begins: NDArray[Any] | None = None
    texts: Callable[[], list[list[str]]] | None = None
    count: int | None = None


class Mark(NamedTuple):
    """A piece of a text in a report, with a note and a colour behind it where it has any."""

    text: str
    note: str = ""
    colour: str = ""


class Panel(NamedTuple):
    """One of several pictures, of which a reader picks by its labels (`series`, `from`, …)."""

    labels: dict[str, str]
    figure: Figure
    table: pd.DataFrame | None = None


@dataclass
class Section:
    """One part of a report: words, a table, a figure, pictures to pick from, marked texts.

    Each is optional. What is `folded` is shown when a reader opens it.
    """

    title: str
    text: str = ""
    table: pd.DataFrame | None = None
    figure: Figure | None = None
    panels: list[Panel] = field(default_factory=list)
    folded: bool = False
    preformatted: list[str] = field(default_factory=list)
    marked: list[list[Mark]] = field(default_factory=list)


class Task(Protocol):
    """The contract between a task and the pipeline.

    A task is made from data (reads, splits, and fits vocabularies and scalers on
    the training part only) or from the assets of a finished run (no data then:
    it can evaluate and predict what it is given).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Settings: ClassVar[type[TaskSettings]]
    """The task's own settings; `elman.tasks.settings` joins them with those of a modality."""
    settings: Any
    metric: str
    higher_is_better: bool

    @classmethod
    def modalities(cls) -> list[str]:
        """Return the names of the modalities that the task can read."""
        ...

    @classmethod
    def reads(cls, modality: str) -> type[BaseModel] | None:
        """Return the settings of a modality that mean something for the task."""
        ...

    @classmethod
    def recorded(cls, values: dict[str, Any], assets: dict[str, Any]) -> Any:
        """Return the settings of a run from what its configuration holds."""
        ...

    @classmethod
    def from_format_1(cls, assets: dict[str, Any]) -> dict[str, Any]:
        """Return the assets of a run of format 1 as this format has them."""
        ...

    @classmethod
    def example(cls, modality: str, n: int, seed: int = 0) -> Any:
        """Return made-up data of `n` sequences, for the conformance test."""
        ...

    @classmethod
    def from_data(cls, data: Any, settings: Any, valid: Any = None, test: Any = None) -> Self:
        """Read `data` (paths or a DataFrame); `valid` and `test` replace the split's own."""
        ...

    @classmethod
    def from_assets(cls, settings: Any, assets: dict[str, Any]) -> Self:
        """The task of a finished run, without its data."""
        ...

    def assets(self) -> dict[str, Any]:
        """Return vocabularies, scalers and the like: file stem to JSON."""
        ...

    def understood(self) -> Understood:
        """Return how the data were read, what was taken for what, and what is doubtful."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts about data and splits for the report: sizes, columns, duplicates across splits."""
        ...

    def look(self) -> list[Section]:
        """Return pictures and tables of the data, before anything is trained."""
        ...

    def overlap(self, data: Any) -> str | None:
        """Return what to say where `data` were trained on or chosen on, or None."""
        ...

    def leaks(self) -> list[str] | None:
        """Return what of the inputs tells the answer by itself; asked where a score is perfect.

        None where it is not looked for.
        """
        ...

    def build(self) -> nn.Module:
        """The model, initialised from the seed that the pipeline has set."""
        ...

    def objective(self, model: nn.Module) -> Objective:
        """Return the loss that training minimises, and its validation."""
        ...

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Any]:
        """Training batches; this rank's rows of each global batch."""
        ...

    def judging(self) -> float:
        """Return how many times as long as a validation the last judging takes."""
        ...

    def evaluate(self, model: Any, data: Any = None) -> Evaluation:
        """Score the model on `data`, or on the held-out test part."""
        ...

    def predictors(self) -> Sequence[Any]:
        """Return the baselines (`elman.scoring.predictors.Predictor`), fitted once."""
        ...

    def scores(
        self, predictors: Sequence[Any], data: Any = None
    ) -> Sequence[Evaluation | InputError]:
        """Score models, baselines and blends on the same units, or say why one cannot be."""
        ...

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Find out what is left of a trained model, such as a temperature; plain JSON values."""
        ...

    def recall(self, about: dict[str, Any]) -> None:
        """Take up what `settle` found out in the run."""
        ...

    def blend(self, model: nn.Module, predictors: Sequence[Any]) -> Blend | str:
        """Return the model mixed with the best baseline, both chosen on the validation part.

        Where there is no such mixture, return why, as words that end a sentence.
        """
        ...

    def kept_shared(self, facts: dict[str, Any], arrays: dict[str, Any]) -> Any:
        """Return what several baselines share, of which `state` gave facts and arrays."""
        ...

    def kept_predictor(self, facts: dict[str, Any], arrays: dict[str, Any], shared: Any) -> Any:
        """Return the baseline of which `to_state` gave facts and arrays."""
        ...

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Score each baseline, fitted on the training part, on the same units."""
        ...

    def predict(self, model: Any, data: Any, **how: Any) -> pd.DataFrame:
        """Predictions on new data, a row each."""
        ...

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the columns people want first: which one, the answer, how sure it is."""
        ...

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """The parts of the report only this task has: samples, plots, a confusion matrix."""
        ...

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Sequences of `data`, or of those trained on, for `elman doctor`; at most `rows`."""
        ...

    def stream(self, model: Any) -> Streamed:
        """Return the model one step at a time, in the user's own terms.

        Raises:
            InputError: the model needs a whole sequence; the message says what would not.
        """
        ...


@runtime_checkable
class Planning(Protocol):
    """A task that may plan its training before it begins.

    The plan is made once and kept in the run, among the assets, under `plan`.
    """

    plan: Any

    def make_plan(self, model: nn.Module, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Return a plan that JSON can hold, or None where none is needed.

        Args:
            model: as training begins with it; it stays as it is.
            say: takes a line of progress.
        """
        ...

    def follow(self, plan: dict[str, Any] | None) -> Any:
        """Take a plan that was made; return the settings to train with."""
        ...

    def evidence(self, baseline: str, test: tuple[float, float]) -> tuple[str, bool] | None:
        """Return what earlier origins showed, in words, and whether they prefer the model.

        Args:
            baseline: its name.
            test: the scores of model and baseline in the test.
        """
        ...


@runtime_checkable
class Growing(Protocol):
    """A task whose trained model can go on from its run, on new data."""

    @classmethod
    def grown(
        cls, old: Self, data: Any, settings: Any, valid: Any = None, test: Any = None
    ) -> Self:
        """Read new data as those of another run were read; vocabularies grow, scales stay.

        Args:
            old: the task of the other run; with its data where they are still there, of which
                then the share `settings.rehearsal` is trained on again.
            data, valid, test: as for `from_data`.
            settings: those of the other run, and what was set anew.

        Raises:
            InputError: as `from_data`; or the data do not fit the other run.
        """
        ...

    def indexed(self) -> list[Indexed]:
        """Return the vocabularies by which tensors of a network are indexed."""
        ...

    def before_and_after(
        self, old: Self, before: nn.Module, after: nn.Module
    ) -> tuple[Evaluation, Evaluation]:
        """Score two models on the same units of another run's test part.

        Args:
            old: the task of the other run, with its data.
            before: the model of the other run.
            after: the model that has grown from it.
        """
        ...

    def met_before(self, old: Self) -> list[str]:
        """Return doubts about examples that two runs share where neither score should see them."""
        ...


class Streamed(Protocol):
    """A model fed one step at a time, in constant memory."""

    state: Any

    def step(self, value: Any) -> Any:
        """Return the output after one more input, both in the user's own terms."""
        ...

    def snapshot(self) -> bytes:
        """Return the memory as bytes (safetensors)."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Go on from a memory that `snapshot` of the same model returned."""
        ...


def device_of(model: nn.Module) -> Any:
    """Where the parameters of `model` live, for moving a batch beside them."""
    parameter: Tensor = next(model.parameters())
    return parameter.device
