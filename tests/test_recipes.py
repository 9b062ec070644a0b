"""The recipes run, their data and closed forms are right, and their page says what was measured."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch.nn import functional as F

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recipes" / "index.md"
SMALL = {
    "adding": {"LENGTHS": (10, 12), "SEEDS": 2, "UP_TO": 10},
    "copy_memory": {"PAUSES": (3, 4), "HIDDEN": 16},
    "bias": {"ADDING": (10,), "COPY": (3,), "SEEDS": 2},
    "cliff": {"LENGTHS": (10,), "DESCENT": 3, "SEEDS": 1},
    "reversal": {"LENGTH": 4, "SEEDS": 2},
    "jordan": {"LENGTH": 6, "SEEDS": 1},
    "truncation": {"STEPS": 30, "WINDOWS": (1, 30), "LEARNT": ((5, 5), (30, 30))},
}
"""Every recipe, and what makes it small."""


@pytest.fixture
def recipe(monkeypatch):
    """Imports a recipe as its command does: with its folder on the path."""
    monkeypatch.syspath_prepend(ROOT / "recipes")
    return importlib.import_module


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_recipe_is_known():
    files = {path.stem for path in (ROOT / "recipes").glob("*.py")}
    assert files == {*SMALL, "common"}


@pytest.mark.parametrize("name", list(SMALL))
def test_recipe_runs_the_same_twice(name, recipe, tmp_path, monkeypatch, capsys):
    module = recipe(name)
    for constant, value in SMALL[name].items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    found = []
    for again in ("first", "second"):
        out = tmp_path / again
        module.main(["--updates", "3", "--seed", "5", "--out", str(out)])
        kept = json.loads((out / "results.json").read_text(encoding="utf-8"))
        assert (kept["recipe"], kept["seed"]) == (name, 5)
        printed = capsys.readouterr().out
        for rows in kept["tables"]:
            assert recipe("common").table(rows) in printed
            for row in rows:
                row.pop("seconds", None)
        curves = {label: curve["values"] for label, curve in kept["curves"].items()}
        assert all(math.isfinite(v) for values in curves.values() for v in values)
        assert ElementTree.parse(out / f"{name}.svg").getroot().tag.endswith("svg")
        found.append((kept["tables"], curves))
    assert found[0] == found[1]


def test_adding_is_the_sum_of_two_marked_numbers(recipe):
    common = recipe("common")
    x, y = common.draw_adding(10)(20000, random())
    assert x.shape == (20000, 10, 2)
    assert (x[:, :5, 1].sum(1) == 1).all()
    assert (x[:, 5:, 1].sum(1) == 1).all()
    torch.testing.assert_close(y, x.prod(-1).sum(-1))
    assert (y - 1).square().mean().item() == pytest.approx(common.ADDING_BASELINE, rel=0.02)

    def says_one(x):
        return torch.ones(len(x), 1)

    x, y = common.kept_apart(common.draw_adding(10), 4)
    assert common.always_one(10, 4) == pytest.approx(common.adding_loss(says_one, x, y).item())


def test_copying_by_chance_costs_the_baseline(recipe):
    common = recipe("common")
    x, y = common.draw_copy(7)(50, random())
    assert x.shape == y.shape == (50, 27)
    assert (x[:, :10] == y[:, -10:]).all()
    assert (x[:, 10:16] == 0).all()
    assert (x[:, 16] == 9).all()
    blank = torch.full((50, 27, 9), -60.0)
    blank[:, :-10, 0] = 60
    blank[:, -10:, 1:] = 60  # one of eight, whichever
    loss = F.cross_entropy(blank.flatten(0, 1), y.flatten()).item()
    assert loss == pytest.approx(common.copy_baseline(7), rel=1e-5)


def test_what_stays_orthogonal_while_it_learns(recipe):
    common, copying = recipe("common"), recipe("copy_memory")
    torch.manual_seed(0)
    cell = copying.Orthogonal(10, 16)
    before = cell.U.weight.detach().clone()
    x, state = torch.randn(4, 10), cell.init_state(4)
    state = (state[0] + torch.randn(4, 16),)
    bare, _ = cell(torch.zeros(4, 10), state)
    torch.testing.assert_close(bare.norm(dim=-1), state[0].norm(dim=-1))  # b = 0: a rotation
    with torch.no_grad():
        cell.b.fill_(-0.5)
        shrunk, _ = cell(x, state)
        z = cell.W(x) + cell.U(state[0])
        torch.testing.assert_close(shrunk, F.softshrink(z, 0.5))
        cell.b.zero_()
    model = common.copy_model(lambda *_: cell, 16)
    common.train(model, common.draw_copy(3), common.copy_loss, updates=20, lr=1e-2)
    after = cell.U.weight.detach()
    assert (after - before).norm() > 0.1
    torch.testing.assert_close(after @ after.T, torch.eye(16), atol=1e-5, rtol=0)


def test_recalled_is_the_share_that_is_said_again(recipe):
    common, copying = recipe("common"), recipe("copy_memory")
    x, y = common.draw_copy(4)(20, random())

    def says(symbols):
        return lambda _: (F.one_hot(symbols, 9).float(), None)

    assert copying.recalled(says(y), x, y) == 1
    assert copying.recalled(says(torch.zeros_like(y)), x, y) == 0
    half = y.clone()
    half[:, -5:] = 0
    assert copying.recalled(says(half), x, y) == 0.5


def test_a_linear_unit_copies_through_a_pause(recipe):
    common, copying = recipe("common"), recipe("copy_memory")
    torch.manual_seed(0)
    model = common.copy_model(copying.entries(2)["LRU"].cell, 64)
    draw = common.draw_copy(2)
    common.train(model, draw, common.copy_loss, updates=300, lr=5e-3)
    with torch.no_grad():
        assert copying.recalled(model, *common.kept_apart(draw, 0)) > 0.95


def test_training_ends_when_it_is_enough(recipe):
    common = recipe("common")
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)

    def draw(batch, generator):
        x = torch.rand(batch, 1, generator=generator)
        return x, 3 * x

    def loss(model, x, y):
        return F.mse_loss(model(x), y)

    curve = common.train(model, draw, loss, updates=3000, lr=0.05, every=20, enough=1e-3)
    assert curve.last < 1e-3
    assert curve.updates[-1] < 3000
    assert curve.first_below(1e-3) == curve.updates[-1]
    assert curve.first_below(0.0) is None


def test_the_error_of_one_unit_where_it_rests(recipe):
    cliff = recipe("cliff")
    w = torch.tensor([0.5, 2.0], dtype=torch.float64)
    rest = torch.sigmoid(torch.tensor(cliff.START, dtype=torch.float64))
    found = cliff.error(w, cliff.START - w * rest)
    torch.testing.assert_close(found, (rest - cliff.TARGET).square().expand(2))


def test_clipping_bounds_the_steps_and_nothing_else(recipe):
    cliff = recipe("cliff")
    start = torch.tensor([cliff.FROM], dtype=torch.float64)
    free, held = (cliff.descents(start, clip, 60) for clip in (math.inf, cliff.CLIP))
    steps = (held[1:] - held[:-1]).norm(dim=-1)
    assert steps.max() <= cliff.RATE * cliff.CLIP * (1 + 1e-12)
    first = int((free != held).any(-1).any(-1).nonzero()[0])
    thrown = (free[first] - free[first - 1]).norm()
    assert thrown > cliff.RATE * cliff.CLIP
    along = F.cosine_similarity(free[first] - free[first - 1], held[first] - held[first - 1])
    assert along.item() == pytest.approx(1)


def test_temporal_order_is_that_of_the_two_letters(recipe):
    x, y = recipe("cliff").draw_order(20)(200, random())
    letters = x.argmax(-1)
    for row, order in zip(letters, y, strict=True):
        where = (row < 2).nonzero().flatten()
        assert len(where) == 2
        assert 2 <= where[0] <= 4
        assert 8 <= where[1] <= 10
        assert order == 2 * row[where[0]] + row[where[1]]


def test_the_switch_says_where_it_is(recipe):
    jordan = recipe("jordan")
    (x, always), (x_too, asked) = (jordan.draw_switch(a)(50, random(3)) for a in (False, True))
    assert (x == x_too).all()
    for events, said, on_request in zip(
        x.argmax(-1), always.argmax(-1), asked.argmax(-1), strict=True
    ):
        position = jordan.OFF
        for event, says, answers in zip(events, said, on_request, strict=True):
            position = {jordan.SET: jordan.ON, jordan.RESET: jordan.OFF}.get(int(event), position)
            assert says == position
            assert answers == (position if event == jordan.ASK else jordan.SILENT)
    assert jordan.remembered(x, asked).sum() == (x[..., jordan.ASK] == 1).sum()


def test_every_third_bit_can_be_foretold(recipe):
    jordan = recipe("jordan")
    x, y = jordan.draw_xor(40, random())
    assert (x[:, 1:] == y[:, :-1]).all()
    foretold = (x[:, 0::3] != x[:, 1::3]).float()
    assert (y[:, 1::3] == foretold).all()

    class Knows(torch.nn.Module):
        def forward(self, x):
            found = torch.full_like(x, 0.5)
            found[:, 1::3] = foretold
            return found, None

    assert jordan.wrong_third(Knows(), x, y) == 0


def test_what_comes_back_rounded_is_what_it_said(recipe):
    jordan = recipe("jordan")
    torch.manual_seed(0)
    network = jordan.model("Jordan", 4, 3)
    cell, x = network.recurrent.cells[0], torch.randn(2, 5, 4)
    output, _ = jordan.Rounded(network)(x)
    state = torch.zeros(2, 3)
    for t in range(5):
        wanted, _ = cell(x[:, t], (state,))
        torch.testing.assert_close(output[:, t], wanted)
        state = (wanted > 0.5).float()


def test_windows_that_see_their_cause(recipe):
    truncation = recipe("truncation")
    lag, steps = truncation.LAG, truncation.STEPS
    assert truncation.sees(lag, lag) == 0
    assert truncation.sees(steps, steps) == 1
    assert truncation.sees(5, 5 + lag) == 1
    # The last of each window of lag + 1 steps, but not in the last window, which is cut.
    assert truncation.sees(lag + 1, lag + 1) == steps // (lag + 1) / (steps - lag)


def test_a_window_of_the_whole_sequence_is_the_whole_gradient(recipe):
    truncation = recipe("truncation")
    torch.manual_seed(0)
    model = truncation.echo_model()
    (cosine, error), (near, far) = truncation.compare(model, (truncation.STEPS, 1), 0)
    assert cosine == pytest.approx(1)
    assert error < 1e-6
    assert near < 0.999
    assert far > 0.01


def test_the_chain_turns_its_sign(recipe):
    truncation = recipe("truncation")
    plus, minus = truncation.PLUS, truncation.MINUS
    first, shorter, whole = truncation.influence(truncation.Chain(), (1, plus, 800))
    assert first == pytest.approx(1)
    assert shorter == pytest.approx(plus)
    assert whole == pytest.approx(2 * (plus - minus))


@pytest.mark.parametrize("name", list(SMALL))
def test_the_page_says_what_was_measured(name, recipe):
    common, page = recipe("common"), PAGE.read_text(encoding="utf-8")
    kept = json.loads((PAGE.parent / f"{name}.json").read_text(encoding="utf-8"))
    assert f"python recipes/{name}.py" in page
    assert f"]({name}.svg)" in page
    assert (PAGE.parent / f"{name}.svg").stat().st_size < 60_000
    for rows in kept["tables"]:
        assert common.table(rows) in page
