"""Every operation a kernel has, and the gradient derived for it, against torch and its autograd.

One tiny cell each, in double precision, where only the rules can differ; ties and kinks are among
the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.cells import Cell
from elman.errors import InputError
from elman.kernels import choose
from elman.kernels import trace as trace_module
from elman.kernels.derive import _THROUGH
from elman.kernels.graph import BINARY, REDUCTIONS, UNARY

WHOLE = torch.float64
SIZE = 6
Function = Callable[[Tensor, Tensor], Tensor]


class Of(Cell):
    """y = f(x, h): a function on trial, with a few parameters it may use."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__(SIZE, SIZE)
        torch.manual_seed(0)
        self.function = function
        self.v = nn.Parameter(torch.randn(SIZE))
        self.row = nn.Parameter(torch.randn(1, SIZE))
        self.number = nn.Parameter(torch.tensor(0.7))
        self.one = nn.Parameter(torch.tensor([0.3]))
        self.M = nn.Parameter(torch.randn(SIZE, SIZE))
        self.both = nn.Linear(2 * SIZE, SIZE)
        self.part = nn.Linear(SIZE // 2, SIZE)
        self.norm = nn.LayerNorm(SIZE)
        self.rms = nn.RMSNorm(SIZE)
        self.register_buffer("fixed", torch.randn(SIZE))

    def forward(self, x, state):
        (h,) = state
        y = self.function(x, h) if self.function.__code__.co_argcount == 2 else self.function(
            self, x, h
        )  # fmt: skip
        return y, (0.5 * h + y,)


def changed(a: Tensor, b: Tensor) -> Tensor:
    a += b
    a *= b
    return a


POSITIVE = lambda a: a.abs() + 0.1  # noqa: E731

POINTWISE: dict[str, Function] = {
    "neg": lambda x, h: -x,
    "exp": lambda x, h: x.exp(),
    "expm1": lambda x, h: torch.expm1(x),
    "log": lambda x, h: POSITIVE(x).log(),
    "log1p": lambda x, h: torch.log1p(POSITIVE(x)),
    "log2": lambda x, h: POSITIVE(x).log2(),
    "log10": lambda x, h: POSITIVE(x).log10(),
    "exp2": lambda x, h: torch.exp2(x),
    "tanh": lambda x, h: torch.tanh(x),
    "sigmoid": lambda x, h: torch.sigmoid(x),
    "sqrt": lambda x, h: POSITIVE(x).sqrt(),
    "rsqrt": lambda x, h: POSITIVE(x).rsqrt(),
    "square": lambda x, h: torch.square(x),
    "reciprocal": lambda x, h: (x + 0.3).reciprocal(),
    "abs": lambda x, h: x.abs(),
    "sin": lambda x, h: x.sin(),
    "cos": lambda x, h: x.cos(),
    "tan": lambda x, h: x.tan(),
    "atan": lambda x, h: x.atan(),
    "erf": lambda x, h: x.erf(),
    "erfc": lambda x, h: x.erfc(),
    "floor": lambda x, h: x.floor() * h,
    "ceil": lambda x, h: x.ceil() * h,
    "round": lambda x, h: x.round() * h,
    "sign": lambda x, h: x.sign() * h,
    "sgn": lambda x, h: x.sgn() * h,
    "relu": lambda x, h: x.relu(),
    "relu6": lambda x, h: F.relu6(6 * x),
    "silu": lambda x, h: F.silu(x),
    "gelu": lambda x, h: F.gelu(x),
    "gelu by tanh": lambda x, h: F.gelu(x, approximate="tanh"),
    "elu": lambda x, h: F.elu(x),
    "elu of another slope": lambda x, h: F.elu(x, 0.5),
    "selu": lambda x, h: F.selu(x),
    "celu": lambda x, h: F.celu(x, 0.5),
    "leaky_relu": lambda x, h: F.leaky_relu(x, 0.2),
    "softplus": lambda x, h: F.softplus(x),
    "softplus with beta": lambda x, h: F.softplus(x, 2.0),
    "logsigmoid": lambda x, h: F.logsigmoid(x),
    "softsign": lambda x, h: F.softsign(x),
    "tanhshrink": lambda x, h: F.tanhshrink(x),
    "hardtanh": lambda x, h: F.hardtanh(x),
    "hardsigmoid": lambda x, h: F.hardsigmoid(6 * x),
    "hardswish": lambda x, h: F.hardswish(6 * x),
    "mish": lambda x, h: F.mish(x),
    "threshold": lambda x, h: F.threshold(x, 0.5, 7.0),
    "glu": lambda x, h: F.glu(torch.cat([x, h], -1)),
    "add": lambda x, h: x + h,
    "add with alpha": lambda x, h: torch.add(x, h, alpha=3),
    "sub": lambda x, h: x - h,
    "sub with alpha": lambda x, h: torch.sub(x, h, alpha=3),
    "from one": lambda x, h: 1 - x,
    "mul": lambda x, h: x * h,
    "mul by itself": lambda x, h: x * x * x,
    "div": lambda x, h: x / POSITIVE(h),
    "div by a number": lambda x, h: x / 3,
    "one over": lambda x, h: 2 / POSITIVE(x),
    "pow 2": lambda x, h: x**2,
    "pow 3": lambda x, h: x**3,
    "pow 1": lambda x, h: x**1,
    "pow 0": lambda x, h: x**0 + x,
    "pow half": lambda x, h: POSITIVE(x) ** 0.5,
    "pow -1": lambda x, h: POSITIVE(x) ** -1.0,
    "pow of rows": lambda x, h: POSITIVE(x) ** h,
    "pow of zero": lambda x, h: x.relu() ** POSITIVE(h),
    "power of two": lambda x, h: 2.0**x,
    "maximum": lambda x, h: torch.maximum(x, h),
    "minimum": lambda x, h: torch.minimum(x, h),
    "maximum and a number": lambda x, h: torch.maximum(x, torch.zeros_like(x)),
    "clamp": lambda x, h: x.clamp(-1, 1),
    "clamp from below": lambda x, h: x.clamp(min=0.5),
    "clamp from above": lambda x, h: x.clamp(max=0.5),
    "clamp_min": lambda x, h: torch.clamp_min(x, 0),
    "clamp_max": lambda x, h: torch.clamp_max(x, 0),
    "clamp by rows": lambda x, h: torch.clamp(x, -POSITIVE(h), POSITIVE(h)),
    "where gt": lambda x, h: torch.where(x > h, x, 2 * h),
    "where ge": lambda x, h: torch.where(x >= h, x, 2 * h),
    "where lt": lambda x, h: torch.where(x < h, x, 2 * h),
    "where le": lambda x, h: torch.where(x <= h, x, 2 * h),
    "where eq": lambda x, h: torch.where(x == h, x, 2 * h),
    "where ne": lambda x, h: torch.where(x != h, x, 2 * h),
    "where of numbers": lambda x, h: torch.where(x > 0, 1.0, 2.0) * h,
    "where and": lambda x, h: torch.where((x > 0) & (h > 0), x, h * h),
    "where or": lambda x, h: torch.where((x > 0) | (h > 0), x, h * h),
    "where not": lambda x, h: torch.where(~(x > 0), x, h * h),
    "where logically": lambda x, h: torch.where(
        torch.logical_or(torch.logical_not(x > 0), torch.logical_and(h > 0, x > 1)), x, h * h
    ),
    "a comparison as a number": lambda x, h: (x > 0).to(x.dtype) * h,
    "a comparison in a product": lambda x, h: (x > 0) * h,
    "masked_fill": lambda x, h: x.masked_fill(h > 0, 0.5),
    "lerp": lambda x, h: torch.lerp(x, h, 0.3),
    "lerp by rows": lambda x, h: torch.lerp(x, h, torch.sigmoid(h)),
    "addcmul": lambda x, h: torch.addcmul(x, x, h, value=0.3),
    "addcdiv": lambda x, h: torch.addcdiv(x, x, POSITIVE(h), value=0.3),
    "logaddexp": lambda x, h: torch.logaddexp(x, h),
    "detach": lambda x, h: x.detach() * h + x,
    "straight through": lambda x, h: x + (x.round() - x).detach(),
    "zeros_like": lambda x, h: torch.zeros_like(x) + h,
    "ones_like": lambda x, h: torch.ones_like(x) - h,
    "full_like": lambda x, h: torch.full_like(x, 0.3) * h,
    "new_zeros": lambda x, h: x.new_zeros(x.shape) + h,
    "new_ones": lambda x, h: x.new_ones(x.shape) * h,
    "new_full": lambda x, h: x.new_full(x.shape, 0.3) * h,
    "zeros": lambda x, h: torch.zeros(x.shape[0], SIZE, dtype=x.dtype) + x * h,
    "ones": lambda x, h: torch.ones(x.shape[0], SIZE, dtype=x.dtype) * x * h,
    "full": lambda x, h: torch.full((x.shape[0], SIZE), 0.3, dtype=x.dtype) * x * h,
    "changed in place": lambda x, h: (x * h).add_(h).mul_(2).sigmoid_(),
    "changed by an operator": lambda x, h: changed(x * h, x),
    "clone": lambda x, h: x.clone().contiguous() * h,
}
REDUCED: dict[str, Function] = {
    "sum": lambda x, h: x * h.sum(-1, keepdim=True),
    "sum without its axis": lambda x, h: x * h.sum(1).unsqueeze(-1),
    "sum indexed": lambda x, h: x * h.sum(1)[:, None],
    "sum of a sum": lambda x, h: (x.sum(-1, keepdim=True) + h).sum(-1, keepdim=True) * x,
    "mean": lambda x, h: x - x.mean(-1, keepdim=True),
    "amax": lambda x, h: h * x.amax(-1, keepdim=True),
    "amin": lambda x, h: h * x.amin(-1, keepdim=True),
    "var": lambda x, h: h * x.var(-1, keepdim=True),
    "var of a population": lambda x, h: h * x.var(-1, unbiased=False, keepdim=True),
    "var with correction": lambda x, h: h * torch.var(x, -1, correction=2, keepdim=True),
    "var_mean": lambda x, h: h * sum(torch.var_mean(x, -1, keepdim=True)),
    "std": lambda x, h: h * x.std(-1, keepdim=True),
    "norm": lambda x, h: h * x.norm(dim=-1, keepdim=True),
    "norm 1": lambda x, h: h * x.norm(1, dim=-1, keepdim=True),
    "vector_norm": lambda x, h: h * torch.linalg.vector_norm(x, dim=-1, keepdim=True),
    "normalize": lambda x, h: F.normalize(x, dim=-1),
    "dot": lambda x, h: x * (x * h).sum(-1, keepdim=True),
    "softmax": lambda x, h: x.softmax(-1),
    "softmin": lambda x, h: F.softmin(x, -1),
    "log_softmax": lambda x, h: x.log_softmax(-1),
    "logsumexp": lambda x, h: h * x.logsumexp(-1, keepdim=True),
    "layer_norm": lambda x, h: F.layer_norm(x, (SIZE,)),
    "rms_norm": lambda x, h: F.rms_norm(x, (SIZE,)),
    "rms_norm with eps": lambda x, h: F.rms_norm(x, (SIZE,), eps=0.01),
    "normalised twice": lambda x, h: F.layer_norm(F.layer_norm(x, (SIZE,)) * h, (SIZE,)),
    "attention of two": lambda x, h: (
        torch.sigmoid((x * h).sum(-1, keepdim=True)) * x
        + torch.sigmoid(-(x * h).sum(-1, keepdim=True)) * h
    ),
}
SHAPED: dict[str, Function] = {
    "chunk": lambda x, h: torch.cat([h[:, :3] * x.chunk(2, -1)[0], x.chunk(2, -1)[1]], -1),
    "split": lambda x, h: torch.cat(x.split([1, 2, 3], -1)[::-1], -1) * h,
    "split by one size": lambda x, h: torch.cat(x.split(4, -1)[::-1], -1) * h,
    "slice": lambda x, h: torch.cat([x[:, 2:], h[:, :2]], -1).tanh(),
    "slice from the end": lambda x, h: torch.cat([x[:, -2:], h[..., :-2]], -1).tanh(),
    "slice of a slice": lambda x, h: torch.cat([x[:, 1:5][:, 1:3], h[:, :4]], -1).tanh(),
    "narrow": lambda x, h: torch.cat([x.narrow(1, 1, 4), h.narrow(-1, 0, 2)], -1).tanh(),
    "overlapping slices": lambda x, h: torch.cat([x[:, :4] * x[:, 2:], h[:, :2]], -1),
    "select": lambda x, h: x[:, 2].unsqueeze(-1) * h,
    "select the last": lambda x, h: x[:, -1:] * h,
    "select and expand": lambda x, h: x[:, 0, None].expand(-1, SIZE) * h,
    "expand_as": lambda x, h: x[:, :1].expand_as(h) * h.tanh(),
    "squeeze": lambda x, h: h.tanh() * x[:, 1:2].squeeze(-1)[:, None],
    "view": lambda x, h: x.view(x.shape) * h.reshape(-1, SIZE),
    "of slices of a computed value": lambda x, h: torch.cat(
        [(x * h)[:, 3:].tanh(), (x + h)[:, :3].exp()], -1
    ),
    "cat of a value and itself": lambda x, h: torch.cat([x, h, x], -1)[:, 3 : 3 + SIZE] * x,
    "cat of many": lambda x, h: torch.cat([x[:, i : i + 1] * h[:, :1] for i in range(SIZE)], -1),
    "cat of numbers of a row": lambda x, h: torch.cat(
        [x.sum(-1, keepdim=True), x.amax(-1, keepdim=True), h[:, 2:].tanh()], -1
    ),
    "sum of a cat": lambda x, h: x * torch.cat([x, h], -1).sum(-1, keepdim=True),
    "norm of a cat": lambda x, h: F.layer_norm(torch.cat([x, h], -1), (2 * SIZE,))[:, 3:9],
    "sum of a part": lambda x, h: x * h[:, 1:4].sum(-1, keepdim=True),
}
PARAMETERS: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "a vector": lambda c, x, h: c.v * x + h,
    "a row": lambda c, x, h: c.row * x + h,
    "a number": lambda c, x, h: c.number * x + h,
    "a vector of one": lambda c, x, h: c.one * x + h,
    "a buffer": lambda c, x, h: c.fixed * x + h,
    "part of a vector": lambda c, x, h: torch.cat([c.v[:3] * x[:, :3], c.v[3:] + h[:, 3:]], -1),
    "a vector's number": lambda c, x, h: c.v[2] * x + h,
    "a computed vector": lambda c, x, h: c.v.softmax(0) * x + h,
    "a vector's norm": lambda c, x, h: x * c.v.norm() + h,
    "an expanded vector": lambda c, x, h: c.v.expand(x.shape[0], -1) * x,
    "a vector alone": lambda c, x, h: c.v.tanh().expand_as(x) + 0 * h,
    "a vector reduced with a row": lambda c, x, h: x * (c.v * h).sum(-1, keepdim=True),
    "prelu": lambda c, x, h: F.prelu(x, c.one),
    "maximum and a vector": lambda c, x, h: torch.maximum(x, c.v),
    "pow a vector": lambda c, x, h: POSITIVE(x) ** c.v,
    "a matrix": lambda c, x, h: x @ c.M + h,
    "a matrix transposed": lambda c, x, h: x @ c.M.T + h,
    "a matrix both ways": lambda c, x, h: (h @ c.M).tanh() @ c.M.t() + x,
    "a matrix squared": lambda c, x, h: h @ (c.M @ c.M) + x,
    "a symmetric matrix": lambda c, x, h: h @ (c.M + c.M.T) + x,
    "an antisymmetric matrix": lambda c, x, h: F.linear(h, c.M - c.M.T, c.v) + x,
    "a masked matrix": lambda c, x, h: F.linear(h, torch.tril(c.M)) + x,
    "a normalised matrix": lambda c, x, h: F.linear(h, F.normalize(c.M, dim=1)) + x,
    "part of a matrix": lambda c, x, h: F.linear(h, c.M[:3].repeat(2, 1)) + x,
    "addmm": lambda c, x, h: torch.addmm(c.v, x, c.M) + h,
    "addmm scaled": lambda c, x, h: torch.addmm(c.v, x, c.M, beta=0.5, alpha=2) + h,
    "addmm of rows": lambda c, x, h: torch.addmm(h, x, c.M),
    "x and h in one map": lambda c, x, h: c.both(torch.cat([x, h], -1)).tanh(),
    "a gated cat in one map": lambda c, x, h: c.both(torch.cat([x * h, h.sigmoid()], -1)).tanh(),
    "a map of a part": lambda c, x, h: c.part(x[:, 2:5]) + c.part(h[:, :3]).tanh(),
    "three products in a row": lambda c, x, h: ((h @ c.M).tanh() @ c.M).tanh() @ c.M + x,
    "a product of a norm": lambda c, x, h: c.norm(h) @ c.M + x,
    "layer_norm with weights": lambda c, x, h: c.norm(x + h),
    "rms_norm with weights": lambda c, x, h: c.rms(x + h),
    "a norm of a product": lambda c, x, h: c.norm(h @ c.M) + x,
    "softmax of a product": lambda c, x, h: (h @ c.M).softmax(-1) * x,
    "a product of a number of a row": lambda c, x, h: (
        c.part(h[:, :3] * x.sum(-1, keepdim=True)) + x
    ),
    "a product of a constant": lambda c, x, h: c.part(x.new_ones(x.shape[0], 3)) * h,
    "the same product twice": lambda c, x, h: (h @ c.M).tanh() * (h @ c.M).sigmoid() + x,
    "a product used and added": lambda c, x, h: (h @ c.M + x @ c.M) * (h @ c.M),
}
EVERYTHING = {**POINTWISE, **REDUCED, **SHAPED, **PARAMETERS}


def numbers(dtype: torch.dtype = WHOLE) -> tuple[Tensor, Tensor]:
    """x `(2, 6, 6)` and h `(6, 6)`: ties between them and along rows, zeros, ±1, ½ and others."""
    torch.manual_seed(0)
    x, h = torch.randn(2, SIZE, SIZE), torch.randn(SIZE, SIZE)
    x[0, 0], h[0] = 0.0, 0.0
    x[0, 1] = torch.tensor([0.0, 1.0, -1.0, 0.5, -0.5, 1.0])
    h[1] = torch.tensor([0.0, 1.0, 1.0, 0.5, 0.3, -1.0])
    x[0, 2, :3] = h[2, :3]
    x[0, 3], h[3] = 2.0, -3.0
    x[0, 4, 1:4] = x[0, 4].max()
    return x.to(dtype), h.to(dtype)


@pytest.mark.parametrize(
    "name",
    # `make test` takes every third, `make fuzz` the others.
    [pytest.param(n, marks=[pytest.mark.fuzz] * (k % 3 > 0)) for k, n in enumerate(EVERYTHING)],
)
def test_derivative(name, with_gradients):
    cell = Of(EVERYTHING[name]).double()
    x, h = numbers()
    # torch's own slope of hardsigmoid is 1/6 of single precision in double precision too.
    rtol = 1e-7 if name == "hardsigmoid" else 1e-9
    for steps in (1, 2):
        call = {"return_states": True} if steps == 2 else {}
        got = with_gradients(cell, x[:steps], [h], "cpu", **call)
        truth = with_gradients(cell, x[:steps], [h], "reference", **call)
        for a, b in zip([*got[0], *got[1]], [*truth[0], *truth[1]], strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=1e-11, equal_nan=True)


def test_every_operation_of_the_graph_is_tried():
    tried: set[str] = set()
    for function in EVERYTHING.values():
        traced = trace_module.trace(Of(function))
        tried |= {node.op for node in traced.graph._made.values()}
    assert {*UNARY, *BINARY, *REDUCTIONS, "where", *_THROUGH} <= tried


class Wrapped(Cell):
    """torch's own step as a cell."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__(SIZE, SIZE, state_sizes=(SIZE,) * (1 + (kind is nn.LSTMCell)))
        self.inner = kind(SIZE, SIZE)

    def forward(self, x, state):
        found = self.inner(x, state if len(state) > 1 else state[0])
        new = (found,) if isinstance(found, Tensor) else found
        return new[0], tuple(new)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_torchs_own_steps_are_cells(kind, with_gradients):
    torch.manual_seed(0)
    cell, x = Wrapped(kind).double(), numbers()[0]
    state = [torch.randn(SIZE, SIZE, dtype=WHOLE) for _ in cell.state_sizes]
    got = with_gradients(cell, x, state, "cpu", return_states=True)
    truth = with_gradients(cell, x, state, "reference", return_states=True)
    for a, b in zip([*got[0], *got[1]], [*truth[0], *truth[1]], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


# What is refused, and on which line.


class Refused(Cell):
    def __init__(self) -> None:
        super().__init__(SIZE, SIZE)
        self.U = nn.Linear(SIZE, SIZE)
        self.table = nn.Embedding(4, SIZE)


class Summing(Refused):
    def forward(self, x, state):
        h = self.U(state[0])
        h = h + x.cumsum(-1)  # here
        return h, (h,)


class Picking(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h * h.argmax(-1, keepdim=True)  # here
        return h, (h,)


class Branching(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        if h.sum() > 0:  # here
            h = -h
        return h, (h,)


class ReadingANumber(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h * float(h[0, 0])  # here
        return h, (h,)


class MixingRows(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h - h.mean(0)  # here
        return h, (h,)


class MixingEverything(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h / h.abs().sum()  # here
        return h, (h,)


class MixingByNorm(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h.softmax(0)  # here
        return h, (h,)


class Shifting(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = torch.cat([h[1:], h[:1]], 0)  # here
        return h, (h,)


class Random(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h + torch.randn_like(h)  # here
        return h, (h,)


class Dropping(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = nn.functional.dropout(h, 0.5)  # here
        return h, (h,)


class Noisy(Refused):
    """The same noise for every row, but not for every step."""

    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h + torch.randn(SIZE, dtype=x.dtype)  # here
        return h, (h,)


class DroppingWeights(Refused):
    def forward(self, x, state):
        weight = nn.functional.dropout(self.U.weight, 0.5)  # here
        h = nn.functional.linear(state[0], weight) + x
        return h, (h,)


class Outer(Refused):
    def forward(self, x, state):
        h = self.U(state[0])
        h = torch.einsum("bi,bj,bj->bi", h, x, h)  # here
        return h, (h,)


class Looking(Refused):
    def forward(self, x, state):
        h = self.U(state[0])
        h = h + self.table(x[:, 0].long())  # here
        return h, (h,)


class Strided(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = torch.cat([h[:, ::2], h[:, 1::2]], -1)  # here
        return h, (h,)


class Sorting(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h.sort(-1).values  # here
        return h, (h,)


class ByNumpy(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = h + torch.from_numpy(h.detach().numpy())  # here
        return h, (h,)


class Rounding(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h = torch.div(h, 0.4, rounding_mode="floor")  # here
        return h, (h,)


class ChangingAView(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h[:, :3].mul_(2)  # here
        return h, (h,)


class FillingAView(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        h[:, :3] = x[:, 3:]  # here
        return h, (h,)


class ChangingWhatIsViewed(Refused):
    def forward(self, x, state):
        h = self.U(state[0]) + x
        part = h[:, :3]
        h.mul_(2)  # here
        h = torch.cat([part, part], -1)
        return h, (h,)


class ChangingItsState(Refused):
    def forward(self, x, state):
        h = state[0]
        h.add_(x)  # here
        return h, (h,)


class ChangingABuffer(Refused):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SIZE))

    def forward(self, x, state):
        self.mean.mul_(0.9)  # here
        h = x + state[0] - self.mean
        return h, (h,)


class Counting(Refused):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x, state):
        h = self.U(state[0]) + x
        self.count.add_(1)  # here
        return h, (h,)


class Raising(Refused):
    def forward(self, x, state):
        self.U(state[0])
        raise ValueError("on purpose")  # here


def lines_of(cls: type[Cell]) -> Iterator[str]:
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    body = text.partition(f"class {cls.__name__}(Refused)")[2]
    here = next(line for line in body.splitlines() if line.endswith("# here"))
    yield f"test_derive.py:{text.splitlines().index(here) + 1}: {here.partition('#')[0].strip()}"


@pytest.mark.parametrize("cls", Refused.__subclasses__())
def test_a_refusal_names_the_line(cls):
    cell = cls()
    with pytest.raises(InputError, match="The cpu backend cannot run this") as raised:
        choose(cell, torch.randn(2, 3, SIZE), backend="cpu")
    (line,) = lines_of(cls)
    assert re.search(re.escape(line), str(raised.value)), str(raised.value)
    assert "\n" not in str(raised.value)
