"""Marks of HTML in texts, as web pages and data bases leave them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

_MARK = re.compile(
    r"</?(?:p|br|div|span|a|b|i|em|strong|ul|ol|li|h[1-6]|img|table|tr|td)(?:\s[^<>]*)?/?>"
    r"|&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,6});",
    re.IGNORECASE,
)
_LEAST = 3
"""Texts at least with such marks."""
_SHARE = 0.05
"""Share of the texts with such marks at least."""
_LOOKED_AT = 2000
_LONGEST = 2000
"""Characters of a text that are looked at."""


def doubts(where: str, texts: Iterable[str | None]) -> list[str]:
    """Return a doubt where texts hold marks of HTML.

    Args:
        where: what holds the texts, at the beginning of a sentence.
        texts: of which the first are looked at.

    >>> doubts("column 'text'", ["<p>Good.<br>&nbsp;See it</p>"] * 3)[0][:48]
    "column 'text' holds marks of HTML ('<p>', '<br>'"
    >>> doubts("column 'text'", ["a < b and b > c", "<s> R&D; </s>"] * 3)
    []
    """
    looked = [text[:_LONGEST] for text in islice(texts, _LOOKED_AT) if text]
    found = [marks for text in looked if (marks := _MARK.findall(text))]
    if len(found) < max(_LEAST, _SHARE * len(looked)):
        return []
    shown = list(dict.fromkeys(mark for marks in found for mark in marks))[:3]
    return [
        f"{where} holds marks of HTML ({', '.join(map(repr, shown))}), and they are learnt as a "
        "part of the text. If they are not wanted, take them out: "
        'html.unescape(re.sub("<[^>]+>", " ", text)).'
    ]
