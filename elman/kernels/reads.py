"""The Python values that a step reads: attributes, containers, globals, variables of closures.

A kernel is the step as it was when it was traced. So everything that the step may read is found
from the names in its code, put back if tracing has changed it, and looked at again before every
call. A step that reads what cannot be looked at again (a clock, a file, an iterator) is refused.

The code of torch, NumPy, Python's library and Elman counts as fixed, and that of every installed
package that the cell's class is not from.
"""

from __future__ import annotations

import dis
import enum
import linecache
import operator
import os
import random
import re
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor, nn

_FIXED = frozenset({"torch", "numpy", "elman", *sys.stdlib_module_names})
"""Packages whose functions and globals nobody changes between two calls."""

_OUTSIDE = frozenset(
    {"time", "datetime", "os", "posix", "nt", "io", "secrets", "uuid", "socket", "pathlib"}
    | {"subprocess", "_io", "_socket"}
)
_AMBIENT = {
    "is_grad_enabled": "self.training",
    "is_inference_mode_enabled": "self.training",
    "is_inference": "self.training",
    "requires_grad": "self.training",
    "is_autocast_enabled": "an option of the cell",
    "is_autocast_cpu_enabled": "an option of the cell",
    "get_default_dtype": "x.dtype",
    "get_num_threads": "an option of the cell",
    "_version": "an option of the cell",
    "data_ptr": "an option of the cell",
    "initial_seed": "an option of the cell",
    "manual_seed": "nothing",
}
"""Questions whose answers change from call to call, and what to read instead."""

_UNSEEN = frozenset({"eval", "exec", "globals", "locals", "open", "input", "__import__"})
_ANY_NAME = frozenset({"getattr", "setattr", "vars", "dir", "attrgetter", "__dict__"})
_PLAIN: tuple[type, ...] = (
    *(type(None), bool, int, float, complex, str, bytes, type(...), range, slice, frozenset),
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.MethodWrapperType, types.GetSetDescriptorType, types.MemberDescriptorType),
    *(enum.Enum, re.Pattern, np.generic, np.dtype, np.ufunc, types.GenericAlias),
    *(types.CodeType, type(NotImplemented), types.UnionType),
)
_CONTAINERS = (list, dict, set, deque)
_INNER = frozenset(nn.Module().__dict__) - {"training"} | {"_handle"}
"""Attributes that torch and Elman keep in every module."""
_GIVEN = (types.FunctionType, types.MethodType, partial, *_CONTAINERS, np.ndarray)
_MISSING = object()

MOST = 4096
"""Entries of containers, and bytes of a NumPy array, that are looked at before a call at most."""


@dataclass(frozen=True)
class Place:
    """Something that a step may read and change.

    Attributes:
        what: its name, for messages.
        names: by which the step's code calls it.
        read: gives its contents.
        write: puts contents back.
        by_value: whether contents are compared by value rather than identity.
    """

    what: str
    names: tuple[str, ...]
    read: Callable[[], tuple[Any, ...]]
    write: Callable[[tuple[Any, ...]], None]
    by_value: bool = False

    def differs(self, before: tuple[Any, ...]) -> bool:
        """Return whether the contents are others than before."""
        now = self.read()
        if self.by_value:
            return now != before
        return len(now) != len(before) or any(map(operator.is_not, now, before))


class Changed(Exception):
    """A step has changed what it reads."""

    def __init__(self, what: str, names: tuple[str, ...]) -> None:
        super().__init__(what)
        self.what, self.names = what, names

    @property
    def instead(self) -> str:
        """Return what to write instead."""
        if "random" in self.what or "generator" in self.what:
            return "draw random numbers before the call and give them as part of the input"
        return "keep it as a state of the cell, or change it between two calls"


class Reads:
    """The record of all that a cell's step reads, as far as its code shows.

    Attributes:
        refusal: why the step cannot be compiled whatever it computes, or None.
        places: what tracing could change, generators of random numbers too.
        tensors: those in containers and plain objects.
        arrays: NumPy arrays.
        functions: those that the step may call and that are not fixed.
    """

    def __init__(self, cell: nn.Module) -> None:
        self.refusal: str | None = None
        self.places: list[Place] = []
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.functions: list[types.FunctionType] = []
        self._views: list[Iterable[Any]] = []
        self._gets: list[Callable[[str], Any]] = []
        self._looked: list[tuple[str, ...]] = []
        self._variables: list[types.CellType] = []
        self._names: set[str] = {"forward", "__call__", "__getattr__", "__getattribute__"}
        self._all = False
        self._entries = 0
        self._seen: dict[int, Any] = {}
        self._spaces: list[_Space] = []
        self._own = {
            base.__module__.partition(".")[0]
            for module in cell.modules()
            for base in type(module).__mro__
        }
        for module in cell.modules():
            self._module(module)
        before, now = (-1, -1, False), (0, 0, False)
        while before != now and self.refusal is None:
            if len(self._spaces) > MOST:
                self._refuse(
                    "the step may read more of other modules than can be looked at before every "
                    "call",
                    (),
                    "keep what it needs as attributes",
                )
            for space in list(self._spaces):
                self._scan(space)
            before, now = now, (len(self._names), len(self._spaces), self._all)
        self._settle()
        # A record of the cell's must not keep it alive.
        self._seen.clear()

    # --- looking again ----------------------------------------------------------------------

    def objects(self) -> Iterator[Any]:
        """All that is read, as it is now, to be compared by identity.

        Raises:
            ValueError: a variable of an enclosing function has been deleted.
        """
        # Before every call: no loop of Python's.
        return chain(
            chain.from_iterable(self._views),
            chain.from_iterable(map(map, self._gets, self._looked)),
            map(_content_of, self._variables),
            chain.from_iterable(map(_code_of, self.functions)),
        )

    @property
    def anything(self) -> bool:
        """Return whether the step has any code that may change."""
        return bool(self._views or self._looked or self.functions)

    def snapshot(self) -> list[tuple[Any, ...]]:
        """The contents of every place."""
        return [place.read() for place in self.places]

    def changed_since(self, before: list[tuple[Any, ...]]) -> Changed | None:
        """The first place that is no longer as it was."""
        for place, old in zip(self.places, before, strict=True):
            if place.differs(old):
                return Changed(place.what, place.names)
        return None

    def restore(self, before: list[tuple[Any, ...]]) -> None:
        """Put everything back as it was."""
        for place, old in zip(self.places, before, strict=True):
            if place.differs(old):
                place.write(old)

    def line_of(self, names: Iterable[str]) -> str:
        """Return the first line of the step's code that writes to one of these names, or reads
        one."""
        wanted = set(names)
        for kinds in (("STORE", "DELETE"), ("",)):
            for f in self.functions:
                for code in _codes(f.__code__):
                    for line, opname, name in _instructions(code):
                        if name in wanted and opname.startswith(kinds):
                            return shown(code.co_filename, line)
        return ""

    # --- finding ----------------------------------------------------------------------------

    def _refuse(self, what: str, names: Iterable[str], instead: str) -> None:
        if self.refusal is None:
            line = self.line_of(names)
            self.refusal = f"{what}{f' ({line})' if line else ''}; {instead}"

    def _is_fixed(self, module: str | None) -> bool:
        """Return whether the code of a module is taken not to change."""
        package = (module or "").partition(".")[0]
        return package in _FIXED or (package not in self._own and _installed(package))

    def _module(self, module: nn.Module) -> None:
        if id(module) in self._seen:
            return
        self._seen[id(module)] = module
        kind, own = type(module).__name__, module.__dict__
        for group in ("_parameters", "_buffers", "_modules"):
            self._dict(f"a part of {kind}", (), own[group], views=False)
        self._dict(f"an attribute of {kind}", (), own, views=False)
        if self._is_fixed(type(module).__module__):
            # Its code is not read, but may call a function or read a container that it was given.
            for name, value in own.items():
                if name not in _INNER and isinstance(value, _GIVEN):
                    self._value(value, f"`{name}` of {kind}", (name,))
        else:
            self._spaces.append(_Space(own, f"of {kind}", of_module=True))
        self._class(type(module))
        for part in own["_modules"].values():
            if part is not None:
                self._module(part)

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            if id(base) not in self._seen and not self._is_fixed(base.__module__):
                self._seen[id(base)] = base
                self._views.append(vars(base).values())
                self._spaces.append(_Space(vars(base), f"of the class {base.__name__}", owner=base))

    def _scan(self, space: _Space) -> None:
        """Take up what the names known by now mean here."""
        for name in list(space.holds):
            if name not in space.scanned and self._is_read(space, name):
                space.scanned.add(name)
                self._value(space.holds[name], f"`{name}` {space.of}", (name,))

    def _is_read(self, space: _Space, name: str) -> bool:
        if space.names is not None:
            return name in space.names
        if name in _INNER:
            return False
        if isinstance(space.owner, type) and not issubclass(space.owner, nn.Module):
            return True  # an operator, or a constructor, needs no name
        return name in self._names or (self._all and not name.startswith("__"))

    def _value(self, value: Any, what: str, names: tuple[str, ...]) -> None:
        if value is None or isinstance(value, _PLAIN) or id(value) in self._seen:
            if isinstance(value, types.BuiltinFunctionType):
                self._builtin(value, names)
            return
        if isinstance(value, Tensor):
            self._seen[id(value)] = value
            self.tensors.append(value)
        elif isinstance(value, nn.Module):
            self._hidden(value)
        elif isinstance(value, types.FunctionType):
            self._function(value, names)
        elif isinstance(value, _WRAPPED):
            self._seen[id(value)] = value
            for part in _parts_of(value):
                self._value(part, what, names)
        elif isinstance(value, types.ModuleType):
            self._python_module(value, names)
        elif isinstance(value, type):
            if value.__module__.partition(".")[0] in _OUTSIDE:
                self._outside(value.__module__, names)
            self._class(value)
        elif isinstance(value, tuple):
            self._seen[id(value)] = value
            self._class(type(value))
            for part in value:
                self._value(part, what, names)
        elif isinstance(value, _CONTAINERS):
            self._class(type(value))
            self._container(value, what, names)
        elif isinstance(value, np.ndarray):
            self._array(value, what, names)
        elif value is _PYTHONS or value is _NUMPYS:
            self._random(names)
        elif isinstance(value, _GENERATORS):
            self._seen[id(value)] = value
            self.places.append(_generator(value, f"the generator {what}", names))
        elif type(value).__module__.partition(".")[0] == "torch":
            return
        else:
            self._object(value, what, names)

    def _hidden(self, module: nn.Module) -> None:
        """A module that is not registered in the cell."""
        if id(module) in self._seen:
            return
        self._module(module)
        for part in module.modules():
            own = part.__dict__
            for group in (own, own["_parameters"], own["_buffers"], own["_modules"]):
                self._views.append(group.values())

    def _function(self, f: types.FunctionType, names: tuple[str, ...]) -> None:
        if self._is_fixed(f.__module__):
            if f.__module__ in _OUTSIDE:
                self._outside(f.__module__, names)
            return
        self._seen[id(f)] = f
        self.functions.append(f)
        if not self._is_fixed(f.__globals__.get("__name__")):
            self._code(f)
        self._spaces.append(_Space(f.__dict__, f"of the function {f.__name__}"))
        for name, variable in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._variable(name, variable)
        for default in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self._value(default, f"a default of {f.__name__}", (f.__name__,))

    def _code(self, f: types.FunctionType) -> None:
        read: set[str] = set()
        for code in _codes(f.__code__):
            for _, opname, name in _instructions(code):
                if opname == "IMPORT_NAME":
                    self._value(sys.modules.get(name), f"the module {name}", (name,))
                elif "GLOBAL" in opname or opname == "LOAD_NAME":
                    read.add(name)
                elif not opname.endswith(("DEREF", "CLOSURE")):
                    self._names.add(name)
                    if name in _AMBIENT:
                        self._ambient(name, name)
        for name in sorted(read & _UNSEEN):
            if f.__globals__.get(name, _MISSING) is _MISSING:
                self._refuse(
                    f"the step calls {name}, and what it reads cannot be noticed",
                    (name,),
                    "do this before the first step and keep the result as an attribute",
                )
        self._all = self._all or bool(read & _ANY_NAME) or "__dict__" in self._names
        self._spaces.append(_Space(f.__globals__, "of the module", names=frozenset(read)))

    def _variable(self, name: str, variable: types.CellType) -> None:
        if id(variable) in self._seen:
            return
        self._seen[id(variable)] = variable
        if _content(variable) is not _MISSING:
            self._variables.append(variable)
        what = f"the variable `{name}` of an enclosing function"

        def write(old: tuple[Any, ...]) -> None:
            variable.cell_contents = old[0]

        self.places.append(Place(what, (name,), lambda: (_content(variable),), write))
        self._value(_content(variable), what, (name,))

    def _python_module(self, module: types.ModuleType, names: tuple[str, ...]) -> None:
        if module.__name__.partition(".")[0] in _OUTSIDE:
            self._outside(module.__name__, names)
        elif module.__name__ in ("random", "numpy.random") or (
            module is np and "random" in self._names
        ):
            self._random(names)
        elif not self._is_fixed(module.__name__):
            self._seen[id(module)] = module
            self._spaces.append(_Space(vars(module), f"of the module {module.__name__}"))

    def _builtin(self, f: types.BuiltinFunctionType, names: tuple[str, ...]) -> None:
        if f.__name__ in _AMBIENT:
            self._ambient(f.__name__, *names)
        elif f.__self__ is _PYTHONS or f.__self__ is _NUMPYS:
            self._random(names)
        elif (f.__module__ or "") in _OUTSIDE:
            self._outside(f.__module__ or "", names)

    def _random(self, names: tuple[str, ...]) -> None:
        self._refuse(
            "the step draws random numbers",
            names,
            "draw them before the call and give them as part of the input",
        )

    def _ambient(self, question: str, *names: str) -> None:
        self._refuse(
            f"the step asks for {question}, whose answer may be another at the next call",
            names,
            f"read {_AMBIENT[question]} instead",
        )

    def _outside(self, module: str, names: tuple[str, ...]) -> None:
        self._refuse(
            f"the step uses the module {module}, and what it reads there cannot be noticed",
            names,
            "read it outside the step and give it as an attribute or as part of the input",
        )

    def _container(self, value: Any, what: str, names: tuple[str, ...]) -> None:
        self._seen[id(value)] = value
        self._entries += len(value)
        if self._entries > MOST:
            self._refuse(
                f"{what} is a {type(value).__name__} with too many entries to look at before "
                "every call",
                names,
                "keep it as a tuple or a buffer",
            )
            return
        if isinstance(value, dict):
            self._dict(f"{what}, a dict,", names, value)
            parts: Iterable[Any] = list(value.values())
        else:
            parts = list(value)
            self._views.append(value)

            def write(old: tuple[Any, ...]) -> None:
                value.clear()
                value.update(old) if isinstance(value, set) else value.extend(old)

            named = f"{what}, a {type(value).__name__},"
            self.places.append(Place(named, names, lambda: tuple(value), write))
        for part in parts:
            self._value(part, what, names)

    def _dict(
        self, what: str, names: tuple[str, ...], value: dict[Any, Any], views: bool = True
    ) -> None:
        if views:
            self._views += (value, value.values())

        def write(old: tuple[Any, ...]) -> None:
            value.clear()
            value.update(zip(old[: len(old) // 2], old[len(old) // 2 :], strict=True))

        self.places.append(Place(what, names, lambda: (*value, *value.values()), write))

    def _array(self, value: np.ndarray[Any, Any], what: str, names: tuple[str, ...]) -> None:
        self._seen[id(value)] = value
        if value.nbytes > MOST or value.dtype.hasobject:
            self._refuse(
                f"{what} is a NumPy array of {value.nbytes} bytes, too many to look at before "
                "every call",
                names,
                "keep it as a buffer: self.register_buffer(name, torch.from_numpy(array))",
            )
            return
        self.arrays.append(value)

        def write(old: tuple[Any, ...]) -> None:
            value[...] = np.frombuffer(old[0], value.dtype).reshape(value.shape)

        named = f"{what}, a NumPy array,"
        self.places.append(Place(named, names, lambda: (value.tobytes(),), write, by_value=True))

    def _object(self, value: Any, what: str, names: tuple[str, ...]) -> None:
        self._seen[id(value)] = value
        kind = type(value)
        slots = [n for base in kind.__mro__ for n in _slots(base) if n != "__dict__"]
        own = getattr(value, "__dict__", None)
        if hasattr(value, "__next__") or (own is None and not slots):
            self._refuse(
                f"{what} is a {kind.__name__}, whose changes cannot be noticed",
                names,
                "keep it as numbers, a tuple, a list, a dict or a buffer",
            )
            return
        self._class(kind)
        if own is not None:
            self._spaces.append(_Space(own, f"of {kind.__name__}"))
        if slots:
            self._spaces.append(_Space(_Slots(value, slots), f"of {kind.__name__}", owner=value))

    def _settle(self) -> None:
        """Make places of the names, now that all are known."""
        stored = {
            name
            for f in self.functions
            for code in _codes(f.__code__)
            for _, opname, name in _instructions(code)
            if opname in ("STORE_ATTR", "DELETE_ATTR")
        }
        for space in self._spaces:
            if space.of_module:
                continue  # it is looked at whole
            holds = space.holds
            wanted = set(space.names or ())
            if space.names is None:
                wanted = {n for n in holds if self._is_read(space, n)} | stored
            self.places += [space.place(name) for name in sorted(wanted)]
            looked = tuple(n for n in sorted(wanted) if n in holds or space.names is not None)
            if looked and not isinstance(space.owner, type):
                self._gets.append(holds.get)
                self._looked.append(looked)
        if self.anything:
            self.places += _shared_generators()


class _Space:
    """Names and what they mean: an object's attributes, a class's, a module's globals.

    Attributes:
        holds: the names with their meanings.
        of: whose they are, for messages.
        names: those that are read, where that is known; otherwise every attribute's name counts.
        owner: who must be asked to change a meaning, where that is not `holds`.
        of_module: whether they are the attributes of an `nn.Module`.
        scanned: the names whose meanings have been taken up.
    """

    def __init__(
        self,
        holds: Mapping[str, Any],
        of: str,
        names: frozenset[str] | None = None,
        owner: Any = None,
        of_module: bool = False,
    ) -> None:
        self.holds, self.of, self.names, self.owner = holds, of, names, owner
        self.of_module = of_module
        self.scanned: set[str] = set()

    def place(self, name: str) -> Place:
        """Return one of the names as something that tracing may change."""
        holds: Any = self.holds

        def write(old: tuple[Any, ...]) -> None:
            if self.owner is None:
                if old[0] is _MISSING:
                    del holds[name]
                else:
                    holds[name] = old[0]
            elif old[0] is _MISSING:
                delattr(self.owner, name)
            else:
                setattr(self.owner, name, old[0])

        return Place(f"`{name}` {self.of}", (name,), lambda: (holds.get(name, _MISSING),), write)


class _Slots(Mapping[str, Any]):
    """The attributes of an object that keeps them in slots."""

    def __init__(self, value: Any, slots: list[str]) -> None:
        self._value, self._slots = value, slots

    def __getitem__(self, name: str) -> Any:
        if name not in self._slots or not hasattr(self._value, name):
            raise KeyError(name)
        return getattr(self._value, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self._slots if hasattr(self._value, name)])

    def __len__(self) -> int:
        return len(list(iter(self)))


_WRAPPED = (types.MethodType, partial, staticmethod, classmethod, property, type(lru_cache(len)))


def _parts_of(value: Any) -> tuple[Any, ...]:
    if isinstance(value, types.MethodType):
        return value.__func__, value.__self__
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, property):
        return value.fget, value.fset
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    return (value.__wrapped__,)


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


_content_of = operator.attrgetter("cell_contents")
_code_of = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")


def _content(variable: types.CellType) -> Any:
    try:
        return variable.cell_contents
    except ValueError:  # nothing was assigned yet
        return _MISSING


@lru_cache(maxsize=1024)
def _installed(package: str) -> bool:
    found = sys.modules.get(package)
    file = getattr(found, "__file__", None) or "".join(getattr(found, "__path__", ()))
    return "site-packages" in file or "dist-packages" in file


# --- code ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _codes(code: types.CodeType) -> tuple[types.CodeType, ...]:
    """A function's code, and that of functions and classes written inside it."""
    inside = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return (code, *chain.from_iterable(map(_codes, inside)))


@lru_cache(maxsize=1024)
def _instructions(code: types.CodeType) -> tuple[tuple[int, str, str], ...]:
    """The instructions that take a name or a variable of an enclosing function: line, what it
    does, name."""
    found, line = [], code.co_firstlineno
    for i in dis.get_instructions(code):
        if i.positions is not None and i.positions.lineno is not None:
            line = i.positions.lineno
        named = i.opcode in dis.hasname or i.opcode in dis.hasfree
        if named and i.opname != "MAKE_CELL":
            found.append((line, i.opname, str(i.argval)))
    return tuple(found)


def is_users(frame: types.FrameType) -> bool:
    """Return whether code that runs is a user's, not torch's, Elman's or Python's own."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in _FIXED


def shown(file: str, line: int) -> str:
    """Return a line of source as `file:line: code`."""
    return f"{os.path.basename(file)}:{line}: {linecache.getline(file, line).strip()}"


# --- random numbers -----------------------------------------------------------------------------

_GENERATORS = (
    random.Random,
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
)


def _generator(value: Any, what: str, names: tuple[str, ...]) -> Place:
    if isinstance(value, random.Random):
        return Place(
            what, names, lambda: (value.getstate(),), lambda old: value.setstate(old[0]), True
        )
    bits = value.bit_generator if isinstance(value, np.random.Generator) else value
    if isinstance(bits, np.random.RandomState):
        return Place(
            what,
            names,
            lambda: (_Frozen(bits.get_state(legacy=False)),),
            lambda old: bits.set_state(old[0].state),
            True,
        )

    def put(old: tuple[Any, ...]) -> None:
        bits.state = old[0].state

    return Place(what, names, lambda: (_Frozen(bits.state),), put, True)


class _Frozen:
    """The state of a generator of NumPy's, which can be compared."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and repr_of(self.state) == repr_of(other.state)

    __hash__ = None  # type: ignore[assignment]


def repr_of(state: Any) -> Any:
    """Return a state with bytes in the place of arrays."""
    if isinstance(state, dict):
        return {k: repr_of(v) for k, v in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state


_PYTHONS: random.Random = random._inst
_NUMPYS: np.random.RandomState = np.random.mtrand._rand


def _shared_generators() -> list[Place]:
    """The generators that the whole process draws from, while nobody else can."""
    if threading.active_count() > 1:
        return []
    return [
        _generator(_PYTHONS, "the state of Python's random numbers", ("random",)),
        _generator(_NUMPYS, "the state of NumPy's random numbers", ("random",)),
    ]
