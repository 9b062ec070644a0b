"""The `elman` command; every verb calls a function of the Python package."""

from __future__ import annotations

import os
import sys

from elman.cli import early

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit; every error is one clear message."""
    given = sys.argv[1:] if arguments is None else arguments
    if "OMP_WAIT_POLICY" not in os.environ:
        # OpenMP reads this when torch is imported. Its threads wait for one another without rest
        # for milliseconds, which is lost where another process has one of the processors: there a
        # step of training took 120 ms, and 50 ms with this.
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    with early.interrupted(given):
        from elman.cli.app import main as run
    run(arguments)
