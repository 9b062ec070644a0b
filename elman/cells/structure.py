"""The identity of a cell apart from the values of its tensors.

A captured graph (`torch.compile`, `torch.export`) holds tensors and constants and no objects. It
names a cell by a text of everything else that its step depends on: classes, options, sizes.
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
"""Part of the name of an object that only this process knows."""


class Handle:
    """A reference to a module, kept as an attribute of it, that a tracer takes for a constant.

    Two handles are equal when their modules have tensors and options of the same names; a tracer
    guards the values that it reads. So one graph serves many cells of the same form.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = weakref.ref(module)

    @property
    def module(self) -> nn.Module | None:
        """Return the module, or None when it is gone."""
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
    """Return the dotted names of all parameters, buffers and tensors kept as plain attributes."""
    found = []
    for path, part in _parts(module):
        for group in (part._parameters, part._buffers, part.__dict__):
            found += [path + name for name, value in group.items() if isinstance(value, Tensor)]
    return tuple(found)


def options(module: nn.Module) -> tuple[str, ...]:
    """Return the dotted names of attributes, of instances and classes, that are plain values."""
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
    """Return an attribute by its dotted name."""
    for name in path.split("."):
        module = getattr(module, name)
    return module


def name_of(module: nn.Module, use: str = "") -> str:
    """Return a name that is the same for all modules that compute the same, in every process.

    Names made for different `use` differ.

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
    """Give every module inside, with the beginning of its attributes' dotted names."""
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
    """Return where a function can be imported from, or a name that only this process knows."""
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
    """Return the name of a class, numbered if defined again under that name, as in a notebook."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    known = _classes.setdefault(name, [])
    if kind not in known:
        known.append(kind)
    number = known.index(kind)
    return f"{name} ({number})" if number else name
