"""What a cell is made of, apart from its numbers: how one that computes the same is known.

A captured graph (`torch.compile`, `torch.export`) holds tensors and constants and no objects. It
names a cell by a text that says all that its step hangs on but the values of its tensors: classes,
options, sizes.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import types
import uuid
import weakref
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

_OWN = frozenset(nn.Module().__dict__) - {"training"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_PLAIN = (bool, int, float, str, torch.dtype, *_FUNCTIONS)
_PROCESS = uuid.uuid4().hex
"""Goes into the name of what only this process knows."""


class Handle:
    """A module as an attribute of itself that a tracer takes for a constant.

    Two are equal when the same tensors and options are there to be read; a tracer that reads
    them looks after their values. So one graph serves many cells of the same form.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = weakref.ref(module)

    @property
    def module(self) -> nn.Module | None:
        """The module, while it is alive."""
        return self._module()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return NotImplemented
        mine, yours = self.module, other.module
        if mine is None or yours is None:
            return False
        return (*tensors(mine), *options(mine)) == (*tensors(yours), *options(yours))

    def __hash__(self) -> int:
        return hash(Handle)


_pytree.register_constant(Handle)


def tensors(module: nn.Module) -> tuple[str, ...]:
    """Dotted names of all parameters, buffers and tensors kept as plain attributes."""
    found = []
    for path, part in _parts(module):
        for group in (part._parameters, part._buffers, part.__dict__):
            found += [path + name for name, value in group.items() if isinstance(value, Tensor)]
    return tuple(found)


def options(module: nn.Module) -> tuple[str, ...]:
    """Dotted names of the attributes, of instances and classes, that are plain values."""
    found = []
    for path, part in _parts(module):
        names = {n for n, v in part.__dict__.items() if n not in _OWN and _is_plain(v)}
        for kind in type(part).__mro__:
            if kind is nn.Module:
                break
            names |= {
                n
                for n, v in vars(kind).items()
                if n not in _OWN
                and n not in part.__dict__
                and not n.startswith("__")
                and not isinstance(v, _FUNCTIONS)
                and _is_plain(v)
            }
        found += [path + name for name in sorted(names)]
    return tuple(found)


def at(module: Any, path: str) -> Any:
    """An attribute by its dotted name."""
    for name in path.split("."):
        module = getattr(module, name)
    return module


def name_of(module: nn.Module, use: str = "") -> str:
    """The name of everything that computes as `module` does, in any process that has its classes.

    Names for one `use` are none for another.

    >>> from elman.cells import make
    >>> name_of(make("lstm", 3, 4)) == name_of(make("lstm", 3, 4))
    True
    >>> name_of(make("lstm", 3, 4)) == name_of(make("lstm", 3, 4, peepholes=True))
    False
    """
    told = [use, *(f"{path}: {_class(type(part))}" for path, part in _parts(module))]
    told += [f"{path} {tuple(at(module, path).shape)}" for path in tensors(module)]
    told += [f"{path} = {_value(at(module, path))}" for path in options(module)]
    for path, part in _parts(module):
        for name, value in part.__dict__.items():
            if name in _HOOKS:
                told += [f"{path}{name} {_here(hook)}" for hook in value.values()]
            elif name not in _OWN and not isinstance(value, Tensor | Handle):
                told += [] if _is_plain(value) else [f"{path}{name} = {_here(value)}"]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
    return f"{type(module).__name__}-{digest[:20]}"


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module inside, with the beginning of its attributes' dotted names."""
    for name, part in module.named_modules(remove_duplicate=False):
        yield (name + "." if name else ""), part


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, _PLAIN)


def _value(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"({', '.join(_value(v) for v in value)})"
    return _function(value) if isinstance(value, _FUNCTIONS) else repr(value)


def _function(value: Any) -> str:
    """A function by where others find it too, or as this process's own."""
    module, name = value.__module__, value.__qualname__
    try:
        home: Any = import_module(module) if module else builtins
        found = functools.reduce(getattr, name.split("."), home)
    except (ImportError, AttributeError):
        found = getattr(torch, value.__name__, None)
        name = f"torch.{value.__name__}"
    return f"{module}.{name}" if found is value else _here(value)


def _here(value: object) -> str:
    return f"{type(value).__name__} {id(value)} of {_PROCESS}"


_classes: dict[str, list[type]] = {}


def _class(kind: type) -> str:
    """A class by name; one defined anew under an old name, as in a notebook, by its number too."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    known = _classes.setdefault(name, [])
    if kind not in known:
        known.append(kind)
    number = known.index(kind)
    return f"{name} ({number})" if number else name
