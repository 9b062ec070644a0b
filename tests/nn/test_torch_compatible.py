"""`elman.nn.RNN`, `LSTM` and `GRU` in place of torch.nn's: the same where torch can, more where it
cannot, and errors that say what is wrong."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import elman.nn
from elman.errors import InputError, SlowPathWarning
from elman.kernels import SequenceError, dispatch, explain, record, use

PAIRS = {
    "rnn": (elman.nn.RNN, nn.RNN, {}),
    "relu": (elman.nn.RNN, nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (elman.nn.LSTM, nn.LSTM, {}),
    "projected": (elman.nn.LSTM, nn.LSTM, {"proj_size": 2}),
    "gru": (elman.nn.GRU, nn.GRU, {}),
}
GRID = [
    {"num_layers": layers, "bidirectional": both, "batch_first": first, "bias": bias}
    for layers, both, first, bias in itertools.product(
        [1, 2], [False, True], [False, True], [True, False]
    )
]
pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections", "ignore::elman.errors.SlowPathWarning"
)


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    """Ours and torch's with the same double-precision weights."""
    ours, theirs, own = PAIRS[kind]
    torch.manual_seed(0)
    a, b = (cls(3, 5, **own, **options, dtype=torch.float64) for cls in (ours, theirs))
    b.load_state_dict(a.state_dict(), strict=True)
    return a, b


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def state_for(layer: nn.RNNBase, batch: int) -> Any:
    rows = layer.num_layers * (1 + layer.bidirectional)
    h = drawn(rows, batch, layer.proj_size or layer.hidden_size)
    return (h, drawn(rows, batch, layer.hidden_size)) if layer.mode == "LSTM" else h


def tensors(nested: Any) -> list[Tensor]:
    return [nested] if isinstance(nested, Tensor) else [t for n in nested for t in tensors(n)]


def assert_same(a: Any, b: Any) -> None:
    for x, y in zip(tensors(a), tensors(b), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


# The same module.


@pytest.mark.parametrize("options", GRID)
@pytest.mark.parametrize("kind", PAIRS)
def test_state_dict_is_strict_both_ways_and_outputs_are_equal(kind, options):
    a, b = pair(kind, **options)
    assert list(a.state_dict()) == list(b.state_dict())
    a.load_state_dict(b.state_dict(), strict=True)
    x, h = drawn(4, 6, 3), state_for(a, 6 if not options["batch_first"] else 4)
    with use("torch"), record() as ran:
        for hx in (None, h):
            mine, theirs = a(x, hx), b(x, hx)
            for p, q in zip(tensors(mine), tensors(theirs), strict=True):
                assert torch.equal(p, q)
    assert [c.reason for c in ran] == ["torch.nn's own call"] * 2
    with record() as ran:
        assert_same(a(x, h), b(x, h))
    assert {c.backend for c in ran} == {"cpu"}
    # And the same once a call has gone through our cells.
    a(x, lengths=torch.full((h[0].shape[-2] if isinstance(h, tuple) else h.shape[1],), 2))
    assert list(a.state_dict()) == list(b.state_dict())
    assert list(dict(a.named_modules())) == [""]


@pytest.mark.parametrize("options", GRID)
@pytest.mark.parametrize("kind", PAIRS)
def test_the_reference_computes_what_torch_does(kind, options):
    a, b = pair(kind, **options)
    x = drawn(4, 6, 3)
    h = state_for(a, 4 if options["batch_first"] else 6)
    with use("reference"), record() as ran:
        mine = a(x, h)
    assert {c.backend for c in ran} == {"reference"}
    theirs = b(x, h)
    assert_same(mine, theirs)
    cotangents = [torch.randn_like(t) for t in tensors(theirs)]
    got, truth = (
        torch.autograd.grad(tensors(out), list(layer.parameters()), cotangents)
        for out, layer in ((mine, a), (theirs, b))
    )
    assert_same(got, truth)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_packed_sequence(kind):
    a, b = pair(kind, num_layers=2, bidirectional=True)
    rows = [drawn(n, 3) for n in (2, 5, 3)]
    packed = pack_sequence(rows, enforce_sorted=False)
    h = state_for(a, 3)
    theirs, state = b(packed, h)
    got = {"torch": a(packed, h)}
    with use("reference"):
        got["reference"] = a(packed, h)
    for mine, mine_state in got.values():
        assert isinstance(mine, PackedSequence)
        assert_same([mine.data, *tensors(mine_state)], [theirs.data, *tensors(state)])
        assert torch.equal(mine.batch_sizes, theirs.batch_sizes)
        assert torch.equal(mine.sorted_indices, theirs.sorted_indices)
        assert torch.equal(mine.unsorted_indices, theirs.unsorted_indices)


@pytest.mark.parametrize("kind", PAIRS)
def test_an_input_without_a_batch(kind):
    a, b = pair(kind, num_layers=2, bidirectional=True, batch_first=True)
    x = drawn(6, 3)
    h = state_for(a, 1)
    h = tuple(p[:, 0] for p in h) if isinstance(h, tuple) else h[:, 0]
    theirs = b(x, h)
    assert_same(a(x, h), theirs)
    with use("reference"):
        assert_same(a(x, h), theirs)
    output, hidden, states = a(x, h, return_states=True)
    assert_same((output, hidden), theirs)
    for every, last in zip(tensors(states), tensors(hidden), strict=True):
        assert every.shape == (4, 6, last.shape[-1])
        assert_same(every[0, -1], last[0])  # forward, first layer
        assert_same(every[1, 0], last[1])  # backward: its last step is the first


def test_dropout_draws_the_same_masks_on_every_backend():
    for kind in PAIRS:
        a, b = pair(kind, num_layers=3, dropout=0.4)
        x = drawn(7, 2, 3)
        torch.manual_seed(1)
        theirs = b(x)
        torch.manual_seed(1)
        assert_same(a(x), theirs)
        with use("reference"):
            torch.manual_seed(1)
            assert_same(a(x), theirs)
            a.eval()
            assert_same(a(x), b.eval()(x))


def test_the_same_seed_draws_the_same_weights():
    for ours, theirs, own in PAIRS.values():
        drawn_by = []
        for layer in (ours, theirs):
            torch.manual_seed(0)
            weights = list(layer(3, 5, 2, **own).parameters())
            drawn_by.append([*weights, torch.randn(3)])
        assert all(torch.equal(a, b) for a, b in zip(*drawn_by, strict=True))


def test_constructors_refuse_what_torchs_refuse():
    for bad in ({"hidden_size": 0}, {"dropout": 2.0}, {"num_layers": 0}):
        with pytest.raises(ValueError):
            elman.nn.LSTM(**{"input_size": 3, "hidden_size": 5, **bad})
    with pytest.raises(ValueError, match="proj_size"):
        elman.nn.GRU(3, 5, proj_size=2)
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        elman.nn.GRU(3, 5, dropout=0.5)
    assert repr(elman.nn.LSTM(3, 5, 2, batch_first=True)) == repr(
        nn.LSTM(3, 5, 2, batch_first=True)
    )


def test_copies_pickles_and_moves():
    layer = elman.nn.LSTM(3, 5)
    x, lengths = torch.randn(4, 2, 3), [4, 1]
    truth = layer(x, lengths=lengths)
    saved = io.BytesIO()
    torch.save(layer, saved)
    saved.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(saved, weights_only=False),
    ):
        assert_same(other(x, lengths=lengths), truth)
    assert layer.double()(x.double(), lengths=lengths)[0].dtype == torch.float64


# What torch.nn's cannot.


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_each_row_run_alone(kind, batch_first):
    a, b = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    lengths = [6, 0, 2, 6]
    x, h = drawn(6, 4, 3), state_for(a, 4)
    output, hidden = a(x.transpose(0, 1) if batch_first else x, h, lengths=torch.tensor(lengths))
    output = output.transpose(0, 1) if batch_first else output
    for row, n in enumerate(lengths):
        mine = [part[:, row] for part in tensors(hidden)]
        start = [part[:, row : row + 1] for part in tensors(h)]
        assert (output[n:, row] == 0).all()
        if n == 0:
            assert_same(mine, [s[:, 0] for s in start])
            continue
        alone = x[:n, row : row + 1]
        theirs, state = b(
            alone.transpose(0, 1) if batch_first else alone,
            tuple(start) if a.mode == "LSTM" else start[0],
        )
        assert_same(output[:n, row], theirs[0] if batch_first else theirs[:, 0])
        assert_same(mine, [s[:, 0] for s in tensors(state)])


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_lengths_are_packing(kind, backend):
    a, b = pair(kind, num_layers=2, bidirectional=True)
    x = drawn(9, 3, 3)
    theirs, state = b(pack_padded_sequence(x, [4, 9, 2], enforce_sorted=False))
    with record() as ran, use(backend):
        output, hidden = a(x, lengths=[4, 9, 2])
    assert {c.backend for c in ran} == {backend}
    padded, _ = nn.utils.rnn.pad_packed_sequence(theirs)
    assert_same([output, *tensors(hidden)], [padded, *tensors(state)])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("unbatched", [False, True])
def test_a_reset_is_two_separate_sequences(kind, unbatched):
    a, b = pair(kind, bidirectional=True)
    x, h = drawn(7, 1, 3), state_for(a, 1)
    reset = torch.zeros(7, 1, dtype=torch.bool)
    reset[3] = True
    first, _ = b(x[:3])
    second, last = b(x[3:])
    if unbatched:
        output, hidden = a(x[:, 0], reset=reset[:, 0])
        output, hidden = output[:, None], [s[:, None] for s in tensors(hidden)]
    else:
        output, hidden = a(x, reset=reset)
        # What came in ends at the reset: only the first part feels it.
        assert_same(
            a(x, h, reset=reset)[0][3:, :, : b(x, h)[0].shape[-1] // 2],
            second[..., : second.shape[-1] // 2],
        )
    assert_same(output, torch.cat([first, second]))
    assert_same([s[0] for s in tensors(hidden)], [s[0] for s in tensors(last)])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_every_state_is_what_a_run_to_that_step_ends_with(kind, batch_first):
    a, b = pair(kind, num_layers=2, batch_first=batch_first)
    x = drawn(4, 4, 3)
    _, hidden, states = a(x, return_states=True)
    for t in range(4):
        _, truth = b(x[:, : t + 1] if batch_first else x[: t + 1])
        got = [s[:, :, t] if batch_first else s[:, t] for s in tensors(states)]
        assert_same(got, tensors(truth))
    assert type(states) is type(hidden)


def test_states_of_a_packed_sequence_are_padded_in_the_rows_order():
    a, _ = pair("lstm")
    rows = [drawn(n, 3) for n in (2, 5)]
    packed = pack_sequence(rows, enforce_sorted=False)
    _, _, (h, c) = a(packed, return_states=True)
    for i, row in enumerate(rows):
        _, _, (h_alone, c_alone) = a(row[:, None], return_states=True)
        assert_same(
            [h[:, : len(row), i], c[:, : len(row), i]], [h_alone[:, :, 0], c_alone[:, :, 0]]
        )
        assert (c[:, len(row) :, i] == 0).all()


def test_no_steps_and_no_rows():
    for kind in PAIRS:
        a, _ = pair(kind, num_layers=2)
        h = state_for(a, 3)
        output, hidden = a(drawn(0, 3, 3), h)
        assert output.shape == (0, 3, a.proj_size or 5)
        assert_same(hidden, h)
        assert a(drawn(4, 0, 3), lengths=[])[0].shape == (4, 0, a.proj_size or 5)


@pytest.mark.parametrize("kind", PAIRS)
def test_vmap_jvp_and_gradients_of_each_example(kind):
    a, b = pair(kind, num_layers=2, bidirectional=True)
    many = drawn(3, 4, 2, 3)
    with record() as ran:
        output = vmap(lambda x: a(x)[0])(many)
    assert {c.backend for c in ran} == {"reference"}
    assert "vmap" in ran[0].reason
    assert_same(list(output), [b(x)[0] for x in many])

    x, tangent, cotangent = many[0], many[1], torch.randn_like(output[0])
    _, pushed = jvp(lambda x: a(x)[0], (x,), (tangent,))
    _, pull = torch.func.vjp(lambda x: b(x)[0], x)
    assert_same((pushed * cotangent).sum(), (pull(cotangent)[0] * tangent).sum())

    weights = {name: p.detach() for name, p in a.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(a, weights, (x[:, None],))[0].square().sum()

    rows = drawn(4, 3, 3)
    each = vmap(grad(loss), in_dims=(None, 1))(weights, rows)
    for i in range(3):
        b.zero_grad()
        b(rows[:, i : i + 1])[0].square().sum().backward()
        assert_same([each[n][i] for n in weights], [p.grad for p in b.parameters()])


def test_what_ran_is_explained():
    layer, x = elman.nn.LSTM(3, 5, 2), torch.randn(40, 2, 3)
    assert str(explain(layer, x)).splitlines()[0] == "backend: cpu (a kernel was compiled for it)"
    explained = explain(layer, x, lengths=[40, 12])
    assert explained.backend == "cpu"
    assert explained.reason == "a kernel was compiled for it"
    assert len(explained.parts) == 2
    assert explain(layer, x, return_states=True).backend == "cpu"
    with use("torch"):
        assert str(explain(layer, x)) == "backend: torch (torch.nn's own call)"
        assert explain(layer, x, lengths=[40, 12]).backend == "torch"
        with pytest.raises(InputError, match="does not give out the cell state of every step"):
            layer(x, return_states=True)


def test_the_slow_path_is_never_silent(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    layer, x = elman.nn.LSTM(3, 5), torch.zeros(1, 4, 2, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer(x[0])
        assert not caught
        for _ in range(2):
            vmap(lambda x: layer(x)[0])(x)
    assert [w.category for w in caught] == [SlowPathWarning]
    assert "compiled kernels do not follow vmap" in str(caught[0].message)
    assert caught[0].filename == __file__


# Errors.

X = torch.zeros(4, 6, 3)
PACKED = pack_sequence([torch.zeros(2, 3)])


@pytest.mark.parametrize(
    ("kind", "options", "args", "call", "message"),
    [
        (
            "lstm",
            {},
            (X[0, 0],),
            {},
            r"input must be \(time, batch, features\), or \(time, features\) .* got 1 axes: \(3,\)",
        ),
        (
            "gru",
            {},
            (X[..., :2],),
            {},
            r"input \(4, 6, 2\) has 2 features on its last axis, the layer takes input_size=3",
        ),
        ("rnn", {}, (X.double(),), {}, "input is torch.float64 and the weights are torch.float32"),
        (
            "gru",
            {"batch_first": True},
            (X, torch.zeros(4, 1, 5)),
            {},
            r"h_0 must be \(num_layers \* directions=1, batch=4, size=5\): axis 0 .* is 4, "
            "expected 1. A state has this form whatever batch_first is",
        ),
        ("gru", {}, (X, torch.zeros(1, 6, 4)), {}, r"axis 2 \(size\) is 4, expected 5"),
        ("gru", {}, (X, torch.zeros(6, 5)), {}, r"h_0 must have 3 axes .* got 2: \(6, 5\)"),
        ("gru", {}, (X[0], torch.zeros(1, 1, 5)), {}, r"h_0 must have 2 axes \(num_layers"),
        ("gru", {}, (X, (torch.zeros(1, 6, 5),)), {}, "takes its state as one tensor h_0"),
        (
            "lstm",
            {},
            (X, torch.zeros(1, 6, 5)),
            {},
            r"takes its state as \(h_0, c_0\), got a tensor",
        ),
        ("lstm", {}, (X, (torch.zeros(1, 6, 5),)), {}, "got 1 items"),
        (
            "projected",
            {},
            (X, (torch.zeros(1, 6, 2), torch.zeros(1, 6, 2))),
            {},
            r"c_0 must be .* axis 2 \(size\) is 2, expected 5",
        ),
        ("gru", {}, (X,), {"lengths": [1, 2]}, r"lengths must be \(batch=6,\), got \(2,\)"),
        ("gru", {}, (X,), {"lengths": [4, 4, 4, 4, 4, 5]}, r"lengths\[5\] is 5, x has 4 steps"),
        ("gru", {}, (X[0],), {"lengths": [4]}, "this input has no batch"),
        (
            "gru",
            {"batch_first": True},
            (X,),
            {"reset": torch.zeros(6, 4, dtype=torch.bool)},
            r"reset must be \(4, 6\), laid out as input is, got \(6, 4\)",
        ),
        (
            "gru",
            {},
            (X[0],),
            {"reset": torch.zeros(6, 1, dtype=torch.bool)},
            r"reset must be \(6,\), laid out as input is, got \(6, 1\)",
        ),
        ("gru", {}, (PACKED,), {"lengths": [2]}, "PackedSequence has its own lengths"),
    ],
)
def test_errors_name_the_axis_and_what_was_expected(kind, options, args, call, message):
    ours, theirs, own = PAIRS[kind]
    with pytest.raises(SequenceError, match=message):
        ours(3, 5, **own, **options)(*args, **call)
    if not call:  # what torch refuses too, in its words
        with pytest.raises((ValueError, RuntimeError, AttributeError, IndexError)):
            theirs(3, 5, **own, **options)(*args)
