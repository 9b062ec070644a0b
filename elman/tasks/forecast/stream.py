"""Forecasting a stream: a row of values in, the forecast of what follows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from elman.errors import InputError, nearest
from elman.tasks.forecast.data import times_after

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.forecast.task import Forecast

StreamState = tuple[Tensor, Tensor, Tensor]


class ForecastStepper:
    """Keeps the last values a forecast sees, so that memory stays constant however long it runs.

    State: the last `lookback` rows `(L, C)` float64, their times `(L,)` in microseconds since
    1970 (0 without a calendar), and how many rows have come `()`. Before `lookback` rows have
    come, the first stands for those before it, as in training.
    """

    def __init__(self, task: Forecast, model: nn.Module) -> None:
        if task.columns is not None:
            raise InputError(
                "a model with covariates cannot stream: it would need their future at every step.",
                fix="Use predict, with the covariates of the horizon in the data.",
            )
        self.task, self.model = task, model

    def start(self) -> StreamState:
        """Nothing has been seen."""
        rows, columns = self.task.lookback, len(self.task.targets)
        values = torch.zeros(rows, columns, dtype=torch.float64)
        return values, torch.zeros(rows, dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def step(self, value: Any, state: StreamState) -> tuple[dict[str, Any], StreamState]:
        """Take one row and forecast what follows it.

        Args:
            value: a number, a row of them in the order of the targets, or a mapping from
                target to number. Where the model reads the calendar, a mapping that also has
                `"time"` in the first step; later ones follow by the frequency if they have none.
            state: as `start` or `step` gave it.

        Returns:
            `{"forecast": {target: [H values]}, "q0.1": ..., "time": [H]}`, the time only where
            the model reads the calendar; and the next state.

        Raises:
            InputError: a target is missing or no number, or there is no time to begin with.
        """
        values, times, count = state
        row = self._row(value)
        values = torch.cat([values[1:], row[None]])
        seen = min(int(count) + 1, len(values))
        index = None
        if self.task.cycles:
            import pandas as pd

            moment = self._moment(value, int(times[-1]) if count else None)
            times = torch.cat([times[1:], torch.tensor([moment])])
            index = pd.DatetimeIndex(pd.to_datetime(times[-seen:].numpy(), unit="us"))
        frame = self.task.continued(self.model, values[-seen:].numpy(), index)
        return _by_target(frame, self.task.targets, index is not None), (values, times, count + 1)

    def _row(self, value: Any) -> Tensor:
        targets = self.task.targets
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
        try:
            row = torch.tensor([float(cell) for cell in cells], dtype=torch.float64)
        except (TypeError, ValueError):
            raise InputError(f"there is something in {cells} that is no number.") from None
        if not torch.isfinite(row).all() or (self.task.settings.log and bool((row <= 0).any())):
            raise InputError(f"there is a value in {cells} that cannot be used.")
        return row

    def _moment(self, value: Any, last: int | None) -> int:
        """The time of this row, in microseconds."""
        import pandas as pd

        told = value.get(self.task.settings.time or "time") if isinstance(value, Mapping) else None
        if told is not None:
            return _microseconds(pd.Timestamp(told))
        if last is None:
            raise InputError(
                "the first step needs its time, because this model reads the calendar.",
                fix='Give a mapping, such as {"time": "2024-01-31 12:00", ...}.',
            )
        assert self.task.frequency is not None
        after = times_after(pd.Timestamp(last, unit="us"), 1, self.task.frequency)[0]
        return _microseconds(after)


def _microseconds(moment: pd.Timestamp) -> int:
    return int(moment.to_datetime64().astype("datetime64[us]").astype(np.int64))


def _by_target(frame: pd.DataFrame, targets: list[str], timed: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        column: {t: frame.loc[frame["target"] == t, column].tolist() for t in targets}
        for column in frame.columns
        if column == "forecast" or column.startswith("q")
    }
    if timed:
        out["time"] = [str(t) for t in frame.loc[frame["target"] == targets[0], "time"]]
    return out
