"""A checkpoint is one safetensors file, written whole or not at all, without pickle.

`pack` turns any nest of dicts, lists, tuples, tensors and plain values into named
tensors and a JSON skeleton; `unpack` is its inverse. `save` and `load` are the file.
The format is safetensors' own (any reader of it lists the tensors); we write it here
rather than through the library so that it goes to the disk tensor by tensor, and so
that a full disk is an OSError with its number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from elman.errors import InputError, RunFailed

VERSION = 1
_KEY = "elman"

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `tensors` and `meta` (JSON values) to `path`, whole or not at all.

    Raises:
        RunFailed: it could not be written (disk full, no right to); the old file is intact.
    """
    write_whole(path, lambda file: _write(file, tensors, meta), "checkpoint")


def write_whole(path: Path, write: Callable[[IO[bytes]], object], what: str = "file") -> None:
    """Let `write` fill a file that is there whole or not at all.

    The old file stays until the new one is safely on the disk: written beside it, synced,
    renamed over it, the folder synced.

    Raises:
        RunFailed: it could not be written (disk full, no right to); the old file is intact.
    """
    path = Path(path)
    # The name is fixed: files that killed writers leave behind are written over.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        kept = f" The {what} before it is intact." if path.exists() else ""
        raise RunFailed(f"{path}: could not be written: {error.strerror}.{kept}") from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the meta of a file that `save` wrote.

    Raises:
        InputError: there is no such file, it is truncated or not one of ours, or it was
            written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such checkpoint.", file=path, fix="Check the run's folder.")
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})[_KEY])
            if meta["version"] > VERSION:
                raise InputError(
                    f"was written by a newer version of Elman (format {meta['version']}, "
                    f"this one reads up to {VERSION}).",
                    file=path,
                    fix="Upgrade with: pip install -U elman",
                )
            # Copies: what the reader returns may be the mapped file itself.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "is not a checkpoint of Elman, or it is truncated.",
            file=path,
            fix="Put back a copy of it, or delete it and train anew.",
        ) from error
    return tensors, meta["meta"]


def pack(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Return named tensors and a JSON skeleton that together are `tree`.

    A tree is made of dicts (with keys of any plain type), lists, tuples, tensors, numbers,
    strings, booleans and None. A tensor that occurs twice (tied weights) is kept once.

    >>> tensors, skeleton = pack({"h": (torch.ones(2), None), 3: "x"})
    >>> list(tensors)
    ['h/0']
    >>> unpack(tensors, skeleton)
    {'h': (tensor([1., 1.]), None), 3: 'x'}

    Raises:
        TypeError: something else is in it; the message says where.
    """
    tensors: dict[str, Tensor] = {}
    seen: dict[tuple[Any, ...], str] = {}

    def walk(node: Any, where: str) -> Any:
        if isinstance(node, Tensor):
            identity = (node.data_ptr(), node.dtype, tuple(node.shape), node.stride())
            name = seen.setdefault(identity, where) if node.numel() else where
            tensors[name] = node
            return {"tensor": name}
        if isinstance(node, dict):
            return {"dict": [[key, walk(item, _join(where, key))] for key, item in node.items()]}
        if isinstance(node, list | tuple):
            kind = "list" if isinstance(node, list) else "tuple"
            return {kind: [walk(item, _join(where, i)) for i, item in enumerate(node)]}
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"{where or 'the state'} is a {type(node).__name__}, which is not saved")

    return tensors, walk(tree, "")


def unpack(tensors: dict[str, Tensor], skeleton: Any) -> Any:
    """Return the tree that `pack` was given."""
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unpack(tensors, item) for key, item in content}
    items = [unpack(tensors, item) for item in content]
    return items if kind == "list" else tuple(items)


def copy(tree: Any, device: torch.device | None = None) -> Any:
    """Return `tree` with every tensor cloned (onto `device`), so that nothing changes it."""
    if isinstance(tree, Tensor):
        return tree.detach().to(device, copy=True)
    if isinstance(tree, dict):
        return {key: copy(item, device) for key, item in tree.items()}
    if isinstance(tree, list):
        return [copy(item, device) for item in tree]
    if isinstance(tree, tuple):
        return tuple(copy(item, device) for item in tree)
    return tree


def _join(where: str, key: object) -> str:
    return f"{where}/{key}" if where else str(key)


def _write(file: IO[bytes], tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    text = json.dumps({"version": VERSION, "meta": meta})
    header: dict[str, Any] = {"__metadata__": {"format": "pt", _KEY: text}}
    # Widest first, so that every tensor is aligned to its own size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    offset = 0
    for name in names:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little"))
    file.write(encoded)
    for name in names:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        file.write(flat.view(torch.uint8).numpy().data)
