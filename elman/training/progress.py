"""A run is shown while it runs: by a bar on a terminal, by a line now and then elsewhere.

Everything goes to the standard error stream, so that a result on the standard output
stays clean.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import IO, Any

LINE_EVERY = 10.0


@dataclass(frozen=True)
class Tick:
    """Where a run stands; `fit` hands one to its `progress` a few times a second."""

    step: int
    epoch: int
    fraction: float
    """The part of the run that is over, 0 to 1."""
    seconds: float
    loss: float
    lr: float
    rate: float
    """Terms of the loss (tokens, windows, rows) a second."""
    valid: dict[str, float] = field(default_factory=dict)
    """The last validation."""
    message: str | None = None
    """Something that happened and has to be shown."""
    finished: bool = False

    @property
    def left(self) -> float:
        """The seconds left, by the time so far; NaN when nothing can be said."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction > 0 else math.nan

    def __str__(self) -> str:
        parts = [
            f"{self.fraction:4.0%}",
            f"step {self.step}",
            f"epoch {self.epoch + (not self.finished)}",
            f"loss {self.loss:.4g}",
            *(f"{name} {value:.4g}" for name, value in self.valid.items()),
            f"lr {self.lr:.2g}",
            f"{_count(self.rate)}/s",
            f"{_clock(self.left)} left",
        ]
        return "  ".join(parts)


class Display:
    """Show a run as a bar on a terminal, else as a line every ten seconds.

    Pass it to `fit` as `progress`.

    Args:
        stream: where to show it; the standard error stream where None.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.last = -math.inf
        self.bar: Any = None
        self.task: Any = None

    def __call__(self, tick: Tick) -> None:
        """Show one tick."""
        if self.stream.isatty():
            self._draw(tick)
        else:
            self._print(tick)

    def _print(self, tick: Tick) -> None:
        if tick.message:
            print(tick.message, file=self.stream, flush=True)
        now = time.monotonic()
        if now - self.last >= LINE_EVERY or tick.finished:
            print(tick, file=self.stream, flush=True)
            self.last = now

    def _draw(self, tick: Tick) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        if self.bar is None:
            self.bar = Progress(
                BarColumn(bar_width=24), TextColumn("{task.description}"),
                console=Console(file=self.stream), refresh_per_second=8,
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task("", total=1.0)
        self.bar.update(self.task, completed=tick.fraction, description=str(tick))
        if tick.message:
            self.bar.console.print(tick.message, markup=False, highlight=False)
        if tick.finished:
            self.bar.stop()
            self.bar = None


def _count(number: float) -> str:
    """Write a number to three figures.

    >>> _count(950.0), _count(12_345.0), _count(3.2e6)
    ('950', '12.3k', '3.2M')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _clock(seconds: float) -> str:
    """Write a length of time.

    >>> _clock(7.0), _clock(65.0), _clock(7300.0), _clock(math.nan)
    ('0:07', '1:05', '2:01:40', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
