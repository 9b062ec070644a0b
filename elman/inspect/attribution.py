"""Integrated gradients and occlusion say which inputs an output depends on.

Both ask a function of sequences, time first, for many changed copies of the same sequences at
once, side by side in the batch, where the compiled kernels are fastest. A copy of a row has to be
treated as any other row: what the function gives for it must depend on that row alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from elman.errors import InputError, nearest
from elman.inspect.passage import Passage
from elman.kernels import run

Scalar = Callable[[Tensor], Tensor]
"""`(T, N, D)` -> `(N,)`, each row for itself."""

METHODS = ("integrated_gradients", "occlusion")
_AT_ONCE = 2**16
"""Steps of all copies in one call, which bounds the memory that a backward pass needs."""
_TOLERANCE = 1e-2
"""Relative, of a layer run again: bfloat16 keeps within it, another weight does not."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The share of an output that is due to each input.

    Attributes:
        values: `(T, B)`, or `(T, B, D)` where features were asked for, float64, in units of the
            output.
        output: `(B,)`, of the sequences as they are.
        at_baseline: `(B,)`, of the baseline.
    """

    values: Tensor
    output: Tensor
    at_baseline: Tensor

    @property
    def gap(self) -> Tensor:
        """`(B,)`, |Σ values − (output − at_baseline)|.

        For integrated gradients the error of the quadrature (completeness, Sundararajan et al.
        2017, proposition 1). For occlusion, which promises no such sum, how far the inputs act
        together rather than each for itself.
        """
        total = self.values if self.values.dim() == 2 else self.values.sum(2)
        return (total.sum(0) - (self.output - self.at_baseline)).abs()


def integrated_gradients(
    f: Scalar,
    x: Tensor,
    baseline: Tensor | None = None,
    *,
    steps: int = 64,
    features: bool = False,
) -> Attribution:
    """Integrate the gradient along the straight line from a baseline to the input.

    (x − x') ∫₀¹ ∂f(x' + α (x − x')) / ∂x dα (Sundararajan, Taly & Yan 2017, "Axiomatic attribution
    for deep networks", eq. 1), the integral by Gauss-Legendre quadrature. The values of a row add
    up to f(x) − f(x'), as closely as `gap` says.

    Args:
        f: `(T, N, D)` -> `(N,)`, differentiable, each row for itself; N is a multiple of B, and
            row b + kB a changed copy of row b.
        x: `(T, B, D)`.
        baseline: x', what counts as no input; anything that broadcasts to x; zeros if None.
        steps: nodes of the quadrature.
        features: `(T, B, D)`, not summed over features.

    Raises:
        InputError: an argument has the wrong shape or type, or f cannot be differentiated.

    >>> x = torch.tensor([[[1.0]], [[2.0]]])
    >>> found = integrated_gradients(lambda x: (x**3).sum((0, 2)), x)
    >>> found.values.T, found.gap < 1e-6
    (tensor([[1.0000, 8.0000]], dtype=torch.float64), tensor([True]))
    """
    if steps < 1:
        raise InputError(f"steps={steps} must be at least 1.")
    x, start = _pair(x, baseline)
    nodes, weights = (
        torch.as_tensor(a, dtype=torch.float64, device=x.device)
        for a in np.polynomial.legendre.leggauss(steps)
    )
    way, batch = (x - start).double(), x.shape[1]
    total = torch.zeros_like(way)
    for part in torch.split(torch.arange(steps, device=x.device), _copies(x)):
        along = ((nodes[part] + 1) / 2).to(x.dtype)[:, None, None]
        points = torch.lerp(start[:, None], x[:, None], along).flatten(1, 2).requires_grad_()
        with torch.enable_grad():
            given = _asked(f, points)
            if not given.requires_grad:
                raise InputError(
                    "No gradient leads from the output back to x.",
                    fix="Compute it from x with differentiable operations, or take occlusion.",
                )
            (gradient,) = torch.autograd.grad(
                given.sum(), points, allow_unused=True, materialize_grads=True
            )
        of_each = gradient.double().view(len(x), len(part), batch, x.shape[2])
        total += (of_each * (weights[part] / 2)[:, None, None]).sum(1)
    values = total * way
    return Attribution(values if features else values.sum(2), *_both_ends(f, x, start))


def occlusion(
    f: Scalar,
    x: Tensor,
    baseline: Tensor | None = None,
    *,
    width: int = 1,
    features: bool = False,
) -> Attribution:
    """Measure what the output loses when the steps around each step are covered up.

    f(x) − f(x covered from t − ⌊w/2⌋ to t + ⌊(w−1)/2⌋), as a grey square is moved over a picture
    by Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.

    Args:
        f: `(T, N, D)` -> `(N,)`, each row for itself; N is a multiple of B, and row b + kB a
            changed copy of row b.
        x: `(T, B, D)`.
        baseline: what the cover looks like; anything that broadcasts to x; zeros if None.
        width: w, steps covered at once.
        features: cover one feature at a time: `(T, B, D)`.

    Raises:
        InputError: an argument has the wrong shape or type.

    >>> x = torch.tensor([[[1.0]], [[2.0]], [[4.0]]])
    >>> occlusion(lambda x: x.prod(0)[:, 0] + x[1, :, 0], x).values.T
    tensor([[ 8., 10.,  8.]], dtype=torch.float64)
    """
    if width < 1:
        raise InputError(f"width={width} must be at least 1.")
    x, start = _pair(x, baseline)
    t = torch.arange(x.shape[0], device=x.device)
    covered = ((t - t[:, None] >= -(width // 2)) & (t - t[:, None] <= (width - 1) // 2))[..., None]
    kinds = x.shape[2] if features else 1
    which = torch.eye(kinds, dtype=torch.bool, device=x.device)
    whole, at_baseline = _both_ends(f, x, start)
    values = x.new_zeros(len(t) * kinds, x.shape[1], dtype=torch.float64)
    for part in torch.split(torch.arange(len(t) * kinds, device=x.device), _copies(x)):
        hidden = covered[part // kinds] & which[part % kinds][:, None]
        copies = torch.where(hidden.transpose(0, 1)[:, :, None], start[:, None], x[:, None])
        with torch.no_grad():
            given = _asked(f, copies.flatten(1, 2)).double()
        values[part] = whole - given.view(len(part), x.shape[1])
    if features:
        values = values.view(len(t), kinds, -1).transpose(1, 2)
    return Attribution(values, whole, at_baseline)


def attribute(
    passage: Passage,
    output: tuple[int, int] | Scalar = (-1, 0),
    method: str = "integrated_gradients",
    baseline: Tensor | None = None,
    *,
    steps: int = 64,
    width: int = 1,
    features: bool = False,
) -> Attribution:
    """Attribute an output of a recurrent layer to its inputs.

    The layer's cell runs again over changed inputs, reset where it was, with the zoneout that it
    had. Steps that cannot matter, for they come after the output or lie in the padding, or before
    the reset with which the sequence of an output at one step began, have exactly 0.

    Args:
        passage: the layer over a batch; the values are in its own time.
        output: step and unit, the step counted from each row's end if negative (a row without
            that step has 0 everywhere); or a function of the outputs, `(T, N, output_size)` ->
            `(N,)`, each row for itself, zeros beyond a row's length.
        method: "integrated_gradients" or "occlusion".
        baseline: as there.
        steps: as in `integrated_gradients`.
        width: as in `occlusion`.
        features: as there.

    Raises:
        InputError: there is no such step, unit or method; or the cell, run again, gives another
            output than was seen.

    >>> import elman.cells
    >>> passage = Passage.of(elman.cells.make("gru", 2, 3), torch.randn(7, 4, 2))
    >>> found = attribute(passage, output=(4, 1))
    >>> found.values.shape, found.values[5:].abs().max().item(), bool((found.gap < 1e-5).all())
    (torch.Size([7, 4]), 0.0, True)
    """
    if method not in METHODS:
        raise InputError(f"method={method!r} is not known.", fix=nearest(method, METHODS))
    _check_the_same(passage)
    ends = passage.lengths if callable(output) else _ends(passage, *output)
    begins = torch.zeros_like(ends) if callable(output) else passage.since(ends - 1)
    x = passage.x[: int(ends.max())] if passage.batch else passage.x

    def f(x: Tensor) -> Tensor:
        lengths = ends.repeat(x.shape[1] // max(passage.batch, 1))
        given = _again(passage, x, lengths)
        if callable(output):
            return output(given)
        if len(given) == 0:
            return x.sum((0, 2))
        rows = torch.arange(len(lengths), device=x.device)
        return given[(lengths - 1).clamp(min=0), rows, output[1]]

    if method == "occlusion":
        found = occlusion(f, x, _cut(baseline, x, passage), width=width, features=features)
    else:
        found = integrated_gradients(
            f, x, _cut(baseline, x, passage), steps=steps, features=features
        )
    values = found.values.new_zeros(passage.steps, *found.values.shape[1:])
    values[: len(x)] = found.values
    when = torch.arange(passage.steps, device=x.device)[:, None]
    unread = (when >= ends) | (when < begins)
    return replace(found, values=values.masked_fill(unread[..., None] if features else unread, 0.0))


def _ends(passage: Passage, step: int, unit: int) -> Tensor:
    """Return the end of each row whose last output is at `step`; 0 for a row without it."""
    if not -passage.steps <= step < passage.steps:
        raise InputError(
            f"The output has no step {step}.",
            fix=f"Choose from {-passage.steps} to {passage.steps - 1}.",
        )
    if not 0 <= unit < passage.output.shape[2]:
        raise InputError(
            f"The output has no unit {unit}.",
            fix=f"Choose from 0 to {passage.output.shape[2] - 1}.",
        )
    if step < 0:
        return (passage.lengths + step + 1).clamp(min=0)
    return torch.where(passage.lengths > step, step + 1, torch.zeros_like(passage.lengths))


def _again(passage: Passage, x: Tensor, lengths: Tensor) -> Tensor:
    """Return the output over other inputs `(S, N, D)` of the first steps, N rows being B again and
    again."""
    copies = len(lengths) // max(passage.batch, 1)

    def repeated(rows: Tensor) -> Tensor:
        return rows[: len(x)].repeat(1, copies, *(1,) * (rows.dim() - 2))

    return run(
        passage.cell,
        x,
        tuple(s.repeat(copies, 1) for s in passage.start),
        lengths=lengths,
        weights=passage.weights,
        reset=None if passage.anew is None else repeated(passage.anew),
        hold=passage.hold
        and tuple(repeated(h) if isinstance(h, Tensor) else h for h in passage.hold),
    ).output


def _check_the_same(passage: Passage) -> None:
    """Refuse a cell that has changed since."""
    with torch.no_grad():
        again = _again(passage, passage.x, passage.lengths)
    off = (again.double() - passage.output.double()).square().mean().sqrt()
    if off > _TOLERANCE * passage.output.double().square().mean().sqrt():
        raise InputError(
            f"{passage.name or type(passage.cell).__name__} gives another output when it runs "
            "again than it gave when it was observed.",
            fix="Observe it as it is now.",
        )


def _pair(x: Tensor, baseline: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return x and its baseline in one shape and type, out of any graph."""
    if x.dim() != 3 or not x.is_floating_point():
        raise InputError(
            f"x must be numbers (time, batch, features), got {tuple(x.shape)} of {x.dtype}.",
            fix="For tokens, take their embeddings.",
        )
    x = x.detach()
    if baseline is None:
        return x, torch.zeros_like(x)
    try:
        return x, baseline.detach().to(x).expand_as(x)
    except RuntimeError:
        raise InputError(
            f"A baseline {tuple(baseline.shape)} does not broadcast to x {tuple(x.shape)}."
        ) from None


def _cut(baseline: Tensor | None, x: Tensor, passage: Passage) -> Tensor | None:
    """Cut the baseline of a passage after the last step that matters."""
    return None if baseline is None else _pair(passage.x, baseline)[1][: len(x)]


def _copies(x: Tensor) -> int:
    """Return how many copies of x one call may hold."""
    return max(1, _AT_ONCE // max(1, x.shape[0] * x.shape[1]))


def _asked(f: Scalar, rows: Tensor) -> Tensor:
    given = f(rows)
    if given.shape != rows.shape[1:2]:
        raise InputError(
            f"The function must give one number a row, ({rows.shape[1]},), "
            f"it gave {tuple(given.shape)}."
        )
    return given


def _both_ends(f: Scalar, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return f of x and of the baseline."""
    with torch.no_grad():
        return _asked(f, x).double(), _asked(f, start).double()
