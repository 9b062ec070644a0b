"""The start of a kernel: each thread's share, the packed matrices, and the call itself.

Everything that hangs on sizes alone is worked out once for each (`Frame`): a short sequence takes
less time than that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from torch import Tensor

from elman.kernels import packing, settings
from elman.kernels.graph import Matrix
from elman.kernels.memory import scratch
from elman.kernels.plan import Kind
from elman.kernels.program import Program, longs, own_cache, pool, threads_at_most
from elman.kernels.rows import Placement
from elman.kernels.witness import Witness

FEW_ROWS = 4
"""A thread with fewer rows than this computes products of the input in one piece, before the loop:
a tile of few rows wastes the processor."""

BY_UNITS = 4
"""Rows up to which threads share out units and not rows: each then reads only its part of the
matrices, which for so few rows is what takes the time."""

ROWS_BY_UNITS = 16
"""Rows a thread up to which threads share out units where the matrices that a step reads exceed a
core's own cache: reading them takes longer than waiting for one another."""

WORTH_MEETING = 8192
"""Numbers in the matrices that a step reads from which it pays to share them: waiting for one
another takes as long as reading half of them."""

_FRAMES = 512
"""Sizes that a program remembers at most."""


@dataclass
class Job:
    """One run of a cell.

    Attributes:
        program: its kernels.
        placement: where rows lie.
        return_states: whether every state is wanted.
        states: how many there are.
        resets: whether some rows begin anew within.
        at_rest: whether the first state is known to be zero.
        masks: for each state where it is held, or None; or none at all.
        witness: who is told the gradients of states.
    """

    program: Program
    placement: Placement
    return_states: bool
    states: int
    resets: bool
    at_rest: bool
    masks: list[Tensor | None]
    witness: Witness | None = None

    def parts(self, given: Sequence[Tensor]) -> tuple[Any, ...]:
        """x, states, fresh states, prepared parameters."""
        n = self.states
        m = n * (1 + self.resets)
        return given[0], given[1 : 1 + n], given[1 + n : 1 + m], given[1 + m :]

    def part(self, begin: int, end: int) -> tuple[Job, slice]:
        """The steps from `begin` to `end` as a run of their own, and which rows they are."""
        placement, rows = self.placement.part(begin, end)
        masks = [None if m is None else m[rows] for m in self.masks]
        at_rest = self.at_rest and begin == 0
        return replace(self, placement=placement, masks=masks, at_rest=at_rest), rows


@dataclass(frozen=True)
class Early:
    """A product of the input that is made before the loop.

    Attributes:
        depth, width: of its matrix.
        biases: prepared vectors added to it.
    """

    depth: int
    width: int
    biases: tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """The facts that all calls of a kernel on one placement share.

    Attributes:
        threads: how many there are.
        by_units: whether they share out units, and not rows.
        split: where each thread's rows begin.
        room: numbers of scratch memory a thread.
        panels: for each matrix in the kernel's order: which, packed how wide, and whether its
            product is made early instead.
    """

    threads: int
    by_units: bool
    split: Any
    room: int
    panels: tuple[tuple[Matrix, int, Early | None], ...]


def frame_of(job: Job, kind: Kind) -> Frame:
    """Return the frame of a kernel of `job`, worked out at its first call."""
    placement, known = job.placement, job.program.frames
    key = (kind, placement.steps, placement.batch, placement.lengths, job.resets, threads_at_most())
    found = known.get(key)
    if found is None:
        if len(known) >= _FRAMES:
            known.clear()
        found = known[key] = _frame(job, kind)
    return found


def _frame(job: Job, kind: Kind) -> Frame:
    program, placement = job.program, job.placement
    plan = program.plans.plans[kind]
    threads, by_units = _split(job, kind)
    split = placement.split(1 if by_units else threads)
    early: list[Early | None] = [None] * len(plan.matrices)
    if kind != "backward" and placement.rows >= 2 * FEW_ROWS:
        rows = placement.batch if by_units else placement.batch / threads
        early = _early(program, kind, rows)
    values = program.plans.sizes.values
    widths = {p.matrix: values[p.width] for phase in plan.phases for p in phase.products}
    groups = program.groups[kind] if by_units else None
    panels = tuple(
        (matrix, groups[k] if groups else widths[matrix], early[k])
        for k, matrix in enumerate(plan.matrices)
    )
    room = program.room(kind, max(b - a for a, b in pairwise(split)))
    return Frame(threads, by_units, split, room, panels)


def _split(job: Job, kind: Kind) -> tuple[int, bool]:
    """Return the number of threads, and whether they share out units and not rows."""
    threads, program, batch = threads_at_most(), job.program, job.placement.batch
    if job.placement.rows * program.work < 20_000:
        return 1, False
    if threads > 1 and program.groups[kind] is not None and not job.resets:
        if batch <= BY_UNITS and program.read[kind] > WORTH_MEETING:
            return threads, True
        if batch < FEW_ROWS:
            return 1, False
        large = program.read[kind] * program.bytes_of_weight > own_cache()
        if large and batch <= ROWS_BY_UNITS * threads and job.placement.lengths is None:
            return threads, True
    return max(1, min(threads, batch)), False


def _early(program: Program, kind: Kind, rows: float) -> list[Early | None]:
    """Return for each matrix its product made before the loop, where that is faster."""
    plan, values = program.plans.plans[kind], program.plans.sizes.values
    early: list[Early | None] = [None] * len(plan.matrices)
    read = program.read[kind] + program.read_of_x[kind]
    # Three quarters: states and results need room beside the matrices.
    large = read * program.bytes_of_weight > own_cache() * 3 // 4
    for phase in plan.phases:
        for product in phase.products:
            depth, width = values[product.depth], values[product.width]
            whole = product.source.array == "x" and product.source.offset == "0"
            if whole and depth >= 8 and (rows < FEW_ROWS or large):
                made = Early(depth, width, tuple(product.biases))
                early[plan.matrices.index(product.matrix)] = made
    return early


def call(
    job: Job,
    kind: Kind,
    frame: Frame,
    arrays: dict[str, Tensor | None],
    x: Tensor,
    prepared: Sequence[Tensor],
) -> None:
    """Run one of a cell's kernels over all steps, by its frame."""
    program, placement = job.program, job.placement
    threads = frame.threads
    packed = _packed(program, frame, kind, prepared)
    panels, early = [], []
    for k, ((*_, made), panel) in enumerate(zip(frame.panels, packed, strict=True)):
        panels.append(None if made else panel)
        early.append(_ahead(job, made, x, panel, prepared, k) if made else None)
    # Matrices among them are not read, and need not be put in order.
    vectors = [p if p.dim() > 1 else p.contiguous() for p in prepared]
    space = scratch("room", frame.room * threads, x)
    get = arrays.get
    tensors = [*map(get, program.plans.plans[kind].arrays), *panels, *early, *vectors]
    program.functions[kind](
        longs(18 + len(tensors)).pack(
            0,
            placement.taken,
            placement.batch,
            threads,
            frame.by_units,
            frame.room,
            settings.flush_denormal,
            placement.first.data_ptr(),
            placement.count.data_ptr(),
            ctypes.addressof(frame.split),
            ctypes.addressof(program.sizes),
            0 if placement.reset is None else placement.reset.data_ptr(),
            space.data_ptr(),
            program.product,
            *(pool() if threads > 1 else (0, 0, 0)),
            program.half,
            *[0 if t is None else t.data_ptr() for t in tensors],
        )
    )


def _packed(program: Program, frame: Frame, kind: Kind, prepared: Sequence[Tensor]) -> list[Tensor]:
    """The matrices packed; in training they will be others at the next call."""
    wanted = [
        (prepared[matrix.index], matrix.transposed, early.width if early else group)
        for matrix, group, early in frame.panels
    ]
    if kind == "infer":
        return [packing.kept(program, *matrix) for matrix in wanted]
    return packing.once(program, wanted, "panel")


def _ahead(
    job: Job, early: Early, x: Tensor, packed: Tensor, prepared: Sequence[Tensor], k: int
) -> Tensor:
    rows, width = job.placement.rows, early.width
    bias = None
    for b in early.biases:
        bias = prepared[b] if bias is None else bias + prepared[b]
    made = scratch(f"early {k}", rows * width, x)
    return by_rows(job.program, rows, early.depth, width, x, packed, made, bias)


def by_rows(
    program: Program,
    rows: int,
    depth: int,
    width: int,
    a: Tensor,
    packed: Tensor,
    into: Tensor,
    init: Tensor | None = None,
) -> Tensor:
    """`into = init + a @ packed` for all rows, `init` being a row for all, `into` or nothing."""
    _large(program.products.by_rows, program, rows, depth, width, a, packed, width, into, init)
    return into


def of_rows(program: Program, a: Tensor, g: Tensor, into: Tensor, init: Tensor | None) -> Tensor:
    """`into = init + a.T @ g`, summed over all rows; `init` is `into` or nothing."""
    depth, width = into.shape
    _large(program.sums.of_rows, program, a.shape[0], depth, width, a, g, g.stride(0), into, init)
    return into


def _large(
    function: Any,
    program: Program,
    rows: int,
    depth: int,
    width: int,
    a: Tensor,
    g: Tensor,
    ldg: int,
    into: Tensor,
    init: Tensor | None,
) -> None:
    """A product over all rows, from the `Large` of tiles.h."""
    threads = threads_at_most() if rows * depth * width > 200_000 else 1
    room = scratch("packed", threads * program.sums_room, a)
    if a.stride(1) != 1:
        a = a.contiguous()
    function(
        longs(17).pack(
            threads,
            rows,
            depth,
            width,
            a.data_ptr(),
            a.stride(0),
            g.data_ptr(),
            ldg,
            into.data_ptr(),
            0 if init is None else init.data_ptr(),
            width if init is not None and init.dim() == 2 else 0,
            room.data_ptr(),
            *(pool() if threads > 1 else (0, 0, 0)),
            settings.flush_denormal,
            program.product,
        )
    )
