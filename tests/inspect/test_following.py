"""Units planted in a model are found by the name of the pattern, wherever its steps are known."""

from __future__ import annotations

import random

import pytest
import torch

import elman
import elman.nn
from elman.cells import make
from elman.data import Vocabulary
from elman.errors import InputError
from elman.inspect import Passage, stretches
from elman.inspect.following import Stretch, checked, pattern_of, search

T, B = 300, 4


def passages(seed=0, steps=T, batch=B):
    """Two layers that follow nothing."""
    torch.manual_seed(seed)
    x = torch.randn(steps, batch, 3)
    first = Passage.of(make("gru", 3, 6), x, name="l0")
    return [first, Passage.of(make("lstm", 6, 5), first.output, name="l1")]


def texts(seed=0, alphabet='(a"b)c \n[{]}d'):
    draw = random.Random(seed)
    return [draw.choices(alphabet, k=T) for _ in range(B)]


def of_text(name, text):
    """A pattern at the steps of one text, given by its pieces."""
    passage = Passage.of(make("gru", 1, 1), torch.zeros(len(text), 1, 1))
    return pattern_of(name, Stretch.of_texts([passage], [text]))


@pytest.mark.parametrize("name", ["quotes", "brackets", "line position", "[ab]+", "season:7"])
def test_a_unit_planted_in_any_state_of_any_layer_is_found(name):
    layers, stretch = passages(), Stretch.of_texts(passages(), texts())
    wanted = pattern_of(name, stretch)[stretch.places]
    planted = wanted.real if wanted.is_complex() else wanted
    layers[1].states[1][:, :, 3] -= 3 * planted.float()
    found = search(Stretch.of_texts(layers, texts()), name)
    best = found.best[0]
    assert (best.layer, best.state, best.unit) == ("l1", "c", 3)
    assert best.low - 1e-9 <= best.selectivity <= best.high + 1e-9
    assert best.selectivity > max(0.7, found.chance)
    assert best.p == pytest.approx(1 / 200)
    assert best.sign == (1 if name == "season:7" else -1)
    assert (found.units, found.steps, found.found) == (6 + 2 * 5, T * B, 1)
    assert found.verdict.startswith("Unit 3 of l1 (c) follows it")


def test_in_a_model_that_follows_nothing_none_is_found():
    found = [
        search(Stretch.of_texts(passages(seed), texts(seed)), "brackets") for seed in range(10)
    ]
    assert sum(f.found > 0 for f in found) <= 1
    assert all("No unit follows it" in f.verdict for f in found if not f.found)


def test_the_example_shows_the_row_in_which_the_pattern_changes_most():
    stretch = Stretch.of_texts(passages(), texts(alphabet="abc"))
    pattern = torch.zeros(T, B, dtype=torch.bool)
    pattern[10, 0], pattern[::2, 2] = True, True
    found = search(stretch, pattern, name="odd")
    assert found.labels == texts(alphabet="abc")[2]
    assert found.holds == pattern[:, 2].double().tolist()
    states = stretch.passages[0].states[0] if found.best[0].layer == "l0" else None
    data = found.to_dict()
    assert data["pattern"] == "odd"
    assert len(data["example"]["values"]) == T
    assert data["best"][0]["p"] == found.best[0].p
    if states is not None:
        unit = states[:, :, found.best[0].unit]
        assert found.values == pytest.approx((unit[:, 2] - unit.median()).tolist())


def test_steps_that_are_only_read_are_not_searched():
    layers = passages()
    pattern = torch.arange(T) % 5 == 0
    layers[0].states[0][100:, :, 1] += 9.0 * pattern[100:, None]
    layers[0].states[0][:100, :, 2] += 9.0 * pattern[:100, None]
    places = torch.arange(T)[:, None].expand(-1, B)
    found = search(Stretch(layers, places, values=torch.rand(T, B), skip=100), pattern)
    assert found.best[0].unit == 1
    assert found.best[0].selectivity == pytest.approx(1.0)
    assert all(f.unit != 2 or f.selectivity < 0.3 for f in found.best)
    assert found.steps == (T - 100) * B


def test_a_layer_that_reads_backwards_is_compared_in_the_order_of_the_text():
    torch.manual_seed(0)
    layer = elman.nn.LSTM(3, 4, bidirectional=True)
    examination = elman.doctor(layer, torch.randn(T, B, 3), lambda out: out[0].square().sum())
    backwards = examination.layers[1].passage
    assert backwards.reverse
    words = texts(alphabet="ab()")
    stretch = Stretch.of_texts([backwards], words)
    inside = pattern_of("brackets", stretch)[stretch.places]
    backwards.states[0][:, :, 1] += 5.0 * inside.flip(0)
    best = examination.follow("brackets", words).best[0]
    assert (best.layer, best.state, best.unit) == ("l0_reverse", "h", 1)


def test_patterns_of_a_text_in_steps_of_any_size():
    words = ["He", " said", ' "', "go", " now", '"', " and", " left", "\n", "At", " 1987"]
    assert of_text("quotes", words).int().tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert of_text(r"\d{4}", words).int().tolist() == [0] * 10 + [1]
    assert of_text("sai", words).int().tolist() == [0, 1] + [0] * 9, "a part is enough"
    assert of_text("Line-Position", words).tolist()[-3:] == [0, 2, 7]
    assert of_text("quotes", [""] * 3).tolist() == [False] * 3


def test_a_quote_ends_with_its_paragraph_and_may_be_typographic():
    assert of_text("quotes", list('a"b\n\nc"d"')).int().tolist() == [0, 1, 1, 0, 0, 0, 1, 1, 0]
    assert of_text("quotes", list("a“b”«c»d")).int().tolist() == [0, 1, 1, 0, 1, 1, 0, 0]
    assert of_text("brackets", list("a[b(c)d]{")).int().tolist() == [0, 1, 1, 1, 1, 1, 1, 0, 1]


def test_what_is_open_in_one_text_is_not_in_the_next():
    layer = Passage.of(make("gru", 1, 1), torch.zeros(3, 2, 1), lengths=[3, 2])
    stretch = Stretch.of_texts([layer], [list("a(b"), list("cd")])
    assert pattern_of("brackets", stretch).int().tolist() == [0, 1, 1, 0, 0]
    assert stretch.places.tolist() == [[0, 3], [1, 4], [2, 4]]


def test_what_is_wrong_is_said():
    series = Stretch(passages(), torch.arange(T)[:, None].expand(-1, B), values=torch.rand(T, B))
    for name in ("quotes", "brackets", "line position", "[a-z]"):
        with pytest.raises(InputError, match="pattern of text"):
            search(series, name)
    with pytest.raises(InputError, match="regular expression"):
        checked("(")
    for wrong in ("season", "season:x", "season:1", "season:-7"):
        with pytest.raises(InputError, match="no period"):
            checked(wrong)
    with pytest.raises(InputError, match="same at all 1,200 steps"):
        search(Stretch.of_texts(passages(), texts(alphabet="ab")), "quotes")
    rows = torch.zeros(T, B)
    rows[:, 1:] = 1.0
    with pytest.raises(InputError, match="each row"):
        search(series, rows)
    with pytest.raises(InputError, match="do not fit 4 rows"):
        Stretch.of_texts(passages(), texts()[:2])
    with pytest.raises(InputError, match="Text 0 has 3 pieces"):
        Stretch.of_texts(passages(), [["a"] * 3] * B)
    examination = elman.doctor(elman.nn.GRU(3, 4), torch.randn(50, 2, 3))
    with pytest.raises(InputError, match="no text"):
        examination.follow("quotes")
    assert examination.follow("season:7").steps == 100


def test_the_same_seed_finds_the_same():
    one, two = (search(Stretch.of_texts(passages(), texts()), "quotes", seed=3) for _ in range(2))
    assert one.to_dict() == two.to_dict()


# Where the steps of a run's data are known.


@pytest.mark.parametrize("unit", ["characters", "words", "subwords"])
def test_pieces_joined_are_the_text(unit):
    text = 'He said: "go (now)".\nAnd she went.\n' * 20
    options = {"punctuation": False, "line_ends": True} if unit == "words" else {}
    vocabulary = Vocabulary.fit(
        [text], unit=unit, size=300 if unit == "subwords" else None, **options
    )
    found = vocabulary.pieces(vocabulary.encode(text))
    assert "".join(found) == text
    assert len(found) == len(vocabulary.encode(text))


def test_windows_that_overlap_are_no_evidence_twice():
    begins = torch.tensor([40, 0, 5, 10, -1, 49, 50])
    assert stretches._apart(begins, 10).tolist() == [True, True, False, True, False, False, True]
