"""The compiled backend: a cell's own kernel over whole sequences, forward and backward.

What a cell computes is in its plans; here tensors are laid out for them. Rows are sorted by
length and steps put end to end, so that time follows the sum of the lengths; reverse order and
padding are matters of where a step's rows lie. Gradients of matrices and of the input are large
products after the loop.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from elman.cells.base import Cell
from elman.errors import SlowPathWarning
from elman.kernels import packing, reference
from elman.kernels.graph import Node
from elman.kernels.memory import Lease, huge, scratch
from elman.kernels.plan import Kind
from elman.kernels.program import Program, Weights, find, lent, pool, tensors_of, threads_at_most
from elman.kernels.rows import Layout, layout_of
from elman.kernels.sequence import Call, Result

__all__ = ["Program", "find", "flush_denormal", "run", "training_memory"]

FEW_ROWS = 4
"""A thread with fewer rows than this computes products of the input in one piece, before the loop:
a tile of few rows wastes the processor."""

BY_UNITS = 3
"""Up to so many rows threads share out units and not rows: each then reads only its part of the
matrices, which for so few rows is what takes the time."""

WORTH_MEETING = 8192
"""Numbers in the matrices that a step reads from which it pays to share them: waiting for one
another takes as long as reading half of them."""

LARGE_MATRIX = 1 << 20
"""Bytes from which a product of the input is made in one piece: beside the recurrent one its matrix
would not stay in the cache."""

flush_denormal = True
"""Whether numbers too small for full precision count as zero inside kernels. Backward passes over
long sequences are full of them, and each costs a hundred ordinary operations."""

training_memory: int | None = None
"""Bytes that one call may keep for its backward pass; beyond them it keeps states now and then and
computes the rest again. A quarter of the machine's memory if None."""


class _Large(ctypes.Structure):
    """`Large` of products.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("threads", "rows", "K", "N")),
        ("A", ctypes.c_void_p),
        ("lda", ctypes.c_long),
        ("G", ctypes.c_void_p),
        ("ldg", ctypes.c_long),
        ("C", ctypes.c_void_p),
        ("init", ctypes.c_void_p),
        ("ldi", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("room", "parallel", "thread", "team")),
        ("flush", ctypes.c_long),
        ("product", ctypes.c_void_p),
    ]


def run(
    cell: Cell,
    call: Call,
    program: Program,
    weights: Weights | None = None,
    segment: int | None = None,
) -> Result:
    """Run a call with the kernels that `find` gave for it.

    Args:
        cell, call, weights: what `find` was asked about.
        program: its answer.
        segment: steps between states that are kept for the backward pass, which computes the
            rest again; None keeps everything while `training_memory` allows it.
    """
    if call.x.shape[0] == 0 or not _steps_taken(call):
        with lent(cell, weights):
            return reference.loop(cell, call)
    tensors = tensors_of(cell, program, weights)
    if program.half:
        return _in_halves(cell, call, program, tensors, segment)
    prepared = program.plans.traced.prepare(tensors)
    return _run(cell, call, program, prepared, segment)


def _in_halves(
    cell: Cell, call: Call, program: Program, tensors: list[Tensor], segment: int | None
) -> Result:
    """bfloat16: in and out; matrices too where nothing is differentiated, the rest in float32."""
    given = (call.x, *call.state, *tensors)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        tensors = [t.float() for t in tensors]
        program = program.wide()
    prepared = [t if t.dim() > 1 else t.float() for t in program.plans.traced.prepare(tensors)]
    wide = replace(call, x=call.x.float(), state=tuple(s.float() for s in call.state))
    output, state, states = _run(cell, wide, program, prepared, segment)
    return Result(
        output.bfloat16(),
        tuple(s.bfloat16() for s in state),
        None if states is None else tuple(s.bfloat16() for s in states),
    )


def _run(
    cell: Cell, call: Call, program: Program, prepared: Sequence[Tensor], segment: int | None
) -> Result:
    x, layout = call.x, layout_of(call)
    x = layout.gathered(x.reshape(-1, x.shape[2]))
    states, fresh = layout.sorted(call.state), layout.sorted(_fresh(cell, call))
    masks = [
        layout.gathered(h.reshape(-1, h.shape[2]).to(x.dtype)) if isinstance(h, Tensor) else None
        for h in call.hold or ()
    ]
    job = _Job(program, layout, call.return_states, len(states), bool(fresh), masks)
    given = (x, *states, *fresh, *prepared)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        segment = _segment(job, x, segment)
        if segment is None:
            results = _Sequence.apply(job, *given)  # type: ignore[no-untyped-call]
        else:
            results = _Segmented.apply(job, segment, *given)  # type: ignore[no-untyped-call]
    else:
        results = _forward(job, "infer", *given)[0]
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


def _fresh(cell: Cell, call: Call) -> tuple[Tensor, ...]:
    if call.reset is None:
        return ()
    return cell.init_state(call.x.shape[1], call.x.device, call.x.dtype)


def _segment(job: _Job, x: Tensor, asked: int | None) -> int | None:
    """Steps a segment, or None for a whole sequence in one piece."""
    steps = len(job.layout.first)
    if job.return_states:
        return None
    kept, state = job.program.plans.kept_widths
    if asked is None:
        allowed = _training_memory() if training_memory is None else training_memory
        if job.layout.rows * kept * x.element_size() <= allowed:
            return None
        # What is least together: states at every boundary, and all of one segment.
        asked = max(1, math.isqrt(steps * max(state, 1) // max(kept, 1)))
    return asked if asked < steps else None


@lru_cache(maxsize=1)
def _training_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (AttributeError, ValueError, OSError):
        return 4 << 30


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

    def part(self, begin: int, end: int) -> tuple[_Job, slice]:
        """The steps from `begin` to `end` as a run of their own, and which rows they are."""
        layout, rows = self.layout.part(begin, end)
        masks = [None if m is None else m[rows] for m in self.masks]
        return replace(self, layout=layout, masks=masks), rows


def _split(job: _Job, kind: Kind) -> tuple[int, bool]:
    """Over how many threads, and whether they share out units and not rows."""
    threads, program, batch = threads_at_most(), job.program, job.layout.batch
    if job.layout.rows * program.work < 20_000:
        return 1, False
    if threads > 1 and batch <= BY_UNITS and program.groups[kind] is not None and not job.resets:
        return (threads, True) if program.read[kind] > WORTH_MEETING else (1, False)
    return max(1, min(threads, batch)), False


def _early(
    job: _Job, kind: Kind, x: Tensor, prepared: Sequence[Tensor], threads: int, by_units: bool
) -> list[Tensor | None]:
    """Products of the input made before the loop, for each panel, where that is faster."""
    program, layout = job.program, job.layout
    plan = program.plans.plans[kind]
    early: list[Tensor | None] = [None] * len(plan.matrices)
    rows = layout.batch if by_units else layout.batch / threads
    if kind == "backward" or layout.rows < 2 * FEW_ROWS:
        return early
    for phase in plan.phases:
        for product in phase.products:
            if product.source.array != "x" or product.source.offset != "0":
                continue
            p = prepared[product.matrix.index]
            p = p.t() if product.matrix.transposed else p
            depth, width = p.shape
            large = p.numel() * p.element_size() > LARGE_MATRIX
            if depth < 8 or (rows >= FEW_ROWS and not large):
                continue
            k = plan.matrices.index(product.matrix)
            made = scratch(f"early {k}", layout.rows * width, x)[: layout.rows * width]
            bias = None
            for b in product.biases:
                bias = prepared[b] if bias is None else bias + prepared[b]
            packed = _packed(program, p, width, kind, f"early panel {k}")
            made = made.view(layout.rows, width)
            _large(program, "by_rows", layout.rows, depth, width, x, packed, width, made, bias)
            early[k] = made
    return early


def _packed(program: Program, p: Tensor, group: int, kind: Kind, name: str) -> Tensor:
    """A matrix packed; in training it will be another one at the next call."""
    if kind == "infer":
        return packing.kept(program, p, group)
    return packing.once(program, p, group, name)


@lru_cache(maxsize=256)
def _longs(n: int) -> struct.Struct:
    return struct.Struct(f"{n}q")


def _call(
    job: _Job, kind: Kind, arrays: dict[str, Tensor | None], x: Tensor, prepared: Sequence[Tensor]
) -> None:
    program, layout = job.program, job.layout
    plan = program.plans.plans[kind]
    threads, by_units = _split(job, kind)
    prepared = [p.detach() for p in prepared]
    groups = program.groups[kind] if by_units else None
    early = _early(job, kind, x, prepared, threads, by_units)
    panels = []
    for k, matrix in enumerate(plan.matrices):
        p = prepared[matrix.index]
        p = p.t() if matrix.transposed else p
        group = groups[k] if groups else p.shape[1]
        known = early[k] is not None
        panels.append(None if known else _packed(program, p, group, kind, f"panel {k}"))
    # Matrices among them are not read, and need not be put in order.
    vectors = [p if p.dim() > 1 else p.contiguous() for p in prepared]
    split = layout.split(1 if by_units else threads)
    room = program.room(kind, max(b - a for a, b in pairwise(split)))
    space = scratch("room", room * threads, x)
    parallel, thread, team = pool() if threads > 1 else (0, 0, 0)
    tensors = [*[arrays.get(name) for name in plan.arrays], *panels, *early, *vectors]
    table = [0 if t is None else t.data_ptr() for t in tensors]
    args = (
        0,
        len(layout.first),
        layout.batch,
        threads,
        by_units,
        room,
        flush_denormal,
        layout.first.data_ptr(),
        layout.count.data_ptr(),
        ctypes.addressof(split),
        ctypes.addressof(program.sizes),
        0 if layout.reset is None else layout.reset.data_ptr(),
        space.data_ptr(),
        program.product,
        parallel,
        thread,
        team,
        program.half,
    )
    program.functions[kind](_longs(len(args) + len(table)).pack(*args, *table))


def _forward(
    job: _Job, kind: Kind, *given: Tensor, y: Tensor | None = None
) -> tuple[tuple[Tensor, ...], dict[str, Any], list[Lease]]:
    """Outputs `(y, final..., histories...)`, every array, for the backward pass, and leases."""
    x, states, fresh, prepared = job.parts(given)
    plans, layout = job.program.plans, job.layout
    leases: list[Lease] = []

    def leased(width: int) -> Tensor:
        leases.append(Lease(layout.rows * width, x))
        return leases[-1].rows(layout.rows, width)

    if y is None:
        y = huge(x.new_empty(layout.rows, plans.traced.output.width or 1))
    arrays: dict[str, Tensor | None] = {"x": x, "y": y}
    finals, histories = [], []
    for i, state in enumerate(states):
        arrays[f"state{i}"] = state
        arrays[f"fresh{i}"] = fresh[i].contiguous() if fresh else None
        arrays[f"mask{i}"] = job.masks[i] if job.masks else None
        arrays[f"final{i}"] = final = torch.empty_like(state)
        finals.append(final)
        if i == plans.state_is_output:
            continue
        if job.return_states:
            arrays[f"history{i}"] = history = x.new_empty(layout.rows, state.shape[1])
            histories.append(history)
        elif kind == "train":
            arrays[f"history{i}"] = leased(state.shape[1])
    if kind == "train":
        for k, node in enumerate(plans.operands):
            arrays[f"operand{k}"] = leased(node.width)
        if plans.saved:
            arrays["saved"] = leased(sum(max(n.width, 1) for n in plans.saved))
    _call(job, kind, arrays, x, prepared)
    return (y, *finals, *histories), arrays, leases


_LEASED = ("operand", "saved")


class _Sequence(torch.autograd.Function):
    """A cell over sequences laid out for it, with its gradients."""

    @staticmethod
    def forward(ctx: Any, job: _Job, *given: Tensor) -> tuple[Tensor, ...]:
        results, arrays, ctx.leases = _forward(job, "train", *given)
        ctx.job = job
        # What is nobody else's needs no watching over; the lease says how long it lasts.
        own = _LEASED if job.return_states else (*_LEASED, "history")
        ctx.own = {n: t for n, t in arrays.items() if n.startswith(own)}
        ctx.names = [n for n, t in arrays.items() if t is not None and n not in ctx.own]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*(arrays[n] for n in ctx.names), *job.parts(given)[3])
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: _Job = ctx.job
        tensors = ctx.saved_tensors
        arrays = dict(zip(ctx.names, tensors, strict=False)) | ctx.own
        prepared = tensors[len(ctx.names) :]
        if torch.is_grad_enabled():
            # create_graph=True: a kernel has no second derivative, the same step in torch has.
            return (None, *_replayed(job, arrays, prepared, grads))
        with torch.no_grad():
            return (None, *_backward(job, arrays, prepared, grads, ctx.needs_input_grad[1:]))


class _Segmented(torch.autograd.Function):
    """The same in segments of time: states between them are kept and the rest computed again."""

    @staticmethod
    def forward(ctx: Any, job: _Job, segment: int, *given: Tensor) -> tuple[Tensor, ...]:
        x, states, fresh, prepared = job.parts(given)
        steps = len(job.layout.first)
        ctx.job, ctx.bounds = job, [*range(0, steps, segment), steps]
        y = huge(x.new_empty(job.layout.rows, job.program.plans.traced.output.width or 1))
        kept = []
        for begin, end in pairwise(ctx.bounds):
            part, rows = job.part(begin, end)
            kept += states
            (_, *states), *_ = _forward(
                part, "infer", x[rows], *states, *fresh, *prepared, y=y[rows]
            )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, *kept)
        return (y, *states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: _Job = ctx.job
        n = job.states
        tensors = ctx.saved_tensors
        inputs = len(ctx.needs_input_grad) - 2
        given, kept = tensors[:inputs], tensors[inputs:]
        x, states, fresh, prepared = job.parts(given)
        if torch.is_grad_enabled():
            arrays: dict[str, Any] = {"x": x}
            arrays |= {f"state{i}": s for i, s in enumerate(states)}
            arrays |= {f"fresh{i}": s for i, s in enumerate(fresh)}
            return (None, None, *_replayed(job, arrays, prepared, grads))
        needed = ctx.needs_input_grad[2:]
        with torch.no_grad():
            gy, *later = grads
            gx = torch.empty_like(x) if needed[0] else None
            total: list[Tensor | None] = []
            for k in reversed(range(len(ctx.bounds) - 1)):
                part, rows = job.part(ctx.bounds[k], ctx.bounds[k + 1])
                own = (x[rows], *kept[k * n : k * n + n], *fresh, *prepared)
                _, arrays, leases = _forward(part, "train", *own)
                incoming = (None if gy is None else gy[rows], *later)
                found = _backward(part, arrays, prepared, incoming, needed)
                del leases
                if gx is not None and found[0] is not None:
                    gx[rows] = found[0]
                later = found[1 : 1 + n]
                rest = found[1 + n :]
                total = (
                    rest if not total else [_plus(a, b) for a, b in zip(total, rest, strict=True)]
                )
        return (None, None, gx, *later, *total)


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a.add_(b)


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
    leases = [Lease(layout.rows * node.width, x) for node in plans.flows]
    for k, (node, lease) in enumerate(zip(plans.flows, leases, strict=True)):
        arrays[f"flow{k}"] = lease.rows(layout.rows, node.width)
    if plans.gradients.x is not None:
        arrays["gx"] = huge(torch.empty_like(x))
    threads, _ = _split(job, "backward")
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
    init: Tensor | None,
) -> Tensor:
    """A product over all rows: `by_rows` or `of_rows` of products.c."""
    threads = threads_at_most() if rows * depth * width > 200_000 else 1
    parallel, thread, team = pool() if threads > 1 else (0, 0, 0)
    panel = program.target.vector // a.element_size() * program.target.panel
    room = scratch("packed", threads * 256 * (panel + 64 * program.target.rows), a)
    if a.stride(1) != 1:
        a = a.contiguous()
    args = _Large(threads, rows, depth, width, a.data_ptr(), a.stride(0), g.data_ptr(), ldg)
    args.C, args.room = into.data_ptr(), room.data_ptr()
    if init is not None:
        args.init, args.ldi = init.data_ptr(), into.stride(0) if init.dim() == 2 else 0
    args.parallel, args.thread, args.team = parallel, thread, team
    args.flush, args.product = int(flush_denormal), program.product
    getattr(program.products, name)(ctypes.byref(args))
    return into


def _grad_x(job: _Job, arrays: dict[str, Any], prepared: Sequence[Tensor]) -> Tensor:
    plans = job.program.plans
    grad: Tensor | None = arrays.get("gx")
    for node, matrix in plans.gradients.x_products:
        flow = _flow(job, arrays, node)
        depth, width = prepared[matrix.index].shape[:: -1 if matrix.transposed else 1]
        p = prepared[matrix.index]
        p = p.t() if matrix.transposed else p
        packed = packing.once(job.program, p, width, "panel of x")
        into = huge(flow.new_empty(len(flow), width)) if grad is None else grad
        call = (len(flow), depth, width, flow, packed, width, into, grad)
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
            grads[matrix.index] = _of_rows(job.program, left, right, grads[matrix.index])
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


def _of_rows(program: Program, left: Tensor, right: Tensor, total: Tensor | None) -> Tensor:
    """`total + left.T @ right`, in place if there is a total."""
    if right.shape[1] < 8 < left.shape[1]:
        # The columns of the right are computed a whole vector at a time.
        turned = left.new_empty(right.shape[1], left.shape[1])
        call = (len(left), *turned.shape, right, left, left.stride(0), turned, None)
        found = _large(program, "of_rows", *call).t()
        return found.contiguous() if total is None else total.add_(found)
    into = left.new_empty(left.shape[1], right.shape[1]) if total is None else total
    call = (len(left), *into.shape, left, right, right.stride(0), into, total)
    return _large(program, "of_rows", *call)


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
