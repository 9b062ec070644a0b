"""Conversations out of JSON lines, subtitles and lines of dialogues."""

from __future__ import annotations

import json
import textwrap

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import read
from elman.data.turns import Conversation, NoTurns, Turn, conversation, is_conversation
from elman.errors import InputError

WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


def turns(table):
    return [list(cell) for cell in table.frame["turns"]]


def lines(path, records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_a_conversation_is_the_same_in_every_form(said):
    pairs = conversation([list(pair) for pair in said])
    objects = conversation([{"Role": who, "content": text} for who, text in said])
    assert pairs == objects == tuple(said)
    assert conversation(json.dumps(said)) == pairs
    assert conversation([text for _, text in said]) == tuple(("", text) for _, text in said)
    assert str(pairs).split("\n") == [f"{who}: {text}" for who, text in said]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (3, "no conversation"),
        ("hello", "no conversation"),
        ([1], "Utterance 1 is neither"),
        (["a", ["b", "c", "d"]], "Utterance 2 is neither"),
        ([{"act": "x"}], "Utterance 1 has no text under text.*; it has act"),
    ],
)
def test_what_is_no_conversation_says_why(cell, why):
    with pytest.raises(NoTurns, match=why):
        conversation(cell)


def test_words_and_tagged_words_are_no_conversations():
    assert not is_conversation("tokens", ["a film", "b"])
    assert not is_conversation("turns", ["a", "b"])
    assert not is_conversation("entities", [["Oslo", "city"]])
    assert not is_conversation("spans", [{"text": "Oslo", "label": "city"}])
    assert is_conversation("messages", [{"content": "Oslo"}])
    assert is_conversation("data", [{"from": "a", "value": "Oslo"}])


def test_objects_become_turns_and_columns(tmp_path):
    said = [
        {"Speaker": "agent", "text": "Hello there.", "act": "greet", "new": True, "start": 0.5},
        {"text": "Hi.", "act": "greet", "new": False, "start": 2},
    ]
    rows = [{"id": f"c{k}", "turns": said, "outcome": "good"} for k in range(2)]
    table = read(lines(tmp_path / "a.jsonl", rows))
    assert turns(table)[0] == [Turn("agent", "Hello there."), Turn("", "Hi.")]
    kinds = {
        "turns": "turns",
        "turns.act": "tokens",
        "turns.new": "tokens",
        "turns.start": "series",
    }
    assert {name: table.kinds[name] for name in kinds} == kinds
    assert table.frame["turns.new"][1] == ["true", "false"]
    assert table.frame["turns.start"][0].tolist() == [[0.5], [2.0]]
    assert not table.doubts()


def test_a_value_that_an_utterance_lacks_is_missing_and_times_that_go_back_are_doubted(tmp_path):
    rows = [
        {
            "turns": [
                {"text": "One.", "act": "a", "time": 1},
                {"text": "Two.", "act": "b", "time": 3},
            ]
        },
        {"turns": [{"text": "One.", "act": "a", "time": 4}, {"text": "Two.", "time": 2}]},
    ]
    table = read(lines(tmp_path / "a.jsonl", rows))
    assert table.frame["turns.act"].tolist() == [["a", "b"], None]
    [doubt] = table.doubts()
    assert "'turns.time' go backwards in 1 of 2 conversations, the first in row 2" in doubt


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_line_may_be_a_conversation_by_itself(tmp_path, name):
    rows = [["How are you?", "Well."], [["Ann", "So you are."]], [{"text": "Yes.", "who": "Bo"}]]
    table = read(lines(tmp_path / name, rows))
    assert turns(table) == [
        [("", "How are you?"), ("", "Well.")],
        [("Ann", "So you are.")],
        [("Bo", "Yes.")],
    ]
    assert table.where(2)[1] == 3


def test_a_file_may_be_one_conversation(tmp_path):
    one = {"id": 7, "turns": [{"speaker": "a", "text": "One."}, {"speaker": "b", "text": "Two."}]}
    assert turns(read(lines(tmp_path / "a.json", [one]))) == [[("a", "One."), ("b", "Two.")]]
    assert turns(read(lines(tmp_path / "b.json", [[["One day.", "Two."]]]))) == [
        [("", "One day."), ("", "Two.")]
    ]


def test_a_cell_that_is_no_conversation_is_named(tmp_path):
    rows = [{"turns": [{"speaker": "a", "text": "One."}]}, {"turns": [{"speaker": "a"}]}]
    with pytest.raises(InputError, match="row 2, column 'turns': Utterance 1 has no text"):
        read(lines(tmp_path / "a.jsonl", rows))
    with pytest.raises(InputError, match="row 2: Here stands a list"):
        read(lines(tmp_path / "b.jsonl", [["One day.", "Two."], [1, 2]]))


def test_frames_hold_conversations():
    cells = [[("a", "One."), ("b", "Two.")], [("a", "Three.")]]
    table = read(pd.DataFrame({"turns": cells, "act": [[1, 2], [1]]}))
    assert table.kinds == {"turns": "turns", "act": "series"}
    part = table.frame["turns"][0][:1]
    assert isinstance(part, Conversation)
    assert part == (("a", "One."),)


VTT = """\
    WEBVTT

    NOTE a note

    1
    00:01.000 --> 00:02.000 align:start
    <v Ann>Hello <b>there</b></v>

    00:02.000 --> 00:03.500
    my friend &amp; all

    00:03.500 --> 00:04.000
    <v Bo>Hi.</v> <v Ann>Well?</v>
"""


def test_subtitles_name_their_speakers(tmp_path):
    (tmp_path / "a.vtt").write_text(textwrap.dedent(VTT))
    assert turns(read(tmp_path / "a.vtt")) == [
        [("Ann", "Hello there"), ("Ann", "my friend & all"), ("Bo", "Hi."), ("Ann", "Well?")]
    ]
    srt = (
        "1\n00:00:01,000 --> 00:00:02,000\nANN: Hi.\n2\n00:00:02,000 --> 00:00:03,000\nNote: so.\n"
    )
    srt += "3\n00:00:03,000 --> 00:00:04,000\nYes\n4\n00:00:04,000 --> 00:00:05,000\n{\\an8}No\n"
    srt += "5\n00:00:04,000 --> 00:00:05,000\n\n"
    (tmp_path / "b.srt").write_text(srt)
    assert turns(read(tmp_path / "b.srt")) == [
        [("ANN", "Hi."), ("ANN", "Note: so."), ("ANN", "Yes"), ("ANN", "No")]
    ]


def test_folders_and_lists_say_what_subtitles_are(tmp_path):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nHi.\n"
    for place in ("good/1.vtt", "bad/2.vtt"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(text)
    table = read(tmp_path)
    assert dict(zip(table.frame["label"], turns(table), strict=True)).keys() == {"good", "bad"}
    (tmp_path / "list.csv").write_text("file,stars\ngood/1.vtt,5\nbad/2.vtt,1\n")
    table = read(tmp_path / "list.csv")
    assert table.frame["stars"].tolist() == [5, 1]
    assert turns(table) == [[("", "Hi.")]] * 2
    (tmp_path / "list.csv").write_text("file,stars\ngood/1.vtt,5\nbad/3.vtt,1\n")
    with pytest.raises(InputError, match=r"list.csv, row 3, column 'file': There is no file"):
        read(tmp_path / "list.csv")


def test_subtitles_are_put_in_order_or_refused(tmp_path):
    place = tmp_path / "a.vtt"
    place.write_text("WEBVTT\n\n00:03.000 --> 00:04.000\nTwo\n\n00:01.000 --> 00:02.000\nOne\n")
    table = read(place)
    assert [one.text for one in turns(table)[0]] == ["One", "Two"]
    assert "times go backwards (1 of 2 cues, first in row 6)" in " ".join(table.notes())
    place.write_text("WEBVTT\n\n00:03.000 --> 00:02.000\nTwo\n")
    with pytest.raises(InputError, match="row 3: The cue ends before it begins"):
        read(place)
    place.write_text("WEBVTT\n\n00:03 --> soon\nTwo\n")
    with pytest.raises(InputError, match=r"row 3: .* are no times of a cue"):
        read(place)
    place.write_text("WEBVTT\n\nNOTE nothing\n")
    with pytest.raises(InputError, match="There are no cues with words"):
        read(place)


def test_lines_of_dialogues_and_their_numbers(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("Hi . __eou__ Who ? __eou__\t10\t1 2\t0 6\n\nNo __eou__ \t1\t4\t4\n")
    table = read(place)
    assert turns(table) == [[("A", "Hi ."), ("B", "Who ?")], [("A", "No")]]
    assert table.frame["topic"].tolist() == ["finance", "ordinary life"]
    assert table.frame["acts"].tolist() == [["inform", "question"], ["commissive"]]
    assert table.frame["emotions"].tolist() == [["none", "surprise"], ["happiness"]]
    assert table.where(1)[1] == 3
    place.write_text("Hi . __eou__ Who ? __eou__\t7 9\nNo __eou__ Yes\t7 7\n")
    assert read(place).frame["column 2"].tolist() == [["7", "9"], ["7", "7"]]
    # An utterance without a word is kept, for the numbers beside it; what reads it decides.
    place.write_text("Hi . __eou__ __eou__ So __eou__\t1 2 3\nNo __eou__ \t4\n")
    assert turns(read(place))[0] == [("A", "Hi ."), ("B", ""), ("A", "So")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Hi . __eou__\t1\nNo __eou__\t1\n \t1\n", "row 3: The dialogue has no utterance"),
        ("Hi . __eou__\t1\nNo __eou__\n", "row 2: The line has 0 columns .* the first one has 1"),
        ("Hi . __eou__\t1\nNo __eou__\t \n", "row 2: The column 2 of this dialogue is missing"),
    ],
)
def test_lines_of_dialogues_that_are_wrong(tmp_path, text, why):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=why):
        read(tmp_path / "a.txt")
