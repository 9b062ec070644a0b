"""A run is shown while it runs: by a bar on a terminal, by a line now and then elsewhere.

What comes before and after training (reading, baselines, judging) is shown by `stages` and
`doing`: a line for each thing, with the time it took.

Everything goes to the standard error stream, so that a result on the standard output
stays clean.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from elman.writing import written

LINE_EVERY = 10.0
_SHORT = 0.5
"""Seconds below which a stage is not worth a line."""
_shown: ContextVar[IO[str] | None] = ContextVar("shown", default=None)
"""Where stages are shown; None: nowhere."""
T = TypeVar("T")


@dataclass(frozen=True)
class Tick:
    """Where a run stands; `fit` hands one to its `progress` a few times a second."""

    step: int
    epoch: int
    """Passes over the data that are finished."""
    fraction: float
    """The part of the run that is over, 0 to 1."""
    seconds: float
    loss: float
    """The training loss: a mean over about the last fifty steps."""
    lr: float
    rate: float
    """Terms of the loss (tokens, windows, rows) a second."""
    valid: dict[str, float] = field(default_factory=dict)
    """The last validation."""
    message: str | None = None
    """Something that happened and has to be shown."""
    finished: bool = False
    whole: bool = False
    """The run ended where an epoch did."""

    @property
    def left(self) -> float:
        """The seconds left, by the time so far; NaN when nothing can be said."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction > 0 else math.nan

    def __str__(self) -> str:
        parts = [
            f"{self.fraction:4.0%}",
            f"step {self.step}",
            f"epoch {self.epoch + (not self.whole)}",
            f"loss {written(self.loss)}",
            *(
                f"{'validation loss' if name == 'loss' else name} {written(value)}"
                for name, value in self.valid.items()
            ),
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


@contextmanager
def stages(shown: bool, stream: IO[str] | None = None) -> Iterator[None]:
    """Let `doing` inside say what is done, on the standard error stream where None is given."""
    token = _shown.set((sys.stderr if stream is None else stream) if shown else None)
    try:
        yield
    finally:
        _shown.reset(token)


def say(line: str) -> None:
    """Show a line; nothing outside of `stages`."""
    if (stream := _shown.get()) is not None:
        print(line, file=stream, flush=True)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what is done inside, while it is done on a terminal, and then how long it took.

    Nothing is said outside of `stages`, nor of what took less than half a second.
    """
    stream, began = _shown.get(), time.monotonic()
    with _turning(what, stream):
        yield
    _tell(what, time.monotonic() - began)


def announced(baselines: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Yield baselines as they are fitted, and say of each how long that took."""
    left = iter(baselines)
    while True:
        stream, began = _shown.get(), time.monotonic()
        with _turning("fitting baselines", stream):
            found = next(left, None)
        if found is None:
            return
        _tell(f"baseline {found[0]}", time.monotonic() - began)
        yield found


def _tell(what: str, took: float) -> None:
    if took >= _SHORT:
        say(f"{what}: {took:.1f} s")


def _turning(what: str, stream: IO[str] | None) -> Any:
    """Return a line with the seconds so far, which goes away at the end; nothing off a terminal."""
    if stream is None or not stream.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    line = Progress(*columns, console=Console(file=stream), transient=True)
    line.add_task(what)
    return line


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
