"""The `elman` command; every verb calls a function of the Python package."""

from __future__ import annotations

import sys

from elman.cli import early

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; every error is one clear message."""
    given = sys.argv[1:] if arguments is None else arguments
    with early.interrupted(given):
        from elman.cli.app import main as run
    run(arguments)
