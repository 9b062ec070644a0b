"""The compiled backend: a cell's own kernel over whole sequences, forward and backward.

What a cell computes is in its plans; here tensors are laid out for them. Rows are sorted by
length and steps put end to end, so that time follows the sum of the lengths; reverse order and
padding are matters of where a step's rows lie. Gradients of matrices and of the input are large
products after the loop.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from elman.cells.base import Cell
from elman.errors import InputError, SlowPathWarning, nearest
from elman.kernels import build, reference, transforms
from elman.kernels.emit import TARGETS, Target, cell_source, products_source
from elman.kernels.graph import Matrix, Node
from elman.kernels.plan import Kind, Plans, make_plans
from elman.kernels.rows import Layout, layout_of
from elman.kernels.sequence import Call, Result
from elman.kernels.trace import Holds, Untraceable, trace

FEW_ROWS = 4
"""A thread with fewer rows than this computes products of the input in one piece, before the loop:
a tile of few rows wastes the processor."""

flush_denormal = True
"""Whether numbers too small for full precision count as zero inside kernels. Backward passes over
long sequences are full of them, and each costs a hundred ordinary operations."""

_OWN_PROCESS = os.getpid()


class _Args(ctypes.Structure):
    """`Args` of step.h."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("begin", "end", "batch", "threads", "room")),
        *((name, ctypes.c_void_p) for name in ("first", "count", "split", "d")),
        *((name, ctypes.c_void_p) for name in ("arrays", "panels", "early", "vectors", "reset")),
        *((name, ctypes.c_void_p) for name in ("scratch", "product", "parallel", "thread")),
        ("flush", ctypes.c_long),
    ]


class _Large(ctypes.Structure):
    """`Large` of products.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("threads", "rows", "K", "N")),
        ("A", ctypes.c_void_p),
        ("lda", ctypes.c_long),
        ("G", ctypes.c_void_p),
        ("ldg", ctypes.c_long),
        ("C", ctypes.c_void_p),
        ("add", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("room", "parallel", "thread")),
        ("flush", ctypes.c_long),
    ]


# --- what can run ----------------------------------------------------------------------------


def find(cell: Cell, call: Call) -> Program | str:
    """The kernels for this call, or why there are none; built at a cell's first call."""
    transform = transforms.active()
    if transform is not None:
        return f"compiled kernels do not follow {transform}"
    if transforms.any_active():
        return "compiled kernels do not follow torch.func.grad"
    if call.x.device.type != "cpu":
        return f"compiled kernels run on the CPU, not on {call.x.device.type!r}"
    if torch.is_autocast_enabled("cpu"):
        return "compiled kernels do not follow autocast"
    dtype = call.x.dtype
    if dtype not in (torch.float32, torch.float64):
        return f"compiled kernels take float32 and float64, not {dtype}"
    shapes: list[Any] = []
    options: list[Any] = []
    dtypes = {s.dtype for s in call.state}
    for module in cell.modules():
        if _hooked(module):
            return f"a hook on {type(module).__name__} would not be called"
        for name, t in (*module._parameters.items(), *module._buffers.items()):
            shapes.append((name, None if t is None else t.shape))
            if t is not None:
                dtypes.add(t.dtype)
        options.append(type(module))
        # What else may be changed between two calls and changes what is computed.
        for name, value in module.__dict__.items():
            if type(value) in (int, float, bool, str):
                options.append((name, value))
            elif isinstance(value, tuple | Tensor) or callable(value):
                options.append((name, id(value), getattr(value, "_version", 0)))
    if dtypes - {dtype}:
        return "compiled kernels want input, state and parameters of one dtype"
    holds: Holds = tuple(
        "mask" if isinstance(h, Tensor) else (float(h) if h else None) for h in call.hold or ()
    ) or (None,) * len(cell.state_sizes)
    key = (holds, dtype, tuple(shapes), tuple(options))
    known = _programs.setdefault(cell, {})
    if key not in known:
        known[key] = _make(cell, holds, dtype == torch.float64)
    return known[key]


def run(cell: Cell, call: Call, program: Program) -> Result:
    """Run a call with the kernels that `find` gave for it."""
    if call.x.shape[0] == 0 or not _steps_taken(call):
        return reference.loop(cell, call)
    traced = program.plans.traced
    prepared = traced.prepare([_tensor(cell, name) for name in traced.names])
    layout = layout_of(call)
    width = call.x.shape[2]
    x = layout.gathered(call.x.reshape(-1, width))
    states, fresh = call.state, _fresh(cell, call)
    masks = [
        layout.gathered(h.reshape(-1, h.shape[2]).to(x.dtype)) if isinstance(h, Tensor) else None
        for h in call.hold or ()
    ]
    states, fresh = layout.sorted(states), layout.sorted(fresh)
    job = _Job(program, layout, call.return_states, len(states), bool(fresh), masks)
    given = (x, *states, *fresh, *prepared)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        results = _Sequence.apply(job, *given)  # type: ignore[no-untyped-call]
    else:
        results, _ = _forward(job, "infer", *given)
    y, *rest = results
    final = layout.unsorted(rest[: len(states)])
    output = layout.scattered(y)
    history = None
    if call.return_states:
        kept = iter(rest[len(states) :])
        same = program.plans.state_is_output
        history = tuple(
            output if i == same else layout.scattered(next(kept)) for i in range(len(states))
        )
    return Result(output, final, history)


def _steps_taken(call: Call) -> int:
    """Steps of all rows together."""
    if call.lengths is not None:
        return int(call.lengths.sum())
    return call.x.shape[0] * call.x.shape[1]


def _hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _tensor(cell: Cell, name: str) -> Tensor:
    """A parameter or buffer by its dotted name."""
    found: Any = cell
    for part in name.split("."):
        found = getattr(found, part)
    tensor: Tensor = found
    return tensor


def _fresh(cell: Cell, call: Call) -> tuple[Tensor, ...]:
    if call.reset is None:
        return ()
    return cell.init_state(call.x.shape[1], call.x.device, call.x.dtype)


# --- programs: a cell's kernels, built once ----------------------------------------------------


@dataclass
class Program:
    """The built kernels of one cell.

    Attributes:
        plans: what they do.
        source: their C.
        target: for which instruction set.
        library, products: the loaded libraries.
        sizes: the table of sizes.
    """

    plans: Plans
    source: str
    target: Target
    library: ctypes.CDLL
    products: ctypes.CDLL
    sizes: Any
    room: dict[tuple[str, int], int]


_programs: weakref.WeakKeyDictionary[Cell, dict[Any, Program | str]] = weakref.WeakKeyDictionary()


def _make(cell: Cell, holds: Holds, double: bool) -> Program | str:
    target = best_target()
    if target is None:
        return f"no kernels are made for {platform.machine()} processors yet"
    try:
        plans = make_plans(trace(cell, holds), cell.state_sizes)
        source = cell_source(plans, target, double)
        library = build.load(source, target.flags)
        products = build.load(products_source(target, double), target.flags)
    except Untraceable as error:
        return str(error)
    except (InputError, build.BuildError) as error:
        return str(error).splitlines()[0]
    for kind in plans.plans:
        getattr(library, f"{kind}_room").restype = ctypes.c_long
    values = list(plans.sizes.values.values())
    sizes = (ctypes.c_long * len(values))(*values)
    return Program(plans, source, target, library, products, sizes, {})


@lru_cache(maxsize=1)
def best_target() -> Target | None:
    """The best instruction set that this processor has and a kernel can be made for."""
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
def _pool() -> tuple[int, int]:
    """The addresses of torch's own OpenMP pool: how to run in it, and who a thread is."""
    for name in (None, "libgomp.so.1", "libomp.so", "libiomp5.so", "libomp.dylib"):
        try:
            library = ctypes.CDLL(name)
            parallel = ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value
            thread = ctypes.cast(library.omp_get_thread_num, ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
        return parallel or 0, thread or 0
    return 0, 0


# --- running ------------------------------------------------------------------------------------


@dataclass
class _Job:
    """One run: the program, where rows lie, what is wanted."""

    program: Program
    layout: Layout
    return_states: bool
    states: int
    resets: bool
    masks: list[Tensor | None]

    def parts(self, given: Sequence[Tensor]) -> tuple[Any, ...]:
        """x, states, fresh states, prepared parameters."""
        n = self.states
        m = n * (1 + self.resets)
        return given[0], given[1 : 1 + n], given[1 + n : 1 + m], given[1 + m :]


_local = threading.local()


def _scratch(numbers: int, like: Tensor) -> Tensor:
    """This thread's scratch memory, grown when it must."""
    name = "double" if like.dtype == torch.float64 else "single"
    held = getattr(_local, name, None)
    if held is None or len(held) < numbers:
        held = torch.empty(numbers + numbers // 4 + 64, dtype=like.dtype)
        setattr(_local, name, held)
    return held


def _pointers(tensors: Sequence[Tensor | None]) -> Any:
    return (ctypes.c_void_p * max(1, len(tensors)))(
        *(None if t is None else t.data_ptr() for t in tensors)
    )


def _threads(job: _Job) -> int:
    if os.getpid() != _OWN_PROCESS or not _pool()[0]:
        # After a fork the pool's threads are gone and it would wait for them for ever.
        return 1
    work = job.layout.rows * sum(s for s in job.program.plans.sizes.values.values())
    if work < 20_000:
        return 1
    return max(1, min(torch.get_num_threads(), job.layout.batch))


def _panel(program: Program, matrix: Matrix, parameter: Tensor) -> Tensor:
    """A matrix packed for products."""
    p = parameter.t() if matrix.transposed else parameter
    depth, width = p.shape
    vector = program.target.vector // p.element_size()
    packed = p.new_empty(depth * (-(-width // vector) * vector))
    program.products.pack(
        ctypes.c_long(depth),
        ctypes.c_long(width),
        ctypes.c_void_p(p.data_ptr()),
        ctypes.c_long(p.stride(0)),
        ctypes.c_long(p.stride(1)),
        ctypes.c_void_p(packed.data_ptr()),
    )
    return packed


def _early(
    job: _Job, kind: Kind, x: Tensor, prepared: Sequence[Tensor], threads: int
) -> list[Tensor | None]:
    """Products of the input made before the loop, for each panel, where that is faster."""
    program, layout = job.program, job.layout
    plan = program.plans.plans[kind]
    early: list[Tensor | None] = [None] * len(plan.matrices)
    rows = layout.batch / threads
    for phase in plan.phases:
        for product in phase.products:
            if product.source.array != "x" or product.source.offset != "0":
                continue
            p = prepared[product.matrix.index]
            p = p.t() if product.matrix.transposed else p
            big = p.numel() * p.element_size() > 1 << 20
            if p.shape[0] < 8 or (rows >= FEW_ROWS and not big):
                continue
            k = plan.matrices.index(product.matrix)
            if product.biases:
                bias = torch.stack([prepared[b] for b in product.biases]).sum(0)
                early[k] = torch.addmm(bias, x, p)
            else:
                early[k] = torch.mm(x, p)
    return early


def _call(
    job: _Job, kind: Kind, arrays: dict[str, Tensor | None], x: Tensor, prepared: Sequence[Tensor]
) -> None:
    program, layout = job.program, job.layout
    plan = program.plans.plans[kind]
    threads = _threads(job)
    prepared = [p.detach() for p in prepared]
    panels = [_panel(program, m, prepared[m.index]) for m in plan.matrices]
    early = _early(job, kind, x, prepared, threads) if kind != "backward" else []
    vectors = [p.contiguous() for p in prepared]
    split = layout.split(threads)
    most = max(b - a for a, b in pairwise(split))
    room = program.room.get((kind, most))
    if room is None:
        room = getattr(program.library, f"{kind}_room")(program.sizes, ctypes.c_long(most))
        program.room[kind, most] = room
    scratch = _scratch(room * threads, x)
    tables = [_pointers([arrays.get(name) for name in plan.arrays]), _pointers(panels)]
    tables += [_pointers([*early, *[None] * (len(panels) - len(early))]), _pointers(vectors)]
    parallel, thread = _pool() if threads > 1 else (0, 0)
    args = _Args(
        0,
        len(layout.first),
        layout.batch,
        threads,
        room,
        layout.first.data_ptr(),
        layout.count.data_ptr(),
        ctypes.addressof(split),
        ctypes.addressof(program.sizes),
        *(ctypes.addressof(t) for t in tables),
        None if layout.reset is None else layout.reset.data_ptr(),
        scratch.data_ptr(),
        ctypes.cast(program.products.product, ctypes.c_void_p).value,
        parallel,
        thread,
        int(flush_denormal),
    )
    getattr(program.library, kind)(ctypes.byref(args))


def _forward(job: _Job, kind: Kind, *given: Tensor) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Outputs `(y, final..., histories...)` and every array, for the backward pass."""
    x, states, fresh, prepared = job.parts(given)
    plans, layout = job.program.plans, job.layout
    arrays: dict[str, Tensor | None] = {"x": x}
    arrays["y"] = y = x.new_empty(layout.rows, plans.traced.output.width or 1)
    finals, histories = [], []
    for i, state in enumerate(states):
        arrays[f"state{i}"] = state
        arrays[f"fresh{i}"] = fresh[i].contiguous() if fresh else None
        arrays[f"mask{i}"] = job.masks[i] if job.masks else None
        arrays[f"final{i}"] = final = torch.empty_like(state)
        finals.append(final)
        if i != plans.state_is_output and (kind == "train" or job.return_states):
            arrays[f"history{i}"] = history = x.new_empty(layout.rows, state.shape[1])
            histories.append(history)
    if kind == "train":
        for k, node in enumerate(plans.operands):
            arrays[f"operand{k}"] = x.new_empty(layout.rows, node.width)
        if plans.saved:
            width = sum(max(n.width, 1) for n in plans.saved)
            arrays["saved"] = x.new_empty(layout.rows, width)
    _call(job, kind, arrays, x, prepared)
    return (y, *finals, *(histories if job.return_states else ())), arrays


class _Sequence(torch.autograd.Function):
    """A cell over sequences laid out for it, with its gradients."""

    @staticmethod
    def forward(ctx: Any, job: _Job, *given: Tensor) -> tuple[Tensor, ...]:
        results, arrays = _forward(job, "train", *given)
        ctx.job = job
        names = [n for n in arrays if arrays[n] is not None]
        ctx.names = names
        ctx.prepared = len(job.parts(given)[3])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*(arrays[n] for n in names), *job.parts(given)[3])
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: _Job = ctx.job
        tensors = ctx.saved_tensors
        arrays = dict(zip(ctx.names, tensors, strict=False))
        prepared = tensors[len(ctx.names) :]
        if torch.is_grad_enabled():
            # create_graph=True: a kernel has no second derivative, the same step in torch has.
            return (None, *_replayed(job, arrays, prepared, grads))
        with torch.no_grad():
            return (None, *_backward(job, arrays, prepared, grads, ctx.needs_input_grad[1:]))


def _backward(
    job: _Job,
    arrays: dict[str, Any],
    prepared: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    plans, layout = job.program.plans, job.layout
    x, n = arrays["x"], job.states
    gy, *rest = grads
    arrays = dict(arrays)
    arrays["gy"] = torch.zeros_like(arrays["y"]) if gy is None else gy.contiguous()
    histories = iter(rest[n:])
    for i in range(n):
        state = arrays[f"state{i}"]
        final = rest[i]
        arrays[f"gfinal{i}"] = torch.zeros_like(state) if final is None else final.contiguous()
        if job.return_states and i != plans.state_is_output:
            g = next(histories)
            arrays[f"ghistory{i}"] = None if g is None else g.contiguous()
        arrays[f"gstate{i}"] = torch.empty_like(state)
        arrays[f"gfresh{i}"] = torch.zeros_like(state) if job.resets else None
    for k, node in enumerate(plans.flows):
        arrays[f"flow{k}"] = x.new_empty(layout.rows, node.width)
    if plans.gradients.x is not None:
        arrays["gx"] = torch.empty_like(x)
    threads = _threads(job)
    for k, node in enumerate(plans.sums):
        arrays[f"sum{k}"] = x.new_zeros(threads, max(node.width, 1))
    _call(job, "backward", arrays, x, prepared)

    found: list[Tensor | None] = [_grad_x(job, arrays, prepared) if needed[0] else None]
    found += [arrays[f"gstate{i}"] for i in range(n)]
    found += [arrays[f"gfresh{i}"] for i in range(n)] if job.resets else []
    found += _grad_parameters(job, arrays, prepared, needed[len(found) :])
    return found


def _replayed(
    job: _Job, arrays: dict[str, Any], prepared: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients as a graph of torch operations: the rows run again, step by step."""
    warnings.warn(
        "A second derivative runs on the reference loop, one step at a time: compiled kernels have "
        "a first one only.",
        SlowPathWarning,
        stacklevel=3,
    )
    layout, n = job.layout, job.states
    old = [arrays[f"state{i}"] for i in range(n)]
    fresh = [arrays[f"fresh{i}"] for i in range(n)] if job.resets else []
    given = [arrays["x"], *old, *fresh, *prepared]
    outputs: list[Tensor] = []
    history: list[list[Tensor]] = [[] for _ in range(n)]
    state = list(old)
    for at, count in zip(layout.first.tolist(), layout.count.tolist(), strict=True):
        rows = slice(at, at + count)
        now = [s[:count] for s in state]
        if layout.reset is not None:
            begins = layout.reset[rows].bool()[:, None]
            now = [torch.where(begins, f[:count], s) for f, s in zip(fresh, now, strict=True)]
        masks = [m[rows] for m in job.masks if m is not None]
        y, *new = job.program.plans.traced.step(prepared, arrays["x"][rows], now, masks)
        outputs.append(y)
        for i, s in enumerate(new):
            history[i].append(s)
        state = [torch.cat([s, whole[count:]]) for s, whole in zip(new, state, strict=True)]
    where = torch.cat(
        [
            torch.arange(a, a + c)
            for a, c in zip(layout.first.tolist(), layout.count.tolist(), strict=True)
        ]
    ).argsort()
    results = [torch.cat(outputs)[where], *state]
    if job.return_states:
        same = job.program.plans.state_is_output
        results += [torch.cat(h)[where] for i, h in enumerate(history) if i != same]
    wanted = [t for t in given if t.requires_grad]
    pairs = [
        (r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad
    ]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in pairs],
            wanted,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if t.requires_grad else None for t in given]


def _flow(job: _Job, arrays: dict[str, Any], node: Node) -> Tensor:
    if node.op == "grad_output":
        flow: Tensor = arrays["gy"]
        return flow
    found: Tensor = arrays[f"flow{job.program.plans.flows.index(node)}"]
    return found


def _large(
    program: Program,
    name: str,
    rows: int,
    depth: int,
    width: int,
    a: Tensor,
    g: Tensor,
    ldg: int,
    into: Tensor,
    add: bool,
) -> Tensor:
    """A product over all rows: `by_rows` or `of_rows` of products.c."""
    threads = torch.get_num_threads() if rows * depth * width > 200_000 else 1
    threads = threads if os.getpid() == _OWN_PROCESS and _pool()[0] else 1
    parallel, thread = _pool() if threads > 1 else (0, 0)
    tile = 256 * program.target.vector // a.element_size() * program.target.panel
    room = _scratch(tile * threads, a)
    if a.stride(1) != 1:
        a = a.contiguous()
    args = _Large(threads, rows, depth, width, a.data_ptr(), a.stride(0), g.data_ptr(), ldg)
    args.C, args.add, args.room = into.data_ptr(), int(add), room.data_ptr()
    args.parallel, args.thread, args.flush = parallel, thread, int(flush_denormal)
    getattr(program.products, name)(ctypes.byref(args))
    return into


def _grad_x(job: _Job, arrays: dict[str, Any], prepared: Sequence[Tensor]) -> Tensor:
    plans = job.program.plans
    grad: Tensor | None = arrays.get("gx")
    for node, matrix in plans.gradients.x_products:
        flow = _flow(job, arrays, node)
        depth, width = prepared[matrix.index].shape[:: -1 if matrix.transposed else 1]
        packed = _panel(job.program, matrix, prepared[matrix.index])
        into = flow.new_empty(len(flow), width) if grad is None else grad
        call = (len(flow), depth, width, flow, packed, width, into, grad is not None)
        grad = _large(job.program, "by_rows", *call)
    return torch.zeros_like(arrays["x"]) if grad is None else grad


def _grad_parameters(
    job: _Job, arrays: dict[str, Any], prepared: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    plans = job.program.plans
    grads: list[Tensor | None] = [None] * len(prepared)
    for matrix, v, g in plans.gradients.matrices:
        if not needed[matrix.index]:
            continue
        flow = _flow(job, arrays, g)
        for rows, values in _operand(job, arrays, v):
            left, right = (flow[rows], values) if matrix.transposed else (values, flow[rows])
            total = grads[matrix.index]
            into = flow.new_empty(left.shape[1], right.shape[1]) if total is None else total
            call = (len(left), *into.shape, left, right, right.stride(0), into, total is not None)
            grads[matrix.index] = _large(job.program, "of_rows", *call)
    for leaf, start, g in plans.gradients.uniforms:
        if not needed[leaf.value]:
            continue
        total = grads[leaf.value]
        if total is None:
            grads[leaf.value] = total = torch.zeros_like(prepared[leaf.value])
        part = arrays[f"sum{plans.sums.index(g)}"].sum(0)
        if leaf.width:
            total.view(-1)[start : start + len(part)] += part
        else:
            total += part.view(total.shape)
    return [
        torch.zeros_like(p) if g is None and wanted else g
        for g, p, wanted in zip(grads, prepared, needed, strict=True)
    ]


def _operand(job: _Job, arrays: dict[str, Any], v: Node) -> list[tuple[slice, Tensor]]:
    """What a matrix multiplied, row by row of the sequence arrays: in pieces."""
    plans, layout = job.program.plans, job.layout
    if v in plans.operands:
        return [(slice(0, layout.rows), arrays[f"operand{plans.operands.index(v)}"])]
    root = v.args[0] if v.op == "slice" else v
    columns = slice(v.value[0], v.value[0] + v.width) if v.op == "slice" else slice(None)
    everything = slice(0, layout.rows)
    if root.op == "x":
        return [(everything, arrays["x"][:, columns])]
    if root is plans.traced.output:
        return [(everything, arrays["y"][:, columns])]
    if root in plans.traced.states:
        return [(everything, arrays[f"history{plans.traced.states.index(root)}"][:, columns])]
    assert root.op == "state", root.op
    i = root.value
    past = arrays["y"] if i == plans.state_is_output else arrays[f"history{i}"]
    start, b = arrays[f"state{i}"], layout.batch
    if layout.reset is None and layout.index is None:
        if layout.reverse:
            pieces = [(slice(0, layout.rows - b), past[b:]), (slice(-b, None), start)]
        else:
            pieces = [(slice(b, None), past[:-b]), (slice(0, b), start)]
        return [(rows, values[:, columns]) for rows, values in pieces if len(values)]
    begun = int(layout.count[0]) if len(layout.count) else 0
    if layout.index is not None:
        old = torch.cat([start[:begun], past.index_select(0, layout.previous())])
    elif layout.reverse:
        old = torch.cat([past[b:], start])
    else:
        old = torch.cat([start, past[:-b]])
    if layout.reset is not None:
        rank = layout.ranks()
        old = torch.where(layout.reset.bool()[:, None], arrays[f"fresh{i}"][rank], old)
    return [(everything, old[:, columns])]
