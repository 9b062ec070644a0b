"""A look at data before anything is trained: what was understood, as text and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.runs import report
from elman.tasks import TASKS
from elman.tasks.settings import settings_of

if TYPE_CHECKING:
    from elman.tasks.understood import Understood


def look(
    task: str, data: Any, *, valid: Any = None, test: Any = None, **settings: Any
) -> tuple[Understood, str]:
    """Read data as `train` would, and return what was understood and a page that draws it.

    Args:
        task: a name that `elman tasks` lists.
        data: a path, several paths, a folder, or a pandas DataFrame.
        valid, test: as for `train`.
        **settings: as for `train`.

    Raises:
        InputError: data or settings are wrong; the message says where.
    """
    kind = TASKS[task]
    made = kind.from_data(data, settings_of(kind, settings), valid=valid, test=test)
    found = made.understood()
    page = report.page(
        "look",
        task=task,
        title=_title(data),
        understood=found.to_json(),
        sections=report.freeze(made.look()),
    )
    return found, page


def _title(data: Any) -> str:
    first = data[0] if isinstance(data, list | tuple) and data else data
    return Path(first).name if isinstance(first, str | Path) else "data"
