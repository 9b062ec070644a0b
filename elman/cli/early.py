"""Refusals that need not wait for torch: they come from the source of the package, not its run.

Settings are declared in modules that import torch, which takes two seconds. A name that none of
them declares is refused from their text; all else is refused where the classes are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from elman.errors import InputError, nearest

_CLASS = re.compile(r"^class \w*Settings\b.*?(?=^\S|\Z)", re.M | re.S)
_FIELD = re.compile(r"^    (\w+): ", re.M)


def check_names(names: Iterable[str]) -> None:
    """Refuse a setting that no task, modality or training declares.

    Where another package has tasks or modalities, their settings are not known here, and nothing
    is refused.

    Raises:
        InputError: with the nearest name.

    >>> check_names(["hidden_size"])
    >>> check_names(["hiden_size"])
    Traceback (most recent call last):
    ...
    elman.errors.InputError: There is no setting 'hiden_size'. Did you mean 'hidden_size'?
    """
    from elman.modalities import MODALITIES
    from elman.tasks import TASKS

    names = list(names)
    if not names or any(set(table) - set(table.own) for table in (TASKS, MODALITIES)):
        return
    declared = _declared()
    for name in names:
        if name not in declared:
            hint = nearest(name, declared)
            if not hint.startswith("Did you"):
                hint = "`elman config TASK` prints all of them."
            raise InputError(f"There is no setting {name!r}. {hint}")


def _declared() -> set[str]:
    package = Path(__file__).parents[1]
    files = [package / "training" / "settings.py"]
    files += [path for room in ("tasks", "modalities") for path in (package / room).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return {name for text in texts for own in _CLASS.findall(text) for name in _FIELD.findall(own)}
