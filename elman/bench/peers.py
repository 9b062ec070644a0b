"""Other programs that run recurrences, if installed: torch.compile, onnxruntime, JAX."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

import elman.nn
from elman.bench.layers import data, row_of, text
from elman.bench.measure import PASSES, Step, compare, operations, step_of
from elman.bench.own_cells import loop, output
from elman.bench.report import Note, Row
from elman.bench.settings import Settings
from elman.cells import LSTM

GROUP = "peers"


def peers(settings: Settings, threads: int) -> Iterator[Row | Note]:
    """Measure our LSTM, with its plain cell as a layer, beside each of them."""
    shape = (5, 2, 3, 8) if settings.quick else (100, 32, 128, 128)
    steps, batch, *sizes = shape
    torch.manual_seed(0)
    cell = LSTM(*sizes)
    layer = elman.nn.Recurrent(cell)
    x, cotangent = data(shape)

    def row(work: str, peer: str, step: Step) -> Row:
        ours = step_of(work, functools.partial(output, layer, x), cell, x, cotangent)
        timed = compare(settings, {"ours": ours, "peer": step})
        return row_of(
            timed,
            GROUP,
            f"LSTM {work}",
            text(shape),
            threads,
            peer=peer,
            operations=operations(work, cell, steps * batch),
        )

    if settings.compile:
        call = functools.partial(torch.compile(loop), cell, x)
        for work in PASSES:
            step = step_of(work, call, cell, x, cotangent)
            start = time.perf_counter()
            step()
            took = time.perf_counter() - start
            first = f"first call of torch.compile of the loop, LSTM {work}"
            yield Row(GROUP, first, text(shape), threads, took, "s")
            yield row(work, "torch.compile of the loop", step)
    else:
        yield Note(GROUP, "torch.compile of a loop: only with --compile, since it takes minutes")

    missing = [name for name in ("onnx", "onnxruntime") if not _installed(name)]
    if missing:
        yield Note(GROUP, f"onnxruntime: not installed ({', '.join(missing)})")
    else:
        yield row("inference", "onnxruntime", _onnx(cell, x, threads))

    if _installed("jax"):
        for work in PASSES:
            yield row(work, "JAX scan, as many threads as it likes", _jax(work, cell, x, cotangent))
    else:
        yield Note(GROUP, "JAX scan: not installed (jax)")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _onnx(cell: LSTM, x: Tensor, threads: int) -> Step:
    """Make a step of the LSTM operator of ONNX, whose gates are i, o, f, c."""
    onnx, runtime = (importlib.import_module(name) for name in ("onnx", "onnxruntime"))

    def gates(t: Tensor) -> Any:
        i, f, g, o = t.detach().chunk(4)
        return torch.cat([i, o, f, g])[None].numpy()

    make, single = onnx.helper, onnx.TensorProto.FLOAT
    weights = {
        "W": gates(cell.W.weight),
        "R": gates(cell.U.weight),
        "B": torch.cat([torch.from_numpy(gates(m.bias)) for m in (cell.W, cell.U)], 1).numpy(),
    }
    steps, batch, inputs = x.shape
    graph = make.make_graph(
        [make.make_node("LSTM", ["X", *weights], ["Y"], hidden_size=cell.hidden_size)],
        "lstm",
        [make.make_tensor_value_info("X", single, [steps, batch, inputs])],
        [make.make_tensor_value_info("Y", single, [steps, 1, batch, cell.hidden_size])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(model.SerializeToString(), options)
    given = {"X": x.detach().numpy()}
    return lambda: [torch.from_numpy(session.run(None, given)[0][:, 0])]


def _jax(work: str, cell: LSTM, x: Tensor, cotangent: Tensor) -> Step:
    """Make a step of `jax.lax.scan` over the cell, compiled."""
    jax = importlib.import_module("jax")
    numbers = jax.numpy
    given = [numbers.asarray(t.detach().numpy()) for t in (x, *cell.parameters())]
    seed = numbers.asarray(cotangent.numpy())

    def whole(x: Any, w: Any, b: Any, u: Any, d: Any) -> Any:
        def step(state: Any, a: Any) -> Any:
            h, c = state
            i, f, g, o = numbers.split(a + h @ u.T, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * numbers.tanh(g)
            h = jax.nn.sigmoid(o) * numbers.tanh(c)
            return (h, c), h

        zero = numbers.zeros((x.shape[1], u.shape[1]))
        return jax.lax.scan(step, (zero, zero), x @ w.T + (b + d))[1]

    def scalar(*arguments: Any) -> Any:
        y = whole(*arguments)
        return (y * seed).sum(), y

    trained = jax.value_and_grad(scalar, argnums=range(5), has_aux=True)
    run = jax.jit(whole if work == "inference" else trained)

    def step() -> Sequence[Tensor]:
        found = jax.block_until_ready(run(*given))
        y, grads = (found, ()) if work == "inference" else (found[0][1], found[1])
        return [from_dlpack(t) for t in (y, *grads)]

    return step
