"""Refusals that need not wait for torch: they come from the source of the package, not its run.

So does the word to a person who presses Ctrl-C while torch is imported.

Verbs that people know from elsewhere are answered with what to use. Settings are declared in
modules that import torch, which takes two seconds. A name that none of them declares is refused
from their text; all else is refused where the classes are known.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from elman.errors import InputError, nearest

_CLASS = re.compile(r"^class \w*Settings\b.*?(?=^\S|\Z)", re.M | re.S)
_FIELD = re.compile(r"^    ([^\W_]\w*): (?!ClassVar)", re.M)


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


@functools.cache
def _declared() -> set[str]:
    package = Path(__file__).parents[1]
    files = [package / "training" / "settings.py"]
    files += [path for room in ("tasks", "modalities") for path in (package / room).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return {name for text in texts for own in _CLASS.findall(text) for name in _FIELD.findall(own)}


_ELSEWHERE = {
    "serve": "elman has no server; load a run in your own with elman.load(RUN), or feed it with "
    "elman.load(RUN).stream()",
    "export": "elman exports no other format yet; elman.load(RUN).module is a torch module, which "
    "torch.export takes",
    "fit": "use: elman train TASK DATA",
    "learn": "use: elman train TASK DATA",
    "run": "use: elman train TASK DATA",
    "test": "use: elman evaluate RUN [DATA]",
    "score": "use: elman evaluate RUN [DATA]",
    "eval": "use: elman evaluate RUN [DATA]",
    "infer": "use: elman predict RUN DATA",
    "forecast": "use: elman train forecast DATA, then elman predict RUN DATA",
    "classify": "use: elman train classify DATA, then elman predict RUN DATA",
    "tag": "use: elman train tag DATA, then elman predict RUN DATA",
    "regress": "use: elman train regress DATA, then elman predict RUN DATA",
    "sample": "use: elman generate RUN",
    "write": "use: elman generate RUN",
    "talk": "use: elman chat RUN",
    "type": "use: elman complete RUN",
    "continue": "use: elman resume RUN",
    "show": "use: elman report RUN",
    "diagnose": "use: elman doctor RUN",
    "explain": "use: elman doctor RUN, or elman.explain(layer) in Python",
    "describe": "use: elman look TASK DATA",
    "inspect": "use: elman look TASK DATA, or elman doctor RUN",
    "runs": "use: elman list",
    "ls": "use: elman list",
    "diff": "use: elman compare RUN RUN",
    "benchmark": "use: elman bench",
    "settings": "use: elman config TASK [DATA]",
    "help": "use: elman --help, or elman VERB --help",
    "version": "use: elman --version",
}
"""Verbs that people try, and what to use instead."""


def check_verb(arguments: Sequence[str]) -> None:
    """Refuse a verb of another name, and say what to use instead.

    Raises:
        InputError: the first argument that is no option is such a verb.
    """
    first = next((a for a in arguments if not a.startswith("-")), None)
    if first in _ELSEWHERE:
        raise InputError(f"there is no verb {first!r}: {_ELSEWHERE[first]}.")


@contextmanager
def interrupted(arguments: Sequence[str]) -> Iterator[None]:
    """End the process with a word at Ctrl-C inside, where packages are imported.

    An exception would not do: compiled packages that are half imported turn it into others, or
    into warnings.
    """
    told = "interrupted"
    if next((a for a in arguments if not a.startswith("-")), None) == "train":
        told = "interrupted before training began; nothing was kept"

    def end(number: int, frame: FrameType | None) -> None:
        sys.stderr.write(f"{told}.\n")
        sys.stderr.flush()
        os._exit(130)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
