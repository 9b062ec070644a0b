"""The compiled backend: a cell's own kernel over whole sequences, forward and backward.

A cell's plans say what is computed; this module puts tensors in the order that they want. Rows are
sorted by length and steps put end to end, so that time follows the sum of the lengths; reverse
order and padding are matters of where a step's rows lie. Gradients of matrices and of the input are
large products after the loop.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from elman.cells.base import Cell
from elman.errors import SlowPathWarning
from elman.kernels import reference, settings
from elman.kernels.gradients import Arrays, gradients
from elman.kernels.launch import Job, call, frame_of
from elman.kernels.memory import Lease, fresh_rows
from elman.kernels.plan import Kind
from elman.kernels.program import Program, Weights, lent, tensors_of
from elman.kernels.rows import placement_of
from elman.kernels.sequence import Call, Result
from elman.kernels.witness import present


def run(
    cell: Cell,
    call: Call,
    program: Program,
    weights: Weights | None = None,
    keep_every: int | None = None,
) -> Result:
    """Run a call with the kernels that `find` gave for it.

    Args:
        cell, call, weights: what `find` was asked about.
        program: its answer.
        keep_every: steps between states that are kept for the backward pass, which computes the
            rest again; None keeps everything while `settings.training_memory` allows it.
    """
    if not _steps_taken(call):
        with lent(cell, weights):
            return reference.loop(cell, call)
    tensors = tensors_of(cell, program, weights)
    if program.half:
        return _in_halves(cell, call, program, tensors, keep_every)
    return _run(cell, call, program, program.plans.traced.prepare(tensors), keep_every)


def _in_halves(
    cell: Cell, call: Call, program: Program, tensors: list[Tensor], keep_every: int | None
) -> Result:
    """bfloat16: in and out; matrices too where nothing is differentiated, the rest in float32."""
    given = (call.x, *call.state, *tensors)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        tensors = [t.float() for t in tensors]
        program = program.wide()
    prepared = [t if t.dim() > 1 else t.float() for t in program.plans.traced.prepare(tensors)]
    wide = replace(call, x=call.x.float(), state=tuple(s.float() for s in call.state))
    output, state, states = _run(cell, wide, program, prepared, keep_every)
    return Result(
        output.bfloat16(),
        tuple(s.bfloat16() for s in state),
        None if states is None else tuple(s.bfloat16() for s in states),
    )


def _run(
    cell: Cell, call: Call, program: Program, prepared: Sequence[Tensor], keep_every: int | None
) -> Result:
    placement = placement_of(call)
    x = call.x.reshape(-1, call.x.shape[2]).contiguous()
    states, fresh = placement.sorted(call.state), placement.sorted(_fresh(cell, call))
    masks = [
        placement.gathered(h.reshape(-1, h.shape[2]).to(x.dtype)).contiguous()
        if isinstance(h, Tensor)
        else None
        for h in call.hold or ()
    ]
    n = len(states)
    kept = call.return_states
    job = Job(program, placement, kept, n, bool(fresh), call.at_rest, masks, present())
    given = (x, *states, *fresh, *prepared)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        keep_every = _kept_every(job, x, keep_every)
        if keep_every is None:
            results = _Sequence.apply(job, *given)  # type: ignore[no-untyped-call]
        else:
            results = _Recomputed.apply(job, keep_every, *given)  # type: ignore[no-untyped-call]
    else:
        results = _scattered(job, _forward(job, "infer", placement.gathered(x), *given[1:])[0])
    steps, batch = call.x.shape[:2]
    output = results[0].view(steps, batch, -1)
    final = placement.unsorted(results[1 : 1 + n])
    history = None
    if call.return_states:
        kept = iter(results[1 + n :])
        same = program.plans.state_is_output
        history = tuple(
            output if i == same else next(kept).view(steps, batch, -1) for i in range(n)
        )
    return Result(output, final, history)


def _scattered(job: Job, results: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Results with a row for every position, padding too."""
    y, *rest = results
    n, spread = job.states, job.placement.scattered
    return spread(y), *rest[:n], *map(spread, rest[n:])


def _gathered(job: Job, grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The other way round, of what may be there."""
    y, *rest = grads
    n, rows = job.states, job.placement.gathered
    return [
        None if y is None else rows(y),
        *rest[:n],
        *[None if g is None else rows(g) for g in rest[n:]],
    ]


def _steps_taken(call: Call) -> int:
    """Steps of all rows together."""
    if call.lengths is not None:
        return sum(call.lengths.tolist())
    return call.x.shape[0] * call.x.shape[1]


def _fresh(cell: Cell, call: Call) -> tuple[Tensor, ...]:
    if call.reset is None:
        return ()
    return cell.init_state(call.x.shape[1], call.x.device, call.x.dtype)


def _kept_every(job: Job, x: Tensor, asked: int | None) -> int | None:
    """Return the steps between kept states, or None where every step is kept."""
    steps = job.placement.taken
    if job.return_states:
        return None
    if asked is None:
        kept, state = job.program.plans.kept_widths
        asked_for = settings.training_memory
        allowed = _quarter_of_memory() if asked_for is None else asked_for
        if job.placement.rows * kept * x.element_size() <= allowed:
            return None
        # The kept states and all values of the steps between two take the least memory together.
        asked = max(1, math.isqrt(steps * max(state, 1) // max(kept, 1)))
    return asked if asked < steps else None


@lru_cache(maxsize=1)
def _quarter_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _forward(
    job: Job, kind: Kind, *given: Tensor, y: Tensor | None = None
) -> tuple[tuple[Tensor, ...], Arrays, dict[str, Lease]]:
    """Outputs `(y, final..., histories...)`, every array, and the leases of those that are lent."""
    x, states, fresh, prepared = job.parts(given)
    plans, rows = job.program.plans, job.placement.rows
    if y is None:
        y = fresh_rows(rows, plans.traced.output.width or 1, x)
    arrays: Arrays = {"x": x, "y": y}
    wanted: dict[str, int] = {}
    finals, histories = [], []
    for i, state in enumerate(states):
        arrays[f"state{i}"] = state
        if fresh:
            arrays[f"fresh{i}"] = fresh[i].contiguous()
        if job.masks:
            arrays[f"mask{i}"] = job.masks[i]
        arrays[f"final{i}"] = final = torch.empty_like(state)
        finals.append(final)
        if i == plans.state_is_output:
            continue
        if job.return_states:
            arrays[f"history{i}"] = history = fresh_rows(rows, state.shape[1], x)
            histories.append(history)
        elif kind == "train":
            wanted[f"history{i}"] = state.shape[1]
    if kind == "train":
        wanted |= {f"operand{k}": node.width for k, node in enumerate(plans.operands)}
        if plans.saved:
            wanted["saved"] = sum([max(n.width, 1) for n in plans.saved])
    leases = {name: Lease(rows * width, x) for name, width in wanted.items()}
    arrays |= {name: lease.rows(rows, wanted[name]) for name, lease in leases.items()}
    call(job, kind, frame_of(job, kind), arrays, x, prepared)
    return (y, *finals, *histories), arrays, leases


class _Sequence(torch.autograd.Function):
    """A cell over sequences laid out for it, with its gradients."""

    @staticmethod
    def forward(ctx: Any, job: Job, *given: Tensor) -> tuple[Tensor, ...]:
        x, *rest = given
        results, arrays, leases = _forward(job, "train", job.placement.gathered(x), *rest)
        found = _scattered(job, results)
        # Leased memory belongs to nobody else and needs no watching: a lease keeps it alive.
        ctx.job, ctx.leases = job, leases
        ctx.lent = {name: arrays.pop(name) for name in leases}
        if found[0] is not results[0]:  # rows in another order are nobody else's either
            own = [name for name in arrays if name.startswith(("y", "history"))]
            ctx.lent |= {name: arrays.pop(name) for name in own}
        arrays["x"] = x
        ctx.names = [name for name, t in arrays.items() if t is not None]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*[arrays[name] for name in ctx.names], *job.parts(given)[3])
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: Job = ctx.job
        tensors = ctx.saved_tensors
        arrays = dict(zip(ctx.names, tensors, strict=False)) | ctx.lent
        prepared = tensors[len(ctx.names) :]
        if torch.is_grad_enabled():
            # create_graph=True: a kernel has no second derivative, the same step in torch has.
            return (None, *_replayed(job, arrays, prepared, grads))
        arrays["x"] = job.placement.gathered(arrays["x"])
        needed = ctx.needs_input_grad[1:]
        gx, *rest = gradients(job, arrays, prepared, _gathered(job, grads), needed)
        return (None, None if gx is None else job.placement.scattered(gx), *rest)


class _Recomputed(torch.autograd.Function):
    """Autograd's function that keeps a state every so many steps and computes the rest again."""

    @staticmethod
    def forward(ctx: Any, job: Job, keep_every: int, *given: Tensor) -> tuple[Tensor, ...]:
        x, states, fresh, prepared = job.parts(given)
        x = job.placement.gathered(x)
        steps = job.placement.taken
        ctx.job, ctx.bounds = job, [*range(0, steps, keep_every), steps]
        y = fresh_rows(job.placement.rows, job.program.plans.traced.output.width or 1, x)
        kept = []
        for begin, end in pairwise(ctx.bounds):
            part, rows = job.part(begin, end)
            kept += states
            (_, *states), *_ = _forward(
                part, "infer", x[rows], *states, *fresh, *prepared, y=y[rows]
            )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, *kept)
        return _scattered(job, (y, *states))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: Job = ctx.job
        n = job.states
        tensors = ctx.saved_tensors
        inputs = len(ctx.needs_input_grad) - 2
        given, kept = tensors[:inputs], tensors[inputs:]
        x, states, fresh, prepared = job.parts(given)
        if torch.is_grad_enabled():
            arrays: Arrays = {"x": x}
            arrays |= {f"state{i}": s for i, s in enumerate(states)}
            arrays |= {f"fresh{i}": s for i, s in enumerate(fresh)}
            return (None, None, *_replayed(job, arrays, prepared, grads))
        needed = ctx.needs_input_grad[2:]
        gy, *later = _gathered(job, grads)
        x = job.placement.gathered(x)
        gx = torch.empty_like(x) if needed[0] else None
        total: list[Tensor | None] = []
        for k in reversed(range(len(ctx.bounds) - 1)):
            part, rows = job.part(ctx.bounds[k], ctx.bounds[k + 1])
            own = (x[rows], *kept[k * n : k * n + n], *fresh, *prepared)
            _, arrays, leases = _forward(part, "train", *own)
            incoming = (None if gy is None else gy[rows], *later)
            found = gradients(part, arrays, prepared, incoming, needed)
            del leases
            if gx is not None and found[0] is not None:
                gx[rows] = found[0]
            later, rest = found[1 : 1 + n], found[1 + n :]
            total = rest if not total else [_plus(a, b) for a, b in zip(total, rest, strict=True)]
        gx = None if gx is None else job.placement.scattered(gx)
        return (None, None, gx, *later, *total)


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a.add_(b)


def _replayed(
    job: Job, arrays: Arrays, prepared: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients as a graph of torch operations: the rows run again, step by step."""
    warnings.warn(
        "A second derivative runs on the reference loop, one step at a time: compiled kernels have "
        "a first one only.",
        SlowPathWarning,
        stacklevel=3,
    )
    placement, n = job.placement, job.states
    old = [arrays[f"state{i}"] for i in range(n)]
    fresh = [arrays[f"fresh{i}"] for i in range(n)] if job.resets else []
    given = [arrays["x"], *old, *fresh, *prepared]
    x, grads = placement.gathered(arrays["x"]), _gathered(job, grads)
    outputs: list[Tensor] = []
    history: list[list[Tensor]] = [[] for _ in range(n)]
    state = list(old)
    for at, count in zip(placement.first.tolist(), placement.count.tolist(), strict=True):
        rows = slice(at, at + count)
        now = [s[:count] for s in state]
        if placement.reset is not None:
            begins = placement.reset[rows].bool()[:, None]
            now = [torch.where(begins, f[:count], s) for f, s in zip(fresh, now, strict=True)]
        masks = [m[rows] for m in job.masks if m is not None]
        y, *new = job.program.plans.traced.step(prepared, x[rows], now, masks)
        outputs.append(y)
        for i, s in enumerate(new):
            history[i].append(s)
        state = [torch.cat([s, whole[count:]]) for s, whole in zip(new, state, strict=True)]
    where = torch.cat(
        [
            torch.arange(a, a + c)
            for a, c in zip(placement.first.tolist(), placement.count.tolist(), strict=True)
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
