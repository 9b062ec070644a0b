"""Cells that nobody wrote: random step functions of what kernels know, held to the reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from elman.cells import Cell
from elman.kernels import build, run

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": F.softplus,
    "silu": F.silu,
    "gelu": F.gelu,
    "elu": F.elu,
    "abs": torch.abs,
    "neg": torch.neg,
    "sin": torch.sin,
    "cos": torch.cos,
    "bounded exp": lambda a: torch.exp(-a.abs()),
    "log": lambda a: torch.log1p(a.abs()),
    "root": lambda a: (a * a + 0.5).sqrt(),
    "square": lambda a: a * a,
    "clamp": lambda a: a.clamp(-0.7, 0.9),
    "erf": torch.erf,
    "atan": torch.atan,
    "half": lambda a: 0.5 * a,
    "one minus": lambda a: 1 - a,
    "expm1": lambda a: torch.expm1(-a.abs()),
    "cube": lambda a: a.clamp(-2, 2) ** 3,
    "reciprocal": lambda a: (1 + a * a).reciprocal(),
    "rsqrt": lambda a: (1 + a * a).rsqrt(),
    "leaky relu": lambda a: F.leaky_relu(a, 0.1),
    "hard sigmoid": F.hardsigmoid,
    "hard swish": F.hardswish,
    "mish": F.mish,
    "log sigmoid": F.logsigmoid,
    "detach": torch.detach,
    "cast": lambda a: a.to(torch.float64).to(a.dtype),
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (1 + b * b),
    "max": torch.maximum,
    "min": torch.minimum,
    "where": lambda a, b: torch.where(a > b, a, 0.5 * b),
    "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "pow": lambda a, b: (a.abs() + 0.5) ** torch.tanh(b),
    "logaddexp": torch.logaddexp,
    "masked": lambda a, b: a.masked_fill(b > 0.3, 0.5),
    "addcmul": lambda a, b: torch.addcmul(a, torch.tanh(a), b, value=0.5),
    "glu": lambda a, b: F.glu(torch.cat([a, b], -1), -1),
    "mix": lambda a, b: torch.sigmoid(a) * a + (1 - torch.sigmoid(a)) * b,
}
ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda a: a.softmax(-1),
    "layer norm": lambda a: F.layer_norm(a, a.shape[-1:], eps=0.1),
    "rms norm": lambda a: F.rms_norm(a, a.shape[-1:], eps=0.1),
    "mean": lambda a: a - a.mean(-1, keepdim=True),
    "largest": lambda a: a * a.amax(-1, keepdim=True).sigmoid(),
    "norm": lambda a: a / (1 + a.norm(dim=-1, keepdim=True)),
    "variance": lambda a: a * a.var(-1, keepdim=True, unbiased=False),
    "deviation": lambda a: a / (1 + a.std(-1, keepdim=True, unbiased=False)),
    "log softmax": lambda a: a.log_softmax(-1),
    "logsumexp": lambda a: a - a.logsumexp(-1, keepdim=True),
    "smallest": lambda a: a * a.amin(-1, keepdim=True).tanh(),
    "gate of the sum": lambda a: a * a.sum(-1, keepdim=True).sigmoid(),
}
Operation = tuple[str, str, int, int]


class Drawn(Cell):
    """A step made of drawn operations on a list of values, each of which may be used again.

    Values have the width of the first state; wider ones are cut where they are made.
    """

    def __init__(self, sizes: tuple[int, int], states: int, operations: list[Operation]) -> None:
        inputs, n = sizes
        super().__init__(inputs, n, state_sizes=(n,) * states)
        self.operations = operations
        self.maps = nn.ModuleList()
        self.gains = nn.ParameterList()
        self.first = nn.Linear(inputs, n)
        for kind, _, _, _ in operations:
            widths = {"product": (n, n), "product of a cat": (2 * n, n), "gates": (n, 2 * n)}
            if kind in widths:
                self.maps.append(nn.Linear(*widths[kind]))
            elif kind == "input":
                self.maps.append(nn.Linear(inputs, n, bias=False))
            elif kind == "gain":
                self.gains.append(nn.Parameter(torch.randn(n)))

    def forward(self, x: Tensor, state: Any) -> Any:
        values = [self.first(x), *state]
        maps, gains = iter(self.maps), iter(self.gains)
        for kind, name, i, j in self.operations:
            a, b = values[i % len(values)], values[j % len(values)]
            if kind == "unary":
                values.append(UNARY[name](a))
            elif kind == "binary":
                values.append(BINARY[name](a, b))
            elif kind == "rows":
                values.append(ROWS[name](a))
            elif kind == "product":
                values.append(next(maps)(a))
            elif kind == "product of a cat":
                values.append(next(maps)(torch.cat([a, b], -1)))
            elif kind == "gates":
                values += next(maps)(a).chunk(2, -1)
            elif kind == "input":
                values.append(next(maps)(x) + a)
            elif kind == "gain":
                values.append(next(gains) * a)
            else:
                half = a.shape[1] // 2
                values.append(torch.cat([b[:, half:], a[:, :half]], -1))
        # Squashed, so that a drawn recurrence stays where single precision can follow it.
        new = tuple(torch.tanh(values[-1 - k]) for k in range(len(state)))
        return values[-1] + values[-2], new


def operations() -> st.SearchStrategy[list[Operation]]:
    index = st.integers(0, 20)
    single = st.one_of(
        *(
            st.tuples(st.just(kind), st.sampled_from(sorted(names)), index, index)
            for kind, names in (("unary", UNARY), ("binary", BINARY), ("binary", BINARY))
        ),
        st.tuples(st.just("rows"), st.sampled_from(sorted(ROWS)), index, index),
        st.tuples(st.sampled_from(["input", "gain", "turn"]), st.just(""), index, index),
    )
    product = st.tuples(
        st.sampled_from(["product", "product of a cat", "gates"]), st.just(""), index, index
    )
    few = st.lists(single, max_size=3)
    # Up to two products, the second of which may depend on the first.
    return st.builds(
        lambda a, p, b, q, c: [*a, *p, *b, *q, *c],
        few,
        st.lists(product, max_size=1),
        few,
        st.lists(product, max_size=1),
        st.lists(single, min_size=2, max_size=4),
    )


def off_by_a_rounding(
    cell: Cell, x: Tensor, state: list[Tensor]
) -> tuple[Cell, Tensor, list[Tensor]]:
    """Cell, inputs and states, each number off by about one unit of single precision."""
    rounding = torch.finfo(torch.float32).eps

    def off(t: Tensor) -> Tensor:
        return t * (1 + rounding * torch.randn_like(t))

    moved = copy.deepcopy(cell)
    with torch.no_grad():
        for p in moved.parameters():
            p.copy_(off(p))
    return moved, off(x), [off(s) for s in state]


def check(
    with_gradients: Any,
    relative_error: Any,
    drawn: list[Operation],
    states: int,
    n: int,
    seed: int,
) -> None:
    """Within the contract, or within ten times what rounding alone may change.

    That is what the reference loses, or how far the truth moves when the inputs and the
    parameters are off by one unit in the last place: a sum whose terms cancel may come out
    nearly exact by luck.
    """
    torch.manual_seed(seed)
    cell = Drawn((3, n), states, drawn)
    truth = copy.deepcopy(cell).double()
    steps, batch = 4, (1, 3, 8)[seed % 3]
    x, state = torch.randn(steps, batch, 3), [torch.randn(batch, n) for _ in range(states)]
    whole = x.double(), [s.double() for s in state]
    together = {
        "lengths": [4, 0, 3, 1, 4, 2, 3, 4][:batch],
        "reset": torch.rand(steps, batch) < 0.3,
        "reverse": seed % 4 < 2,
        "return_states": True,
    }
    if seed % 4 == 1:
        masks = (torch.rand(steps, batch, n) < 0.3 for _ in range(states))
        together["hold"] = tuple(masks)
    for call in ({}, together):
        true = with_gradients(truth, *whole, "reference", seed, **call)
        got = with_gradients(cell, x, state, "cpu", seed, **call)
        with torch.no_grad():
            alone = run(cell, x, tuple(state), backend="cpu", **call)
        for a, b in zip([alone.output, *alone.state, *(alone.states or ())], got[0], strict=True):
            assert relative_error(a, b) <= 1e-6

        def off(part: int, i: int, results: Any, true: Any = true) -> float:
            """How far a result is from the truth."""
            a, c = results[part][i].detach(), true[part][i].detach()
            # Differences of equal numbers leave rounding alone, which says nothing.
            small = float(c.abs().max()) < 1e-6
            return float((a - c).norm()) if small else relative_error(a, c)

        bounds = (1e-5, 1e-4)
        over = [(p, i) for p in (0, 1) for i in range(len(got[p])) if off(p, i, got) > bounds[p]]
        if not over:
            continue
        theirs = with_gradients(cell, x, state, "reference", seed, **call)
        over = [(p, i) for p, i in over if off(p, i, got) > 10 * off(p, i, theirs)]
        if over:
            moved = off_by_a_rounding(truth, *whole)
            nudged = with_gradients(*moved, "reference", seed, **call)
            assert all(off(p, i, got) <= 10 * off(p, i, nudged) for p, i in over), (over, call)


@pytest.fixture
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of this level of optimisation: most of the time goes into compiling."""
    flags = tuple(request.param if f == "-O3" else f for f in build.FLAGS)
    monkeypatch.setattr(build, "FLAGS", flags)


ARGUMENTS = (operations(), st.integers(1, 3), st.sampled_from([1, 2, 5, 17]), st.integers(0, 99))
COMMON: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


# What hypothesis found, kept.


def test_a_product_of_part_of_a_product(with_gradients, relative_error):
    drawn = [("gates", "", 0, 0), ("product", "", 4, 0), ("unary", "abs", 0, 0)]
    check(with_gradients, relative_error, drawn, 3, 5, 0)


def test_a_gradient_whose_terms_cancel(with_gradients, relative_error):
    drawn = [("binary", "div", 3, 1), ("unary", "abs", 0, 0), ("binary", "masked", 0, 3)]
    drawn += [("gain", "", 0, 0), ("product", "", 0, 0), ("rows", "layer norm", 0, 0)]
    drawn += [("gain", "", 4, 0), ("unary", "abs", 9, 0), ("binary", "max", 0, 18)]
    check(with_gradients, relative_error, drawn, 3, 1, 86)


@pytest.mark.parametrize("compiled", ["-O0"], indirect=True)
@settings(max_examples=8, **COMMON)
@given(*ARGUMENTS)
def test_random_cells(compiled, with_gradients, relative_error, drawn, states, n, seed):
    check(with_gradients, relative_error, drawn, states, n, seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("compiled", ["-O0"], indirect=True)
@settings(max_examples=60, **COMMON)
@given(*ARGUMENTS)
def test_more_random_cells(compiled, with_gradients, relative_error, drawn, states, n, seed):
    check(with_gradients, relative_error, drawn, states, n, seed)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", ["-O1"], indirect=True)
@settings(max_examples=500, **(COMMON | {"derandomize": False}))
@given(*ARGUMENTS)
def test_many_random_cells(compiled, with_gradients, relative_error, drawn, states, n, seed):
    check(with_gradients, relative_error, drawn, states, n, seed)
