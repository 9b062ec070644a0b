"""The end of a backward pass, after its loop: gradients of matrices, vectors and the input.

Each is one product over all rows and steps, of what a matrix multiplied and of the gradient that
the loop left behind for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elman.kernels import packing
from elman.kernels.graph import Node
from elman.kernels.launch import Job, by_rows, call, frame_of, of_rows
from elman.kernels.memory import Lease, fresh_rows

Arrays = dict[str, Any]
"""A kernel's arrays by the names of its plan."""


def gradients(
    job: Job,
    arrays: Arrays,
    prepared: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The backward pass.

    Args:
        job: the run.
        arrays: what its forward pass kept.
        prepared: its parameters.
        grads: of its results, in their order.
        needed: which gradients are, of x, states, fresh states and parameters.
    """
    plans, placement = job.program.plans, job.placement
    x, n = arrays["x"], job.states
    gy, *rest = grads
    arrays = dict(arrays)
    arrays["gy"] = torch.zeros_like(arrays["y"]) if gy is None else gy.contiguous()
    histories = iter(rest[n:])
    for i in range(n):
        state, final = arrays[f"state{i}"], rest[i]
        arrays[f"gfinal{i}"] = torch.zeros_like(state) if final is None else final.contiguous()
        if job.return_states and i != plans.state_is_output:
            g = next(histories)
            arrays[f"ghistory{i}"] = None if g is None else g.contiguous()
        arrays[f"gafter{i}"] = job.witness and x.new_empty(placement.rows, state.shape[1])
        arrays[f"gstate{i}"] = torch.empty_like(state)
        arrays[f"gfresh{i}"] = torch.zeros_like(state) if job.resets else None
    leases = [Lease(placement.rows * node.width, x) for node in plans.flows]
    for k, (node, lease) in enumerate(zip(plans.flows, leases, strict=True)):
        arrays[f"flow{k}"] = lease.rows(placement.rows, node.width)
    if plans.gradients.x is not None:
        arrays["gx"] = fresh_rows(placement.rows, x.shape[1], x)
    frame = frame_of(job, "backward")
    for k, node in enumerate(plans.sums):
        arrays[f"sum{k}"] = x.new_zeros(frame.threads, max(node.width, 1))
    call(job, "backward", frame, arrays, x, prepared)
    if job.witness is not None:
        job.witness.gradients = _by_state(job, arrays)

    found: list[Tensor | None] = [_of_x(job, arrays, prepared) if needed[0] else None]
    found += [arrays[f"gstate{i}"] for i in range(n)]
    found += [arrays[f"gfresh{i}"] for i in range(n)] if job.resets else []
    found += _of_parameters(job, arrays, prepared, needed[len(found) :])
    return found


def _by_state(job: Job, arrays: Arrays) -> tuple[Tensor, ...]:
    """The gradient by each state after each step, as a witness has it."""
    placement, same = job.placement, job.program.plans.state_is_output
    found = []
    for i in range(job.states):
        rows: Tensor = arrays[f"gafter{i}"]
        if i == same:
            rows += arrays["gy"]
        found.append(placement.scattered(rows).view(placement.steps, placement.batch, -1).clone())
    return tuple(found)


def _flow(job: Job, arrays: Arrays, node: Node) -> Tensor:
    name = "gy" if node.op == "grad_output" else f"flow{job.program.plans.flows.index(node)}"
    found: Tensor = arrays[name]
    return found


def _of_x(job: Job, arrays: Arrays, prepared: Sequence[Tensor]) -> Tensor:
    plans, program = job.program.plans, job.program
    grad: Tensor | None = arrays.get("gx")
    wanted = [
        (prepared[m.index], m.transposed, prepared[m.index].shape[0 if m.transposed else 1])
        for _, m in plans.gradients.x_products
    ]
    panels = packing.once(program, wanted, "panel of x")
    for (node, _), (p, _, width), packed in zip(
        plans.gradients.x_products, wanted, panels, strict=True
    ):
        flow, depth = _flow(job, arrays, node), p.numel() // width
        into = fresh_rows(flow.shape[0], width, flow) if grad is None else grad
        grad = by_rows(program, flow.shape[0], depth, width, flow, packed, into, grad)
    return torch.zeros_like(arrays["x"]) if grad is None else grad


def _of_parameters(
    job: Job, arrays: Arrays, prepared: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    plans = job.program.plans
    grads: list[Tensor | None] = [None] * len(prepared)
    for matrix, v, g in plans.gradients.matrices:
        if not needed[matrix.index]:
            continue
        flow = _flow(job, arrays, g)
        for rows, values in _operand(job, arrays, v):
            left, right = (flow[rows], values) if matrix.transposed else (values, flow[rows])
            grads[matrix.index] = _of_matrix(job, left, right, grads[matrix.index])
    added: dict[int, Tensor] = {}
    for leaf, start, g in plans.gradients.uniforms:
        if not needed[leaf.value]:
            continue
        k = plans.sums.index(g)
        if k not in added:
            sums: Tensor = arrays[f"sum{k}"]
            added[k] = sums[0] if sums.shape[0] == 1 else sums.sum(0)
        part, total = added[k], grads[leaf.value]
        if total is None and part.shape == prepared[leaf.value].shape:
            grads[leaf.value] = part.clone()
            continue
        if total is None:
            grads[leaf.value] = total = torch.zeros_like(prepared[leaf.value])
        if leaf.width:
            total.view(-1)[start : start + part.shape[0]] += part
        else:
            total += part.view(total.shape)
    return [
        torch.zeros_like(p) if g is None and wanted else g
        for g, p, wanted in zip(grads, prepared, needed, strict=True)
    ]


def _of_matrix(job: Job, left: Tensor, right: Tensor, total: Tensor | None) -> Tensor:
    """`total + left.T @ right`, in place if there is a total."""
    height, width = left.shape[1], right.shape[1]
    if width < 8 < height:
        # The columns of the right are computed a whole vector at a time.
        found = of_rows(job.program, right, left, left.new_empty(width, height), None).t()
        return found.contiguous() if total is None else total.add_(found)
    into = left.new_empty(height, width) if total is None else total
    return of_rows(job.program, left, right, into, total)


def _operand(job: Job, arrays: Arrays, v: Node) -> list[tuple[slice, Tensor]]:
    """Return the rows that a matrix multiplied, of the sequence arrays, in pieces without zeros."""
    plans, placement = job.program.plans, job.placement
    everything = slice(0, placement.rows)
    if v in plans.operands:
        return [(everything, arrays[f"operand{plans.operands.index(v)}"])]
    root = v.args[0] if v.op == "slice" else v
    pieces = _pieces(job, arrays, root)
    if v.op != "slice":
        return pieces
    columns = slice(v.value[0], v.value[0] + v.width)
    return [(rows, values[:, columns]) for rows, values in pieces]


def _pieces(job: Job, arrays: Arrays, v: Node) -> list[tuple[slice, Tensor]]:
    plans, placement = job.program.plans, job.placement
    everything = slice(0, placement.rows)
    if v.op == "x":
        return [(everything, arrays["x"])]
    if v is plans.traced.output:
        return [(everything, arrays["y"])]
    if v in plans.traced.states:
        return [(everything, arrays[f"history{plans.traced.states.index(v)}"])]
    assert v.op == "state", v.op
    i = v.value
    past = arrays["y"] if i == plans.state_is_output else arrays[f"history{i}"]
    start, b = arrays[f"state{i}"], placement.batch
    if placement.reset is None and placement.index is None:
        n = placement.rows
        later, first = (
            (slice(0, n - b), slice(n - b, n)) if placement.reverse else (slice(b, n), slice(0, b))
        )
        pieces = [] if n == b else [(later, past[b:] if placement.reverse else past[: n - b])]
        return pieces if job.at_rest else [*pieces, (first, start)]
    if placement.index is not None:
        begun = int(placement.count[0]) if placement.taken else 0
        old = torch.cat([start[:begun], past.index_select(0, placement.previous())])
    elif placement.reverse:
        old = torch.cat([past[b:], start])
    else:
        old = torch.cat([start, past[:-b]])
    if placement.reset is not None:
        rank = placement.ranks()
        old = torch.where(placement.reset.bool()[:, None], arrays[f"fresh{i}"][rank], old)
    return [(everything, old)]
