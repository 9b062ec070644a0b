"""Mailboxes and messages: the text of each one, whatever it is wrapped in."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest

from elman.data import read
from elman.errors import InputError
from elman.tasks.classify.task import Classify
from elman.tasks.generate.corpus import find
from elman.tasks.settings import settings_of


def message(text: str, *, page: str | None = None, charset: str = "utf-8") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["Subject"] = "ann@x.org", "About lunch"
    made.set_content(text, charset=charset)
    if page is not None:
        made.add_alternative(page, subtype="html")
    return made


def box(path: Path, messages: list[EmailMessage]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = mailbox.mbox(path)
    for one in messages:
        held.add(one)
    held.flush()
    held.close()
    return path


def test_the_text_of_each_message_is_read_without_what_is_around_it(tmp_path: Path) -> None:
    only = EmailMessage()
    only["Subject"] = "a page"
    only.set_content("<style>p {}</style><p>Fish &amp; chips<br>at <b>one</b></p>", subtype="html")
    bare = EmailMessage()
    bare["Subject"] = "a file"
    bare.add_attachment(b"\0\1", maintype="application", subtype="zip", filename="a.zip")
    texts = ["Hello\n\nFrom here on: café.\n", "Grüße\n"]
    first = message(texts[0], page="<p>not this</p>")
    path = box(tmp_path / "inbox.mbox", [first, message(texts[1], charset="latin-1"), bare, only])
    table = read(path)
    assert list(table.frame["text"]) == [*texts, "Fish & chips\nat one\n"]
    assert table.where(2) == (path, 4)
    assert "Left out: 1 message without a text that can be read." in table.notes()
    assert list(read(path.rename(tmp_path / "Inbox")).frame["text"]) == list(table.frame["text"])


@pytest.mark.parametrize("body", ["This is !!! not base64 at all", "abcde", "//79/A==!!"])
def test_text_that_is_no_base64_is_left_out(tmp_path: Path, body: str) -> None:
    head = "From: a@b.c\nSubject: x\nContent-Type: text/plain; charset=utf-8\n"
    coded = "Content-Transfer-Encoding: base64\n\n"
    began = "From a@b.c Mon Nov 30 22:00:00 2020\n"
    good = "aGVsbG8gdGhlcmU="
    path = tmp_path / "in.mbox"
    path.write_text("\n".join(f"{began}{head}{coded}{one}\n" for one in (body, good)))
    table = read(path)
    assert list(table.frame["text"]) == ["hello there\n"]
    assert "Left out: 1 message without a text that can be read." in table.notes()
    alone = tmp_path / "alone.eml"
    alone.write_text(f"{head}{coded}{body}\n")
    with pytest.raises(InputError, match="No message in it has a text that can be read"):
        read(alone)


def test_mailboxes_and_folders_are_labels(tmp_path: Path) -> None:
    for name in ("ham", "spam"):
        box(tmp_path / "boxes" / f"{name}.mbox", [message(f"{name} {i}") for i in range(20)])
        folder = tmp_path / "folders" / name / "cur"
        folder.mkdir(parents=True)
        for i in range(20):
            (folder / f"{i}.eml").write_bytes(message(f"{name} {i}").as_bytes())
    for source in ("boxes", "folders"):
        table = read(tmp_path / source)
        pairs = set(zip(table.frame["label"], table.frame["text"].str.split().str[0], strict=True))
        assert pairs == {("ham", "ham"), ("spam", "spam")}
        assert Classify.from_data(tmp_path / source, settings_of(Classify, {})).answer.classes == [
            "ham",
            "spam",
        ]
    with pytest.raises(InputError, match="give a folder with one for each label"):
        Classify.from_data(tmp_path / "boxes" / "ham.mbox", settings_of(Classify, {}))


def test_only_what_people_wrote_is_learnt_to_write(tmp_path: Path) -> None:
    path = box(tmp_path / "sent.mbox", [message(f"Dear {i},\nyes.") for i in range(3)])
    found = find(path, None, None)
    assert list(found.whole()) == [f"Dear {i},\nyes.\n" for i in range(3)]
    assert found.left_out == ("headers and attachments of messages",)


@pytest.mark.parametrize(
    ("held", "name", "wrong"),
    [
        (b"", "a.mbox", "The file is empty"),
        (b"so it is\n", "a.mbox", "does not begin with 'From '"),
        (b"Subject: a\n\n", "a.eml", "No message in it has a text"),
        (b"\x1f\x8b\x08\x00", "a.mbox", "Unpack it"),
    ],
)
def test_what_is_no_mail_is_refused(tmp_path: Path, held: bytes, name: str, wrong: str) -> None:
    (tmp_path / name).write_bytes(held)
    with pytest.raises(InputError, match=wrong):
        read(tmp_path / name)
