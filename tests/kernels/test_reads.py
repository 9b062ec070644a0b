"""A compiled step is never another than Python's: right, or refused with the line."""

from __future__ import annotations

import gc
import itertools
import linecache
import random
import re
import sys
import textwrap
import types
import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from elman.kernels import build, explain, program, record, run
from elman.nn import Recurrent

pytestmark = pytest.mark.filterwarnings("ignore::elman.errors.SlowPathWarning")

CALLS = ((3, True), (5, False), (1, True))
"""Rows of each call, and whether gradients are on."""


@dataclass(frozen=True)
class Construct:
    """A way of Python's to make a step depend on something.

    Attributes:
        step: lines of the step, which change `y`.
        keep: lines of the cell's constructor.
        change: what happens between two calls: lines that know `cell` and `k`, how many calls
            there have been.
        module: lines of the module.
        refused: words of the reason why the step has no kernel; "" if it has one.
    """

    step: str
    keep: str = "pass"
    change: str = "pass"
    module: str = ""
    refused: str = ""


ROWS = "the number of rows"
CHANGED = "is changed by the step"
CONSTRUCTS = {
    # What tracing itself would freeze.
    "rows": Construct("y = y / x.shape[0]", refused=ROWS),
    "rows, by size": Construct("y = y * (x.size(0) + 1)", refused=ROWS),
    "rows, by a branch": Construct("if x.shape[0] > 2:\n    y = y + 1", refused=ROWS),
    "rows, by a branch that is caught": Construct(
        "try:\n    y = y + (x.shape[0] > 2)\nexcept Exception:\n    pass", refused=ROWS
    ),
    "rows, by a table": Construct(
        "y = y * self.by_rows.get(x.shape[0], 1)", "self.by_rows = {3: 2.0}", refused=ROWS
    ),
    "rows, by a tensor": Construct("y = y * torch.tensor(x.shape[0])", refused=ROWS),
    "rows, by len": Construct("y = y / len(x)", refused=r"len\(x\)"),
    "rows, by numel": Construct("y = y / x.numel()", refused="the numbers of all rows"),
    "rows, by parts": Construct("y = y / len(x.unbind(0))", refused="across rows"),
    "rows, by a slice": Construct("y = y[: x.shape[0]] * 2", refused=ROWS),
    "rows as a size": Construct("y = y + torch.ones(x.shape[0], 2, dtype=x.dtype)"),
    "rows that are compared": Construct("assert x.shape[0] == state[0].shape[0]"),
    "a counter": Construct("self.t += 1\ny = y * self.t", "self.t = 0", refused=CHANGED),
    "a counter in a dict": Construct(
        "self.d['t'] += 1\ny = y * self.d['t']", "self.d = {'t': 0}", refused=CHANGED
    ),
    "a counter of an object": Construct(
        "self.o.t += 1\ny = y * self.o.t", "self.o = Plain()", refused=CHANGED
    ),
    "a counter of the class": Construct(
        "type(self).t += 1\ny = y * self.t", "type(self).t = 0", refused=CHANGED
    ),
    "a counter of the module": Construct(
        "y = y * counted()",
        module="N = 0\ndef counted():\n    global N\n    N += 1\n    return N",
        refused=CHANGED,
    ),
    "a counter of a closure": Construct(
        "y = y * count()",
        module="def counter():\n    n = 0\n    def count():\n        nonlocal n\n        n += 1\n"
        "        return n\n    return count\ncount = counter()",
        refused=CHANGED,
    ),
    "a growing list": Construct(
        "self.seen.append(1)\ny = y * len(self.seen)", "self.seen = []", refused=CHANGED
    ),
    "a default that grows": Construct(
        "y = y * grown()",
        module="def grown(seen=[]):\n    seen.append(1)\n    return len(seen)",
        refused=CHANGED,
    ),
    "a NumPy array that is written to": Construct(
        "self.a += 1\ny = y * float(self.a[0])", "self.a = np.zeros(2)", refused=CHANGED
    ),
    "the last value": Construct(
        "last, self.last = self.last, y\nif last is not None:\n    y = y + last.sum(-1, True)",
        "self.last = None",
        "cell.last = None",
        refused=CHANGED,
    ),
    "a buffer set anew": Construct(
        "self.mean = self.mean * 0.9 + 0.1\ny = y + self.mean",
        "self.register_buffer('mean', torch.zeros(2))",
        refused=CHANGED,
    ),
    "an iterator": Construct(
        "y = y * next(self.numbers)",
        "self.numbers = iter(range(1, 99))",
        refused="changes cannot be noticed",
    ),
    "Python's random numbers": Construct("y = y * random.random()", refused="random numbers"),
    "Python's random numbers, by name": Construct(
        "y = y * gauss(1, 2)", module="from random import gauss", refused="random numbers"
    ),
    "NumPy's random numbers": Construct("y = y * np.random.rand()", refused="random numbers"),
    "Python's generator": Construct(
        "y = y * self.r.random()", "self.r = random.Random(3)", refused="generator"
    ),
    "NumPy's generator": Construct(
        "y = y * float(self.r.normal())", "self.r = np.random.default_rng(3)", refused="generator"
    ),
    "whether gradients are on": Construct(
        "y = y * (2 if torch.is_grad_enabled() else 3)", refused="is_grad_enabled"
    ),
    "whether gradients are on, by name": Construct(
        "y = y * (2 if on() else 3)",
        module="from torch import is_grad_enabled as on",
        refused="is_grad_enabled",
    ),
    "whether a weight learns": Construct(
        "y = y * (2 if self.w.requires_grad else 3)", refused="requires_grad"
    ),
    # What is changed between two calls.
    "an entry of a dict": Construct("y = y * self.d['a']", "self.d = {'a': 1}", "cell.d['a'] += k"),
    "a key of a dict": Construct(
        "y = y * self.d.get('a', 3)", "self.d = {'a': 1.5}", "cell.d['b'] = cell.d.pop('a', 2)"
    ),
    "an entry of a list": Construct("y = y * self.d[1]", "self.d = [1, 2]", "cell.d[1] += k"),
    "an entry of a list in a tuple": Construct(
        "y = y * self.d[0][1]", "self.d = ([1, 2],)", "cell.d[0][1] += k"
    ),
    "a set": Construct("y = y * (1 if 1 in self.d else 2)", "self.d = {1}", "cell.d ^= {1}"),
    "a deque": Construct("y = y * self.d[0]", "self.d = deque([1])", "cell.d.appendleft(k + 2)"),
    "a list of tensors": Construct(
        "y = y * self.d[0]", "self.d = [torch.ones(2)]", "cell.d[0] = torch.ones(2) + k"
    ),
    "a tensor in a list": Construct(
        "y = y * float(self.d[0][0])", "self.d = [torch.ones(2)]", "cell.d[0] += k"
    ),
    "a NumPy array": Construct(
        "y = y * float(self.d[0])", "self.d = np.ones(2)", "cell.d[0] += k"
    ),
    "a large NumPy array": Construct(
        "y = y * float(self.d[0])",
        "self.d = np.ones(9999)",
        "cell.d[0] += k",
        refused="NumPy array of 79992 bytes",
    ),
    "a long list": Construct(
        "y = y * self.d[0]", "self.d = [1] * 9999", "cell.d[0] += k", refused="too many entries"
    ),
    "an object": Construct("y = y * (1 + self.o.t)", "self.o = Plain()", "cell.o.t += k"),
    "an object with slots": Construct(
        "y = y * (1 + self.o.t)",
        "self.o = Slotted()",
        "cell.o.t += k",
        "class Slotted:\n    __slots__ = ('t',)\n    def __init__(self):\n        self.t = 1",
    ),
    "an object's method": Construct(
        "y = y * self.o.twice()",
        "self.o = Plain()",
        "Plain.twice = lambda self: k + 2",
        "Plain.twice = lambda self: 2",
    ),
    "a global": Construct("y = y * H", change="global H\nH += k", module="H = 1.5"),
    "a global made anew": Construct(
        "y = y * max(1, 2)", change="global max\nmax = lambda a, b: k + 3"
    ),
    "a list that is global": Construct("y = y * G[0]", change="G[0] += k", module="G = [1.5]"),
    "a closure": Construct(
        "y = y * get()",
        change="put(k + 2)",
        module="def closed():\n    n = 1\n    def get():\n        return n\n    def put(m):\n"
        "        nonlocal n\n        n = m\n    return get, put\nget, put = closed()",
    ),
    "a default": Construct(
        "y = y * scale()",
        change="scale.__defaults__ = (k + 2,)",
        module="def scale(n=2):\n    return n",
    ),
    "a function's attribute": Construct(
        "y = y * again()",
        change="again.n += k",
        module="def again():\n    return again.n\nagain.n = 1",
    ),
    "a partial function": Construct(
        "y = self.f(y)", "self.f = partial(torch.mul, other=F[0])", "F[0] = k", "F = [2]"
    ),
    "an attribute of the class": Construct(
        "y = y * self.c", change="type(cell).c = k + 2", module="Base.c = 1.5"
    ),
    "an attribute by its name": Construct(
        "y = y * getattr(self, 'a' + 'b')[0]", "self.ab = [1]", "cell.ab[0] += k"
    ),
    "a property": Construct(
        "y = y * self.p",
        "self._p = [2]",
        "cell._p[0] += k",
        "Base.p = property(lambda self: self._p[0])",
    ),
    "forward of the instance": Construct(
        "y = y * 2", change="cell.forward = types.MethodType(another, cell)"
    ),
    "forward of the class": Construct("y = y * 2", change="type(cell).forward = another"),
    "the class": Construct(
        "y = y * 2",
        change="cell.__class__ = type('Other', (type(cell),), {'forward': another})",
    ),
    "the code of forward": Construct(
        "y = y * 2", change="type(cell).forward.__code__ = another.__code__"
    ),
    "a module that is not registered": Construct(
        "y = y + self.m[0](x)",
        "self.m = [nn.Linear(2, 2)]",
        "cell.m[0].weight = nn.Parameter(torch.ones(2, 2) * k)",
    ),
    "a number": Construct("y = y / self.n", "self.n = 2.0", "cell.n *= 1.5"),
    "a whole number": Construct("y = y / self.n", "self.n = 2", "cell.n += k"),
    "a number in a branch": Construct(
        "if self.n > 3:\n    y = y * 2", "self.n = 2", "cell.n += k"
    ),
    "a number in a power": Construct("y = y ** self.n", "self.n = 2", "cell.n += k"),
    "a number in a function": Construct(
        "y = y * math.exp(-self.n)", "self.n = 2.0", "cell.n *= 0.5"
    ),
    "a number with a weight": Construct(
        "y = y * (self.w * self.n)", "self.n = 2.0", "cell.n *= 0.5"
    ),
    "a number of another type": Construct(
        "y = y * (2 if isinstance(self.n, int) else 3)", "self.n = 2", "cell.n = float(cell.n)"
    ),
    "a switch": Construct("if self.b:\n    y = y * 2", "self.b = True", "cell.b = not cell.b"),
}  # fmt: skip

HEAD = """
import math, random, types
from collections import deque
from functools import partial
import numpy as np
import torch
from torch import nn
from elman.cells import Cell

class Plain:
    def __init__(self):
        self.t = 1

class Base(Cell):
    pass

def another(self, x, state):
    y = x - 0.5 * state[0]
    return y, (y,)
"""

_numbers = itertools.count()


def apart(construct: Construct, i: int) -> Construct:
    """The same with attributes of its own, so that several can be in one cell."""
    own = partial(re.sub, r"\b(self|cell|type\(self\))\.(a|b|d|f|m|n|o|r|t)\b", rf"\1.\g<2>{i}")
    parts = (construct.step, construct.keep, construct.change)
    return Construct(*map(own, parts), construct.module, construct.refused)


def made(constructs: list[Construct]) -> types.ModuleType:
    """A module of its own with a cell `Made` and a function `change(cell, k)`."""
    lines = [HEAD, *(c.module for c in constructs), "class Made(Base):", "    def __init__(self):"]
    keep = ["super().__init__(2, 2)", "self.w = nn.Parameter(torch.tensor([0.5, -1.5]))"]
    step = ["y = x * self.w + state[0]", *(c.step for c in constructs), "return y, (y.tanh(),)"]
    lines += [textwrap.indent("\n".join([*keep, *(c.keep for c in constructs)]), " " * 8)]
    lines += ["    def forward(self, x, state):", textwrap.indent("\n".join(step), " " * 8)]
    lines += ["def change(cell, k):"]
    lines += [textwrap.indent("\n".join(c.change for c in constructs), "    ")]
    source = "\n".join(lines)
    module = types.ModuleType(f"made_{next(_numbers)}")
    file = f"{module.__name__}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), module.__dict__)
    return module


def seeded(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def drawn() -> tuple[float, float]:
    """The next numbers of the generators that everybody shares."""
    return random.random(), np.random.rand()  # noqa: NPY002


def three_calls(constructs: list[Construct], backend: str | None) -> tuple[list[Tensor], list[Any]]:
    """Outputs, gradients and states of random generators of three calls, and what was chosen."""
    seeded(1)
    module = made(constructs)
    cell, found, choices = module.Made(), [], []
    for k, (rows, followed) in enumerate(CALLS):
        if k:
            module.change(cell, k)
        generator = torch.Generator().manual_seed(k)
        x = torch.randn(2, rows, 2, generator=generator).requires_grad_()
        with torch.set_grad_enabled(followed), record() as ran:
            result = run(cell, x, backend=backend)
        found += [result.output.detach(), *(s.detach() for s in result.state)]
        if followed:
            found += torch.autograd.grad(result.output.sum(), (x, cell.w), allow_unused=True)
        found.append(torch.tensor(drawn()))
        choices += ran
    return found, choices


def compare(constructs: list[Construct]) -> list[Any]:
    """Three calls against the plain loop; what was chosen for them."""
    found, choices = three_calls(constructs, None)
    truth, _ = three_calls(constructs, "reference")
    for a, b in zip(found, truth, strict=True):
        if b is None:
            assert a is None or not a.any()
        else:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
    return choices


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_right_or_refused_with_the_line(name):
    construct = CONSTRUCTS[name]
    for choice in compare([construct]):
        if not construct.refused:
            assert choice.backend == "cpu", choice.reason
            continue
        assert choice.backend == "reference"
        assert re.search(construct.refused, choice.reason)
        said = re.search(r"\(made_\d+\.py:\d+: (.*?)\)(;|$)", choice.reason)
        assert said, choice.reason
        lines = f"{construct.step}\n{construct.module}".splitlines()
        assert said[1] in [line.strip() for line in lines]


COMMON: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
some = st.lists(st.sampled_from(sorted(CONSTRUCTS)), min_size=2, max_size=4, unique=True)


@settings(max_examples=25, **COMMON)
@given(some)
def test_random_cells_are_never_wrong(names):
    compare([apart(CONSTRUCTS[name], i) for i, name in enumerate(names)])


@pytest.mark.slow
@settings(max_examples=300, **(COMMON | {"derandomize": False}))
@given(some)
def test_many_random_cells_are_never_wrong(names):
    compare([apart(CONSTRUCTS[name], i) for i, name in enumerate(names)])


# What a cell keeps, and what it costs.


def test_a_number_that_changes_is_an_argument(monkeypatch):
    sources: set[str] = set()
    load = build.load
    monkeypatch.setattr(build, "load", lambda *source: (sources.add(source[0]), load(*source))[1])
    cell = made([CONSTRUCTS["a number"]]).Made()
    x = torch.randn(3, 2, 2)
    run(cell, x)
    first = len(sources)
    for _ in range(40):
        cell.n *= 0.97
        torch.testing.assert_close(
            run(cell, x, backend="cpu").output, run(cell, x, backend="reference").output
        )
    assert len(sources) == first + 1


def test_what_is_refused_is_not_traced_again(monkeypatch):
    traced: list[Any] = []
    trace = program.trace
    monkeypatch.setattr(program, "trace", lambda *a: (traced.append(a), trace(*a))[1])
    module = made([CONSTRUCTS["a counter"]])
    cell, x = module.Made(), torch.randn(3, 2, 2)
    for _ in range(4):
        run(cell, x)
    assert cell.t == 12
    assert len(traced) == 1
    module.Made.forward = module.another
    assert explain(cell, x).backend == "cpu"


def test_a_step_that_stops_changing_compiles_then():
    step = "if self.training:\n    self.t += 1\ny = y * self.t"
    cell = made([Construct(step, "self.t = 1")]).Made()
    x = torch.randn(3, 2, 2)
    assert explain(cell, x).backend == "reference"
    cell.eval()
    assert explain(cell, x).backend == "cpu"
    torch.testing.assert_close(run(cell, x).output, run(cell, x, backend="reference").output)


@pytest.mark.parametrize("name", ["an entry of a dict", "a closure", "a counter", "a global"])
def test_a_cell_is_forgotten_with_its_kernels(name):
    cell = made([CONSTRUCTS[name]]).Made()
    run(cell, torch.randn(3, 2, 2))
    gone = weakref.ref(cell)
    del cell
    gc.collect()
    assert gone() is None


def test_tracing_draws_no_random_numbers():
    cell = made([CONSTRUCTS["a number"]]).Made()
    seeded(0)
    wanted = drawn()
    seeded(0)
    run(cell, torch.randn(3, 2, 2))
    assert drawn() == wanted


def test_a_debugger_goes_on():
    def tracer(frame: Any, event: str, arg: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        explain(made([CONSTRUCTS["a counter"]]).Made(), torch.randn(3, 2, 2))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_a_graph_holds_a_step_that_changes_the_cell():
    ours, theirs = (Recurrent(made([CONSTRUCTS["a counter"]]).Made()) for _ in range(2))
    compiled, x = torch.compile(ours, backend="eager", fullgraph=True), torch.randn(3, 2, 2)
    for calls in (1, 2, 3):
        torch.testing.assert_close(compiled(x)[0], theirs(x)[0])
        assert ours.cells[0].t == theirs.cells[0].t == 3 * calls
