"""Encodings that nothing marks: guessed by letters, and said to be a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman.data import read
from elman.data.encodings import guess
from elman.data.files import encoding_of
from elman.tasks.generate.corpus import find

GERMAN = "Der Mann ging über die Brücke."
FRENCH = "L’élève était déjà arrivé à l’école, où il avait reçu une leçon de français."
POLISH = "zły źle ćma świetny żółty zespół"
RUSSIAN = "хороший фильм и плохой фильм"
JAPANESE = "つまらない映画 とても良い映画 悪 良"
CHINESE = "我们昨天看了一部很好的电影,天气很好"


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        (GERMAN, "cp1252 cp850"),
        ("Der Umsatz in Köln war 5 € höher – „so“, sagte er", "cp1252"),
        (FRENCH, "cp1252 mac_roman"),
        ("It’s a good film and it’s long", "cp1252 mac_roman"),
        ("The price was £5, ½ pound, 20° and 3 µm ± 1", "cp1252"),
        ("¿Dónde está el niño? Mañana iré a la montaña.", "cp1252"),
        ("Perché non è più così? La città era già piena", "cp1252"),
        ("Não há razão para a preocupação: a situação está má", "cp1252"),
        ("Han går på gaden og får øje på en rød måge", "cp1252"),
        (POLISH, "cp1250 iso8859-2"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy", "cp1250 iso8859-2"),
        ("A nő az erdőbe ment, mert még volt idő, s őszintén szólva esős", "cp1250"),
        ("Çocuk okula gitti, ağaçlar yeşil, ışık söndü", "cp1254"),
        (RUSSIAN, "cp1251 koi8-r cp866"),
        ("Το παιδί πήγε στο σχολείο, γιατί ήθελε να μάθει", "cp1253"),
        (JAPANESE, "cp932 euc_jp"),
        (CHINESE, "gb18030"),
        ("我們昨天看了一部很好的電影,天氣很好", "big5"),
        ("어제 아주 좋은 영화를 보았습니다", "cp949"),
    ],
)
@pytest.mark.parametrize("rows", [1, 60])
def test_the_letters_tell_the_encoding(text: str, encodings: str, rows: int) -> None:
    for name in encodings.split():
        words = text if name != "mac_roman" else text.replace("’", "'").replace("'", "’")
        data = "".join(f"{words} {row};n\n" for row in range(rows)).encode(name)
        assert data.decode(guess(data)) == data.decode(name), name


def test_a_guess_is_a_doubt_with_the_first_odd_word(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [("plain words", "a"), ("zły źle ćma", "b"), ("świetny żółty zespół", "a")] * 4
    text = "tekst;ocena\n" + "".join(f"{a} {i};{b}\n" for i, (a, b) in enumerate(rows))
    path.write_bytes(text.encode("cp1250"))
    table = read(path)
    assert table.texts("tekst")[1] == "zły źle ćma 1"
    assert table.doubts() == [
        "the encoding of t.csv was guessed as cp1250; the first odd word is 'zły' in row 3. "
        "If it is wrong, set --set encoding=NAME."
    ]
    assert read(path, encoding="cp1250").doubts() == []
    path.write_text(text)
    assert read(path).doubts() == []  # and the file is read anew, for it has changed
    path.write_bytes(text.encode("utf-16"))
    assert read(path).doubts() == []


def test_text_to_generate_has_the_doubt_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((GERMAN + "\n").encode("cp1252") * 9)
    assert (
        "guessed as cp1252; the first odd word is 'über' in row 1"
        in find(path, None, None).doubts[0]
    )
    assert find(path, None, "latin-1").doubts == ()


def test_japanese_mail_is_no_ascii(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((JAPANESE + "\n").encode("iso2022_jp") * 3)
    assert encoding_of(path) == "iso2022_jp"
    assert read(path).texts("text") == [JAPANESE] * 3
