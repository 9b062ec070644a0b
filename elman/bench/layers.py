"""Layers beside those of torch.nn: whole rows, rows of unequal length, bfloat16."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman.nn
from elman.bench import machine, worker
from elman.bench.goals import goal
from elman.bench.measure import PASSES, Step, Timed, compare, operations, step_of
from elman.bench.report import Note, Row
from elman.bench.settings import Settings

Shape = tuple[int, int, int, int]

SHAPES: tuple[Shape, ...] = (
    (100, 1, 64, 64),
    (100, 1, 128, 128),
    (100, 32, 64, 64),
    (100, 32, 128, 128),
    (100, 32, 256, 256),
    (100, 64, 512, 512),
    (500, 16, 128, 128),
    (35, 20, 200, 200),
    (35, 20, 650, 650),
    (1000, 8, 32, 32),
    (784, 32, 1, 100),
)
"""Shapes (T, B, I, H): language models, pixels one at a time, streams, and what is usual."""

QUICK: tuple[Shape, ...] = ((5, 2, 3, 8), (4, 1, 8, 8))
LAST_STEP: Shape = (300, 32, 128, 128)
KINDS = ("LSTM", "GRU", "RNN")


def text(shape: tuple[int, ...]) -> str:
    """Return a shape as text.

    >>> text((100, 32, 128, 128))
    '100,32,128,128'
    """
    return ",".join(map(str, shape))


def layers(settings: Settings, threads: int) -> Iterator[Row | Note]:
    """Measure LSTM, GRU and RNN on whole rows, as they are and with denormals flushed."""
    yield from whole_rows(settings, threads)
    if settings.flush_denormal:
        yield from worker.rows("flushed", rounds=settings.rounds, quick=settings.quick, on=threads)


def whole_rows(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure whole rows in this process, with its own treatment of denormals."""
    for kind in KINDS:
        for work in PASSES:
            rows = [
                _layer(settings, threads, kind, work, shape)
                for shape in (QUICK if settings.quick else SHAPES)
            ]
            yield from rows
            yield from _summary(rows, f"{kind} {work}", threads)
    shape = QUICK[0] if settings.quick else LAST_STEP
    yield _layer(settings, threads, "LSTM", "training", shape, last_step=True)


def _layer(
    settings: Settings, threads: int, kind: str, work: str, shape: Shape, last_step: bool = False
) -> Row:
    steps, batch, inputs, hidden = shape
    ours, theirs = _pair(kind, inputs, hidden)
    x, cotangent = data(shape)
    if last_step:
        cotangent[:-1] = 0
    timed = compare(
        settings,
        {"ours": _step(work, ours, x, cotangent), "peer": _step(work, theirs, x, cotangent)},
    )
    return row_of(
        timed,
        "layers",
        f"{kind} {work}" + (", loss on the last step" if last_step else ""),
        text(shape),
        threads,
        peer=f"torch.nn.{kind}",
        goal_of=None if last_step else f"{kind} {work}, worst",
        operations=operations(work, theirs, steps * batch),
    )


def row_of(
    timed: Timed,
    group: str,
    work: str,
    shape: str,
    threads: int,
    *,
    peer: str,
    name: str = "peer",
    goal_of: str | None = None,
    operations: float | None = None,
    half: bool = False,
    units: int = 1,
) -> Row:
    """Make the row that says how many times as fast as contender `name` our layer is.

    Args:
        timed: what was measured.
        group, work, shape, threads, peer: as a `Row` has them.
        name: who the peer is in `timed`.
        goal_of: the kind of work whose goal it is.
        operations: those of the products of ours in a call, where they are known.
        half: whether these are of bfloat16.
        units: how much work a call is; times are of one.
    """
    ratio = timed.ratio(name, "ours")
    ours, theirs = timed.median("ours"), timed.median(name)
    least = None if operations is None else machine.least_seconds(operations, threads, half)
    return Row(
        group,
        work,
        shape,
        threads,
        ratio.median,
        low=ratio.low,
        high=ratio.high,
        peer=peer,
        ours=ours / units,
        theirs=theirs / units,
        goal=None if goal_of is None else goal(goal_of, threads),
        share=None if least is None else least / ours,
        allowed=None if least is None else theirs / least,
        backend=timed.backend,
        difference=timed.difference.get(name),
    )


def _summary(rows: list[Row], work: str, threads: int) -> Iterator[Row]:
    worst = min(rows, key=lambda row: row.value)
    mean = statistics.geometric_mean([row.value for row in rows])
    allowed = [row.allowed for row in rows if row.allowed is not None]
    most = statistics.geometric_mean(allowed) if allowed else None
    for what, shape, value, allowed_here in (
        ("geometric mean", f"{len(rows)} shapes", mean, most),
        ("worst", worst.shape, worst.value, worst.allowed),
    ):
        kind = f"{work}, {what}"
        yield Row(
            "layers",
            kind,
            shape,
            threads,
            value,
            peer=rows[0].peer,
            goal=goal(kind, threads),
            allowed=allowed_here,
        )


def lengths(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure batches that are half padding, beside packed sequences and beside whole rows."""
    shape = QUICK[0] if settings.quick else (100, 32, 128, 128)
    steps, batch, inputs, hidden = shape
    ours, theirs = _pair("LSTM", inputs, hidden)
    x, cotangent = data(shape)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(0))
    ends = (torch.arange(1, batch + 1) * steps).div(batch, rounding_mode="floor")[order]
    cotangent *= (torch.arange(steps)[:, None] < ends)[..., None]

    def packed() -> Tensor:
        given = pack_padded_sequence(x, ends, enforce_sorted=False)
        y: Tensor = pad_packed_sequence(theirs(given)[0], total_length=steps)[0]
        return y

    def own() -> Tensor:
        y: Tensor = ours(x, lengths=ends)[0]
        return y

    for work in PASSES:
        ran = {
            "ours": step_of(work, own, ours, x, cotangent),
            "packed": step_of(work, packed, theirs, x, cotangent),
        }
        # What torch computes in the padding is no error of either: not compared.
        timed = compare(settings, ran, {"padded": _step(work, theirs, x, cotangent)})
        for name in ("packed", "padded"):
            yield row_of(
                timed,
                "lengths",
                f"half-filled LSTM {work}",
                text(shape),
                threads,
                peer=f"torch.nn.LSTM, {name}",
                name=name,
                goal_of=f"half-filled {work}, {name}",
                operations=operations(work, theirs, int(ends.sum())),
            )


def bf16(settings: Settings, threads: int) -> Iterator[Row]:
    """Measure LSTM inference in bfloat16 beside torch in bfloat16 and float32."""
    for hidden in (8,) if settings.quick else (128, 256, 512):
        shape = (5, 2, hidden, hidden) if settings.quick else (100, 32, hidden, hidden)
        ours, single = _pair("LSTM", hidden, hidden)
        _, half = _pair("LSTM", hidden, hidden)
        half.load_state_dict(single.state_dict())
        ours, half = ours.bfloat16(), half.bfloat16()
        x = data(shape)[0].detach()
        low = x.bfloat16()
        timed = compare(
            settings,
            {
                "ours": _step("inference", ours, low, low),
                "single": _step("inference", single, x, x),
                "half": _step("inference", half, low, low),
            },
        )
        for name, peer in (("single", "torch.nn.LSTM, float32"), ("half", "torch.nn.LSTM, bf16")):
            yield row_of(
                timed,
                "bf16",
                "LSTM inference in bf16",
                text(shape),
                threads,
                peer=peer,
                name=name,
                goal_of="bf16 inference" if name == "single" else None,
                operations=operations("inference", single, shape[0] * shape[1]),
                half=True,
            )


def _pair(kind: str, inputs: int, hidden: int) -> tuple[nn.Module, nn.Module]:
    """Make our layer and torch's with the same weights."""
    torch.manual_seed(0)
    theirs: Any = getattr(nn, kind)(inputs, hidden)
    ours: Any = getattr(elman.nn, kind)(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def data(shape: Shape) -> tuple[Tensor, Tensor]:
    """Draw an input that requires its gradient, and a gradient of the output."""
    steps, batch, inputs, hidden = shape
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(steps, batch, inputs, generator=generator, requires_grad=True)
    return x, torch.randn(steps, batch, hidden, generator=generator)


def _step(work: str, layer: nn.Module, x: Tensor, cotangent: Tensor) -> Step:
    return step_of(work, lambda: layer(x)[0], layer, x, cotangent)
