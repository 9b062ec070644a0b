"""Files of lines that were written for a program: code, logs, mail, markup; by name or content.

Their first words are no labels and their lines no turns, so that they are doubted where they are
read as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from elman.data import files

_MAIL = "electronic mail"
_SQL = "SQL"
_LOG = "a log"
_PATCH = "a patch"
_CATALOGUE = "a catalogue of gettext"
_SETTINGS = "a file of settings"
_MARKUP = "HTML or XML"
_MARKDOWN = "Markdown"
_LATEX = "LaTeX"
_CODE = "code of a program"
_QUESTIONS = "questions and answers"

_BY_SUFFIX = {
    **dict.fromkeys((".eml", ".mbox"), _MAIL),
    ".sql": _SQL,
    ".log": _LOG,
    **dict.fromkeys((".patch", ".diff"), _PATCH),
    **dict.fromkeys((".po", ".pot"), _CATALOGUE),
    **dict.fromkeys((".ini", ".cfg", ".conf", ".toml", ".properties"), _SETTINGS),
    **dict.fromkeys((".html", ".htm", ".xml", ".svg"), _MARKUP),
    **dict.fromkeys((".md", ".rst"), _MARKDOWN),
    **dict.fromkeys((".tex", ".bib"), _LATEX),
    **dict.fromkeys((".py", ".js", ".c", ".h", ".cpp", ".java", ".rs", ".go", ".sh"), _CODE),
}
_MAY_TALK = (_LOG, _MARKDOWN)
"""Files of which each line may be what somebody says."""
_LOOKED_AT = 200
"""Lines by which a file is known."""
_MOST = 0.6
"""Share of lines of one form from which a file has that form."""

_HEADERS = re.compile(
    r"(from|to|cc|subject|date|received|message-id|mime-version|return-path|reply-to): ", re.I
)
_HEADERS_ABOVE = 20
_STATEMENT = re.compile(
    r"\s*(insert\s+into|create\s+(table|index|view)|drop\s+table|alter\s+table|update\s+\S+\s+set|"
    r"delete\s+from|select\s.+\sfrom)\b",
    re.I,
)
_STAMPED = re.compile(
    r"\[?(\d{1,3}(\.\d{1,3}){3} \S+ \S+ \[|\d{4}-\d\d-\d\d[T ]\d\d:\d\d|"
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )"
)
_HUNK = re.compile(r"@@ -\d+(,\d+)? \+\d+(,\d+)? @@|diff --git ")
_MESSAGE = re.compile(r'(msgid|msgstr)(_plural|\[\d\])? "')
_SECTION = re.compile(r"\[[^\[\]]+\]\s*")
_ENTRY = re.compile(r"[\w.-]+\s*=\s*\S.*")
_ELEMENT = re.compile(r"\s*<[/!?]?[A-Za-z][^<>]*>")
_ITEM = re.compile(r"\s*([-*+] |\|.*\|\s*$|#{1,6} )")
_COMMAND = re.compile(r"\s*\\[a-z]+(\{|\[| )")
_KEYWORD = re.compile(
    r"\s*(import \w|from [\w.]+ import |def \w+\(|class \w+\s*[(:{]|return\b|#include\b|"
    r"(public|private|static|void|int|const|let|var) \w|function \w*\(|(if|for|while) ?\()"
)
_STATEMENT_END = re.compile(r".*[;{}]\s*$")
_ASKED = re.compile(r"(Q|A|Question|Answer|Frage|Antwort)\s*[:.]\s", re.I)


def written_for(path: Path | None, lines: Sequence[str], *, talk: bool = False) -> str | None:
    """Return what a file is where its lines were written for a program, or None.

    Args:
        path: of the file; its ending alone may tell.
        lines: its first lines.
        talk: its lines may be a talk, which logs, lists, and questions with answers may be too.

    >>> written_for(None, ["INSERT INTO t VALUES (1, 'a');"] * 3)
    'SQL'
    >>> written_for(None, ["pos a lovely film", "neg a dull one"])
    """
    named = None if path is None else _BY_SUFFIX.get(files.suffix(path))
    if named is not None and not (talk and named in _MAY_TALK):
        return named
    filled = [line.rstrip("\n") for line in lines if line.strip()][:_LOOKED_AT]
    if len(filled) < 2:
        return None

    def share(form: re.Pattern[str], among: Sequence[str] = filled) -> float:
        return sum(form.match(line) is not None for line in among) / len(among)

    headers = {m[1].lower() for line in filled[:_HEADERS_ABOVE] if (m := _HEADERS.match(line))}
    if len(headers) > 2 or (filled[0].startswith("From ") and len(headers) > 1):
        return _MAIL
    if any(map(_HUNK.match, filled)):
        return _PATCH
    for form, what in (
        (_STATEMENT, _SQL),
        (_STAMPED, _LOG),
        (_MESSAGE, _CATALOGUE),
        (_ELEMENT, _MARKUP),
        (_ITEM, _MARKDOWN),
        (_COMMAND, _LATEX),
    ):
        if share(form) >= _MOST and not (talk and what in _MAY_TALK):
            return what
    if any(map(_SECTION.fullmatch, filled)) and share(_ENTRY) >= _MOST:
        return _SETTINGS
    either = [line for line in filled if _KEYWORD.match(line) or _STATEMENT_END.match(line)]
    if len(either) >= _MOST * len(filled) and any(map(_KEYWORD.match, filled)):
        return _CODE
    if not talk and share(_ASKED) >= _MOST:
        return _QUESTIONS
    return None
