"""Errors, in words that a person can act on.

Every error that a user can cause is one of these: one message that names the place and the fix,
and the exit code of the command line.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Iterable
from types import ModuleType


class ElmanError(Exception):
    """An error of Elman; `exit_code` is the exit code of the command."""

    exit_code = 1


class InputError(ElmanError, ValueError):
    """A file, column, option or argument is wrong; the message names the place and the fix."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        file: object = None,
        row: int | None = None,
        column: str | None = None,
        fix: str | None = None,
    ) -> None:
        place = ", ".join(
            part
            for part in (
                str(file) if file is not None else "",
                f"row {row}" if row is not None else "",
                f"column {column!r}" if column is not None else "",
            )
            if part
        )
        super().__init__((f"{place}: " if place else "") + what + (f" {fix}" if fix else ""))
        self.file, self.row, self.column, self.fix = file, row, column, fix

    def knowing(self, facts: Iterable[str]) -> InputError:
        """Return the error with sentences before its fix, of what else is to be known."""
        what = str(self).removesuffix(f" {self.fix}")
        made = InputError(" ".join([what, *facts]), fix=self.fix)
        made.file, made.row, made.column = self.file, self.row, self.column
        return made


class RunFailed(ElmanError, RuntimeError):
    """A run started and could not be finished (it diverged, the disk is full, …)."""


class MissingExtra(ElmanError, ImportError):
    """A feature needs an optional dependency; the message names the extra to install."""

    exit_code = 2


class SlowPathWarning(UserWarning):
    """A recurrence runs on a slower backend than it could; the message gives the reason."""


class PredictionWarning(UserWarning):
    """Some answers of a prediction are missing or doubtful; the message says how many, the first
    place, and why."""


def warn(text: str, kind: type[Warning]) -> None:
    """Warn with the place of the nearest caller outside Elman and torch.

    The command line prints the text alone, on a line of standard error, each text once. So a
    caller gathers what is alike into one text with a count.

    >>> with warnings.catch_warnings(record=True) as told:
    ...     warn("2 of 9 texts are empty.", PredictionWarning)
    >>> told[0].category.__name__, str(told[0].message)
    ('PredictionWarning', '2 of 9 texts are empty.')
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "elman",
        "torch",
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint that names the closest of `choices`, or all of them when none is close.

    >>> nearest("hiden_size", ["hidden_size", "layers"])
    "Did you mean 'hidden_size'?"
    >>> nearest("zzz", ["a", "b"])
    "Choose from 'a', 'b'."
    """
    known = list(choices)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Choose from {', '.join(repr(c) for c in known)}."


def require(module: str, extra: str) -> ModuleType:
    """Import a module that needs an optional dependency, or say which extra brings it.

    Args:
        module: an optional package, or a module of Elman that imports one.
        extra: the name of the pip extra.

    Raises:
        MissingExtra: a package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        raise MissingExtra(
            f"This needs {missing!r}, which is not installed. "
            f"Install it with: pip install 'elman[{extra}]'"
        ) from error
