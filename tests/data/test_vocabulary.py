"""Vocabularies: what is kept, in which order, and that text comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import Vocabulary, lines
from elman.data import vocabulary as module
from elman.errors import InputError

TEXTS = ["a cat sat", "a cat ran", "the dog"]


def test_symbols_are_ordered_by_count_then_name() -> None:
    v = Vocabulary.fit(["bbb", "aac", "d"])
    assert v.symbols == ["<unk>", "b", "a", "c", "d"]
    assert Vocabulary.fit(TEXTS, "words").symbols == [
        "<unk>", "a", "cat", "dog", "ran", "sat", "the",
    ]  # fmt: skip


def test_size_counts_the_special_symbols_and_min_count_drops_the_rare() -> None:
    assert Vocabulary.fit(["bbb", "aac"], size=2).symbols == ["<unk>", "b"]
    assert Vocabulary.fit(["bbb", "aac"], min_count=2).symbols == ["<unk>", "b", "a"]


def test_special_symbols_come_first_in_a_fixed_order() -> None:
    v = Vocabulary.fit(["x"], specials=["eos", "pad", "unk", "bos"])
    assert v.symbols == ["<pad>", "<unk>", "<bos>", "<eos>", "x"]
    assert (v.pad, v.unk, v.bos, v.eos) == (0, 1, 2, 3)
    assert Vocabulary.fit(["x"], specials=[]).unk is None


def test_an_unseen_symbol_is_unk_or_an_error() -> None:
    assert Vocabulary.fit(["ab"]).encode("a😀z").tolist() == [1, 0, 0]
    for unit in ("characters", "words"):
        with pytest.raises(InputError, match="'z' is not in the vocabulary"):
            Vocabulary.fit(["a b"], unit, specials=[]).encode("a z")


def test_line_ends_are_counted_as_in_the_penn_treebank() -> None:
    v = Vocabulary.fit([" no <unk> here \n", " N years \n"], "words", line_ends=True)
    ids = v.encode(" no <unk> here \n N years \n")
    assert [v.symbols[i] for i in ids] == ["no", "<unk>", "here", "<eos>", "N", "years", "<eos>"]
    assert v.decode(ids) == "no <unk> here\nN years\n"
    assert v.symbols.count("<unk>") == 1


def test_punctuation_makes_marks_words_of_their_own() -> None:
    v = Vocabulary.fit(["Isn't it (my) card?"], "words", punctuation=True, lower=True)
    assert set(v.symbols) == {"<unk>", "isn't", "it", "(", "my", ")", "card", "?"}
    assert len(Vocabulary.fit(["my card?"], "words").symbols) == 3


def test_lower_holds_when_fitting_and_when_encoding() -> None:
    for unit in ("characters", "words", "subwords"):
        v = Vocabulary.fit(["Ab aB"], unit, lower=True)
        assert v.encode("AB AB").tolist() == v.encode("ab ab").tolist()
        assert v.decode(v.encode("AB AB")) == "ab ab"


@pytest.mark.parametrize("unit", ["characters", "words", "subwords"])
def test_json_keeps_everything(unit: module.Unit) -> None:
    v = Vocabulary.fit(TEXTS, unit, specials=["pad", "unk", "bos", "eos"], lower=True)
    again = Vocabulary.from_json(json.loads(json.dumps(v.to_json())))
    text = "A cat\nand 1 dög"
    assert again.encode(text).tolist() == v.encode(text).tolist()
    assert again.to_json() == v.to_json()
    assert (again.pad, again.eos, len(again)) == (v.pad, v.eos, len(v))


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1))
def test_characters_come_back(text: str) -> None:
    v = Vocabulary.fit([text], specials=[])
    assert v.decode(v.encode(text)) == text
    assert len(v) == len(set(text))


SUBWORDS = Vocabulary.fit(["the cat sat on the mat " * 5], "subwords", size=280, specials=["eos"])


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_subwords_of_bytes_need_no_unk(text: str) -> None:
    assert SUBWORDS.decode(SUBWORDS.encode(text)) == text


def test_subwords_are_learned_and_a_special_symbol_in_a_text_is_text() -> None:
    assert len(SUBWORDS) <= 280
    assert len(SUBWORDS.encode("the cat sat on the mat")) < 12
    assert SUBWORDS.eos == 0
    assert 0 not in SUBWORDS.encode("an <eos> here")
    assert SUBWORDS.decode(SUBWORDS.encode("an <eos> here")) == "an <eos> here"


def test_counting_in_constant_memory_keeps_the_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = [f"rare{i}" for i in range(2000)]
    texts = ["often " * 3 + " ".join(rare[i : i + 10]) + " also also" for i in range(0, 2000, 10)]
    whole = Vocabulary.fit(texts, "words", size=3)
    monkeypatch.setattr(module, "_COUNTED", 100)
    assert Vocabulary.fit(texts, "words", size=3).symbols == whole.symbols
    assert len(Vocabulary.fit(texts, "words")) <= 102


def test_a_long_text_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    texts = ["abcabcabcabcab", "ccc", "é"]
    assert Vocabulary.fit(texts).symbols == ["<unk>", "c", "a", "b", "é"]


def test_wrong_options_are_explained() -> None:
    with pytest.raises(InputError, match="Did you mean 'words'"):
        Vocabulary.fit(["a"], "word")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Did you mean 'unk'"):
        Vocabulary.fit(["a"], specials=["unc"])
    with pytest.raises(InputError, match="no vocabulary to fit"):
        Vocabulary.fit(["", ""])
    with pytest.raises(InputError, match="several texts"):
        Vocabulary.fit("abc")
    with pytest.raises(InputError, match="for unit='words'"):
        Vocabulary.fit(["abc"], line_ends=True)
    with pytest.raises(InputError, match="at least 257"):
        Vocabulary.fit(["abc"], "subwords", size=100)


def test_penn_treebank_has_ten_thousand_words(data_dir: Path) -> None:
    train = data_dir / "ptb" / "ptb.train.txt.gz"
    v = Vocabulary.fit(lines(train), "words", line_ends=True)
    assert len(v) == 10_000
    ids = np.concatenate([v.encode(line) for line in lines(data_dir / "ptb" / "ptb.test.txt")])
    assert len(ids) == 82_430
    assert (ids == v.eos).sum() == 3_761
    assert sum(len(v.encode(line)) for line in lines(train)) == 929_589


def test_tiny_shakespeare_has_65_characters(data_dir: Path) -> None:
    text = "".join(lines(data_dir / "tinyshakespeare" / "input.txt"))
    v = Vocabulary.fit([text], specials=[])
    assert len(v) == 65
    assert len(v.encode(text)) == 1_115_394
    assert v.decode(v.encode(text)) == text


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text("aB' ’<>.\0\nΣİ", max_size=12), max_size=9),
    st.sampled_from(["characters", "words"]),
    st.booleans(),
    st.integers(1, 4),
)
def test_many_texts_are_encoded_as_each_of_them(texts, unit, flag, together) -> None:
    vocabulary = Vocabulary.fit(
        ["aB aB' <a> . b"], unit, size=8, lower=flag, punctuation=flag and unit == "words"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TOGETHER", together)
        found = [ids.tolist() for ids in vocabulary.encode_each(texts)]
    assert found == [vocabulary.encode(text).tolist() for text in texts]


def test_an_unseen_word_among_many_texts_is_an_error_without_unk() -> None:
    vocabulary = Vocabulary.fit(["a b"], "words", specials=())
    with pytest.raises(InputError, match="'c' is not in the vocabulary"):
        list(vocabulary.encode_each(["a", "b c"]))


@given(st.text(alphabet="aB .,\nxÉİ?", max_size=30), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_symbol_stands_for_a_part_of_the_text(text, lower, punctuation) -> None:
    vocabulary = Vocabulary.fit(
        ["a b , a"], unit="words", lower=lower, punctuation=punctuation, line_ends=False
    )
    parts = vocabulary.written(text)
    assert len(parts) == len(vocabulary.encode(text))
    same = [part for part in "".join(parts) if not part.isspace()]
    wanted = [part for part in text if not part.isspace()]
    assert same == wanted or "".join(same) == "".join(wanted).lower()
    assert "<unk>" not in "".join(parts)
