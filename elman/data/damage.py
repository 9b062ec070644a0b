"""Damage to text files: bytes of another encoding, zeros, and characters that were lost before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from elman.errors import InputError

_SURELY = 4
"""Characters beyond ASCII in UTF-8 for each byte that is not, from which a file is UTF-8."""
_CONTROL = frozenset(range(32)) - set(b"\t\n\r\f\v\x1a\x1b")
_RARE = 0.01
_LOST = re.compile(b"\xef\xbf\xbd")
_TWICE = re.compile(b"\xc3[\x82\x83]\xc2[\x80-\xbf]|\xc3\xa2\xe2\x82\xac(?:\xe2..|\xc2.|\xc5.)?")
"""Letters and quotation marks in UTF-8 that were read as cp1252 and written as UTF-8 again."""
_WHY = {
    _LOST: "it stands for letters that were lost",
    _TWICE: "UTF-8 was read as cp1252 and saved so",
}
_MARK = b"\xef\xbb\xbf"
_MANY = 3
"""Times at least that a character stands for no accident of one line."""
_LOOKED_AT = 64 << 20
"""Bytes of a file that are looked at."""


def doubts(name: str, blocks: Iterable[bytes]) -> list[str]:
    """Return doubts about characters that were lost or garbled when a file was written.

    >>> doubts("a.txt", ["dÃ©jÃ© cafÃ©".encode()])[0][:36]
    "'Ã©' stands in a.txt, first in row 1"
    """
    counts, firsts = dict.fromkeys(_WHY, 0), {}
    row = 1
    for place, block in enumerate(blocks):
        if place * len(block) > _LOOKED_AT:
            break
        if not block.isascii():
            for pattern in _WHY:
                found = list(pattern.finditer(block))
                if found and not counts[pattern]:
                    shown = found[0][0].decode("utf-8", "replace")
                    firsts[pattern] = shown, row + block.count(b"\n", 0, found[0].start())
                counts[pattern] += len(found)
        row += block.count(b"\n")
    said = []
    for pattern, count in counts.items():
        if count >= _MANY:
            shown, first = firsts[pattern]
            said.append(
                f"{shown!r} stands in {name}, first in row {first}, and {count:,} such places are "
                f"there: {_WHY[pattern]}. Write the file anew from its source."
            )
    return said


def marks_within(blocks: Iterable[bytes]) -> bool:
    """Tell whether a byte order mark stands in a file, but at its beginning.

    >>> marks_within([_MARK + b"a"]), marks_within([_MARK + b"a" + _MARK + b"b"])
    (False, True)
    """
    return any(block.find(_MARK, 0 if place else 1) >= 0 for place, block in enumerate(blocks))


def is_text_but_for(block: bytes, byte: int) -> bool:
    """Tell whether a block is text in which a byte stands here and there."""
    wrong = sum(map(block.count, map(bytes, ([control] for control in _CONTROL))))
    return wrong == block.count(byte) < _RARE * len(block)


def a_zero(path: Path, row: int) -> InputError:
    """Return the error about a byte of value 0 in a text file."""
    return InputError(
        "A byte of value 0 stands here, which has no meaning in text.",
        file=path,
        row=row,
        fix="Take it out, or fetch the file again.",
    )


class Strays:
    """Bytes that are not UTF-8 in a file that else is, counted line by line."""

    def __init__(self) -> None:
        self.right = self.wrong = 0
        self.line, self.first = 1, 0
        self.byte = b""
        self._rest = b""

    def take(self, block: bytes) -> None:
        """Count characters beyond ASCII that are UTF-8, and bytes that are not."""
        if block.isascii() and not self._rest:
            self.line += block.count(b"\n")
            return
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            self._count(line)
            self.line += 1

    def _count(self, line: bytes) -> None:
        if line.isascii():
            return
        text = line.decode("utf-8", "surrogateescape")
        wrong = [character for character in text if "\udc80" <= character <= "\udcff"]
        self.right += sum(character > "\x7f" for character in text) - len(wrong)
        if wrong and not self.wrong:
            self.first, self.byte = self.line, wrong[0].encode("utf-8", "surrogateescape")
        self.wrong += len(wrong)

    def refuse(self, path: Path) -> None:
        """Refuse a file that is nearly all UTF-8: another encoding would garble all the rest."""
        self._count(self._rest)
        if not self.wrong or self.right < _SURELY * self.wrong:
            return
        many = "one byte is" if self.wrong == 1 else f"{self.wrong} bytes are"
        raise InputError(
            f"The file is UTF-8, but {many} not: {self.byte!r} here is the first.",
            file=path,
            row=self.first,
            fix=f"Correct the line (in cp1252 the byte is {_in_cp1252(self.byte)}). With another "
            "encoding all other characters beyond ASCII would be wrong.",
        )


def _in_cp1252(byte: bytes) -> str:
    try:
        return repr(byte.decode("cp1252"))
    except UnicodeDecodeError:
        return "nothing"
