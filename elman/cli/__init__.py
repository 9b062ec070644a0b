"""The `elman` command; every verb calls a function of the Python package."""

from __future__ import annotations

from elman.cli.app import main

__all__ = ["main"]
