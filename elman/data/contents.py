"""The content of a file by its first bytes, whatever its name says, and what to do with it."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple


class Content(NamedTuple):
    """The kind of a file, in words, and what a person can do with it."""

    what: str
    fix: str


_UNPACK = "Unpack it, and give the files in it."
_SOUND = "Give recordings to a task that reads sound, under a name that ends in {}."
_PICTURE = (
    "Pictures are read from IDX files (as MNIST has them), or from an array (pictures, rows, "
    "columns) that you give to elman.train with their labels."
)
_ARRAY = "Load it in Python, and give the arrays to elman.train."
_READ = "Save the table in it as CSV, or give elman.train the DataFrame of pandas.{}(FILE)."
_HF = (
    "Load it in Python, datasets.load_from_disk(FOLDER), and save each part with "
    "to_parquet('train.parquet'), or give its to_pandas() to elman.train."
)
_HDF = (
    "Load it in Python (pandas.read_hdf for a table, h5py for arrays), and give what it holds to "
    "elman.train."
)
_NPY = "Load it in Python, numpy.load(FILE), and give the arrays to elman.train."
_R = 'Save the table in it as CSV: in R, write.csv(TABLE, "table.csv", row.names = FALSE).'
_SQL = "Export the table as CSV, or give elman.train the DataFrame of pandas.read_sql."
_TEXT = "Save its text as a .txt file."
# By first bytes; the longer beginnings come first where one begins another.
_FIRST: tuple[tuple[bytes, str, str], ...] = (
    (b"ID3", "an MP3 recording", _SOUND.format(".mp3")),
    (b"fLaC", "a FLAC recording", _SOUND.format(".flac")),
    (b"OggS", "an Ogg recording", _SOUND.format(".ogg")),
    (b"FORM", "an AIFF recording", "Convert it to WAV."),
    (b"MThd", "a MIDI file", "Save its notes as a table."),
    (b"\x89PNG", "a PNG picture", _PICTURE),
    (b"\xff\xd8\xff", "a JPEG picture", _PICTURE),
    (b"GIF8", "a GIF picture", _PICTURE),
    (b"II*\0", "a TIFF picture", _PICTURE),
    (b"MM\0*", "a TIFF picture", _PICTURE),
    (b"\0\0\1\0", "an icon", _PICTURE),
    (b"%PDF", "a PDF document", _TEXT),
    (b"{\\rtf", "an RTF document", _TEXT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "Save it as .xlsx, or CSV."),
    (b"\x93NUMPY", "a NumPy array", _NPY),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _HDF),
    (b"CDF\1", "a NetCDF file", _ARRAY),
    (b"CDF\2", "a NetCDF file", _ARRAY),
    (b"MATLAB 5.0", "a MATLAB file", _ARRAY),
    (b"PAR1", "a Parquet file", "Give it a name that ends in .parquet."),
    (b"ARROW1", "an Arrow (Feather) file", _READ.format("read_feather")),
    (b"\xff\xff\xff\xff", "an Arrow file, as datasets of Hugging Face are saved", _HF),
    (b"FEA1", "a Feather file", _READ.format("read_feather")),
    (b"ORC", "an ORC file", _READ.format("read_orc")),
    (b"Obj\1", "an Avro file", "Save it as Parquet."),
    (b"$FL2", "an SPSS file", _READ.format("read_spss")),
    (b"$FL3", "an SPSS file", _READ.format("read_spss")),
    (b"<stata_dta>", "a Stata file", _READ.format("read_stata")),
    (b"RDX", "an R file", _R),
    (b"RDA", "an R file", _R),
    (b"X\n\0\0\0", "an R file", _R),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS file", _READ.format("read_sas")),
    (b"HEADER RECORD*******LIBRARY", "a SAS transport file", _READ.format("read_sas")),
    (b"SQLite format 3", "an SQLite database", _SQL),
    (b"BZh", "a bzip2 archive", "Unpack it, or compress it with gzip."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it, or compress it with gzip."),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it, or compress it with gzip."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x1f\x9d", "a compress (.Z) archive", _UNPACK),
    (b"\x1f\x8b", "gzip inside gzip", "Unpack it once."),
    (b"\x7fELF", "a program", "Give data."),
    (b"version https://git-lfs", "a pointer of Git LFS", "Fetch the file itself: git lfs pull."),
)
# Formats whose first part is text.
_WRITTEN = (
    *(b"%PDF", b"{\\rtf", b"MATLAB 5.0", b"<stata_dta>", b"version https://git-lfs"),
    b"HEADER RECORD*******LIBRARY",
)
_RIFF = {
    b"WAVE": Content("a WAV recording", _SOUND.format(".wav")),
    b"AVI ": Content("an AVI video", "Videos are not read."),
    b"WEBP": Content("a WebP picture", _PICTURE),
}
_PAGE = Content("a web page", "Fetch the file itself, or save the text of the page as .txt.")
_NOTEBOOK = Content(
    "a notebook of Jupyter",
    "Write its text to a file first: jupyter nbconvert --to markdown (or script) NOTEBOOK.",
)
_CELLS = re.compile(rb'\s*\{\s*"cells"\s*:\s*\[\s*\{\s*"')
_SHEET = "Give it a name that ends in {}."
# Members of a zip archive that say what it is.
_MEMBERS = {
    "xl/": Content("an Excel workbook", _SHEET.format(".xlsx")),
    "word/": Content("a Word document", _TEXT),
    "ppt/": Content("a PowerPoint document", _TEXT),
}
_ZIP = b"PK\x03\x04"
BROKEN_ZIP = (
    *(zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError),
    *(KeyError, zlib.error, struct.error),
)
"""All that `zipfile` raises where an archive is damaged, has a password, or is none."""
_NAMES = {
    "picture": (
        *(".bmp", ".gif", ".heic", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".tif", ".tiff"),
        ".webp",
    ),
    "recording": (
        ".aac",
        ".aiff",
        ".flac",
        ".m4a",
        ".mid",
        ".midi",
        ".mp3",
        ".ogg",
        ".wav",
        ".wma",
    ),
    "video": (".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"),
}


def content_of(head: bytes, path: Path | None = None) -> Content | None:
    """Return what a file is by its first bytes, or None where they may be text.

    Args:
        head: the first bytes, unpacked; 512 of them know a tar archive.
        path: the file, for what stands at the end of a zip archive.

    >>> content_of(b"%PDF-1.7").what
    'a PDF document'
    >>> content_of(b"a,b") is None
    True
    """
    if head[:4] in (_ZIP, b"PK\x05\x06"):
        return _zipped(path)
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[257:262] == b"ustar":
        return Content("a tar archive", _UNPACK)
    if head[4:8] == b"ftyp":
        return Content("an MP4 video or recording", "Convert a recording to WAV.")
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return Content("a Python pickle", f"It is not opened: a pickle can run code. {_ARRAY}")
    if head[1:4] in (b"\1\1\0", b"\2\1\0") and 0x66 <= head[0] <= 0x73:
        return Content("a Stata file", _READ.format("read_stata"))
    if head[:2] == b"\xff\xfb" or head[:2] == b"\xff\xf3":
        return Content("an MP3 recording", _SOUND.format(".mp3"))
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return Content("a BMP picture", _PICTURE)
    if head.lstrip()[:9].lower() in (b"<!doctype", b"<html>") or head.lstrip()[:5] == b"<html":
        return _PAGE
    if _CELLS.match(head) and (b'"cell_type"' in head or (path and path.suffix == ".ipynb")):
        return _NOTEBOOK
    for magic, what, fix in _FIRST:
        if head.startswith(magic) and (magic in _WRITTEN or not _is_text(head)):
            return Content(what, fix)
    return None


def named(path: Path) -> str | None:
    """Return what a file is by the ending of its name, or None where it may be text.

    >>> named(Path("cover.JPG")), named(Path("one.txt"))
    ('a picture', None)
    """
    ending = path.suffix.lower()
    if ending == ".ann" and path.with_suffix(".txt").exists():
        return "annotations of brat"
    return next((f"a {what}" for what, endings in _NAMES.items() if ending in endings), None)


def fix_of(kind: str) -> str:
    """Return what to do with files of a kind that `named` says.

    >>> fix_of("a video")
    'Videos are not read.'
    """
    return {"a picture": _PICTURE, "a video": "Videos are not read."}.get(
        kind, "Convert them to WAV, and name those."
    )


def _is_text(head: bytes) -> bool:
    """Return true where no byte is a control character: a text may begin with "ORC" too."""
    return all(byte > 31 or byte in b"\t\n\r\f" for byte in head[:512])


def _zipped(path: Path | None) -> Content:
    other = Content("a zip archive", _UNPACK)
    try:
        with zipfile.ZipFile(path or "") as archive:
            names = archive.namelist()
            kind = archive.read("mimetype")[:80] if "mimetype" in names else b""
    except BROKEN_ZIP:
        return other
    if b"spreadsheet" in kind:
        return Content("a LibreOffice sheet", _SHEET.format(".ods"))
    if b"opendocument" in kind or b"epub" in kind:
        return Content("a text document", _TEXT)
    if names and all(name.endswith(".npy") for name in names):
        return Content("a NumPy archive (.npz)", _ARRAY)
    if any(name.endswith("data.pkl") for name in names):
        return Content("a file of torch.save", f"It holds a pickle, which can run code. {_ARRAY}")
    for beginning, found in _MEMBERS.items():
        if any(name.startswith(beginning) for name in names):
            return found
    return other
