"""Windows for the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from elman.tasks.base import Sample, device_of
from elman.tasks.forecast import times
from elman.tasks.forecast.objective import WindowLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from elman.tasks.forecast.task import Forecast


def sampled(task: Forecast, data: Any = None, rows: int = 32, seed: int = 0) -> Sample:
    """Windows with the future that came."""
    if data is None:
        held, origins = task._here, task._train_origins()
    else:
        held, origins, _ = task._to_score(data)
    drawn = np.random.default_rng(seed).permutation(origins.count)[:rows]
    origins = origins.take(np.sort(drawn))
    batch = held.windows.batch(origins)

    def loss(model: nn.Module) -> Tensor:
        return WindowLoss(task, model).loss(batch, None)[0]

    def forward(model: nn.Module, rows: NDArray[np.int64]) -> Tensor:
        device, known = device_of(model), batch.known
        output: Tensor = model(
            batch.past[rows].to(device), None if known is None else known[rows].to(device)
        )
        return output

    longest = max(range(len(held.panel.series)), key=lambda k: len(held.panel.series[k].values))
    begins = np.where(origins.series == longest, origins.position - task.lookback, -1)
    each = task.settings.segment if task.settings.model != "recurrent" else None
    unit = times.unit_of(task.frequency, each or 1)
    return Sample(
        loss,
        unit,
        batch.past[0, :, 0].tolist(),
        series=held.panel.series[longest].values,
        inputs=batch.past.transpose(0, 1).numpy(),
        forward=forward,
        begins=begins,
    )
