"""`Recurrent`: stacking, direction, state and layout for every cell; each noise and connection,
seen in the numbers a transparent cell lets through."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import vmap

from elman.cells import CELLS, LSTM, Cell, make
from elman.errors import InputError
from elman.kernels import SequenceError, explain, record, use
from elman.nn import LockedDropout, Recurrent

pytestmark = pytest.mark.filterwarnings("ignore::elman.errors.SlowPathWarning")


class Copy(Cell):
    """The output is the input; the state counts steps."""

    def __init__(self, input_size: int, hidden_size: int, **_: Any) -> None:
        super().__init__(input_size, hidden_size)

    def forward(self, x, state):
        return x, (state[0] + 1,)


class Keep(Cell):
    """h' = U h, U the identity at the start; the input is not read."""

    def __init__(self, input_size: int, hidden_size: int, **_: Any) -> None:
        super().__init__(input_size, hidden_size)
        self.U = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.eye_(self.U.weight)

    def forward(self, x, state):
        h = self.U(state[0])
        return h, (h,)


class Count(Cell):
    """Two states that grow by 1 and by 10 in every step; the output is the first."""

    def __init__(self, input_size: int, hidden_size: int, **_: Any) -> None:
        super().__init__(input_size, hidden_size, state_sizes=(hidden_size, hidden_size))

    def forward(self, x, state):
        a, b = state[0] + 1, state[1] + 10
        return a, (a, b)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def flat(state: Any) -> list[Tensor]:
    return [t for part in state for t in part]


def assert_same(a: Any, b: Any) -> None:
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


# Stacking, direction, layout, state.


@pytest.mark.parametrize(
    ("name", "theirs"), [("elman", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)]
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_stack_in_both_directions_is_torchs(name, theirs, batch_first):
    ours = Recurrent(
        name, 3, 5, 2, bidirectional=True, batch_first=batch_first, dtype=torch.float64
    )
    torchs = theirs(3, 5, 2, bidirectional=True, batch_first=batch_first, dtype=torch.float64)
    for cell, weights in zip(ours.cells, torchs.all_weights, strict=True):
        for a, b in zip(
            weights, (cell.W.weight, cell.U.weight, cell.W.bias, cell.U.bias), strict=True
        ):
            a.data.copy_(b.data)
    x = drawn(6, 6, 3)
    output, hidden = torchs(x)
    hidden = hidden if name == "lstm" else (hidden,)
    for backend in ("torch", "reference"):
        with use(backend), record() as ran:
            y, state = ours(x)
        assert [c.backend for c in ran] == [backend] * 4
        assert_same([y], [output])
        for i in range(4):
            assert_same(state[i], [h[i] for h in hidden])
    assert ours.output_size == 10


@pytest.mark.parametrize("name", sorted(CELLS))
def test_every_cell_stacks_and_each_row_is_itself_alone(name):
    torch.manual_seed(0)
    layer = Recurrent(name, 3, 4, 2, bidirectional=True, dtype=torch.float64)
    x, lengths = drawn(6, 3, 3), [6, 0, 3]
    x[3:, 2] = float("nan")
    given = tuple(tuple(drawn(3, n) for n in s) for s in (c.state_sizes for c in layer.cells))
    y, state = layer(x, given, lengths=torch.tensor(lengths))
    assert y.shape == (6, 3, layer.output_size)
    for row, n in enumerate(lengths):
        mine = [s[row : row + 1] for s in flat(given)]
        start = iter(mine)
        alone, end = layer(x[:n, row : row + 1], [tuple(next(start) for _ in s) for s in given])
        assert_same([y[:n, row : row + 1]], [alone])
        assert (y[n:, row] == 0).all()
        assert_same([s[row : row + 1] for s in flat(state)], flat(end))


@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_batch_first_is_only_a_layout(name):
    torch.manual_seed(0)
    layer = Recurrent(name, 3, 4, 2, bidirectional=True, residual=True, dtype=torch.float64)
    x, lengths = drawn(6, 3, 3), [6, 0, 3]
    reset = torch.zeros(6, 3, dtype=torch.bool)
    reset[4, 0] = True
    y, state, states = layer(x, lengths=lengths, reset=reset, return_states=True)
    layer.batch_first = True
    z, other, others = layer(x.transpose(0, 1), lengths=lengths, reset=reset.T, return_states=True)
    assert_same([y], [z.transpose(0, 1)])
    assert_same(flat(state), flat(other))
    assert_same(flat(states), [s.transpose(0, 1) for s in flat(others)])


def test_carried_state_joins_chunks():
    layer = Recurrent("lstm", 3, 4, 2, dtype=torch.float64)
    x = drawn(9, 2, 3)
    whole, end = layer(x)
    state, parts = None, []
    for chunk in x.split([4, 0, 1, 4]):
        y, state = layer(chunk, state)
        parts.append(y)
    assert_same([torch.cat(parts), *flat(state)], [whole, *flat(end)])


def test_a_state_may_be_given_for_some_layers_only():
    layer = Recurrent("gru", 3, 4, 2, dtype=torch.float64)
    x, h = drawn(5, 2, 3), (drawn(2, 4),)
    y, _ = layer(x, [None, h])
    assert_same([y], [layer(x, [(torch.zeros(2, 4, dtype=torch.float64),), h])[0]])
    assert_same(flat(layer.init_state(2)), [torch.zeros(2, 4, dtype=torch.float64)] * 2)


def test_every_state_of_every_layer():
    layer = Recurrent("lstm", 3, 4, 2, dtype=torch.float64)
    x = drawn(5, 2, 3)
    y, state, states = layer(x, return_states=True)
    assert_same([y], [states[1][0]])
    for t in range(5):
        _, end = layer(x[: t + 1])
        assert_same([s[t] for s in flat(states)], flat(end))
    assert_same([s[-1] for s in flat(states)], flat(state))


@pytest.mark.parametrize("name", ["lstm", "indrnn"])
def test_no_steps_and_no_rows(name):
    layer = Recurrent(name, 3, 4, 2, bidirectional=True, highway=True)
    _, state = layer(torch.randn(3, 2, 3))
    y, same = layer(torch.randn(0, 2, 3), state)
    assert y.shape == (0, 2, 8)
    assert all(torch.equal(a, b) for a, b in zip(flat(state), flat(same), strict=True))
    y, state = layer(torch.randn(5, 0, 3), lengths=[])
    assert y.shape == (5, 0, 8)
    assert {s.shape for s in flat(state)} == {(0, 4)}


def test_what_may_be_given_as_a_cell():
    x = torch.randn(4, 2, 3)
    named = Recurrent("lstm", 3, 5, peepholes=True)
    classed = Recurrent(LSTM, 3, 5, peepholes=True)
    made = Recurrent(lambda i, h, **k: LSTM(i, h, peepholes=True, **k), 3, 5)
    itself = Recurrent(LSTM(3, 5, peepholes=True))
    for layer in (classed, made, itself):
        layer.load_state_dict(named.state_dict(), strict=True)
        assert torch.equal(layer(x)[0], named(x)[0])
    assert Recurrent(LSTM(3, 5), 3, 5).output_size == 5
    # A layer reads what the one before gives out, which need not be its hidden size.
    assert Recurrent("lstm", 3, 5, 2, proj_size=2)(x)[0].shape == (4, 2, 2)


def test_derivatives_through_the_whole_layer():
    torch.manual_seed(0)
    layer = Recurrent("lstm", 2, 2, 2, bidirectional=True, highway=True, dtype=torch.float64)
    x = drawn(3, 2, 2).requires_grad_()
    for backend in ("torch", "reference"):

        def function(x: Tensor, *_: Tensor, backend: str = backend) -> Any:
            with use(backend):
                y, state = layer(x, lengths=[3, 2])
            return (y, *flat(state))

        assert gradcheck(function, (x, *layer.parameters()), fast_mode=True)


def test_vmap_over_a_layer():
    layer = Recurrent("gru", 3, 4, 2, bidirectional=True, dtype=torch.float64)
    many = drawn(3, 5, 2, 3)
    assert_same(vmap(lambda x: layer(x)[0])(many), [layer(x)[0] for x in many])


# Noise.


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_lies_between_layers(variational):
    layer = Recurrent(Copy, 200, 200, 3, dropout=0.5, variational=variational)
    x = torch.ones(4, 2, 200)
    y, _ = layer(x)
    assert set(y.unique().tolist()) == {0.0, 4.0}
    assert abs((y == 0).double().mean().item() - 0.75) < 0.05
    assert torch.equal(y[0], y[3]) == variational
    assert not torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(layer.eval()(x)[0], x)


@pytest.mark.parametrize("variational", [False, True])
def test_input_dropout_lies_before_the_first_layer(variational):
    layer = Recurrent(Copy, 200, 200, input_dropout=0.2, variational=variational)
    x = torch.ones(4, 2, 200)
    y, _ = layer(x)
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert abs((y == 0).double().mean().item() - 0.2) < 0.05
    assert torch.equal(y[0], y[3]) == variational
    assert torch.equal(layer.eval()(x)[0], x)


def test_recurrent_dropout_keeps_one_mask_for_the_sequence():
    layer = Recurrent(Keep, 1, 400, recurrent_dropout=0.5)
    x, start = torch.zeros(3, 2, 1), ((torch.ones(2, 400),),)
    y, _ = layer(x, start)
    # A unit whose weight is dropped is dead at once; another grows by 2 in every step.
    assert set(y[2].unique().tolist()) == {0.0, 8.0}
    assert torch.equal(y[2], 4 * y[0])
    assert torch.equal(y[:, 0], y[:, 1])
    assert abs((y == 0).double().mean().item() - 0.5) < 0.1
    y.sum().backward()
    gradient = layer.cells[0].U.weight.grad
    assert ((gradient.diagonal() == 0) == (y[0, 0] == 0)).all()
    assert not torch.equal(layer(x, start)[0], y)
    assert torch.equal(layer.eval()(x, start)[0], torch.ones_like(y))


def test_zoneout_keeps_each_state_at_its_own_rate():
    layer = Recurrent(Count, 1, 300, zoneout=(0.25, 0.5))
    x = torch.zeros(40, 2, 1)
    y, (state,), ((a, b),) = layer(x, return_states=True)
    assert torch.equal(y, a)
    assert torch.equal(state[1], b[-1])
    grown = [torch.diff(s, dim=0) for s in (a, b)]
    assert [set(g.unique().tolist()) for g in grown] == [{0.0, 1.0}, {0.0, 10.0}]
    kept = [(g == 0).double().mean().item() for g in grown]
    assert abs(kept[0] - 0.25) < 0.02
    assert abs(kept[1] - 0.5) < 0.02
    assert not torch.equal(a[1:] == a[:-1], b[1:] == b[:-1])

    y, ((a, b),) = layer.eval()(x)
    torch.testing.assert_close(a, torch.full_like(a, 40 * 0.75))
    torch.testing.assert_close(b, torch.full_like(b, 40 * 10 * 0.5))
    one = Recurrent(Count, 1, 300, zoneout=0.25)
    assert one.zoneout == (0.25, 0.25)


def test_zoneout_in_an_lstm_is_its_equation():
    layer = Recurrent("lstm", 3, 4, zoneout=(0.1, 0.6), dtype=torch.float64).eval()
    cell, x = layer.cells[0], drawn(5, 2, 3)
    h, c = cell.init_state(2)
    for t in range(5):
        _, (new_h, new_c) = cell(x[t], (h, c))
        h, c = 0.1 * h + 0.9 * new_h, 0.6 * c + 0.4 * new_c
    y, ((last_h, last_c),) = layer(x)
    assert_same([y[-1], last_h, last_c], [h, h, c])


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.4},
        {"dropout": 0.4, "variational": True, "input_dropout": 0.3},
        {"recurrent_dropout": 0.4, "bidirectional": True},
        {"dropout": 0.2, "recurrent_dropout": 0.4, "highway": True},
    ],
)
@pytest.mark.parametrize("lengths", [None, [8, 3, 0]])
def test_the_same_seed_gives_the_same_masks_on_every_backend(options, lengths):
    layer = Recurrent("lstm", 3, 5, 3, **options, dtype=torch.float64)
    x = drawn(8, 3, 3)
    got = []
    for backend in ("torch", "reference"):
        torch.manual_seed(7)
        with use(backend), record() as ran:
            y, state = layer(x, lengths=lengths)
        assert {c.backend for c in ran} == {backend}
        got.append([y, *flat(state), *torch.autograd.grad(y.sum(), list(layer.parameters()))])
    assert_same(*got)
    torch.manual_seed(8)
    assert not torch.equal(layer(x, lengths=lengths)[0], got[0][0])


def test_locked_dropout_in_either_layout():
    noise = LockedDropout(0.5, batch_first=True)
    y = noise(torch.ones(3, 4, 100))
    assert torch.equal(y[:, 0], y[:, 3])
    assert not torch.equal(y[0], y[1])
    assert torch.equal(noise.eval()(y), y)


# Connections.


def test_residual_adds_the_input_where_it_is_as_wide():
    x = torch.randn(4, 2, 3)
    assert torch.equal(Recurrent(Copy, 3, 3, 2, residual=True)(x)[0], 4 * x)
    layer = Recurrent("gru", 3, 5, 2, residual=True, dtype=torch.float64)
    x = x.double()
    first, _ = Recurrent(layer.cells[0])(x)
    second, _ = Recurrent(layer.cells[1])(first)
    assert_same([layer(x)[0]], [first + second])


def test_a_highway_gate_mixes_input_and_output():
    layer = Recurrent("gru", 3, 5, 2, highway=True, dtype=torch.float64)
    x = drawn(4, 2, 3)
    first, _ = Recurrent(layer.cells[0])(x)
    second, _ = Recurrent(layer.cells[1])(first)
    (gate,) = layer.gates
    assert gate.bias.unique().item() == -1
    t = torch.sigmoid(gate(first))
    assert_same([layer(x)[0]], [t * second + (1 - t) * first])
    assert len(Recurrent("gru", 5, 5, 2, highway=True).gates) == 2


@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_connections_do_not_carry_padding(connection):
    layer = Recurrent("gru", 5, 5, 2, **{connection: True})
    x = torch.randn(4, 2, 5)
    x[2:, 0] = float("nan")
    y, _ = layer(x.requires_grad_(), lengths=[2, 4])
    assert (y[2:, 0] == 0).all()
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


# Precision, cost, words.


@pytest.mark.parametrize("options", [{}, {"recurrent_dropout": 0.2, "dropout": 0.1}])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_autocast_to_bfloat16(name, options):
    layer = Recurrent(name, 16, 16, 2, bidirectional=True, residual=True, **options)
    x = torch.randn(12, 4, 16)
    halves = name == "lstm" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with torch.autocast("cpu", torch.bfloat16):
        assert explain(layer, x).backend == ("torch" if halves else "cpu")
        y, state = layer(x, lengths=[12, 12, 5, 0])
        y, state = layer(x, state)
    assert y.dtype == state[0][0].dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(
        p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in layer.parameters()
    )
    layer.eval()
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = layer(x)
    torch.testing.assert_close(low.float(), layer(x)[0], rtol=0.1, atol=0.1)


def test_autocast_on_the_reference():
    layer = Recurrent("mgu", 16, 16, 2)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = layer(torch.randn(12, 4, 16), lengths=[12, 12, 5, 0])
    y.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_a_layer_prints_its_options():
    layer = Recurrent("gru", 3, 5, 2, dropout=0.1, zoneout=0.2, residual=True)
    assert "num_layers=2, dropout=0.1, residual=True, zoneout=(0.2,)" in repr(layer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lstn"}, "Did you mean 'lstm'"),
        ({"peephole": True}, "Did you mean 'peepholes'"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"dropout": 1.5}, "dropout is a probability between 0 and 1, got 1.5"),
        ({"zoneout": (0.1,)}, r"zoneout needs one rate for each of 2 state\(s\) of LSTM, got 1"),
        ({"cell": "mingru", "recurrent_dropout": 0.5}, "MinGRU has no weights that multiply"),
        ({"residual": True, "highway": True}, "choose one"),
        ({"residual": True}, "residual joins .* takes 3 features and gives 5.* num_layers"),
        ({"highway": True}, "highway joins"),
        ({"hidden_size": None}, "input_size and hidden_size are needed"),
        ({"cell": LSTM(3, 5), "num_layers": 2}, "one layer in one direction"),
        (
            {"cell": LSTM(3, 5), "hidden_size": 6},
            "hidden_size=6, but the cell given has hidden_size=5",
        ),
    ],
)
def test_wrong_options_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Recurrent(**{"cell": "lstm", "input_size": 3, "hidden_size": 5, **arguments})


def test_dropout_without_a_second_layer_is_pointed_out():
    with pytest.warns(UserWarning, match="dropout acts between layers and there is only one"):
        Recurrent("lstm", 3, 5, dropout=0.5)


X = torch.zeros(4, 6, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"x": X[0]}, r"x must be \(batch, time, features\), got 2 axes: \(6, 3\)"),
        ({"x": X[..., :2]}, "has 2 features on its last axis, the layer takes input_size=3"),
        ({"x": X.double()}, "x is torch.float64 and the weights are torch.float32"),
        ({"state": (torch.zeros(4, 5),)}, r"2 layer\(s\) x 1 direction\(s\), 2 in all, got 1"),
        ({"state": [(torch.zeros(4, 5),)] * 2}, "got 1 items"),
        ({"state": [(torch.zeros(4, 5), torch.zeros(6, 5))] * 2}, r"state\[1\] must be \(batch=4"),
        ({"lengths": [6, 6, 6, 7]}, r"lengths\[3\] is 7, x has 6 steps"),
        ({"lengths": [6] * 6}, r"lengths must be \(batch=4,\), got \(6,\)"),
        (
            {"reset": torch.zeros(6, 4, dtype=torch.bool)},
            r"reset must be \(4, 6\), laid out as x is, got \(6, 4\)",
        ),
    ],
)
def test_wrong_calls_are_named(call, message):
    layer = Recurrent("lstm", 3, 5, 2, batch_first=True)
    with pytest.raises(SequenceError, match=message):
        layer(**{"x": X, **call})


def test_a_name_makes_what_make_makes():
    torch.manual_seed(0)
    layer = Recurrent("gru", 3, 5)
    torch.manual_seed(0)
    assert torch.equal(layer.cells[0].U.weight, make("gru", 3, 5).U.weight)
