"""Suggestions while a text is typed: the same as for the whole text, however it came about."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import Vocabulary
from elman.errors import InputError, PredictionWarning
from elman.nn import Recurrent
from elman.scoring.baselines.ngram import KneserNey
from elman.tasks.generate import keyboard
from elman.tasks.generate.keyboard import Keyboard
from elman.tasks.generate.language_model import LanguageModel
from elman.tasks.generate.writing import Counts, Writer

TEXT = "the cat and the dog then they thank the cats"


def writer(unit, *, lower=False, network=True, counts=False, marks=False, seed=0):
    """Return an untrained network with large weights, n-grams, or both."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary.fit(
        [f"{TEXT} , ' ." if marks else TEXT],
        unit,
        specials=("unk", "bos"),
        lower=lower,
        punctuation=marks,
    )
    model = None
    if network:
        model = LanguageModel(len(vocabulary), 6, Recurrent("lstm", 6, 8, num_layers=2)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)
    ids = np.concatenate(([vocabulary.bos], vocabulary.encode(TEXT)))
    grams = Counts(KneserNey.fit(ids, len(vocabulary), 3), 3) if counts else None
    return Writer(model, vocabulary, True, grams, 0.6)


@pytest.fixture(scope="module", params=["network", "n-grams", "both"])
def words(request):
    kind = request.param
    return writer("words", network=kind != "n-grams", counts=kind != "network")


def test_the_next_word_is_the_likeliest_symbol(words):
    for text in ("", "the cat ", "the unheard dog "):
        every = {one["text"]: one["probability"] for one in words.complete(text, 99)}
        found = Keyboard(words).suggest(text, 4)
        likeliest = sorted(every.values(), reverse=True)[:4]
        assert [one.probability for one in found] == pytest.approx(likeliest, rel=1e-4)
        for one in found:  # of equal ones any may come first
            assert one.probability == pytest.approx(every[one.text], rel=1e-4)
            assert one.adds == one.text


def test_what_is_typed_of_a_word_leaves_the_words_that_begin_so(words):
    board = Keyboard(words)
    every = {one.text: one.probability for one in board.suggest("and ", 99)}
    found = board.suggest("and the", 99)
    assert {one.text for one in found} == {"the", "then", "they"}
    among = sum(every[one.text] for one in found)
    for one in found:
        assert one.probability == pytest.approx(every[one.text] / among, rel=1e-6)
        assert "the" + one.adds == one.text
    assert [one.probability for one in found] == sorted(
        (one.probability for one in found), reverse=True
    )
    assert board.suggest("and x") == []
    assert board.suggest("<un") == []


def test_letters_are_compared_as_the_vocabulary_has_them():
    board = Keyboard(writer("words", lower=True))
    assert {one.text for one in board.suggest("AND THE", 9)} == {"the", "then", "they"}
    assert Keyboard(writer("words")).suggest("AND THE", 9) == []


@settings(max_examples=8, deadline=None)
@given(
    typed=st.lists(
        st.sampled_from(["the ", "c", "at ", "dog", " ", "\b", "\b\b\b", "q", ",", "'", "\n", "Σ"]),
        max_size=12,
    ),
    kept=st.integers(1, 3),
)
@pytest.mark.parametrize("unit", ["words", "words and marks", "characters"])
def test_it_does_not_matter_how_a_text_came_about(unit, typed, kept):
    marks, spelt = unit == "words and marks", unit == "characters"
    ours = writer(unit.split()[0], counts=not spelt, marks=marks, lower=marks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyboard, "_KEPT", kept)
        board, text = Keyboard(ours), ""
        for keys in typed:
            text = text[: -len(keys)] if keys[0] == "\b" else text + keys
            # Three letters of a spelt word are enough to look at.
            found, anew = board.suggest(text, 2), Keyboard(ours).suggest(text, 2)
            assert [one.text for one in found] == [one.text for one in anew]
            assert [one.probability for one in found] == pytest.approx(
                [one.probability for one in anew]
            )
    assert len(board._states) <= 2 * kept


@pytest.mark.parametrize("text", ["", "the ca", "the cat ", "the cat"])
def test_spelt_words_are_those_of_completion(text):
    ours = writer("characters")
    expected = ours.complete(text, 3, max_length=1)
    found = Keyboard(ours).suggest(text, 3)
    assert [one.adds for one in found] == [one["text"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.probability == pytest.approx(other["probability"], rel=1e-4)
        assert one.text.endswith(one.adds.strip())
    begun = text.rpartition(" ")[2]
    assert all(one.text.startswith(begun) for one in found if one.adds[:1].isalnum())


def test_no_word_is_too_few():
    with pytest.raises(InputError, match="n=0"):
        Keyboard(writer("words")).suggest("the", 0)


def test_unknown_words_are_warned_of_but_not_one_that_may_become_a_known_one():
    board = Keyboard(writer("words"))
    for text in ("qwxz", "qwxz wxq th"):
        with pytest.warns(PredictionWarning, match="words here are unknown to the model"):
            board.warn_of_unknown(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("", "th", "the ca", "the cat qwxz"):
            board.warn_of_unknown(text)


@pytest.mark.parametrize(
    ("text", "n", "said"),
    [
        (None, 5, "text=None is no text. Give what was typed"),
        (3, 5, "text=3 is no text"),
        ("the", "3", "n='3' is no whole number. Give one"),
        ("the", 1.5, "n=1.5 is no whole number"),
    ],
)
def test_what_is_no_text_or_number_is_refused(text, n, said):
    with pytest.raises(InputError, match=said):
        Keyboard(writer("words")).suggest(text, n)


def counted(monkeypatch, owner, name, made):
    """Add what a method is given to a list, with its name, each time that it is called."""
    method = getattr(owner, name)

    def call(given):
        made.append((name, given))
        return method(given)

    monkeypatch.setattr(owner, name, call)


def test_a_key_costs_one_step_and_the_scores_at_most(monkeypatch):
    ours = writer("words", marks=True)
    board, made, cost = Keyboard(ours), [], {}
    board.suggest("")
    counted(monkeypatch, board._stream, "step", made)
    counted(monkeypatch, ours.model, "scores", made)
    text = "they, cats dox, and "
    for end in range(1, len(text) + 1):
        board.suggest(text[:end])
        cost[text[:end]] = [name for name, _ in made]
        made.clear()
    assert cost.pop("the") == ["step"]  # a word by itself, and the beginning of others
    assert cost.pop("they") == cost.pop("they, cat") == cost.pop("they, cats") == ["step"]
    assert cost.pop("they,") == ["step", "scores"]
    assert cost.pop("they, cats ") == ["scores"]
    assert cost.pop("they, cats dox") == ["step"]  # no word begins so
    assert cost.pop("they, cats dox,") == ["step", "scores"]
    assert cost.pop("they, cats dox, and") == ["step"]
    assert cost.pop("they, cats dox, and ") == ["scores"]
    assert not any(cost.values())
    board.suggest("they, cats ")
    assert [name for name, _ in made] == ["scores"]  # the states are known


def test_what_stands_before_a_blank_is_encoded_once(monkeypatch):
    ours, made = writer("words"), []
    board = Keyboard(ours)
    board.suggest("the cat " * 300)
    counted(monkeypatch, ours.vocabulary, "encode", made)
    board.suggest("the cat " * 300 + "do")
    board.suggest("the cat " * 300 + "dog ")
    assert sum(len(text) for _, text in made) < 10


def test_a_stream_without_scores_gives_what_they_are_made_of():
    model = writer("words").model
    bare, scored = model.stream(scored=False), model.stream()
    with torch.inference_mode():
        for symbol in (1, 3, 2):
            token = torch.tensor([symbol])
            torch.testing.assert_close(model.scores(bare.step(token)), scored.step(token))
