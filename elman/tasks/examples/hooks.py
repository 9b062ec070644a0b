"""The methods that a task from examples fills in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from numpy.typing import NDArray
from torch import Tensor, nn

from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.modalities.base import ModalitySettings
from elman.scoring import Evaluation
from elman.scoring.predictors import Baseline
from elman.tasks.base import Section
from elman.tasks.examples.judging import Memo
from elman.tasks.reading.examples import Examples
from elman.tasks.reading.layout import Layout
from elman.tasks.settings import ExamplesSettings

if TYPE_CHECKING:
    import pandas as pd

    from elman.data import Table

Array = NDArray[Any]


class Hooks:
    """The data, network, outputs and scores of one task; it may keep what has a default here."""

    name: ClassVar[str]
    Settings: ClassVar[type[ExamplesSettings]]
    Answer: ClassVar[type[Any]]
    average: ClassVar[Literal["probabilities", "outputs"]] = "outputs"
    """The way in which several networks side by side are averaged."""
    aligned: ClassVar[bool] = False
    """True where each step has an answer, unless the task looks at the data for it."""
    metric: str
    higher_is_better: bool

    # Data

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
    def suited(cls, table: Table, settings: Any) -> type[Self]:
        """Return the class of the task for the kind of answer that a table has."""
        return cls

    @classmethod
    def suited_to(cls, other: Table, layout: Layout) -> type[Self] | None:
        """Return the class of the task for answers of another part that this one cannot learn.

        None where this class can, for it learns what training data have.
        """
        return None

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

    def answer_lines(self, answers: Sequence[Any]) -> list[tuple[str, str]]:
        """Return lines about the answers of the training part."""
        return []

    def answer_doubts(self, found: Examples) -> list[str]:
        """Return what is doubtful about the answers of the training part."""
        return []

    def look_at_answers(self, answers: Sequence[Any]) -> list[Section]:
        """Return pictures of the answers of the training part."""
        return []

    def leaks(self) -> list[str] | None:
        """Return what of the inputs tells the answer by itself; None where it is not looked for.

        Looked for where the answer is a class for a sequence of numbers or of text.
        """
        return None

    def facts(self) -> dict[str, Any]:
        """Return what the task says of its answers."""
        return {}

    # Network

    def member(self) -> nn.Module:
        """Return one network, initialised from torch's generator."""
        raise NotImplementedError

    def cost(self, outputs: Tensor, answers: Tensor, lengths: Tensor) -> Tensor:
        """Return the summed loss of a batch."""
        raise NotImplementedError

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return metrics of the validation part."""
        raise NotImplementedError

    # Outputs and scores

    def scored(
        self, found: Examples, outputs: Any, predictions: pd.DataFrame | None = None
    ) -> Evaluation:
        """Return the evaluation of what the model or a baseline gives."""
        raise NotImplementedError

    def of_model(self, model: nn.Module, inputs: Sequence[Array]) -> Any:
        """Return what the model says of encoded sequences."""
        raise NotImplementedError

    def of_baseline(self, predictor: Any, found: Examples, memo: Memo, every: bool) -> Any:
        """Return what a baseline says of sequences."""
        raise NotImplementedError

    def mixed(self, model: Any, baseline: Any, weight: float) -> Any:
        """Return the mixture of what a model and a baseline say."""
        raise NotImplementedError

    def fit_baselines(self) -> Iterator[Baseline]:
        """Fit each baseline on the training part; what is chosen is chosen on the validation."""
        raise NotImplementedError

    def settle(self, model: nn.Module) -> dict[str, Any]:
        """Find out what is still to be found of a trained model on the validation part."""
        return {}

    def recall(self, about: dict[str, Any]) -> None:
        """Take up what `settle` once found out."""

    def weight(self, held: Examples, model: Any, baseline: Any) -> float | str:
        """Return the weight of the model in a blend, or why there is none."""
        raise NotImplementedError

    def why(self, model: Any, found: Examples, outputs: Any) -> Sequence[Any]:
        """Return each step of each sequence with its share in the answer.

        Raises:
            InputError: the task has no such shares.
        """
        raise InputError(f"{self.name} has no shares of steps.", fix="Leave --why out.")

    # Predictions

    def brief(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the columns people want first; a task that has more than those leaves some out."""
        return predictions

    def columns(self, found: Examples, outputs: Any) -> dict[str, Any]:
        """Return the columns of a table of predictions that only the task can fill."""
        raise NotImplementedError

    def said(self, output: Tensor) -> Any:
        """Return one output of the model `(1, O)` in the user's own terms."""
        raise NotImplementedError
