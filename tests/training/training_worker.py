"""A small run that depends on everything a run can depend on, here and in processes of its own.

Rows of numbers that run on from window to window (carried state), dropout (torch's
generator), noise (numpy's) and flips (Python's).
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.training import Settings, fit, seed
from elman.training.distributed import ranks

ROWS, WINDOWS, STEPS = 6, 15, 5


class Rows:
    """Windows of rows; the interface of elman.data's samplers."""

    def __init__(self, dtype: torch.dtype = torch.float32, windows: int = WINDOWS) -> None:
        place = ranks()
        generator = torch.Generator().manual_seed(7)
        walk = torch.randn(windows * STEPS + 1, ROWS, 2, generator=generator, dtype=dtype)
        mine = np.array_split(np.arange(ROWS), place.world_size)[place.rank]
        self.whole = walk.cumsum(0) / 5
        self.data = self.whole[:, torch.from_numpy(mine)]
        self.windows, self.epoch, self.position = windows, 0, 0

    def __len__(self) -> int:
        return self.windows

    def __iter__(self):
        while self.position < self.windows:
            start = self.position * STEPS
            self.position += 1
            yield self.data[start : start + STEPS], self.data[start + 1 : start + STEPS + 1]
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class Model(nn.Module):
    def __init__(self, dropout: float = 0.2, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 8, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, 2, dtype=dtype)
        self.register_buffer("seen", torch.zeros((), dtype=dtype))

    def forward(self, x, state=None):
        if self.training:
            self.seen += 1
        y, state = self.lstm(x, state)
        return self.head(self.dropout(y)), state


class Objective:
    """Squared error of the next value; `noise` draws from every generator."""

    metric, higher_is_better = "mse", False

    def __init__(
        self,
        dropout: float = 0.2,
        noise: bool = True,
        dtype: torch.dtype = torch.float32,
        wait: float = 0.0,
        wobble: float = 0.0,
        pulse: Any = None,
    ) -> None:
        self.model: nn.Module = Model(dropout, dtype)
        self.noise, self.wait, self.wobble, self.pulse = noise, wait, wobble, pulse
        self.held_out = Rows(dtype).whole[:40]

    def loss(self, batch: Any, carried: Any) -> tuple[torch.Tensor, float, Any]:
        x, y = batch
        time.sleep(self.wait)
        if self.pulse is not None:
            self.pulse.value = int(self.model.seen)
        if self.noise:
            x = x + 0.01 * float(np.random.randn())  # noqa: NPY002
            x = -x if random.random() < 0.2 else x
        prediction, carried = self.model(x, carried)
        return (prediction - y).square().sum(), float(y.numel()), carried

    def validate(self) -> dict[str, float]:
        prediction, _ = self.model(self.held_out[:-1])
        wobble = 1 + self.wobble * float(self.model.seen.sin())
        return {"mse": wobble * float((prediction - self.held_out[1:]).square().mean())}


def train(
    folder: str | None,
    wait: float = 0.0,
    resume: bool = True,
    wobble: float = 0.0,
    pulse: Any = None,
    **settings: Any,
):
    """One session of a run, the same in every process.

    Args:
        wait: seconds a loss takes longer, without another result.
        wobble: how much validation goes up and down, so that what hangs on it does.
        pulse: shared with the process that watches: batches so far.
    """
    torch.set_num_threads(1)
    seed(3)
    objective = Objective(wait=wait, wobble=wobble, pulse=pulse)
    fitted = fit(
        objective,
        Rows(),
        Settings(**settings),
        run=None if folder is None else Path(folder),
        resume=resume,
    )
    return objective.model, fitted


def data_parallel(folder: Path) -> None:
    """What test_data_parallel compares with one process; started by torchrun."""
    from safetensors.torch import save_file

    from elman.training import Interrupted

    torch.set_num_threads(1)
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        seed(3)
        objective = Objective(dropout=0.0, noise=False, dtype=dtype)
        run = folder / name
        fit(objective, Rows(dtype), Settings(epochs=2, lr=0.01, accumulate=2), run=run)
        if ranks().writes:
            save_file(objective.model.state_dict(), folder / f"{name}.safetensors")
    # Both processes draw their own random numbers; stopped in the middle and resumed.
    whole, _ = train(None, max_steps=40, lr=0.01)
    original = Objective.loss

    def stopping(self, batch, carried):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 17 and ranks().rank == 1:
            os.kill(os.getpid(), 2)
        return original(self, batch, carried)

    Objective.loss = stopping
    try:
        train(str(folder / "stopped"), max_steps=40, lr=0.01)
    except Interrupted as error:
        told = str(error)
    Objective.loss = original
    resumed, fitted = train(str(folder / "stopped"), max_steps=40, lr=0.01)
    if ranks().writes:
        equal = all(
            torch.equal(a, b)
            for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
        )
        report = {"equal": equal, "told": told, "steps": fitted.steps}
        (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1] == "data-parallel":
        data_parallel(Path(sys.argv[2]))
    else:
        train(sys.argv[2], **json.loads(sys.argv[3]))
