"""Data: from files to batches.

`read` turns files into a table of typed columns; `split` shares its rows out before anything
is fitted; `Vocabulary` and `Scaler` are fitted on the training part; `batches` says what an
epoch is and where a run stands in it. Nothing here knows of models.
"""

from __future__ import annotations

from elman.data.batches import Batches, CarriedBatch, CarriedBatches, bucketed, ordered, shuffled
from elman.data.files import fingerprint
from elman.data.formats.text import documents, lines
from elman.data.reading import read
from elman.data.scaler import Scaler
from elman.data.scanning import scan
from elman.data.splitting import Duplicates, Split, duplicates, split
from elman.data.table import Table
from elman.data.vocabulary import Vocabulary
from elman.data.wide import series_from_wide

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
