"""How a step is recorded: what is taken down as torch means it, what is refused, and that nobody
else notices."""

from __future__ import annotations

import gc
import itertools
import re
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional as F

from elman.cells import Cell, make
from elman.kernels import record, run, use
from elman.kernels.recording import StandIn
from elman.kernels.trace import Untraceable, trace
from elman.nn import Recurrent

SIZE = 6
WHOLE = torch.float64


class Rounded(torch.autograd.Function):
    """A step that its own backward pass looks through."""

    @staticmethod
    def forward(ctx, a):
        return a.round()

    @staticmethod
    def backward(ctx, grad):
        return grad


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        return a

    @staticmethod
    def backward(ctx, grad):
        return -grad


class Of(Cell):
    """y = f(cell, x, h): a function on trial, with all kinds of tensors that a cell may keep."""

    def __init__(self, function: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
        super().__init__(SIZE, SIZE)
        torch.manual_seed(0)
        self.function = function
        self.v = nn.Parameter(torch.randn(SIZE))
        self.M = nn.Parameter(torch.randn(SIZE, SIZE) / 2)
        self.register_buffer("count", torch.tensor(2))
        self.register_buffer("mask", torch.arange(SIZE) % 2 == 0)
        self.number = torch.tensor(0.7)
        self.fixed = torch.linspace(-1, 1, SIZE)

    def forward(self, x, state):
        (h,) = state
        y = self.function(self, x, h)
        return y, (0.5 * h + y,)


def refusal(function: Callable[[Any, Tensor, Tensor], Tensor]) -> str:
    with pytest.raises(Untraceable) as raised:
        trace(Of(function))
    return str(raised.value)


# What is recorded as torch means it.


def without_gradient(c: Any, x: Tensor, h: Tensor) -> Tensor:
    with torch.no_grad():
        a = (x * h).tanh()
        first, _ = h.split([3, 3], -1)
    return a * h + x + first.sum(-1, keepdim=True)


def without_gradient_of_a_parameter(c: Any, x: Tensor, h: Tensor) -> Tensor:
    with torch.no_grad():
        a = c.v * 2
    return a * h * c.v + x


def without_gradient_of_a_matrix(c: Any, x: Tensor, h: Tensor) -> Tensor:
    with torch.no_grad():
        turned = c.M.t()
    return h @ turned + x @ c.M


def parts_in_place(c: Any, x: Tensor, h: Tensor) -> Tensor:
    a, b = (torch.cat([x, h], -1) * 2).clone(), x * h
    b.mul_(c.v).add_(h)
    b.sigmoid_()
    a[:, :1].detach()
    return a[:, SIZE:] * b


def printed(c: Any, x: Tensor, h: Tensor) -> Tensor:
    assert str(h)
    return x * h


@torch.jit.script
def scripted(a: Tensor, b: Tensor) -> Tensor:
    return torch.tanh(a) * b


FOLLOWED: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "no_grad": without_gradient,
    "no_grad of a parameter": without_gradient_of_a_parameter,
    "no_grad of a matrix": without_gradient_of_a_matrix,
    "data": lambda c, x, h: h.data * x + h,
    "in place": parts_in_place,
    "a number that is known": lambda c, x, h: x * c.number.item() + h,
    "a number made here": lambda c, x, h: x * torch.tensor(3.0).item() + h,
    "values of a constant": lambda c, x, h: x * sum(c.fixed.tolist()[:3]) + h,
    "an array of a constant": lambda c, x, h: x * float(c.fixed.numpy()[0]) + h,
    "a branch on a constant": lambda c, x, h: x * h if c.number > 0.5 else x,
    "constants of another type": lambda c, x, h: x * c.fixed + h * c.number,
    "a tensor made here": lambda c, x, h: x * torch.tensor(3.0) + h * torch.tensor(2),
    "a range": lambda c, x, h: x * torch.arange(SIZE, dtype=x.dtype) + h,
    "a count": lambda c, x, h: x * c.count + h,
    "a mask": lambda c, x, h: torch.where(c.mask, x * c.v, h),
    "a mask of a matrix": lambda c, x, h: F.linear(h, c.M * c.mask[:, None]) + x,
    "columns chosen by a mask": lambda c, x, h: (x * c.v[torch.tensor([True] * SIZE)]) + h,
    "an inverse": lambda c, x, h: h @ torch.linalg.inv(c.M + 3 * torch.eye(SIZE).to(x)) + x,
    "complex parameters": lambda c, x, h: torch.polar(c.v.exp(), c.v).imag * h + x,
    "as many zeros as rows": lambda c, x, h: torch.zeros(x.shape[0], SIZE, dtype=x.dtype) + x * h,
    "spread over rows": lambda c, x, h: c.v.expand(x.shape[0], -1) * x * h,
    "a view of as many rows": lambda c, x, h: (x * h).view(x.shape[0], -1),
    "zeros in place": lambda c, x, h: x.new_zeros(x.shape).add_(x).mul_(h),
    "its own state": lambda c, x, h: h,
    "a parameter alone": lambda c, x, h: c.v.expand_as(x),
    "a script": lambda c, x, h: scripted(x, h),
    "vmap": lambda c, x, h: torch.func.vmap(lambda a: a * a.tanh())(x) + h,
    "what is done for nothing": lambda c, x, h: (x.cumsum(1), x * h)[1],
    "printing": printed,
}  # fmt: skip


def derivatives(cell: Cell, x: Tensor, h: Tensor, backend: str) -> list[Tensor | None]:
    """Values, first and second derivatives, those of what is not used as None."""
    leaves = [x.clone().requires_grad_(), h.clone().requires_grad_(), *cell.parameters()]
    result = run(cell, leaves[0], (leaves[1],), backend=backend, return_states=True)
    parts = [result.output, *result.state]
    loss = sum(p.square().sum() for p in parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    penalty = sum((g.square().sum() for g in first if g is not None), loss)
    return [*parts, *first, *torch.autograd.grad(penalty, leaves, allow_unused=True)]


@pytest.mark.parametrize("name", FOLLOWED)
def test_it_means_what_it_means_in_torch(name):
    """In double precision, for fewer rows and more than a step is traced with."""
    cell = Of(FOLLOWED[name]).double()
    for rows in (5, 9):
        torch.manual_seed(rows)
        x, h = torch.randn(3, rows, SIZE, dtype=WHOLE), torch.randn(rows, SIZE, dtype=WHOLE)
        found = [derivatives(cell, x, h, backend) for backend in ("cpu", "reference")]
        for got, truth in zip(*found, strict=True):
            got = torch.zeros(()) if got is None else got
            truth = torch.zeros_like(got) if truth is None else truth
            torch.testing.assert_close(got.expand_as(truth).to(WHOLE), truth.to(WHOLE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_buffers_that_count_and_tell_are_read_at_every_call(dtype):
    cell = Of(lambda c, x, h: torch.where(c.mask, c.count * x, c.v * h)).to(dtype)
    x, h = torch.randn(4, 2, SIZE, dtype=dtype), torch.ones(2, SIZE, dtype=dtype)
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: cell.count.fill_(5),
        lambda: setattr(cell, "count", torch.tensor(7)),
        lambda: cell.mask.fill_(True),
        lambda: setattr(cell, "mask", torch.arange(SIZE) < 2),
    ]
    seen: list[Tensor] = []
    for change in changes:
        change()
        got, truth = (run(cell, x, (h,), backend=b).output for b in ("cpu", "reference"))
        torch.testing.assert_close(got, truth)
        assert not any(torch.equal(got, other) for other in seen)
        seen.append(got.detach())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off_a_step_is_recorded_with_them(mode):
    cell = make("lstm", 3, 5, peepholes=True)
    x = torch.randn(4, 2, 3)
    with mode():
        run(cell, x, backend="cpu")
    found = []
    for backend in ("cpu", "reference"):
        loss = run(cell, x, backend=backend).output.square().sum()
        found.append(torch.autograd.grad(loss, list(cell.parameters())))
    torch.testing.assert_close(*found)


def test_parameters_that_were_made_in_inference_mode():
    with torch.inference_mode():
        cell = make("gru_cho", 3, 5)
    with torch.no_grad():
        x = torch.randn(4, 2, 3)
        torch.testing.assert_close(
            run(cell, x, backend="cpu").output, run(cell, x, backend="reference").output
        )


class Remembering(Cell):
    """h' = tanh(h + x), and looks back at it."""

    def __init__(self) -> None:
        super().__init__(SIZE, SIZE)
        self.calls = 0
        self.seen: Tensor | None = None

    def forward(self, x, state):
        self.calls += 1
        self.seen = torch.tanh(state[0] + x)
        return self.seen, (self.seen,)


def test_recording_leaves_nothing_in_a_cell():
    cell = Remembering()
    with pytest.raises(Untraceable, match="`calls` of Remembering is changed by the step"):
        trace(cell)
    assert (cell.calls, cell.seen) == (0, None)


def test_recording_keeps_no_parameter_alive():
    cell = make("lru", 3, 5)
    kept = [weakref.ref(p) for p in cell.parameters()]
    gc.collect()
    gc.disable()
    try:
        traced = trace(cell)
        del cell
        assert not [parameter for parameter in kept if parameter() is not None]
        assert not [o for o in gc.get_objects() if type(o) is StandIn]
    finally:
        gc.enable()
    assert traced.names


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_refusal_keeps_no_parameter_alive(swallowed):
    def reads(c: Any, x: Tensor, h: Tensor) -> Tensor:
        try:
            return h * float(h[0, 0])
        except Exception:
            if swallowed:
                raise ValueError("no") from None
            raise

    cell = Of(reads)
    kept = [weakref.ref(p) for p in cell.parameters()]
    gc.collect()
    before = {id(o) for o in gc.get_objects() if type(o) is StandIn}
    with pytest.raises(Untraceable):
        trace(cell)
    del cell
    gc.collect()
    assert not [parameter for parameter in kept if parameter() is not None]
    assert not [o for o in gc.get_objects() if type(o) is StandIn and id(o) not in before]


def test_a_parameter_is_known_by_whatever_way_it_comes():
    cell = Of(lambda c, x, h: x)
    cell.function = lambda c, x, h: cell.v * x + h @ cell.M
    traced = trace(cell)
    assert set(traced.names) == {"v", "M", "count", "mask"}
    v, matrix = torch.randn(SIZE), torch.randn(SIZE, SIZE)
    own = {"v": v, "M": matrix, "count": cell.count, "mask": cell.mask}
    prepared = traced.prepare([own[name] for name in traced.names])
    assert {id(t) for t in prepared} == {id(v), id(matrix)}


def test_recording_draws_no_numbers():
    cells = [Of(lambda c, x, h: x + torch.rand(SIZE)), Of(lambda c, x, h: F.dropout(c.v) * x)]
    before = torch.get_rng_state()
    for cell in cells:
        with pytest.raises(Untraceable, match="draws random numbers"):
            trace(cell)
    assert torch.equal(before, torch.get_rng_state())


# What is refused. Messages of other refusals are held in test_derive.py.


def caught(c: Any, x: Tensor, h: Tensor) -> Tensor:
    try:
        return x if h.sum() > 0 else h
    except Exception:
        return x * h


def part_changed(c: Any, x: Tensor, h: Tensor) -> Tensor:
    whole = x * h
    part, _ = whole.chunk(2, -1)
    part.sigmoid_()
    return whole


def other_name_changed(c: Any, x: Tensor, h: Tensor) -> Tensor:
    a = x * h
    b = a.detach()
    a.mul_(2)
    return a + b


def spread_unseen(c: Any, x: Tensor, h: Tensor) -> Tensor:
    with torch.no_grad():
        a = c.v.expand_as(x)
    return a * x


def changed_unseen(c: Any, x: Tensor, h: Tensor) -> Tensor:
    a = x * h
    with torch.no_grad():
        a.mul_(2)
    return a


def given_out(c: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.add(x, h, out=torch.empty_like(x))


def gradient_within(c: Any, x: Tensor, h: Tensor) -> Tensor:
    h = (h * 1).requires_grad_()
    (found,) = torch.autograd.grad(h.exp() * x, h, torch.ones_like(x), create_graph=True)
    return found


INNER = make("gru", SIZE, SIZE).requires_grad_(False)
VALUE = "what is done depends on a tensor's value"
IN_PLACE = "changes a tensor in place"
REFUSED: dict[str, tuple[Callable[[Any, Tensor, Tensor], Tensor], str]] = {
    "numpy": (lambda c, x, h: x + torch.from_numpy(h.numpy()), "numpy"),
    "tolist": (lambda c, x, h: x * h.tolist()[0][0], "tolist"),
    "item": (lambda c, x, h: x * h[0, 0].item(), VALUE),
    "int": (lambda c, x, h: x * int(h.sum()), VALUE),
    "equal": (lambda c, x, h: x if torch.equal(x, h) else h, VALUE),
    "if": (lambda c, x, h: x if (h > 0).any() else h, VALUE),
    "if of a parameter": (lambda c, x, h: x if c.v[0] > 0 else h, VALUE),
    "if of a buffer": (lambda c, x, h: x if c.count > 1 else h, VALUE),
    "if, caught": (caught, VALUE),
    "a mask's size": (lambda c, x, h: x * len(h[h > 0]), VALUE),
    "a buffer's mask's size": (lambda c, x, h: x * len(c.v[c.mask]), VALUE),
    "nonzero": (lambda c, x, h: x * len(c.v.nonzero()), VALUE),
    "a part in place": (part_changed, f"sigmoid_ {IN_PLACE}"),
    "what has another name": (other_name_changed, f"mul_ {IN_PLACE}"),
    "in place behind autograd's back": (changed_unseen, f"mul_ {IN_PLACE}"),
    "an attribute in place": (lambda c, x, h: x * c.fixed.mul_(2), f"mul_ {IN_PLACE}"),
    "a computed parameter": (lambda c, x, h: x * (2 * c.v).mul_(2), f"mul_ {IN_PLACE}"),
    "the input in place": (lambda c, x, h: x.view(-1, SIZE).mul_(2), f"mul_ {IN_PLACE}"),
    "a parameter for all rows behind it": (spread_unseen, "one entry for each row"),
    "out": (given_out, f"add {IN_PLACE}"),
    "a shape in place": (lambda c, x, h: (x * h).unsqueeze_(0)[0], f"unsqueeze_ {IN_PLACE}"),
    "a Function": (lambda c, x, h: Rounded.apply(x + h), "has a gradient of its own"),
    "a Function of a parameter": (lambda c, x, h: Rounded.apply(c.v) * h, "gradient of its own"),
    "a Function that does nothing": (lambda c, x, h: Reversed.apply(h), "gradient of its own"),
    "a gradient": (gradient_within, "a gradient within a step"),
    "a kernel": (lambda c, x, h: run(INNER, x[None]).output[0], "sequence has no kernel"),
    "a row for all": (lambda c, x, h: c.v, "no row"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    function, reason = REFUSED[name]
    before = Of(function).fixed
    assert re.search(reason, refusal(function))
    assert torch.equal(before, Of(function).fixed)


def test_a_parameter_that_nothing_stands_in_for():
    cell = Of(lambda c, x, h: torch.sparse.mm(c.links, h.T).T + x)
    cell.register_buffer("links", torch.eye(SIZE).to_sparse())
    with pytest.raises(Untraceable):
        trace(cell)
    with use("reference"):
        assert run(cell, torch.ones(2, 3, SIZE)).output.shape == (2, 3, SIZE)


def test_a_result_that_is_none():
    class Empty(Of):
        def forward(self, x, state):
            return None, state

    with pytest.raises(Untraceable, match="an output or state is a NoneType"):
        trace(Empty(lambda c, x, h: x))


def test_a_tensor_kept_from_a_trace(monkeypatch):
    # Where nobody looks: an attribute of a module of Python's.
    monkeypatch.setattr(sys, "kept", None, raising=False)

    def keeping(c: Any, x: Tensor, h: Tensor) -> Tensor:
        if sys.kept is None:
            sys.kept = x * h
        return sys.kept + x

    # The second time that it runs, for another number of rows.
    assert "kept from an earlier trace" in refusal(keeping)
    with pytest.raises(RuntimeError, match="kept from when a step was traced"):
        sys.kept + 1


# Others.


def test_threads_may_all_begin_with_the_same_layer():
    for _ in range(3):
        layer, x = Recurrent("lstm", 3, 5), torch.randn(4, 2, 3)
        ready = threading.Barrier(8)

        def first(_: int, layer: Any = layer, x: Tensor = x, ready: Any = ready) -> Any:
            ready.wait()
            with record() as ran:
                y = layer(x)[0]
            return ran[0].backend, y.detach(), torch.autograd.grad(y.sum(), layer.cells[0].U.weight)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(first, range(8)))
        assert {backend for backend, *_ in found} == {"cpu"}
        for found_ in found:
            assert torch.equal(found_[1], found[0][1])
            torch.testing.assert_close(found_[2], found[0][2])


def test_threads_record_different_cells_at_once():
    names = ["lstm", "gru", "lru", "mgu", "minlstm", "indrnn"] * 4
    alone = {name: len(trace(make(name, 3, 5)).graph._made) for name in names}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: len(trace(make(n, 3, 5)).graph._made), names))
    assert found == [alone[name] for name in names]


class Waiting(Cell):
    """In the middle of its step until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.events = (threading.Event(), threading.Event())

    def forward(self, x, state):
        h = torch.tanh(x + state[0])
        self.events[0].set()
        assert self.events[1].wait(60)
        return 2 * h, (h,)


@pytest.fixture
def meanwhile():
    """While a step is being recorded in another thread."""
    cell = Waiting()
    with ThreadPoolExecutor(1) as pool:
        recording = pool.submit(trace, cell)
        assert cell.events[0].wait(60)
        yield
        cell.events[1].set()
        assert recording.result().output.op == "mul"


def test_other_threads_compute_what_they_always_do(meanwhile):
    model, x = nn.Sequential(nn.Linear(3, 3), nn.Tanh()), torch.randn(2, 3)
    y = model(x)
    assert type(y) is Tensor
    assert y.sum().item() == pytest.approx(float(np.sum(y.detach().numpy())), rel=1e-5)
    y.sum().backward()
    assert not torch.utils._python_dispatch.is_in_torch_dispatch_mode()


def test_other_threads_may_compile(meanwhile):
    counter = CompileCounterWithBackend("aot_eager")
    model, x = nn.Sequential(nn.Linear(3, 3), nn.Tanh()), torch.randn(2, 3)
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))
    assert counter.frame_count == 1


def test_a_step_is_recorded_where_a_graph_was_broken():
    """The compiler would capture what the recorder is there to see."""
    cell, seen = make("mgu", 3, 5), []

    @torch.compile(backend="aot_eager")
    def function(x: Tensor) -> Tensor:
        y = x.sin()
        torch._dynamo.graph_break()
        seen.append(trace(cell))
        return y.cos()

    x = torch.randn(3)
    torch.testing.assert_close(function(x), x.sin().cos())
    assert len(seen[0].graph._made) == len(trace(cell).graph._made)


IMPORTS = """
import sys
import torch
before = set(sys.modules)
import elman.nn
from elman.kernels import record
for name in ("LSTM", "GRU"):
    layer, x = getattr(elman.nn, name)(3, 5), torch.randn(4, 2, 3)
    with record() as ran:
        layer(x)[0].sum().backward()
    assert ran[0].backend == "cpu", ran
for name in {names!r}:
    layer = elman.nn.Recurrent(name, 3, 5)
    layer(x)[0].sum().backward()
heavy = ("sympy", "mpmath", "networkx", "torch.fx", "torch._dynamo", "torch._inductor",
    "torch._subclasses", "torch._decomp", "torch._refs", "torch._functorch", "torch._export")
print(*sorted(m for m in set(sys.modules) - before if m.startswith(heavy)))
"""


def test_a_first_call_imports_no_tracer_and_no_compiler():
    code = IMPORTS.format(names=["lru", "mgu", "indrnn", "minlstm"])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == []


# Rules for what torch has a kernel of its own for, where numbers are large or not finite.


def turned(a: Tensor) -> Tensor:
    return torch.cat([a[:, 7:], a[:, :7]], -1)


SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "gelu by tanh": lambda a: F.gelu(a, approximate="tanh"),
    "threshold": lambda a: F.threshold(a, 0.5, 7.0),
    "glu": lambda a: F.glu(torch.cat([a, turned(a)], -1)),
    "lerp": lambda a: torch.lerp(a, 2 * a, 0.7),
    "lerp by a row": lambda a: torch.lerp(a, turned(a), a),
    "addcmul": lambda a: torch.addcmul(a, a, turned(a), value=-0.5),
    "addcdiv": lambda a: torch.addcdiv(a, a, 1 + a.abs(), value=-0.5),
    "logaddexp": lambda a: torch.logaddexp(a, turned(a)),
}


class Slope(Cell):
    """y = f(x), of many numbers."""

    def __init__(self, function: Callable[[Tensor], Tensor], size: int) -> None:
        super().__init__(size, size)
        self.function = function

    def forward(self, x, state):
        y = self.function(x)
        return y, (state[0],)


def values_and_slopes(function: Any, x: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = run(Slope(function, x.shape[-1]), x, backend=backend).output
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(WHOLE, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", SMOOTH)
def test_at_kinks_and_for_large_numbers(name, dtype):
    some = [0.0, 0.5, 1.0, 1e-8, 3.0, 10.0, 20.0, 90.0, 1e3, 1e4]
    x = torch.tensor([*some, *(-a for a in some)], dtype=dtype)[None, None]
    got = values_and_slopes(SMOOTH[name], x, "cpu")
    truth = values_and_slopes(SMOOTH[name], x.double(), "reference")
    theirs = values_and_slopes(SMOOTH[name], x, "reference")
    for a, b, c in zip(got, truth, theirs, strict=True):
        bound = (1e-5 if dtype == torch.float32 else 1e-12) * (1 + b.abs()) + 2 * (c - b).abs()
        assert ((a - b).abs() <= bound).all()


def test_logaddexp_of_infinities():
    ends = [-torch.inf, -1e4, -1.0, 0.0, 1.0, 1e4, torch.inf]
    pairs = torch.tensor(list(itertools.product(ends, ends)))
    x = pairs.T.reshape(1, 1, -1)
    half = len(pairs)

    def doubled(a: Tensor) -> Tensor:
        y = torch.logaddexp(a[:, :half], a[:, half:])
        return torch.cat([y, y], -1)

    got, slopes = values_and_slopes(doubled, x, "cpu")
    truth, wanted = values_and_slopes(doubled, x, "reference")
    torch.testing.assert_close(got, truth)
    assert slopes.isfinite().all()
    usable = wanted.isfinite()
    torch.testing.assert_close(slopes[usable], wanted[usable], rtol=1e-5, atol=1e-6)
