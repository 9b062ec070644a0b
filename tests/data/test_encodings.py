"""Encodings that nothing marks: guessed by letters, and said to be a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from elman.data import read
from elman.data.encodings import guess
from elman.data.files import encoding_of
from elman.errors import InputError
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


def test_a_byte_that_is_not_utf_8_is_to_be_corrected_and_not_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(f"{FRENCH}\n".encode() * 20 + b"caf\xe9\n")
    with pytest.raises(InputError, match=r"Correct the line .*'é'") as raised:
        encoding_of(path)
    assert raised.value.row == 21
    assert "encoding=" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (FRENCH.replace(",", "").encode().decode("cp1252"), "UTF-8 was read as cp1252"),
        ("l�a m�me", "letters that were lost"),
    ],
)
def test_letters_that_were_lost_before_are_doubted(tmp_path: Path, words: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + f"plain,a\n{words},b\n" * 9, "utf-8")
    (doubt,) = [doubt for doubt in read(path).doubts() if "in t.csv" in doubt]
    assert said in doubt
    assert "first in row 3" in doubt
    assert find(path, "text", None).doubts
    path.write_text(
        "text,label\n" + "plain,a\nL’élève, 5 °C à bientôt,b\n".replace("e,", "e") * 9, "utf-8"
    )
    assert not read(path, encoding=None).doubts()


def test_byte_order_marks_of_files_put_together_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("\ufeffup and\naway\n\ufeffdown\nand out", "utf-8")
    found = find(path, None, None)
    assert "".join(found.whole()) == "up and\naway\ndown\nand out"
    assert found.left_out == ("byte order marks within t.txt",)
    table = read(path)
    assert table.texts("text")[2] == "down"
    assert "Byte order marks within t.txt were left out." in table.left_out()
    path.write_text("\ufeffup and\naway", "utf-8")
    assert not find(path, None, None).left_out
    twice = tmp_path / "t.csv"
    twice.write_text("\ufeffdate,n\n2024-01-01,1\n\ufeffdate,n\n2024-01-02,2\n", "utf-8")
    with pytest.raises(InputError, match="row 3: The row repeats the names of the columns"):
        read(twice)


def test_a_zero_in_text_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"".join(b"%d,2\n" % n if n != 70 else b"70\0,2\n" for n in range(200)))
    with pytest.raises(InputError, match="row 71: A byte of value 0 stands here"):
        read(path)
