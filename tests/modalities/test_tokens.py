"""Words read as a whole and letter by letter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman.data.formats.tagged_json import Sentence
from elman.errors import InputError
from elman.modalities.tokens import PAD, UNKNOWN, Tokens, TokensSettings

CELLS = [["Ada", "met", "Bo", "."], ["Ada", "left", "at", "10", "."], ["met", "at", "22"]]


def codec(**settings):
    return Tokens.fit(CELLS, TokensSettings(split="words", **settings))


@given(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), max_size=5))
def test_a_text_is_where_its_words_say(words):
    sentence = Sentence.joined(words)
    assert [sentence.text[start:end] for start, end in sentence.places] == words
    for split in ("words", "blanks"):
        read = Sentence.of(sentence.text, split)
        assert [read.text[start:end] for start, end in read.places] == list(read)
        assert "".join("".join(read).split()) == "".join(sentence.text.split())


def test_case_and_digits_are_for_characters_alone():
    made = codec()
    upper, lower, ten, other = made.encode(["MET", "met", "10", "22"])
    assert upper[0] == lower[0] > UNKNOWN
    assert ten[0] == other[0] > UNKNOWN
    assert (ten[2:] != other[2:]).any()
    assert (upper[2:] != lower[2:]).any()
    assert upper[1] != lower[1]


def test_an_unknown_word_has_characters():
    [row] = codec().encode(["mat"])
    assert row[0] == UNKNOWN
    assert (row[2:5] > UNKNOWN).all()
    assert (row[5:] == PAD).all()


def test_words_seen_too_seldom_are_unknown():
    made = codec(min_count=2)
    assert sorted(made.words) == [".", "00", "ada", "at", "met"]
    assert made.rare == []
    whole = codec()
    assert sorted(whole.words[code - UNKNOWN - 1] for code in whole.rare) == ["bo", "left"]


def test_a_form_tells_capitals_of_unknown_words():
    torch.manual_seed(0)
    made = codec(character_size=0)
    reader = made.reader()[0].eval()
    one, other, third = reader(made.batch([made.encode(["Zoe", "zoe", "Ana"])]).inputs)[0]
    assert not torch.equal(one, other)
    assert torch.equal(one, third)


def test_long_words_are_cut_and_come_back():
    made = Tokens.fit([["extraordinary"] * 2], TokensSettings(max_characters=5))
    [row] = made.encode(["Extraordinary"])
    assert len(row) == 7
    assert made.decode([row]) == ["extraordinary"]  # E came not once in training


def test_the_reader_tells_unknown_words_apart_by_their_characters():
    torch.manual_seed(0)
    made = codec()
    reader = made.reader()[0].eval()
    read = made.batch([made.encode(["mat", "tam"])]).inputs
    one, other = reader(read)[0]
    size = reader.table.embedding_dim
    assert torch.equal(one[:size], other[:size])
    assert not torch.allclose(one[size:], other[size:], atol=1e-4)
    without = codec(character_size=0, form_size=0)
    rows = without.batch([without.encode(["mat", "tam"])]).inputs
    one, other = without.reader()[0].eval()(rows)[0]
    assert torch.equal(one, other)


def test_rare_words_are_made_unknown_in_training_alone():
    torch.manual_seed(0)
    made = codec(rare_dropout=1.0, word_dropout=0.0, input_dropout=0.0)
    reader = made.reader()[0]
    rows = made.batch([made.encode(["Bo", "at", "zzz"])]).inputs
    size = reader.table.embedding_dim
    bo, at, unknown = reader.train()(rows)[0, :, :size]
    assert torch.equal(bo, unknown)
    assert not torch.equal(at, unknown)
    bo, _, unknown = reader.eval()(rows)[0, :, :size]
    assert not torch.equal(bo, unknown)


def test_padding_has_no_part_in_what_is_read():
    torch.manual_seed(0)
    made = codec()
    reader = made.reader()[0].eval()
    long, short = made.encode(CELLS[1]), made.encode(CELLS[2])
    together = reader(made.batch([long, short]).inputs)[1, : len(short)]
    torch.testing.assert_close(together, reader(made.batch([short]).inputs)[0])
    assert (reader(made.batch([long, short]).inputs)[1, len(short) :] == 0).all()


def test_texts_are_split_as_training_was():
    assert Tokens.decide(TokensSettings(), CELLS) == {"split": "words"}
    assert Tokens.decide(TokensSettings(), [["o'clock", "at"]] * 9) == {"split": "blanks"}
    made = Tokens.fit([["a"]], TokensSettings(split="blanks"))
    assert made.raw(["at ten o'clock"]) == [["at", "ten", "o'clock"]]
    assert made.adapt(Sentence.of("o'clock.")) == ["o'clock."]
    assert codec().raw(["Bo's."]) == [["Bo", "'", "s", "."]]


def test_lists_of_files_are_no_texts(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("a\tO\n")
    assert codec().raw([str(path)]) is None
    assert codec().raw(str(path)) is None
    assert codec().raw([["a", "b"]]) == [["a", "b"]]


def test_a_step_is_a_word():
    made = codec()
    assert made.step("met").shape == (1, 1, 22)
    assert made.step(["met", "Bo's"]).shape == (1, 2, 22)
    with pytest.raises(InputError, match="A step is a word, not int"):
        made.step(3)
    with pytest.raises(InputError, match="no word in this step"):
        made.step(" ")


def test_an_empty_sentence_is_refused_by_row():
    frame = pd.DataFrame({"tokens": [["a", "b"], [], ["b"]], "label": ["x", "y", "x"]})
    with pytest.raises(InputError, match="The sentence is empty") as error:
        elman.train("classify", frame, progress=False)
    assert (error.value.row, error.value.column) == (2, "tokens")


def test_classify_reads_words(tmp_path):
    generator = np.random.default_rng(0)
    cells = [list(generator.permutation(["no", "yes", "so", "and"])) for _ in range(160)]
    # The order decides: a bag of words cannot tell.
    labels = ["first" if c.index("no") < c.index("yes") else "last" for c in cells]
    frame = pd.DataFrame({"tokens": cells, "label": labels})
    run = elman.train(
        "classify",
        frame,
        tmp_path / "run",
        progress=False,
        hidden_size=16,
        epochs=25,
        input_dropout=0.0,
        dropout=0.0,
        resamples=0,
    )
    assert run.results["test"]["accuracy"] > 0.95
    assert run.model.task.layout.modality == "tokens"


def test_sentences_that_count_as_words_are_doubted():
    rows = [["The film was seen on Monday."], ["New York", "in 2020"]]
    for cells, doubted in ((rows[:1] * 4, True), (rows[1:] * 4, False), ([["a", "b"]], False)):
        codec = Tokens.fit(cells, Tokens.Settings())
        _, doubts = codec.told_cells(cells)
        assert bool(doubts) == doubted
        assert not doubted or "'The film was seen on Monday.'" in doubts[0]
