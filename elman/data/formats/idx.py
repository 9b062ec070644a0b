"""IDX, the format of MNIST: images, and the labels that lie beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.data import files
from elman.data.kinds import Kind, objects
from elman.data.table import Origin, Table, build
from elman.errors import InputError

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read(
    paths: Sequence[Path],
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Table:
    """Read columns `image` (uint8 arrays `(H, W)`) and, with a file of labels, `label`."""
    import pandas as pd

    pictures = [path for path in paths if not _is_labels(path)]
    if not pictures:
        raise InputError("This holds labels; give the file of the images.", file=paths[0])
    images: list[NDArray[Any]] = []
    names: list[str] = []
    origins = []
    for path in pictures:
        array = array_of(path)
        if array.ndim < 3:
            raise InputError(f"This holds arrays of {array.ndim - 1} axes, not images.", file=path)
        beside = _labels_of(path)
        if beside is not None:
            labels = array_of(beside)
            if labels.shape != array.shape[:1]:
                raise InputError(
                    f"There are {len(labels)} labels for {len(array)} images.", file=beside
                )
            names += [str(label) for label in labels.tolist()]
        images += list(array)
        origins.append(Origin(path, len(array)))
    if names and len(names) != len(images):
        raise InputError("Some of the files have labels beside them and some do not.")
    frame = pd.DataFrame({"image": objects(images)})
    known: dict[str, Kind] = {"image": "image"}
    if names:
        frame["label"] = pd.Series(names, dtype=object)
        known["label"] = "category"
    return build(frame, origins, known=known, columns=columns, types=types)


def array_of(path: Path) -> NDArray[Any]:
    """Return the array that an IDX file holds.

    Raises:
        InputError: the header or the size is wrong.
    """
    data = b"".join(files.blocks(path))
    files.refuse_foreign(path, data[:4096])
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or not data[3]:
        raise InputError("This is not an IDX file: its header is wrong.", file=path)
    axes = data[3]
    shape = tuple(np.frombuffer(data, ">u4", axes, 4).tolist()) if len(data) >= 4 + 4 * axes else ()
    dtype = np.dtype(_TYPES[data[2]])
    needed = 4 + 4 * axes + math.prod(shape) * dtype.itemsize
    if not shape or len(data) != needed:
        raise InputError(
            f"The file has {len(data)} bytes; its header promises {needed}.",
            file=path,
            fix="Fetch it again.",
        )
    if not shape[0]:
        raise InputError("The file holds no images.", file=path)
    return np.frombuffer(data, dtype, offset=4 + 4 * axes).reshape(shape)


def _is_labels(path: Path) -> bool:
    return "idx1" in path.name.lower()


def _labels_of(path: Path) -> Path | None:
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name[:-3] if name.endswith(".gz") else name
    for beside in (path.with_name(name), path.with_name(plain), path.with_name(plain + ".gz")):
        if beside != path and beside.exists():
            return beside
    return None
