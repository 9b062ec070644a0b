"""Pairs from parallel files, tables and TMX: what is read, what is counted, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbooks import xlsx

from elman.data.formats.bitext import shifted
from elman.data.formats.pair_checks import across_parts
from elman.data.formats.pairs import read_pairs
from elman.errors import InputError

DATA = Path(os.environ.get("ELMAN_DATA", "no"))
EN = ["A dog runs.", "Two cats sleep.", "It rains."]
DE = ["Ein Hund läuft.", "Zwei Katzen schlafen.", "Es regnet."]


def written(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


def said(pairs):
    return "\n".join(pairs.said)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a.en", "a.de"),
        ("a.en.gz", "a.de"),
        ("a.en.txt", "a.de.txt"),
        ("a_en.txt", "a_de.txt"),
        ("en/a.txt", "de/a.txt"),
        ("first.txt", "second.txt"),
        ("newstest-src.en.sgm-free", "other.de"),
    ],
)
def test_two_parallel_files_are_read_in_the_order_given(tmp_path, ours, theirs):
    paths = [written(tmp_path, ours, lines(EN)), written(tmp_path, theirs, lines(DE))]
    pairs = read_pairs(paths)
    assert (pairs.source, pairs.target) == (EN, DE)
    assert pairs.places[2] == (paths[0], 3)
    assert pairs.parts == [None] * 3
    assert pairs.groups is None
    turned = read_pairs(paths[::-1])
    assert (turned.source, turned.target) == (DE, EN)


def test_the_other_language_beside_one_file_is_read_and_doubted(tmp_path):
    path = written(tmp_path, "train.de", lines(DE))
    written(tmp_path, "train.en.gz", lines(EN))
    pairs = read_pairs(path)
    assert (pairs.source, pairs.target, pairs.names) == (DE, EN, ("de", "en"))
    [doubt] = pairs.doubts
    assert "train.en.gz was not given" in doubt
    assert "set source=de and target=en" in doubt
    named = read_pairs(path, source="en", target="de")
    assert (named.source, named.target, named.doubts) == (EN, DE, [])
    # What is only to be translated needs no partner, and is the side of the source.
    short = written(tmp_path, "new.de", lines(DE[:2]))
    written(tmp_path, "new.en", lines(EN))
    assert read_pairs(short, source="de", target="en", needs_target=False).source == DE[:2]
    with pytest.raises(InputError, match=r"new\.de: .*the side \.de.*Give the side \.en"):
        read_pairs(short, source="en", target="de", needs_target=False)
    written(tmp_path, "train.fr", lines(EN))
    with pytest.raises(InputError, match=r"\.de, \.en, \.fr.*Set source=de and target=en"):
        read_pairs(path)
    assert read_pairs(path, target="fr", source="de").target == EN


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("chat-us.txt", "chat-uk.txt"),
        ("notes_us.txt", "notes_ios.txt"),
        ("dlg_tv.txt", "dlg_web.txt"),
        ("chat.jan", "chat.feb"),
        ("call_in.txt", "call_out.txt"),
        ("wa_us.txt", "wa_de.txt"),
        ("a.src", "a.tgt"),
    ],
)
def test_a_file_that_was_not_given_is_not_read(tmp_path, name, other):
    path = written(tmp_path, name, lines(EN))
    written(tmp_path, other, lines(DE[:2]))
    with pytest.raises(InputError, match="there are sources and no targets"):
        read_pairs(path)
    path.write_text("Hello. __eou__ Hi. __eou__\n")
    talk = read_pairs(path)
    assert (talk.source, talk.target, talk.doubts) == (["Hello."], ["Hi."], [])


def test_a_file_that_can_be_read_alone_is_read_alone_and_its_neighbour_is_told_of(tmp_path):
    path = written(tmp_path, "a.en", "Hello.\nHi.\n\nNo\nYes\n")
    written(tmp_path, "a.de", "Hallo.\nHi.\n\nNein\nJa\n")
    pairs = read_pairs(path)
    assert (pairs.source, pairs.target) == (["Hello.", "No"], ["Hi.", "Yes"])
    [doubt] = pairs.doubts
    assert "a.de stands beside a.en and was not read" in doubt
    assert "set source=en and target=de" in doubt
    named = read_pairs(path, source="en", target="de")
    assert (named.source[2], named.target[2], named.doubts) == ("No", "Nein", [])


def test_a_folder_gives_its_parts_and_its_name_the_direction(tmp_path):
    folder = tmp_path / "small_de-en"
    for part, count in (("train", 3), ("val", 2), ("test2016", 1)):
        written(folder, f"{part}.en", lines(EN[:count]))
        written(folder, f"{part}.de.gz", lines(DE[:count]))
    written(folder, "README.md", "not read")
    pairs = read_pairs(folder)
    assert pairs.names == ("de", "en")
    assert pairs.parts == ["test"] + ["train"] * 3 + ["validation"] * 2
    assert pairs.source == [DE[0], *DE, *DE[:2]]
    assert "Parts by the names of the files: test 1, train 3, validation 2." in said(pairs)
    assert "as 'small_de-en' says" in said(pairs)
    # What validation and test share with training is said.
    assert "Pairs of test that stand in train too: 1 of 1" in said(pairs)
    folder.rename(tmp_path / "small")
    with pytest.raises(InputError, match=r"nothing says which is the source\. Set source=de"):
        read_pairs(tmp_path / "small")
    assert read_pairs(tmp_path / "small", source="en").names == ("en", "de")


def test_names_of_sides_say_the_direction(tmp_path):
    written(tmp_path, "a.tgt", lines(DE))
    written(tmp_path, "a.src", lines(EN))
    assert read_pairs(tmp_path).source == EN
    other = tmp_path / "other"
    written(other, "train.in", lines(EN))
    written(other, "train.out", lines(DE))
    assert read_pairs(other).target == DE


def test_a_missing_side_is_named(tmp_path):
    written(tmp_path, "en_de/train.en", lines(EN))
    written(tmp_path, "en_de/train.de", lines(DE))
    written(tmp_path, "en_de/val.en", lines(EN))
    with pytest.raises(InputError, match=r"val\.en: There is no \.de of this text"):
        read_pairs(tmp_path / "en_de")
    with pytest.raises(InputError, match=r"no side 'fr' for target=.*Choose from 'de', 'en'"):
        read_pairs(tmp_path / "en_de", target="fr")
    with pytest.raises(InputError, match="source and target are both 'en'"):
        read_pairs(tmp_path / "en_de", source="en", target="en")
    written(tmp_path, "en_de/val.de", lines(DE))
    written(tmp_path, "en_de/val.de.gz", lines(DE))
    with pytest.raises(InputError, match="same side of one text"):
        read_pairs(tmp_path / "en_de")


def sentences(count, seed=0):
    """Texts and translations whose lengths go together, as those of people do."""
    draw = random.Random(seed)
    ours, theirs = [], []
    for number in range(count):
        words = draw.randint(3, 25)
        ours.append(" ".join("word" for _ in range(words)) + draw.choice(".?"))
        ending = ours[-1][-1]
        theirs.append(" ".join("worte" for _ in range(words + draw.randint(-1, 1))) + ending)
        if not number % 9:
            ours[-1], theirs[-1] = f"{number} {ours[-1]}", f"{number} {theirs[-1]}"
    return ours, theirs


# Lengths are drawn, so that a place is found by chance too; the same draws each time.
@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 270), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_a_line_that_is_missing_is_found(place, surplus, ours_is_short, seed):
    ours, theirs = sentences(300, seed)
    short = theirs[:place] + theirs[place + surplus :]
    found = shifted(short, ours) if ours_is_short else shifted(ours, short)
    assert found is not None
    assert abs(found - place) <= 4


def test_files_of_unequal_length_are_refused_with_both_counts(tmp_path):
    ours, theirs = sentences(300)
    paths = [
        written(tmp_path, "a.en", lines(ours)),
        written(tmp_path, "a.de", lines(theirs[:120] + theirs[121:])),
    ]
    with pytest.raises(InputError) as failed:
        read_pairs(paths)
    assert "a.en has 300 lines and a.de has 299" in str(failed.value)
    assert "seem shifted by 1" in str(failed.value)
    assert abs(failed.value.row - 121) <= 4
    # Lines that are unlike anyway, or missing at the end, tell no place.
    written(tmp_path, "a.de", lines(theirs[:298]))
    with pytest.raises(InputError, match=r"row 299: .*first line without a partner"):
        read_pairs(paths)
    assert shifted(ours[:100], sentences(90, seed=5)[1]) is None
    # Blank lines at the end of one file are no lines.
    written(tmp_path, "a.de", lines(theirs) + "\n\n")
    assert len(read_pairs(paths)) == 300


def test_empty_sides_copies_and_repeats_are_counted(tmp_path):
    ours = ["one", "", "three", "Same  text", "five", "five"]
    theirs = ["eins", "zwei", " ", "Same text", "FIVE", "Five"]
    paths = [written(tmp_path, "a.en", lines(ours)), written(tmp_path, "a.de", lines(theirs))]
    pairs = read_pairs(paths)
    assert pairs.source == ["one", "Same  text", "five", "five"]
    assert [line for _, line in pairs.places] == [1, 4, 5, 6]
    assert "Pairs with an empty source, left out: 1; the first is a.en, row 2." in pairs.said
    assert "Pairs with an empty target, left out: 1; the first is a.en, row 3." in pairs.said
    assert "Targets that copy their source: 1 of 4." in pairs.said
    assert "Pairs that repeat another one: 1 of 4." in pairs.said
    with pytest.raises(InputError, match="No pair has both sides"):
        read_pairs(pd.DataFrame({"source": ["a", None], "target": [None, "b"]}))


def test_what_parts_share_is_counted():
    parts = ["train", "train", "validation", "test", "test", None]
    source = ["a", "b", "B", "a", "c", "a"]
    target = ["x", "y", "y", "z", "x", "x"]
    assert across_parts(source, target, parts) == [
        "Pairs of validation that stand in train too: 1 of 1; with the source alone or whole: 1.",
        "Pairs of test that stand in train too: 0 of 2; with the source alone or whole: 1.",
    ]


@pytest.mark.parametrize(
    ("names", "source", "target"),
    [
        (["id", "body", "subject", "note"], "body", "subject"),
        (["Highlights", "article"], "article", "Highlights"),
        (["answer", "question"], "question", "answer"),
        (["email_body", "subject_line"], "email_body", "subject_line"),
        (["translation.en", "translation.de"], "translation.en", "translation.de"),
        (["first words", "second words"], "first words", "second words"),
        (["note", "en", "de"], "en", "de"),
        (["key", "en", "de"], "en", "de"),
        (["id", "translation.en", "translation.pt-BR"], "translation.en", "translation.pt-BR"),
        (["tgt", "src", "text", "summary"], "src", "tgt"),
    ],
)
def test_columns_are_known_by_names_else_by_place(names, source, target):
    table = pd.DataFrame({name: [f"{name} {n} is here" for n in range(4)] for name in names})
    pairs = read_pairs(table)
    assert pairs.names == (source, target)
    assert (pairs.source[1], pairs.target[1]) == (f"{source} 1 is here", f"{target} 1 is here")
    left = [name for name in names if name not in (source, target)]
    assert all(f"'{name}'" in said(pairs) for name in left)
    again = read_pairs(table, source=target, target=source)
    assert again.source == pairs.target


def test_columns_that_nothing_tells_are_asked_for():
    table = pd.DataFrame({n: [f"{n} {k}" for k in range(4)] for n in ("alpha", "beta", "gamma")})
    with pytest.raises(InputError, match="which columns are source and target: 'alpha', 'beta'"):
        read_pairs(table)
    three = table.set_axis(["key", "en", "de"], axis=1).assign(fr="il pleut")
    with pytest.raises(InputError, match="Set source=en and target=de, say"):
        read_pairs(three)
    with pytest.raises(InputError, match=r"source and target: 'alpha', 'gamma'"):
        read_pairs(table, target="beta")
    with pytest.raises(InputError, match=r"no column 'gama' for source=.*mean 'gamma'"):
        read_pairs(table, source="gama")
    two = table[["alpha", "beta"]]
    assert read_pairs(two, target="alpha").names == ("beta", "alpha")
    with pytest.raises(InputError, match="no two columns of text"):
        read_pairs(pd.DataFrame({"text": ["a", "b"], "n": [1, 2]}))


def test_tables_of_every_format_give_the_same(tmp_path):
    frame = pd.DataFrame({"source": EN, "target": DE})
    written(tmp_path, "a.csv", frame.to_csv(index=False))
    written(tmp_path, "a.tsv", frame.to_csv(index=False, sep="\t"))
    written(tmp_path, "a.jsonl.gz", frame.to_json(orient="records", lines=True))
    nested = lines(
        json.dumps({"translation": {"en": a, "de": b}}) for a, b in zip(EN, DE, strict=True)
    )
    written(tmp_path, "nested.jsonl", nested)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.tsv", "a.jsonl.gz", "nested.jsonl", "a.parquet"):
        pairs = read_pairs(tmp_path / name)
        assert (pairs.source, pairs.target) == (EN, DE), name
    rows = [
        ["n", "source", "target"],
        *([n, a, b] for n, (a, b) in enumerate(zip(EN, DE, strict=True))),
    ]
    book = xlsx(tmp_path / "a.xlsx", {"notes": [["x"], [1]], "pairs": rows})
    assert read_pairs(book, sheet="pairs").target == DE
    with pytest.raises(InputError, match="several sheets"):
        read_pairs(book)
    assert read_pairs(tmp_path / "a.csv").places[0] == (tmp_path / "a.csv", 2)
    for data in (frame, list(zip(EN, DE, strict=True)), (EN, DE), {"source": EN, "target": DE}):
        assert read_pairs(data).target == DE


def test_numbers_and_words_that_repeat_are_texts_too(tmp_path):
    path = written(tmp_path, "a.csv", "question,answer\n1+1?,2\n2+2?,4\n0+2?,2\n1+3?,4\n")
    pairs = read_pairs(path)
    assert pairs.target == ["2", "4", "2", "4"]
    tokens = [{"source": ["a", "dog"], "target": ["ein", "Hund"]}] * 2
    path = written(tmp_path, "b.jsonl", lines(map(json.dumps, tokens)))
    assert read_pairs(path).target == ["ein Hund", "ein Hund"]


def test_lines_with_tabs_need_no_names(tmp_path):
    text = "Go.\tGeh.\tby Ann\nHi.\tHi.\tby Bob\nStop!\tHalt!\tby Cem\n"
    path = written(tmp_path, "deu.txt", text)
    pairs = read_pairs(path, source="column 1", target="column 2")
    assert (pairs.source, pairs.target) == (["Go.", "Hi.", "Stop!"], ["Geh.", "Hi.", "Halt!"])
    assert "The first row is read as a pair" in said(pairs)
    two = written(tmp_path, "two.tsv", 'Hi.\tHi.\nA "b\tEin "b\nGo.\tGeh.\n')
    assert read_pairs(two).source == ["Hi.", 'A "b', "Go."]
    named = written(tmp_path, "named.tsv", "de\ten\nGeh.\tGo.\nHalt!\tStop!\n")
    assert read_pairs(named).names == ("de", "en")


@pytest.mark.parametrize("form", ["{0}\teng\t{1}\t{0}\tdeu\t{2}", "{0}\teng\t{1}\tdeu\t{2}"])
def test_codes_of_languages_beside_texts_are_no_texts(tmp_path, form):
    pairs = zip(*sentences(20), strict=True)
    text = lines(form.format(1000 + n, *pair) for n, pair in enumerate(pairs))
    path = written(tmp_path, "a.tsv", text)
    last = f"column {form.count(chr(9)) + 1}"
    for told in ({}, {"source": "column 3", "target": last}):
        found = read_pairs(path, **told)
        assert (found.source, found.target) == tuple(map(list, sentences(20)))


def test_names_of_pictures_are_no_texts(tmp_path):
    rows = [f"img_{n}.png,a dog runs {n}" for n in range(9)]
    with pytest.raises(InputError, match="column 'img': It holds names of pictures"):
        read_pairs(written(tmp_path, "a.csv", lines(["img,caption", *rows])))


def test_several_files_of_a_table_have_parts(tmp_path):
    for part in ("train", "dev", "test"):
        written(tmp_path, f"{part}.csv", f"body,subject\n{part} body,{part} subject\n")
    pairs = read_pairs(tmp_path)
    assert sorted(map(str, pairs.parts)) == ["test", "train", "validation"]
    for part, text in zip(pairs.parts, pairs.source, strict=True):
        assert text == f"{'dev' if part == 'validation' else part} body"


TMX = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="de-DE" datatype="plaintext"/><body>
<tu><tuv xml:lang="en"><seg>A <bpt i="1">&lt;b&gt;</bpt>dog<ept i="1"/> &amp; a cat.</seg></tuv>
<tuv xml:lang="de-DE"><seg>Ein <hi>Hund</hi> &amp; eine Katze für
 mich.</seg></tuv></tu>
<tu><tuv xml:lang="EN"><seg>Alone.</seg></tuv></tu>
<tu><tuv lang="de-DE"><seg>Ja.</seg></tuv><tuv lang="en"><seg>Yes.</seg></tuv>
<tuv lang="en"><seg>Yeah.</seg></tuv></tu>
</body></tmx>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_tmx_is_read_without_its_marks(tmp_path, encoding):
    path = written(tmp_path, "a.tmx", TMX.format(encoding=encoding).encode(encoding))
    pairs = read_pairs(path)
    assert pairs.names == ("de-de", "en")  # as the header says
    assert pairs.source == ["Ein Hund & eine Katze für mich.", "Ja."]
    assert pairs.target == ["A dog & a cat.", "Yes."]
    assert [line for _, line in pairs.places] == [4, 8]
    assert "Pairs with an empty source, left out: 1; the first is a.tmx, row 7." in pairs.said
    assert "1 further translations into one language" in said(pairs)
    assert read_pairs(path, source="EN").names == ("en", "de-de")


@pytest.mark.parametrize(
    ("text", "message", "row"),
    [
        ('<!DOCTYPE tmx [\n<!ENTITY a "lol">]><tmx>&a;</tmx>', "declares an entity, 'a'", 2),
        ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "/etc/passwd">]><tmx/>', "declares an entity", 1),
        ("<tmx><body>\n<tu></body></tmx>", "not sound XML .mismatched tag", 2),
        ("<tmx><body>\n", "not sound XML", 2),
        ("<xliff/>", "another kind: its outermost element is <xliff>", 1),
        ("<tmx><body/></tmx>", "no translation unit", None),
        (
            "<tmx><body><tu><tuv><seg>a</seg></tuv></tu></body></tmx>",
            "does not say its language",
            1,
        ),
        ('<?xml version="1.0" encoding="klingon"?><tmx/>', "encoding", 1),
        (b'<?xml version="1.0" encoding="utf-8"?><tmx>\n\xff</tmx>', "not sound XML", 2),
        ("", "The file is empty", None),
    ],
)
def test_tmx_that_is_wrong_is_refused_with_its_line(tmp_path, text, message, row):
    with pytest.raises(InputError, match=message) as failed:
        read_pairs(written(tmp_path, "a.tmx", text))
    assert failed.value.row == row


def test_sources_alone_are_read_where_targets_are_not_needed(tmp_path):
    path = written(tmp_path, "new.txt", "one\n\nthree\n")
    pairs = read_pairs(path, needs_target=False, source="en", target="de")
    assert (pairs.source, pairs.target) == (["one", "", "three"], None)
    assert pairs.places[2] == (path, 3)
    with pytest.raises(InputError, match="one column only"):
        read_pairs(path)
    table = pd.DataFrame({"en": ["one", ""], "n": [1, 2]})
    assert read_pairs(table, needs_target=False, source="en", target="de").source == ["one", ""]
    other = pd.DataFrame({"text": ["one", "two"]})
    assert read_pairs(other, needs_target=False, source="en", target="de").source == ["one", "two"]
    both = pd.DataFrame({"en": ["one", "two"], "de": ["", "zwei"]})
    known = read_pairs(both, needs_target=False, source="en", target="de")
    assert (known.source, known.target) == (["one", "two"], ["", "zwei"])


def test_wrong_encodings_and_empty_files_are_one_error(tmp_path):
    good = written(tmp_path, "a.en", lines(EN))
    bad = written(tmp_path, "a.de", lines(DE).encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.de, row 1: Byte 11 is not utf-8 text"):
        read_pairs([good, bad], encoding="utf-8")
    assert read_pairs([good, bad]).target == DE
    written(tmp_path, "a.de", "")
    with pytest.raises(InputError, match=r"a\.de: The file is empty"):
        read_pairs([good, bad])
    written(tmp_path, "a.de", b"\x1f\x8b\x08broken")
    with pytest.raises(InputError, match="gzip data is"):
        read_pairs([good, bad])
    with pytest.raises(InputError, match="turns=0"):
        read_pairs([good], turns=0)
    written(tmp_path, "a.de", lines(DE))
    with pytest.raises(InputError, match="turns=2 is for dialogues"):
        read_pairs([good, bad], turns=2)
    with pytest.raises(InputError, match="sheet=x is for workbooks"):
        read_pairs([good, bad], sheet="x")
    written(tmp_path, "mixed/a.csv", "source,target\na,b\n")
    written(tmp_path, "mixed/b.tmx", TMX.format(encoding="utf-8"))
    written(tmp_path, "mixed/c.yml", "- - a\n  - b\n")
    with pytest.raises(InputError, match="several forms"):
        read_pairs(tmp_path / "mixed")


@pytest.mark.skipif(not DATA.is_dir(), reason="ELMAN_DATA is not set")
def test_real_parallel_files():
    pairs = read_pairs(DATA / "multi30k_en_de")
    assert pairs.names == ("en", "de")
    counts = {part: pairs.parts.count(part) for part in ("train", "validation", "test")}
    assert counts == {"train": 29_000, "validation": 1_014, "test": 1_000}
    assert pairs.source[1000].startswith("Two young, White males are outside")
    assert pairs.target[1000].startswith("Zwei junge weiße Männer sind im Freien")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_dates_and_numbers_stay_as_they_are_written(tmp_path, name):
    sides = [("5 May 2021", "0042"), ("6 May 2021", "0007"), ("17 May 2021", "0100")]
    mark = {"a.csv": ",", "a.tsv": "\t"}.get(name)
    if mark is None:
        rows = [json.dumps({"source": one, "target": two}) for one, two in sides]
    else:
        rows = [mark.join(row) for row in [("source", "target"), *sides]]
    path = tmp_path / name
    path.write_text("\n".join(rows) + "\n")
    found = read_pairs(path)
    assert list(zip(found.source, found.target, strict=True)) == sides


def test_a_column_of_objects_is_no_target_unless_it_is_named(tmp_path):
    rows = [{"name": f"a dog {n} runs", "meta": json.dumps([{"a": n}])} for n in range(20)]
    path = tmp_path / "a.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    with pytest.raises(InputError, match="'meta' holds objects, and no sequence"):
        read_pairs(path)
    pd.DataFrame([row | {"note": f"ein Hund {n}"} for n, row in enumerate(rows)]).to_csv(path)
    pairs = read_pairs(path)
    assert (pairs.names, pairs.target[3]) == (("name", "note"), "ein Hund 3")
    assert "'meta' holds objects" in said(pairs)
    assert read_pairs(path, source="name", target="meta").target[3] == '[{"a": 3}]'


def test_paragraphs_of_articles_are_no_target(tmp_path):
    articles = [
        {"title": f"Town {n}", "paragraphs": [{"context": f"It lies {n}."}]} for n in range(5)
    ]
    path = written(tmp_path, "squad.json", json.dumps({"version": "1.1", "data": articles}))
    with pytest.raises(InputError, match=r"no two columns of text.*'paragraphs' holds objects"):
        read_pairs(path)


def test_questions_about_passages_are_named(tmp_path):
    asked = {"question": "Where?", "answers": [{"text": "here", "answer_start": 3}]}
    articles = [
        {"title": f"Town {n}", "paragraphs": [{"context": f"It lies {n}.", "qas": [asked]}]}
        for n in range(5)
    ]
    rows = [
        {"context": f"It lies {n}.", "question": "?", "answers": {"text": [], "answer_start": []}}
        for n in range(5)
    ]
    for text in (json.dumps({"version": "1.1", "data": articles}), lines(map(json.dumps, rows))):
        path = written(tmp_path, "squad.json", text)
        with pytest.raises(InputError, match=r"as SQuAD has them.*columns source"):
            read_pairs(path)


def cues(texts, late=0):
    return "".join(
        f"{n}\n00:00:{n:02},{late:03} --> 00:00:{n:02},900\n{text}\n\n"
        for n, text in enumerate(texts, 1)
    )


@pytest.mark.parametrize("ending", ["srt", "txt", "srt.gz"])
def test_cues_of_two_languages_at_the_same_times_are_pairs(tmp_path, ending):
    paths = [
        written(tmp_path, f"film.en.{ending}", cues(EN)),
        written(tmp_path, f"film.de.{ending}", cues(DE, late=200)),
    ]
    pairs = read_pairs(paths)
    assert (pairs.source, pairs.target) == (EN, DE)
    assert pairs.places[1] == (paths[0], 6)
    assert read_pairs(tmp_path, source="de").target == EN
    with pytest.raises(InputError, match=r"nothing says which is the source"):
        read_pairs(tmp_path)
    # One file alone is a conversation, whatever stands beside it.
    assert read_pairs(paths[0]).target == EN[1:]


def test_cues_at_other_times_are_no_pairs(tmp_path):
    ours = written(tmp_path, "film.en.srt", cues(EN))
    theirs = written(tmp_path, "film.de.srt", cues(DE, late=800))
    with pytest.raises(InputError, match=r"film.en.srt, row 2: The cue begins at 1.0 s.*at 1.8 s"):
        read_pairs([ours, theirs])
    theirs.write_text(cues(DE[:2]))
    with pytest.raises(InputError, match=r"film.en.srt has 3 cues and film.de.srt has 2"):
        read_pairs([ours, theirs])
    # Two films are two conversations.
    other = written(tmp_path, "other.srt", cues(DE))
    assert len(read_pairs([ours, other]).source) == 4


def turns_with(**more):
    rows = [
        {"call": n, "speaker": "ab"[k % 2], "text": f"said {n} {k}"}
        | {name: f"{name} {n}{f' {k}' if each else ''}" for name, each in more.items()}
        for n in range(4)
        for k in range(3)
    ]
    return pd.DataFrame(rows)


def test_texts_beside_turns_are_doubted_or_refused():
    pairs = read_pairs(turns_with(translation=True))
    assert (pairs.names, pairs.groups) == (("text", "translation"), None)
    assert "rows look like turns of conversations ('call', 'speaker')" in pairs.doubts[0]
    named = {"source": "text", "target": "translation"}
    assert read_pairs(turns_with(translation=True), **named).doubts == []
    with pytest.raises(
        InputError, match=r"'summary': It says the same in all turns of each 'call'"
    ):
        read_pairs(turns_with(summary=False))
    # The name of a conversation is no side, whatever it is called.
    table = turns_with(summary=False).rename(columns={"call": "conversation"})
    with pytest.raises(InputError, match=r"in all turns of each 'conversation'"):
        read_pairs(table)
    replies = read_pairs(turns_with(notes=True))
    assert replies.groups is not None
    assert "'notes' is not read" in replies.doubts[0]
    assert read_pairs(turns_with()).doubts == []


def test_an_instruction_without_its_input_is_doubted():
    rows = {"instruction": ["Say it.", "Add."], "input": [None, "1 2"], "output": ["It.", "3"]}
    pairs = read_pairs(pd.DataFrame(rows))
    assert pairs.names == ("instruction", "output")
    assert "column 'input' is filled in 1 of 2 rows and is not read" in pairs.doubts[0]
    rows["input"] = [None, None]
    assert read_pairs(pd.DataFrame(rows)).doubts == []
