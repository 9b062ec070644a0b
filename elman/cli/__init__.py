"""The `elman` command: thin, every verb a call of the Python package."""

from __future__ import annotations

from elman.cli.app import main

__all__ = ["main"]
