"""Rows that are utterances: their columns, clock times, one file a conversation; exported chats."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data import clocks, read
from elman.data.formats.pairs import read_pairs
from elman.data.transcripts import by_file, rows_of, said, transcript_of
from elman.data.turns import Turn
from elman.errors import InputError


def columns(*names):
    rows = [("a", 1, "x", "how are you"), ("a", 2, "y", "well"), ("b", 1, "x", "so it is")]
    return transcript_of(read(pd.DataFrame(rows, columns=list(names))))


@pytest.mark.parametrize(
    "names",
    [
        ("call_id", "turn", "speaker", "text"),
        ("Anruf", "Zeit", "Sprecher", "Text"),
        ("Gesprächs-ID", "Reihenfolge", "Rolle", "Äußerung"),
        ("AnrufNr", "Nr.", "Sprecherin", "Nachricht"),
        ("Numéro d'appel", "Heure", "Locuteur", "Énoncé"),
        ("id_llamada", "Hora", "Hablante", "Mensaje"),
        ("conversación", "orden", "rol", "Texto"),
        ("chiamata", "ora", "parlante", "testo"),
        ("gesprek_id", "tijd", "spreker", "tekst"),
        ("id_chamada", "início", "falante", "fala"),
    ],
)
def test_columns_are_known_by_the_names_that_people_give_them(names):
    found = columns(*names)
    assert (found.group, found.time, found.speaker, found.text) == names


def test_other_columns_are_no_transcript():
    assert columns("customer", "turn", "speaker", "text") is None
    assert columns("call_id", "turn", "label", "text") is None
    # An order that repeats within a conversation is none where its name says little.
    assert columns("call_id", "turn", "speaker", "text").time == "turn"
    rows = [("a", 7, "x", "how are you"), ("a", 7, "y", "well"), ("b", 1, "x", "so it is")]
    frame = pd.DataFrame(rows, columns=["call", "number", "speaker", "text"])
    assert transcript_of(read(frame)).time is None


FORMS = {
    "{h}:{m:02}": 60,
    "{h:02}:{m:02}:{s:02}": 1,
    "{h}:{m:02}:{s:02}.5": 1,
    "[{h:02}:{m:02}:{s:02},25]": 1,
    "{h}h{m:02}": 60,
    "{h}.{m:02} Uhr": 60,
}


@given(st.lists(st.integers(0, 86_399), min_size=2, max_size=8), st.sampled_from(list(FORMS)))
def test_clock_times_stand_in_the_order_of_their_seconds(moments, form):
    cells = [form.format(h=t // 3600, m=t // 60 % 60, s=t % 60) for t in moments]
    found, wrong = clocks.read(cells)
    assert wrong is None
    rounded = [t // FORMS[form] for t in moments]
    for one, a in zip(rounded, found, strict=True):
        for other, b in zip(rounded, found, strict=True):
            assert (one < other) == (a < b)


def calls(times, groups=None):
    texts = [f"it is {place}" for place in range(len(times))]
    groups = groups or ["a"] * len(times)
    return read(pd.DataFrame({"call": groups, "time": times, "who": "x", "text": texts}))


def order(table):
    return rows_of(table, "call", transcript_of(table, asked=True).time)


def test_clock_times_order_rows_past_an_hour_noon_and_midnight():
    assert order(calls(["1:00:10", "59:30", "0:05"])) == {"a": [2, 1, 0]}
    assert order(calls(["1:05 PM", "12:30 PM", "9:00 AM", "12:10 AM"])) == {"a": [3, 2, 1, 0]}
    assert order(calls(["23:58", "23:59", "00:01", "00:02"])) == {"a": [0, 1, 2, 3]}
    # Only where the file itself goes on past midnight.
    assert order(calls(["23:58", "00:01", "23:59", "00:02"])) == {"a": [1, 3, 0, 2]}
    mixed = calls(["9:01", "9:05", "9:00", "9:04"], ["a", "b", "a", "b"])
    assert order(mixed) == {"a": [2, 0], "b": [3, 1]}
    with pytest.raises(InputError, match="row 3, column 'time': 'later' is no time"):
        order(calls(["9:00", "9:01", "later"]))
    with pytest.raises(InputError, match="row 2, column 'time': The time is missing"):
        order(calls(["9:00", None, "9:02"]))


def test_without_a_conversation_a_file_is_one(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(
            f"Speaker,Text,Start\nann,so it is {name},00:00:09\nbo,is it so,00:00:01\n"
        )
    table = read(tmp_path)
    assert transcript_of(table) is None
    found = transcript_of(table, asked=True)
    assert found == (None, "Text", "Speaker", "Start")
    rows = rows_of(by_file(table), "file", found.time)
    assert list(rows) == ["a.csv", "b.csv"]
    [first, second] = said(table, found.text, found.speaker, found.time, list(rows.values()))
    assert first == (Turn("bo", "is it so"), Turn("ann", "so it is a"))
    assert second.lines == (3, 2)
    assert read_pairs(tmp_path).target == ["so it is a", "so it is b"]


def test_messages_of_slack_and_teams_are_utterances(tmp_path):
    slack = [
        {"type": "message", "user": "U2", "text": "it is the bill", "ts": "1710271235.0002"},
        {"type": "message", "user": "U1", "text": "what is it ?", "ts": "1710271234.0001"},
    ]
    teams = {
        "value": [
            {
                "id": str(place),
                "createdDateTime": f"2024-03-12T09:0{2 - place}:00Z",
                "from": {"user": {"displayName": name}},
                "body": {"contentType": "text", "content": one["text"]},
            }
            for place, (name, one) in enumerate(zip(["Ann", "Bo"], slack, strict=True))
        ]
    }
    for name, value in (("slack.json", slack), ("teams.json", teams)):
        (tmp_path / name).write_text(json.dumps(value))
        pairs = read_pairs(tmp_path / name)
        assert (pairs.source, pairs.target) == (["what is it ?"], ["it is the bill"])
    joined = {"subtype": "channel_join", "user": "U3", "text": "<@U3> has joined the channel"}
    place = tmp_path / "joined.json"
    # A message that others answer is one: only those of the service are left out.
    answer = {"subtype": "thread_broadcast", "user": "U3", "text": "thanks", "ts": "1710271236.1"}
    place.write_text(json.dumps([slack[0], joined | {"ts": "1710271234.5"}, slack[1], answer]))
    pairs = read_pairs(place)
    assert pairs.source == ["what is it ?", "it is the bill"]
    assert pairs.target == ["it is the bill", "thanks"]
    assert "Messages of the service, left out: 1." in pairs.said
    # A folder of an export holds lists of people and channels, and messages in blocks again.
    blocks = [{"type": "rich_text", "elements": [{"type": "text", "text": "it is so"}]}]
    for day in ("01", "02"):
        channel = tmp_path / "export" / "general"
        channel.mkdir(parents=True, exist_ok=True)
        said = [one | {"blocks": blocks} for one in slack]
        (channel / f"2024-03-{day}.json").write_text(json.dumps(said))
    for name in ("users", "channels", "integration_logs"):
        (tmp_path / "export" / f"{name}.json").write_text('[{"id": "U1", "name": "ann"}]')
    pairs = read_pairs(tmp_path / "export")
    assert (pairs.source, pairs.target) == (["what is it ?"] * 2, ["it is the bill"] * 2)
    assert pairs.doubts == []
    teams["value"][0] |= {"messageType": "message"}
    teams["value"][1] |= {"messageType": "message"}
    event = teams["value"][0] | {"id": "7", "messageType": "systemEventMessage"}
    teams["value"].append(event | {"body": {"content": "<systemEventMessage/>"}})
    place.write_text(json.dumps(teams))
    assert read_pairs(place).target == ["it is the bill"]


CHAT = """\
12/03/24, 21:13 - Messages are encrypted.
12/03/24, 21:14 - Ann: what is it ?
and why
12/03/24, 21:15 - Bo: it is: the bill
12/03/24, 21:15 - Bo: <Media omitted>
12/03/24, 21:16 - Bo added Cy
a note of the service
13/03/24, 08:00 - Ann: thanks
"""


def test_a_chat_is_read_by_days(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text(CHAT)
    table = read(place)
    assert list(table.frame["turns"]) == [
        (("Ann", "what is it ? and why"), ("Bo", "it is: the bill")),
        (("Ann", "thanks"),),
    ]
    assert [cell.lines for cell in table.frame["turns"]] == [(2, 4), (8,)]
    assert "2 lines of the service, which nobody wrote, 1 pictures" in " ".join(table.notes())
    pairs = read_pairs(place)
    assert pairs.places == [(place, 4)]
    ios = "\u200e[12.03.24, 9:14:05\u202fPM] Ann: Hi.\n\u200e[12.03.24, 9:15:05\u202fPM] Bo: So\n"
    place.write_text(ios)
    assert list(read(place).frame["turns"]) == [(("Ann", "Hi."), ("Bo", "So"))]
    place.write_text("a note\n" + CHAT)
    (tmp_path / "WhatsApp Chat with Ann.txt").write_text("a note\n" + CHAT)
    with pytest.raises(InputError, match="row 1: The line is no message"):
        read(tmp_path / "WhatsApp Chat with Ann.txt")


MARK = "\u200e"
IOS = f"""\
[01.02.24, 08:00:01] Familie: {MARK}Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
[01.02.24, 08:01:00] Ann: was ist es ?
{MARK}[01.02.24, 08:02:00] Bnn: {MARK}Bild weggelassen
[01.02.24, 08:03:00] Bnn: die Rechnung
{MARK}[01.02.24, 08:04:00] Ann: {MARK}Diese Nachricht wurde gelöscht.
"""
NOTICE = "Messages and calls are end-to-end encrypted. No one outside of this chat can read them."


def test_what_the_service_wrote_under_a_name_is_no_turn(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text(IOS)
    table = read(place)
    assert list(table.frame["turns"]) == [(("Ann", "was ist es ?"), ("Bnn", "die Rechnung"))]
    assert "2 lines of the service, which nobody wrote, 1 pictures" in " ".join(table.notes())
    # Without the marks the notice and the picture are known by their words.
    place.write_text(IOS.replace(MARK, "").replace("Diese Nachricht", "Die Nachricht"))
    [said] = read(place).frame["turns"]
    assert said[2:] == (("Ann", "Die Nachricht wurde gelöscht."),)
    head = "12/03/24, 21:14 - Ann: "
    place.write_text(f"{head}{NOTICE}\n{head}is it end-to-end encrypted ?\n{head}Messages, so\n")
    [said] = read(place).frame["turns"]
    assert [one.text for one in said] == ["is it end-to-end encrypted ?", "Messages, so"]


def test_lines_with_speakers_and_mail(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("Ann: what is it ?\nBo: the bill\n\nAnn: so\nAnn: it is\nBo: yes\n")
    pairs = read_pairs(place)
    assert pairs.source == ["what is it ?", "so it is"]
    assert pairs.places == [(place, 2), (place, 6)]
    place.write_text("From: a@b.c\nSubject: the bill\n\nWhat is it?\n\n> thanks\n> so it is\n")
    with pytest.raises(InputError, match="This is an e-mail"):
        read_pairs(place)


def test_yaml_is_read_like_every_table(tmp_path):
    (tmp_path / "a.yml").write_text(
        "conversations:\n- - Hello.\n  - No\n- - {speaker: Ann, text: So}\n  - {who: Bo, text: 7}\n"
    )
    table = read(tmp_path)
    assert list(table.frame["turns"]) == [
        (("", "Hello."), ("", "No")),
        (("Ann", "So"), ("Bo", "7")),
    ]
    assert table.where(1)[1] == 4
    # Settings beside data are no data.
    (tmp_path / "b.csv").write_text("text,label\nso it is,a\nis it so,b\n")
    assert list(read(tmp_path).kinds) == ["text", "label"]


def test_a_table_of_pairs_without_names_keeps_its_first_pair(tmp_path):
    place = tmp_path / "a.csv"
    place.write_text("I am cold.,Ich friere.\nWe know.,Wir wissen es.\nCome in.,Komm herein.\n")
    pairs = read_pairs(place)
    assert pairs.source == ["I am cold.", "We know.", "Come in."]
    assert pairs.places[0] == (place, 1)
    assert "are no names of columns" in " ".join(pairs.said)
    again = read_pairs(place, source=pairs.names[0], target=pairs.names[1], needs_target=False)
    assert again.source == pairs.source
    place.write_text("Stop,Halte\nWe know.,Wir wissen es.\nCome in.,Komm herein.\n")
    pairs = read_pairs(place)
    assert len(pairs) == 2
    assert "The first row, 'Stop', 'Halte', is read as the names" in " ".join(pairs.said)
    place.write_text("English text,German text\nWe know.,Wir wissen es.\nCome in.,Komm herein.\n")
    assert len(read_pairs(place)) == 2
