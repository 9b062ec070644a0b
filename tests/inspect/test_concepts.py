"""Units that follow a pattern are found, and no others."""

from __future__ import annotations

import random

import pytest
import torch
from rich.console import Console
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from elman.cells import make
from elman.errors import InputError
from elman.inspect import Passage
from elman.inspect.concepts import (
    _midranks,
    coloured,
    coloured_for_terminal,
    follow,
    inside,
    inside_quotes,
    matches,
    phase,
    position_in_line,
)
from elman.inspect.passage import _passage
from elman.kernels import run
from elman.kernels.witness import witnessed


def drifting(steps, batch, units, keep=0.9, seed=0):
    """Noise that is autocorrelated, as hidden states are."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(steps, batch, units, generator=generator)
    for t in range(1, steps):
        noise[t] = keep * noise[t - 1] + (1 - keep**2) ** 0.5 * noise[t]
    return noise


def texts(steps, batch, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choices("()abcdef\n", k=steps)) for _ in range(batch)]


def pattern_of(make_pattern, steps, batch, seed=0):
    return torch.stack([make_pattern(text) for text in texts(steps, batch, seed)], 1)


def brackets(text):
    return inside(text, "(", ")")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ["bool", "number", "phase"])
def test_a_planted_unit_is_found_first(kind, sign):
    steps, batch = 200, 8
    states = drifting(steps, batch, 32)
    if kind == "phase":
        pattern = phase(steps, 12, start=3)
        signal = pattern.real[:, None] * 2
    else:
        pattern = pattern_of(brackets if kind == "bool" else position_in_line, steps, batch)
        signal = pattern.float() * (2 if kind == "bool" else 0.3)
    states[..., 17] = 0.5 * states[..., 17] + sign * signal
    found = follow(states, pattern)
    first = found.best[0]
    assert found.found == [17] == [first.unit]
    assert first.p == pytest.approx(1 / 500)
    assert first.sign == (1 if kind == "phase" else sign)
    assert first.low < first.selectivity < first.high <= 1
    assert first.low > found.chance
    assert f"unit {17:<4}" in str(found).splitlines()[1]
    assert ("inverted" in str(found).splitlines()[1]) == (first.sign < 0)


def test_a_unit_that_is_the_pattern_is_perfect():
    pattern = pattern_of(brackets, 100, 4)
    states = torch.stack([pattern.float() * 3 - 1, -pattern.float(), torch.ones(100, 4)], 2)
    found = follow(states, pattern, top=3)
    torch.testing.assert_close(found.selectivity, torch.tensor([1.0, 1.0, 0.0]).double())
    assert [(f.unit, f.sign) for f in found.best[:2]] == [(0, 1), (1, -1)]
    assert (found.best[0].low, found.best[1].high) == pytest.approx((1, 1))
    assert found.p[2] == 1


@pytest.mark.parametrize("kind", ["bool", "number", "phase"])
def test_selectivity_is_what_libraries_say(kind):
    steps, batch = 60, 3
    lengths = torch.tensor([60, 31, 0])
    states = drifting(steps, batch, 2).mul(4).round()
    if kind == "phase":
        pattern = phase(steps, 7)[:, None].expand(steps, batch)
    else:
        pattern = pattern_of(brackets if kind == "bool" else position_in_line, steps, batch)
    found = follow(states, pattern, lengths)
    valid = torch.arange(steps)[:, None] < lengths
    x, p = states[valid][:, 1].numpy(), pattern[valid].numpy()
    if kind == "bool":
        want = abs(2 * roc_auc_score(p, x) - 1)
    elif kind == "number":
        want = abs(spearmanr(p, x).statistic)
    else:
        columns, ranks = torch.view_as_real(pattern[valid]).numpy(), rankdata(x)
        want = LinearRegression().fit(columns, ranks).score(columns, ranks) ** 0.5
    assert float(found.selectivity[1]) == pytest.approx(want)


def test_ranks_count_what_occurs_more_than_once():
    values = torch.tensor([0.5, -1.0, 2.0, 0.5])
    counts = torch.tensor([[1, 2, 0, 3], [1, 1, 1, 1]]).double()
    want = rankdata([0.5, -1.0, -1.0, 0.5, 0.5, 0.5])
    ranks = _midranks(values, counts)
    assert ranks[0, [0, 1, 3]].tolist() == [want[0], want[1], want[3]]
    assert ranks[1].tolist() == rankdata(values).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
def test_in_noise_hardly_anything_is_found(batch):
    alarms = 0
    for seed in range(40):
        states = drifting(800 // batch, batch, 24, keep=0.95, seed=seed)
        pattern = pattern_of(brackets, 800 // batch, batch, seed)
        alarms += bool(follow(states, pattern, shifts=199, resamples=1, seed=seed).found)
    assert alarms <= 2


def test_chance_knows_of_autocorrelation_and_of_the_number_of_units():
    pattern = (torch.arange(600) // 40 % 3 == 0)[:, None]
    fast = follow(drifting(600, 1, 4, keep=0.0), pattern).chance
    slow = follow(drifting(600, 1, 4, keep=0.95), pattern).chance
    many = follow(drifting(600, 1, 64, keep=0.0), pattern).chance
    assert slow > 2 * fast
    assert many > fast


@pytest.mark.slow
def test_the_interval_covers_what_is_true():
    # AUC of two normals d apart is Φ(d / √2).
    want = 2 * torch.special.ndtr(torch.tensor(1.0 / 2**0.5)).item() - 1
    covered = 0
    for seed in range(40):
        pattern = pattern_of(brackets, 50, 24, seed)
        states = drifting(50, 24, 1, keep=0.0, seed=seed + 100) + pattern[..., None].float()
        (only,) = follow(states, pattern, shifts=1, seed=seed).best
        covered += only.low <= want <= only.high
    assert covered >= 34


def test_one_row_of_a_season_is_every_turn_of_itself():
    states = phase(120, 12).real[:, None, None].float()
    assert follow(states, phase(120, 12)).p[0] > 0.5
    assert follow(states.expand(120, 6, 1), phase(120, 12)).p[0] < 0.01


def test_the_same_seed_gives_the_same():
    states, pattern = drifting(100, 4, 8), pattern_of(brackets, 100, 4)
    a, b, c = (follow(states, pattern, seed=s) for s in (3, 3, 4))
    assert a.best == b.best
    assert torch.equal(a.p, b.p)
    assert a.best != c.best


def test_a_passage_knows_its_lengths_and_its_direction():
    torch.manual_seed(0)
    cell, x, lengths = make("lstm", 2, 4), torch.randn(50, 6, 2), [50, 40, 50, 30, 50, 9]
    pattern = x[..., 0] > 0
    with witnessed() as runs:
        states = run(cell, x, lengths=lengths, reverse=True, return_states=True).states
    passage = _passage(runs[0], "l")
    assert passage.reverse
    wanted = follow(states[1].detach(), pattern, lengths)
    torch.testing.assert_close(follow(passage, pattern, state=1).selectivity, wanted.selectivity)
    plain = Passage.of(cell, x, lengths)
    wanted = follow(plain.states[0], pattern, lengths)
    torch.testing.assert_close(follow(plain, pattern).selectivity, wanted.selectivity)


def test_patterns_of_texts():
    assert inside("/*a*/b", "/*", "*/").int().tolist() == [0, 1, 1, 1, 0, 0]
    assert inside("a)b(c", "(", ")").int().tolist() == [0, 0, 0, 1, 1]
    assert inside_quotes("''a''b", "''").int().tolist() == [0, 1, 1, 1, 0, 0]
    assert position_in_line("\n\na").tolist() == [0, 0, 1]
    assert matches("aXbYY", "[A-Z]+").int().tolist() == [0, 1, 0, 1, 1]
    for empty in (inside("", "(", ")"), inside_quotes(""), position_in_line(""), matches("", "a")):
        assert empty.shape == (0,)
    torch.testing.assert_close(phase(24, 24)[6:12], phase(6, 24, start=6))


def test_colours_never_become_markup():
    text = '<b>&"\x1b[31m'
    page = coloured(text, torch.arange(len(text)).float())
    assert page.count("<") == 2 + 2 * (len(text) - 1)
    for raw in ("<b>", '&"', "<b"):
        assert raw not in page.replace("<pre", "")
    assert "&gt;" in page
    assert coloured("ab", torch.tensor([float("nan"), 0.0])).count("<span") == 0
    assert coloured(["one ", "two"], torch.tensor([1.0, 1.0])).count("<span") == 1
    red, blue = coloured("ab", torch.tensor([-2.0, 4.0])).split("<span")[1:]
    assert "rgba(178,24,43,0.35)" in red
    assert "rgba(33,102,172,0.70)" in blue
    marked = coloured("abc", torch.tensor([0.0, 0.0, 1.0]), torch.tensor([False, True, True]))
    assert marked.count("text-decoration:underline") == 2
    assert marked.index("a") < marked.index("<span")
    console = Console(force_terminal=True, color_system="truecolor", width=80)
    with console.capture() as shown:
        console.print(coloured_for_terminal("[bold]\x1b!", torch.zeros(8)))
    assert shown.get() == "[bold]\ufffd!\n"


def test_what_is_wrong_is_said():
    states, pattern = drifting(20, 2, 3), torch.arange(40).view(20, 2) % 3 == 0
    with pytest.raises(InputError, match="for every row alike"):
        follow(states, pattern[:10])
    with pytest.raises(InputError, match="same at every step"):
        follow(states, torch.zeros(20))
    with pytest.raises(InputError, match="finite"):
        follow(states / 0, pattern)
    with pytest.raises(InputError, match="nothing to search"):
        follow(states, pattern, [0, 1])
    with pytest.raises(InputError, match="inside_quotes"):
        inside("a", '"', '"')
    with pytest.raises(InputError, match="regular expression"):
        matches("a", "(")
    with pytest.raises(InputError, match="as many values"):
        coloured("abc", torch.zeros(2))
    with pytest.raises(InputError, match="period"):
        phase(3, 0)
