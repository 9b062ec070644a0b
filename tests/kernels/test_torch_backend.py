"""Torch's kernels held to the float64 reference, each test asserting that they ran."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from elman.cells import GRU, LSTM, Cell, Elman, make
from elman.kernels import Result, record, run, torch_backend
from elman.kernels.sequence import prepare

CELLS: dict[str, Callable[..., Cell]] = {
    "tanh": Elman,
    "relu": lambda *a, **k: Elman(*a, nonlinearity="relu", **k),
    "irnn": lambda *a, **k: make("irnn", *a, **k),
    "lstm": LSTM,
    "lstm without biases": lambda *a, **k: LSTM(*a, bias=False, **k),
    "lstm projected": lambda *a, **k: LSTM(*a, proj_size=2, **k),
    "gru": GRU,
    "gru without biases": lambda *a, **k: GRU(*a, bias=False, **k),
}


def pieces_of(steps: int, batch: int, seed: int) -> dict[str, dict[str, Any]]:
    """Calls by what is peculiar to them; lengths with zeros, resets torch can serve."""
    generator = torch.Generator().manual_seed(seed)
    many = torch.randint(0, steps + 1, (batch,), generator=generator)
    few = torch.tensor([steps, 0, steps // 2, steps, steps // 2][:batch])
    reset = torch.zeros(steps, batch, dtype=torch.bool)
    if steps and batch:
        reset[0, 0] = reset[steps // 2, -1] = reset[2 * steps // 3, 0] = True
    return {
        "whole": {},
        "reversed": {"reverse": True},
        "few lengths": {"lengths": few},
        "many lengths": {"lengths": many},
        "many lengths reversed": {"lengths": many, "reverse": True},
        "reset": {"reset": reset},
        "reset reversed": {"reset": reset, "reverse": True},
        "lengths and reset": {"lengths": few, "reset": reset},
        "lengths and reset reversed": {"lengths": few, "reset": reset, "reverse": True},
    }


GRID = [
    (name, steps, batch, sizes, call)
    for name in CELLS
    for steps, batch, sizes in [
        (0, 3, (3, 5)),
        (1, 1, (3, 5)),
        (5, 0, (3, 5)),
        (33, 1, (7, 17)),
        (33, 5, (7, 17)),
    ]
    for call in pieces_of(33, 5, 0)
]


def with_gradients(
    cell: Cell, x: Tensor, state: list[Tensor], call: dict[str, Any], backend: str, seed: int
) -> tuple[Result, list[Tensor]]:
    """Result and gradients of input, initial state and all parameters on random cotangents."""
    leaves = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in state)]
    result = run(cell, leaves[0], tuple(leaves[1:]), backend=backend, **call)
    generator = torch.Generator().manual_seed(seed)
    parts = [result.output, *result.state]
    cotangents = [torch.randn(p.shape, generator=generator) for p in parts]
    loss = sum((p * c.to(p.dtype)).sum() for p, c in zip(parts, cotangents, strict=True))
    leaves += cell.parameters()
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return result, [
        torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)
    ]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", CELLS)
def test_numerics_contract(name, seed, relative_error):
    for _, steps, batch, sizes, which in (case for case in GRID if case[0] == name):
        torch.manual_seed(seed)
        cell = CELLS[name](*sizes)
        truth = CELLS[name](*sizes, dtype=torch.float64)
        truth.load_state_dict(cell.state_dict())
        x = torch.randn(steps, batch, sizes[0])
        state = [torch.randn(batch, n) * 0.5 for n in cell.state_sizes]
        call = pieces_of(steps, batch, seed)[which]
        with record() as ran:
            got, gradients = with_gradients(cell, x, state, call, "torch", seed)
            expected, true_gradients = with_gradients(
                truth, x.double(), [s.double() for s in state], call, "reference", seed
            )
        assert [choice.backend for choice in ran] == ["torch", "reference"]
        where = (name, steps, batch, which)
        for a, b in zip([got.output, *got.state], [expected.output, *expected.state], strict=True):
            assert relative_error(a, b) <= 1e-5, where
        for a, b in zip(gradients, true_gradients, strict=True):
            assert relative_error(a, b) <= 1e-4, where


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_no_nan_for_large_inputs(name, size):
    cell = CELLS[name](3, 5)
    x = torch.full((9, 2, 3), size)
    result, gradients = with_gradients(
        cell, x, [torch.full((2, n), size) for n in cell.state_sizes], {}, "torch", 0
    )
    assert all(t.isfinite().all() for t in (result.output, *result.state, *gradients))


@pytest.mark.parametrize(
    ("lengths", "reset", "expected"),
    [
        (None, None, "_fused"),
        ([40, 40, 40], None, "_in_pieces"),
        ([40, 20, 0], None, "_in_pieces"),
        ([3, 2, 1], None, "_packed"),
        ([40, 40, 40], (13, 2), "_in_pieces"),
        ([3, 2, 1], (13, 2), "_packed"),  # a reset in the padding is none
    ],
)
def test_how_rows_are_run(lengths, reset, expected, monkeypatch):
    taken = []
    for way in ("_packed", "_in_pieces"):
        original = getattr(torch_backend, way)
        monkeypatch.setattr(
            torch_backend, way, lambda *a, w=way, o=original: (taken.append(w), o(*a))[1]
        )
    mask = None
    if reset is not None:
        mask = torch.zeros(40, 3, dtype=torch.bool)
        mask[reset] = True
    run(GRU(3, 5), torch.randn(40, 3, 3), lengths=lengths, reset=mask, backend="torch")
    assert taken == ([] if expected == "_fused" else [expected])


def test_the_steps_computed_follow_the_lengths_and_not_the_padding(monkeypatch):
    steps = []
    fused = torch_backend._fused
    monkeypatch.setattr(
        torch_backend,
        "_fused",
        lambda c, x, *a: (steps.append(x[..., 0].numel()), fused(c, x, *a))[1],
    )
    for lengths in ([100, 50, 0], [9, 7, 8]):
        steps.clear()
        run(GRU(3, 5), torch.randn(400, 3, 3), lengths=lengths, backend="torch")
        assert sum(steps) == sum(lengths)


@pytest.mark.parametrize("lengths", [[20, 9, 0], [5, 3, 2]])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_padding_holds_is_never_read(lengths, reverse):
    cell = LSTM(3, 5)
    x = torch.randn(20, 3, 3)
    x[torch.arange(20)[:, None] >= torch.tensor(lengths)] = float("nan")
    x.requires_grad_()
    result = run(cell, x, lengths=lengths, reverse=reverse, backend="torch")
    result.output.sum().backward()
    assert all(t.isfinite().all() for t in (result.output, *result.state, x.grad))
    assert all(p.grad.isfinite().all() for p in cell.parameters())


@pytest.mark.parametrize("name", ["tanh", "gru"])
def test_every_state_is_the_output_where_the_output_is_the_state(name):
    x, lengths = torch.randn(20, 3, 3), [20, 4, 0]
    cell = CELLS[name](3, 5)
    got = run(cell, x, lengths=lengths, return_states=True, backend="torch")
    truth = run(cell, x, lengths=lengths, return_states=True, backend="reference")
    torch.testing.assert_close(got.states, truth.states)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("lengths", [None, [20, 9, 0], [5, 3, 2]])
def test_second_derivatives_are_whole_on_a_cpu(name, lengths, relative_error):
    cell, truth = CELLS[name](3, 5), CELLS[name](3, 5, dtype=torch.float64)
    truth.load_state_dict(cell.state_dict())
    x = torch.randn(20, 3, 3)

    def second(cell: Cell, x: Tensor, backend: str) -> tuple[Tensor, ...]:
        x = x.clone().requires_grad_()
        y = run(cell, x, lengths=lengths, backend=backend).output
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, *cell.parameters()])

    for a, b in zip(second(cell, x, "torch"), second(truth, x.double(), "reference"), strict=True):
        assert relative_error(a, b) <= 1e-4


@pytest.mark.parametrize("lengths", [None, [20, 9, 0], [5, 3, 2]])
def test_grad_transform_stays_on_torch(lengths):
    cell = LSTM(3, 5)
    x = torch.randn(20, 3, 3)

    def loss(x: Tensor, backend: str | None) -> Tensor:
        return run(cell, x, lengths=lengths, backend=backend).output.square().sum()

    with record() as ran:
        got = torch.func.grad(loss)(x, None)
    assert [c.backend for c in ran] == ["torch"]
    torch.testing.assert_close(got, torch.func.grad(loss)(x, "reference"))


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("lengths", [None, [20, 9, 0], [5, 3, 2]])
def test_autocast_to_bfloat16(name, lengths):
    cell = CELLS[name](8, 16)
    x = torch.randn(20, 3, 8)
    with torch.autocast("cpu", torch.bfloat16), record() as ran:
        first = run(cell, x, lengths=lengths, backend="torch")
        again = first.output[..., :8]
        second = run(cell, again, first.state, lengths=lengths, backend="torch")
    assert second.output.dtype == torch.bfloat16
    second.output.float().sum().backward()
    assert [c.backend for c in ran] == ["torch", "torch"]
    plain = run(cell, x, lengths=lengths)
    plain = run(cell, plain.output[..., :8], plain.state, lengths=lengths)
    torch.testing.assert_close(second.output.float(), plain.output, rtol=0.05, atol=0.05)
    assert cell.U.weight.grad is not None
    assert cell.U.weight.grad.dtype == torch.float32


def test_a_computed_weight_is_used_as_it_is():
    """A parametrisation replaces the weight by a function of others; torch gets its value."""
    cell = Elman(3, 5)
    parametrizations.orthogonal(cell.U)
    x = torch.randn(6, 2, 3)
    got = []
    for backend in ("torch", "reference"):
        y = run(cell, x, backend=backend).output
        got.append((y, *torch.autograd.grad(y.square().sum(), list(cell.parameters()))))
    torch.testing.assert_close(*got)


# What is refused, and in which words.


def refusal(cell: Cell, x: Tensor, **call: Any) -> str | None:
    return torch_backend.refusal(cell, prepare(cell, x, **call))


class StartsAtOne(LSTM):
    """Another start, the same step."""

    def init_state(self, batch, device=None, dtype=None):
        return tuple(s + 1 for s in super().init_state(batch, device, dtype))


def test_another_start_is_no_other_step():
    cell = StartsAtOne(3, 5)
    x = torch.randn(7, 2, 3)
    reset = torch.zeros(7, 2, dtype=torch.bool)
    reset[4, 1] = True
    with record() as ran:
        got = run(cell, x, reset=reset, backend="torch")
    assert ran[0].backend == "torch"
    torch.testing.assert_close(got.output, run(cell, x, reset=reset, backend="reference").output)


def hooked(part: str) -> LSTM:
    cell = LSTM(3, 5)
    cell.get_submodule(part).register_forward_hook(lambda *_: None)
    return cell


def adapted() -> LSTM:
    cell = LSTM(3, 5)
    cell.U = nn.Sequential(nn.Linear(5, 20))
    return cell


@pytest.mark.parametrize(
    ("cell", "call", "reason"),
    [
        (LSTM(3, 5, peepholes=True), {}, "no kernel for an LSTM with peepholes"),
        (LSTM(3, 5, coupled=True), {}, "no kernel for an LSTM with coupled"),
        (LSTM(3, 5, layer_norm=True), {}, "no kernel for an LSTM with layer_norm"),
        (make("gru_cho", 3, 5), {}, "resets before the product"),
        (make("mgu", 3, 5), {}, "no kernel for"),
        (hooked(""), {}, "a hook on LSTM would not be called"),
        (hooked("U"), {}, "a hook on LSTM.U would not be called"),
        (adapted(), {}, "holds a Sequential in place of a linear map"),
        (LSTM(3, 5), {"hold": (0.1, None)}, "no zoneout"),
        (LSTM(3, 5), {"return_states": True}, "does not give out the cell state"),
        (LSTM(3, 5), {"reset": torch.ones(6, 2, dtype=torch.bool)}, "resets come so often"),
        (LSTM(3, 5, dtype=torch.float64), {}, "one dtype"),
    ],
)
def test_refusals_name_their_reason(cell, call, reason):
    assert reason in refusal(cell, torch.randn(6, 2, 3), **call)


def test_what_is_refused_for_one_reason_is_not_for_its_neighbours():
    x = torch.randn(6, 2, 3)
    for call in (
        {"hold": (None, 0.0)},
        {"reset": torch.zeros(6, 2, dtype=torch.bool)},
        {"lengths": [1, 2]},
        # Resets that no row lives to see cut nothing.
        {"lengths": [1, 1], "reset": torch.arange(6)[:, None].expand(6, 2) > 0},
    ):
        assert refusal(LSTM(3, 5), x, **call) is None
    assert refusal(GRU(3, 5), x, return_states=True) is None


def test_transforms_are_refused_by_name():
    cell = LSTM(3, 5)
    seen = []

    def function(x: Tensor) -> Tensor:
        seen.append(refusal(cell, x))
        return run(cell, x, backend="reference").output

    x = torch.randn(4, 2, 3)
    torch.func.vmap(function)(torch.randn(5, 4, 2, 3))
    torch.func.jvp(function, (x,), (x,))
    with torch.autograd.forward_ad.dual_level():
        function(torch.autograd.forward_ad.make_dual(x, x))
    for reason, word in itertools.zip_longest(seen, ("vmap", "jvp", "forward-mode")):
        assert word in reason
    function(x)
    assert seen[-1] is None


@pytest.mark.slow
def test_a_compiled_model_steps_out_of_the_graph():
    from elman.nn import Recurrent

    layer = Recurrent("lstm", 3, 5)
    x = torch.randn(6, 2, 3, requires_grad=True)
    y, _ = layer(x)
    (truth,) = torch.autograd.grad(y.square().sum(), x)
    z, _ = torch.compile(layer, backend="aot_eager")(x)
    (got,) = torch.autograd.grad(z.square().sum(), x)
    torch.testing.assert_close(got, truth)
