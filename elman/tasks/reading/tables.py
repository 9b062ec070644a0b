"""Tables out of the files of a user, and how those files are written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from elman import data as elman_data
from elman.data import Table, files
from elman.data.numerals import Decimal
from elman.errors import InputError
from elman.tasks import number_cells
from elman.tasks.reading.layout import TextLabels

PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "t10k": "test",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
}
"""The part that a word stands for."""
_PART = re.compile(rf"(?<![a-z])({'|'.join(PARTS)})(?:\d+k?)?(?![a-z])", re.IGNORECASE)


def named_parts(source: Any) -> dict[str, list[Path]] | None:
    """Return the files of a folder by part, where names say train and test (valid, dev, t10k).

    None where the source is no folder, or some file's name says nothing; files that lie beside
    folders of the parts are in none.
    """
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    folder = Path(source)
    found: dict[str, list[Path]] = {}
    folders = {PARTS.get(path.name.lower()) for path in folder.iterdir() if path.is_dir()}
    for path in files.listing(folder):
        said = _PART.search(path.relative_to(folder).as_posix())
        if said is None and path.parent == folder and len(folders - {None}) > 1:
            continue  # lies beside the folders of the parts
        if said is None:
            return None
        found.setdefault(PARTS[said[1].lower()], []).append(path)
    return found if "train" in found and len(found) > 1 else None


@dataclass(frozen=True)
class Writing:
    """How files are written, as settings say or training found.

    Attributes:
        encoding: of text files; found when None.
        sheet: of a workbook, the sheet to read.
        decimal: of CSV, the mark before decimals.
    """

    encoding: str | None = None
    sheet: str | None = None
    decimal: Decimal | None = None

    @classmethod
    def of(cls, settings: Any) -> Self:
        """Return what settings say."""
        return cls(settings.encoding, settings.sheet, settings.decimal)


def as_written(settings: Any, table: Table) -> Any:
    """Return settings with the mark before decimals that training data have, so that later files
    are read alike.

    Raises:
        InputError: a mark was given for data that are no CSV, or that hold no numbers.
    """
    if settings.decimal is not None and "decimal" not in table.meta:
        raise InputError(
            f"decimal={settings.decimal} is for CSV.", file=table.source, fix="Leave it out."
        )
    numbers = "number" in table.kinds.values() or number_cells.found(table)
    if settings.decimal is not None and not numbers:
        raise InputError(
            f"decimal={settings.decimal} has no effect: no column holds numbers.",
            file=table.source,
            fix="Leave it out.",
        )
    found = settings.decimal or table.meta.get("decimal")
    return settings.model_copy(update={"decimal": found})


AS_FOUND = Writing()
"""Nothing is said of how files are written: it is found in them."""


def read(
    source: Any,
    writing: Writing = AS_FOUND,
    *,
    each: Literal["line", "file"] | None = None,
    labels: TextLabels | None = None,
) -> Table:
    """Return a table of any format, or of what is in memory.

    Args:
        source: path, paths, folder, or data in memory (`elman.data.memory`).
        writing: how files are written.
        each, labels: as for `elman.data.read`.
    """
    return elman_data.read(source, each=each, labels=labels, **asdict(writing))
