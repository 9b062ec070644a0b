"""The protocol between tasks and modalities.

A modality says which columns hold its sequences and fits a codec on the training part. A codec
owns everything about a sequence that a task would otherwise ask its name for: arrays and batches,
the layers that read them, augmentation, features for baselines, steps of a stream, and what a
report or the doctor shows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator
from torch import Generator, Tensor, nn

from elman.modalities.levels import Far
from elman.needs import Need
from elman.nn.conv import FrontNorm

if TYPE_CHECKING:
    from elman.data import Table

Array = NDArray[Any]
Size = Annotated[int, Field(ge=1)]


class Padded(NamedTuple):
    """Sequences side by side: `inputs` `(B, T)` symbols or `(B, T, C)` numbers, `lengths` `(B,)`.

    Steps beyond a length hold padding: the codec's padding symbol, or zero.
    """

    inputs: Tensor
    lengths: Tensor

    def to(self, device: Any) -> Padded:
        """Return the batch on a device."""
        return Padded(self.inputs.to(device), self.lengths.to(device))


class Mixture(NamedTuple):
    """Each sequence of a batch mixed with another: `share` of it, the rest of row `others`."""

    batch: Padded
    others: Tensor
    share: float


class Indexed(NamedTuple):
    """A vocabulary, and the tensors of a network that have an entry for each of its names.

    A model that grows keeps the entries of the names that it had, wherever they stand.

    Attributes:
        what: the names in a word, in the plural.
        names: in the order of the entries.
        axes: from the name of a tensor to the axes along which the entries lie.
        like: the name whose entries a new name begins with; None where it begins as in a model
            that is new.
    """

    what: str
    names: Sequence[Hashable]
    axes: Mapping[str, tuple[int, ...]]
    like: Hashable = None

    def within(self, module: str) -> Indexed:
        """Return the vocabulary with its tensors named as of a module inside another one."""
        return self._replace(axes={f"{module}.{name}": axes for name, axes in self.axes.items()})


@dataclass(eq=False)
class Features:
    """A fixed number of features of a sequence, fitted on the training part.

    Attributes:
        title: the name of a baseline on them, with the model's name to be filled in:
            `"{} on summary features"`.
        train: features of the training cells, `(n, F)`, dense or sparse; None of kept features.
        of: features of other cells.
        counts: features that count occurrences, for methods made for counts; None where none do.
        state: returns plain JSON values and arrays of which `Codec.kept_features` makes the same
            features again, without the training cells.
    """

    title: str
    train: Any
    of: Callable[[Sequence[Any]], Any]
    counts: Features | None = None
    state: Callable[[], tuple[dict[str, Any], dict[str, Array]]] = lambda: ({}, {})

    def forget_training(self) -> None:
        """Let go of the features of the training cells, which may be large."""
        self.train = None
        if self.counts is not None:
            self.counts.train = None


@dataclass(frozen=True)
class Distance:
    """A distance between sequences that is sound for the modality.

    Attributes:
        name: of the nearest-neighbour baseline that uses it.
        nearest: from training and other arrays (as `encode` gives them) to the place of the
            nearest training sequence for each of the others, `(n,)`; None where it would take too
            long.
    """

    name: str
    nearest: Callable[[Sequence[Array], Sequence[Array]], NDArray[np.int64] | None]


@dataclass(frozen=True)
class Shown:
    """A sequence as people see it.

    Attributes:
        steps: a word or a number for each step.
        pieces: of a text, what each step stands for; joined they are the text.
        picture: `(rows, columns)` brightness or energy, drawn as an image.
    """

    steps: list[str] | list[float]
    pieces: list[str] | None = None
    picture: Array | None = None


class Place(Protocol):
    """Where a sequence stands in a table; the part of a task's layout that a modality reads."""

    @property
    def form(self) -> str:
        """`"cell"`: one cell; `"row"`: numbers of a row; `"long"`: rows of a group."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns."""

    @property
    def time(self) -> str | None:
        """The column that orders the rows of a group, if there is one."""


class ModalitySettings(BaseModel):
    """Settings that mean something for a modality; a task's settings are joined with them."""

    anew: ClassVar[frozenset[str]] = frozenset({"input_dropout"})

    needs: ClassVar[Mapping[str, Need]] = {
        name: Need("front_channels", bool, "front_channels")
        for name in ("front_kernel", "front_stride", "front_norm", "front_beside")
    }

    max_length: int | None = Field(
        None, ge=1, description="steps of a sequence at most, the rest is cut off"
    )
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of what the recurrence reads, one mask a sequence"
    )
    front_channels: list[int] = Field(
        default_factory=list, description="channels of each convolution before the recurrence"
    )
    front_kernel: Size | list[Size] = Field(
        5, description="steps that each convolution sees; a list has one number for each"
    )
    front_stride: Size | list[Size] = Field(
        2, description="steps that each convolution moves on; a list has one number for each"
    )
    front_norm: FrontNorm = Field(
        "none",
        description="after each convolution: instance scales each channel of a sequence, batch "
        "scales each channel of a batch",
    )
    front_beside: bool = Field(
        False, description="the convolutions read beside the recurrence, not before it"
    )

    @model_validator(mode="after")
    def _one_for_each_convolution(self) -> Self:
        for name in ("front_kernel", "front_stride"):
            given = getattr(self, name)
            if isinstance(given, list) and len(given) != len(self.front_channels):
                raise ValueError(
                    f"{name} has {len(given)} entries, front_channels {len(self.front_channels)}"
                )
        return self


class Stepwise:
    """The part of a codec whose pieces of a stream are whole steps: nothing waits."""

    timed: ClassVar[bool] = False

    def begin(self) -> tuple[Tensor, ...]:
        """Return nothing: no part of a step waits for the next piece."""
        return ()

    def take(self, value: Any, waiting: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the steps of a piece; nothing waits."""
        return self.step(value), waiting

    def encode(self, cell: Any) -> Array:
        """Return a cell as an array; see `Codec.encode`."""
        raise NotImplementedError

    def encode_each(self, cells: Iterable[Any]) -> Iterator[Array]:
        """Yield each cell as an array, one after another."""
        return map(self.encode, cells)

    def step(self, value: Any) -> Tensor:
        """Return a piece of a stream as steps; see `Codec.step`."""
        raise NotImplementedError

    def grown(self, other: Self) -> Self:
        """Return the codec itself: it has no vocabulary, and its scale stays as it was."""
        return self

    def indexed(self) -> list[Indexed]:
        """Return nothing: no tensor of the reader has an entry a symbol."""
        return []

    def raw(self, data: Any) -> list[Any] | None:
        """Return None: there is no other form in memory than a table."""
        return None

    def adapt(self, cell: Any) -> Any:
        """Return the cell: it is read as it is."""
        return cell

    def step_features(self, cells: Sequence[Any]) -> list[Features]:
        """Return nothing: steps have no features beside their own numbers or words."""
        return []

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return nothing: steps are no numbers."""
        return []

    def told_steps(self, cell: Any) -> dict[str, list[Any]]:
        """Return nothing: a table of predictions repeats no step."""
        return {}

    def told_cells(self, cells: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return nothing: all there is to say of training cells is their lengths."""
        return [], []


class Codec(Protocol):
    """A modality fitted on the training part; see the module."""

    modality: ClassVar[str]
    unit: str
    """One step in words, in the plural."""
    timed: ClassVar[bool]
    """True where steps are numbers that were measured one after another, as waves or curves."""
    distances: tuple[Distance, ...]
    """Distances for nearest neighbours; empty where none is sound."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values that `Modality.codec` turns back into this codec."""

    def encode(self, cell: Any) -> Array:
        """Return symbols `(T,)` or numbers `(T, C)`, cut to the longest allowed."""

    def encode_each(self, cells: Iterable[Any]) -> Iterator[Array]:
        """Yield each of many cells as `encode` gives it."""

    def decode(self, array: Array) -> Any:
        """Return the cell that `encode` would turn into `array`, as nearly as can be."""

    def refuse(self, cell: Any) -> str | None:
        """Return what is wrong with a cell that was not among those of training, or None."""

    def far(self, cells: Sequence[Any]) -> list[Far]:
        """Return the channels of new cells whose numbers lie far from those of training."""

    def batch(self, arrays: Sequence[Array]) -> Padded:
        """Return the arrays side by side, padded."""

    def reader(self) -> tuple[nn.Module, int]:
        """Return a module from a batch's inputs to `(B, T, F)`, and F."""

    def front(self, size: int) -> Any:
        """Return the convolutions that the settings ask for, on `size` features, or None."""

    def grown(self, other: Self) -> Self:
        """Return the codec with the symbols of one that was fitted on new data; its own stay."""

    def indexed(self) -> list[Indexed]:
        """Return the vocabularies by which tensors of `reader` are indexed."""

    def augment(self, batch: Padded, generator: Generator | None = None) -> Padded:
        """Return a training batch altered at random; torch's own generator where none is given."""

    def mixed(self, batch: Padded) -> Mixture | None:
        """Return the batch with its rows mixed, where the settings ask for it."""

    def features(self, cells: Sequence[Any]) -> Features:
        """Return features fitted on training cells."""

    def kept_features(self, facts: dict[str, Any], arrays: dict[str, Array]) -> Features:
        """Return the features of which `Features.state` gave facts and arrays; no `train`."""

    def step_features(self, cells: Sequence[Any]) -> list[Features]:
        """Return kinds of features of the steps of training cells, a row for each step of all.

        None where a step is a word, or numbers of its own.
        """

    def step(self, value: Any) -> Tensor:
        """Return a piece of a stream, in the user's own terms, as steps `(1, n)` or `(1, n, C)`.

        Raises:
            InputError: the value is empty or of another kind.
        """

    def begin(self) -> tuple[Tensor, ...]:
        """Return what waits for the next piece of a stream before the first has come."""

    def take(self, value: Any, waiting: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the steps that a piece of a stream completes, as `step`, and what waits then."""

    def raw(self, data: Any) -> list[Any] | None:
        """Return cells from arrays in memory, or None where `data` are no arrays."""

    def adapt(self, cell: Any) -> Any:
        """Return a cell of a new file in the form that the cells of training have."""

    def cut(self, cell: Any) -> list[Any]:
        """Return a cell as the pieces in which a stream would bring it, in their order."""

    def show(self, array: Array) -> Shown:
        """Return a sequence as people see it."""

    def told(self, cell: Any) -> str | None:
        """Return the cell as a table of predictions repeats it, or None where it cannot."""

    def told_steps(self, cell: Any) -> dict[str, list[Any]]:
        """Return what a table of predictions repeats of each step: column → a value a step."""

    def told_cells(self, cells: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return what is to be said of training cells, as pairs of a word and words, and doubts."""


class Modality(Protocol):
    """A modality, the stuff of a sequence; all methods belong to the class."""

    name: ClassVar[str]
    extra: ClassVar[str | None]
    """The pip extra that it needs, if any."""
    modules: ClassVar[tuple[str, ...]]
    """Modules that the extra brings."""
    summary: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """Kinds of columns of which one cell is a sequence."""
    forms: ClassVar[tuple[str, ...]]
    """Forms of a table that can be read; see `Place`."""
    stepped: ClassVar[bool]
    """True where the steps are there in the data: each can have an answer of its own."""
    Settings: ClassVar[type[ModalitySettings]]
    suited: ClassVar[dict[str, Any]]
    """Values of a task's settings that suit the modality, where nothing else was given."""

    @classmethod
    def cells(
        cls, table: Table, place: Place, rows: list[list[int]] | None, strict: bool
    ) -> list[Any]:
        """Return one cell a sequence.

        Args:
            table: typed columns.
            place: where the sequences stand in it.
            rows: of a long table, the rows of each sequence in order; else None.
            strict: refuse a cell from which nothing could be learnt.

        Raises:
            InputError: a cell is empty or of another kind, with file, row and column.
        """

    @classmethod
    def decide(cls, settings: Any, cells: Sequence[Any]) -> dict[str, Any]:
        """Return the settings that were left to the data."""

    @classmethod
    def fit(cls, cells: Sequence[Any], settings: Any) -> Codec:
        """Return a codec fitted on training cells."""

    @classmethod
    def codec(cls, about: dict[str, Any], settings: Any) -> Codec:
        """Return the codec that `to_json` described."""

    @classmethod
    def example(cls, n: int, generator: np.random.Generator) -> list[Any]:
        """Return `n` made-up cells of unequal length."""
