"""A session of the benchmark: its groups, and how Ctrl-C ends it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from elman.bench.report import Note, Report, Row
from elman.bench.settings import Settings
from elman.errors import InputError, nearest

Measure = Callable[[Settings, int], Iterator[Row | Note] | Iterator[Row]]


@dataclass(frozen=True)
class Group:
    """A part of the benchmark with a name.

    Attributes:
        measure: yields its rows.
        every_thread_count: true if it is repeated for each number of threads.
    """

    measure: Measure
    every_thread_count: bool = True


def _lazily(module: str, function: str) -> Measure:
    """Return a function of a module that is imported at the first call."""

    def measure(settings: Settings, threads: int) -> Iterator[Row | Note] | Iterator[Row]:
        found: Measure = getattr(importlib.import_module(f"elman.bench.{module}"), function)
        return found(settings, threads)

    return measure


GROUPS: dict[str, Group] = {
    "limits": Group(_lazily("machine", "measure")),
    "layers": Group(_lazily("layers", "layers")),
    "lengths": Group(_lazily("layers", "lengths")),
    "cells": Group(_lazily("own_cells", "cells")),
    "scan": Group(_lazily("own_cells", "scan")),
    "stream": Group(_lazily("stream", "stream")),
    "bf16": Group(_lazily("layers", "bf16")),
    "first_use": Group(_lazily("costs", "first_use"), every_thread_count=False),
    "memory": Group(_lazily("costs", "memory"), every_thread_count=False),
    "peers": Group(_lazily("peers", "peers")),
}


def check_groups(names: Sequence[str]) -> list[str]:
    """Return the names in the order of `GROUPS`; all of them when `names` is empty.

    Raises:
        InputError: no group of that name; the message has the nearest.
    """
    for name in names:
        if name not in GROUPS:
            raise InputError(f"No group is called {name!r}.", fix=nearest(name, GROUPS))
    return [name for name in GROUPS if name in names or not names]


def run(
    groups: Sequence[str] = (),
    settings: Settings | None = None,
    threads: Sequence[int] = (2, 1),
    tell: Callable[[Row | Note], object] = lambda _: None,
) -> Report:
    """Measure groups of the benchmark.

    Args:
        groups: names from `GROUPS`; all when empty.
        settings: how thoroughly to measure.
        threads: numbers of threads, one after another.
        tell: called with each row or note when it is there.

    Returns:
        All rows. After Ctrl-C it holds the rows so far, and `interrupted` is true. A group that
        failed is among the `failures`.

    Raises:
        InputError: no such group.
    """
    settings = settings or Settings()
    asked = check_groups(groups)
    # Imported here, so that a wrong name is refused at once.
    import torch

    from elman.bench import machine

    report = Report(machine.describe(), asdict(settings) | {"threads": list(threads)})
    before = torch.get_num_threads()
    try:
        for name in asked:
            group = GROUPS[name]
            for count in threads if group.every_thread_count else threads[:1]:
                torch.set_num_threads(count)
                try:
                    for found in group.measure(settings, count):
                        if isinstance(found, Row):
                            report.rows.append(found)
                        else:
                            report.notes.append(found)
                        tell(found)
                except Exception as error:  # one broken group must not lose an hour's figures
                    report.failures.append(f"{name}: {type(error).__name__}: {error}")
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        torch.set_num_threads(before)
    return report
