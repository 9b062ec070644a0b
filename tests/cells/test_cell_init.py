"""How parameters start: each initialiser has the property it is named for."""

from __future__ import annotations

import math

import pytest
import torch

from elman.cells import CELLS, ESN, GRU, IRNN, LRU, LSTM, MGU, UGRNN, Elman, IndRNN, MinGRU, make
from elman.cells.init import INITIALISERS, RECURRENT
from elman.errors import InputError

WEIGHTS = [n for n in INITIALISERS if n not in ("torch", "forget", "chrono")]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def radius(weight: torch.Tensor) -> float:
    return torch.linalg.eigvals(weight.double()).abs().max().item()


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_orthogonal_keeps_lengths(shape: tuple[int, int]) -> None:
    weight = INITIALISERS["orthogonal"](torch.empty(shape, dtype=torch.float64), gain=2.0)
    small = weight @ weight.T if shape[0] <= shape[1] else weight.T @ weight
    torch.testing.assert_close(small, 4 * torch.eye(min(shape), dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_weight_initialiser_works_in_half_precision(dtype: torch.dtype) -> None:
    for name in WEIGHTS:
        weight = INITIALISERS[name](torch.full((6, 6), torch.nan, dtype=dtype))
        assert torch.isfinite(weight).all(), name


def test_identity_is_the_identity() -> None:
    assert torch.equal(INITIALISERS["identity"](torch.empty(3, 3), gain=0.01), 0.01 * torch.eye(3))


def test_spectral_radius_is_what_was_asked() -> None:
    weight = torch.empty(60, 60, dtype=torch.float64)
    assert radius(INITIALISERS["spectral"](weight, generator=seeded())) == pytest.approx(1)
    INITIALISERS["spectral"](weight, radius=0.7, sparsity=0.9, generator=seeded())
    assert radius(weight) == pytest.approx(0.7)
    assert torch.equal((weight != 0).sum(1), torch.full((60,), 6))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_smallest_sparse_matrix_can_still_be_scaled(size: int) -> None:
    for seed in range(50):
        weight = torch.empty(size, size, dtype=torch.float64)
        INITIALISERS["spectral"](weight, radius=0.9, sparsity=1.0, generator=seeded(seed))
        assert radius(weight) == pytest.approx(0.9)


def test_spectral_refuses_what_has_no_eigenvalues() -> None:
    with pytest.raises(InputError, match=r"4 × 3 matrix.*square"):
        INITIALISERS["spectral"](torch.empty(4, 3))


def test_glorot_and_torch_fill_their_ranges() -> None:
    weight = INITIALISERS["glorot"](torch.empty(300, 500), generator=seeded())
    assert weight.abs().max() == pytest.approx(math.sqrt(6 / 800), rel=1e-3)
    assert weight.var() == pytest.approx(2 / 800, rel=0.02)
    weight = INITIALISERS["torch"](torch.empty(300, 500), size=64, generator=seeded())
    assert weight.abs().max() == pytest.approx(1 / 8, rel=1e-3)


def test_chrono_forgets_over_one_to_the_longest_dependency() -> None:
    bias = INITIALISERS["chrono"](torch.empty(20_000), steps=101, generator=seeded())
    span = bias.exp()  # uniform on [1, 100]; a gate of bias b forgets over about exp(b) + 1 steps
    assert 1 <= span.min() < 1.1
    assert 99.9 < span.max() <= 100.001
    assert span.mean() == pytest.approx(50.5, rel=0.02)
    with pytest.raises(InputError, match=r"chrono=2 is too short"):
        INITIALISERS["chrono"](torch.empty(3), steps=2)


def test_a_cell_draws_every_gate_of_its_recurrent_map_alone() -> None:
    for block in LSTM(3, 8).U.weight.split(8):
        torch.testing.assert_close(block @ block.T, torch.eye(8), rtol=0, atol=1e-6)
    for block in GRU(3, 8, init="spectral").U.weight.split(8):
        assert radius(block) == pytest.approx(1, rel=1e-4)
    assert torch.equal(Elman(3, 4, init="identity").U.weight, torch.eye(4))
    limit = math.sqrt(6 / (3 + 8))
    assert limit * 0.8 < LSTM(3, 8).W.weight.abs().max() <= limit


def test_init_torch_draws_what_torch_draws() -> None:
    torch.manual_seed(0)
    cell = LSTM(300, 64, init="torch", forget_bias=None)
    for tensor in cell.parameters():
        assert tensor.abs().max() <= 1 / 8
        assert tensor.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.1)


def test_the_forget_gate_starts_where_it_is_told() -> None:
    def forget_of(cell: LSTM) -> list[float]:
        return (cell.W.bias + cell.U.bias)[2:4].tolist()

    assert forget_of(LSTM(3, 2)) == [1, 1]
    assert forget_of(LSTM(3, 2, forget_bias=-2.0, init="torch")) == [-2, -2]
    assert LSTM(3, 2, layer_norm=True).norm_x.bias[2:4].tolist() == [1, 1]
    # Coupled: f = σ(1) when i = σ(-1).
    assert LSTM(3, 2, coupled=True).W.bias[:2].tolist() == [-1, -1]
    assert UGRNN(3, 2, forget_bias=0.5).W.bias.tolist() == [0.5, 0.5, 0, 0]


@pytest.mark.parametrize(
    ("name", "options", "keeps", "admits"),
    [
        ("lstm", {}, (1, 1), (0, -1)),
        ("lstm", {"init": "torch"}, (1, 1), (0, -1)),
        ("lstm", {"coupled": True}, (0, -1), None),
        ("gru", {}, (1, 1), None),
        ("gru", {"init": "torch"}, (1, 1), None),
        ("gru_cho", {}, (1, 1), None),
        ("mgu", {}, (0, -1), None),
        ("ugrnn", {}, (0, 1), None),
        ("mingru", {}, (0, -1), None),
        ("minlstm", {}, (0, 1), (1, -1)),
    ],
)
def test_chrono_reaches_the_gate_that_keeps_the_state(name, options, keeps, admits) -> None:
    """`keeps` and `admits`: index of the gate and the sign its bias has."""
    cell = make(name, 3, 500, chrono=80, **options)
    bias = cell.W.bias.detach()
    if hasattr(cell, "U") and cell.U.bias is not None:
        bias = bias + cell.U.bias.detach()
    gate, sign = keeps
    kept = sign * bias[gate * 500 : (gate + 1) * 500]
    assert kept.min() >= 0
    assert math.log(70) < kept.max() <= math.log(79) + 1e-4
    if admits:
        gate, sign = admits
        assert torch.equal(sign * bias[gate * 500 : (gate + 1) * 500], kept)


def test_irnn_starts_by_remembering() -> None:
    torch.manual_seed(0)
    cell = IRNN(200, 50)
    assert torch.equal(cell.U.weight, torch.eye(50))
    assert cell.W.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert torch.equal(cell.W.bias + cell.U.bias, torch.zeros(50))


def test_indrnn_starts_with_memories_of_all_lengths() -> None:
    torch.manual_seed(0)
    u = IndRNN(3, 5000, bound=1.2).u.detach()
    assert 0 <= u.min() < 0.01
    assert 1.19 < u.max() <= 1.2
    assert u.mean() == pytest.approx(0.6, abs=0.02)


def test_lru_starts_on_its_ring_with_states_of_unit_gain() -> None:
    torch.manual_seed(0)
    cell = LRU(4, 5000, output_size=1, r_min=0.5, r_max=0.9, max_phase=0.3, dtype=torch.float64)
    modulus = (-cell.nu.detach().exp()).exp()
    assert 0.5 <= modulus.min() < 0.51
    assert 0.899 < modulus.max() <= 0.9
    # Uniform by area: the median splits the ring's area, not its width.
    assert modulus.median() == pytest.approx(math.sqrt((0.25 + 0.81) / 2), abs=0.01)
    assert cell.theta.exp().max() <= 0.3
    torch.testing.assert_close(cell.gamma.exp() ** 2 + modulus**2, torch.ones(5000).double())
    assert cell.W.weight.var().item() == pytest.approx(1 / 8, rel=0.05)
    with pytest.raises(InputError, match=r"r_min=0.9, r_max=0.5"):
        LRU(3, 4, r_min=0.9, r_max=0.5)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_lru_is_finite_at_the_ends_of_its_range(ends: tuple[float, float]) -> None:
    cell = LRU(3, 200, r_min=ends[0], r_max=ends[1])
    output, _ = cell(torch.ones(1, 3), cell.init_state(1))
    output.sum().backward()
    assert all(torch.isfinite(p).all() and torch.isfinite(p.grad).all() for p in cell.parameters())


def test_the_reservoir_has_its_radius_and_forgets() -> None:
    torch.manual_seed(0)
    cell = ESN(2, 80, spectral_radius=0.8, sparsity=0.9, input_scale=0.5)
    assert radius(cell.U.weight) == pytest.approx(0.8, rel=1e-4)
    assert (cell.U.weight == 0).float().mean() == pytest.approx(0.9)
    assert cell.W.weight.abs().max() <= 0.5
    # The echo state property: two different starts end in the same state.
    a, b = (torch.randn(1, 80),), (torch.randn(1, 80),)
    for x in torch.randn(200, 1, 2):
        (_, a), (_, b) = cell(x, a), cell(x, b)
    torch.testing.assert_close(a[0], b[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_a_generator_decides_every_draw(name: str) -> None:
    cell = make(name, 3, 4)

    def drawn(seed: int) -> list[torch.Tensor]:
        cell.reset_parameters(seeded(seed))
        return [tensor.clone() for tensor in cell.state_dict().values()]

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_reset_leaves_no_parameter_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    cell = make(name, 3, 4)
    with torch.no_grad():
        for tensor in cell.state_dict().values():
            tensor.fill_(torch.nan)
    cell.reset_parameters()
    assert all(torch.isfinite(tensor).all() for tensor in cell.state_dict().values())


def test_lstm_reset_reaches_peepholes_norms_and_projection() -> None:
    cell = LSTM(3, 4, peepholes=True, layer_norm=True, proj_size=2)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(torch.nan)
    cell.reset_parameters()
    assert all(torch.isfinite(parameter).all() for parameter in cell.parameters())


def test_an_unknown_initialiser_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"init='ortogonal' is not known.*'orthogonal'"):
        make("gru", 3, 4, init="ortogonal")
    assert set(RECURRENT) < set(INITIALISERS)


@pytest.mark.parametrize("cls", [MGU, MinGRU])
def test_gates_that_forget_start_half_open(cls) -> None:
    assert cls(3, 4).W.bias.tolist() == [0] * 8
