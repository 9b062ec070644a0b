"""How far data reaches, for processes of which it is known."""

from __future__ import annotations

import math
import string

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from elman.errors import InputError
from elman.inspect.dependence import (
    Dependence,
    autocorrelation,
    input_target,
    mutual_information,
    reach,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ar(phi, steps, seed=0):
    noise = torch.randn(steps, generator=seeded(seed)).tolist()
    x = [noise[0] / math.sqrt(1 - phi**2)]
    for e in noise[1:]:
        x.append(phi * x[-1] + e)
    return torch.tensor(x)


def chain(stay, n, steps, seed=0):
    """Symbols that stay with a probability and are else drawn anew from all n, with its I(k).

    The chance of the same symbol k later is 1/n + (1 − 1/n) stay^k: stay is the second eigenvalue.
    """
    g = seeded(seed)
    new = torch.randint(n, (steps,), generator=g)
    moved = torch.rand(steps, generator=g) >= stay
    moved[0] = True
    at = torch.where(moved, torch.arange(steps), 0).cummax(0).values

    def information(k):
        same, other = 1 / n + (1 - 1 / n) * stay**k, (1 - stay**k) / n
        return same * math.log2(n * same) + (n - 1) * other * math.log2(n * other)

    return new[at], information


def test_autocorrelation_is_that_of_statsmodels():
    acf = pytest.importorskip("statsmodels.tsa.stattools").acf
    x = torch.stack([ar(0.8, 501), ar(-0.5, 501, 1), torch.full((501,), 3.0)], 1)
    found = autocorrelation(x, 40)
    assert found.lags.tolist() == list(range(1, 41))
    for d in range(2):
        want = acf(x[:, d].double().numpy(), nlags=40, fft=False)[1:]
        np.testing.assert_allclose(found.value[:, d], want, rtol=1e-10, atol=1e-12)
    assert found.value[:, 2].abs().max() == 0
    torch.testing.assert_close(autocorrelation(x[:, 0], 40).value, found.value[:, 0])


@pytest.mark.parametrize("phi", [0.5, 0.9, -0.8])
def test_an_autoregression_falls_by_phi_each_step(phi):
    found = autocorrelation(ar(phi, 30_000), 30)
    error = (found.value - phi ** found.lags.double()).abs()
    # Bartlett: the error's standard deviation is at most this.
    assert error.max() < 4 * math.sqrt((1 + phi**2) / (1 - phi**2) / 30_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "two features"])
def test_white_noise_has_no_reach(kind):
    alarms = 0
    for seed in range(40):
        x = torch.randn(500, 2, generator=seeded(seed))
        x = {"normal": x[:, 0], "heavy tails": x[:, 0] / x[:, 1], "two features": x}[kind]
        alarms += reach(autocorrelation(x, 100, seed=seed)) > 0
    assert alarms <= 2


def test_an_autoregression_reaches_as_far_as_it_is_above_the_noise():
    found = [reach(autocorrelation(ar(0.9, 4000, s), 1000, seed=s)) for s in range(12)]
    # 0.9^k meets Bartlett's band for 1000 lags, 4 √((1 + φ²) / (1 − φ²) / 4000), at lag 15; a band
    # as of white noise would be passed by chance at lags of hundreds.
    assert 10 <= np.median(found) <= 25
    assert max(found) <= 60


def test_a_season_reaches_on_and_on():
    x = torch.sin(torch.arange(6000) * 2 * torch.pi / 24) + 0.3 * ar(0, 6000)
    found = autocorrelation(x, 120)
    assert reach(found) >= 119
    assert 24 <= reach(autocorrelation(x[:600], 120)) < 119
    assert found.value[20:28].argmax() == 3
    assert found.value[11] < -found.floor[11]


@pytest.mark.parametrize(("stay", "n"), [(0.9, 4), (0.6, 10), (0.8, 2)])
def test_a_markov_chain_has_the_information_of_its_eigenvalue(stay, n):
    codes, information = chain(stay, n, 200_000)
    found = mutual_information(codes, 200)
    told = {int(k): float(v) for k, v in zip(found.lags, found.value, strict=True)}
    for k in (1, 2, 3, 5):
        assert told[k] == pytest.approx(information(k), rel=0.05)
    assert reach(found) > 5
    # With stay = 0.9, information at lag 60 is 1e-5 of that at lag 1, and no estimate sees it.
    assert reach(found) < math.log(1e-3) / math.log(stay)
    far = found.value[found.lags > 150]
    assert float(far.abs().max()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 200])
def test_symbols_drawn_at_random_have_no_reach(n):
    alarms = 0
    for seed in range(40):
        codes = torch.randint(n, (3000,), generator=seeded(seed))
        alarms += reach(mutual_information(codes, 100, seed=seed)) > 0
    assert alarms <= 2


def test_information_of_nothing_is_nothing_on_average():
    codes = torch.randint(6, (2000,), generator=seeded(0))
    found = mutual_information(codes, 100)
    # Counts alone would say (6 - 1)² / (2 N ln 2) = 0.0090.
    assert abs(float(found.value.mean())) < 0.001


@pytest.mark.slow
def test_symbols_that_change_seldom_are_no_reason_for_alarm():
    # The counts of so slow a chain err far more than those of independent symbols.
    found = []
    for seed in range(20):
        codes, _ = chain(0.95, 3, 5000, seed)
        found.append(reach(mutual_information(codes, 1000, seed=seed)))
    assert 20 < np.median(found) < 80
    assert sorted(found)[-2] < 150


def test_a_copy_is_seen_where_it_is_from():
    g = seeded(0)
    x = torch.randint(6, (20_000,), generator=g)
    kept = torch.rand(20_000, generator=g) < 0.8
    for t in range(20, len(x)):
        if kept[t]:
            x[t] = x[t - 20]
    text = "".join(string.ascii_letters[c] for c in x)
    for tokens in (x, text, [(c, "tuple") for c in text]):
        found = mutual_information(tokens, 100)
        assert found.lags[found.value.argmax()] == 20
        assert reach(found) in range(20, 101)
        assert reach(found) % 20 == 0
    numbers = autocorrelation(x.float(), 100)
    assert numbers.lags[numbers.value.argmax()] == 20


def test_one_symbol_alone_tells_nothing():
    found = mutual_information("a" * 100, 10)
    assert found.value.abs().max() == 0
    assert reach(found) == 0
    assert reach(autocorrelation(torch.ones(50), 10)) == 0


def test_rare_symbols_count_as_one():
    codes = torch.cat([torch.arange(4).repeat(5000), torch.arange(4, 1000)])
    found = mutual_information(codes, 3, symbols=5)
    assert float(found.value[0]) == pytest.approx(2, abs=0.3)
    few = mutual_information(codes[:20_000], 3, symbols=2)
    # Of 0 1 2 3 0 1 ..., one symbol told from the rest: H(1/4) bits.
    assert float(few.value[3 - 1]) < float(few.value.max()) + 1e-9
    assert float(mutual_information(codes[:20_000], 4, symbols=2).value[3]) == pytest.approx(
        0.25 * 2 + 0.75 * math.log2(4 / 3), abs=1e-3
    )


def test_reach_is_the_last_lag_above_floor_and_threshold():
    lags, value = torch.tensor([1, 2, 4, 8]), torch.tensor([0.9, -0.5, 0.1, 0.01])
    floor = torch.tensor([0.05, 0.05, 0.05, 0.05])
    found = Dependence(lags, value, floor, "")
    assert [reach(found), reach(found, 0.3), reach(found, 0.95)] == [4, 2, 0]
    both = Dependence(lags, torch.stack([value.flip(0), value], 1), floor[:, None], "")
    assert reach(both) == 8


def test_a_target_that_is_an_input_is_found():
    x = torch.randn(60, 300, 3, generator=seeded(0))
    found = input_target(x, x[60 - 1 - 30, :, 1])
    assert found.lags[found.value.argmax()] == 30
    assert found.value.max() == pytest.approx(1)
    assert reach(found) == 30
    symbols = torch.randint(8, (60, 300), generator=seeded(1))
    found = input_target(symbols, symbols[60 - 1 - 30] % 4)
    assert found.lags[found.value.argmax()] == 30
    assert found.value.max() == pytest.approx(1)


def test_a_target_after_rows_of_all_lengths():
    x = torch.randn(60, 400, 1, generator=seeded(0))
    lengths = torch.randint(20, 61, (400,), generator=seeded(1))
    rows = torch.arange(400)
    target = x[lengths - 1 - 12, rows, 0]
    x[torch.arange(60)[:, None] >= lengths] = float("nan")
    found = input_target(x, target, lengths=lengths)
    assert found.lags[found.value.argmax()] == 12
    assert reach(found) == 12


def test_a_linear_target_has_the_share_that_it_has():
    x = torch.randn(5, 10_000, 2, generator=seeded(0))
    noise = torch.randn(10_000, generator=seeded(1))
    found = input_target(x, 0.6 * x[-3, :, 0] + 0.8 * noise)
    assert float(found.value[2]) == pytest.approx(0.36, abs=0.02)
    # Two equal classes told apart by the sign of a number: R² is 2/π.
    found = input_target(x, x[-3, :, 0] > 0)
    assert float(found.value[2]) == pytest.approx(2 / math.pi, abs=0.02)


def test_the_adding_problem_needs_its_first_half():
    g, steps, batch = seeded(0), 40, 1500
    values = torch.rand(steps, batch, generator=g)
    first = torch.randint(steps // 2, (batch,), generator=g)
    second = torch.randint(steps // 2, steps, (batch,), generator=g)
    marks = one_hot(first, steps).T + one_hot(second, steps).T
    target = (values * marks).sum(0)
    found = input_target(torch.stack([values, marks], 2), target)
    assert reach(found) >= steps - 5
    # What a marked value tells of the sum of two: 1/2 of its variance, once in steps / 2.
    assert float(found.value.mean()) == pytest.approx(1 / steps, rel=0.3)


def test_the_copy_task_needs_its_delay():
    steps, held = 40, 6
    x = torch.zeros(steps, 64, dtype=torch.long)
    x[:held] = torch.randint(1, 9, (held, 64), generator=seeded(0))
    y = torch.zeros_like(x)
    y[-held:] = x[:held]
    found = input_target(x, y)
    assert found.lags[found.value.argmax()] == steps - held
    assert found.value.max() > 0.9
    assert reach(found) == steps - held


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one a row", "one a step", "classes", "lengths"])
def test_targets_that_depend_on_nothing_need_nothing(kind):
    alarms, steps = 0, 30
    for seed in range(40):
        g = seeded(seed)
        x = torch.randn(steps, 40, 2, generator=g).cumsum(0)
        y = torch.randn(steps, 40, generator=g).cumsum(0) + torch.arange(steps)[:, None]
        lengths = torch.randint(1, steps + 1, (40,), generator=g)
        found = {
            "one a row": lambda x=x, y=y: input_target(x, y[-1]),
            "one a step": lambda x=x, y=y: input_target(x, y, 8),
            "classes": lambda x=x, y=y: input_target(x, (y[-1] > steps).long()),
            "lengths": lambda x=x, y=y, n=lengths: input_target(x, y[-1], lengths=n),
        }[kind]()
        alarms += bool((found.value > found.floor).any())
    assert alarms <= 2


def test_the_same_seed_gives_the_same():
    codes, _ = chain(0.5, 4, 2000)
    x = torch.randn(20, 30, 1, generator=seeded(0))
    for measure in (
        lambda seed: autocorrelation(codes.float(), 20, seed=seed),
        lambda seed: mutual_information(codes, 20, seed=seed),
        lambda seed: input_target(x, x[0, :, 0], seed=seed),
    ):
        a, b, c = measure(1), measure(1), measure(2)
        assert torch.equal(a.floor, b.floor)
        assert not torch.equal(a.floor, c.floor)
        assert torch.equal(a.value, c.value)


def test_what_is_wrong_is_said():
    x = torch.randn(20, 30, 1)
    with pytest.raises(InputError, match="max_lag=20 must be at least 1 and below 20"):
        autocorrelation(x[:, :, 0], 20)
    with pytest.raises(InputError, match="not finite"):
        autocorrelation(torch.tensor([1.0, float("nan"), 2.0]), 1)
    with pytest.raises(InputError, match="max_lag"):
        mutual_information("abcabc", 3)
    with pytest.raises(InputError, match="take autocorrelation"):
        mutual_information(x[:, 0, 0], 3)
    with pytest.raises(InputError, match=r"Give \(30,\), one a row"):
        input_target(x, torch.zeros(29))
    with pytest.raises(InputError, match="rows are too few"):
        input_target(x[:, :7], x[0, :7, 0])
    with pytest.raises(InputError, match="common length"):
        input_target(x, x[..., 0], lengths=[3] * 30)
    with pytest.raises(InputError, match="target"):
        input_target(x, torch.ones(30))
