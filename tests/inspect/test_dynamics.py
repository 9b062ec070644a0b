"""What steps do to differences in the state, against recurrences solved by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import elman.nn
from elman.cells import CELLS, Cell, make
from elman.errors import InputError
from elman.inspect import Passage, dynamics, observe
from elman.inspect.dynamics import fixed_points, jacobians, lyapunov, orthogonality, spectrum
from elman.inspect.passage import _passage
from elman.kernels import run
from elman.kernels.witness import witnessed


class Map(Cell):
    """A step given as a function of x and h, with a matrix in it if there is one.

    h' = f(x, h)
    """

    def __init__(self, size, step, U=None):
        super().__init__(size, size)
        self.step = step
        if U is not None:
            self.U = nn.Linear(size, size, bias=False, dtype=torch.double)
            self.U.weight.data = U

    def forward(self, x, state):
        h = self.step(self, x, state[0])
        return h, (h,)


def linear(A):
    return Map(len(A), lambda cell, x, h: x + cell.U(h), A)


def matrix(n, seed=0):
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def passing(cell, x, lengths=None, state=None, **options):
    """A passage by the plain loop, for which nothing need be compiled."""
    with witnessed() as runs:
        run(cell, x, state, lengths=lengths, backend="reference", **options)
    return _passage(runs[0], "layer")


def by_differences(passage, x, state):
    """The Jacobian of a step from one whole state `(n,)`, by central differences."""
    sizes, columns = list(passage.cell.state_sizes), []
    for i in range(len(state)):
        step = torch.zeros_like(state)
        step[i] = 1e-6
        ends = [
            torch.cat(passage.step(x[None], torch.split((state + e)[None], sizes, -1))[1], -1)[0]
            for e in (step, -step)
        ]
        columns.append((ends[0] - ends[1]) / 2e-6)
    return torch.stack(columns, 1).detach()


def check_by_differences(passage):
    x, state = passage.all_steps()
    whole = torch.cat(state, -1)
    wanted = torch.stack([by_differences(passage, *at) for at in zip(x, whole, strict=True)])
    found = jacobians(passage, samples=len(x))
    # All steps, in the order of the draw.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, wanted[order], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", list(CELLS))
def test_jacobians_are_those_of_finite_differences(name):
    torch.manual_seed(0)
    check_by_differences(passing(make(name, 3, 4).double(), noise(4, 2, 3), lengths=[4, 2]))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_jacobians_of_torchs_layers_and_loops(kind):
    torch.manual_seed(0)
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True).double()
    _, passages = observe(layer, lambda: layer(noise(3, 2, 3)))
    assert len(passages) == 4
    for passage in passages:
        check_by_differences(passage)

    step = getattr(nn, kind + "Cell")(3, 4).double()

    def loop():
        state = None
        for x in noise(3, 2, 3):
            state = step(x, state)

    _, (passage,) = observe(step, loop)
    check_by_differences(passage)


def test_a_float32_layer_is_looked_at_in_float64_and_left_alone():
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 4)
    kept = {name: p.clone() for name, p in layer.named_parameters()}
    with torch.inference_mode():
        _, (passage,) = observe(layer, lambda: layer(torch.randn(5, 2, 3)))
    found = jacobians(passage, samples=3)
    double = copy.deepcopy(layer).double()
    _, (wide,) = observe(double, lambda: double(noise(1, 1, 3)))
    x, state = passage.all_steps()
    chosen = torch.randperm(10, generator=torch.Generator().manual_seed(0))[:3]
    for k, at in enumerate(chosen):
        whole = torch.cat([s[at] for s in state]).double()
        wanted = by_differences(wide, x[at].double(), whole)
        torch.testing.assert_close(found[k], wanted, atol=1e-7, rtol=1e-6)
    assert all(torch.equal(p, kept[name]) for name, p in layer.named_parameters())
    assert all(p.dtype == torch.float32 and p.grad is None for p in layer.parameters())


def test_the_spectrum_of_a_linear_recurrence_is_that_of_its_matrix():
    A = matrix(6)
    A *= 0.9 / torch.linalg.eigvals(A).abs().max()
    found = spectrum(passing(linear(A), noise(9, 4, 6)), samples=20)
    assert found.singular.shape == (20, 6)
    assert found.radius == pytest.approx(0.9, rel=1e-9)
    values = torch.linalg.svdvals(A)
    assert found.largest == pytest.approx(float(values[0]), rel=1e-9)
    torch.testing.assert_close(found.quantiles(0.1, 0.9), values.expand(2, 6))
    assert found.shrinking == pytest.approx(float((values < 0.5).double().mean()))
    assert found.growing == pytest.approx(float((values > 1.5).double().mean()))
    assert 0 < found.shrinking + found.growing < 1
    for row in found.eigenvalues:
        wanted = torch.linalg.eigvals(A)
        assert (row[:, None] - wanted).abs().min(0).values.max() < 1e-9


def test_an_orthogonal_recurrence_keeps_every_difference():
    Q = torch.linalg.qr(matrix(8)).Q
    passage = passing(linear(Q), noise(30, 3, 8))
    torch.testing.assert_close(
        spectrum(passage).singular, torch.ones(64, 8, dtype=torch.double), atol=1e-12, rtol=0
    )
    found = lyapunov(passage)
    assert found.exponents.abs().max() < 1e-12
    assert found.errors.max() < 1e-12


@pytest.mark.parametrize("radius", [0.5, 1.3])
def test_the_largest_exponent_of_a_linear_recurrence_is_the_logarithm_of_its_radius(radius):
    A = matrix(16)
    A *= radius / torch.linalg.eigvals(A).abs().max()
    found = lyapunov(passing(linear(A), noise(600, 2, 16)), count=2)
    assert found.largest == pytest.approx(math.log(radius), rel=0.01)


def test_all_exponents_of_a_diagonal_recurrence():
    a = torch.tensor([0.3, -0.9, 0.6, 1.2], dtype=torch.double)
    passage = passing(linear(torch.diag(a)), noise(400, 3, 4))
    wanted = a.abs().log().sort(descending=True).values
    assert lyapunov(passage).exponents.tolist() == pytest.approx(wanted.tolist(), rel=0.01)
    assert lyapunov(passage, count=2).exponents.tolist() == pytest.approx(
        wanted[:2].tolist(), rel=0.01
    )


def test_the_exponent_of_the_logistic_map_is_log_2():
    # h' = 4 h (1 - h) is conjugate to the tent map, which stretches by 2 everywhere.
    cell = Map(1, lambda cell, x, h: 4 * h * (1 - h) + 0 * x)
    start = noise(16, 1).sigmoid()
    found = lyapunov(passing(cell, noise(400, 16, 1), state=[start]))
    assert found.largest == pytest.approx(math.log(2), rel=0.01)
    assert found.errors[0] < 0.01


def test_all_exponents_together_are_the_volume_that_a_step_keeps():
    torch.manual_seed(0)
    lengths = torch.tensor([12, 5, 9])
    passage = passing(make("gru", 3, 4).double(), noise(12, 3, 3), lengths)
    found = lyapunov(passage, count=4)
    before = passage.before[0]
    for b, n in enumerate(lengths):
        taken = n - n // 4
        volumes = [
            torch.linalg.slogdet(by_differences(passage, passage.x[t, b], before[t, b])).logabsdet
            for t in range(taken)
        ]
        assert int(found.steps[b]) == taken
        assert float(found.rows[b].sum()) == pytest.approx(float(sum(volumes) / taken), rel=1e-6)


def test_rows_of_different_length_count_by_their_steps():
    # h' = exp(x) h: the exponent of a row is its mean input over the steps that count.
    cell = Map(1, lambda cell, x, h: x.exp() * h)
    x, lengths = noise(40, 4, 1), torch.tensor([40, 0, 8, 25])
    found = lyapunov(passing(cell, x, lengths))
    parts = [x[:30, 0, 0], x[:6, 2, 0], x[:19, 3, 0]]
    means, counts = torch.stack([p.mean() for p in parts]), torch.tensor([30.0, 6.0, 19.0])
    whole = torch.cat(parts).mean()
    assert found.steps.tolist() == [30, 6, 19]
    torch.testing.assert_close(found.rows[:, 0], means)
    assert found.largest == pytest.approx(float(whole))
    squares = ((means - whole) * counts / counts.mean()) ** 2
    assert float(found.errors[0]) == pytest.approx(float((squares.sum() / 6).sqrt()), rel=1e-6)
    equal = lyapunov(passing(cell, x))
    wanted = x[:30, :, 0].mean(0).std() / 2
    assert float(equal.errors[0]) == pytest.approx(float(wanted))
    assert lyapunov(passing(cell, x[:, :1])).errors.isnan().all()


@pytest.mark.parametrize(("rho", "z"), [(0.5, 0.3), (1.2, 0.5), (0.9, 1.0)])
def test_zoneout_is_part_of_the_step(rho, z):
    kept = z + (1 - z) * rho
    passage = passing(linear(rho * torch.eye(3).double()), noise(30, 4, 3), hold=(z,))
    found = spectrum(passage)
    torch.testing.assert_close(found.singular, torch.full_like(found.singular, kept))
    assert found.radius == pytest.approx(kept)
    exponents = lyapunov(passage).exponents
    assert exponents.tolist() == pytest.approx([math.log(kept)] * 3, abs=1e-12)
    # While training it is the share of the masks, the same for every step.
    mask = torch.rand(30, 4, 3, generator=torch.Generator().manual_seed(0)) < z
    drawn = passing(linear(rho * torch.eye(3).double()), noise(30, 4, 3), hold=(mask,))
    share = float(mask.double().mean())
    assert spectrum(drawn).radius == pytest.approx(share + (1 - share) * rho)


def test_a_state_of_its_own_zoneout_and_any_matrix():
    A, z = matrix(4), 0.4
    found = jacobians(passing(linear(A), noise(5, 2, 4), hold=(z,)))
    wanted = z * torch.eye(4).double() + (1 - z) * A
    torch.testing.assert_close(found, wanted.expand(10, 4, 4))
    torch.manual_seed(0)
    cell = make("lstm", 3, 4).double()
    reset = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)) < 0.4
    check_by_differences(
        passing(cell, noise(6, 2, 3), [6, 4], reset=reset, hold=(None, 0.7), reverse=True)
    )


def test_fixed_points_are_where_they_are_and_only_slower_to_come_to():
    rest, z = 0.8, 0.6
    w = math.atanh(rest) / rest
    cell = Map(1, lambda cell, x, h: torch.tanh(w * h + x))
    found = fixed_points(passing(cell, noise(30, 5, 1), hold=(z,)), input=torch.zeros(1))
    assert sorted(float(p.state) for p in found) == pytest.approx([-rest, 0, rest], abs=1e-9)
    slopes = [w * (1 - rest**2)] * 2 + [w]
    for p, slope in zip(found, slopes, strict=True):
        assert p.eigenvalues.item().real == pytest.approx(z + (1 - z) * slope)


def test_sequences_between_resets_are_as_rows_of_their_own():
    torch.manual_seed(0)
    cell, x = make("gru", 3, 4).double(), noise(12, 2, 3)
    reset = torch.zeros(12, 2, dtype=torch.bool)
    reset[[0, 5, 7], [0, 0, 1]] = True
    whole = passing(cell, x, [12, 10], reset=reset)
    apart = torch.zeros(7, 4, 3).double()
    lengths = [5, 7, 7, 3]
    for k, (b, first) in enumerate([(0, 0), (0, 5), (1, 0), (1, 7)]):
        apart[: lengths[k], k] = x[first : first + lengths[k], b]
    for count in (2, 4):
        a, b = lyapunov(whole, count), lyapunov(passing(cell, apart, lengths), count)
        torch.testing.assert_close(a.rows, b.rows)
        torch.testing.assert_close(a.exponents, b.exponents)
        assert a.steps.tolist() == b.steps.tolist() == [4, 6, 6, 3]
    torch.testing.assert_close(
        jacobians(whole, 99).sum(0), jacobians(passing(cell, apart, lengths), 99).sum(0)
    )
    assert lyapunov(whole, rows=3).rows.shape == (3, 4)


@pytest.mark.parametrize("A", [torch.diag(torch.tensor([0.9, 0.0])), torch.full((2, 2), 0.45)])
def test_a_direction_that_is_wiped_out_has_a_finite_exponent(A):
    found = lyapunov(passing(linear(A.double()), noise(100, 2, 2)))
    assert found.exponents[0].item() == pytest.approx(math.log(0.9), rel=0.01)
    assert -800 < found.exponents[1].item() < -30
    assert found.errors.isfinite().all()


def test_nothing_left_at_all_is_finite_too():
    passage = passing(Map(2, lambda cell, x, h: x + 0 * h), noise(9, 2, 2))
    assert lyapunov(passage).exponents.tolist() == pytest.approx([-708.4, -708.4], abs=0.1)
    assert spectrum(passage).shrinking == 1


def test_the_same_seed_gives_the_same():
    torch.manual_seed(0)
    passage = passing(make("lstm", 2, 3), torch.randn(20, 30, 2))
    for estimate in (
        lambda seed: jacobians(passage, 8, seed),
        lambda seed: spectrum(passage, 8, seed).singular,
        lambda seed: lyapunov(passage, 3, seed).exponents,
    ):
        first, again, other = estimate(1), estimate(1), estimate(2)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
    points = [[p.state.tolist() for p in fixed_points(passage, 5, 3)] for _ in range(2)]
    assert points[0] == points[1] != []


def test_fewer_steps_and_rows_than_asked_for():
    passage = passing(linear(matrix(3)), noise(2, 2, 3), lengths=[2, 1])
    assert jacobians(passage).shape == (3, 3, 3)
    found = lyapunov(passage, count=99)
    assert found.rows.shape == (2, 3)
    assert lyapunov(passage, rows=1).rows.shape == (1, 3)


def test_fixed_points_of_one_unit():
    rest = 0.8
    w = math.atanh(rest) / rest
    cell = Map(1, lambda cell, x, h: torch.tanh(w * h + x))
    found = fixed_points(passing(cell, noise(30, 5, 1)), input=torch.zeros(1))
    assert [p.unstable for p in found] == [0, 0, 1]
    assert sorted(float(p.state) for p in found[:2]) == pytest.approx([-rest, rest], abs=1e-9)
    assert abs(float(found[2].state)) < 1e-9
    assert all(p.stable and not p.slow for p in found[:2])
    assert not found[2].stable
    for p, slope in zip(found, [w * (1 - rest**2)] * 2 + [w], strict=True):
        assert p.eigenvalues.item().real == pytest.approx(slope, rel=1e-9)
        assert p.speed < 1e-20


def test_fixed_points_of_two_units():
    rests = torch.tensor([0.8, 0.6], dtype=torch.double)
    w = torch.atanh(rests) / rests
    cell = Map(2, lambda cell, x, h: torch.tanh(w * h + x))
    passage = passing(cell, noise(40, 10, 2))
    found = fixed_points(passage, tries=100, input=torch.zeros(2))
    # Each unit is at one of its three: four states are stable, four are saddles.
    assert [p.unstable for p in found] == [0] * 4 + [1] * 4 + [2]
    assert [p.stable for p in found] == [True] * 4 + [False] * 5
    for p in found:
        away = torch.minimum(p.state.abs(), (p.state.abs() - rests).abs())
        assert away.max() < 1e-9


def test_the_mean_input_is_that_of_the_steps_taken():
    A, x = 0.5 * torch.linalg.qr(matrix(3)).Q, noise(6, 2, 3)
    (found,) = fixed_points(passing(linear(A), x, lengths=[6, 2]))
    mean = torch.cat([x[:, 0], x[:2, 1]]).mean(0)
    wanted = torch.linalg.solve(torch.eye(3, dtype=torch.double) - A, mean)
    torch.testing.assert_close(found.state, wanted)
    assert found.eigenvalues.abs().tolist() == pytest.approx([0.5] * 3)


@pytest.mark.parametrize(("gap", "kept"), [(1e-4, True), (0.1, False)])
def test_where_the_state_only_slows_down(gap, kept):
    # h + h² + gap has no fixed point; its state lingers near 0 if the gap is narrow.
    cell = Map(1, lambda cell, x, h: h + h**2 + gap + x)
    start = torch.linspace(-0.9, -0.3, 7, dtype=torch.double)[:, None]
    found = fixed_points(passing(cell, torch.zeros(8, 7, 1).double(), state=[start]))
    assert len(found) == kept
    for p in found:
        assert p.slow
        assert abs(float(p.state)) < 1e-3
        assert p.speed == pytest.approx(gap**2 / 2, rel=1e-3)


def test_weights_block_by_block():
    n = 6
    cell = make("gru", 2, n, dtype=torch.double)
    A = matrix(n)
    with torch.no_grad():
        cell.U.weight[n : 2 * n] *= 2
        cell.U.weight[2 * n :] = A
    found = orthogonality(cell)
    assert list(found) == [f"U.weight[{k}]" for k in range(3)]
    one, two, three = found.values()
    assert (one.distance, one.radius, one.norm) == pytest.approx((0, 1, 1), abs=1e-9)
    assert (two.distance, two.radius, two.norm) == pytest.approx((3, 2, 2), rel=1e-9)
    assert three.radius == pytest.approx(float(torch.linalg.eigvals(A).abs().max()))
    assert three.norm == pytest.approx(float(torch.linalg.svdvals(A)[0]))
    off = (torch.linalg.svdvals(A) ** 2 - 1).square().sum().sqrt()
    assert three.distance == pytest.approx(float(off) / n**0.5)


def test_weights_of_every_kind():
    assert list(orthogonality(make("gru_cho", 2, 5))) == [
        "U.weight[0]",
        "U.weight[1]",
        "U_n.weight[0]",
    ]
    assert orthogonality(make("mingru", 2, 5)) == {}
    assert orthogonality(make("lstm", 2, 8, proj_size=2)) == {}
    cell = make("indrnn", 2, 3)
    cell.u.data = torch.tensor([0.0, 0.5, -2.0])
    (found,) = orthogonality(cell).values()
    assert (found.radius, found.norm) == (2, 2)
    assert found.distance == pytest.approx(((1 + 0.75**2 + 9) / 3) ** 0.5)


def test_weights_lent_to_a_layer():
    layer = nn.LSTM(3, 4, num_layers=2)
    with torch.no_grad():
        layer.weight_hh_l1.zero_()
    _, (first, second) = observe(layer, lambda: layer(torch.randn(2, 1, 3)))
    assert len(orthogonality(first)) == 4
    assert min(b.norm for b in orthogonality(first).values()) > 0
    assert all((b.distance, b.norm) == (1, 0) for b in orthogonality(second).values())


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda cell, x, h: x + h.detach(), "no gradient goes back"),
        (lambda cell, x, h: x + torch.from_numpy(h.detach().numpy() / 2), "no gradient goes back"),
        (lambda cell, x, h: (x + h).sqrt(), "not finite"),
        (lambda cell, x, h: 1e200 * (1 + h), "states are not finite"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(step, says):
    passage = passing(Map(2, step), torch.zeros(4, 1, 2, dtype=torch.double))
    for look in (jacobians, lyapunov, spectrum, fixed_points):
        if says == "not finite" and look is fixed_points:
            continue
        with pytest.raises(InputError, match=says):
            look(passage)


def test_what_makes_no_sense_is_refused():
    passage = passing(linear(matrix(2)), noise(3, 2, 2))
    with pytest.raises(InputError, match="count=0"):
        lyapunov(passage, count=0)
    with pytest.raises(InputError, match="rows=0"):
        lyapunov(passage, rows=0)
    with pytest.raises(InputError, match="0 steps"):
        jacobians(passage, samples=0)
    with pytest.raises(InputError, match=r"input must be \(2,\)"):
        fixed_points(passage, input=torch.zeros(3))
    empty = passing(linear(matrix(2)), noise(3, 2, 2), lengths=[0, 0])
    for look in (jacobians, lyapunov, spectrum, fixed_points):
        with pytest.raises(InputError, match="no step was taken"):
            look(empty)
    still = passing(linear(matrix(2)), noise(3, 2, 2))
    still.states = tuple(s.to(torch.complex128) for s in still.states)
    with pytest.raises(InputError, match="complex"):
        jacobians(still)


def test_a_search_that_goes_on_and_on_is_given_up(monkeypatch):
    cell = make("gru", 2, 8).double()
    passage = Passage.of(cell, torch.randn(20, 3, 2, dtype=torch.double))
    counted, least_squares = [], dynamics.least_squares

    def counting(*given, **named):
        found = least_squares(*given, **named)
        counted.append(found.nfev)
        return found

    monkeypatch.setattr(dynamics, "least_squares", counting)
    assert not fixed_points(passage)[0].slow
    assert 2 < max(counted) < dynamics._EVALUATIONS
    monkeypatch.setattr(dynamics, "_EVALUATIONS", 2)
    counted.clear()
    assert all(point.slow for point in fixed_points(passage))
    assert max(counted) == 2
