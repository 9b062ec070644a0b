"""Files as they are found: missing, gzipped, in some encoding, many in a folder.

Files are recognised by their content where that is possible: gzip with or without `.gz` in the
name, an encoding by reading the whole file and not its beginning only.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import functools
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from elman.data import damage, encodings
from elman.data.contents import content_of, named
from elman.data.formats import FORMATS
from elman.data.unseen import seen
from elman.errors import InputError, nearest

if TYPE_CHECKING:
    from elman.data.table import Table

Source = str | os.PathLike[str]

_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MARK = "\ufeff"
"""A byte order mark, or a blank without a width."""
_SHOWN = 4
"""Doubts about garbled files that are shown."""
_ALIKE = 0.75
"""Likeness of two names, from 0 to 1, from which one may be meant for the other."""
_NOT_TEXT = frozenset(range(32)) - set(b"\t\n\r\f\v\x1a\x1b")
# What programs leave beside their files.
_MADE = {"__pycache__", "_SUCCESS", "_metadata", "_common_metadata"}


def find(path: Source) -> Path:
    """Return the path if a file or folder is there.

    Raises:
        InputError: nothing is there; the message has the nearest name in that folder. Or it is
            standard input or a pipe.
    """
    if isinstance(path, bytes) or not isinstance(path, str | os.PathLike):
        raise InputError(f"{str(path)[:60]!r} is no path of a file.", fix="Give strings or paths.")
    if not str(path).strip():
        raise InputError("The path of the file is empty.")
    found = Path(path)
    try:
        there = found.exists()
    except (OSError, ValueError):  # too long, or a null character
        raise InputError(f"{str(path)[:60]!r} cannot be the path of a file.") from None
    if (str(path) == "-" and not there) or found.is_fifo() or found.is_socket():
        # They are read several times: for the format, the encoding, the content, the fingerprint.
        raise InputError(
            "Standard input and pipes are not read, for data are read more than once.",
            file=found,
            fix="Write them to a file first, such as: COMMAND > data.csv",
        )
    if there:
        return found
    if found.is_symlink():
        raise InputError(
            f"This is a link to {os.readlink(found)}, which is not there.",
            file=found,
            fix="Give the file itself, or mend the link.",
        )
    folder = found.parent
    try:
        names = os.listdir(folder)
    except (NotADirectoryError, FileNotFoundError):
        what = "There is no such file; its folder does not exist either."
        raise InputError(what, file=found) from None
    except OSError as error:
        raise InputError(f"Its folder cannot be read ({error.strerror}).", file=found) from None
    raise InputError("There is no such file.", file=found, fix=_hint(found.name, names))


def _hint(name: str, names: list[str]) -> str:
    if not names:
        return "Its folder is empty."
    # Without their endings, which are alike whatever the names are.
    stems = [Path(one).stem.casefold() for one in names]
    close = difflib.get_close_matches(Path(name).stem.casefold(), stems, n=1, cutoff=_ALIKE)
    if close:
        return f"Did you mean {names[stems.index(close[0])]!r}?"
    # All the names of a large folder help no one.
    few = f"The folder holds {', '.join(map(repr, sorted(names)))}."
    return few if len(names) <= 8 else "Check the name."


def suffix(path: Path) -> str:
    """Return the ending of a file's name in lower case, without regard to `.gz`.

    >>> suffix(Path("a.CSV.gz")), suffix(Path("notes"))
    ('.csv', '')
    """
    inner = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return inner.suffix.lower()


def stem(path: Path) -> str:
    """Return the name of a file without `.gz` and `.txt`.

    >>> stem(Path("names/Arabic.txt")), stem(Path("rt-polarity.pos"))
    ('Arabic', 'rt-polarity.pos')
    """
    name = path.name[:-3] if path.suffix.lower() == ".gz" else path.name
    return name[:-4] if name.lower().endswith(".txt") else name


def columns_of(table: Table, suffixes: Collection[str]) -> list[str]:
    """Return the columns of a table in which every cell names a file with one of some suffixes."""
    return [
        name
        for name, kind in table.kinds.items()
        if kind in ("text", "category")
        and len(table)
        and all(
            isinstance(cell, str) and suffix(Path(cell.strip())) in suffixes
            for cell in table.frame[name]
        )
    ]


def listing(folder: Path) -> list[Path]:
    """List the files in a folder and below it by name, `part2` before `part10`.

    Hidden files, those that only describe the others (`elman.data.unseen`), and empty files of no
    known format are left out. An empty file of a known format is listed, so that its reader names
    it.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"), key=_as_counted)
        if path.is_file()
        and (path.stat().st_size or _has_format(path))
        and not any(_hidden(part) for part in path.relative_to(folder).parts)
    ]
    found = seen(found, folder)
    if not found:
        raise InputError("The folder holds no file that can be read.", file=folder)
    return found


def _as_counted(path: Path) -> list[list[tuple[int, str]]]:
    """Return what orders paths by their names, and numbers in them by their value."""
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
        for name in path.parts
    ]


def that_may_be_text(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the files of a folder that may be text, and in words the ones that are something else.

    A picture beside books is known by its name or its first bytes. Where all files are something
    else they are all returned, so that their reader says what they are.
    """
    found: dict[Path, str | None] = {}
    for path in paths:
        content = None
        if named(path) is None:
            with contextlib.suppress(InputError):  # its reader says what is wrong
                content = content_of(next(blocks(path, 512), b""), path)
        found[path] = named(path) or (content.what if content else None)
    text = [path for path, what in found.items() if what is None]
    if not text:
        return list(paths), []
    return text, [f"{path.name} ({what})" for path, what in found.items() if what is not None]


def beside_folders(paths: Sequence[Path]) -> list[Path]:
    """Return files that lie beside the folders in which the others lie, such as a list of them.

    >>> beside_folders([Path("a/pos/1.txt"), Path("a/neg/2.txt"), Path("a/urls.txt")])
    [PosixPath('a/urls.txt')]
    """
    above = {folder for path in paths for folder in path.parent.parents}
    return [path for path in paths if path.parent in above]


def _has_format(path: Path) -> bool:
    return any(suffix(path) in known.suffixes for known in FORMATS.values())


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _MADE


def gunzip(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacked if the content is gzip.

    Raises:
        InputError: it cannot be opened, or is called `.gz` and is not gzip.
    """
    try:
        raw = path.open("rb")
    except IsADirectoryError:
        raise InputError("This is a folder; a file is needed.", file=path) from None
    except OSError as error:
        raise InputError(f"The file cannot be opened ({error.strerror}).", file=path) from None
    head = raw.read(2)
    raw.seek(0)
    if head == _GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    if path.suffix.lower() == ".gz" and head:
        raw.close()
        raise InputError(
            "The name ends in .gz, and the content is not gzip.",
            file=path,
            fix="Take .gz off the name, or fetch the file again.",
        )
    return raw


def is_gzip(path: Path) -> bool:
    """Return true if the content is gzip; the name is not looked at."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def blocks(path: Path, size: int = _BLOCK) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked, a block at a time.

    Raises:
        InputError: the file cannot be read, or its gzip is cut off or damaged.
    """
    with gunzip(path) as file:
        try:
            while block := file.read(size):
                yield block
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(path, error) from None
        except OSError as error:
            raise InputError(f"The file cannot be read ({error.strerror}).", file=path) from None


def last_bytes(path: Path) -> bytes:
    """Return the last few bytes of a text file, without blanks and line ends."""
    tail = b""
    if is_gzip(path):
        for block in blocks(path):
            tail = (tail + block)[-256:]
    else:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - 256, 0))
            tail = file.read()
    return tail.replace(b"\0", b"").rstrip()


def _damaged(path: Path, error: Exception) -> InputError:
    what = "cut off" if isinstance(error, EOFError) else "damaged"
    return InputError(f"The gzip data is {what}.", file=path, fix="Fetch the file again.")


def encoding_of(path: Path, given_encoding: str | None = None) -> str:
    """Return the encoding of a text file: the given one, or the one found in the whole file.

    UTF-8, UTF-16 and UTF-32 with a byte order mark, UTF-16 without, and ISO-2022-JP are
    recognised. For other files it is a guess (`elman.data.encodings`), which `doubts` tells.

    Raises:
        InputError: there is no such encoding, the file is empty, or it is not text.
    """
    if given_encoding is not None:
        try:
            name = codecs.lookup(given_encoding).name
        except LookupError:
            raise InputError(
                f"There is no encoding {given_encoding!r}.",
                fix=nearest(given_encoding, ["utf-8", "utf-16", "latin-1", "cp1252", "ascii"]),
            ) from None
        return "utf-8-sig" if name == "utf-8" else name
    about = path.stat()
    return _found_encoding(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=1024)
def _found_encoding(path: Path, changed: int, size: int) -> str:
    """Return the encoding of a file as it is now: who changes it, changes its time or size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    found, unsure, empty, at = "utf-8", bytearray(), True, 0
    strays, japanese = damage.Strays(), False
    for block in blocks(path):
        if at == 0:
            refuse_foreign(path, block)
            for mark, name in MARKS:
                if block.startswith(mark):
                    return name
            if wide := utf16_of(block[:4096]):
                return wide
        if (place := block.find(0)) >= 0:
            if damage.is_text_but_for(block, 0):
                raise damage.a_zero(path, strays.line + block.count(b"\n", 0, place))
            _not_text(path, at + place)
        empty = empty and not block.strip()
        japanese = japanese or (b"\x1b$B" in block and block.isascii())
        if found == "utf-8":
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                found = ""
        strays.take(block)
        if not found and len(unsure) < _BLOCK:
            # Only lines with bytes beyond ASCII say anything about the encoding.
            for line in block.splitlines(keepends=True):
                if not line.isascii():
                    unsure += line
        at += len(block)
    if empty:
        raise InputError("The file is empty.", file=path)
    if found == "utf-8":
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            unsure += block[-64:]
        else:
            return "iso2022_jp" if japanese else found
    strays.refuse(path)
    return _guess(path, bytes(unsure))


def refuse_foreign(path: Path, head: bytes, own: str | None = None) -> None:
    """Refuse a file whose first bytes, unpacked, say that it is something else.

    Args:
        path: the file, for the message.
        head: its first bytes.
        own: a pattern of what it may be, such as "recording".
    """
    found = content_of(head, path)
    if found is not None and not (own and re.search(own, found.what)):
        inside = is_gzip(path) and found.what != "gzip inside gzip"
        raise InputError(
            f"This is {found.what}{' inside gzip' if inside else ''}.", file=path, fix=found.fix
        )


def _not_text(path: Path, place: int) -> NoReturn:
    known = [known.title for known in FORMATS.values()]
    raise InputError(
        f"This is not a text file: byte {place + 1} has no meaning in one.",
        file=path,
        fix=f"Give {', '.join(known[:-1])} or {known[-1]}, plain or gzip.",
    )


def utf16_of(head: bytes) -> str | None:
    """Recognise UTF-16 without a mark: in Western text every other byte is zero."""
    if len(head) < 4:
        return None
    even, odd = head[::2].count(0) / len(head[::2]), head[1::2].count(0) / len(head[1::2])
    if odd > 0.5 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.05 else None


def _guess(path: Path, sample: bytes) -> str:
    if sum(byte in _NOT_TEXT for byte in sample) > 0.02 * len(sample):
        _not_text(path, next(i for i, byte in enumerate(sample) if byte in _NOT_TEXT))
    return encodings.guess(sample)


def doubts(names: Mapping[Path, str]) -> list[str]:
    """Return a doubt, with the first odd word, for each encoding that is only a guess, and about
    characters that were lost or garbled before.

    Args:
        names: file → the encoding that `encoding_of` found.
    """
    said: dict[str, str] = {}
    for path, name in names.items():
        if name in said or name.startswith(("utf", "iso2022")):
            continue
        for row, line in enumerate(_lines(path, name, None), 1):
            if (word := encodings.odd_word(line)) is not None:
                said[name] = (
                    f"the encoding of {path.name} was guessed as {name}; the first odd word is "
                    f"{word[:40]!r} in row {row}. If it is wrong, set --set encoding=NAME."
                )
                break
    whole = [path for path, name in names.items() if name in ("utf-8", "utf-8-sig")]
    garbled = [doubt for path in whole for doubt in damage.doubts(path.name, blocks(path))]
    return [*said.values(), *garbled[:_SHOWN]]


def marks_within(names: Mapping[Path, str]) -> list[Path]:
    """Return the files in UTF-8 in which byte order marks stand, but at the beginning.

    Args:
        names: file → its encoding.
    """
    whole = [path for path, name in names.items() if name in ("utf-8", "utf-8-sig")]
    return [path for path in whole if damage.marks_within(blocks(path))]


def lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    r"""Yield the lines of a text file, each ending in `\n`; memory holds one line.

    Line ends are `\n`, `\r\n` or `\r`, and nothing else is one. A byte order mark in front of a
    line, as where files were put together, is left out.

    Raises:
        InputError: as `encoding_of`, or a byte is not of the encoding.
    """
    for line in _lines(path, encoding_of(path, encoding), None):
        yield line.removeprefix(MARK)


def pieces(path: Path, encoding: str, size: int) -> Iterator[str]:
    r"""Yield the text of a file of known encoding, so many characters at a time.

    A piece ends with a line, and is longer where a line is. Line ends are `\n`, as of `lines`.
    Byte order marks are left out.
    """
    held: list[str] = []
    for text in _read(
        path, encoding, None, lambda file: iter(functools.partial(file.read, size), "")
    ):
        text = text.replace(MARK, "")
        end = text.rfind("\n") + 1
        if end:
            yield "".join([*held, text[:end]])
            held = []
        held.append(text[end:])
    if any(held):
        yield "".join(held)


def raw_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a text file of known encoding, with line ends as they are."""
    return _lines(path, encoding, "")


def _lines(path: Path, encoding: str, newline: str | None) -> Iterator[str]:
    return _read(path, encoding, newline, iter)


def _read(
    path: Path,
    encoding: str,
    newline: str | None,
    parts: Callable[[io.TextIOWrapper], Iterator[str]],
) -> Iterator[str]:
    file = gunzip(path)
    with io.TextIOWrapper(file, encoding=encoding, newline=newline) as text:
        try:
            yield from parts(text)
        except UnicodeError:
            raise misread(path, encoding) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(path, error) from None


def whole(path: Path, encoding: str | None = None) -> str:
    r"""Return the text of a file, line ends as they are.

    Raises:
        InputError: as `lines`.
    """
    name = encoding_of(path, encoding)
    data = b"".join(blocks(path))
    try:
        return data.decode(name)
    except UnicodeError:
        raise misread(path, name) from None


def misread(path: Path, encoding: str) -> InputError:
    """Return the error for a file that is not in `encoding`: first wrong byte, line and fix."""
    decoder = codecs.getincrementaldecoder(encoding)()
    at, line, place = 0, 1, 0
    for block in [*blocks(path), b""]:
        held = len(decoder.getstate()[0])
        try:
            line += decoder.decode(block, final=not block).count("\n")
        except UnicodeDecodeError as error:
            place = at - held + error.start
            line += error.object[: error.start].decode(encoding, "replace").count("\n")
            break
        except UnicodeError:
            break
        at += len(block)
    shown = "utf-8" if encoding == "utf-8-sig" else encoding
    try:
        found = encoding_of(path)
    except InputError:
        fix = ""
    else:
        fix = f"It reads as {found}: set encoding={found!r}, or leave it out."
    return InputError(
        f"Byte {place + 1} is not {shown} text.", file=path, row=line, fix=fix or None
    )


def given(sources: Source | Iterable[Source]) -> list[Path]:
    """Return one path or several as a list; every one must exist."""
    paths = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not paths:
        raise InputError("No file was given.")
    if len(paths) > 1 and not any(_is_there(path) for path in paths):
        raise InputError(
            f"A list of strings is one of paths, and none of the {len(paths):,} is there: "
            f"{str(paths[0])[:60]!r} is the first.",
            fix="Give texts as a DataFrame or as {'text': [...]}, with 'label' beside it where "
            "there are labels.",
        )
    return [find(path) for path in paths]


def _is_there(path: Source) -> bool:
    try:
        return os.path.lexists(path)
    except (TypeError, ValueError):  # no path at all, or a null character: `find` says so
        return True


def fingerprint(path: Source) -> str:
    """Return the size and SHA-256 of a file's content, to notice that it has changed.

    From a file above 64 MiB only 64 blocks of 1 MiB are read, spread evenly from first to last:
    this is quick at any size, but can miss an edit that keeps the size. For a folder all of its
    files count.

    Raises:
        InputError: nothing is there.
    """
    found = find(path)
    if found.is_dir():
        inner = hashlib.sha256()
        files = sorted(p for p in found.rglob("*") if p.is_file())
        for path_in in files:
            name = path_in.relative_to(found).as_posix()
            inner.update(f"{name}\n{fingerprint(path_in)}\n".encode())
        return f"{len(files)} files:{inner.hexdigest()}"
    size = found.stat().st_size
    digest = hashlib.sha256()
    with found.open("rb") as file:
        if size <= 64 * _BLOCK:
            while block := file.read(_BLOCK):
                digest.update(block)
        else:
            for part in range(64):
                file.seek(part * (size - _BLOCK) // 63)
                digest.update(file.read(_BLOCK))
    return f"{size}:{digest.hexdigest()}"
