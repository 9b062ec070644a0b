"""Data: from files to batches.

`read` turns files into a table of typed columns. `split` shares the rows out before anything is
fitted. `Vocabulary` and `Scaler` are fitted on the training part. `Batches` walks through an epoch
and can be saved in the middle of one. Nothing here knows of models.

Public names are imported when first used: to check that a file exists takes neither numpy nor
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Batches": "batches",
    "CarriedBatch": "batches",
    "CarriedBatches": "batches",
    "Duplicates": "splitting",
    "Scaler": "scaler",
    "Split": "splitting",
    "Table": "table",
    "Vocabulary": "vocabulary",
    "bucketed": "batches",
    "documents": "formats.text",
    "duplicates": "splitting",
    "fingerprint": "files",
    "lines": "formats.text",
    "ordered": "batches",
    "read": "reading",
    "scan": "scanning",
    "series_from_wide": "wide",
    "shuffled": "batches",
    "split": "splitting",
}

__all__ = [
    "Batches",
    "CarriedBatch",
    "CarriedBatches",
    "Duplicates",
    "Scaler",
    "Split",
    "Table",
    "Vocabulary",
    "bucketed",
    "documents",
    "duplicates",
    "fingerprint",
    "lines",
    "ordered",
    "read",
    "scan",
    "series_from_wide",
    "shuffled",
    "split",
]

if TYPE_CHECKING:
    from elman.data.batches import (
        Batches,
        CarriedBatch,
        CarriedBatches,
        bucketed,
        ordered,
        shuffled,
    )
    from elman.data.files import fingerprint
    from elman.data.formats.text import documents, lines
    from elman.data.reading import read
    from elman.data.scaler import Scaler
    from elman.data.scanning import scan
    from elman.data.splitting import Duplicates, Split, duplicates, split
    from elman.data.table import Table
    from elman.data.vocabulary import Vocabulary
    from elman.data.wide import series_from_wide


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'elman.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"elman.data.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
