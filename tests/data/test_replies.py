"""Dialogues in text, JSON, YAML and tables become pairs of a context and a reply."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.data import read
from elman.data.formats.pairs import read_pairs
from elman.data.formats.replies import joined, replies
from elman.data.turns import END, Conversation, Turn
from elman.errors import InputError

DATA = Path(os.environ.get("ELMAN_DATA", "no"))
TALKS = [["Hello.", "Hi, how are you?", "Fine: and you?"], ["No", "Yes"]]
WANTED = [("Hello.", "Hi, how are you?"), ("Hi, how are you?", "Fine: and you?"), ("No", "Yes")]


def written(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


def objects(name, text, who):
    return lines(
        json.dumps({name: [{who: n % 2, text: one} for n, one in enumerate(talk)]})
        for talk in TALKS
    )


MARKED = lines(f" {END} ".join(talk) + f" {END}" for talk in TALKS)
FORMS = {
    "a.txt": MARKED,
    "b.txt.gz": MARKED,
    "c.txt": "".join(line.replace("\n", "\t1\t2 1\n") for line in MARKED.splitlines(True)),
    "d.txt": "\n".join(lines(talk) for talk in TALKS),
    "e.jsonl": lines(map(json.dumps, TALKS)),
    "f.json": json.dumps(TALKS, indent=1),
    "g.jsonl.gz": lines(json.dumps({"id": "x", "dialog": talk, "act": [1, 2]}) for talk in TALKS),
    "h.jsonl": objects("messages", "content", "role"),
    "i.jsonl": objects("conversations", "value", "from"),
    "j.json": json.dumps({"conversations": TALKS}),
    "k.yml": yaml.safe_dump({"categories": ["a"], "conversations": TALKS}),
    "l.yaml": yaml.safe_dump(TALKS),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_pairs(tmp_path, name):
    path = written(tmp_path, name, FORMS[name])
    pairs = read_pairs(path)
    assert list(zip(pairs.source, pairs.target, strict=True)) == WANTED
    assert pairs.groups == [0, 0, 1]
    assert pairs.names == ("context", "reply")
    assert {file for file, _ in pairs.places} == {path}
    assert "2 dialogues of 5 turns" in "\n".join(pairs.said)
    two = read_pairs(path, turns=2, source="context", target="reply")
    assert two.source[1] == f"Hello. {END} Hi, how are you?"
    with pytest.raises(InputError, match="source=text names a column"):
        read_pairs(path, source="text")


def test_the_line_of_a_reply_is_known(tmp_path):
    yml = written(tmp_path, "a.yml", "conversations:\n- - Hello.\n  - Hi.\n  - Bye.\n")
    assert [line for _, line in read_pairs(yml).places] == [3, 4]
    blank = written(tmp_path, "b.txt", "\nHello.\nHi.\n\n\nNo\nYes\n")
    assert [line for _, line in read_pairs(blank).places] == [3, 7]
    assert [line for _, line in read_pairs(written(tmp_path, "c.txt", MARKED)).places] == [1, 1, 2]


TURN_TEXTS = st.text(st.sampled_from("ab .?"), max_size=5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(TURN_TEXTS, max_size=5), max_size=4), st.integers(1, 4))
def test_each_turn_but_the_first_is_a_reply_to_those_before_it(talks, turns):
    cells = [Conversation(Turn("", text) for text in talk) for talk in talks]
    dialogues = [joined(None, cell, 1) for cell in cells]
    found = list(replies(dialogues, turns))
    at = 0
    for dialogue in dialogues:
        texts = [turn.text for turn in dialogue.turns]
        assert all(text == " ".join(text.split()) and text for text in texts)
        for place in range(1, len(texts)):
            assert found[at].text == texts[place]
            assert found[at].context.split(f" {END} ") == texts[max(0, place - turns) : place]
            at += 1
    assert at == len(found)


def test_dialogues_of_the_same_turns_have_one_group(tmp_path):
    talks = [["Hello", "Hi"], ["No", "Yes"], ["hello", "hi"]]
    pairs = read_pairs(written(tmp_path, "a.jsonl", lines(map(json.dumps, talks))))
    assert pairs.groups == [0, 1, 0]
    assert "Pairs that repeat another one: 1 of 3." in pairs.said


ROWS = [
    ("c2", 1, "B", "Yes"),
    ("c1", 2, "B", "Hi,"),
    ("c1", 1, "A", "Hello."),
    ("c2", 0, "A", "No"),
    ("c1", 3, "B", "how are you?"),
    ("c1", 4, "A", "Fine: and you?"),
]


def test_rows_of_turns_are_grouped_ordered_and_joined_by_speaker(tmp_path):
    names = ["Call ID", "turn_id", "speaker", "text"]
    frame = pd.DataFrame(ROWS, columns=names)
    path = written(tmp_path, "a.csv", frame.to_csv(index=False))
    pairs = read_pairs(path)
    assert sorted(zip(pairs.source, pairs.target, strict=True)) == sorted(WANTED)
    assert pairs.places[pairs.target.index("Fine: and you?")] == (path, 7)
    assert "ordered by the last" in "\n".join(pairs.said)
    times = [f"2024-01-31 09:0{row[1]}" for row in ROWS]
    timed = frame.drop(columns="turn_id").assign(time=times)
    assert sorted(read_pairs(timed).target) == sorted(target for _, target in WANTED)
    # Without an order the rows stand as they are; without speakers none are joined.
    plain = pd.DataFrame({"dialogue": ["a", "a", "b", "a", "b"], "utterance": list("vwxyz")})
    found = read_pairs(plain)
    assert list(zip(found.source, found.target, strict=True)) == [
        ("v", "w"),
        ("w", "y"),
        ("x", "z"),
    ]
    # Columns that are named are a source and a target, not turns.
    assert read_pairs(plain, source="utterance", target="dialogue").target == list("aabab")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("conversation", None, "row 2, column 'conversation': Here is no group"),
        ("order", None, "row 2, column 'order': The time of this utterance is missing"),
        ("order", "later", "row 2, column 'order': 'later' holds no number"),
    ],
)
def test_rows_of_turns_that_are_wrong_are_named(column, value, message):
    frame = pd.DataFrame(
        {"conversation": ["a", "a", "b"], "order": [1, 2, 1], "text": ["x y", "y z", "z x"]}
    ).astype(object)
    frame.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        read_pairs(frame)


@pytest.mark.parametrize(
    ("name", "text", "message", "row"),
    [
        ("a.yml", "conversations:\n- - Hello\n - Hi\n", "not sound YAML", 3),
        ("a.yml", "conversations:\n- - Hello\n  - a: b\n", "A turn is no text", 3),
        ("a.yml", "conversations:\n- a: b\n- - Hello\n  - Hi\n", "no list of turns", 2),
        ("a.yml", "categories: [a]\n", "no list of dialogues", None),
        ("a.yml", "just words\n", "no list of dialogues", None),
        ("a.yml", "", "The file is empty", None),
        ("a.yml", "- - !!python/object/apply:os.system [ls]\n  - b\n", "A turn is no text", 1),
        ("a.jsonl", '["a", "b"]\n["c", 5]\n', "Utterance 2 is neither a text nor a pair", 2),
        ("a.jsonl", '["a", "b"]\n{"x": 5}\n', "no list of turns", 2),
        ("a.jsonl", '["a", "b"]\n["c",\n', "not JSON", 2),
        ("a.txt", f"alone {END}\n{END}\n", "no turn that answers another", None),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, name, text, message, row):
    with pytest.raises(InputError, match=message) as failed:
        read_pairs(written(tmp_path, name, text))
    assert failed.value.row == row


def test_a_turn_alone_gives_no_pair_and_is_said(tmp_path):
    path = written(tmp_path, "a.yml", "- - Hello\n  - Hi\n- alone\n- - 'no'\n  - 007\n")
    pairs = read_pairs(path)
    assert pairs.target == ["Hi", "007"]  # as it is written, not as a number
    told = "Dialogues of one turn, which give no pair: 1; the first is a.yml, row 3."
    assert told in pairs.said


@pytest.mark.parametrize(
    ("instructs", "asks", "answers", "left_out"),
    [
        ("system", "user", "assistant", True),
        ("System", "human", "gpt", True),
        ("developer", "user", "assistant", True),
        ("system", "Ann", "Bo", False),
    ],
)
def test_instructions_to_a_model_are_no_turns(tmp_path, instructs, asks, answers, left_out):
    said = [(instructs, "You are helpful."), (asks, "q 580"), (answers, "a 1")]
    said += [(asks, "q 581"), (answers, "a 2")]
    whole = [{"role": who, "content": text} for who, text in said]
    rows = [{"conversation": n, "speaker": w, "text": t} for n in range(3) for w, t in said]
    whole_ones = [{"messages": whole}] * 3
    for name, data in (("a.jsonl", whole_ones), ("b.jsonl", rows)):
        pairs = read_pairs(written(tmp_path, name, lines(map(json.dumps, data))))
        wanted = [("q 580", "a 1"), ("a 1", "q 581"), ("q 581", "a 2")]
        if not left_out:
            wanted.insert(0, ("You are helpful.", "q 580"))
        assert list(zip(pairs.source, pairs.target, strict=True)) == wanted * 3
        told = f"Turns of the role {instructs.lower()}, which tell a model how to answer, left out"
        assert (f"{told}: 3." in pairs.said) == left_out
    # An instruction alone gives no pair.
    alone = written(
        tmp_path, "c.jsonl", lines(map(json.dumps, [*whole_ones, {"messages": whole[:1]}]))
    )
    assert len(read_pairs(alone)) == 3 * len(wanted)


@pytest.mark.skipif(not DATA.is_dir(), reason="ELMAN_DATA is not set")
def test_real_dialogues():
    pairs = read_pairs(DATA / "chatterbot_english")
    assert "2,026 dialogues of 4,332 turns" in "\n".join(pairs.said)
    assert "give no pair: 1; the first is trivia.yml, row 35" in "\n".join(pairs.said)
    first = read_pairs(DATA / "dailydialog" / "dialogues_1k.txt", turns=3)
    assert "945 dialogues of 6,960 turns" in "\n".join(first.said)
    assert max(text.count(END) for text in first.source) == 2
    assert not any(END in text for text in first.target)


def test_chats_of_messenger_are_read_from_the_oldest_message(tmp_path):
    messages = [
        {"sender_name": "Bo", "timestamp_ms": 3000, "content": "Bye."},
        {"sender_name": "Zo\u00c3\u00ab", "timestamp_ms": 2000, "photos": []},
        {"sender_name": "Zo\u00c3\u00ab", "timestamp_ms": 1000, "content": "Caf\u00c3\u00a9?"},
    ]
    held = {"participants": [{"name": "Bo"}, {"name": "Zo"}], "messages": messages, "title": "Bo"}
    path = written(tmp_path, "message_1.json", json.dumps(held))
    pairs = read_pairs(path)
    assert (pairs.source, pairs.target) == (["Café?"], ["Bye."])
    assert "Messages without a text, left out: 1." in pairs.said
    assert read(path).frame["messages"][0][0] == Turn("Zoë", "Café?")


CHATS = {
    "Telegram": ("service", "message", "from", {"name": "us", "type": "personal_chat"}),
    "Discord": ("GuildMemberJoin", "Default", "author", {"guild": {}, "channel": {}}),
}


@pytest.mark.parametrize("program", CHATS)
def test_messages_of_the_service_are_left_out_of_exported_chats(tmp_path, program):
    service, said, who, about = CHATS[program]
    texts = ["Hello.", "Hi.", "Bye."]
    messages = [{"type": said, "text": text, who: n % 2} for n, text in enumerate(texts)]
    joined = {"type": service, "text": "", "actor": "Bo"}
    chat = about | {"messages": [joined, *messages[:2], joined, messages[2]]}
    path = written(tmp_path, "result.json", json.dumps(chat, indent=1))
    pairs = read_pairs(path)
    assert [*zip(pairs.source, pairs.target, strict=True)] == [("Hello.", "Hi."), ("Hi.", "Bye.")]
    assert f"export of {program}. " in pairs.said[0] + " "
    assert "Messages of the service, left out: 2." in pairs.said
    assert not any("without a word" in one for one in pairs.said)
    if program == "Telegram":
        silent = about | {"messages": [joined]}
        every = {"about": "so", "chats": {"about": "so", "list": [chat, silent, chat | {"id": 2}]}}
        path.write_text(json.dumps(every))
        pairs = read_pairs(path)
        assert len(pairs.source) == 4
        assert "1 of 3 chats were left out: nobody wrote in them." in pairs.said
        path.write_text(json.dumps(silent))
        with pytest.raises(InputError, match="Nobody wrote a message"):
            read_pairs(path)
