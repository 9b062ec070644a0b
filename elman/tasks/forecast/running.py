"""Forecasts of a trained model for windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from elman.scoring.forecasts import window_sums
from elman.tasks.base import device_of
from elman.tasks.forecast.baselines import Forecaster
from elman.tasks.forecast.intervals import Calibrated
from elman.tasks.forecast.windows import Batch, Floats, Held, Origins

if TYPE_CHECKING:
    import pandas as pd

    from elman.tasks.forecast.task import Forecast


def forecaster_of(model: nn.Module, held: Held) -> Forecaster:
    """The model as a function from origins to points and quantiles in own units."""
    assert isinstance(model, Calibrated)
    return lambda some: finished(model, held, *raw_forecast(model, held, some))


@torch.inference_mode()
def raw_forecast(model: Calibrated, held: Held, origins: Origins) -> tuple[Tensor, Batch]:
    """Return the forecast in the model's own units, on the CPU."""
    batch = held.windows.batch(origins, future=False)
    there = batch.to(device_of(model))
    was_training = model.training
    model.eval()
    y = model(there.past, there.known).cpu()
    model.train(was_training)
    return y, batch


@torch.inference_mode()
def finished(model: Calibrated, held: Held, y: Tensor, batch: Batch) -> tuple[Floats, Floats]:
    """Return a forecast in the units of each series: points and quantiles."""
    own = held.windows.own_units(model.corrected(y).double(), batch).numpy()
    return own[..., 0], own[..., 1:]


def sums_of(task: Forecast, held: Held, origins: Origins, forecaster: Forecaster) -> pd.DataFrame:
    """Return the sums that every window adds to every metric, a row each."""
    import pandas as pd

    levels, spread, naive = np.array(task.settings.quantiles), held.spread, held.naive
    parts = []
    for some in origins.chunks(task._chunk):
        point, quantiles = forecaster(some)
        which = some.series
        truth = held.truth(some)
        sums = window_sums(truth, point, quantiles, levels, spread[which], naive[which])
        parts.append(pd.DataFrame(sums))
    return pd.concat(parts, ignore_index=True)
