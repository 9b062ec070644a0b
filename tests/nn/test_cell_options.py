"""The options of our cells in `elman.nn.RNN`, `LSTM` and `GRU`: those that say where weights start
leave a layer of torch's, those that change the equation make it the cell run by hand."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import elman.nn
from elman.cells import options_of
from elman.errors import InputError, SlowPathWarning
from elman.kernels import dispatch, explain, reference, use
from elman.nn import torch_compatible

THEIRS = {elman.nn.RNN: nn.RNN, elman.nn.LSTM: nn.LSTM, elman.nn.GRU: nn.GRU}
CELLS = {elman.nn.RNN: "elman", elman.nn.LSTM: "lstm", elman.nn.GRU: "gru"}
STARTS: list[tuple[Any, dict[str, Any]]] = [
    (elman.nn.RNN, {"init": "identity"}),
    (elman.nn.RNN, {"init": "spectral", "nonlinearity": "relu"}),
    (elman.nn.LSTM, {"forget_bias": 1.0}),
    (elman.nn.LSTM, {"chrono": 20, "proj_size": 2}),
    (elman.nn.LSTM, {"init": "orthogonal", "forget_bias": 0.0}),
    (elman.nn.GRU, {"chrono": 20}),
    (elman.nn.GRU, {"init": "orthogonal"}),
]
EQUATIONS: list[tuple[Any, dict[str, Any]]] = [
    (elman.nn.LSTM, {"peepholes": True}),
    (elman.nn.LSTM, {"coupled": True}),
    (elman.nn.LSTM, {"layer_norm": True}),
    (elman.nn.LSTM, {"layer_norm": True, "bias": False}),
    (elman.nn.LSTM, {"peepholes": True, "coupled": True, "layer_norm": True, "proj_size": 2}),
    (elman.nn.GRU, {"reset_after": False}),
    (elman.nn.GRU, {"reset_after": False, "bias": False}),
]
TORCHS = {
    "W.weight": "weight_ih",
    "U.weight": "weight_hh",
    "W.bias": "bias_ih",
    "U.bias": "bias_hh",
    "V.weight": "weight_hr",
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections", "ignore::elman.errors.SlowPathWarning"
)


def made(cls: Any, options: dict[str, Any], **more: Any) -> Any:
    """A layer in double precision no parameter of which is left at zero or one."""
    torch.manual_seed(0)
    layer = cls(3, 5, **options, **more, dtype=torch.float64)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return layer


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def by_hand(layer: Any, options: dict[str, Any], x: Tensor, lengths: Any = None) -> Any:
    """The same stack out of cells that hold copies of the layer's weights."""
    kind = CELLS[type(layer)]
    final, parameters = [], dict(layer.named_parameters())
    for index in range(layer.num_layers):
        outputs = []
        for direction in range(1 + layer.bidirectional):
            cell = elman.cells.make(kind, x.shape[-1], 5, **options, dtype=x.dtype)
            end = f"_l{index}" + ("_reverse" if direction else "")
            with torch.no_grad():
                for name, p in cell.named_parameters():
                    p.copy_(parameters.pop(TORCHS.get(name, name.replace(".", "_")) + end))
            result = reference.scan(cell, x, lengths=lengths, reverse=direction == 1)
            outputs.append(result.output)
            final.append(result.state)
        x = torch.cat(outputs, -1)
    assert not parameters
    return x, [torch.stack(part) for part in zip(*final, strict=True)]


@pytest.mark.parametrize(("cls", "options"), EQUATIONS)
@pytest.mark.parametrize("stack", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("lengths", [None, [4, 0, 7]])
def test_a_changed_equation_is_the_cell_run_by_hand(cls, options, stack, lengths):
    layer = made(cls, options, **stack)
    x = drawn(7, 3, 3)
    output, hidden = layer(x, lengths=lengths)
    truth, states = by_hand(layer, options, x, lengths)
    torch.testing.assert_close(output, truth, rtol=1e-12, atol=1e-12)
    hidden = hidden if isinstance(hidden, tuple) else (hidden,)
    for mine, theirs in zip(hidden, states, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cls", "options"), EQUATIONS)
def test_gradients_reach_every_parameter(cls, options):
    layer = made(cls, options, num_layers=2, bidirectional=True)
    layer(drawn(7, 3, 3))[0].square().sum().backward()
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name
    assert [p for run in layer.all_weights for p in run] == list(layer.parameters())


def test_batch_first_packed_unbatched_and_dropout_with_a_changed_equation():
    layer = made(elman.nn.LSTM, {"peepholes": True}, num_layers=2, batch_first=True, dropout=0.5)
    rows = [drawn(n, 3) for n in (2, 5)]
    assert not torch.equal(layer(rows[0])[0], layer(rows[0])[0])
    layer.eval()
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    output, (h, c) = layer(padded, lengths=[2, 5])
    packed, (h_packed, c_packed) = layer(pack_sequence(rows, enforce_sorted=False))
    unpacked, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    for a, b in ((unpacked, output), (h_packed, h), (c_packed, c)):
        torch.testing.assert_close(a, b)
    alone, (h_alone, _) = layer(rows[0])
    torch.testing.assert_close(alone, output[0, :2])
    torch.testing.assert_close(h_alone, h[:, 0])


def test_names_and_shapes_of_what_torch_does_not_have():
    layer = elman.nn.LSTM(3, 5, bidirectional=True, coupled=True, peepholes=True)
    assert {n: tuple(p.shape) for n, p in layer.named_parameters() if n.endswith("_reverse")} == {
        "weight_ih_l0_reverse": (15, 3),
        "weight_hh_l0_reverse": (15, 5),
        "bias_ih_l0_reverse": (15,),
        "bias_hh_l0_reverse": (15,),
        "p_i_l0_reverse": (5,),
        "p_o_l0_reverse": (5,),
    }
    assert [n for n, _ in elman.nn.LSTM(3, 5, layer_norm=True).named_parameters()] == [
        "weight_ih_l0",
        "weight_hh_l0",
        *(f"norm_{of}_{what}_l0" for of in "xhc" for what in ("weight", "bias")),
    ]
    assert {n: len(p) for n, p in elman.nn.GRU(3, 5, reset_after=False).named_parameters()} == {
        "weight_ih_l0": 15,
        "weight_hh_l0": 10,
        "bias_ih_l0": 15,
        "U_n_weight_l0": 5,
    }


@pytest.mark.parametrize(("cls", "options"), EQUATIONS)
def test_state_dicts_copies_and_moves(cls, options):
    layer = made(cls, options, num_layers=2, bidirectional=True)
    x = drawn(4, 2, 3)
    truth = layer(x)[0]
    other = cls(3, 5, 2, bidirectional=True, **options, dtype=torch.float64)
    assert not torch.equal(other(x)[0], truth)
    other.load_state_dict(layer.state_dict(), strict=True)
    for same in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(same(x)[0], truth)
    other.flatten_parameters()
    torch.testing.assert_close(other.float().to("cpu")(x.float())[0], truth.float())
    halved = copy.deepcopy(layer).half()
    output = halved(x.half())[0]
    assert output.dtype == torch.float16
    torch.testing.assert_close(output.double(), truth, rtol=0.02, atol=0.02)
    assert all(p.is_meta for p in cls(3, 5, **options, device="meta").parameters())


def test_what_runs_a_changed_equation_is_said(monkeypatch):
    layer, x = elman.nn.LSTM(3, 5, peepholes=True), torch.randn(4, 2, 3)
    assert explain(layer, x).backend == "cpu"
    with use("torch"), pytest.raises(InputError, match="no kernel for an LSTM with peepholes"):
        layer(x)
    # float16 has neither a compiled kernel nor, with peepholes, one of torch's.
    monkeypatch.setattr(dispatch, "_warned", set())
    with pytest.warns(SlowPathWarning, match="float64 and bfloat16, not torch.float16"):
        layer.half()(x.half())
    explained = explain(elman.nn.GRU(3, 5, 2, reset_after=False), x)
    assert explained.backend == "cpu"
    assert explained.reason == "a kernel was compiled for it"
    assert len(explained.parts) == 2


# Options that say where weights start.


@pytest.mark.parametrize(("cls", "options"), STARTS)
def test_another_start_leaves_the_layer_torchs(cls, options):
    layer = cls(3, 5, 2, bidirectional=True, **options)
    shared = {n: v for n, v in options.items() if n in ("nonlinearity", "proj_size")}
    theirs = THEIRS[cls](3, 5, 2, bidirectional=True, **shared)
    assert list(layer.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(layer.state_dict(), strict=True)
    layer.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(4, 2, 3)
    assert explain(layer, x).backend == "cpu"
    assert torch.allclose(layer(x)[0], theirs(x)[0], rtol=1e-5, atol=1e-6)
    with use("torch"):
        assert torch.equal(layer(x)[0], theirs(x)[0])
        assert explain(layer, x).reason == "torch.nn's own call"


def test_the_forget_bias_is_the_sum_of_both():
    layer = elman.nn.LSTM(3, 5, 2, bidirectional=True, forget_bias=2.5)
    torch.manual_seed(0)
    layer.reset_parameters()
    torch.manual_seed(0)
    theirs = nn.LSTM(3, 5, 2, bidirectional=True)
    for ours, drawn_by_torch in zip(layer.all_weights, theirs.all_weights, strict=True):
        assert (ours[2] + ours[3])[5:10].tolist() == [2.5] * 5
        # The same seed draws torch's weights everywhere else.
        kept = torch.arange(20).div(5, rounding_mode="floor") != 1
        assert all(torch.equal(a, b) for a, b in zip(ours[:2], drawn_by_torch[:2], strict=True))
        for a, b in zip(ours[2:], drawn_by_torch[2:], strict=True):
            assert torch.equal(a[kept], b[kept])
    coupled = elman.nn.LSTM(3, 5, coupled=True, forget_bias=2.5)
    assert (coupled.bias_ih_l0 + coupled.bias_hh_l0)[:5].tolist() == [-2.5] * 5


def test_chrono_starts_gates_open():
    lstm = elman.nn.LSTM(3, 50, chrono=20)
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    assert bias[50:100].min() >= 0
    assert 1 < bias[50:100].max() <= math.log(19)
    assert torch.equal(bias[:50], -bias[50:100])
    for options in ({}, {"reset_after": False}):
        gru = elman.nn.GRU(3, 50, chrono=20, **options)
        bias = gru.bias_ih_l0 + (0 if options else gru.bias_hh_l0)
        assert bias[50:100].min() >= 0
        assert 1 < bias[50:100].max() <= math.log(19)


def test_init_draws_the_recurrent_weights():
    layer = elman.nn.LSTM(3, 5, 2, init="orthogonal")
    for block in layer.weight_hh_l1.split(5):
        torch.testing.assert_close(block @ block.T, torch.eye(5))
    assert not layer.bias_ih_l1.any()
    assert torch.equal(elman.nn.RNN(3, 5, init="identity").weight_hh_l0, torch.eye(5))
    spectral = torch.linalg.eigvals(elman.nn.RNN(3, 5, init="spectral").weight_hh_l0)
    assert spectral.abs().max().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("cls", "options"),
    [(elman.nn.LSTM, {"peepholes": True}), (elman.nn.GRU, {"reset_after": False})],
)
def test_the_default_start_is_torchs(cls, options):
    torch.manual_seed(0)
    layer = cls(3, 5, **options)
    torch.manual_seed(0)
    theirs = THEIRS[cls](3, 5)
    assert torch.equal(layer.weight_ih_l0, theirs.weight_ih_l0)
    if "peepholes" in options:
        # Peepholes start at zero, so it also computes what torch's does.
        x = torch.randn(4, 2, 3)
        torch.testing.assert_close(layer(x)[0], theirs(x)[0])
    assert all(p.abs().max() <= 5**-0.5 for p in layer.parameters())


def test_options_at_their_defaults_change_nothing():
    options = {"peepholes": False, "coupled": False, "forget_bias": None, "init": "torch"}
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 5, **options)
    torch.manual_seed(0)
    theirs = nn.LSTM(3, 5)
    assert all(map(torch.equal, layer.parameters(), theirs.parameters()))
    assert repr(layer) == repr(theirs) == "LSTM(3, 5)"
    assert repr(elman.nn.LSTM(3, 5, 2, forget_bias=1.0, coupled=True)) == (
        "LSTM(3, 5, num_layers=2, forget_bias=1.0, coupled=True)"
    )


@pytest.mark.parametrize("cls", CELLS)
def test_every_option_of_the_cell_is_taken(cls):
    taken = {*torch_compatible._ARGUMENTS, *cls._also, *cls._defaults}
    assert set(options_of(CELLS[cls])) <= taken


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (elman.nn.LSTM, {"peephole": True}, "LSTM has no option 'peephole'. .* 'peepholes'"),
        (elman.nn.LSTM, {"batchfirst": True}, "Did you mean 'batch_first'"),
        (elman.nn.LSTM, {"nonlinearity": "relu"}, "LSTM has no option 'nonlinearity'"),
        (elman.nn.GRU, {"peepholes": True}, "GRU has no option 'peepholes'. Choose from"),
        (elman.nn.RNN, {"forget_bias": 1.0}, "RNN has no option 'forget_bias'"),
        (elman.nn.GRU, {"init": "orthogonl"}, "init='orthogonl' .* 'orthogonal'"),
        (elman.nn.GRU, {"chrono": 2}, "chrono=2 is too short"),
        (elman.nn.LSTM, {"forget_bias": 1.0, "bias": False}, "forget_bias .* bias=False"),
        (elman.nn.LSTM, {"init": "spectral", "proj_size": 2}, "must be square"),
    ],
)
def test_errors_name_the_option(cls, options, message):
    with pytest.raises(InputError, match=message):
        cls(3, 5, **options)
