"""What a task is, and what a score is.

A task is a shape of the problem (`generate`, `forecast`, `classify`): one file
says what its examples are, its topology and loss, its decoding, its metrics and
its baselines. Everything that is the same for all of them (training, scoring
beside baselines, intervals, the run directory, the report) is `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import Field
from torch import Tensor, nn

from elman.training import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from elman.data import Batches
    from elman.scoring import Evaluation
    from elman.training import Objective


class TaskSettings(Settings):
    """Settings every task has: the recurrence, its regularisation, how data is split."""

    cell: str = Field("lstm", description="recurrent cell, a name that `elman cells` lists")
    cell_options: dict[str, Any] = Field(
        default_factory=dict, description="options of the cell, such as {peepholes: true}"
    )
    hidden_size: int = Field(128, ge=1, description="units in each recurrent layer")
    num_layers: int = Field(1, ge=1, description="recurrent layers on top of each other")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout around and between layers")
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of recurrent weights, one mask a sequence"
    )
    zoneout: float = Field(0.0, ge=0, lt=1, description="chance that a state keeps its old value")
    residual: bool = Field(
        False, description="each layer's input is added to its output, where both are as wide"
    )
    encoding: str | None = Field(None, description="text encoding of the files; found when empty")
    valid_fraction: float = Field(
        0.1, ge=0, lt=1, description="share held out to choose the best model"
    )
    test_fraction: float = Field(0.1, ge=0, lt=1, description="share held out for the final score")
    resamples: int = Field(500, ge=0, description="bootstrap resamples behind each 95 % interval")


@dataclass(frozen=True)
class Sample:
    """A few sequences of a task to look at a model by.

    Attributes:
        loss: the summed loss of a model on them, all steps of a sequence in one piece.
        unit: what one step is, in the plural.
        labels: the steps of the first sequence: symbols, or numbers of a series.
        series: a longer stretch of data behind them, for what depends on what: `(N,)` symbols as
            integers, or `(N, C)` numbers; None where sequences are labelled one by one.
        begins: `(B,)`, where in `series` each sequence begins; -1 where it is of another series.
        inputs: `(T, B, C)` numbers or `(T, B)` symbols, where they are; zero beyond an end.
        lengths: `(B,)`, of those.
        target: `(B,)`, the class of each.
    """

    loss: Callable[[nn.Module], Tensor]
    unit: str
    labels: list[str] | list[float]
    series: NDArray[Any] | None = None
    begins: NDArray[Any] | None = None
    inputs: NDArray[Any] | None = None
    lengths: Tensor | None = None
    target: NDArray[Any] | None = None


@dataclass
class Section:
    """One part of a report: words, a table and a figure, each optional."""

    title: str
    text: str = ""
    table: pd.DataFrame | None = None
    figure: Figure | None = None
    preformatted: list[str] = field(default_factory=list)


class Task(Protocol):
    """The contract between a task and the pipeline.

    A task is made from data (reads, splits, and fits vocabularies and scalers on
    the training part only) or from the assets of a finished run (no data then:
    it can evaluate and predict what it is given).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Settings: ClassVar[type[TaskSettings]]
    settings: Any
    metric: str
    higher_is_better: bool

    @classmethod
    def from_data(cls, data: Any, settings: Any, valid: Any = None, test: Any = None) -> Self:
        """Read `data` (paths or a DataFrame); `valid` and `test` replace the split's own."""
        ...

    @classmethod
    def from_assets(cls, settings: Any, assets: dict[str, Any]) -> Self:
        """The task of a finished run, without its data."""
        ...

    def assets(self) -> dict[str, Any]:
        """What the run must keep besides weights: file stem to JSON (vocabularies, scalers)."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts about data and splits for the report: sizes, columns, duplicates across splits."""
        ...

    def build(self) -> nn.Module:
        """The model, initialised from the seed that the pipeline has set."""
        ...

    def objective(self, model: nn.Module) -> Objective:
        """What training minimises and how it is validated."""
        ...

    def batches(self, rank: int = 0, world_size: int = 1) -> Batches[Any]:
        """Training batches; this rank's rows of each global batch."""
        ...

    def evaluate(self, model: nn.Module, data: Any = None) -> Evaluation:
        """Score the model on `data`, or on the held-out test part."""
        ...

    def baselines(self, data: Any = None) -> dict[str, Evaluation]:
        """Score each baseline, fitted on the training part, on the same units."""
        ...

    def predict(self, model: nn.Module, data: Any) -> pd.DataFrame:
        """Predictions on new data, a row each."""
        ...

    def sections(self, model: nn.Module, evaluation: Evaluation) -> list[Section]:
        """The parts of the report only this task has: samples, plots, a confusion matrix."""
        ...

    def sample(self, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
        """Sequences of `data`, or of those trained on, for `elman doctor`; at most `rows`."""
        ...

    def stepper(self, model: nn.Module) -> Stepper:
        """The model one step at a time, for `elman.load(run).stream()`."""
        ...


class Stepper(Protocol):
    """A model that advances by one step: pure, the state goes in and comes out."""

    def start(self) -> Any:
        """The state before the first step: nested tuples of tensors."""
        ...

    def step(self, value: Any, state: Any) -> tuple[Any, Any]:
        """One input in the user's own terms; the output in the same, and the next state."""
        ...


def device_of(model: nn.Module) -> Any:
    """Where the parameters of `model` live, for moving a batch beside them."""
    parameter: Tensor = next(model.parameters())
    return parameter.device
