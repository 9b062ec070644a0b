"""Names by which the source and the target of a pair are known: of columns, and of files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from elman.errors import InputError, nearest

_PAIRS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("source", ("target",)),
    ("src", ("tgt", "trg")),
    ("email_body", ("subject_line",)),
    ("article", ("highlights", "summary", "abstract", "headline", "title")),
    ("document", ("summary", "headline", "title")),
    ("dialogue", ("summary",)),
    ("dialog", ("summary",)),
    ("conversation", ("summary",)),
    ("transcript", ("summary",)),
    ("messages", ("summary",)),
    ("turns", ("summary",)),
    ("body", ("subject", "subject_line", "summary", "headline", "title")),
    ("text", ("summary", "translation", "headline", "title")),
    ("content", ("summary", "headline", "title")),
    ("question", ("answer",)),
    ("questions", ("answers",)),
    ("query", ("response", "answer", "reply")),
    ("prompt", ("response", "completion", "reply", "answer")),
    ("context", ("response", "reply")),
    ("message", ("response", "reply")),
    ("post", ("response", "reply", "comment")),
    ("instruction", ("output", "response")),
    ("input", ("output", "target")),
    ("in", ("out",)),
)
"""Names of a source and of the targets that belong to it; earlier ones are surer."""
NAMES = frozenset(name for source, targets in _PAIRS for name in (source, *targets))
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z]{2,4})?", re.IGNORECASE)
_NO_LANGUAGES = (
    *("id", "no", "nr", "md", "txt", "csv", "tsv", "tab", "log", "bin", "xml", "bak", "old"),
    "new",
)
"""Words as short as codes of languages that mostly mean something else."""
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy "
    "da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu "
    "hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb "
    "lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om "
    "or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw "
    "ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    "ara ben ces chi cmn cze dan deu dut ell eng est fas fin fra fre ger gre heb hin hun ind ita "
    "jpn kor lav lit nld nob nor per pol por ron rum rus slk slv spa swa swe tam tel tha tur ukr "
    "urd vie zho"
)
"""Codes of languages: all of two letters (ISO 639-1), and usual ones of three (ISO 639-2)."""
_SPOKEN = (
    *("english", "german", "deutsch", "french", "spanish", "italian", "portuguese", "dutch"),
    *("russian", "chinese", "japanese", "korean", "arabic", "hindi", "turkish", "polish"),
    *("czech"),
)


def is_language(name: str) -> bool:
    """Tell whether a name is the code of a language, or an English word for one.

    >>> is_language("en"), is_language("pt-BR"), is_language("German"), is_language("id")
    (True, True, True, False)
    """
    plain = name.strip().casefold()
    return plain in _SPOKEN or (
        plain not in _NO_LANGUAGES and _LANGUAGE.fullmatch(plain) is not None
    )


def is_code(name: str) -> bool:
    """Tell whether a name is the code of a language that there is, with or without a country.

    >>> [is_code(name) for name in ("en", "pt-BR", "deu", "us", "ios", "tv")]
    [True, True, True, False, False, False]
    """
    return re.split("[-_]", name.strip().casefold())[0] in _CODES.split() and is_language(name)


def is_side(name: str) -> bool:
    """Tell whether a name is one of a source, of a target or of a language.

    >>> is_side("Question"), is_side("en"), is_side("Go.")
    (True, True, False)
    """
    return name.strip().casefold() in NAMES or is_language(name)


def by_names(names: Collection[str]) -> tuple[str, str] | None:
    """Return the source and target among names, or None where they do not tell.

    Only the last part of a name such as `translation.en` counts.

    >>> by_names(["id", "Body", "Subject"]), by_names(["en", "de"]) is None
    (('Body', 'Subject'), True)
    """
    known = {_last(name): name for name in reversed(list(names))}
    for source, targets in _PAIRS:
        target = next((name for name in targets if name in known), None)
        if source in known and target is not None:
            return known[source], known[target]
    return None


def by_direction(sides: Sequence[str], said: str) -> tuple[str, str] | None:
    """Return two sides in the order in which a name has them: `multi30k_en_de` says en to de.

    >>> by_direction(["de", "en"], "multi30k_en_de"), by_direction(["de", "en"], "flickr")
    (('en', 'de'), None)
    """
    for source in sides:
        for target in sides:
            way = rf"(?<![a-z]){re.escape(source)}(-|_|2|_to_|-to-|→){re.escape(target)}(?![a-z])"
            if source != target and re.search(way, said, re.IGNORECASE):
                return source, target
    return None


def given_sides(
    sides: Sequence[str], source: str | None, target: str | None, what: str, file: object = None
) -> tuple[str, str] | None:
    """Return the sides that settings name; the other one of two where they name one.

    Args:
        sides: what there is, such as languages.
        source, target: as the settings have them, or None.
        what: the word for a side in messages.
        file: where they are, for messages.

    Returns:
        Both sides, or None where nothing is named, or where one of many is left open.

    Raises:
        InputError: there is no such side, or one is both.
    """
    folded = {side.casefold(): side for side in sides}
    found: list[str | None] = []
    for setting, name in (("source", source), ("target", target)):
        if name is not None and name.casefold() not in folded:
            raise InputError(
                f"There is no {what} {name!r} for {setting}=.",
                file=file,
                fix=nearest(name, sides),
            )
        found.append(None if name is None else folded[name.casefold()])
    first, second = found
    if first is not None and first == second:
        raise InputError(
            f"source and target are both {first!r}.", file=file, fix="Name two different ones."
        )
    left = [side for side in sides if side not in (first, second)]
    if first is not None and second is None and len(left) == 1:
        second = left[0]
    if second is not None and first is None and len(left) == 1:
        first = left[0]
    return None if first is None or second is None else (first, second)


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1].strip().casefold().replace(" ", "_").replace("-", "_")
