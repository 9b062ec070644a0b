"""Mangled files of every format: a table comes out, or one message; nothing else, and soon.

`ELMAN_FUZZ` says how many files of each kind (200). A failure names its seed: the same seed makes
the same file again.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from elman.data import Table, read, scan
from elman.errors import InputError

COUNT = int(os.environ.get("ELMAN_FUZZ", "200"))
SECONDS = 10
MEMORY = 3 << 30
"""Bytes of address space beyond what the process had that a file of some kilobytes may take."""

pytestmark = pytest.mark.fuzz


def of_csv(at: random.Random) -> bytes:
    mark = at.choice(",;\t|")
    rows = [mark.join(["id", "text", "n", "when", "label"])]
    for i in range(at.randint(1, 30)):
        text = at.choice(["so it is", '"a ""b"" c"', '"two\nlines"', "é ñ", ""])
        rows.append(mark.join([f"C{i}", text, str(i / 4), f"2024-01-{i % 28 + 1:02}", "ab"[i % 2]]))
    return (
        at.choice(["\n", "\r\n", "\r"]).join(rows).encode(at.choice(["utf-8", "cp1252", "utf-16"]))
    )


def of_json(at: random.Random) -> bytes:
    rows: list[Any] = [
        {"text": "to Oslo now", "label": "ab"[i % 2], "n": i, "series": [[1.0, i], [2, 3]]}
        for i in range(9)
    ]
    if at.random() < 0.5:
        rows = [{"text": "to Oslo now", "entities": [[3, 7, "city"]], "id": i} for i in range(9)]
    elif at.random() < 0.5:
        rows = [{"tokens": ["a", "b"], "tags": ["O", "B-x"], "intent": "go"} for _ in range(9)]
    return "\n".join(map(json.dumps, rows)).encode()


def of_parquet(at: random.Random) -> bytes:
    frame = pd.DataFrame({"a": range(9), "b": ["x", "yy", "z"] * 3, "c": [[1.0, 2.0]] * 9})
    return bytes(frame.to_parquet(compression=at.choice(["snappy", "gzip", None])))


def of_text(at: random.Random) -> bytes:
    form = at.choice(
        ["{y} so it is {i}", "so it is {i}\t{y}", "only words {i}", "{i} {i}.5 -{i}e3"]
    )
    return "\n".join(form.format(i=i, y="ab"[i % 2]) for i in range(20)).encode()


def of_ts(at: random.Random) -> bytes:
    if at.random() < 0.5:
        head, ends = "@classLabel true a b\n", "ab"
    else:
        head, ends = "@targetlabel true\n", "12"
    rows = "".join(f"1,2,{i}:4,?,6:{ends[i % 2]}\n" for i in range(8))
    return f"@problemName x\n@timeStamps false\n{head}@data\n{rows}".encode()


def of_tsf(at: random.Random) -> bytes:
    rows = "".join(f"T{i}:2020-01-0{i + 1} 00-00-00:1,2,?,4\n" for i in range(6))
    head = "@relation x\n@attribute series_name string\n@attribute start date\n@frequency daily\n"
    return f"{head}@data\n{rows}".encode()


def of_arff(at: random.Random) -> bytes:
    head = "@relation x\n@attribute a numeric\n@attribute 'b c' {x,'y z'}\n@attribute d string\n"
    rows = "".join(f"{i},{at.choice(['x', 'y z', '?'])!r},'it, is','1,2\\n3,4'\n" for i in range(9))
    return f"{head}@attribute r relational\n@attribute t numeric\n@end r\n@data\n{rows}".encode()


def of_conll(at: random.Random) -> bytes:
    if at.random() < 0.4:
        rest = "\t_" * 6
        rows = [f"# sent_id = {i}\n1\tde\tde\tADP{rest}\n2\tx\tx\tNOUN{rest}\n" for i in range(6)]
    else:
        rows = [f"-DOCSTART- O\n\nAnn B-PER\nran{i} O\n" for i in range(6)]
    return "\n".join(rows).encode()


def of_numbers(at: random.Random) -> bytes:
    mark = at.choice([",", "  ", "\t"])
    rows = [mark.join([str(i % 2), *(f"{at.random():.4e}" for _ in range(6))]) for i in range(9)]
    return "\n".join(rows).encode()


def of_idx(at: random.Random) -> bytes:
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (3, 4, 4))
    return head + bytes(at.randrange(256) for _ in range(48))


def of_wav(at: random.Random) -> bytes:
    import io

    import soundfile

    held = io.BytesIO()
    kind = at.choice(["WAV", "FLAC", "OGG"])
    soundfile.write(held, np.sin(np.arange(800) / 9), 8000, format=kind)
    return held.getvalue()


def of_sheet(at: random.Random) -> bytes:
    import tempfile

    from workbooks import ROWS, ods, xlsx

    rows = [*ROWS, [4, "e f", at.choice([2.5, 2.5, 2.5, 2.5, "=SUM(C2:C4)"]), "y"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        xlsx(path, {"One": rows}) if at.random() < 0.5 else ods(path, ROWS)
        return path.read_bytes()


def of_chat(at: random.Random) -> bytes:
    form = at.choice(
        ["{d}/03/24, 2{i}:14 - {y}: so it is", "[{d}.03.24, 0{i}:14:05] {y}: so\nit is"]
    )
    lines = [form.format(d=10 + i, i=i % 3, y=("Ann", "Bo")[i % 2]) for i in range(9)]
    return "\n".join(lines).encode()


def of_subtitles(at: random.Random) -> bytes:
    mark = at.choice([",", "."])
    rows = [
        f"{i + 1}\n00:00:0{i}{mark}000 --> 00:00:0{i}{mark}900\n- so it is {i}\n" for i in range(8)
    ]
    return ("WEBVTT\n\n" * (mark == ".") + "\n".join(rows)).encode()


def of_mail(at: random.Random) -> bytes:
    """Mailboxes, and single messages, of plain text, pages, and odd encodings."""
    rows = []
    for i in range(at.randint(1, 6)):
        bodies = ["so it is\n>From here on", "c28gaXQgaXM=", "<p>so <b>it</b> is", "=E9t=E9"]
        body = at.choice(bodies)
        kind = at.choice(["plain", "html", "plain; charset=x-odd", "plain; charset=latin-1", "odd"])
        coded = at.choice(["7bit", "base64", "quoted-printable", "8bit", "odd"])
        rows.append(
            f"From a{i}@x.org Mon Jan  1 10:00:0{i} 2024\nSubject: =?utf-8?q?w=C3=A9?= {i}\n"
            f"MIME-Version: 1.0\nContent-Type: text/{kind}\n"
            f"Content-Transfer-Encoding: {coded}\n\n{body}\n"
        )
    text = "\n".join(rows)
    if at.random() < 0.3:
        text = text.partition("\n")[2]
    return text.encode()


def of_export(at: random.Random) -> bytes:
    """Chats of Telegram, Discord and Messenger, questions of SQuAD, and intents of Rasa."""
    said = [
        {"type": ["message", "service"][i == 3], "from": "Ann", "text": f"so {i}"} for i in range(6)
    ]
    sent = [{"sender_name": "Ann", "timestamp_ms": i, "content": f"so {i}"} for i in range(6)]
    meant = [{"text": f"to Oslo {i}", "intent": "go", "entities": []} for i in range(6)]
    asked = [{"qas": [{"question": "who", "answers": []}], "context": "so it is"}]
    found: Any = at.choice(
        [
            {"name": "x", "messages": said},
            {"messages": sent, "participants": []},
            {"rasa_nlu_data": {"common_examples": meant}},
            {"data": [{"title": "x", "paragraphs": asked}]},
        ]
    )
    return json.dumps(found, indent=at.choice([None, 1])).encode()


def of_comments(at: random.Random) -> bytes:
    head = at.choice(["# made today\n# t x y\n", "# t x y\n# s m m\n", "#\n"])
    return (head + "".join(f"{i} {i / 3:.3e}  {i % 2}\n" for i in range(12))).encode()


def of_annotations(at: random.Random) -> bytes:
    rows = [
        "T1\tcity 3 7\tOslo",
        "T2\tcity 11 15;19 22\tRome Ann",
        "R1\tnear Arg1:T1 Arg2:T2",
        "#1\t",
    ]
    at.shuffle(rows)
    return "\n".join([*rows, "T3\tname 19 22\tAnn"]).encode()


def of_yaml(at: random.Random) -> bytes:
    if at.random() < 0.3:
        rows = "".join(f"    - to [Oslo](city) {i}\n" for i in range(5))
        return f"version: '3.1'\nnlu:\n- intent: go\n  examples: |\n{rows}".encode()
    head = at.choice(["", "conversations:\n"])
    return (head + "- - so it is\n  - 'is it: so'\n- - {who: a, text: b}\n  - yes\n").encode()


KINDS: dict[str, tuple[Callable[[random.Random], bytes], tuple[str, ...]]] = {
    "csv": (of_csv, (".csv", ".tsv", ".txt", "")),
    "json": (of_json, (".jsonl", ".json")),
    "parquet": (of_parquet, (".parquet",)),
    "text": (of_text, (".txt", "")),
    "ts": (of_ts, (".ts",)),
    "tsf": (of_tsf, (".tsf",)),
    "arff": (of_arff, (".arff", ".txt")),
    "conll": (of_conll, (".conll", ".txt", ".tsv")),
    "numbers": (of_numbers, (".txt", ".csv", "")),
    "idx": (of_idx, ("-idx3-ubyte",)),
    "chats": (of_chat, (".txt",)),
    "yaml": (of_yaml, (".yml",)),
    "subtitles": (of_subtitles, (".srt", ".vtt", ".txt")),
    "mail": (of_mail, (".mbox", ".eml", ".txt", "")),
    "exports": (of_export, (".json",)),
    "comments": (of_comments, (".txt", ".dat", ".csv")),
    "annotations": (of_annotations, (".ann",)),
    "sound": (of_wav, (".wav", ".flac", ".ogg", ".mp3")),
    "sheet": (of_sheet, (".xlsx", ".ods", ".xls", ".xlsb")),
    "parallel": (of_text, (".in",)),
}


def mangled(data: bytes, at: random.Random) -> bytes:
    """Return the bytes after one to four blows: flips, cuts, mixed marks and encodings."""
    held = bytearray(data)
    for _ in range(at.choice([0, 1, 1, 2, 4])):
        size = max(1, len(held))
        place = at.randrange(size)
        match at.randrange(10):
            case 0:
                for _ in range(at.randint(1, 6)):
                    if held:
                        held[at.randrange(len(held))] = at.randrange(256)
            case 1:
                del held[place:]
            case 2:
                del held[place : place + at.randint(1, 40)]
            case 3:
                held[place:place] = bytes(at.randrange(256) for _ in range(at.randint(1, 9)))
            case 4:
                rows = bytes(held).split(b"\n")
                del rows[at.randrange(len(rows))]
                at.shuffle(rows)
                held = bytearray(b"\n".join(rows))
            case 5:
                old, new = at.sample([b",", b";", b"\t", b" ", b":", b'"', b"\n"], 2)
                held = bytearray(bytes(held).replace(old, new, at.choice([1, 3, -1])))
            case 6:
                text = bytes(held).decode("latin-1")
                held = bytearray(text.encode(at.choice(["utf-8", "utf-16", "utf-32"])))
            case 7:
                held += at.choice(
                    [b"\0" * 20, b"\xff\xfe", b'"', b"[", b"1e999,nan,inf\n", b"\r\r"]
                )
            case 8:
                words = [b"nan", b"1e308", b"-inf", b"9" * 400, b"@data", b"\xef\xbb\xbf", b"{}"]
                held[place : place + 3] = at.choice(words)
            case 9:
                held = held[:place] * at.randint(1, 3) + held[place:]
    found = bytes(held)
    if at.random() < 0.1:
        packed = gzip.compress(found)
        found = packed if at.random() < 0.5 else packed[: at.randrange(1, len(packed))]
    return found


@contextmanager
def bounded() -> Iterator[None]:
    """Raise where a read takes too long, and bound the memory that it can have."""
    import resource

    def late(*_: Any) -> None:
        raise AssertionError(f"No answer in {SECONDS} s.")

    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, before[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("kind", KINDS)
def test_mangled_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    make, endings = KINDS[kind]
    if kind == "sound":
        pytest.importorskip("soundfile")
        pytest.importorskip("soxr")
    if kind == "sheet":
        pytest.importorskip("python_calamine")
    refused = 0
    with bounded():
        for seed in range(COUNT):
            at = random.Random(f"{kind} {seed}")
            path = tmp_path / f"a{at.choice(endings)}"
            path.write_bytes(mangled(make(at), at))
            if kind == "parallel":
                path.with_suffix(".out").write_bytes(mangled(of_text(at), at))
            if kind == "annotations":
                path.with_suffix(".txt").write_bytes(mangled(b"to Oslo or Rome by Ann\n" * 2, at))
            how = {"each": "file"} if kind == "text" and at.random() < 0.3 else {}
            signal.alarm(SECONDS)
            try:
                table = read(path, **how)
                assert isinstance(table, Table)
                assert len(table)
                assert table.notes()
                table.where(len(table) - 1)
            except InputError:
                refused += 1
            except BaseException as error:
                raise AssertionError(f"{kind}, seed {seed}: {path.read_bytes()[:300]!r}") from error
            finally:
                signal.alarm(0)
            path.unlink()
    # Neither all nor none: the blows are neither too soft nor too hard to try the readers.
    assert 0.05 * COUNT < refused < 0.95 * COUNT


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_mangled_files_are_scanned_or_refused(kind: str, tmp_path: Path) -> None:
    make, endings = KINDS[kind]
    with bounded():
        for seed in range(COUNT):
            at = random.Random(f"scan {kind} {seed}")
            path = tmp_path / f"a{endings[0]}"
            path.write_bytes(mangled(make(at), at))
            signal.alarm(SECONDS)
            try:
                for batch in scan(path):
                    assert batch.num_rows
            except InputError:
                pass
            except BaseException as error:
                raise AssertionError(f"{kind}, seed {seed}: {path.read_bytes()[:300]!r}") from error
            finally:
                signal.alarm(0)
