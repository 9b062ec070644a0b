"""Other ways of torch to turn a model into something else: right, or one clear refusal."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import make
from elman.errors import InputError
from elman.kernels import explain, run
from elman.nn import Recurrent

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

X = torch.randn(4, 2, 3)
OWN = {
    "Recurrent": lambda: Recurrent("gru", 3, 4),
    "LSTM with peepholes": lambda: elman.nn.LSTM(3, 4, peepholes=True),
    "within a model": lambda: nn.Sequential(nn.Linear(3, 3), Recurrent("lru", 3, 4)),
}


class Bare(nn.Module):
    """A cell that is run without a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = make("gru", 3, 4)

    def forward(self, x):
        return run(self.cell, x).output


class WithLengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = elman.nn.GRU(3, 4)

    def forward(self, x):
        return self.layer(x, lengths=[4, 2])[0]


@pytest.mark.parametrize(
    "model", [*OWN.values(), Bare, WithLengths], ids=[*OWN, "Bare", "WithLengths"]
)
def test_jit_trace_is_refused(model):
    with pytest.raises(InputError, match=r"torch.jit.trace and .* cannot follow"):
        torch.jit.trace(model(), (X,))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_jit_trace_of_what_torch_has_is_torchs(kind):
    layer = getattr(elman.nn, kind)(3, 4, num_layers=2, bidirectional=True)
    traced = torch.jit.trace(layer, (X,))
    other = torch.randn(7, 5, 3)
    torch.testing.assert_close(traced(other)[0], layer(other)[0])


@pytest.mark.parametrize("model", [*OWN.values(), WithLengths], ids=[*OWN, "WithLengths"])
def test_the_older_onnx_exporter_is_refused(model):
    with pytest.raises(InputError, match=r"onnx.export\(dynamo=False\) cannot follow"):
        torch.onnx.export(model(), (X,), io.BytesIO(), dynamo=False)


@pytest.mark.parametrize("layer", [lambda: elman.nn.LSTM(3, 4), OWN["Recurrent"]])
def test_quantisation_is_refused_and_changes_nothing(layer):
    model = nn.Sequential(nn.Linear(3, 3), layer())
    for inplace in (False, True):
        with pytest.raises(InputError, match=r"does not know .* Quantise the other parts"):
            torch.ao.quantization.quantize_dynamic(model, inplace=inplace)
    assert type(model[0]) is nn.Linear
    assert model(X)[0].shape == (4, 2, 4)
    assert "qconfig" not in vars(model[1])


def test_a_package_without_python_is_refused(tmp_path):
    program = torch.export.export(Recurrent("gru", 3, 4), (X,))
    with pytest.raises(Exception, match="AOTInductor cannot compile GRU"):
        torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "m.pt2"))


@pytest.mark.slow
def test_a_program_that_is_loaded_without_elman_names_it(tmp_path):
    path = tmp_path / "layer.pt2"
    torch.export.save(torch.export.export(Recurrent("gru", 3, 4), (X,)), path)
    code = f"import torch; torch.export.load({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "failed to resolve torch.ops.elman.sequence.default" in done.stderr


# Autocast.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("GRU", {}), ("RNN", {}), ("LSTM", {}), ("LSTM", {"proj_size": 2})],
    ids=str,
)
def test_autocast_takes_the_faster_one_and_torchs_dtypes(kind, options, begun, dtype):
    theirs = getattr(nn, kind)(3, 4, num_layers=2, **options)
    ours = getattr(elman.nn, kind)(3, 4, num_layers=2, **options)
    ours.load_state_dict(theirs.state_dict())
    x, h = X.to(dtype), None
    if begun:
        h = torch.randn(2, 2, options.get("proj_size", 4))
        h = (h, torch.randn(2, 2, 4)) if kind == "LSTM" else h
    with torch.no_grad():
        truth, _ = theirs(x.float(), h)
        with torch.autocast("cpu", torch.bfloat16):
            wanted, state = theirs(x, h)
            found, own = ours(x, h)
            how = explain(ours, x, hx=h)
    assert found.dtype == wanted.dtype
    first = [s if isinstance(s, torch.Tensor) else s[0] for s in (state, own)]
    assert first[0].dtype == first[1].dtype
    off, theirs_off = ((y.float() - truth).norm() for y in (found, wanted))
    assert off <= 1.5 * theirs_off + 1e-6
    fused = kind == "LSTM" and not options and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert how.backend == ("torch" if fused else "cpu")
    assert how.reason == (
        "autocast asks for bfloat16, in which torch's is faster"
        if fused
        else "a kernel was compiled for it"
    )


def test_autocast_to_bfloat16_trains_a_gru():
    layer, x = elman.nn.GRU(3, 4), X
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)[0].square().sum().backward()
    found = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    layer(x)[0].square().sum().backward()
    torch.testing.assert_close(found, [p.grad for p in layer.parameters()])
