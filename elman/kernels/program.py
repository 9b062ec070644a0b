"""A cell's kernels: for which calls there are some, built once, and found again at every call.

Looking them up must cost next to nothing, and yet notice whatever could change what a cell
computes: its options, its tensors' shapes and types, a hook, and all that its step reads of Python
(`elman.kernels.reads`). A number that has changed becomes an argument of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import stateless

from elman.cells.base import Cell
from elman.errors import InputError, nearest
from elman.kernels import build, transforms
from elman.kernels.emit import TARGETS, Target, cell_source, halves_source, products_sources
from elman.kernels.plan import Kind, Plans, make_plans
from elman.kernels.reads import Reads
from elman.kernels.sequence import Call
from elman.kernels.trace import Holds, Rigid, Untraceable, trace

Weights = Mapping[str, Tensor]
"""Tensors that stand in for a cell's own, by name."""


@dataclass
class Program:
    """The built kernels of one cell.

    Attributes:
        plans: what they do.
        source: their C.
        target: for which instruction set.
        double: whether numbers are float64, not float32.
        half: whether matrices are bfloat16; everything else is float32 even so.
        library, products, sums: the loaded libraries.
        sizes: the table of sizes.
        work: all sizes together, a measure of what one row of one step takes.
        groups: for each plan and each of its matrices how wide the groups of columns are that go to
            threads; None where threads cannot share out units.
        read, read_of_x: for each plan how many numbers of matrices a step reads: of those that
            multiply states and what is computed from them, and of those that multiply x alone.
        functions: the library's, by plan.
        pack: the function that packs a matrix for it.
        product: the address of the product of what it has packed.
        sums_room: numbers of scratch memory that a sum over rows needs for each thread.
        rooms: numbers of scratch memory for so many rows, as far as asked for.
        frames: what `elman.kernels.launch` has worked out for some sizes.
    """

    plans: Plans
    source: str
    target: Target
    double: bool
    half: bool
    library: ctypes.CDLL
    products: ctypes.CDLL
    sums: ctypes.CDLL
    sizes: Any
    work: int
    groups: dict[Kind, list[int] | None]
    read: dict[Kind, int]
    read_of_x: dict[Kind, int]
    functions: dict[Kind, Callable[[bytes], None]]
    pack: Callable[..., None]
    product: int
    sums_room: int
    rooms: dict[tuple[Kind, int], int] = field(default_factory=dict)
    frames: dict[Any, Any] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """Numbers in a register."""
        return self.target.vector // (8 if self.double else 4)

    @property
    def bytes_of_weight(self) -> int:
        """Bytes of a number in a packed matrix."""
        return 8 if self.double else 2 if self.half else 4

    def wide(self) -> Program:
        """Return this program with matrices in float32."""
        product = _address(self.products.product)
        return replace(self, half=False, pack=self.products.pack, product=product, frames={})

    def room(self, kind: Kind, rows: int) -> int:
        """Return the numbers of scratch memory that a thread needs for so many rows."""
        if (kind, rows) not in self.rooms:
            asked = getattr(self.library, f"{kind}_room")
            self.rooms[kind, rows] = asked(self.sizes, ctypes.c_long(rows))
        return self.rooms[kind, rows]


def find(cell: Cell, call: Call, weights: Weights | None = None) -> Program | str:
    """The kernels for this call, or why there are none; built at a cell's first call."""
    if (transform := transforms.in_force()) is not None:
        return f"compiled kernels do not follow {transform}"
    dtype = call.x.dtype
    if call.x.device.type != "cpu":
        return f"compiled kernels run on the CPU, not on {call.x.device.type!r}"
    if torch.is_autocast_enabled("cpu"):
        return "compiled kernels do not follow autocast"
    if dtype not in (torch.float32, torch.float64, torch.bfloat16):
        return f"compiled kernels take float32, float64 and bfloat16, not {dtype}"
    known = _known.get(cell)
    if known is None or not known.holds_still(cell):
        known = _known[cell] = _Known(cell, known)
    if known.restless is not None:
        return known.restless
    if (hooked := known.hooked()) is not None:
        return f"a hook on {hooked} would not be called"
    tensors = known.tensors(weights)
    for t in (*tensors, *call.state):
        if t is not None and t.dtype is not dtype and (t.is_floating_point() or t.is_complex()):
            return "compiled kernels want input, state and parameters of one dtype"
    holds: Holds | None = None
    if call.hold is not None:
        holds = tuple(
            "mask" if isinstance(h, Tensor) else (float(h) if h else None) for h in call.hold
        )
    key = (holds, dtype, known.mark, *[None if t is None else t.shape for t in tensors])
    found = known.programs.get(key)
    if found is None:
        given = dict(weights or {})
        if dtype == torch.bfloat16:
            # The step is the same in any precision, and said to the tracer in that of its sums.
            named = zip(known.names, tensors, strict=True)
            given = {n: t.float() for n, t in named if t is not None and t.dtype is dtype}
        try:
            with lent(cell, given):
                found = known.programs[key] = _make(cell, holds, dtype, known)
        except Rigid as error:
            known.keep_rigid(error.names)
            return find(cell, call, weights)
    return found


def tensors_of(cell: Cell, program: Program, weights: Weights | None) -> list[Tensor]:
    """The tensors that a program is prepared from, in its order; call `find` first."""
    known = _known[cell]
    tensors = [*known.tensors(weights), *known.loose.values()]
    if (places := known.places.get(id(program))) is None:
        names = [*known.names, *known.loose]
        places = [names.index(n) for n in program.plans.traced.names]
        known.places[id(program)] = places
    return [t for k in places if (t := tensors[k]) is not None]


class _Same:
    """A value that is equal to itself alone, and lives as long as it may be asked for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _mark(value: Any) -> Any:
    """Return what tells a value from others: plain ones by value, containers by what is in them."""
    if type(value) in (int, float, bool, str):
        return type(value), repr(value)
    return type(value) if type(value) in (list, dict, set) else _Same(value)


_MOST_PROGRAMS = 64
"""Programs of one cell that are remembered at most."""


class _Known:
    """The record of one cell: its programs, and the means to notice a change of it.

    Attributes:
        programs: found or refused so far, by what makes them differ.
        mark: stands for all that is no tensor and may change what is computed.
        names: of all parameters and buffers.
        loose: numbers that have changed, which are arguments of the kernel, by name.
        restless: why there is no kernel whatever changes, as the step itself changes something.
        reads: what the step reads of Python.
        places: for a program, by its identity, which tensors it is prepared from.
    """

    def __init__(self, cell: Cell, before: _Known | None) -> None:
        self.programs: dict[Any, Program | str] = {} if before is None else before.programs
        self._marks: dict[Any, int] = {} if before is None else before._marks
        self._rigid: set[str] = set() if before is None else before._rigid
        self.places: dict[int, list[int]] = {}
        modules = [m.__dict__ for m in cell.modules()]
        self._inside = [m for m in cell.modules() if m is not cell]
        self._kinds = [type(cell), *map(type, self._inside)]
        self._parts = [
            part
            for m in modules
            for part in (m.values(), m["_modules"].values(), m["_parameters"], m["_buffers"])
        ]
        self._hooks = [
            (m[hooks], type(module).__name__)
            for m, module in zip(modules, cell.modules(), strict=True)
            for hooks in HOOKS
        ]
        self.names: list[str] = []
        self._slots: list[tuple[dict[str, Tensor | None], str]] = []
        self._options: dict[str, Any] = {}
        self._numbers: dict[str, int | float] = {}
        self._versions: list[tuple[Tensor, int]] = []
        for prefix, module in cell.named_modules():
            start = f"{prefix}." if prefix else ""
            for tensors in (module._parameters, module._buffers):
                for name in tensors:
                    self.names.append(start + name)
                    self._slots.append((tensors, name))
            self._options[prefix] = type(module)
            for name, value in module.__dict__.items():
                if type(value) in (int, float):
                    self._numbers[start + name] = value
                elif type(value) in (bool, str, tuple) or callable(value):
                    self._options[start + name] = _mark(value)
                elif isinstance(value, Tensor):
                    self._options[start + name] = self._version(value)
        self.restless: str | None = None
        same = before is not None and before._is_same_step(self)
        self.reads: Reads = before.reads if before is not None and same else Reads(cell)
        if before is not None and same:
            self.restless = before.restless
        self._code = self._code_now()
        self._arrays = [(a, a.tobytes()) for a in self.reads.arrays]
        self._kept = [v for v in self._now() if v is not cell]
        self._ids = list(map(id, self._now()))
        for i, value in enumerate(self.reads.objects()):
            self._options[f"read {i}"] = None if value is cell else _mark(value)
        for i, tensor in enumerate(self.reads.tensors):
            self._options[f"tensor {i}"] = self._version(tensor)
        for i, (_, values) in enumerate(self._arrays):
            self._options[f"array {i}"] = values
        self._varied: set[str] = set() if before is None else before._varied
        if before is not None:
            past = before._numbers
            self._varied |= {n for n in past if repr(past[n]) != repr(self._numbers.get(n))}
        self._settle()

    def _version(self, value: Tensor) -> tuple[_Same, int]:
        version = 0 if value.is_inference() else value._version
        self._versions.append((value, version))
        return _Same(value), version

    def _is_same_step(self, after: _Known) -> bool:
        """Return whether `after` is the same restless step, whatever it has changed."""
        if self.restless is None or self._kinds != after._kinds:
            return False
        if self._code != self._code_now():
            return False
        mine, others = self._options, after._options
        return all(mine.get(n) == o for n, o in others.items() if isinstance(o, tuple))

    def _code_now(self) -> list[_Same]:
        read = self.reads.objects()
        return [_Same(v) for v in read if callable(v) or isinstance(v, types.CodeType)]

    def _settle(self) -> None:
        """Tell numbers that are arguments from those that are part of the step."""
        self.loose = {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in self._numbers.items()
            if name in self._varied and name not in self._rigid
        }
        fixed = {n: _mark(v) for n, v in self._numbers.items() if n not in self.loose}
        if len(self._marks) >= _MOST_PROGRAMS:
            self._marks.clear()
            self.programs.clear()
        whole = (*(self._options | fixed).items(), *self.loose)
        self.mark = self._marks.setdefault(whole, len(self._marks))

    def keep_rigid(self, names: Iterable[str]) -> None:
        """Make these numbers part of the step: the step does more with them than compute."""
        self._rigid |= set(names)
        self._settle()

    def _now(self) -> Iterator[Any]:
        return chain(chain.from_iterable(self._parts), self.reads.objects())

    def holds_still(self, cell: Cell) -> bool:
        """Return whether nothing was set anew since."""
        try:
            now = self._now() if self.reads.anything else chain.from_iterable(self._parts)
            if list(map(id, now)) != self._ids:
                return False
        except ValueError:  # a variable is gone
            return False
        if [type(cell), *map(type, self._inside)] != self._kinds:
            return False
        if self._arrays and any(a.tobytes() != values for a, values in self._arrays):
            return False
        return all(t.is_inference() or t._version == version for t, version in self._versions)

    def hooked(self) -> str | None:
        """A module whose hooks a kernel would pass over."""
        for hooks, kind in self._hooks:
            if hooks:
                return kind
        return None

    def tensors(self, weights: Weights | None) -> list[Tensor | None]:
        """Parameters and buffers as they are now, by `names`."""
        if not weights:
            return [tensors[name] for tensors, name in self._slots]
        return [
            weights[whole] if whole in weights else tensors[name]
            for whole, (tensors, name) in zip(self.names, self._slots, strict=True)
        ]


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_known: weakref.WeakKeyDictionary[Cell, _Known] = weakref.WeakKeyDictionary()


def lent(cell: Cell, weights: Weights | None) -> AbstractContextManager[None]:
    """The cell with these tensors in the place of its own, as long as the context lasts."""
    found: AbstractContextManager[None] = stateless._reparametrize_module(cell, dict(weights or {}))
    return found


def _make(cell: Cell, holds: Holds | None, dtype: torch.dtype, known: _Known) -> Program | str:
    double, half = dtype == torch.float64, dtype == torch.bfloat16
    target = best_target()
    if target is None:
        return f"no kernels are made for {platform.machine()} processors yet"
    try:
        with ThreadPoolExecutor(2) as beside:
            # The libraries that all cells share, while this one is traced and compiled.
            shared = [
                beside.submit(build.load, source, target.flags)
                for source in products_sources(target, double)
            ]
            traced = trace(cell, holds, known.reads, known.loose)
            plans = make_plans(traced, cell.state_sizes)
            source = cell_source(plans, target, double)
            library = build.load(source, target.flags)
            products, sums = (library.result() for library in shared)
        own = build.load(halves_source(target), target.flags) if half else products
    except Untraceable as error:
        if error.changes:
            known.restless = str(error)
        return str(error)
    except (InputError, build.BuildError) as error:
        return str(error).splitlines()[0]
    functions: dict[Kind, Any] = {kind: getattr(library, kind) for kind in plans.plans}
    for kind, function in functions.items():
        getattr(library, f"{kind}_room").restype = ctypes.c_long
        function.argtypes, function.restype = [ctypes.c_char_p], None
    long, pointer = ctypes.c_long, ctypes.c_void_p
    for large in (products.by_rows, products.pack_all, sums.of_rows):
        large.argtypes, large.restype = [ctypes.c_char_p], None
    sums.of_rows_room.argtypes, sums.of_rows_room.restype = [], long
    products.summed.argtypes, products.summed.restype = [long, long, pointer, long], ctypes.c_ulong
    pack, product = (own.pack16, own.product16) if half else (own.pack, own.product)
    for packs in (products.pack, pack):
        packs.argtypes, packs.restype = [long, long, long, pointer, long, long, pointer], None
    values = list(plans.sizes.values.values())
    sizes = (ctypes.c_long * len(values))(*values)
    return Program(
        plans,
        source,
        target,
        double,
        half,
        library,
        products,
        sums,
        sizes,
        work=sum(values),
        groups={kind: _groups(plans, kind) for kind in plans.plans},
        read={kind: _read(plans, kind, of_x=False) for kind in plans.plans},
        read_of_x={kind: _read(plans, kind, of_x=True) for kind in plans.plans},
        functions=functions,
        pack=pack,
        product=_address(product),
        sums_room=sums.of_rows_room(),
    )


def _groups(plans: Plans, kind: Kind) -> list[int] | None:
    plan = plans.plans[kind]
    if plan.groups is None:
        return None
    found: dict[int, int] = {}
    for phase in plan.phases:
        for product in phase.products:
            group = plans.sizes.values[plan.group(product)]
            if found.setdefault(plan.matrices.index(product.matrix), group) != group:
                return None
    return [found[k] for k in range(len(plan.matrices))]


def _read(plans: Plans, kind: Kind, of_x: bool) -> int:
    products = [p for phase in plans.plans[kind].phases for p in phase.products]
    values = plans.sizes.values
    return sum(
        values[p.depth] * values[p.width] for p in products if (p.source.array == "x") is of_x
    )


@lru_cache(maxsize=1)
def best_target() -> Target | None:
    """The best instruction set that this processor has and a kernel can be made for.

    Raises:
        InputError: ELMAN_TARGET names none.
    """
    asked = os.environ.get("ELMAN_TARGET")
    if asked and asked not in TARGETS:
        raise InputError(f"ELMAN_TARGET={asked!r} is not known.", fix=nearest(asked, TARGETS))
    if asked:
        return TARGETS[asked]
    machine = platform.machine().lower()
    if machine in ("arm64", "aarch64"):
        return TARGETS["neon"]
    if machine not in ("x86_64", "amd64"):
        return None
    has = torch.backends.cpu.get_cpu_capability()
    return TARGETS["avx512" if has == "AVX512" else "avx2" if has == "AVX2" else "sse"]


@lru_cache(maxsize=1)
def own_cache() -> int:
    """Return the bytes of a core's second cache: 1 MB where the system does not tell them."""
    for place in sorted(_CACHES.glob("index*")):
        try:
            level, size = ((place / name).read_text().strip() for name in ("level", "size"))
        except OSError:
            continue
        if level == "2" and size[:-1].isdecimal() and size[-1] in _UNITS:
            return int(size[:-1]) * _UNITS[size[-1]]
    return 1 << 20


_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20}


@lru_cache(maxsize=1)
def pool() -> tuple[int, int, int]:
    """Torch's own OpenMP pool, as addresses: how to run in it, which thread one is, of how many."""
    for name in (None, "libgomp.so.1", "libomp.so", "libiomp5.so", "libomp.dylib"):
        try:
            library = ctypes.CDLL(name)
            names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
            found = [ctypes.cast(library[n], ctypes.c_void_p).value or 0 for n in names]
        except (OSError, AttributeError):
            continue
        return found[0], found[1], found[2]
    return 0, 0, 0


@lru_cache(maxsize=256)
def longs(n: int) -> struct.Struct:
    """So many `long`s or addresses, as C has them in a structure."""
    return struct.Struct(f"{n}q")


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads_at_most() -> int:
    """Return the number of threads that a kernel may take."""
    # After a fork the pool's threads are gone and it would wait for them for ever.
    return 1 if _forked or not pool()[0] else torch.get_num_threads()


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
