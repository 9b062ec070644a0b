"""Compiled kernels held to the float64 reference, each test asserting that they ran."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize

from elman.cells import CELLS, LSTM, Cell, make
from elman.errors import InputError, SlowPathWarning
from elman.kernels import choose, launch, program, record, rows, run, use
from elman.nn import Recurrent

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in CELLS},
    "elman relu": ("elman", {"nonlinearity": "relu"}),
    "elman without biases": ("elman", {"bias": False}),
    "jordan decaying": (
        "jordan",
        {"decay": 0.5, "output_size": 3, "output_nonlinearity": "sigmoid"},
    ),
    "jordan linear": ("jordan", {"output_size": 3, "output_nonlinearity": "identity"}),
    "lstm with peepholes": ("lstm", {"peepholes": True}),
    "lstm coupled": ("lstm", {"coupled": True}),
    "lstm normalised": ("lstm", {"layer_norm": True}),
    "lstm normalised without biases": ("lstm", {"layer_norm": True, "bias": False}),
    "lstm projected": ("lstm", {"proj_size": 3}),
    "lstm with everything": (
        "lstm",
        {"peepholes": True, "coupled": True, "layer_norm": True, "proj_size": 3},
    ),
    "gru resetting before": ("gru", {"reset_after": False}),
    "gru without biases": ("gru", {"bias": False}),
    "ugrnn relu": ("ugrnn", {"nonlinearity": "relu"}),
    "indrnn bounded": ("indrnn", {"bound": 0.4, "nonlinearity": "tanh"}),
    "mingru positive": ("mingru", {"positive": True}),
    "minlstm positive": ("minlstm", {"positive": True}),
    "minlstm unscaled": ("minlstm", {"scaled": False}),
    "lru of another size": ("lru", {"output_size": 3, "bias": True}),
    "esn leaking": ("esn", {"leak": 0.3, "output_size": 3}),
}
EVERY_CELL = sorted(CELLS)
FEW_CELLS = ("elman", "lstm", "gru", "lru", "mingru", "jordan decaying", "lstm with everything")


def few_or_fuzz(names: Iterable[str]) -> list[Any]:
    """All of them; `make test` takes a few that have something of every kind, `make fuzz` all."""
    return [n if n in FEW_CELLS else pytest.param(n, marks=pytest.mark.fuzz) for n in names]


WHOLE = torch.float64


def made(name: str, sizes: tuple[int, int] = (3, 5), seed: int = 0, **more: Any) -> Cell:
    """A cell no parameter of which is left at zero or one."""
    torch.manual_seed(seed)
    kind, options = VARIANTS[name]
    cell = make(kind, *sizes, **options, **more)
    with torch.no_grad():
        for p in cell.parameters():
            p.add_(torch.randn_like(p), alpha=0.2)
    return cell


class Learnt(LSTM):
    """An LSTM whose states begin at what was learnt."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        like = self.W.weight
        self.start = nn.ParameterList(
            [nn.Parameter(torch.randn(n).to(like) * 0.5) for n in self.state_sizes]
        )

    def init_state(self, batch, device=None, dtype=None):
        return tuple(s.expand(batch, -1) for s in self.start)


def drawn(
    cell: Cell, steps: int, batch: int, seed: int = 0, dtype: torch.dtype | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Input and initial states."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, batch, cell.input_size, generator=generator)
    state = [torch.randn(batch, n, generator=generator) * 0.5 for n in cell.state_sizes]
    return x.to(dtype), [s.to(dtype) for s in state]


def calls(steps: int, batch: int, seed: int) -> dict[str, dict[str, Any]]:
    """Calls by what is peculiar to them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, steps + 1, (batch,), generator=generator)
    lengths[:1] = max(1, steps - 1) if batch == 1 else 0
    lengths[1:2] = steps
    reset = torch.rand(steps, batch, generator=generator) < 0.3
    together = {"lengths": lengths, "reset": reset, "return_states": True}
    return {
        "plain": {},
        "every state": {"return_states": True},
        "reversed": {"reverse": True, "return_states": True},
        "lengths": {"lengths": lengths},
        "lengths reversed": {"lengths": lengths, "reverse": True, "return_states": True},
        "resets": {"reset": reset, "return_states": True},
        "resets reversed": {"reset": reset, "reverse": True},
        "together": together,
        "together reversed": {**together, "reverse": True},
    }


FEW = ("plain", "together", "together reversed")
SHAPES: list[tuple[int, int, tuple[int, int], tuple[str, ...]]] = [
    (0, 3, (3, 5), FEW),
    (4, 0, (3, 5), FEW),
    (1, 1, (3, 5), FEW),
    (8, 1, (7, 33), FEW),
    (6, 5, (7, 33), tuple(calls(6, 5, 0))),
    # Sizes that are equal must not be mistaken for one another.
    (5, 5, (5, 5), tuple(calls(5, 5, 0))),
]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", VARIANTS)
def test_numerics_contract(name, seed, held_to_the_reference):
    for steps, batch, sizes, which in SHAPES:
        cell = made(name, sizes, seed)
        x, state = drawn(cell, steps, batch, seed)
        for call in which:
            arguments = calls(steps, batch, seed)[call]
            try:
                held_to_the_reference(cell, x, state, seed, **arguments)
            except AssertionError as error:
                raise AssertionError((name, steps, batch, sizes, call)) from error


@pytest.mark.parametrize(
    "name", few_or_fuzz(n for n in VARIANTS if "normal" not in n and "every" not in n)
)
def test_cells_of_one_unit(name, held_to_the_reference):
    """But for those that normalise: of one unit nothing is left, and the true gradient is 0."""
    cell = made(name, (1, 1), 2)
    x, state = drawn(cell, 4, 3)
    for call in FEW:
        held_to_the_reference(cell, x, state, **calls(4, 3, 0)[call])


@pytest.mark.parametrize("name", few_or_fuzz(EVERY_CELL))
def test_held_states(name, held_to_the_reference):
    cell = made(name, (7, 33))
    steps, batch = 6, 5
    x, state = drawn(cell, steps, batch)
    masks = tuple(torch.rand(steps, batch, n) < 0.4 for n in cell.state_sizes)
    shares = tuple([0.3, 0.6][: len(masks)])
    for hold in (masks, shares):
        for call in FEW:
            held_to_the_reference(cell, x, state, hold=hold, **calls(steps, batch, 0)[call])


def test_states_held_in_different_ways(held_to_the_reference):
    cell = made("lstm", (7, 33))
    x, state = drawn(cell, 6, 5)
    mask = torch.rand(6, 5, 33) < 0.4
    for hold in ((mask, 0.3), (0.3, mask), (None, mask), (1.0, None), (None, 1)):
        for call in ("every state", "together reversed"):
            held_to_the_reference(cell, x, state, hold=hold, **calls(6, 5, 0)[call])


@pytest.mark.parametrize("resets", [False, True])
def test_rows_that_are_all_of_length_zero(resets, held_to_the_reference):
    reset = torch.ones(4, 2, dtype=torch.bool) if resets else None
    for name in ("elman", "gru", "lstm with everything", "lru", "mingru"):
        cell = made(name)
        x, state = drawn(cell, 4, 2)
        held_to_the_reference(cell, x, state, lengths=[0, 0], reset=reset, return_states=True)


@pytest.mark.parametrize("options", [{}, {"proj_size": 3}])
def test_a_learnt_start_has_its_gradient_through_resets(options, held_to_the_reference):
    torch.manual_seed(0)
    for seed in (0, 1):
        cell = Learnt(7, 33, **options)
        x, state = drawn(cell, 6, 5, seed)
        for call in calls(6, 5, seed).values():
            held_to_the_reference(cell, x, state, seed, **call)
    # Where it starts all rows as well.
    for reset in (None, torch.rand(6, 5) < 0.3):
        found = []
        for backend in ("cpu", "reference"):
            y = run(cell, x, reset=reset, backend=backend).output
            found.append(torch.autograd.grad(y.square().sum(), list(cell.start)))
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", few_or_fuzz(VARIANTS))
def test_double_precision(name, with_gradients, relative_error):
    cell = made(name, (3, 5), dtype=WHOLE)
    x, state = drawn(cell, 6, 4, dtype=WHOLE)
    for call in FEW:
        arguments = calls(6, 4, 0)[call]
        got = with_gradients(cell, x, state, "cpu", **arguments)
        truth = with_gradients(cell, x, state, "reference", **arguments)
        for a, b in zip([*got[0], *got[1]], [*truth[0], *truth[1]], strict=True):
            assert a.dtype == WHOLE
            assert relative_error(a, b) <= 1e-12


@pytest.mark.parametrize("name", few_or_fuzz(EVERY_CELL))
def test_gradcheck(name):
    cell = made(name, (3, 4), dtype=WHOLE)
    x, state = drawn(cell, 3, 2, dtype=WHOLE)
    parameters = [p for p in cell.parameters() if p.requires_grad]
    for t in (x, *state):
        t.requires_grad_()
    reversed_ = {
        "lengths": torch.tensor([3, 2]),
        "reset": torch.tensor([[False, True], [False, True], [True, False]]),
        "reverse": True,
    }
    for call in ({}, reversed_):

        def function(x: Tensor, *rest: Tensor, call: Any = call) -> tuple[Tensor, ...]:
            result = run(cell, x, rest[: len(state)], return_states=True, backend="cpu", **call)
            assert result.states is not None
            return (result.output, *result.state, *result.states)

        assert gradcheck(function, (x, *state, *parameters), fast_mode=True)


# Second derivatives.


@pytest.mark.parametrize("name", few_or_fuzz(EVERY_CELL))
def test_a_second_derivative_is_whole_and_said_to_be_slow(name):
    cell = made(name, dtype=WHOLE)
    x, state = drawn(cell, 5, 3, dtype=WHOLE)
    hold = tuple(torch.rand(5, 3, n) < 0.4 for n in cell.state_sizes)
    for call in (*(calls(5, 3, 0)[c] for c in FEW), {"hold": hold, "return_states": True}):
        found = []
        for backend in ("cpu", "reference"):
            leaves = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in state)]
            result = run(cell, leaves[0], tuple(leaves[1:]), backend=backend, **call)
            leaves += [p for p in cell.parameters() if p.requires_grad]
            parts = (result.output, *result.state, *(result.states or ()))
            loss = sum(p.square().sum() for p in parts)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                first = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
            slow = [w for w in caught if w.category is SlowPathWarning]
            assert len(slow) == (backend == "cpu")
            assert all("second derivative" in str(w.message) for w in slow)
            penalty = sum(g.square().sum() for g in first if g is not None)
            second = torch.autograd.grad(penalty, leaves, allow_unused=True)
            found.append([torch.zeros_like(leaves[i % len(leaves)]) if g is None else g
                          for i, g in enumerate((*first, *second))])  # fmt: skip
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


# Values at the edge.


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("name", VARIANTS)
def test_no_nan_for_large_inputs(name, size, with_gradients):
    cell = made(name, (3, 5))
    x, state = drawn(cell, 5, 2)
    for big in (torch.full_like(x, size), x * 1e4, x.sign() * size):
        for start in (state, [torch.full_like(s, size) for s in state]):
            values, gradients = with_gradients(cell, big, start, "cpu", return_states=True)
            assert all(t.isfinite().all() for t in (*values, *gradients))


class Functions(Cell):
    """All functions side by side, of x; the state only carries the last."""

    FUNCTIONS = (
        *(torch.tanh, torch.sigmoid, torch.exp, torch.expm1, torch.log, torch.log1p, torch.sqrt),
        *(torch.relu, torch.abs, torch.neg, torch.sign, torch.floor, torch.ceil, torch.round),
        *(torch.sin, torch.cos, torch.atan, torch.erf, torch.reciprocal, torch.rsqrt),
        nn.functional.softplus,
        nn.functional.logsigmoid,
        lambda a: a.clamp(-1, 1),
        lambda a: torch.maximum(a, torch.ones_like(a)),
        lambda a: torch.minimum(a, torch.ones_like(a)),
        lambda a: torch.where(a > 0, a, a * 2),
    )

    def __init__(self, size: int) -> None:
        super().__init__(size, size, output_size=size * len(self.FUNCTIONS))

    def forward(self, x, state):
        values = [f(x) for f in self.FUNCTIONS]
        return torch.cat(values, -1), (values[0] + state[0],)


def functions_of(values: Tensor, backend: str) -> Tensor:
    """`(functions, values)`."""
    with use(backend), torch.no_grad():
        y = run(Functions(len(values)), values[None, None]).output
    return y.reshape(len(Functions.FUNCTIONS), -1)


def test_infinity_and_nan_are_what_they_are_in_torch():
    inf, nan = float("inf"), float("nan")
    values = [0.0, -0.0, inf, -inf, nan, 1e4, -1e4, 88.0, -88.0, 3e38, -3e38, 1.0, -1.0, 0.5, 2.5]
    for dtype in (torch.float32, WHOLE):
        for n in (1, 3, len(values)):
            special = torch.tensor(values[-n:] if n < 9 else values, dtype=dtype)
            got, truth = functions_of(special, "cpu"), functions_of(special, "reference")
            # exp(-88) and its like are too small for full precision.
            torch.testing.assert_close(got, truth, equal_nan=True, rtol=2e-6, atol=2e-38)
            assert torch.equal(got.isnan(), truth.isnan())


def test_functions_are_right_to_a_few_units_in_the_last_place():
    near = torch.cat([torch.linspace(-3, 3, 997), torch.logspace(-12, 4, 500)])
    values = torch.cat([near, -near, torch.linspace(-120, 120, 1003)])
    # Of what sin and cos of large numbers are worth, the reference speaks in double precision.
    got, truth = functions_of(values, "cpu"), functions_of(values.double(), "reference")
    single = functions_of(values, "reference")
    for function, a, b, c in zip(Functions.FUNCTIONS, got, truth, single, strict=True):
        usable = b.isfinite() & (b.abs() < 3e38) & (b.abs() > 2e-38)
        off = ((a.double() - b) / b).abs()[usable]
        theirs = ((c.double() - b) / b).abs()[usable]
        assert off.max() <= max(6e-7, 4 * float(theirs.max())), function


# Threads, memory, and what autograd allows.


@pytest.fixture
def threads() -> Iterator[None]:
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ["lstm", "gru_cho", "lstm with everything", "lru"])
def test_two_threads_give_what_one_gives(name, with_gradients, relative_error):
    """Where tiles of rows are the same, to the last bit; sums over all rows never are."""
    cell = made(name, (7, 33))
    x, state = drawn(cell, 30, 12)
    for which, call in calls(30, 12, 0).items():
        found = []
        for n in (1, 2, 2):
            torch.set_num_threads(n)
            values, gradients = with_gradients(cell, x, state, "cpu", **call)
            found.append([*values, *gradients[1 : 1 + len(state)], gradients[0]])
            found[-1] += gradients[1 + len(state) :]
        exact = len(values) + len(state) if "length" not in which and "tog" not in which else 0
        for k, (a, b, c) in enumerate(zip(*found, strict=True)):
            # Both are within 1e-6 of the truth, and sums over rows go in another order.
            assert relative_error(a, b) <= (1e-6 if k < len(values) + len(state) else 2e-6)
            assert torch.equal(b, c)
            assert k >= exact or torch.equal(a, b)


@pytest.mark.usefixtures("threads")
def test_more_threads_than_rows(held_to_the_reference):
    torch.set_num_threads(4)
    cell = made("gru", (7, 33))
    for batch in (1, 3, 5):
        x, state = drawn(cell, 60, batch)
        for call in FEW:
            held_to_the_reference(cell, x, state, **calls(60, batch, 0)[call])


WIDE = {
    "rows shared out": ("lstm", (20, 280)),
    "columns shared out": ("lstm", (1200, 140)),
    "by units": ("lstm", (30, 520)),
    "several matrices": ("gru_cho", (600, 520)),
}
"""Cells and sizes with more than 504 rows of a gradient: more strips than a sum over rows packs at
a time, whether threads share out its rows or its columns."""


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("which", WIDE)
def test_gradients_of_large_matrices_by_two_threads(which, held_to_the_reference):
    torch.set_num_threads(2)
    name, sizes = WIDE[which]
    cell = made(name, sizes)
    x, state = drawn(cell, 9, 26)  # more rows than a sum takes at a time
    held_to_the_reference(cell, x, state)
    held_to_the_reference(cell, x, state, lengths=torch.arange(26) % 10)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ["lstm", "gru_cho"])
@pytest.mark.parametrize("cache", [1000, 1 << 30])
def test_matrices_beyond_a_cores_cache(name, cache, monkeypatch, held_to_the_reference):
    """Threads share out units then, and products of the input are made before the loop."""
    frames, frame = {}, launch._frame
    monkeypatch.setattr(launch, "own_cache", lambda: cache)
    monkeypatch.setattr(launch, "_frame", lambda *a: frames.setdefault(a[1], frame(*a)))
    torch.set_num_threads(2)
    cell = made(name, (20, 50))
    x, state = drawn(cell, 9, 26)
    held_to_the_reference(cell, x, state)
    with torch.no_grad():
        run(cell, x, state, backend="cpu")
    large = cache == 1000
    assert set(frames) == {"infer", "train", "backward"}
    for kind in ("infer", "train"):
        assert frames[kind].by_units is large
        assert any(early for *_, early in frames[kind].panels) is large


@pytest.mark.parametrize(
    ("caches", "size"),
    [
        ({"index0": ("1", "48K"), "index2": ("2", "2048K"), "index3": ("3", "32M")}, 2 << 20),
        ({"index0": ("1", "64K"), "index1": ("2", "12M")}, 12 << 20),
        ({"index0": ("1", "32K"), "index2": ("2", "unknown")}, 1 << 20),
        ({}, 1 << 20),
    ],
)
def test_the_size_of_the_second_cache_is_the_systems(caches, size, monkeypatch, tmp_path):
    for name, (level, text) in caches.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "level").write_text(f"{level}\n")
        (tmp_path / name / "size").write_text(f"{text}\n")
    monkeypatch.setattr(program, "_CACHES", tmp_path)
    assert program.own_cache.__wrapped__() == size


def test_what_is_kept_can_be_used_twice():
    cell = made("lstm")
    x, state = drawn(cell, 6, 3)
    x.requires_grad_()
    loss = run(cell, x, state, backend="cpu").output.square().sum()
    leaves = [x, *cell.parameters()]
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    second = torch.autograd.grad(loss, leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, leaves)


def test_what_was_changed_in_between_is_noticed():
    cell = made("lstm")
    for which in ("weight", "input", "output"):
        x, state = drawn(cell, 6, 3)
        result = run(cell, x, state, backend="cpu")
        loss = result.output.sum()
        with torch.no_grad():
            {"weight": cell.U.weight, "input": x, "output": result.output}[which].mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("name", ["lstm", "gru", "lru", "lstm with everything"])
def test_tensors_may_lie_in_memory_as_they_like(name, with_gradients):
    cell = made(name)
    x, state = drawn(cell, 6, 3)
    batch_first = x.transpose(0, 1).contiguous().transpose(0, 1)
    every_other = torch.stack([x, x + 1], -1)[..., 0]
    columns = [torch.randn(s.shape[1], s.shape[0]).t() for s in state]
    one = x[:1, :1].expand(6, 3, -1)
    same = [s[:1].expand(3, -1) for s in state]
    for z, s in ((batch_first, state), (every_other, columns), (one, same), (x, same)):
        for call in FEW:
            arguments = calls(6, 3, 0)[call]
            # `with_gradients` clones, which keeps strides: but not those of what is expanded.
            for run_it in (with_gradients, values_only):
                got = run_it(cell, z, s, "cpu", **arguments)
                plain = [t.clone(memory_format=torch.contiguous_format) for t in s]
                truth = run_it(cell, z.contiguous(), plain, "cpu", **arguments)
                for a, b in zip([*got[0], *got[1]], [*truth[0], *truth[1]], strict=True):
                    assert torch.equal(a, b)


def values_only(
    cell: Cell, x: Tensor, state: list[Tensor], backend: str, **call: Any
) -> tuple[list[Tensor], list[Tensor]]:
    result = run(cell, x, state, backend=backend, **call)
    return [result.output, *result.state, *(result.states or ())], []


def test_cotangents_may_lie_in_memory_as_they_like():
    cell = made("lstm")
    x, state = drawn(cell, 6, 3)
    leaves = [x.requires_grad_(), *cell.parameters()]
    found = []
    for backend in ("cpu", "reference"):
        result = run(cell, x, state, backend=backend, return_states=True)
        c = result.state[1]
        loss = result.output.sum() + c.t().flip(0).square().sum() + result.states[1][2:4].sum()
        found.append(torch.autograd.grad(loss, leaves))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("part", ["output", "first", "second", "history"])
def test_any_result_alone_has_its_gradient(part):
    cell = made("lstm")
    x, state = drawn(cell, 6, 3)
    leaves = [x.requires_grad_(), *(s.requires_grad_() for s in state), *cell.parameters()]
    found = []
    for backend in ("cpu", "reference"):
        result = run(cell, x, state, backend=backend, return_states=True, lengths=[6, 0, 3])
        assert result.states is not None
        parts = {
            "output": result.output,
            "first": result.state[0],
            "second": result.state[1],
            "history": result.states[1],
        }
        found.append(torch.autograd.grad(parts[part].square().sum(), leaves))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", ["lstm", "gru", "lru", "indrnn", "lstm with everything"])
def test_what_asks_for_no_gradient_gets_none_and_the_others_theirs(name):
    cell = made(name)
    x, state = drawn(cell, 6, 3)
    x.requires_grad_()

    def gradients() -> dict[str, Tensor | None]:
        cell.zero_grad()
        result = run(cell, x, state, backend="cpu", reset=torch.rand(6, 3) < 2)
        (result.output.square().sum() + sum(s.sum() for s in result.state)).backward()
        return {n: p.grad for n, p in cell.named_parameters()}

    whole = gradients()
    for frozen in whole:
        parameter = cell.get_parameter(frozen)
        parameter.requires_grad_(False)
        some = gradients()
        parameter.requires_grad_(True)
        assert some.pop(frozen) is None
        for n, g in some.items():
            assert torch.equal(g, whole[n])
    cell.requires_grad_(False)
    assert not run(cell, x.detach(), state, backend="cpu").output.requires_grad
    result = run(cell, x, state, backend="cpu")
    result.output.sum().backward()
    assert all(p.requires_grad is False for p in cell.parameters())
    assert x.grad is not None


def test_without_gradients_the_numbers_are_the_same():
    for name in ("lstm", "gru", "lstm with everything"):
        cell = made(name)
        x, state = drawn(cell, 6, 3)
        for call in calls(6, 3, 0).values():
            kept = values_only(cell, x, state, "cpu", **call)[0]
            for mode in (torch.no_grad, torch.inference_mode):
                with mode():
                    got = values_only(cell, x, state, "cpu", **call)[0]
                assert all(torch.equal(a, b) for a, b in zip(got, kept, strict=True))
                assert not got[0].requires_grad


# Parameters that are not simply the cell's own.


class Model(nn.Module):
    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        return run(self.cell, x, backend="cpu").output


def test_functional_call_reaches_the_kernel():
    cell = made("lstm")
    x, _ = drawn(cell, 6, 3)
    other = made("lstm", seed=1)
    given = {f"cell.{n}": p.detach().requires_grad_() for n, p in other.named_parameters()}
    got = functional_call(Model(cell), given, (x,))
    truth = Model(other)(x)
    assert torch.equal(got, truth)
    found = torch.autograd.grad(got.sum(), list(given.values()))
    wanted = torch.autograd.grad(truth.sum(), list(other.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_weights_that_are_not_leaves():
    cell = made("gru")
    x, _ = drawn(cell, 6, 3)
    scale = torch.tensor(0.5, requires_grad=True)
    found = []
    for backend in ("cpu", "reference"):
        model = Model(cell)
        given = {f"cell.{n}": p * scale for n, p in cell.named_parameters()}
        with use(backend):
            model.forward = lambda x: run(cell, x).output  # type: ignore[method-assign]
            y = functional_call(model, given, (x,))
        found.append(torch.autograd.grad(y.square().sum(), [scale, *cell.parameters()]))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    "parametrised", [parametrizations.orthogonal, parametrizations.weight_norm]
)
def test_a_computed_weight_is_used_as_it_is(parametrised):
    cell = made("elman")
    before = run(cell, torch.randn(6, 2, 3), backend="cpu").output
    parametrised(cell.U)
    x = torch.randn(6, 2, 3)
    found = []
    for backend in ("cpu", "reference"):
        y = run(cell, x, backend=backend).output
        found.append((y, *torch.autograd.grad(y.square().sum(), list(cell.parameters()))))
    torch.testing.assert_close(*found)
    assert before.shape == y.shape


class Scaled(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.by


def test_a_parametrisation_that_is_replaced():
    cell = made("elman")
    x, _ = drawn(cell, 6, 3)
    for by in (0.5, 2.0):
        parametrize.register_parametrization(cell.U, "weight", Scaled(by))
        torch.testing.assert_close(
            run(cell, x, backend="cpu").output, run(cell, x, backend="reference").output
        )
        parametrize.remove_parametrizations(cell.U, "weight", leave_parametrized=False)


def test_a_weight_of_two_maps(with_gradients):
    cell = made("elman", (5, 5))
    cell.U.weight = cell.W.weight
    x, state = drawn(cell, 6, 3)
    got = with_gradients(cell, x, state, "cpu")
    truth = with_gradients(cell, x, state, "reference")
    torch.testing.assert_close(got, truth)


def test_weights_may_be_changed_between_calls():
    cell = made("gru")
    x, state = drawn(cell, 6, 3)
    for _ in range(3):
        torch.testing.assert_close(
            run(cell, x, state, backend="cpu").output,
            run(cell, x, state, backend="reference").output,
        )
        with torch.no_grad():
            for p in cell.parameters():
                p.mul_(1.3)


def replaced_map(cell: Cell) -> None:
    cell.W = nn.Linear(3, 5, bias=False)


def lost_bias(cell: Cell) -> None:
    cell.W.bias = None


def changed_decay(cell: Cell) -> None:
    cell.decay = 0.7


def another_nonlinearity(cell: Cell) -> None:
    cell.output_nonlinearity = "identity"


def adapted(cell: Cell) -> None:
    cell.U = nn.Sequential(nn.Linear(5, 2), nn.Linear(2, 5))


@pytest.mark.parametrize(
    "change", [replaced_map, lost_bias, changed_decay, another_nonlinearity, adapted]
)
def test_a_cell_may_be_changed_between_calls(change):
    cell = made("jordan")
    x, state = drawn(cell, 6, 3)
    before = run(cell, x, state, backend="cpu").output
    change(cell)
    truth = run(cell, x, state, backend="reference").output
    assert not torch.equal(before, truth)
    torch.testing.assert_close(run(cell, x, state, backend="cpu").output, truth)


def test_a_copy_runs_on_its_own_weights():
    cell = made("lstm")
    x, state = drawn(cell, 6, 3)
    first = run(cell, x, state, backend="cpu").output
    other = copy.deepcopy(cell)
    with torch.no_grad():
        other.U.weight.mul_(2)
    assert torch.equal(first, run(cell, x, state, backend="cpu").output)
    torch.testing.assert_close(
        run(other, x, state, backend="cpu").output,
        run(other, x, state, backend="reference").output,
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_what_padding_holds_is_never_read(reverse):
    cell = made("lstm")
    x, state = drawn(cell, 20, 3)
    x[torch.arange(20)[:, None] >= torch.tensor([20, 9, 0])] = float("nan")
    x.requires_grad_()
    result = run(cell, x, state, lengths=[20, 9, 0], reverse=reverse, backend="cpu")
    (result.output.sum() + result.state[1].sum()).backward()
    assert all(t.isfinite().all() for t in (result.output, *result.state, x.grad))
    assert (x.grad[9:, 1] == 0).all()
    assert all(p.grad.isfinite().all() for p in cell.parameters())


# What is refused, and in which words.


def hooked() -> Cell:
    cell = made("lstm")
    cell.U.register_forward_hook(lambda *_: None)
    return cell


@pytest.mark.parametrize(
    ("cell", "dtype", "reason"),
    [
        (hooked(), torch.float32, "a hook on Linear would not be called"),
        (made("lstm", dtype=WHOLE), torch.float32, "one dtype"),
        (made("lstm", dtype=torch.float16), torch.float16, "float64 and bfloat16, not"),
    ],
)
def test_refusals_name_their_reason(cell, dtype, reason):
    with pytest.raises(InputError, match=reason):
        choose(cell, torch.randn(6, 2, 3, dtype=dtype), backend="cpu")


def test_transforms_are_refused_by_name():
    cell = made("lstm")
    x = torch.randn(4, 2, 3)
    seen = []

    def function(x: Tensor) -> Tensor:
        try:
            seen.append(choose(cell, x, backend="cpu").backend)
        except InputError as error:
            seen.append(str(error))
        return run(cell, x, backend="reference").output.sum()

    torch.func.vmap(function)(torch.randn(5, 4, 2, 3))
    torch.func.jvp(function, (x,), (x,))
    torch.func.grad(function)(x)
    function(x)
    for said, word in zip(seen, ("vmap", "jvp", "grad", "cpu"), strict=True):
        assert word in said
    assert seen[-1] == "cpu"


def test_the_machine_compiles():
    """Everything above would be skipped over silently if dispatch took another backend."""
    with record() as ran:
        for name in VARIANTS:
            run(made(name), torch.randn(2, 1, 3))
    assert {choice.backend for choice in ran} == {"cpu"}


class Shares(Cell):
    """h' = tanh(A x + B h + W h): A and B one module, W's weight that of A."""

    def __init__(self) -> None:
        super().__init__(5, 5)
        self.A = self.B = nn.Linear(5, 5)
        self.W = nn.Linear(5, 5, bias=False)
        self.W.weight = self.A.weight

    def forward(self, x, state):
        (h,) = state
        y = torch.tanh(self.A(x) + self.B(h) + self.W(h))
        return y, (y,)


def test_what_is_shared_within_a_cell_gets_the_gradients_of_all_its_uses(held_to_the_reference):
    torch.manual_seed(0)
    cell = Shares()
    x, state = drawn(cell, 6, 3)
    held_to_the_reference(cell, x, state)
    held_to_the_reference(cell, x, state, lengths=[6, 0, 4])


@pytest.mark.parametrize("lengths", [None, [3, 7, 2]])
def test_what_was_prepared_in_inference_mode_serves_training(lengths):
    steps = 7 if lengths else 11
    layer, x = Recurrent("gru", 4, 5), torch.randn(steps, 3, 4)
    rows.whole.cache_clear()
    rows._ragged.cache_clear()
    with torch.inference_mode():
        layer(x, lengths=lengths)
    layer(x, lengths=lengths)[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
