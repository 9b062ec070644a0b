"""Tasks: from a user's file to a judged run.

`TASKS` maps a name to a function that imports its class, so that listing the
tasks costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.tasks.base import Task


def _generate() -> type[Task]:
    from elman.tasks.generate.task import Generate

    return Generate


def _forecast() -> type[Task]:
    from elman.tasks.forecast.task import Forecast

    return Forecast


def _classify() -> type[Task]:
    from elman.tasks.classify import Classify

    return Classify


TASKS: dict[str, Callable[[], type[Task]]] = {
    "classify": _classify,
    "forecast": _forecast,
    "generate": _generate,
}
