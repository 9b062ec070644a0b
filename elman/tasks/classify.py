"""`classify`: a label for a whole sequence, see `classify_one`."""

from __future__ import annotations

from elman.tasks.classify_one import OneLabel


class Classify(OneLabel):
    """A label for each sequence; see the module."""
