"""Layers inside torch.compile, torch.export, autocast, hooks and copies: eager mode's numbers."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._pytree import tree_leaves

import elman
import elman.nn
from elman.cells import Cell, make
from elman.errors import InputError, SlowPathWarning
from elman.kernels import SequenceError, choose, ops, record, use
from elman.kernels.build import find_compiler
from elman.nn import Recurrent

T, B = 6, 2


class Mine(Cell):
    """A user's own: options, a learned start, a tensor that is no parameter, a second state."""

    bent = False

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, state_sizes=(hidden_size, 2))
        self.W = nn.Linear(input_size, hidden_size)
        self.U = nn.Linear(hidden_size, hidden_size)
        self.h0 = nn.Parameter(torch.linspace(-1, 1, hidden_size))
        self.scale = torch.linspace(1, 2, hidden_size)
        self.decay, self.squash = 0.5, torch.tanh

    def init_state(self, batch, device=None, dtype=None):
        return self.h0.expand(batch, -1).to(dtype), torch.ones(batch, 2, dtype=dtype)

    def forward(self, x, state):
        h, c = state
        h = self.squash(self.W(x) * self.scale + self.decay * self.U(h)) + c.mean(-1, keepdim=True)
        if self.bent:
            h = -h.square()
        return h, (h, c * 0.9 + h[:, :2])


class Sorted(Cell):
    """One that only the reference can run."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.W = nn.Linear(3, 3)

    def forward(self, x, state):
        h = (state[0] + self.W(x)).sort(-1).values
        return h, (h,)


@pytest.fixture(autouse=True)
def _anew() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)


def results(layer: nn.Module, function: Any, x: Tensor, call: dict[str, Any]) -> list[Tensor]:
    """Everything `function` gives and every gradient; `layer` holds the parameters."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    found = [t for t in tree_leaves(function(x, **call)) if isinstance(t, Tensor)]
    weights = [torch.linspace(-1, 1, t.numel()).view(t.shape) for t in found]
    sum((t * w).sum() for t, w in zip(found, weights, strict=True)).backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in layer.parameters()]
    return [*found, x.grad, *grads]


def arguments(*names: str, batch_first: bool = False) -> dict[str, Any]:
    """Call arguments by name."""
    given = {
        "lengths": torch.tensor([T, 3]),
        "reset": torch.rand(T, B) < 0.3,
        "return_states": True,
        "hx": (torch.randn(4, B, 5), torch.randn(4, B, 5)),
    }
    if batch_first:
        given["reset"] = given["reset"].t()
    return {name: given[name] for name in names}


STACK: dict[str, Any] = {
    "num_layers": 2,
    "bidirectional": True,
    "batch_first": True,
    "dropout": 0.3,
    "zoneout": 0.2,
    "recurrent_dropout": 0.2,
}
LAYERS: list[tuple[str, Any, list[tuple[str, ...]]]] = [
    ("mine", lambda: Recurrent(Mine(3, 5)), [(), ("lengths", "reset"), ("return_states",)]),
    ("stack", lambda: Recurrent(Mine, 3, 5, **STACK), [("lengths", "reset", "return_states")]),
    ("variational", lambda: Recurrent("gru", 3, 3, 2, highway=True, variational=True, dropout=0.2,
                                      input_dropout=0.1), [("lengths",)]),
    ("lstm", lambda: elman.nn.LSTM(3, 5, 2, bidirectional=True, dropout=0.2),
     [(), ("hx",), ("lengths",), ("reset", "return_states")]),
    ("options", lambda: elman.nn.LSTM(3, 5, proj_size=2, peepholes=True, layer_norm=True,
                                      batch_first=True), [(), ("lengths",)]),
    ("gru", lambda: elman.nn.GRU(3, 5, 2), [(), ("lengths",)]),
    ("cho", lambda: elman.nn.GRU(3, 5, reset_after=False), [()]),
    ("rnn", lambda: elman.nn.RNN(3, 5, nonlinearity="relu"), [(), ("reset",)]),
    ("lru", lambda: Recurrent("lru", 3, 4), [()]),
]  # fmt: skip


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("eager", marks=pytest.mark.fuzz)])
@pytest.mark.parametrize(
    ("make_layer", "names"),
    [
        pytest.param(
            m,
            names,
            id="-".join((n, *names)),
            marks=[pytest.mark.fuzz] * (n not in ("stack", "gru")),
        )
        for n, m, calls in LAYERS
        for names in calls
    ],
)
def test_compiled_as_eager(make_layer, names, backend):
    layer = make_layer()
    x = torch.randn(T, B, 3)
    call = arguments(*names, batch_first=layer.batch_first)
    x = x.transpose(0, 1) if layer.batch_first else x
    wanted = results(layer, layer, x, call)
    with record() as ran:
        got = results(layer, torch.compile(layer, fullgraph=True, backend=backend), x, call)
    assert {choice.backend for choice in ran} == {"cpu"}
    torch.testing.assert_close(got, wanted)


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="inductor needs a compiler")
@pytest.mark.parametrize("names", [(), ("lengths", "reset", "return_states")])
@torch._inductor.config.patch(fallback_random=True)
def test_inductor(names):
    layer = Recurrent(Mine, 3, 5, **STACK)
    x, call = torch.randn(B, T, 3), arguments(*names, batch_first=True)
    wanted = results(layer, layer, x, call)
    with record() as ran:
        got = results(layer, torch.compile(layer, fullgraph=True), x, call)
    assert {choice.backend for choice in ran} == {"cpu"}
    torch.testing.assert_close(got, wanted)


def test_what_no_kernel_can_run_runs_on_the_reference_aloud(fresh_warnings):
    layer, x = Recurrent(Sorted()), torch.randn(T, B, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with pytest.warns(SlowPathWarning, match="sort has no kernel"):
        got = results(layer, compiled, x, {})
    torch.testing.assert_close(got, results(layer, layer, x, {}))


def test_the_graph_holds_one_operator_a_run():
    layer, graphs = Recurrent("lstm", 3, 5, 2), []

    def keep(graph: torch.fx.GraphModule, _: object) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.compile(layer, fullgraph=True, backend=keep)(torch.randn(T, B, 3))
    called = [n.target for n in graphs[0].graph.nodes if n.op == "call_function"]
    assert called.count(torch.ops.elman.sequence) == 2


def test_a_wrong_argument_is_told_when_the_graph_runs():
    layer = Recurrent("gru", 3, 5)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with pytest.raises(SequenceError, match=r"lengths\[1\] is 7, x has 6 steps"):
        compiled(torch.randn(T, B, 3), lengths=torch.tensor([6, 7]))


def test_a_packed_sequence_breaks_the_graph_and_nothing_else():
    layer = elman.nn.LSTM(3, 5, peepholes=True)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, 3), torch.tensor([T, 3]))
    compiled = torch.compile(layer, backend="eager")
    torch.testing.assert_close(compiled(packed)[0].data, layer(packed)[0].data)


# Shapes, options, instances.


@pytest.mark.parametrize("dynamic", [True, None])
def test_other_shapes_do_not_compile_for_ever(dynamic):
    layer, counter = Recurrent("lstm", 3, 5), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter, dynamic=dynamic)
    counts = []
    for steps, batch in [(6, 2), (7, 2), (9, 3), (20, 5), (11, 4), (30, 7)]:
        x, call = torch.randn(steps, batch, 3), {"lengths": torch.full((batch,), steps - 1)}
        torch.testing.assert_close(
            results(layer, compiled, x, call), results(layer, layer, x, call)
        )
        counts.append(counter.frame_count)
    assert counts[-1] == counts[2]


def test_a_marked_axis_is_compiled_once():
    layer, counter = Recurrent("gru", 3, 5), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    for steps, batch in [(6, 2), (9, 3), (20, 5)]:
        x = torch.randn(steps, batch, 3)
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_dynamic(x, 1)
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda cell: setattr(cell, "decay", 0.25),
        lambda cell: setattr(cell, "bent", True),
        lambda cell: setattr(cell, "squash", torch.sigmoid),
        lambda cell: cell.scale.mul_(2),
        lambda cell: setattr(cell, "scale", cell.scale + 1),
        lambda cell: cell.requires_grad_(False),
    ],
    ids=["number", "class attribute", "function", "in place", "tensor", "requires_grad"],
)
def test_what_is_changed_between_calls_is_noticed(change):
    layer, x = Recurrent(Mine(3, 5)), torch.randn(T, B, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    before = compiled(x)[0]
    change(layer.cells[0])
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])
    change(layer.cells[0])
    torch.testing.assert_close(compiled(x)[0], layer(x)[0])
    if layer.cells[0].h0.requires_grad:
        assert not torch.allclose(before, compiled(x)[0])


def test_layers_of_one_form_share_a_graph():
    counter = CompileCounterWithBackend("aot_eager")
    x = torch.randn(T, B, 3)

    @torch.compile(fullgraph=True, backend=counter)
    def through(layer: Recurrent, x: Tensor) -> Any:
        return layer(x)[0]

    for layer in [Recurrent(Mine, 3, 5) for _ in range(12)]:
        torch.testing.assert_close(through(layer, x), layer(x)[0])
    assert counter.frame_count == 1


def test_a_class_defined_anew_is_another():
    def defined(sign: float) -> type[Cell]:
        class Again(Cell):
            def forward(self, x: Tensor, state: Any) -> Any:
                h = torch.tanh(sign * x + state[0])
                return h, (h,)

        return Again

    x = torch.ones(T, B, 3)
    for sign in (1.0, -1.0):
        layer = Recurrent(defined(sign)(3, 3))
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])


# The operators.


def sample(cell: Cell, grad: bool, **call: Any) -> list[Any]:
    weights = [p.detach().clone().requires_grad_(grad) for p in cell.parameters()]
    state = [torch.randn(B, n, requires_grad=grad) for n in cell.state_sizes]
    given: dict[str, Any] = {
        "lengths": None,
        "reset": None,
        "masks": [],
        "rates": [0.0] * len(state),
        "cell": ops.register(cell)[0],
        "reverse": False,
        "return_states": False,
        "backend": "",
        "autocast": None,
        "differentiated": [True] * (1 + len(state) + len(weights)),
    }
    return [torch.randn(T, B, 3, requires_grad=grad), state, weights, *(given | call).values()]


CALLS: list[dict[str, Any]] = [
    {},
    {"lengths": torch.tensor([T, 3])},
    {"reset": torch.eye(T, B) > 0, "reverse": True, "return_states": True},
    {"masks": [torch.eye(T * B, 4).view(T, B, 4) > 0], "rates": [-1.0, 0.2]},
    {"autocast": torch.bfloat16},
]


@pytest.mark.parametrize("call", CALLS)
def test_opcheck(call):
    for grad in (False, True):
        torch.library.opcheck(
            torch.ops.elman.sequence.default, sample(make("lstm", 3, 4), grad, **call)
        )


def test_opcheck_of_the_backward_pass():
    args = sample(make("lstm", 3, 4), False)
    found = torch.ops.elman.sequence(*args)
    grads, given = [torch.randn_like(found[0]), torch.randn_like(found[2])], [True, False, True]
    for needed in ([True] * 7, [False, True, False, True, True, False, True]):
        torch.library.opcheck(
            torch.ops.elman.sequence_backward.default, (grads, given, found, *args, needed)
        )


@pytest.mark.parametrize("backend", ["", "torch", "reference"])
@pytest.mark.parametrize("call", [*CALLS[:2], {"reset": torch.eye(T, B) > 0}])
def test_what_waits_for_the_backward_pass_holds_no_argument(call, backend):
    """A compiler writes over memory whose tensors it thinks are dead."""

    def copied(v: Any) -> Any:
        return [copied(t) for t in v] if isinstance(v, list) else copy.deepcopy(v)

    args = sample(make("gru", 3, 4), False, backend=backend, **call)
    given = copied(args)
    *found, token = torch.ops.elman.sequence(*given)
    kept = [f.clone() for f in found]
    grads, all_ = [torch.randn_like(f) for f in found], [True] * len(args[-1])
    again = torch.ops.elman.sequence_backward(
        grads, [True] * len(grads), [*kept, token.clone()], *args, all_
    )
    for t in (given[0], *given[1], *given[2], *found):
        t.fill_(torch.nan)
    assert token.data_ptr() in ops._graphs
    once = torch.ops.elman.sequence_backward(
        grads, [True] * len(grads), [*kept, token], *args, all_
    )
    torch.testing.assert_close(once, again)


def test_the_forward_pass_runs_once_and_nothing_is_left_behind(monkeypatch):
    runs, kept = [], ops._kept
    monkeypatch.setattr(ops, "_kept", lambda args: runs.append(args) or kept(args))
    layer, x = Recurrent("lstm", 3, 5), torch.randn(T, B, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    gc.collect()
    before = len(ops._graphs)
    y = compiled(x)[0]
    assert len(ops._graphs) == before + 1
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert len(runs) == 1
    compiled(x)
    del y
    gc.collect()
    assert len(ops._graphs) == before
    with torch.no_grad():
        compiled(x)
    assert len(runs) == 2


# Export.


class Tagger(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.top = layer, nn.Linear(width, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.top(self.layer(x, lengths=lengths)[0])


@pytest.mark.parametrize("dynamic", [pytest.param(False, marks=pytest.mark.fuzz), True])
@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize(
    ("layer", "width"),
    [
        (lambda: Recurrent(Mine, 3, 5, 2, batch_first=True, bidirectional=True), 10),
        (lambda: elman.nn.GRU(3, 5, batch_first=True), 5),
    ],
)
def test_export(layer, width, strict, dynamic):
    model = Tagger(layer(), width).eval()
    x, lengths = torch.randn(3, T, 3), torch.tensor([T, 2, 4])
    b, t = torch.export.Dim("b"), torch.export.Dim("t")
    shapes = ({0: b, 1: t}, {0: b}) if dynamic else None
    program = torch.export.export(model, (x, lengths), strict=strict, dynamic_shapes=shapes)
    run = program.run_decompositions().module()
    with record() as ran:
        torch.testing.assert_close(run(x, lengths), model(x, lengths))
    assert {choice.backend for choice in ran} == {"cpu"}
    if dynamic:
        x, lengths = torch.randn(5, 9, 3), torch.tensor([9, 0, 1, 2, 3])
        torch.testing.assert_close(run(x, lengths), model(x, lengths))
    # An exported program can be trained too.
    module = program.module()
    module(x, lengths).sum().backward()
    model(x, lengths).sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(module.get_parameter(name).grad, p.grad)


LOADED = """
import torch, elman.nn
from elman.errors import InputError
from elman.kernels import ops
x = torch.ones(3, 6, 3)
for known in (False, True):
    if known:
        ops.register(elman.nn.GRU(3, 5, batch_first=True))
    try:
        y = torch.export.load({path!r}).module()(x, torch.tensor([6, 2, 4]))
        print(float(y.sum()))
    except InputError as error:
        print(error)
"""


@pytest.mark.fuzz
def test_an_exported_program_in_another_process(tmp_path: Path):
    model = Tagger(elman.nn.GRU(3, 5, batch_first=True), 5)
    call = (torch.ones(3, T, 3), torch.tensor([T, 2, 4]))
    path = str(tmp_path / "model.pt2")
    torch.export.save(torch.export.export(model, call), path)
    said = subprocess.run(
        [sys.executable, "-c", LOADED.format(path=path)], capture_output=True, text=True, check=True
    )
    error, value = said.stdout.splitlines()
    assert "a cell GRU that this process does not know. Make a layer of the same GRU" in error
    assert float(value) == pytest.approx(model(*call).sum().item(), rel=1e-5)


def test_an_unknown_cell():
    args = ["GRU-0" if isinstance(a, str) and a else a for a in sample(make("gru", 3, 4), False)]
    with pytest.raises(InputError, match=r"elman\.kernels\.ops\.register"):
        torch.ops.elman.sequence(*args)


# Autocast.


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["lstm", "mgu", "gru"])
def test_training_under_autocast(name, compiled):
    model = nn.Sequential(nn.Linear(4, 3), Recurrent(name, 3, 8, 2), nn.Linear(8, 1))
    step = lambda x: model[2](model[1](model[0](x))[0])  # noqa: E731
    step = torch.compile(step, fullgraph=True, backend="aot_eager") if compiled else step
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    x = torch.randn(T, 16, 4)
    target, losses = x.cumsum(0)[..., :1].tanh(), []
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16), record() as ran:
            y = step(x)
        assert y.dtype == torch.bfloat16
        halves = name == "lstm" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        assert {choice.backend for choice in ran} == {"torch" if halves else "cpu"}
        losses.append((y.float() - target).square().mean())
        optimiser.zero_grad()
        losses[-1].backward()
        assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_dtypes_under_autocast(name):
    x = torch.randn(T, B, 3)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = nn.LSTM(3, 5)(x)[0].dtype
        for backend in ("cpu", "reference"):
            with use(backend):
                for given in (x, x.bfloat16()):
                    y, state = Recurrent(name, 3, 5)(given)
                    assert {y.dtype, *(s.dtype for s in state[0])} == {wanted}
        y, _ = Recurrent(name, 3, 5, dtype=torch.float64)(x.double())
    assert wanted == torch.bfloat16
    assert y.dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "call"), [("lstm", {"lengths": [T, 2]}), ("gru", {}), ("mgu", {})]
)
def test_under_autocast_torchs_kernel_takes_only_whole_sequences_of_an_lstm(name, call):
    cell, x = make(name, 3, 5), torch.randn(T, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert choose(cell, x, **call).backend == "cpu"
        assert choose(make("lstm", 3, 5, peepholes=True), x).backend == "cpu"
        assert choose(make("lstm", 3, 5).double(), x.double()).backend == "cpu"
    with torch.autocast("cpu", torch.float16):
        assert choose(make("lstm", 3, 5), x).backend == "cpu"


def test_a_kernel_under_autocast_computes_in_single_precision():
    layer, x = Recurrent("gru_cho", 3, 5), torch.randn(T, B, 3)
    with torch.autocast("cpu", torch.bfloat16), record() as ran:
        low = layer(x)[0]
    assert ran[0].backend == "cpu"
    assert torch.equal(low, layer(x)[0].bfloat16())


# Transforms and second derivatives.


def test_a_second_derivative_is_the_references_and_aloud():
    layer, x = Recurrent("gru", 3, 5), torch.randn(T, B, 3)

    def penalty(function: Any) -> tuple[Tensor, ...]:
        inputs = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(
            function(inputs)[0].square().sum(), inputs, create_graph=True
        )
        return torch.autograd.grad(slope.square().sum(), [inputs, *layer.parameters()])

    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    with pytest.warns(SlowPathWarning, match="second derivative runs on the reference"):
        got = penalty(compiled)
    with use("reference"):
        torch.testing.assert_close(got, penalty(layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_gradients_of_torch_func(name, fresh_warnings):
    layer, x = Recurrent(name, 3, 5), torch.randn(T, B, 3)
    with warnings.catch_warnings(record=True) as caught, record() as ran:
        warnings.simplefilter("always")
        for _ in range(2):
            slope = torch.func.grad(lambda x: layer(x)[0].square().sum())(x)
    assert {c.backend for c in ran} == {"torch" if name == "lstm" else "reference"}
    assert [w.category for w in caught] == [SlowPathWarning] * (name == "mgu")
    x.requires_grad_()
    torch.testing.assert_close(slope, torch.autograd.grad(layer(x)[0].square().sum(), x)[0])


@pytest.mark.parametrize(
    "transform", ["grad", *[pytest.param(t, marks=pytest.mark.fuzz) for t in ("vmap", "jvp")]]
)
def test_transforms_in_a_graph_are_the_references_and_aloud(transform, fresh_warnings):
    layer, x = Recurrent("mgu", 3, 5), torch.randn(T, B, 3)

    def function(x: Tensor) -> Tensor:
        if transform == "vmap":
            return torch.func.vmap(lambda v: layer(v)[0])(x[None])
        if transform == "grad":
            return torch.func.grad(lambda v: layer(v)[0].sum())(x)
        return torch.func.jvp(lambda v: layer(v)[0], (x,), (x,))[1]

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    with pytest.warns(SlowPathWarning, match="in a graph no kernel follows"):
        got = compiled(x)
    torch.testing.assert_close(got, function(x))


# Memory, threads, imports.


def test_what_the_backward_pass_does_not_find_it_makes_again():
    layer, x = Recurrent("lstm", 3, 5), torch.randn(T, B, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")

    def offloaded(x: Tensor) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda t: t):
            return compiled(x)

    torch.testing.assert_close(results(layer, offloaded, x, {}), results(layer, layer, x, {}))


def test_checkpointing_inside_a_graph():
    layer, x = Recurrent("lstm", 3, 5), torch.randn(T, B, 3)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def checkpointed(x: Tensor) -> Any:
        return torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)

    torch.testing.assert_close(results(layer, checkpointed, x, {}), results(layer, layer, x, {}))


def test_threads_share_a_graph():
    layer, x = Recurrent("lstm", 3, 5), torch.randn(T, B, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")

    def slope(function: Any) -> Tensor:
        inputs = x.clone().requires_grad_()
        return torch.autograd.grad(function(inputs)[0].sum(), inputs)[0]

    wanted = slope(layer)
    slope(compiled)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: slope(compiled), range(40)):
            torch.testing.assert_close(got, wanted)


def test_a_fake_tensor_needs_no_kernel():
    layer = Recurrent("lstm", 3, 5)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True), record() as ran:
        assert layer(torch.empty(T, B, 3))[0].shape == (T, B, 5)
    assert not ran


def test_the_compiler_is_not_imported_with_the_layers():
    code = "import sys, elman.nn; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Gradients that add up, hooks, copies, files.


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_accumulate_and_hooks_fire(compiled):
    layer, x = Recurrent("lstm", 3, 5, 2), torch.randn(T, B, 3)
    fired: list[str] = []
    layer.register_forward_pre_hook(lambda *_: fired.append("before"))
    layer.register_forward_hook(lambda *_: fired.append("after"))
    weight = layer.cells[0].U.weight
    weight.register_hook(lambda g: fired.append("gradient"))
    weight.register_post_accumulate_grad_hook(lambda p: fired.append("accumulated"))
    function = torch.compile(layer, backend="aot_eager", fullgraph=True) if compiled else layer
    with record() as ran:
        function(x)[0].sum().backward()
    assert [choice.backend for choice in ran] == ["cpu", "cpu"]
    once = weight.grad.clone()
    function(x)[0].sum().backward()
    torch.testing.assert_close(weight.grad, 2 * once)
    assert fired == ["before", "after", "gradient", "accumulated"] * 2


def test_a_hook_inside_a_cell_fires_inside_a_graph():
    layer, x, fired = Recurrent("gru", 3, 5), torch.randn(T, B, 3), []
    layer.cells[0].U.register_forward_hook(lambda *_: fired.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowPathWarning)
        torch.compile(layer, backend="aot_eager", fullgraph=True)(x)
    assert len(fired) == T


@pytest.mark.parametrize(
    "make_layer", [lambda: Recurrent(Mine, 3, 5, 2), lambda: elman.nn.LSTM(3, 5, peepholes=True)]
)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_copy_is_a_layer_of_its_own(make_layer, compiled):
    layer, x = make_layer(), torch.randn(T, B, 3)
    function = torch.compile(layer, backend="aot_eager", fullgraph=True) if compiled else layer
    function(x)[0].sum().backward()
    twin = copy.deepcopy(layer)
    torch.testing.assert_close(twin(x)[0], layer(x)[0])
    with torch.no_grad():
        for p in twin.parameters():
            p.mul_(2)
    other = torch.compile(twin, backend="aot_eager", fullgraph=True) if compiled else twin
    torch.testing.assert_close(other(x)[0], copy.deepcopy(twin)(x)[0])
    assert not torch.allclose(other(x)[0], function(x)[0])


def test_a_compiled_layer_is_saved_and_loaded(tmp_path: Path):
    from safetensors.torch import load_model, save_model

    layer, x = Recurrent("lstm", 3, 5, 2), torch.randn(T, B, 3)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    wanted = compiled(x)[0]
    save_model(layer, str(tmp_path / "layer.safetensors"))
    other = Recurrent("lstm", 3, 5, 2)
    load_model(other, str(tmp_path / "layer.safetensors"))
    assert torch.equal(other(x)[0], wanted)
    other = Recurrent("lstm", 3, 5, 2)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x)[0], wanted)
    torch.save(layer, tmp_path / "whole.pt")
    assert torch.equal(torch.load(tmp_path / "whole.pt", weights_only=False)(x)[0], wanted)
