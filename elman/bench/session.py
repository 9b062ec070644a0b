"""One session of measuring: which groups there are, and how Ctrl-C ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from elman.bench import costs, layers, machine, own_cells, peers, stream
from elman.bench.measure import Settings
from elman.bench.report import Note, Report, Row
from elman.errors import InputError, nearest

Measure = Callable[[Settings, int], Iterator[Row | Note] | Iterator[Row]]


@dataclass(frozen=True)
class Group:
    """A part of the benchmark that can be asked for by name.

    Attributes:
        measure: makes its rows.
        every_thread_count: whether it is repeated for each number of threads.
    """

    measure: Measure
    every_thread_count: bool = True


GROUPS: dict[str, Group] = {
    "limits": Group(machine.measure),
    "layers": Group(layers.layers),
    "lengths": Group(layers.lengths),
    "cells": Group(own_cells.cells),
    "scan": Group(own_cells.scan),
    "stream": Group(stream.stream),
    "bf16": Group(layers.bf16),
    "first_use": Group(costs.first_use, every_thread_count=False),
    "memory": Group(costs.memory, every_thread_count=False),
    "peers": Group(peers.peers),
}


def check_groups(names: Sequence[str]) -> list[str]:
    """The names in the order of `GROUPS`, all of them for none.

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
    told: Callable[[Row | Note], object] = lambda _: None,
) -> Report:
    """Measure.

    Args:
        groups: names from `GROUPS`; all when empty.
        settings: how thoroughly.
        threads: numbers of threads, one after another.
        told: hears of each row when it is there.

    Returns:
        All rows; after Ctrl-C those there were, with `interrupted`; a group that broke off is
        among the `failures`.

    Raises:
        InputError: no such group.
    """
    settings = settings or Settings()
    asked = check_groups(groups)
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
                        told(found)
                except Exception as error:  # one broken group must not lose an hour's figures
                    report.failures.append(f"{name}: {type(error).__name__}: {error}")
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        torch.set_num_threads(before)
    return report
