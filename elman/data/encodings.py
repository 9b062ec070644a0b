"""The encoding of text that is not UTF-8: a guess by letters and their pairs."""

from __future__ import annotations

import codecs
import re

# Not offered as a guess: of mainframes, of old Macintoshes, of DOS, and of languages that have a
# commoner one.
_RARE = (
    *("cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140", "hp-roman8", "utf-7"),
    *("mac-greek", "mac-iceland", "mac-latin2", "mac-turkish"),
    *("cp720", "cp737", "cp775", "cp1006", "cp1125", "cp856", "cp858", "cp860", "cp861", "cp863"),
    *("cp864", "cp865", "cp869", "iso8859-3", "iso8859-4", "iso8859-10", "iso8859-14"),
    *("johab", "kz1048", "ptcp154", "koi8-t"),
)
# Letters beyond ASCII of Western languages: German, French, Spanish, Italian, Dutch, Danish and
# Norwegian, Swedish and Finnish.
_WESTERN = tuple(
    map(
        frozenset,
        ("äöüß", "àâæçèéêëîïôœùûüÿ", "áéíñóúüçï", "àèéìíòóù", "áèéëïóöü", "æøåéó", "åäöé"),
    )
)
_MARKS = frozenset(bytes(range(0x80, 0xC0)).decode("cp1252", "ignore") + "×÷") - frozenset(
    "ŠšŒœŽžŸ"
)
_MIXED = re.compile(r"[A-Za-z][\u0370-\u06ff]|[\u0370-\u06ff][A-Za-z]")
_INNER = re.escape("".join(_MARKS - frozenset("’´–—…\xad·")))
"""Marks that do not stand between two letters: there they are letters of another code."""
_ALIKE = 0.95
"""Share of the best likelihood from which Windows-1252 is as likely."""


def guess(sample: bytes) -> str:
    """Return the likeliest encoding of bytes that are text and not UTF-8.

    Windows-1252 (which nearly contains Latin-1) is taken where it gives words of one Western
    language; else chardet says what the letters and their pairs are likeliest to be.

    Args:
        sample: the lines with bytes beyond ASCII.
    """
    import chardet

    western = _as_western(sample)
    if western is not None and _of_one_language(western):
        return "cp1252"
    found = {
        codecs.lookup(one["encoding"]).name: one["confidence"]
        for one in chardet.detect_all(
            sample, max_bytes=len(sample), exclude_encodings=_RARE, compat_names=False
        )
        if one["encoding"]
    }
    # Greek or Cyrillic letters in a word of Latin ones are accents of another code.
    whole = [name for name in found if not _MIXED.search(sample.decode(name, "replace"))]
    best = next(iter(whole or found), "latin-1")
    if western is not None and found.get("cp1252", 0) >= _ALIKE * found.get(best, 1):
        return "cp1252"
    # A name that stands for more characters reads all that the narrower one does.
    return {"iso8859-1": "cp1252", "iso8859-9": "cp1254", "euc_kr": "cp949"}.get(best, best)


def odd_word(text: str) -> str | None:
    """Return the first word with a character beyond ASCII, or None where there is none.

    >>> odd_word("a house in Köln, by the river")
    'Köln'
    """
    found = re.search(r"[\w'’]*[^\x00-\x7f][\w'’]*", text)
    return found[0] if found else None


def _as_western(sample: bytes) -> str | None:
    """Return bytes as Windows-1252, or None where marks and capitals stand inside words."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    capitals = "".join({letter for letter in text if letter > "\x7f" and letter.isupper()})
    wrong = rf"[^\W\d_][{_INNER}][^\W\d_]"
    if capitals:
        wrong += rf"|[a-z][{capitals}][a-z]"
    return None if re.search(wrong, text) else text


def _of_one_language(text: str) -> bool:
    letters = {letter.lower() for letter in text if letter > "\x7f"} - _MARKS
    return any(letters <= language for language in _WESTERN)
