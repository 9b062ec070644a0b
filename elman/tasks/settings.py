"""Settings of tasks: the recurrence, how data are split, and what a modality adds.

A person gives settings by name before the data are read, so at first they are checked against
the task's own and those of every modality that it can read (`settings_of`). When the modality is
known, only the settings that mean something are kept (`joined`), and a given one that belongs to
another modality is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, create_model, model_validator
from pydantic.fields import FieldInfo

from elman.errors import InputError
from elman.modalities import MODALITIES
from elman.tasks import TASKS
from elman.training import Settings
from elman.training.settings import AveragingName, ScheduleName

if TYPE_CHECKING:
    from elman.nn import Recurrent


def other_default(parent: type[BaseModel], name: str, default: Any) -> Any:
    """Return a field of `parent` with another default; its limits and its meaning stay.

    >>> class Slow(TaskSettings):
    ...     lr: float = other_default(TaskSettings, "lr", 1e-4)
    >>> Slow().lr, Slow.model_fields["lr"].description
    (0.0001, 'learning rate at its highest')
    """
    return FieldInfo.merge_field_infos(parent.model_fields[name], default=default)


class RecurrenceSettings(Settings):
    """Settings of the recurrence that every task has."""

    anew: ClassVar[frozenset[str]] = frozenset({"dropout", "recurrent_dropout", "zoneout"})

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

    _in_place: Callable[..., Any] | None = PrivateAttr(None)

    def build(self, input_size: int, *, reads: int = 0, **how: Any) -> Recurrent:
        """Return the recurrent layers for `input_size` features, or what stands in their place.

        Args:
            input_size: features of a step.
            reads: features of the memory that a decoder attends to, for layers that do so
                themselves; recurrent layers leave that to the decoder.
            how: arguments of `elman.nn.Recurrent` that the task decides: `bidirectional`,
                `batch_first`, `variational`.
        """
        from elman.nn import Recurrent

        layers = Recurrent(
            self.cell,
            input_size,
            self.hidden_size,
            self.num_layers,
            dropout=self.dropout if self.num_layers > 1 else 0.0,
            recurrent_dropout=self.recurrent_dropout,
            zoneout=self.zoneout,
            residual=self.residual,
            **how,
            **self.cell_options,
        )
        if self._in_place is None:
            return layers
        found: Recurrent = self._in_place(layers, reads=reads, dropout=self.dropout)
        return found

    def in_place(self, make: Callable[..., Any]) -> Self:
        """Return the settings of a reference, with other layers in the place of recurrent ones.

        What means something for a recurrence alone is at its default in them.

        Args:
            make: called with the recurrent layers, `reads` and `dropout`; returns layers that are
                called as those are.
        """
        found = self.model_copy()
        found._in_place = make
        return found


class TaskSettings(RecurrenceSettings):
    """Settings that every task has."""

    anew: ClassVar[frozenset[str]] = frozenset(
        {
            "encoding",
            "sheet",
            "valid_fraction",
            "test_fraction",
            "resamples",
            "reference",
            "checkpoints",
            "rehearsal",
        }
    )

    encoding: str | None = Field(None, description="text encoding of the files; found when empty")
    sheet: str | None = Field(None, description="of a workbook: the sheet to read; found")
    valid_fraction: float = Field(
        0.1, ge=0, lt=1, description="share held out to choose the best model"
    )
    test_fraction: float = Field(0.1, ge=0, lt=1, description="share held out for the final score")
    rehearsal: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of a run that goes on from another one: share of the other one's training "
        "data that is read again (0.2, where they are still there)",
    )
    resamples: int = Field(500, ge=0, description="bootstrap resamples behind each 95 % interval")
    reference: Literal["transformer"] | None = Field(
        None,
        description="transformer: one of as many parameters is trained beside the model, in half "
        "of the budget, and stands in the report for comparison",
    )
    checkpoints: Literal["none", "best", "last"] = Field(
        "none",
        description="what stays in RUN/checkpoints when the run has finished: nothing, the best "
        "parameters, or all that training would go on from",
    )

    @property
    def own_budget(self) -> float | None:
        """The part of the budget that is for the model: half where a reference is trained too."""
        return self.budget / 2 if self.budget and self.reference else self.budget


class TableSettings(TaskSettings):
    """Settings of tasks that read columns of numbers."""

    anew: ClassVar[frozenset[str]] = frozenset({"decimal"})

    decimal: Literal[".", ","] | None = Field(
        None, description="of CSV: mark before decimals; found, where the file tells"
    )


class ExamplesSettings(TableSettings):
    """Settings of every task that learns from examples; what is empty is chosen from the data."""

    anew: ClassVar[frozenset[str]] = frozenset({"together"})

    cell: str = other_default(TaskSettings, "cell", "gru")
    dropout: float = other_default(TaskSettings, "dropout", 0.3)
    lr: float = other_default(TaskSettings, "lr", 2e-3)
    weight_decay: float = other_default(TaskSettings, "weight_decay", 0.01)
    schedule: ScheduleName = other_default(TaskSettings, "schedule", "cosine")
    warmup: float = other_default(TaskSettings, "warmup", 0.05)
    averaging: AveragingName = other_default(TaskSettings, "averaging", "ema")
    ema_decay: float = other_default(TaskSettings, "ema_decay", 0.99)

    modality: str | None = Field(
        None, description="what a sequence is made of, a name that `elman tasks` lists; found"
    )
    text: str | None = Field(
        None, description="column of the text (or series, picture, …); guessed when empty"
    )
    target: str | None = Field(None, description="column of the answer; guessed when empty")
    columns: list[str] | None = Field(
        None,
        description="columns of numbers: the steps of a row's series, or with `group` its channels",
    )
    group: str | None = Field(
        None, description="long tables: the column that says which series a row is a step of"
    )
    time: str | None = Field(None, description="long tables: the column that orders the steps")

    together: str | None = Field(
        None,
        description="column of whom or what an example belongs to (a patient, a speaker): all of "
        "one are in one part",
    )

    members: int = Field(
        1, ge=1, description="networks trained side by side, whose answers are averaged"
    )
    bidirectional: bool = Field(
        True, description="read forwards and backwards; false for models that are to stream"
    )
    reverse: bool = Field(
        False, description="read each sequence from its end; only where bidirectional is false"
    )

    @model_validator(mode="after")
    def _one_direction_to_turn(self) -> Self:
        if self.reverse and self.bidirectional:
            raise ValueError("reverse needs bidirectional=false, or both ways are read anyway")
        return self


class ManyToOneSettings(ExamplesSettings):
    """Settings of tasks with one answer a sequence."""

    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="how the outputs of all steps become one vector"
    )


class AlignedSettings(ExamplesSettings):
    """Settings of tasks with an answer for each step."""

    anew: ClassVar[frozenset[str]] = frozenset({"stretch"})

    stretch: int | None = Field(
        512,
        ge=1,
        description="steps of a training sequence at once; a longer one is cut into several",
    )


def settings_of(kind: Any, given: Mapping[str, Any]) -> Any:
    """Return checked settings of a task before its data are known.

    Args:
        kind: the class of a task.
        given: names and values.

    Raises:
        InputError: an unknown name (the nearest is given) or a value that does not fit.
    """
    known = _every(kind)
    for name in given:
        if name not in known.model_fields:
            owners = [m for m in MODALITIES if name in MODALITIES[m].Settings.model_fields]
            if owners:
                raise InputError(
                    f"{name} is a setting of {' and '.join(owners)}; {kind.name} does not use it. "
                    "Leave it out."
                )
            tasks = [n for n in TASKS if n != kind.name and name in TASKS[n].Settings.model_fields]
            if tasks:
                raise InputError(
                    f"{name} is a setting of the task{'s' * (len(tasks) > 1)} "
                    f"{' and '.join(tasks)}; {kind.name} does not use it. Leave it out."
                )
    return known.of(given)


def joined(kind: Any, modality: Any, settings: Any, *, strict: bool = True) -> Any:
    """Return the settings of a task for one modality, with the values that suit it.

    Args:
        kind: the class of a task.
        modality: the class of the modality that was found.
        settings: as `settings_of` gives them, or settings that are joined already.
        strict: refuse a setting of another modality; otherwise leave it out, as for a run that was
            recorded by an older version.

    Raises:
        InputError: a setting was given that means nothing for the modality; the message says
            where it belongs.
    """
    wanted = _joined(kind, modality.name)
    if isinstance(settings, wanted):
        return settings
    given = settings.model_fields_set
    foreign = [
        name
        for name in sorted(given - set(wanted.model_fields))
        if getattr(settings, name)
        != type(settings).model_fields[name].get_default(call_default_factory=True)
    ]
    if foreign and strict:
        raise InputError(_belongs(kind, modality, foreign[0]))
    values = {n: getattr(settings, n) for n in given if n in wanted.model_fields}
    return wanted.of(
        {n: v for n, v in modality.suited.items() if n in wanted.model_fields} | values
    )


def recorded(kind: Any, modality: Any, values: Mapping[str, Any]) -> Any:
    """Return the settings of a run from its configuration, without those of other modalities."""
    wanted = _joined(kind, modality.name)
    return wanted.recorded({n: v for n, v in values.items() if n in wanted.model_fields})


def _belongs(kind: Any, modality: Any, name: str) -> str:
    owners = [other for other in kind.modalities() if name in kind.reads(other).model_fields]
    whose = " and ".join(owners)
    return f"{name} is a setting of {whose}; the input here is {modality.name}. Leave it out."


@cache
def _every(kind: Any) -> Any:
    """Return the task's settings with those of every modality it reads."""
    parts = [part for name in kind.modalities() if (part := kind.reads(name)) is not None]
    return _one(f"{kind.__name__}Settings", kind.Settings, parts) if parts else kind.Settings


@cache
def _joined(kind: Any, modality: str) -> Any:
    """Return the task's settings with those of one modality."""
    own = kind.reads(modality)
    return _one(f"{kind.__name__}{own.__name__}", kind.Settings, [own])


def _one(name: str, own: type[Settings], parts: list[type[BaseModel]]) -> Any:
    # A class that another one extends already would come before it among the bases.
    apart = [p for p in parts if not any(p is not q and issubclass(q, p) for q in parts)]
    bases = (own, *dict.fromkeys(p for p in apart if not issubclass(own, p)))
    return create_model(name, __base__=bases)
