"""The choice of a backend is right, can be forced, is explained, and is never silent."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

from elman.cells import GRU, LSTM, Cell, make
from elman.errors import InputError, SlowPathWarning
from elman.kernels import SequenceError, choose, explain, record, run, use
from elman.nn import Recurrent

X = torch.randn(6, 2, 3)


class Running(Cell):
    """A sum along each row, which no kernel has."""

    def forward(self, x, state):
        h = (x + state[0]).cumsum(-1)
        return h, (h,)


class Branching(Cell):
    """What it does hangs on a value."""

    def forward(self, x, state):
        h = x if state[0].sum() > 0 else -x
        return h, (h,)


def test_a_slow_path_is_announced_once_for_each_reason(fresh_warnings):
    slow, other = Running(3, 3), Branching(3, 3)
    with pytest.warns(SlowPathWarning, match="Running runs on the reference loop") as caught:
        run(slow, X)
    assert caught[0].filename == __file__
    line = r"cumsum has no kernel \(test_dispatch.py:\d+: h = \(x \+ state\[0\]\).cumsum\(-1\)\)"
    assert re.search(line, str(caught[0].message))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(slow, X)
    with pytest.warns(
        SlowPathWarning, match=r"on a tensor's value \(test_dispatch.py:\d+: h = x if"
    ):
        run(other, X)


def test_nothing_is_said_where_nothing_is_slow(fresh_warnings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(GRU(3, 5), X)
        run(make("mgu", 3, 5), X)
        run(Running(3, 3), X[:0])
        run(Running(3, 3), X, backend="reference")
        with use("reference"):
            run(LSTM(3, 5), X)


def test_a_process_that_ignores_nothing_sees_the_warning():
    code = (
        "import torch, elman, elman.nn\n"
        "class Running(elman.Cell):\n"
        "    def forward(self, x, state):\n"
        "        h = (x + state[0]).cumsum(-1)\n"
        "        return h, (h,)\n"
        "layer = elman.nn.Recurrent(Running(3, 3))\n"
        "for _ in range(3): layer(torch.zeros(2, 1, 3))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr.count("SlowPathWarning") == 1


def test_a_backend_can_be_insisted_on():
    cell = LSTM(3, 5)
    with record() as ran:
        run(cell, X)
        run(cell, X, backend="torch")
        run(cell, X, backend="reference")
        with use("reference"):
            run(cell, X)
            run(cell, X, backend="torch")
            run(cell, X, backend="cpu")
    wanted = ["cpu", "torch", "reference", "reference", "torch", "cpu"]
    assert [c.backend for c in ran] == wanted
    assert [c.reason for c in ran] == ["a kernel was compiled for it"] + ["asked for"] * 5
    with pytest.raises(InputError, match="cannot run this LSTM: torch's kernels have no zoneout"):
        run(cell, X, hold=(0.5, 0.5), backend="torch")
    with pytest.raises(InputError, match="The cpu backend cannot run this Running: cumsum has no"):
        run(Running(3, 3), X, backend="cpu")
    with pytest.raises(InputError, match="Did you mean 'torch'"):
        run(cell, X, backend="toch")
    with pytest.raises(InputError, match="Did you mean 'reference'"), use("referense"):
        pass


@pytest.mark.filterwarnings("ignore::elman.errors.SlowPathWarning")
def test_what_is_chosen_is_what_runs():
    for cell, call in [
        (LSTM(3, 5), {}),
        (LSTM(3, 5), {"return_states": True}),
        (GRU(3, 5), {"return_states": True}),
        (make("mgu", 3, 5), {}),
        (Running(3, 3), {}),
        (LSTM(3, 5), {"backend": "torch"}),
    ]:
        with record() as ran:
            run(cell, X, **call)
        assert ran == [choose(cell, X, **call)]


@pytest.mark.filterwarnings("ignore::elman.errors.SlowPathWarning")
def test_explaining_a_stack_names_its_slowest_part():
    model = nn.ModuleDict({"a": Recurrent("lstm", 3, 4), "b": Recurrent(Branching(4, 4))})
    model.forward = lambda x: model["b"](model["a"](x)[0])
    explained = explain(model, X)
    assert explained.backend == "reference"
    assert explained.reason == explained.parts[1].reason
    assert [p.backend for p in explained.parts] == ["cpu", "reference"]
    assert str(explained).splitlines() == [
        f"backend: reference ({explained.reason})",
        "  1. LSTM: cpu (a kernel was compiled for it)",
        f"  2. Branching: reference ({explained.reason})",
    ]


def test_explaining_shows_what_compiled_kernels_do():
    layer = Recurrent("mgu", 3, 4, 2)
    explained = explain(layer, X)
    assert "for each row:" in explained.plan
    assert "sigmoid" in explained.plan
    assert "v_tanh" in explained.source
    with use("reference"):
        assert explain(layer, X).plan == explain(layer, X).source == ""


def test_explaining_changes_nothing_and_hides_nothing():
    layer = Recurrent("lstm", 3, 4, 2, dropout=0.5)
    torch.manual_seed(0)
    explain(layer, X, lengths=[6, 2])
    first, _ = layer(X)
    torch.manual_seed(0)
    assert torch.equal(first, layer(X)[0])
    assert explain(layer, X, return_states=True).backend == "cpu"
    assert explain(Recurrent(Running(3, 3)), X).backend == "reference"
    with pytest.raises(InputError, match="Linear ran no recurrence"):
        explain(nn.Linear(3, 3), X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"x": X[0]}, r"x must be \(time, batch, input_size\), got 2 axes: \(2, 3\)"),
        ({"x": X[..., :2]}, "x has 2 features .its last axis., the cell takes input_size=3"),
        ({"state": torch.zeros(2, 5)}, r"takes a tuple of 2 state tensor\(s\), got a tensor"),
        ({"state": (torch.zeros(2, 5),)}, "got 1 items"),
        (
            {"state": (torch.zeros(2, 5), torch.zeros(3, 5))},
            r"state\[1\] must be \(batch=2, size=5\), got \(3, 5\)",
        ),
        ({"lengths": [6.0, 2.0]}, "lengths must be integers, got torch.float32"),
        ({"lengths": [6, 2, 1]}, r"lengths must be \(batch=2,\), got \(3,\)"),
        ({"lengths": [6, 7]}, r"lengths\[1\] is 7, x has 6 steps"),
        ({"lengths": [-1, 7]}, r"lengths\[0\] is -1"),
        ({"reset": torch.zeros(6, 2)}, "reset must be a bool mask, got torch.float32"),
        (
            {"reset": torch.zeros(2, 6, dtype=torch.bool)},
            r"reset must be \(time=6, batch=2\), laid out as x is, got \(2, 6\)",
        ),
        ({"hold": (0.5,)}, r"hold needs one entry a state \(2\), got 1"),
        ({"hold": (0.5, 1.5)}, r"hold\[1\] is a probability, got 1.5"),
        (
            {"hold": (None, torch.ones(6, 2, 4))},
            r"hold\[1\] must be \(time=6, batch=2, size=5\), got \(6, 2, 4\)",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_expected(call, message):
    x = call.pop("x", X)
    with pytest.raises(SequenceError, match=message) as raised:
        run(LSTM(3, 5), x, **call)
    # Code written against torch catches one or the other.
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, RuntimeError)
