"""Conversations: codes of speakers, utterances read side by side, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data.turns import Conversation, Turn
from elman.errors import InputError
from elman.modalities.turn_codec import NOBODY, SLOTS
from elman.modalities.turns import Turns, TurnsSettings

CALLS = [
    Conversation([Turn("agent", "Hello there."), Turn(f"Mr {name}", "My router is slow")])
    for name in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
]
SAID = st.tuples(
    st.sampled_from(["", "agent", "Ann", "Bo", "Cy", "Di", "Ed"]),
    st.lists(st.sampled_from(["hello", "there", "router", "slow", "what"]), max_size=40),
)
TALKS = st.lists(
    st.lists(SAID, min_size=1, max_size=6).map(
        lambda said: Conversation(Turn(who, " ".join(words)) for who, words in said)
    ),
    min_size=1,
    max_size=5,
)


def codec(cells=CALLS, **given):
    wanted = TurnsSettings(**given)
    return Turns.fit(cells, wanted.model_copy(update=Turns.decide(wanted, cells)))


def test_a_role_has_a_code_by_name_and_others_by_the_order_in_which_they_speak():
    made = codec()
    assert made.speakers == ["agent"]
    names = ["Ann", "agent", "Bo", "Ann", "", "Cy", "Di", "Ed", "Fay", "Di"]
    codes = made.encode(Conversation(Turn(name, "x") for name in names))[:, 0].tolist()
    assert codes == [2, 1, 3, 2, NOBODY, 4, 5, 5, 5, 5]
    assert max(codes) == 1 + SLOTS < made.codes


def test_speakers_who_always_took_turns_do_so_where_nobody_is_named():
    pairs = [Conversation([Turn("B", "yes"), Turn("A", "no"), Turn("B", "so")][:n]) for n in (2, 3)]
    made = codec(pairs)
    assert made.turns
    assert made.speakers == ["B", "A"]
    assert made.encode([Turn("", "yes")] * 3)[:, 0].tolist() == [1, 2, 1]
    assert not codec([*pairs, Conversation([Turn("A", "no"), Turn("B", "so")])]).turns
    assert not codec().turns


@given(TALKS)
@settings(max_examples=8, deadline=None)
def test_neither_batch_nor_padding_changes_the_vector_of_an_utterance(cells):
    torch.manual_seed(0)
    made = codec(utterance_length=30, utterance_size=4, embedding_size=4, speaker_size=2)
    reader = made.reader()[0].eval()
    arrays = [made.encode(cell) for cell in cells]
    together = reader(made.batch(arrays).inputs)
    for row, (cell, array) in enumerate(zip(cells, arrays, strict=True)):
        waiting = made.begin()
        for step, one in enumerate(cell):
            alone = reader(torch.from_numpy(array[None, step]))[0]
            torch.testing.assert_close(together[row, step], alone, atol=1e-6, rtol=1e-5)
            if one.text:  # a stream has the same rows
                piece, waiting = made.take(one, waiting)
                assert piece[0, 0].tolist() == array[step].tolist()
            else:
                waiting = (made._rows([one], waiting[0])[1],)
    beyond = together[0, len(arrays[0]) :]
    assert not beyond.any()


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_an_utterance_without_units_is_its_words_pooled(unit, pooling):
    torch.manual_seed(0)
    made = codec(unit=unit, utterance_size=0, speaker_size=0, utterance_pooling=pooling)
    reader, size = made.reader()
    rows = torch.from_numpy(made.encode(CALLS[0]))
    found = reader.eval()(rows)
    assert found.shape == (2, size)
    symbols = rows[1, 1:]
    vectors = reader.table.table(symbols[symbols != made.pad])
    expected = {"last": vectors[-1], "mean": vectors.mean(0), "max": vectors.amax(0)}
    if pooling in expected:
        torch.testing.assert_close(found[1], expected[pooling])
    else:
        assert (found[1] <= vectors.amax(0)).all()


def test_all_utterances_of_a_batch_take_a_few_runs():
    made = codec(utterance_length=64)
    reader = made.reader()[0].eval()
    texts = [" ".join(["slow"] * n) for n in range(1, 65)]
    runs = []
    assert reader.words is not None
    reader.words.register_forward_pre_hook(lambda _, given: runs.append(given[0].shape))
    arrays = [made.encode([Turn("", text)]) for text in texts]
    reader(made.batch(arrays).inputs)
    assert sum(rows for rows, *_ in runs) == 64
    assert len(runs) <= 4


def test_training_does_not_know_the_speakers_of_some_conversations():
    made = codec(speaker_dropout=0.5)
    batch = made.batch([made.encode(cell) for cell in CALLS])
    altered = made.augment(batch, torch.Generator().manual_seed(0)).inputs
    known = (altered[..., 0] != NOBODY).all(1)
    assert 4 < int(known.sum()) < 22
    assert ((altered[..., 0] == NOBODY).all(1) | known).all()
    assert (altered[..., 1:] == batch.inputs[..., 1:]).all()
    assert made.augment(batch).inputs.data_ptr() != batch.inputs.data_ptr()
    quiet = codec(speaker_size=0)
    assert quiet.augment(batch) is batch


def test_neighbours_stand_beside_an_utterance_and_end_with_the_conversation():
    made = codec(CALLS[:2])
    alone, beside = (one.train.toarray() for one in made.step_features(CALLS[:2]))
    width = alone.shape[1]
    one, before, _, after, _ = (beside[:, k * width : (k + 1) * width] for k in range(5))
    assert (one == alone).all()
    assert (after[[0, 2]] == alone[[1, 3]]).all()
    assert (before[[1, 3]] == alone[[0, 2]]).all()
    assert not after[[1, 3]].any()
    assert not before[[0, 2]].any()


def test_features_are_kept():
    made = codec()
    for one in [made.features(CALLS), *made.step_features(CALLS)]:
        facts, arrays = one.state()
        again = made.kept_features(facts, arrays)
        assert again.title == one.title
        assert (again.of(CALLS) != one.of(CALLS)).nnz == 0


def test_what_is_said_of_conversations():
    [(word, words)], doubts = codec().told_cells(CALLS)
    assert (word, doubts) == ("turns", [])
    assert words == (
        "26 conversations of 52 utterances; speakers: agent 26, 26 others by the order in which "
        "they speak"
    )
    short = Conversation([Turn("agent", "one two three four")])
    [(_, words)], doubts = codec(utterance_length=3).told_cells([short, CALLS[0][:1] * 2])
    assert "1 utterances are longer than 3 words and cut" in words
    assert "1 of 2 conversations have one utterance" in doubts[0]
    assert "all utterances are of one speaker, 'agent'" in doubts[1]
    mute = [Conversation([Turn("agent", "one"), Turn("", "two")])]
    assert codec().told_cells(mute)[1][-1] == "1 of 2 utterances name no speaker."


def test_what_is_given_in_memory():
    made = codec()
    assert made.raw([["Hi", "So"], [("a", "Yes")]]) == [(("", "Hi"), ("", "So")), (("a", "Yes"),)]
    assert made.raw([("a", "Hi"), {"text": "So"}]) == [(("a", "Hi"), ("", "So"))]
    assert made.raw(["Hi", "So"]) == [(("", "Hi"), ("", "So"))]
    assert made.raw("calls.csv") is None
    assert made.raw(["/"]) is None
    with pytest.raises(InputError, match="Conversation 2: Utterance 1 is neither"):
        made.raw([["Hi"], [3]])
    with pytest.raises(InputError, match="Utterance 1 is neither"):
        made.step(3)
    with pytest.raises(InputError, match="no word in this utterance"):
        made.step(("agent", " "))
    assert made.refuse(Conversation()) == "The conversation has no utterances."


def test_places_and_decoding():
    made = codec()
    text = made.told(CALLS[0])
    assert [text[a:b] for a, b in made.places(CALLS[0])] == [str(one) for one in CALLS[0]]
    assert made.decode(made.encode(CALLS[0])) == (
        ("agent", "hello there ."),
        ("speaker 1", "my router is slow"),
    )
    np.testing.assert_array_equal(made.encode(made.decode(made.encode(CALLS[0])))[:, 0], [1, 2])
