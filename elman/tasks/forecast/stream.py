"""Forecasting a stream: a row of values in, the forecast of what follows out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.data import date_numbers
from elman.errors import InputError, PredictionWarning, nearest, warn
from elman.kernels.stream import identity
from elman.tasks.base import device_of
from elman.tasks.forecast.filling import moments_between
from elman.tasks.forecast.finding import odd_steps
from elman.tasks.forecast.history import warn_of_row_levels
from elman.tasks.forecast.panel import COUNTED
from elman.tasks.forecast.rules import rule_of
from elman.tasks.forecast.times import hour_left_out, places_in, step_in_words, times_after
from elman.tasks.forecast.windows import Scale
from elman.tasks.streaming import TaskStream

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.forecast.intervals import Calibrated
    from elman.tasks.forecast.task import Forecast

Rows = tuple[Tensor, ...]
_SHORTEST = 0.6
"""Part of a step of training, from which on the next row may come."""
_NAMES = ("values", "times", "count", "missing")


class WindowStream(TaskStream):
    """A forecaster on a stream, which reads its window of the past anew at every step.

    A window is normalised by its own values, so that no state of the recurrence can be carried
    from one to the next: a step costs what a forecast costs. Memory stays constant. Before
    `lookback` rows have come, the first stands for those before it, as in training.

    Attributes:
        reads: what a step reads, in words.
        state: the last `lookback` rows `(L, C)` float64, their times `(L,)` in microseconds since
            1970 (0 where none was given), and how many rows have come `()`; of a model with `fill`
            also which values were missing `(L, C)`. Setting None begins anew.
    """

    def __init__(self, task: Forecast, model: Calibrated) -> None:
        if task.columns is not None:
            raise InputError(
                "a model with covariates cannot stream: it would need their future at every step.",
                fix="Use predict, with the covariates of the horizon in the data.",
            )
        super().__init__()
        self._task, self._model = task, model.eval()
        self._device = device_of(model)
        self._scale = next(iter(task.scales.values())) if len(task.scales) == 1 else None
        self._levels = [f"q{level:g}" for level in task.settings.quantiles]
        self.reads = f"the last {task.lookback} rows, anew at every step"
        of = (task.targets, task.lookback, task.horizon, task.frequency, task.cycles)
        self._zoned: bool | None = None
        self._of = identity(model, *map(str, of))
        self._begin()

    @torch.inference_mode()
    def step(self, value: Any) -> dict[str, Any]:
        """Take one row and forecast what follows it.

        Args:
            value: a number, a row of them in the order of the targets, or a mapping from
                target to number. A mapping may also have the time, under `"time"` or the name
                that its column had in training; where the model reads the calendar, the first
                step must have it. Steps without one follow by the frequency.
                A time that is given must come after the one before it; a number is read as
                training read the column of times. A value may be missing
                (None or NaN) where the model was trained with `fill`: rows that a leap of the
                times leaves out are filled then. Without `fill` they are warned of.

        Returns:
            `{"forecast": {target: [H values]}, "q0.1": ..., "time": [H]}`, the time only where
            the model reads the calendar.

        Raises:
            InputError: a target is missing or no number, a name is unknown, there is no time to
                begin with, or a time is no time, does not come after the one before, or comes much
                too early after it.
        """
        with self._alone:
            return self._step(value)

    def _step(self, value: Any) -> dict[str, Any]:
        row = self._row(value)
        self._check_names(value)
        given = self._given_time(value)
        moment = self._moment(given)
        zoned = self._zone_of(given)
        before = self._count
        # Nothing has changed where something above was refused.
        for each in self._left_out(moment):
            self._push(np.full(len(row), np.nan), each)
        self._zoned = zoned
        self._push(row, moment)
        length = len(self._values)
        if self._count < length:
            first = length - self._count
            self._values[:first], self._times[:first] = self._values[first], self._times[first]
        elif before < length and self._scale is not None:
            observed = np.where(self._missing, np.nan, self._values)
            warn_of_row_levels(observed, self._task.targets, self._scale)
        return self._forecast()

    def _push(self, row: NDArray[np.float64], moment: int) -> None:
        length = len(self._values)
        self._values[: length - 1] = self._values[1:]
        self._times[: length - 1] = self._times[1:]
        self._missing[: length - 1] = self._missing[1:]
        self._values[-1], self._times[-1], self._missing[-1] = row, moment, np.isnan(row)
        self._count += 1
        self._fill()

    def _fill(self) -> None:
        """Fill what is missing of the last row, or the hole that it closes."""
        how, last = self._task.settings.fill, len(self._values) - 1
        season = self._task.season
        for column in np.flatnonzero(self._missing[-1]):
            back = season if how == "season" and season <= min(last, self._count - 1) else 1
            self._values[-1, column] = self._values[last - back, column]
        if how == "linear":
            for column in np.flatnonzero(~self._missing[-1]):
                there = np.flatnonzero(~self._missing[:-1, column])
                first = int(there[-1]) if len(there) else 0
                ends = self._values[first, column], self._values[-1, column]
                self._values[first:, column] = np.linspace(*ends, last - first + 1)

    @property
    def state(self) -> Rows:
        """The rows that the next forecast sees; a copy."""
        with self._alone:
            return self._rows()

    @state.setter
    def state(self, state: Rows | None) -> None:
        with self._alone:
            if state is None:
                self._begin()
            else:
                self._set(state)
                self._zoned = None

    def _rows(self) -> Rows:
        rows = (
            torch.from_numpy(self._values.copy()),
            torch.from_numpy(self._times.copy()),
            torch.tensor(self._count),
        )
        if self._task.settings.fill is None:
            return rows
        return (*rows, torch.from_numpy(self._missing.copy()))

    def _set(self, state: Rows) -> None:
        values, times, count, *missing = state
        self._values, self._times = values.numpy().copy(), times.numpy().copy()
        self._missing = np.zeros(self._values.shape, dtype=bool)
        if missing:
            self._missing = missing[0].numpy().astype(bool)
        self._count = int(count)

    def _named(self) -> Mapping[str, Tensor]:
        rows = self._rows()
        return dict(zip(_NAMES[: len(rows)], rows, strict=True))

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self._set(tuple(tensors[name] for name in _NAMES if name in tensors))
        self._zoned = None

    def _part(self) -> None:
        self._set(self._rows())

    def _identity(self) -> str:
        return self._of

    def _begin(self) -> None:
        rows, columns = self._task.lookback, len(self._task.targets)
        self._values = np.zeros((rows, columns))
        self._missing = np.zeros((rows, columns), dtype=bool)
        self._times = np.zeros(rows, dtype=np.int64)
        self._count = 0
        self._zoned = None

    def _forecast(self) -> dict[str, Any]:
        task, values = self._task, self._values
        seen = values[-min(self._count, len(values)) :]
        scale = self._scale or Scale.fit(seen, task.season, task.settings.log)
        past = torch.from_numpy(scale.transform(values).astype(np.float32))[None]
        parts, ahead = [], None
        if task.cycles:
            ahead = self._ahead()
            moments = np.concatenate([self._times, ahead]).view("datetime64[us]")
            parts.append(places_in(moments, task.cycles))
        if task.settings.fill == "mask":
            parts.append(np.pad(self._missing.astype(float), ((0, task.horizon), (0, 0))))
        known = None
        if parts:
            rows = np.concatenate(parts, axis=1).astype(np.float32)
            known = torch.from_numpy(rows)[None].to(self._device)
        y = self._model(past.to(self._device), known).cpu()
        y = self._model.corrected(y).double()[0]
        scaler = scale.scaler
        size, centre = (
            torch.from_numpy(part)[None, :, None] for part in (scaler.scale, scaler.shift)
        )
        own = y * size + centre
        own = own.clamp(max=80.0).exp() if task.settings.log else own
        out: dict[str, Any] = {}
        for place, name in enumerate(["forecast", *self._levels]):
            columns = own[..., place].T.tolist()
            out[name] = dict(zip(task.targets, columns, strict=True))
        if ahead is not None:
            out["time"] = [_written(moment) for moment in ahead.view("datetime64[us]")]
        return out

    def _ahead(self) -> NDArray[np.int64]:
        """Return the moments of the horizon, in microseconds."""
        task = self._task
        last, horizon = int(self._times[-1]), task.horizon
        if task.step is not None:
            return last + task.step * np.arange(1, horizon + 1)
        import pandas as pd

        assert task.frequency is not None
        after = times_after(pd.Timestamp(np.datetime64(last, "us")), horizon, task.frequency)
        return np.array([_microseconds(moment) for moment in after])

    def _row(self, value: Any) -> NDArray[np.float64]:
        targets = self._task.targets
        if isinstance(value, Mapping):
            for name in targets:
                if name not in value:
                    raise InputError(
                        f"there is no {name!r} in this step.", fix=nearest(name, value)
                    )
            cells = [value[name] for name in targets]
        elif isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
            cells = list(value)
        else:
            cells = [value]
        if len(cells) != len(targets):
            raise InputError(
                f"a step needs {len(targets)} values ({', '.join(targets)}), not {len(cells)}."
            )
        fill = self._task.settings.fill
        if fill is not None:
            cells = [float("nan") if cell is None else cell for cell in cells]
        try:
            row = np.array([float(cell) for cell in cells])
        except (TypeError, ValueError):
            raise InputError(f"there is something in {cells} that is no number.") from None
        if fill is not None and np.isnan(row).any() and not self._count:
            raise InputError(f"a value is missing in {cells}, and there is none before it.")
        here = row if fill is None else row[~np.isnan(row)]
        if not np.isfinite(here).all() or (self._task.settings.log and (here <= 0).any()):
            raise InputError(f"there is a value in {cells} that cannot be used.")
        return row

    def _check_names(self, value: Any) -> None:
        """Refuse a mapping with a name that means nothing here."""
        if not isinstance(value, Mapping):
            return
        targets, columns = self._task.targets, self._task.time
        # Dates and times of day in two columns are one moment of a step.
        times = ["time", *columns] if len(columns) == 1 else ["time"]
        known = list(dict.fromkeys([*targets, *times]))
        for name in value:
            if name not in known:
                parts = len(columns) > 1 and name in columns
                raise InputError(
                    f"{name!r} is no name that this stream knows ({', '.join(known)}).",
                    fix=f"Give {' and '.join(columns)} as one moment, named time."
                    if parts
                    else "Leave it out.",
                )
        given = [name for name in times if name in value and name not in targets]
        if len(set(given)) > 1:
            raise InputError(f"the time is given twice, as {' and as '.join(given)}.")

    def _given_time(self, value: Any) -> Any:
        """Return the time that a step comes with, as it is written, or None."""
        task = self._task
        names = [name for name in ("time", *task.time) if name not in task.targets]
        if not isinstance(value, Mapping):
            return None
        return next((value[name] for name in names if value.get(name) is not None), None)

    def _zone_of(self, given: Any) -> bool | None:
        """Tell whether times have an offset from UTC; None where none has said so yet.

        Raises:
            InputError: this one has and the ones before had not, or the reverse.
        """
        if given is None or _number(given, self._task.numbers) is not None:
            return self._zoned
        import pandas as pd

        zoned = pd.Timestamp(given).tzinfo is not None
        if self._zoned is not None and zoned != self._zoned:
            has, had = ("has an", "had none") if zoned else ("has no", "had one")
            raise InputError(
                f"the time {given!r} of this step {has} offset from UTC, and the times before it "
                f"{had}.",
                fix="Write all times with their offset, or none.",
            )
        return zoned

    def _moment(self, given: Any) -> int:
        """Return the time of this row, in microseconds; 0 where none was ever given or needed."""
        task = self._task
        last = int(self._times[-1])
        if given is not None:
            moment = _read(given, task.numbers)
            if self._count and last and moment <= last:
                raise InputError(
                    f"the time {given} of this step does not come after {_when(last)}, the time of "
                    "the step before.",
                    fix="Give rows in the order of their times, each once; state = None begins "
                    "another series.",
                )
            return moment
        if not self._count and task.cycles:
            name = task.time[0] if len(task.time) == 1 else "time"
            raise InputError(
                "the first step needs its time, because this model reads the calendar.",
                fix=f'Give a mapping, such as {{"{name}": "2024-01-31 12:00", ...}}.',
            )
        return self._after(last) if self._count and task.cycles else last

    def _after(self, last: int) -> int:
        """Return the moment that follows one, in microseconds."""
        task = self._task
        if task.step is not None:
            return last + task.step
        import pandas as pd

        assert task.frequency is not None
        begin = pd.Timestamp(np.datetime64(last, "us"))
        return _microseconds(times_after(begin, 1, task.frequency)[0])

    def _left_out(self, moment: int) -> list[int]:
        """Return the moments before this one to put in as missing; warn of steps unlike training's.

        Raises:
            InputError: the moment comes much too early.
        """
        task, last = self._task, int(self._times[-1])
        if task.frequency is None or not self._count or not last or moment == last:
            return []
        if self._count > 1 and last in self._times[:-1][-(self._count - 1) :]:
            return []  # the step before had no time
        import pandas as pd

        pair = pd.DatetimeIndex(np.array([last, moment], "datetime64[us]"))
        if not odd_steps(pair, task.frequency)[0] or hour_left_out(*pair):
            return []
        wanted = self._after(last) - last
        step = step_in_words((moment - last) / 1e6)
        after = f"the time {_when(moment)} of this step comes {step} after the one before"
        trained = f"the model was trained on {rule_of(task.frequency).words}"
        if moment - last < _SHORTEST * wanted:
            raise InputError(
                f"{after}; {trained}.",
                fix="Give steps as long as those of the training data, or train another model.",
            )
        between = moments_between(pair, 0, task.frequency)
        rows = f"{len(between):,} row{'s' if len(between) > 1 else ''}"
        left = f", so {rows} between them {'are' if len(between) > 1 else 'is'} not there"
        if between and task.settings.fill is not None:
            warn(
                f"{after}; {trained}{left}. They are filled as in training "
                f"(fill={task.settings.fill}).",
                PredictionWarning,
            )
            return [_microseconds(each) for each in between[-len(self._values) :]]
        warn(
            f"{after}; {trained}{left if between else ''}. Both rows count as neighbours, so the "
            "forecasts that see them may be wrong.",
            PredictionWarning,
        )
        return []


def _read(given: Any, numbers: str | None) -> int:
    """Return a time that a user gave, in microseconds.

    Args:
        given: a date, its text, or a number.
        numbers: how training read numbers as times; None where its times were no numbers.

    Raises:
        InputError: it is no time, or a number that training would not have read so.
    """
    import pandas as pd

    number = _number(given, numbers)
    if number is not None:
        return _read_number(given, number, numbers)
    if isinstance(given, str) and (two := _EITHER_WAY.match(given)) is not None:
        first, second = map(int, two.groups())
        if first != second and max(first, second) <= 12:
            raise InputError(
                f"the time {given!r} of this step may have its day or its month first.", fix=_FIX
            )
    try:
        moment = pd.Timestamp(given)
    except (TypeError, ValueError):
        moment = None
    if moment is None or pd.isna(moment):
        raise InputError(f"the time {given!r} of this step cannot be read.", fix=_FIX)
    return _microseconds(moment)


_EITHER_WAY = re.compile(r"\s*(\d{1,2})[/.-](\d{1,2})[/.-]\d{2,4}\b")
_FIX = 'Write it as in "2024-01-31 12:00".'
_MOST = 9e12
"""Steps that microseconds can count."""


def _number(given: Any, numbers: str | None) -> float | None:
    """Return a time as a number where it is one, or the text of one and training read numbers."""
    if isinstance(given, str) and numbers is not None:
        try:
            return float(given)
        except ValueError:
            return None
    number = float(given) if isinstance(given, Real) else math.nan
    return None if math.isnan(number) else number


def _read_number(given: Any, number: float, numbers: str | None) -> int:
    if numbers == COUNTED and abs(number) < _MOST:
        return round(number * 1e6)
    read = date_numbers.from_numbers(np.array([number]), named=True)
    if numbers is None or read is None or read[1] != numbers:
        trained = f"read its times as {numbers}" if numbers else "had no numbers for times"
        raise InputError(
            f"the time {given!r} of this step is a number that cannot be read: training {trained}.",
            fix=_FIX,
        )
    return _microseconds(read[0].iloc[0])


def _microseconds(moment: pd.Timestamp) -> int:
    # As clocks show it: the calendar is read in local time.
    return int(moment.tz_localize(None).to_datetime64().astype("datetime64[us]").astype(np.int64))


def _when(moment: int) -> str:
    """Return a moment in microseconds as pandas writes it."""
    return _written(np.datetime64(moment, "us"))


def _written(moment: np.datetime64) -> str:
    """Return a moment as pandas writes it."""
    return str(moment.astype("datetime64[s]")).replace("T", " ")
