"""Training has flat settings, each with a default and a meaning.

Tasks subclass `Settings` with fields that only they know (sizes, windows, horizons). The
command line, `elman config` and `config.yaml` are made from the fields alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from elman.errors import InputError, nearest
from elman.needs import Need
from elman.training.averaging import AVERAGES
from elman.training.clipping import CLIPPING
from elman.training.optimisers import OPTIMISERS
from elman.training.schedules import SCHEDULES

if TYPE_CHECKING:
    OptimizerName = str
    ScheduleName = str
    ClipName = str
    AveragingName = str
else:  # the choices are the names in the tables that hold what they stand for
    OptimizerName = Literal[tuple(OPTIMISERS)]
    ScheduleName = Literal[tuple(SCHEDULES)]
    ClipName = Literal[tuple(CLIPPING)]
    AveragingName = Literal[tuple(AVERAGES)]

Precision = Literal["float32", "bf16"]

_CLIP_AT = {"norm": 1.0, "value": 1.0, "adaptive": 0.01, "none": 0.0}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(text: str | float) -> float:
    """Return a length of time in seconds, given as a number or as in `1h30m`.

    >>> seconds("10m"), seconds("1h30m"), seconds("45"), seconds(2.5)
    (600.0, 5400.0, 45.0, 2.5)

    Raises:
        ValueError: it is not a length of time.
    """
    if isinstance(text, int | float):
        return float(text)
    compact = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    if re.fullmatch(r"(\d+(\.\d+)?[hms])+", compact):
        parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", compact)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    raise ValueError("write it as 90, 90s, 10m or 1h30m")


class Settings(BaseModel):
    """The settings say how to train; every field is a plain value for `--set name=value`.

    A setting that has no effect with the others is refused where it is given with a value
    other than its default. `needs` says which settings need another one; a subclass writes
    its own `needs`, for its own fields, and has those of its bases as well. `unused` says why a
    setting of a base never has an effect in a subclass.

    >>> Settings(budget="10m", lr=0.01).budget
    600.0
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        allow_inf_nan=False,
        # A column or a label may be called 2020, and the command line reads that as a number.
        coerce_numbers_to_str=True,
    )

    needs: ClassVar[Mapping[str, Need]] = {
        "decay": Need("schedule", ["step", "plateau"]),
        "decay_after": Need("schedule", ["step", "plateau"]),
        "clip_at": Need("clip", ["norm", "value", "adaptive"]),
        "ema_decay": Need("averaging", ["ema"]),
        "asgd_after": Need("averaging", ["asgd"]),
    }
    anew: ClassVar[frozenset[str]] = frozenset()
    """Settings, beside those of training, that a run may set that goes on from another one; all
    others shape the model or say how data are read, and stay as they were. As with `needs`, a
    subclass names its own fields."""

    unused: ClassVar[Mapping[str, str]] = {}

    seed: int = Field(0, ge=0, description="seed of every random generator")
    deterministic: bool = Field(
        False,
        description="only algorithms with one answer (slower on a GPU; a CPU has them anyway)",
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, …; auto: a GPU where there is one")
    precision: Precision = Field(
        "float32", description="precision of the forward pass; parameters stay float32"
    )

    epochs: int | None = Field(
        None, ge=1, description="passes over the data (10 where no other bound is set)"
    )
    max_steps: int | None = Field(None, ge=1, description="updates of the parameters at most")
    budget: float | None = Field(
        None,
        gt=0,
        description="time for the whole command, half of it at least for training: seconds, or 10m",
    )

    batch_size: int = Field(32, ge=1, description="sequences in a batch, over all processes")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one update")

    optimizer: OptimizerName = Field("adamw", description="rule of the update, from torch.optim")
    lr: float = Field(1e-3, gt=0, description="learning rate at its highest")
    momentum: float | None = Field(
        None, ge=0, lt=1, description="momentum of sgd and rmsprop, first beta of Adam's family"
    )
    weight_decay: float = Field(
        0.0, ge=0, description="decay of weight matrices (never of biases, gains, diagonals)"
    )
    schedule: ScheduleName = Field(
        "constant", description="course of the learning rate over the run"
    )
    warmup: float = Field(
        0.0,
        ge=0,
        description="rise of the rate at the start: a part of the run if below 1, or steps",
    )
    decay: float = Field(0.5, gt=0, le=1, description="factor of the step and plateau schedules")
    decay_after: int = Field(
        4,
        ge=1,
        description="step: epochs at the full rate, then one factor an epoch; "
        "plateau: validations without improvement before a factor",
    )
    clip: ClipName = Field("norm", description="how gradients are clipped")
    clip_at: float | None = Field(
        None, gt=0, description="threshold of clipping (norm 1, value 1, adaptive 0.01)"
    )

    averaging: AveragingName = Field(
        "none",
        description="averaged parameters: ema, or asgd (begun when validation stops improving)",
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="weight of the past in ema")
    asgd_after: int = Field(
        5,
        ge=1,
        description="asgd begins when a validation is worse than the best of all but this many",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target spread over all classes"
    )

    patience: int | None = Field(
        None, ge=1, description="validations without improvement before the run stops"
    )
    validate_every: int | None = Field(
        None,
        ge=1,
        description="steps between validations (default: each epoch, or each tenth of the run)",
    )
    checkpoint_every: int | None = Field(
        None, ge=1, description="steps between checkpoints (default: about every 30 seconds)"
    )
    max_rollbacks: int = Field(
        3, ge=0, description="returns to the last good state, at half the rate, before giving up"
    )

    @field_validator("budget", mode="before")
    @classmethod
    def _budget(cls, value: object) -> object:
        return seconds(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _compatible(self) -> Self:
        if self.momentum is not None and self.optimizer in ("adagrad", "adadelta"):
            raise ValueError(f"{self.optimizer} has no momentum")
        return self

    @model_validator(mode="after")
    def _once(self) -> Self:
        """Refuse a list of names that has one of them twice."""
        for name, value in self:
            words = [one for one in value if isinstance(one, str)] if type(value) is list else []
            twice = next((one for one in words if words.count(one) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} has {twice!r} twice")
        return self

    @model_validator(mode="after")
    def _effective(self) -> Self:
        """Refuse what was given, is not at its default and has no effect."""
        for kind in type(self).__mro__:
            own: Mapping[str, Need] = vars(kind).get("needs", {})
            for name, need in own.items():
                value, field = getattr(self, name), type(self).model_fields[name]
                same = value == field.get_default(call_default_factory=True)
                if name in self.model_fields_set and not same and not need.met(self):
                    now = f"{need.setting}={_shown(getattr(self, need.setting))}"
                    said = f"Setting {name} has no effect with {now}: set {need.advice}, or leave"
                    raise PydanticCustomError(
                        "without_effect", "{said} it out.", {"said": said, "setting": name}
                    )
        return self

    @model_validator(mode="after")
    def _of_some_use(self) -> Self:
        """Refuse what was given, is not at its default and never has an effect here."""
        for name, why in self.unused.items():
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if name in self.model_fields_set and getattr(self, name) != default:
                said = f"Setting {name} has no effect: {why}. Leave"
                raise PydanticCustomError(
                    "without_effect", "{said} it out.", {"said": said, "setting": name}
                )
        return self

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make settings from names and values, with errors in the words of this package.

        >>> Settings.of({"optimiser": "sgd"})
        Traceback (most recent call last):
        ...
        elman.errors.InputError: There is no setting 'optimiser'. Did you mean 'optimizer'?

        Raises:
            InputError: an unknown name, or a value that does not fit.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise InputError(_explain(cls, error)) from None

    @classmethod
    def recorded(cls, values: Mapping[str, Any], given: Mapping[str, Any] = {}) -> Self:
        """Return the settings of a run from its configuration.

        A run of an older version may have been given settings that had no effect. They have
        none here either: they are at their defaults.

        Args:
            values: as recorded.
            given: values in their place. One of them that has no effect is refused; a recorded
                one that has none with them is left out.

        >>> Settings.recorded({"averaging": "none", "ema_decay": 0.9}).ema_decay
        0.999

        Raises:
            InputError: an unknown name, or a value that does not fit.
        """
        values = {**values, **given}
        while True:
            try:
                return cls(**values)
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                if problem["type"] != "without_effect" or problem["ctx"]["setting"] in given:
                    raise InputError(_explain(cls, error)) from None
                del values[problem["ctx"]["setting"]]

    @classmethod
    def may_change(cls) -> set[str]:
        """Return the names of settings that a run may set that goes on from another one."""
        own = {name for kind in cls.__mro__ for name in vars(kind).get("anew", ())}
        return own | set(Settings.model_fields)

    @property
    def clip_threshold(self) -> float:
        """The threshold of clipping: `clip_at`, or the usual value of this kind of clipping."""
        return _CLIP_AT[self.clip] if self.clip_at is None else self.clip_at

    @property
    def epoch_bound(self) -> int | None:
        """The epochs at most; 10 where neither steps nor time bound the run."""
        if self.epochs is None and self.max_steps is None and self.budget is None:
            return 10
        return self.epochs


def _shown(value: Any) -> str:
    """Write a value as in a configuration."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _words(annotation: Any) -> list[str]:
    """Return the words that a setting may have, also where it may be empty.

    >>> _words(Literal["a", "b"] | None)
    ['a', 'b']
    """
    if isinstance(annotation, str):
        return [annotation]
    return [word for part in get_args(annotation) for word in _words(part)]


def _explain(settings: type[Settings], error: ValidationError) -> str:
    """Put the first complaint into words, with the nearest name or the choices."""
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        hint = nearest(name, settings.model_fields)
        if not hint.startswith("Did you"):
            hint = "`elman config TASK` prints all of them."
        return f"There is no setting {name!r}. {hint}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "without_effect":
        return message
    if not name:
        return f"The settings do not fit together: {message}."
    if problem["type"] == "literal_error":
        choices = _words(settings.model_fields[name].annotation)
        hint = nearest(str(problem["input"]), choices)
        return f"Setting {name} cannot be {problem['input']!r}. {hint}"
    return f"Setting {name} cannot be {problem['input']!r}: {message[:1].lower()}{message[1:]}."
