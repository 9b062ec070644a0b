"""The oracle itself: against hand-worked numbers, against torch's own layers in float64, under
every kind of differentiation, and for what must not change an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, jacfwd, jacrev, jvp, vjp, vmap

from elman.cells import CELLS, Cell, make
from elman.kernels import Result, SequenceError, run, use
from elman.kernels.reference import scan

EVERY_CELL = sorted(CELLS)


class Sum(Cell):
    """s' = s + x, starting from 100; the output is 10 s'."""

    input_size = output_size = 1
    state_sizes = (1,)

    def __init__(self) -> None:
        super().__init__(1, 1)

    def init_state(self, batch, device=None, dtype=None):
        return (torch.full((batch, 1), 100.0, device=device, dtype=dtype),)

    def forward(self, x, state):
        s = state[0] + x
        return 10 * s, (s,)


class Last(Sum):
    """Sum whose output is its state."""

    def forward(self, x, state):
        s = state[0] + x
        return s, (s,)


X = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])[..., None]


@pytest.fixture(autouse=True)
def on_the_reference() -> Iterator[None]:
    with use("reference"):
        yield


def double(name: str, seed: int = 0, **options) -> Cell:
    torch.manual_seed(seed)
    return make(name, 3, 4, dtype=torch.float64, **options)


def column(t: Tensor, row: int) -> list[float]:
    return t[:, row, 0].tolist()


# Worked by hand.


def test_a_sum_from_its_own_initial_state():
    result = scan(Sum(), X)
    assert column(result.output, 0) == [1010, 1030, 1060]
    assert column(result.output, 1) == [1100, 1300, 1600]
    assert result.state[0].tolist() == [[106], [160]]
    assert result.states is None


def test_lengths_stop_each_row_and_zero_is_legal():
    result = scan(Sum(), X, lengths=torch.tensor([2, 0]), return_states=True)
    assert column(result.output, 0) == [1010, 1030, 0]
    assert column(result.output, 1) == [0, 0, 0]
    assert result.state[0].tolist() == [[103], [100]]
    assert result.states is not None
    assert column(result.states[0], 0) == [101, 103, 0]


def test_reverse_starts_at_each_rows_last_valid_step():
    result = scan(Sum(), X, lengths=[2, 3], reverse=True)
    assert column(result.output, 0) == [1030, 1020, 0]
    assert column(result.output, 1) == [1600, 1500, 1300]
    assert result.state[0].tolist() == [[103], [160]]


def test_reset_begins_anew_whatever_state_came_in():
    reset = torch.tensor([[True, False], [False, False], [True, False]])
    result = scan(Sum(), X, (torch.zeros(2, 1),), reset=reset)
    assert column(result.output, 0) == [1010, 1030, 1030]
    assert column(result.output, 1) == [100, 300, 600]


def test_nothing_crosses_a_reset_backwards_either():
    reset = torch.tensor([[False, False], [False, True], [False, False]])
    result = scan(Sum(), X, reset=reset, reverse=True)
    assert column(result.output, 0) == [1060, 1050, 1030]
    assert column(result.output, 1) == [1100, 1500, 1300]
    assert result.state[0].tolist() == [[106], [110]]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_in_the_padding_means_nothing(reverse):
    lengths = torch.tensor([1, 2])
    reset = torch.tensor([[False, False], [True, False], [True, True]])
    got = scan(Sum(), X, (torch.zeros(2, 1),), lengths=lengths, reset=reset, reverse=reverse)
    plain = scan(Sum(), X, (torch.zeros(2, 1),), lengths=lengths, reverse=reverse)
    assert torch.equal(got.output, plain.output)
    assert torch.equal(got.state[0], plain.state[0])


def test_a_held_state_stays_and_its_output_with_it():
    hold = (torch.tensor([[False, False], [True, False], [False, True]])[..., None],)
    result = scan(Last(), X, hold=hold)
    assert column(result.output, 0) == [101, 101, 104]
    assert column(result.output, 1) == [110, 130, 130]
    # An output that is not the state is what the step gave, held or not.
    assert column(scan(Sum(), X, hold=hold).output, 0) == [1010, 1030, 1040]


def test_the_expectation_of_a_held_state():
    result = scan(Last(), X, (torch.zeros(2, 1),), hold=(0.25,))
    assert column(result.output, 0) == [0.75, 2.25, 4.5]


def test_no_steps_give_nothing_and_the_state_that_came():
    state = (torch.tensor([[1.0], [2.0]]),)
    for reverse in (False, True):
        result = scan(Sum(), X[:0], state, reverse=reverse, return_states=True)
        assert result.output.shape == (0, 2, 1)
        assert torch.equal(result.state[0], state[0])
        assert result.states is not None
        assert result.states[0].shape == (0, 2, 1)


@pytest.mark.parametrize("name", EVERY_CELL)
def test_an_empty_batch(name):
    cell = make(name, 3, 4)
    result = scan(cell, torch.zeros(5, 0, 3), lengths=torch.zeros(0, dtype=torch.long))
    assert result.output.shape == (5, 0, cell.output_size)
    assert [s.shape for s in result.state] == [(0, n) for n in cell.state_sizes]


class Gives(Sum):
    """A cell of the user's own that gives back what it is told."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x, state):
        return self.what(x, state[0])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda x, s: (s, s), r"state a tuple of 1 tensor\(s\), got a Tensor"),
        (lambda x, s: (s, (s, s)), r"state a tuple of 1 tensor\(s\), got 2 items"),
        (lambda x, s: (s[:, 0], (s,)), r"Gives's output must be \(batch=2, size=1\) .* got \(2,\)"),
        (lambda x, s: (s, (s[:1],)), r"Gives's state\[0\] must be \(batch=2, size=1\)"),
    ],
)
def test_a_cell_that_breaks_its_contract_is_told_so(what, message):
    with pytest.raises(SequenceError, match=message):
        scan(Gives(what), X)


# Another oracle: torch's layers in float64.


@pytest.mark.parametrize(
    ("name", "layer", "options"),
    [
        ("lstm", nn.LSTM, {}),
        ("gru", nn.GRU, {}),
        ("elman", nn.RNN, {}),
        ("elman", nn.RNN, {"nonlinearity": "relu"}),
    ],
)
def test_agrees_with_torch_in_float64(name, layer, options):
    cell = double(name, **options)
    theirs = layer(3, 4, dtype=torch.float64, **options)
    for weight, ours in zip(
        theirs.parameters(), (cell.W.weight, cell.U.weight, cell.W.bias, cell.U.bias), strict=True
    ):
        weight.data.copy_(ours.data)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    output, state = theirs(x)
    result = scan(cell, x)
    torch.testing.assert_close(result.output, output)
    torch.testing.assert_close(result.state[0], (state[0] if name == "lstm" else state)[0])


@pytest.mark.parametrize("name", EVERY_CELL)
def test_single_precision_is_close_to_double(name, relative_error):
    for seed in (0, 1):
        truth = double(name, seed)
        cell = make(name, 3, 4)
        cell.load_state_dict(truth.state_dict())
        x, lengths = torch.randn(33, 5, 3, dtype=torch.float64), [33, 0, 1, 20, 33]
        got = scan(cell, x.float(), lengths=lengths)
        expected = scan(truth, x, lengths=lengths)
        for a, b in zip([got.output, *got.state], [expected.output, *expected.state], strict=True):
            assert relative_error(a, b) <= 1e-5


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("name", EVERY_CELL)
def test_no_nan_for_large_inputs(name, size):
    torch.manual_seed(0)
    cell = make(name, 3, 4)
    x = torch.full((5, 2, 3), size, requires_grad=True)
    result = scan(cell, x)
    result.output.sum().backward()
    assert result.output.isfinite().all()
    gradients = [p.grad for p in cell.parameters() if p.grad is not None]
    assert all(t.isfinite().all() for t in (x.grad, *result.state, *gradients))


# Differentiation.

CALLS = {
    "plain": {},
    "lengths": {"lengths": torch.tensor([3, 0])},
    "reset": {"reset": torch.tensor([[False, True], [False, False], [True, False]])},
    "reversed": {
        "lengths": torch.tensor([3, 2]),
        "reset": torch.tensor([[False, True], [False, True], [True, False]]),
        "reverse": True,
    },
}


@pytest.mark.parametrize(
    ("name", "call"),
    [(name, call) for name in EVERY_CELL for call in ("plain", "reversed")]
    + [("lstm", "lengths"), ("lstm", "reset")],
)
def test_derivatives_of_first_and_second_order(name, call):
    cell = double(name)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    state = [
        torch.randn(2, n, dtype=torch.float64, requires_grad=True) * 0.5 for n in cell.state_sizes
    ]
    parameters = [p for p in cell.parameters() if p.requires_grad]

    def function(x, *rest):
        result = scan(cell, x, rest[: len(state)], return_states=True, **CALLS[call])
        return (result.output, *result.state, *result.states)

    assert gradcheck(function, (x, *state, *parameters), fast_mode=True)
    assert gradgradcheck(function, (x, *state, *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_derivatives_through_held_states(name):
    cell = double(name)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    masks = tuple(torch.rand(4, 2, n) < 0.4 for n in cell.state_sizes)
    for hold in (masks, (0.3,) * len(masks)):
        inputs = (x, *cell.parameters())
        assert gradcheck(
            lambda x, *_, hold=hold: scan(cell, x, hold=hold).output, inputs, fast_mode=True
        )


@pytest.mark.parametrize("name", EVERY_CELL)
def test_vmap_over_inputs_is_running_them_one_by_one(name):
    cell = double(name)
    x = torch.randn(6, 5, 2, 3, dtype=torch.float64)
    lengths = torch.tensor([[5, 0], [1, 2], [3, 3], [5, 5], [0, 0], [4, 1]])
    reset = torch.rand(6, 5, 2) < 0.3

    def function(x, lengths, reset):
        result = scan(cell, x, lengths=lengths, reset=reset)
        return result.output, result.state

    output, state = vmap(function)(x, lengths, reset)
    for i in range(6):
        one = scan(cell, x[i], lengths=lengths[i], reset=reset[i])
        torch.testing.assert_close(output[i], one.output)
        for got, truth in zip(state, one.state, strict=True):
            torch.testing.assert_close(got[i], truth)


@pytest.mark.parametrize("name", EVERY_CELL)
def test_jvp_and_vjp_are_transposes(name):
    cell = double(name)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    tangent, cotangent = torch.randn_like(x), torch.randn(4, 2, cell.output_size).double()

    def function(x):
        return scan(cell, x, lengths=torch.tensor([4, 2])).output

    _, pushed = jvp(function, (x,), (tangent,))
    _, pull = vjp(function, x)
    torch.testing.assert_close((pushed * cotangent).sum(), (pull(cotangent)[0] * tangent).sum())


def test_gradients_of_each_example_by_vmap():
    cell = double("lstm")
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    parameters = {k: v.detach() for k, v in cell.named_parameters()}

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, row):
            return run(self.cell, row[:, None]).output.square().sum()

    def loss(parameters, row):
        return functional_call(Loss(), {f"cell.{k}": v for k, v in parameters.items()}, (row,))

    each = vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x)
    for i in range(6):
        one = torch.func.grad(loss)(parameters, x[:, i])
        for name in parameters:
            torch.testing.assert_close(each[name][i], one[name])


def test_hessian_forward_over_reverse_is_reverse_over_reverse():
    cell = double("gru")

    def loss(x):
        return scan(cell, x[:, None]).output.square().sum()

    x = torch.randn(3, 3, dtype=torch.float64)
    torch.testing.assert_close(jacfwd(jacrev(loss))(x), jacrev(jacrev(loss))(x))


# What must not change an answer.

sizes = st.integers(0, 6)
cells = st.sampled_from(EVERY_CELL)
few = settings(max_examples=25, deadline=None)


def close(a: Result, b: Result) -> None:
    torch.testing.assert_close(a.output, b.output, rtol=1e-12, atol=1e-12)
    for got, truth in zip(a.state, b.state, strict=True):
        torch.testing.assert_close(got, truth, rtol=1e-12, atol=1e-12)


def drawn(cell: Cell, steps: int, batch: int, seed: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, batch, 3, dtype=torch.float64, generator=generator)
    state = tuple(
        torch.randn(batch, n, dtype=torch.float64, generator=generator) for n in cell.state_sizes
    )
    return x, state


@few
@given(cells, sizes, st.integers(0, 4), sizes, st.booleans(), st.integers(0, 99))
def test_padding_never_changes_an_answer(name, steps, batch, extra, reverse, seed):
    cell = double(name)
    x, state = drawn(cell, steps, batch, seed)
    lengths = torch.randint(0, steps + 1, (batch,))
    rubbish = torch.full((extra, batch, 3), float("nan"), dtype=torch.float64)
    padded = torch.cat([x, rubbish]).requires_grad_()
    short = scan(cell, x, state, lengths=lengths, reverse=reverse)
    long = scan(cell, padded, state, lengths=lengths, reverse=reverse)
    close(Result(long.output[:steps], long.state, None), short)
    assert (long.output[steps:] == 0).all()
    if steps and batch:
        (gradient,) = torch.autograd.grad(long.output.sum() + long.state[0].sum(), padded)
        assert gradient.isfinite().all()
        valid = torch.arange(steps + extra)[:, None] < lengths
        assert (gradient[~valid] == 0).all()


@few
@given(cells, sizes, st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_a_row_alone_is_the_row_in_its_batch(name, steps, batch, reverse, seed):
    cell = double(name)
    x, state = drawn(cell, steps, batch, seed)
    lengths = torch.randint(0, steps + 1, (batch,))
    reset = torch.rand(steps, batch) < 0.2
    whole = scan(cell, x, state, lengths=lengths, reset=reset, reverse=reverse)
    for i in range(batch):
        n = int(lengths[i])
        alone = scan(
            cell,
            x[:n, i : i + 1],
            tuple(s[i : i + 1] for s in state),
            reset=reset[:n, i : i + 1],
            reverse=reverse,
        )
        mine = Result(whole.output[:n, i : i + 1], tuple(s[i : i + 1] for s in whole.state), None)
        close(mine, alone)


@few
@given(cells, sizes, sizes, st.integers(0, 3), st.integers(0, 99))
def test_chunks_with_carried_state_are_the_whole(name, first, second, batch, seed):
    cell = double(name)
    x, state = drawn(cell, first + second, batch, seed)
    lengths = torch.randint(0, first + second + 1, (batch,))
    reset = torch.rand(first + second, batch) < 0.2
    whole = scan(cell, x, state, lengths=lengths, reset=reset)
    a = scan(cell, x[:first], state, lengths=lengths.clamp(max=first), reset=reset[:first])
    b = scan(cell, x[first:], a.state, lengths=(lengths - first).clamp(min=0), reset=reset[first:])
    close(Result(torch.cat([a.output, b.output]), b.state, None), whole)


@few
@given(cells, sizes, st.integers(0, 4), st.integers(0, 99))
def test_reverse_is_turning_each_row_round_within_its_length(name, steps, batch, seed):
    cell = double(name)
    x, state = drawn(cell, steps, batch, seed)
    lengths = torch.randint(0, steps + 1, (batch,))

    def turned(t: Tensor) -> Tensor:
        t = t.clone()
        for i, n in enumerate(lengths.tolist()):
            t[:n, i] = t[:n, i].flip(0)
        return t

    backward = scan(cell, x, state, lengths=lengths, reverse=True)
    forward = scan(cell, turned(x), state, lengths=lengths)
    close(backward, Result(turned(forward.output), forward.state, None))


@few
@given(cells, st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_a_reset_is_two_separate_sequences(name, first, second, reverse, seed):
    cell = double(name)
    x, _ = drawn(cell, first + second, 2, seed)
    reset = torch.zeros(first + second, 2, dtype=torch.bool)
    reset[first, 1] = True
    result = scan(cell, x, reset=reset, reverse=reverse)
    row = x[:, 1:]
    a, b = (scan(cell, part, reverse=reverse) for part in (row[:first], row[first:]))
    truth = Result(torch.cat([a.output, b.output]), (a if reverse else b).state, None)
    close(Result(result.output[:, 1:], tuple(s[1:] for s in result.state), None), truth)
    whole = scan(cell, x[:, :1], reverse=reverse)
    close(Result(result.output[:, :1], tuple(s[:1] for s in result.state), None), whole)


def test_time_costs_memory_only_once():
    """Reading x step by step must not make a gradient of the size of x at every step."""
    cell = make("elman", 3, 4)
    x = torch.randn(64, 2, 3, requires_grad=True)
    y = scan(cell, x).output
    seen, todo = set(), [y.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        todo += [parent for parent, _ in node.next_functions]
    assert not any(type(node).__name__ == "SelectBackward0" for node in seen)
