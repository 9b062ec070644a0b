"""Each cell against its equation, written anew from the paper, gate by gate, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from elman.cells import CELLS, Cell

Arrays = dict[str, np.ndarray]


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def relu(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


def rows(p: Arrays, name: str, gates: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each gate in the stacked map `name`; no bias is a bias of zero."""
    weight = p[f"{name}.weight"]
    bias = p.get(f"{name}.bias", np.zeros(len(weight)))
    return list(zip(np.split(weight, gates), np.split(bias, gates), strict=True))


def affine(v: np.ndarray, map_: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    weight, bias = map_
    return np.einsum("oi,bi->bo", weight, v) + bias


def elman(p, x, state, nonlinearity="tanh", **_):
    (h,) = state
    a = affine(x, *rows(p, "W", 1)) + affine(h, *rows(p, "U", 1))
    h = {"tanh": np.tanh, "relu": relu}[nonlinearity](a)
    return h, (h,)


def irnn(p, x, state, **_):
    return elman(p, x, state, nonlinearity="relu")


def jordan(p, x, state, output_nonlinearity="tanh", decay=0.0, **_):
    (s,) = state
    h = np.tanh(affine(x, *rows(p, "W", 1)) + affine(s, *rows(p, "U", 1)))
    phi = {"tanh": np.tanh, "sigmoid": sigmoid, "identity": lambda a: a}[output_nonlinearity]
    y = phi(affine(h, *rows(p, "V", 1)))
    return y, (y + decay * s,)


def layer_norm(p: Arrays, name: str, a: np.ndarray) -> np.ndarray:
    """Ba et al. 2016, equation 4, with torch's epsilon."""
    mean, deviation = a.mean(-1, keepdims=True), np.sqrt(a.var(-1, keepdims=True) + 1e-5)
    return p[f"{name}.weight"] * (a - mean) / deviation + p.get(f"{name}.bias", 0.0)


def lstm(p, x, state, peepholes=False, coupled=False, proj_size=0, layer_norm_=False, **_):
    h, c = state
    from_x = affine(x, *rows(p, "W", 1))
    from_h = affine(h, *rows(p, "U", 1))
    if layer_norm_:
        from_x, from_h = layer_norm(p, "norm_x", from_x), layer_norm(p, "norm_h", from_h)
    gates = np.split(from_x + from_h, 3 if coupled else 4, axis=-1)
    i, g, o = gates[0], gates[-2], gates[-1]
    i = sigmoid(i + (p["p_i"] * c if peepholes else 0))
    f = 1 - i if coupled else sigmoid(gates[1] + (p["p_f"] * c if peepholes else 0))
    c = f * c + i * np.tanh(g)
    o = sigmoid(o + (p["p_o"] * c if peepholes else 0))
    h = o * np.tanh(layer_norm(p, "norm_c", c) if layer_norm_ else c)
    if proj_size:
        h = affine(h, *rows(p, "V", 1))
    return h, (h, c)


def gru(p, x, state, reset_after=True, **_):
    (h,) = state
    wr, wz, wn = rows(p, "W", 3)
    if reset_after:
        ur, uz, un = rows(p, "U", 3)
    else:
        (ur, uz), (un,) = rows(p, "U", 2), rows(p, "U_n", 1)
    r = sigmoid(affine(x, wr) + affine(h, ur))
    z = sigmoid(affine(x, wz) + affine(h, uz))
    n = np.tanh(affine(x, wn) + (r * affine(h, un) if reset_after else affine(r * h, un)))
    h = (1 - z) * n + z * h
    return h, (h,)


def gru_cho(p, x, state, **_):
    return gru(p, x, state, reset_after=False)


def mgu(p, x, state, **_):
    (h,) = state
    (wf, wn), (uf,), (un,) = rows(p, "W", 2), rows(p, "U", 1), rows(p, "U_n", 1)
    f = sigmoid(affine(x, wf) + affine(h, uf))
    h = (1 - f) * h + f * np.tanh(affine(x, wn) + affine(f * h, un))
    return h, (h,)


def ugrnn(p, x, state, nonlinearity="tanh", **_):
    (h,) = state
    (wg, wn), (ug, un) = rows(p, "W", 2), rows(p, "U", 2)
    g = sigmoid(affine(x, wg) + affine(h, ug))
    n = {"tanh": np.tanh, "relu": relu}[nonlinearity](affine(x, wn) + affine(h, un))
    h = g * h + (1 - g) * n
    return h, (h,)


def indrnn(p, x, state, nonlinearity="relu", bound=np.inf, **_):
    (h,) = state
    a = affine(x, *rows(p, "W", 1)) + np.clip(p["u"], -bound, bound) * h
    h = {"tanh": np.tanh, "relu": relu}[nonlinearity](a)
    return h, (h,)


def candidate(a: np.ndarray, positive: bool) -> np.ndarray:
    return np.where(a >= 0, a + 0.5, sigmoid(a)) if positive else a


def mingru(p, x, state, positive=False, **_):
    (h,) = state
    wz, wn = rows(p, "W", 2)
    z = sigmoid(affine(x, wz))
    h = (1 - z) * h + z * candidate(affine(x, wn), positive)
    return h, (h,)


def minlstm(p, x, state, positive=False, scaled=True, **_):
    (h,) = state
    wf, wi, wn = rows(p, "W", 3)
    f, i = sigmoid(affine(x, wf)), sigmoid(affine(x, wi))
    h = (f * h + i * candidate(affine(x, wn), positive)) / (f + i if scaled else 1)
    return h, (h,)


def lru(p, x, state, **_):
    s = state[0] + 1j * state[1]
    eigenvalue = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    b_re, b_im = np.split(p["W.weight"], 2)
    s = eigenvalue * s + np.exp(p["gamma"]) * (x @ (b_re + 1j * b_im).T)
    c = p["V_re.weight"] + 1j * p["V_im.weight"]
    y = (s @ c.T).real + x @ p["W_y.weight"].T + p.get("V_re.bias", 0)
    return y, (s.real, s.imag)


def esn(p, x, state, leak=1.0, **_):
    (h,) = state
    h = (1 - leak) * h + leak * np.tanh(affine(x, *rows(p, "W", 1)) + affine(h, *rows(p, "U", 1)))
    return affine(h, *rows(p, "V", 1)) + affine(x, *rows(p, "W_y", 1)), (h,)


PAPER = {name: globals()[name] for name in CELLS}


def test_three_steps_follow_the_paper(
    variant: tuple[str, dict[str, Any]],
    cell: Cell,
    step: tuple[torch.Tensor, tuple[torch.Tensor, ...]],
) -> None:
    name, options = variant
    options = {("layer_norm_" if k == "layer_norm" else k): v for k, v in options.items()}
    p = {key: tensor.numpy() for key, tensor in cell.state_dict().items()}
    x, state = step
    expected = tuple(s.numpy() for s in state)
    for factor in (1.0, -0.5, 2.0):
        output, state = cell(factor * x, state)
        paper, expected = PAPER[name](p, factor * x.numpy(), expected, **options)
        np.testing.assert_allclose(output.detach().numpy(), paper, rtol=1e-12, atol=1e-13)
        for ours, theirs in zip(state, expected, strict=True):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-12, atol=1e-13)


def _copy(cell: Cell, peer: torch.nn.Module) -> None:
    with torch.no_grad():
        for map_, suffix in ((cell.W, "ih"), (cell.U, "hh")):
            getattr(peer, f"weight_{suffix}").copy_(map_.weight)
            if map_.bias is not None:
                getattr(peer, f"bias_{suffix}").copy_(map_.bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "peer"),
    [
        ("elman", {}, torch.nn.RNNCell),
        ("elman", {"nonlinearity": "relu"}, torch.nn.RNNCell),
        ("lstm", {}, torch.nn.LSTMCell),
        ("gru", {}, torch.nn.GRUCell),
    ],
)
def test_plain_cells_share_their_weights_with_torch(name, options, peer, bias) -> None:
    torch.manual_seed(3)
    cell = CELLS[name](3, 5, bias=bias, init="torch", dtype=torch.float64, **options)
    theirs = peer(3, 5, bias=bias, dtype=torch.float64, **options)
    _copy(cell, theirs)
    x = torch.randn(4, 3, dtype=torch.float64)
    state = tuple(torch.randn(4, n, dtype=torch.float64) for n in cell.state_sizes)
    ours = cell(x, state)[1]
    answer = theirs(x, state if name == "lstm" else state[0])
    for a, b in zip(ours, answer if name == "lstm" else (answer,), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-14)


def test_the_projected_lstm_shares_its_weights_with_torch() -> None:
    torch.manual_seed(4)
    cell = CELLS["lstm"](3, 5, proj_size=2, init="torch", dtype=torch.float64)
    layer = torch.nn.LSTM(3, 5, proj_size=2, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(cell.W.weight)
        layer.bias_ih_l0.copy_(cell.W.bias)
        layer.weight_hh_l0.copy_(cell.U.weight)
        layer.bias_hh_l0.copy_(cell.U.bias)
        layer.weight_hr_l0.copy_(cell.V.weight)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    state = cell.init_state(4)
    outputs = []
    for x_t in x:
        output, state = cell(x_t, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs), layer(x)[0], rtol=1e-13, atol=1e-13)
