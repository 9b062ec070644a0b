"""Streams of layers and models: the numbers of the whole sequence, whatever the pieces it comes in,
and state that can be taken out and put back to the last bit."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

import elman
from elman.cells import CELLS, Cell
from elman.errors import InputError, SlowPathWarning
from elman.kernels import SequenceError, dispatch, record, use
from elman.kernels.stream import CellStream
from elman.nn import Aligned, Ensemble, ManyToOne, OneToOne, Recurrent
from elman.nn import state as states
from elman.nn.crf import CRF
from elman.nn.pooling import POOLINGS
from elman.nn.tagger import Tagger, TagHead
from elman.nn.torch_compatible import GRU, LSTM, RNN

BOUND = {torch.float32: 1e-6, torch.float64: 1e-13}
"""How far a stream may be from the whole sequence, relative to its largest number."""

LAYERS: dict[str, Any] = {
    **{name: lambda d, n=name: Recurrent(n, 5, 7, dtype=d) for name in CELLS},
    "relu": lambda d: Recurrent("elman", 5, 7, nonlinearity="relu", dtype=d),
    "peepholes": lambda d: Recurrent("lstm", 5, 7, peepholes=True, dtype=d),
    "coupled": lambda d: Recurrent("lstm", 5, 7, coupled=True, dtype=d),
    "layer_norm": lambda d: Recurrent("lstm", 5, 7, layer_norm=True, dtype=d),
    "projected": lambda d: Recurrent("lstm", 5, 7, proj_size=3, dtype=d),
    "jordan, decay": lambda d: Recurrent("jordan", 5, 7, output_size=4, decay=0.5, dtype=d),
    "leaky": lambda d: Recurrent("esn", 5, 7, leak=0.3, dtype=d),
    "stacked": lambda d: Recurrent("gru", 5, 7, 3, dropout=0.5, input_dropout=0.5, dtype=d),
    "residual": lambda d: Recurrent("lstm", 5, 7, 3, residual=True, dtype=d),
    "highway": lambda d: Recurrent("mgu", 7, 7, 2, highway=True, batch_first=True, dtype=d),
    "zoneout": lambda d: Recurrent("lstm", 5, 7, 2, zoneout=(0.3, 0.1), dtype=d),
    "dropped weights": lambda d: Recurrent("gru", 5, 7, recurrent_dropout=0.5, dtype=d),
    "RNN": lambda d: RNN(5, 7, 2, dtype=d),
    "RNN, relu": lambda d: RNN(5, 7, nonlinearity="relu", bias=False, dtype=d),
    "LSTM": lambda d: LSTM(5, 7, dtype=d),
    "LSTM, batch_first": lambda d: LSTM(5, 7, 3, batch_first=True, dropout=0.5, dtype=d),
    "LSTM, projected": lambda d: LSTM(5, 7, 2, proj_size=3, dtype=d),
    "LSTM, altered": lambda d: LSTM(5, 7, 2, peepholes=True, coupled=True, dtype=d),
    "GRU": lambda d: GRU(5, 7, 2, dtype=d),
    "GRU, Cho's": lambda d: GRU(5, 7, reset_after=False, batch_first=True, dtype=d),
}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")
largest = dict.fromkeys(BOUND, 0.0)


@pytest.fixture(scope="module", autouse=True)
def _largest_difference_is_told():
    yield
    for dtype, off in largest.items():
        print(f"largest difference, {dtype}: {off:.2g}")


def made(name: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    return LAYERS[name](dtype).eval()


def drawn(layer: Any, steps: int, batch: int) -> Tensor:
    """A sequence in the layer's layout."""
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    return torch.randn(*shape, layer.input_size, dtype=next(layer.parameters()).dtype)


def steps_of(layer: Any, x: Tensor) -> tuple[Tensor, ...]:
    return x.unbind(1 if layer.batch_first else 0)


def assert_near(got: Any, truth: Any) -> None:
    for a, b in zip(states.flatten(got), states.flatten(truth), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if not b.numel():
            continue
        if not b.is_floating_point():
            assert torch.equal(a, b)
            continue
        off = float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
        largest[a.dtype] = max(largest[a.dtype], off)
        assert off <= BOUND[a.dtype], off


def assert_equal(a: Any, b: Any) -> None:
    for x, y in zip(states.flatten(a), states.flatten(b), strict=True):
        assert torch.equal(x, y)


# Numbers.


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_step_by_step_is_the_whole_sequence(name, dtype):
    layer = made(name, dtype)
    for batch in (1, 3):
        x = drawn(layer, 9, batch)
        axis = 1 if layer.batch_first else 0
        stream = layer.stream(batch=batch)
        assert stream.backend == "cpu"
        y, last = layer(x)
        got = torch.stack([stream.step(row) for row in steps_of(layer, x)], axis)
        assert_near((got, stream.state), (y, last))
        # All at once, from the beginning; and in the middle from the layer's own state.
        stream.reset()
        assert_near((stream.chunk(x), stream.state), (y, last))
        first, second = x.split([4, 5], axis)
        stream.state = layer(first)[1]
        assert_near((stream.chunk(second), stream.state), (y.narrow(axis, 4, 5), last))


@pytest.mark.parametrize("name", ["lstm", "residual", "LSTM, batch_first", "jordan, decay"])
def test_chunks_of_any_sizes(name):
    layer = made(name)
    axis = 1 if layer.batch_first else 0
    with torch.no_grad():
        x = drawn(layer, 24, 2)
        y, last = layer(x)
    stream = layer.stream(batch=2)
    at_once = stream.chunk(x)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, 24), max_size=6))
    def check(cuts: list[int]) -> None:
        bounds = [0, *sorted(cuts), 24]
        stream.reset()
        parts = [stream.chunk(x.narrow(axis, a, b - a)) for a, b in itertools.pairwise(bounds)]
        assert_near((torch.cat(parts, axis), stream.state), (y, last))
        assert_equal(torch.cat(parts, axis), at_once)

    check()


@pytest.mark.parametrize("name", ["lstm", "gru_cho", "stacked", "zoneout", "LSTM, altered"])
def test_a_chunk_is_its_steps_to_the_last_bit(name):
    layer = made(name)
    for batch in (1, 2, 5):
        x = drawn(layer, 9, batch)
        a, b = layer.stream(batch=batch), layer.stream(batch=batch)
        assert_equal(a.chunk(x), torch.stack([b.step(row) for row in x]))
        assert_equal(a.state, b.state)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_cho"])
def test_threads_that_share_the_units(kind):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        layer = Recurrent(kind, 65, 257)
        x = torch.randn(40, 1, 65)
        streams = [layer.stream() for _ in range(2)]
        first, second = ([s.step(row) for row in x] for s in streams)
        assert_equal(first, second)
        with torch.no_grad():
            assert_near(torch.stack(first), layer(x)[0])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["lstm", "zoneout", "highway", "LSTM, altered"])
def test_the_reference_streams_the_same(name):
    layer = made(name, torch.float64)
    x = drawn(layer, 6, 2)
    with use("reference"), record() as ran:
        slow = layer.stream(batch=2)
    assert {c.backend for c in ran} == {"reference"}
    assert slow.backend == "reference"
    fast = layer.stream(batch=2)
    assert_near((slow.chunk(x), slow.state), (fast.chunk(x), fast.state))
    row = steps_of(layer, x)[0]
    assert_near(slow.step(row), fast.step(row))
    assert not slow.step(row.clone().requires_grad_()).requires_grad


def test_training_mode_makes_no_difference():
    layer = Recurrent("lstm", 5, 7, 2, dropout=0.5, recurrent_dropout=0.5, zoneout=0.2)
    x = torch.randn(6, 1, 5)
    got = layer.train().stream().chunk(x)
    with torch.no_grad():
        assert_near(got, layer.eval()(x)[0])


@pytest.mark.parametrize("name", ["lstm", "residual", "highway"])
def test_nothing_is_kept_for_gradients(name):
    layer = made(name)
    stream = layer.stream()
    row = steps_of(layer, drawn(layer, 1, 1))[0].requires_grad_()
    assert not stream.step(row).requires_grad
    assert not any(t.requires_grad for t in states.flatten(stream.state))
    stream.state = states.unflatten(
        stream.state, [t.requires_grad_() for t in states.flatten(stream.state)]
    )
    assert not stream.step(row).requires_grad


def test_inference_mode_and_autocast_make_no_difference():
    layer = Recurrent("lstm", 5, 7, 2)
    x = torch.randn(4, 1, 5)
    truth = layer.stream().chunk(x)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        stream = layer.stream()
        inside = [stream.step(row) for row in x[:2]]
        kept = stream.state
    stream.state = kept
    stream.reset([])
    assert stream.backend == "cpu"
    assert_equal(torch.stack([*inside, *(stream.step(row) for row in x[2:])]), truth)


# State.


@pytest.mark.parametrize("name", ["lstm", "lru", "residual", "LSTM", "GRU", "LSTM, projected"])
def test_a_snapshot_goes_on_to_the_last_bit(name):
    layer = made(name)
    x = drawn(layer, 8, 2)
    stream = layer.stream(batch=2)
    stream.chunk(x[:3])
    snapshot = stream.snapshot()
    saved = save(snapshot)
    kept = stream.state
    truth = [stream.step(row) for row in x[3:]]
    end = stream.state
    stream.restore(snapshot)
    assert_equal([stream.step(row) for row in x[3:]], truth)
    stream.state = kept
    assert_equal([stream.step(row) for row in x[3:]], truth)
    other = layer.stream(batch=2)
    other.restore(load(saved))
    assert_equal([other.step(row) for row in x[3:]], truth)
    assert_equal(other.state, end)


def test_a_snapshot_of_something_else_is_refused_and_changes_nothing():
    stream = Recurrent("lstm", 5, 7).stream()
    stream.step(torch.ones(1, 5))
    before = stream.state
    for other in (
        Recurrent("lstm", 5, 8),
        Recurrent("gru", 5, 7),
        Recurrent("lstm", 5, 7, 2),
        Recurrent("lstm", 5, 7, dtype=torch.float64),
    ):
        with pytest.raises(InputError, match="of another stream"):
            stream.restore(other.stream().snapshot())
    assert_equal(stream.state, before)


OPENED: dict[str, Any] = {
    "layer": lambda: made("LSTM").stream(batch=2),
    "joined layers": lambda: made("highway").stream(batch=2),
    "by the reference": lambda: _by_reference(made("stacked")),
    "bfloat16": lambda: made("lstm").to(torch.bfloat16).stream(batch=2),
    "model": lambda: elman.stream(sequential(), batch=2),
    "pooled": lambda: elman.stream(classifier("attention"), batch=2),
    "ensemble": lambda: elman.stream(ensemble(), batch=2),
    "tagger": lambda: elman.stream(tagger(), batch=2),
}


def _by_reference(layer: Any) -> Any:
    with use("reference"):
        return layer.stream(batch=2)


def tagger() -> Any:
    torch.manual_seed(0)
    head = TagHead(6, 3, classes=2, crf=CRF(3))
    return Tagger(nn.Embedding(9, 4), Recurrent("gru", 4, 6, batch_first=True), head)


def inputs_of(stream: Any, steps: int) -> Tensor:
    """Steps that a stream reads: numbers where it says so, else symbols."""
    if stream._reads is None:
        return torch.randint(9, (steps, 2))
    width, dtype = stream._reads
    return torch.randn(steps, 2, width).to(dtype)


@pytest.mark.parametrize("name", OPENED)
def test_the_weights_tell_whose_snapshot_it_is(name):
    """The same classes and shapes: only one weight differs, or nothing does."""
    stream = OPENED[name]()
    xs = inputs_of(stream, 5)
    stream.step(xs[0])
    saved = stream.snapshot()
    same = OPENED[name]()
    assert same.identity == stream.identity
    same.restore(saved)
    assert_equal([same.step(x) for x in xs], [stream.step(x) for x in xs])

    other = copy.deepcopy(stream)
    other.identity = other.identity[::-1]
    before = other.state
    with pytest.raises(InputError, match="to other weights of this one"):
        other.restore(saved)
    del saved["identity"]
    with pytest.raises(InputError, match="does not say which model and weights"):
        stream.restore(saved)
    assert_equal(other.state, before)
    other.state = stream.state  # on purpose


@pytest.mark.parametrize("name", ["LSTM", "highway", "stacked", "esn"])
def test_one_changed_weight_is_another_model(name):
    layer = made(name)
    stream = layer.stream()
    known = {stream.identity}
    for tensor in (*layer.parameters(), *layer.buffers()):
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
        found = layer.stream()
        assert found.identity not in known
        known.add(found.identity)
        with pytest.raises(InputError, match="to other weights"):
            found.restore(stream.snapshot())


def test_an_option_that_changes_the_equation_is_another_model():
    kinds: list[Any] = [
        {"leak": 0.3},
        {"leak": 0.5},
        {"leak": 0.5, "zoneout": 0.1},
    ]
    layers = []
    for options in kinds:
        torch.manual_seed(0)
        layers.append(Recurrent("esn", 5, 7, **options).stream())
    torch.manual_seed(0)
    layers.append(Recurrent("esn", 5, 7, 2).stream())
    torch.manual_seed(0)
    layers.append(Recurrent("esn", 5, 7, 2, residual=True).stream())
    assert len({layer.identity for layer in layers}) == len(layers)


@pytest.mark.parametrize("name", OPENED)
def test_a_copy_goes_on_by_itself(name):
    stream = OPENED[name]()
    xs = inputs_of(stream, 9)
    stream.step(xs[0])
    copies = [stream.copy(), copy.copy(stream), copy.deepcopy(stream)]
    ends = [[s.step(x) for x in xs[1:5]] for s in (stream, *copies)]
    for found in ends[1:]:
        assert_equal(found, ends[0])
    # Apart from here on.
    for one in copies:
        one.reset([0])
    kept = stream.state
    mixed = [one.step(xs[5]) for one in copies]
    assert_equal(stream.state, kept)
    assert_equal(mixed[0], mixed[1])
    assert not torch.equal(stream.step(xs[5]), mixed[0])
    assert_equal(
        copies[2].chunk(xs[6:].transpose(0, 1) if stream.batch_first else xs[6:]),
        copies[0].chunk(xs[6:].transpose(0, 1) if stream.batch_first else xs[6:]),
    )
    del stream
    assert copies[0].step(xs[0]).isfinite().all()


@pytest.mark.parametrize("name", OPENED)
def test_a_stream_as_bytes(name):
    stream = OPENED[name]()
    xs = inputs_of(stream, 4)
    stream.step(xs[0])
    data = stream.to_bytes()
    truth = [stream.step(x) for x in xs]
    other = OPENED[name]()
    other.from_bytes(data)
    assert_equal([other.step(x) for x in xs], truth)
    with pytest.raises(InputError, match="cannot be restored"):
        other.from_bytes(data[:20])
    with pytest.raises(InputError, match="a snapshot is bytes"):
        other.from_bytes(stream.snapshot())
    with pytest.raises(InputError, match="Read bytes with from_bytes"):
        other.restore(data)
    with pytest.raises(InputError, match=r"cannot be pickled.*to_bytes\(\)"):
        pickle.dumps(stream)


# Threads.


@pytest.mark.parametrize("name", ["cell", *OPENED])
def test_eight_threads_on_one_stream(name):
    """Each step is taken whole or refused: the state is that of so many steps one by one."""
    if name == "cell":
        stream: Any = CellStream(elman.cells.make("lstm", 40, 120), 2, torch.zeros(1))
        x = torch.randn(2, 40)
    else:
        stream = OPENED[name]()
        x = inputs_of(stream, 1)[0]
    alone = stream.copy()
    refused, taken, wrong = [], [], []
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        for _ in range(60):
            try:
                stream.step(x)
                taken.append(1)
            except InputError as error:
                refused.append(str(error))
            except BaseException as error:  # a thread's error is nobody's otherwise
                wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert len(taken) + len(refused) == 480
    assert all("Another thread is using this stream" in told for told in refused)
    for _ in taken:
        alone.step(x)
    assert_equal(stream.state, alone.state)


@pytest.mark.parametrize("name", OPENED)
def test_a_stream_in_use_refuses_everything_and_then_goes_on(name):
    stream = OPENED[name]()
    x = inputs_of(stream, 1)[0]
    twin = stream.copy()
    saved, state, data = stream.snapshot(), stream.state, stream.to_bytes()
    uses: list[Any] = [
        lambda: stream.chunk(x[:, None] if stream.batch_first else x[None]),
        lambda: stream.state,
        lambda: setattr(stream, "state", state),
        lambda: setattr(stream, "state", None),
        stream.reset,
        lambda: stream.reset([0]),
        stream.snapshot,
        lambda: stream.restore(saved),
        stream.to_bytes,
        lambda: stream.from_bytes(data),
        stream.copy,
    ]
    with stream._alone:
        for use_it in uses:
            with pytest.raises(InputError, match=r"Another thread.*stream\.copy\(\)"):
                use_it()
    assert_equal(stream.step(x), twin.step(x))


def test_a_step_that_fails_lets_the_next_one_in():
    stream = elman.stream(sequential(), batch=2)
    with pytest.raises(SequenceError):
        stream.step(torch.tensor([3, 99]))
    assert stream.step(torch.tensor([3, 4])).shape == (2, 9)


def test_streams_of_one_layer_in_many_threads():
    """By the reference too, whose cell nobody else may see changed."""
    layer = Recurrent("gru", 5, 7, dtype=torch.float64)
    xs = torch.randn(8, 30, 1, 5, dtype=torch.float64)
    with torch.no_grad():
        truth = layer(xs[:, :, 0].transpose(0, 1))[0].transpose(0, 1)
    found: list[Any] = [None] * 8

    def work(k: int) -> None:
        with use("reference" if k % 2 else "cpu"):
            stream = layer.stream()
        found[k] = torch.stack([stream.step(x)[0] for x in xs[k]])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_near(torch.stack(found), truth)
    assert layer.cells[0].W.weight.requires_grad


class Telling(Cell):
    """h' = tanh(W x + h), and a hook on W."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size)

    def forward(self, x, state):
        h = torch.tanh(self.W(x) + state[0])
        return h, (h,)


def test_a_hook_goes_on_telling_its_owner(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    layer, told = Recurrent(Telling, 3, 4), []
    layer.cells[0].W.register_forward_hook(lambda *_: told.append(1))
    with pytest.warns(SlowPathWarning, match="hook"):
        stream = layer.stream()
    x = torch.randn(5, 1, 3)
    y = torch.stack([stream.step(row) for row in x])
    assert len(told) == 5
    with torch.no_grad():
        assert_near(y, layer(x)[0])


# Inputs that are no tensors.


def test_arrays_and_lists_are_numbers_of_the_layers_kind():
    layer = made("LSTM")
    numbers = np.random.default_rng(0).normal(size=(6, 2, 5))
    stream = layer.stream(batch=2)
    truth = [stream.step(torch.from_numpy(x).float()) for x in numbers]
    for x in (
        list(numbers),
        numbers.tolist(),
        numbers.astype(np.float32),
        list(numbers[:, ::-1][:, ::-1]),
        [[*map(tuple, x)] for x in numbers],
    ):
        stream.reset()
        assert_equal([stream.step(row) for row in x], truth)
        stream.reset()
        assert_equal(stream.chunk(x), torch.stack(truth))
    stream.reset()
    whole = stream.step(np.ones((2, 5), np.int64))
    stream.reset()
    assert_equal(stream.step(torch.ones(2, 5)), whole)


def test_whole_numbers_stay_symbols_where_a_model_reads_symbols():
    stream = elman.stream(sequential(), batch=2)
    truth = stream.step(torch.tensor([3, 4]))
    for x in ([3, 4], np.array([3, 4]), (3, 4), np.array([3, 4], np.uint8)):
        stream.reset()
        assert_equal(stream.step(x), truth)
    model = nn.Sequential(nn.Linear(2, 5), GRU(5, 4))
    stream = elman.stream(model)
    assert_equal(stream.step([[1, 2]]), elman.stream(model).step(torch.tensor([[1.0, 2.0]])))


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize(
    ("given", "came"),
    [
        (None, "not None"),
        ("words", "not a str"),
        ({"x": 1}, "not a dict"),
        ([[1.0], [1.0, 2.0]], "not a list of other things or of uneven rows"),
        ([None, None], "not a list of other things"),
        (np.array(["a", "b"]), "not an array of <U1"),
        (object(), "not a object"),
    ],
    ids=["None", "str", "dict", "uneven", "list of None", "array of str", "object"],
)
def test_what_is_no_numbers_is_told_in_one_message(name, given, came):
    stream = OPENED[name]()
    told = f"takes a tensor, a NumPy array or a list of numbers, {came}"
    with pytest.raises(SequenceError, match=told):
        stream.step(given)
    with pytest.raises(SequenceError, match=told):
        stream.chunk(given)


def test_two_streams_of_one_layer_do_not_disturb_each_other():
    layer = Recurrent("gru", 5, 7, 2)
    x, z = torch.randn(2, 6, 1, 5)
    alone = layer.stream().chunk(x), layer.stream().chunk(z)
    a, b = layer.stream(), layer.stream()
    got = [(a.step(p), b.step(q)) for p, q in zip(x, z, strict=True)]
    for mine, truth in zip(zip(*got, strict=True), alone, strict=True):
        assert_equal(torch.stack(mine), truth)


@pytest.mark.parametrize("rows", [[1], torch.tensor([False, True, False]), (1, 1)], ids=str)
def test_single_rows_begin_anew(rows):
    layer = Recurrent("lstm", 5, 7, 2)
    x = torch.randn(6, 3, 5)
    stream = layer.stream(batch=3)
    stream.chunk(x[:3])
    stream.reset(rows)
    begins = torch.zeros(6, 3, dtype=torch.bool)
    begins[3, 1] = True
    with torch.no_grad():
        assert_near(stream.chunk(x[3:]), layer(x, reset=begins)[0][3:])
    stream.reset()
    assert all(not t.any() for t in states.flatten(stream.state))


@pytest.mark.parametrize("rows", [[3], [-1], torch.tensor([True])])
def test_a_row_that_there_is_not(rows):
    with pytest.raises(InputError, match="Rows are 0 to 2"):
        Recurrent("gru", 5, 7).stream(batch=3).reset(rows)


class Learnt(Cell):
    """h' = tanh(W x + u h + b), b a parameter and the first state learnt."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = nn.Linear(input_size, hidden_size, bias=False)
        self.u = nn.Parameter(torch.randn(hidden_size))
        self.began = nn.Parameter(torch.randn(hidden_size))

    def init_state(self, batch, device=None, dtype=None):
        return (self.began.expand(batch, -1),)

    def forward(self, x, state):
        h = torch.tanh(self.W(x) + self.u * state[0])
        return h, (h,)


def test_a_learnt_first_state():
    layer = Recurrent(Learnt, 5, 7)
    x = torch.randn(6, 2, 5)
    stream = layer.stream(batch=2)
    with torch.no_grad():
        assert_near(stream.chunk(x), layer(x)[0])
    stream.reset([0])
    assert_equal(stream.state[0][0][0], layer.cells[0].began)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["LSTM", "highway", "layer_norm", "esn"])
def test_weights_changed_later_are_not_seen(name, backend):
    layer = made(name)
    x = drawn(layer, 4, 1)
    with use(backend):
        stream, truth = layer.stream(), layer.stream()
    wanted = truth.chunk(x)
    with torch.no_grad():
        for tensor in (*layer.parameters(), *layer.buffers()):
            tensor += 1
    assert_equal(stream.chunk(x), wanted)
    with use(backend):
        assert not torch.equal(layer.stream().chunk(x), wanted)


# What does not fit.


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_what_does_not_fit_is_told(backend):
    layer = LSTM(5, 7, batch_first=True)
    with use(backend):
        stream = layer.stream(batch=2)
    for wrong in (
        torch.zeros(1, 5),
        torch.zeros(2, 4),
        torch.zeros(2, 1, 5),
        torch.zeros(2, 5).double(),
    ):
        with pytest.raises(SequenceError, match=r"A step takes x \(batch=2, input_size=5\)"):
            stream.step(wrong)
    with pytest.raises(SequenceError, match="on meta"):
        stream.step(torch.zeros(2, 5, device="meta"))
    for wrong in (
        torch.zeros(5),
        torch.zeros(2, 5),
        torch.zeros(3, 2, 5),
        torch.zeros(2, 3, 4),
        torch.zeros(2, 3, 5).double(),
    ):
        with pytest.raises(SequenceError, match=r"A chunk takes x \(batch=2, T, input_size=5\)"):
            stream.chunk(wrong)
    h, c = stream.state
    for state, message in [
        (h, "as \\(h_0, c_0\\)"),
        ((h, c[:, :1]), "axis 1 \\(batch\\) is 1"),
        ((h, c.double()), "got \\(2, 7\\) of torch.float64"),
    ]:
        with pytest.raises(SequenceError, match=message):
            stream.state = state
    stream = Recurrent("lstm", 5, 7, 2).stream()
    for state, message in [
        ([None], "2 in all, got 1"),
        ([None, (torch.zeros(1, 7),)], "takes a tuple of 2"),
        ([None, torch.zeros(2, 7)], "takes a tuple of 2"),
    ]:
        with pytest.raises(SequenceError, match=message):
            stream.state = state


def test_none_begins_anew():
    stream = Recurrent("lstm", 5, 7, 2).stream()
    stream.step(torch.ones(1, 5))
    second = stream.state[1]
    stream.state = [None, second]
    assert not any(t.any() for t in stream.state[0])
    assert_equal(stream.state[1], second)
    stream.state = None
    assert not any(t.any() for t in states.flatten(stream.state))


def test_no_steps_and_any_layout():
    layer = Recurrent("gru", 5, 7, 2)
    stream = layer.stream(batch=2)
    assert stream.chunk(torch.zeros(0, 2, 5)).shape == (0, 2, 7)
    x = torch.randn(5, 2, 8).permute(2, 1, 0)
    y = stream.chunk(x)
    stream.reset()
    assert_equal(torch.stack([stream.step(row) for row in x]), y)
    stream.reset()
    one = torch.randn(1, 2, 1).expand(4, 2, 5)
    y = stream.chunk(one)
    stream.reset()
    assert_equal(stream.chunk(one.contiguous()), y)


def test_no_rows():
    with pytest.raises(InputError, match="at least one row"):
        GRU(5, 7).stream(batch=0)


@pytest.mark.parametrize("kind", [LSTM, lambda *a, **k: Recurrent("lstm", *a, **k)])
def test_bidirectional_is_refused(kind):
    with pytest.raises(InputError, match="no end to read backwards from"):
        kind(5, 7, bidirectional=True).stream()


class Sorted(Cell):
    """h' = sort(h + x), for which there is no kernel."""

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__(size, size)

    def forward(self, x, state):
        h = (state[0] + x).sort(-1).values
        return h, (h,)


def test_a_cell_without_a_kernel_streams_by_the_reference_aloud(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    layer = Recurrent(Sorted, 3, 3, 2)
    with pytest.warns(SlowPathWarning, match="sort has no kernel") as told:
        stream = layer.stream()
    assert len(told) == 1
    assert stream.backend == "reference"
    assert "sort has no kernel" in stream.reason
    x = torch.randn(4, 1, 3)
    assert_equal(torch.stack([stream.step(row) for row in x]), layer(x)[0])
    with use("cpu"), pytest.raises(InputError, match="cpu backend cannot stream this Sorted"):
        layer.stream()
    with use("torch"), pytest.raises(InputError, match="whole sequences"):
        LSTM(3, 4).stream()


def test_a_precision_without_kernels_streams_by_the_reference(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    layer = Recurrent("gru", 3, 4, dtype=torch.float16)
    with pytest.warns(SlowPathWarning, match="not torch.float16"):
        stream = layer.stream()
    assert stream.backend == "reference"
    assert stream.step(torch.ones(1, 3, dtype=torch.float16)).dtype == torch.float16


@pytest.mark.parametrize("name", ["lstm", "LSTM", "stacked", "layer_norm"])
def test_bfloat16(name):
    layer = made(name).to(torch.bfloat16)
    x = drawn(layer, 12, 2)
    stream = layer.stream(batch=2)
    assert stream.backend == "cpu"
    with torch.no_grad():
        y, last = layer(x)
    got = torch.stack([stream.step(row) for row in x[:8]])
    saved = stream.snapshot()
    assert {t.dtype for name, t in saved.items() if name != "identity"} == {torch.float32}
    rest = stream.chunk(x[8:])
    for a, b in zip(
        [torch.cat([got, rest]), *states.flatten(stream.state)],
        [y, *states.flatten(last)],
        strict=True,
    ):
        assert a.dtype == b.dtype
        assert (a - b).float().norm() <= 0.01 * b.float().norm()
    stream.restore(saved)
    assert_equal(torch.stack([stream.step(row) for row in x[8:]]), rest)
    stream.state = last
    assert_equal(stream.state, last)


# Models.


class Whole(nn.Module):
    """What an nn.Sequential of our layers means: outputs go on, states do not."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        for part in self.model:
            x = Whole(part)(x) if isinstance(part, nn.Sequential) else part(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


def sequential(dtype: torch.dtype = torch.float32, batch_first: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(9, 5),
        nn.Dropout(0.5),
        Recurrent("lstm", 5, 6, batch_first=batch_first),
        nn.Sequential(nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 4)),
        GRU(4, 4, 2, batch_first=batch_first),
        nn.Linear(4, 9),
        nn.LogSoftmax(-1),
    ).to(dtype)


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequential_model(dtype, batch_first):
    model = sequential(dtype, batch_first)
    tokens = torch.randint(9, (2, 7) if batch_first else (7, 2))
    stream = elman.stream(model, batch=2)
    axis = int(batch_first)
    got = torch.stack([stream.step(t) for t in tokens.unbind(axis)], axis)
    with torch.no_grad():
        whole = Whole(model.eval())(tokens)
    assert_near(got, whole)
    assert not got.requires_grad
    assert stream.backend == "cpu"
    first, second = stream.state
    assert len(first[0]) == 2
    assert second.shape == (2, 2, 4)
    saved = save(stream.snapshot())
    stream.reset()
    assert_near(stream.chunk(tokens), whole)
    other = elman.stream(copy.deepcopy(model), batch=2)
    other.restore(load(saved))
    other.state = tuple(other.state)
    stream.state = (first, second)
    assert_equal(
        [other.step(t) for t in tokens.unbind(axis)], [stream.step(t) for t in tokens.unbind(axis)]
    )
    assert stream.chunk(tokens.narrow(axis, 0, 0)).shape == (
        (2, 0, 9) if batch_first else (0, 2, 9)
    )
    stream.reset([1])
    assert not stream.state[1][:, 1].any()
    assert stream.state[1][:, 0].any()


def test_a_model_keeps_the_weights_it_began_with():
    model = sequential()
    a, b = elman.stream(model), elman.stream(model)
    wanted = a.step(torch.tensor([3]))
    with torch.no_grad():
        for p in model.parameters():
            p += 1
    assert_equal(b.step(torch.tensor([3])), wanted)


@pytest.mark.parametrize("batch_first", [False, True])
def test_an_aligned_model(batch_first):
    layer = Recurrent("gru", 4, 8, 2, batch_first=batch_first)
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 9))
    model = Aligned(layer, head, embedding=nn.Embedding(9, 4)).eval()
    tokens = torch.randint(9, (3, 6))
    stream = elman.stream(model, batch=3)
    with torch.no_grad():
        y, state = model(tokens)
        assert_near(torch.stack([stream.step(t) for t in tokens.T], 1), y)
        assert_near(stream.state, state)
        stream.reset()
        assert_near(stream.chunk(tokens), y)
        stream.state = model(tokens[:, :2])[1]
        assert_near(stream.chunk(tokens[:, 2:]), y[:, 2:])


def test_one_to_one_ticks():
    model = OneToOne(Recurrent("elman", 3, 8), nn.Linear(8, 2))
    stream, x = model.stream(batch=2), torch.randn(5, 2, 3)
    state = None
    with torch.no_grad():
        for row in x:
            y, state = model(row, state)
            assert_near(stream.step(row), y)


class Folded(nn.Module):
    """A part that is not known to act on each step by itself."""


def classifier(pooling: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> ManyToOne:
    torch.manual_seed(seed)
    layer = Recurrent("gru", 4, 7, 2, dropout=0.5, batch_first=True)
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(7, 3))
    model = ManyToOne(layer, head, embedding=nn.Embedding(9, 4), pooling=pooling)
    return model.to(dtype).eval()


def ensemble(dtype: torch.dtype = torch.float32) -> Ensemble:
    return Ensemble([classifier(p, dtype, seed) for seed, p in enumerate(POOLINGS)]).eval()


CLASSIFIERS: dict[str, Any] = {
    **{name: lambda d, n=name: classifier(n, d) for name in POOLINGS},
    "ensemble": ensemble,
}


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.no_grad()
def test_a_classifier_answers_for_the_sequence_so_far(name, dtype):
    """By steps, by chunks of any sizes and through `start` and `step`: as the whole so far."""
    model = CLASSIFIERS[name](dtype)
    tokens = torch.randint(9, (3, 11))
    wanted = torch.stack([model(tokens[:, : t + 1]) for t in range(11)], 1)
    stream = elman.stream(model, batch=3)
    assert stream.backend == "cpu"
    got = torch.stack([stream.step(t) for t in tokens.T], 1)
    assert_near(got, wanted)
    end = stream.state

    state, slow = model.start(3), []
    for t in tokens.T:
        y, state = model.step(t, state)
        slow.append(y)
    assert_near(torch.stack(slow, 1), wanted)
    assert_near(end, state)
    # Products of torch's own, as in attention, round otherwise for another number of rows.
    same = assert_near if name in ("attention", "ensemble") else assert_equal

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.integers(0, 11), max_size=5))
    def check(cuts: list[int]) -> None:
        bounds = [0, *sorted(cuts), 11]
        stream.reset()
        parts = [stream.chunk(tokens[:, a:b]) for a, b in itertools.pairwise(bounds)]
        assert_near(torch.cat(parts, 1), wanted)
        same(stream.state, end)

    check()


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.no_grad()
def test_a_classifier_goes_on_from_a_snapshot_and_begins_anew_by_rows(name):
    model = CLASSIFIERS[name](torch.float32)
    before, after = torch.randint(9, (2, 3, 5))

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 5), st.sets(st.integers(0, 2)))
    def check(steps: int, rows: set[int]) -> None:
        stream, other = (elman.stream(model, batch=3) for _ in range(2))
        stream.chunk(before[:, :steps])
        saved, kept = save(stream.snapshot()), stream.state
        truth = [stream.step(t) for t in after.T]
        other.restore(load(saved))
        assert_equal([other.step(t) for t in after.T], truth)
        stream.state = kept
        stream.reset(sorted(rows))
        found = torch.stack([stream.step(t) for t in after.T], 1)
        for row in range(3):
            whole = after[row] if row in rows else torch.cat([before[row, :steps], after[row]])
            alone = [model(whole[None, : len(whole) - 4 + t])[0] for t in range(5)]
            assert_near(found[row], torch.stack(alone))

    check()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_a_classifier_gave_stays_as_it_was(name):
    model = CLASSIFIERS[name](torch.float32)
    if isinstance(model, ManyToOne):
        model.head = nn.Identity()
    stream = elman.stream(model, batch=2)
    given_out = stream.step(torch.tensor([3, 4]))
    copied = given_out.clone()
    kept = stream.snapshot()
    stream.reset([0])
    stream.step(torch.tensor([5, 6]))
    stream.restore(kept)
    stream.step(torch.tensor([1, 2]))
    assert torch.equal(given_out, copied)
    assert not given_out.requires_grad


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_state_of_another_classifier_is_refused(pooling):
    stream = classifier(pooling).stream(batch=2)
    stream.step(torch.tensor([3, 4]))
    kept = stream.state
    for other in ("max", "mean", "attention", "last"):
        if other != pooling:
            with pytest.raises(InputError, match="of another stream"):
                stream.restore(classifier(other).stream(batch=2).snapshot())
            with pytest.raises(SequenceError, match="Pooling"):
                stream.state = classifier(other).start(2)
    with pytest.raises(SequenceError, match="a tuple of 2, got 1"):
        stream.state = kept[:1]
    stream.state = kept
    assert_equal(stream.state, kept)
    with pytest.raises(SequenceError, match=r"\(batch=2, \.\.\.\), got \(3,\)"):
        stream.step(torch.tensor([3, 4, 5]))


def test_an_ensemble_that_trains_gives_each_members_logits_by_steps_too():
    model = ensemble(torch.float64)
    tokens, state = torch.randint(9, (2, 4)), model.start(2)
    model.training = True  # not the members, whose dropout would differ
    for t in tokens.T:
        y, state = model.step(t, state)
    assert_near(y.detach(), model(tokens).detach())
    with pytest.raises(InputError, match="Member 1, a Linear"):
        Ensemble([model.members[0], nn.Linear(2, 2)]).start()


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_is_a_chain(tied):
    """As a task streams one: embedding, layers, a map between, and scores by a shared weight."""
    torch.manual_seed(0)
    embedding, layer = nn.Embedding(9, 5), Recurrent("lstm", 5, 6, 2, dtype=torch.float32)
    between = nn.Linear(6, 5)
    weight = embedding.weight if tied else nn.Parameter(torch.randn(9, 5))
    bias = nn.Parameter(torch.randn(9))
    scores = nn.Linear(5, 9, device="meta")
    scores.weight, scores.bias = weight, bias
    parts = {"embedding": embedding, "recurrent": layer, "between": between, "scores": scores}
    stream = elman.nn.stream.ModelStream(parts.items(), batch=2)
    tokens = torch.randint(9, (7, 2))
    with torch.no_grad():
        y, state = layer(embedding(tokens))
        wanted = nn.functional.linear(between(y), weight, bias)
    assert_near(torch.stack([stream.step(t) for t in tokens]), wanted)
    assert_near(stream.state, state)
    assert set(stream.snapshot()) == {
        "identity",
        *(f"recurrent.layer{k}.state{i}" for k in (0, 1) for i in (0, 1)),
    }
    copied = dict(stream._parts)
    assert (copied["embedding"].weight is copied["scores"].weight) == tied


class Doubled:
    """A stream of somebody else's."""

    batch_first = False
    backend = "cpu"
    reason = ""
    state = ()

    def step(self, x):
        return 2 * x

    chunk = step

    def reset(self, rows=None):
        pass

    def snapshot(self):
        return {}

    def restore(self, snapshot):
        pass


class Doubling(nn.Module):
    def stream(self):
        return Doubled()


def test_a_model_with_a_stream_of_its_own_is_asked_first():
    assert isinstance(elman.stream(Doubling()), Doubled)
    with pytest.raises(InputError, match="has one row, not batch=2"):
        elman.stream(Doubling(), batch=2)
    model = nn.Sequential(Recurrent("gru", 3, 4), Doubling())
    x = torch.randn(5, 1, 3)
    with torch.no_grad():
        assert_near(elman.stream(model).chunk(x), 2 * model[0](x)[0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(GRU(3, 4), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4))), r"'1\.1', a Batch"),
        (nn.Sequential(nn.Conv1d(3, 3, 3), GRU(3, 4)), "'0', a Conv1d"),
        (nn.Sequential(GRU(3, 4), nn.Softmax(1)), "'1', a Softmax"),
        (nn.Sequential(GRU(3, 4), nn.LayerNorm((5, 4))), "'1', a LayerNorm"),
        (nn.Sequential(GRU(3, 4), nn.PReLU(4)), "'1', a PReLU"),
        (nn.Sequential(GRU(3, 4, bidirectional=True)), "read backwards"),
        (nn.Sequential(GRU(3, 4), GRU(4, 4, batch_first=True)), "batch_first and some are not"),
        (
            ManyToOne(Recurrent("gru", 3, 4, bidirectional=True), nn.Linear(8, 2)),
            "bidirectional=False",
        ),
        (
            ManyToOne(Recurrent("gru", 3, 4), nn.Linear(4, 2), front=nn.Identity()),
            r"front needs.*without front=",
        ),
        (
            ManyToOne(Recurrent("gru", 3, 4), nn.Linear(8, 2), beside=nn.Identity()),
            r"beside the recurrence looks ahead.*without beside=",
        ),
        (Ensemble([ManyToOne(Recurrent("gru", 3, 4, 2), Folded())]), "a Folded, cannot stream"),
        (Ensemble([GRU(3, 4), GRU(3, 4, batch_first=True)]), "all batch_first, or none"),
        (elman.cells.make("gru", 3, 4), r"goes into Recurrent\(cell\)"),
        (nn.GRUCell(3, 4), "A GRUCell"),
        (3, "A int has no stream"),
        (Aligned(Recurrent("gru", 3, 4), nn.Linear(4, 2), front=nn.Identity()), "front needs"),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, nn.Module) else "",
)
def test_what_cannot_stream_is_named(model, message):
    with pytest.raises(InputError, match=message):
        elman.stream(model)


def test_what_does_not_fit_a_model_is_told():
    stream = elman.stream(sequential(), batch=2)
    with pytest.raises(SequenceError, match=r"\(batch=2, \.\.\.\), got \(3,\)"):
        stream.step(torch.zeros(3, dtype=torch.long))
    with pytest.raises(
        SequenceError, match=r"'0', a Embedding, cannot read \(2,\) of torch.float32"
    ):
        stream.step(torch.zeros(2))
    with pytest.raises(SequenceError, match=r"'0', a Embedding, .*out of range"):
        stream.step(torch.tensor([3, 9]))
    with pytest.raises(SequenceError, match=r"A chunk takes x \(T, batch=2, \.\.\.\)"):
        stream.chunk(torch.zeros(7, 1, dtype=torch.long))
    with pytest.raises(SequenceError, match="a tuple of 2, got 1"):
        stream.state = (None,)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_stream_that_shares_units_goes_on_after_a_fork():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        stream = elman.nn.LSTM(200, 300).stream()
        x = torch.randn(4, 1, 200)
        stream.step(x[0])
        kept = stream.snapshot()
        truth = stream.chunk(x)
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            stream.restore(kept)
            os.write(write, stream.chunk(x).numpy().tobytes())
            os._exit(0)
        os.waitpid(child, 0)
        found = torch.frombuffer(bytearray(os.read(read, 1 << 16)), dtype=torch.float32)
        assert torch.equal(found.view(truth.shape), truth)
    finally:
        torch.set_num_threads(threads)
