"""Recordings: WAV, FLAC, OGG and MP3 of any rate and number of channels.

A recording becomes one cell of kind `sound` (`elman.data.kinds.Sound`): its samples as float32,
one channel, at the rate of its file. It is decoded once. Rates are left as they are, because the
common rate belongs to the training part alone: `commonest_rate` finds it, `resampled` applies it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.data import files
from elman.data.kinds import Kind, Sound, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError, nearest, require

SUFFIXES = frozenset([".wav", ".flac", ".ogg", ".mp3"])
"""Endings of the names of recordings, in lower case."""

LabelSource = Literal["folder", "name"]

MOST_VALUES = 1 << 28
"""Values of one file at most, all channels together: 1 GiB, 4.6 hours of one channel at 16 kHz."""

ABOUT = frozenset(["meta", "metadata", "labels", "annotations", "info", "csv", "lists"])
"""Names of folders of the lists that describe recordings, which lie in a folder beside them."""

PARTS = frozenset(["train", "training", "test", "testing", "valid", "validation", "val", "dev"])
"""Names of folders that say which part of the data a file belongs to, not its class."""

# Sizes that programs write into a WAV header when they do not know the end yet.
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Header sizes are often a few bytes off (a missing pad byte, the header counted twice).
_SIZE_SLACK = 64


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    labels: LabelSource | None = None,
) -> Table:
    """Read recordings into the columns `sound` and, where the files tell a class, `label`.

    Several channels are averaged to one. `meta` of the table says what was found: `rates` (rate
    in Hz to number of recordings), `labels` ("folder", "name" or None) and `notes`, sentences for
    the user.

    Args:
        paths: files; the rows keep their order.
        columns: the columns to keep; None keeps both.
        types: column to kind, where another kind is meant.
        labels: where the class stands. "folder": the name of the folder that the file lies in.
            "name": the part of the file's name before the first `_`. None finds it: the folder
            where the files lie in several folders (`train`, `test` and the like do not count),
            else the name where every name has a `_` and each label stands in two names or more
            on average, else there is no label.

    Raises:
        MissingExtra: the extra `audio` is not installed.
        InputError: a file is empty, damaged, not a recording, too long, or holds a sample that
            is no number; or the labels asked for are not in the names.
    """
    import pandas as pd

    _require()
    if labels not in (None, "folder", "name"):
        raise InputError(f"labels={labels!r} is not known.", fix=nearest(labels, _LABELS))
    found = labels or _label_source(paths)
    notes = []
    names: list[str] = []
    if found is not None:
        names = [_LABELS[found](path) for path in paths]
        notes.append(_label_note(found, paths[0], names[0]))
    sounds, told = _decoded(paths)
    frame = pd.DataFrame({"sound": objects(sounds)})
    known: dict[str, Kind] = {"sound": "sound"}
    if names:
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
    origins = [Origin(path, 1) for path in paths]
    meta = {"labels": found, **told, "notes": notes + told["notes"]}
    return build(frame, origins, known=known, columns=columns, types=types, meta=meta)


def path_column(table: Table) -> str | None:
    """Return the column in which every cell names a recording, or None: the mark of a manifest.

    Raises:
        InputError: there are several such columns.
    """
    found = files.columns_of(table, SUFFIXES)
    if len(found) > 1:
        raise InputError(
            f"Several columns name recordings: {', '.join(found)}.",
            file=table.source,
            fix="Say which one to read.",
        )
    return found[0] if found else None


def from_manifest(table: Table, column: str | None = None) -> Table:
    """Replace a column of paths by the recordings that lie there; other columns stay.

    Args:
        table: read from CSV, JSON lines or any other table.
        column: the column of paths; None takes `path_column`. A path is relative to the file
            that its row stands in (to the working folder where that is no file); what is not
            there is looked for by its name in the folders below, or beside one such as `meta`.

    Returns:
        A table in which `column` is of kind `sound`, with `rates` and `notes` in `meta`.

    Raises:
        MissingExtra: the extra `audio` is not installed.
        InputError: no column names recordings; a cell is empty or names no file; or as `read`.
    """
    _require()
    column = column or path_column(table)
    if column is None:
        raise InputError(
            "No column holds the paths of recordings.",
            file=table.source,
            fix=f"Name files that end in {', '.join(sorted(SUFFIXES))}.",
        )
    places: list[Path] = []
    known: dict[str, list[Path]] | None = None
    for row, cell in enumerate(table.column(column, "text")):
        if cell is None or not cell.strip():
            raise table.refuse("The path is empty.", row, column, "Take the row out.")
        beside = table.where(row)[0]
        place = (Path() if beside is None else beside.parent) / cell.strip()
        try:
            if not place.is_file():
                known = _below(beside) if known is None else known
                there = known.get(Path(cell.strip()).name, [])
                place = there[0] if len(there) == 1 else place
            places.append(files.find(place))
        except InputError as error:
            raise table.refuse(
                f"There is no file {str(place)!r}.",
                row,
                column,
                error.fix or "Paths are relative to this file.",
            ) from None
    sounds, told = _decoded(places)
    frame = table.frame.assign(**{column: objects(sounds)})
    kinds: dict[str, Kind] = {**table.kinds, column: "sound"}
    meta = {**table.meta, **told, "notes": [*table.meta.get("notes", ()), *told["notes"]]}
    return Table(frame, kinds, table.source, meta, table.origins, table.index)


def _below(beside: Path | None) -> dict[str, list[Path]]:
    """Return the recordings below the folder of a list by name; where that folder holds only what
    describes them, those below the one that it lies in.
    """
    found: dict[str, list[Path]] = {}
    if beside is None:
        return found
    folder = beside.parent.resolve()
    folder = folder.parent if folder.name.casefold() in ABOUT else folder
    for path in folder.rglob("*"):
        if files.suffix(path) in SUFFIXES:
            found.setdefault(path.name, []).append(path)
    return found


def decode(path: Path) -> tuple[Sound, int]:
    """Return one recording, its channels averaged, and how many channels the file has.

    Raises:
        MissingExtra: the extra `audio` is not installed.
        InputError: the file is empty, damaged, not a recording, too long, or holds a sample
            that is no number.
    """
    soundfile: Any = require("soundfile", "audio")
    _refuse_foreign(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
            if frames * channels > MOST_VALUES:
                raise InputError(
                    f"The recording is too long: {frames / rate / 3600:.1f} hours, {channels} "
                    f"channel{'s' if channels > 1 else ''} at {rate} Hz.",
                    file=path,
                    fix="Cut it into recordings of minutes.",
                )
            values = file.read(dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise InputError(
            f"The file is not a recording that can be read, or it is damaged ({reason}).",
            file=path,
            fix="Give WAV, FLAC, OGG or MP3; fetch or convert the file again.",
        ) from None
    if len(values) < frames:
        raise InputError(
            f"The file is cut off: it has {len(values)} samples, and its header promises {frames}.",
            file=path,
            fix="Fetch the file again.",
        )
    try:
        return sound(values, rate), channels
    except InputError as error:
        raise InputError(str(error), file=path, fix="Take it out, or record it again.") from None


def sound(samples: ArrayLike, rate: int) -> Sound:
    """Return a recording made by hand: `(n,)`, or `(n, channels)`, which are averaged.

    Args:
        samples: numbers from -1 to 1; whole numbers are divided by what their type holds
            (int16: 32768).
        rate: samples a second.

    Raises:
        InputError: there is no sample, a sample is no number, or there are too many axes.

    >>> sound(np.array([[1.0, 0.0], [0.5, 0.5]]), 8000).samples.tolist()
    [0.5, 0.5]
    >>> sound(np.array([16384, -32768], np.int16), 8000).samples.tolist()
    [0.5, -1.0]
    """
    values = np.asarray(samples)
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2):
        raise InputError(
            f"A recording is an array of numbers (n,) or (n, channels), not {values.dtype} "
            f"{values.shape}."
        )
    if rate <= 0:
        raise InputError(f"rate={rate} is no rate.", fix="Give samples a second, 16000 say.")
    if not values.size:
        raise InputError("The recording has no samples.")
    if values.dtype.kind in "iu":
        most = 1 << (8 * values.dtype.itemsize - 1)
        values = values / most - (1.0 if values.dtype.kind == "u" else 0.0)
    if values.ndim == 2:
        # A mean over one channel is the channel, and costs a copy.
        values = values[:, 0] if values.shape[1] == 1 else values.mean(1)
    single: NDArray[np.float32] = np.ascontiguousarray(values, dtype=np.float32)
    wrong = ~np.isfinite(single)
    if wrong.any():
        raise InputError(f"Sample {int(np.argmax(wrong)) + 1} is no finite number.")
    return Sound(single, int(rate))


def commonest_rate(sounds: Iterable[Sound]) -> int:
    """Return the rate most recordings have, in Hz; the higher one where two are as common.

    >>> commonest_rate([sound([0.0], 8000), sound([0.0], 16000), sound([0.0], 8000)])
    8000
    """
    counts = Counter(one.rate for one in sounds)
    return max(counts, key=lambda rate: (counts[rate], rate))


def resampled(one: Sound, rate: int) -> Sound:
    """Return the recording at `rate` samples a second (by soxr, high quality).

    Raises:
        MissingExtra: the extra `audio` is not installed.
    """
    if one.rate == rate:
        return one
    soxr: Any = require("soxr", "audio")
    return Sound(np.asarray(soxr.resample(one.samples, one.rate, rate), np.float32), rate)


def _require() -> None:
    """Both libraries, before a long read begins: they come with one extra."""
    require("soundfile", "audio")
    require("soxr", "audio")


def _decoded(paths: Sequence[Path]) -> tuple[list[Sound], dict[str, Any]]:
    """The recordings, a path named twice decoded once; their rates, and notes for the user."""
    once = functools.cache(decode)
    found = [once(path) for path in paths]
    sounds = [one for one, _ in found]
    rates = dict(Counter(one.rate for one in sounds).most_common())
    notes = []
    several = sum(channels > 1 for _, channels in found)
    if several:
        notes.append(
            f"{several} of {len(found)} recordings had several channels, which were averaged."
        )
    if len(rates) > 1:
        shown = ", ".join(f"{rate} Hz ({count})" for rate, count in rates.items())
        notes.append(f"The recordings have different rates: {shown}.")
    return sounds, {"rates": rates, "notes": notes}


def _refuse_foreign(path: Path) -> None:
    """Refuse what is no recording by its first bytes, with a better reason than a decoder's."""
    head = next(files.blocks(path, 4096), b"")
    if files.is_gzip(path):
        raise InputError("This is gzip, not a recording.", file=path, fix="Unpack it.")
    if not head:
        raise InputError("The file is empty.", file=path, fix="Take it out, or fetch it again.")
    files.refuse_foreign(path, head, "recording")
    if head[:4] == b"RIFF" and len(head) >= 8:
        size = int.from_bytes(head[4:8], "little")
        missing = size + 8 - path.stat().st_size
        if size not in _UNKNOWN_SIZES and missing > _SIZE_SLACK:
            raise InputError(
                f"The file is cut off: {missing} bytes that its header promises are not there.",
                file=path,
                fix="Fetch the file again.",
            )
    elif all(byte > 31 or byte in b"\t\n\r\f" for byte in head):
        raise InputError(
            "The file holds text, not a recording.", file=path, fix="Give WAV, FLAC, OGG or MP3."
        )


def _label_source(paths: Sequence[Path]) -> LabelSource | None:
    folders = {path.parent for path in paths}
    if len({folder.name for folder in folders if folder.name.casefold() not in PARTS}) > 1:
        return "folder"
    names = [_before_underscore(path) for path in paths]
    # The rule by which a column of words is one of categories: each stands there twice or more.
    return "name" if all(names) and 2 * len(set(names)) <= len(names) else None


def _before_underscore(path: Path) -> str:
    label, mark, _ = path.stem.partition("_")
    return label if mark else ""


def _label_in_name(path: Path) -> str:
    label = _before_underscore(path)
    if not label:
        raise InputError(
            "The name has no label before a '_'.", file=path, fix="Name files label_….wav."
        )
    return label


_LABELS = {"folder": lambda path: path.parent.name, "name": _label_in_name}


def _label_note(source: LabelSource, path: Path, label: str) -> str:
    if source == "folder":
        return f"The label is the name of the folder that a file lies in: {label!r} of {path.name}."
    note = f"The label is the part of a file's name before the first '_': {label!r} of {path.name}."
    if path.stem.count("_") > 1:
        note += " If another part of the name is meant, write a manifest."
    return note
