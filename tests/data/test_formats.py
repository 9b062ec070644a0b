"""The table of formats: an entry is all that a new format needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from elman.data import read
from elman.data.formats import FORMATS, Format
from elman.data.reading import format_of
from elman.errors import InputError, MissingExtra

READER = """
import pandas as pd
from elman.data.table import Origin, build

def read(paths, *, columns=None, types=None, encoding=None):
    lines = [line for path in paths for line in path.read_text(encoding or "utf-8").split()]
    frame = pd.DataFrame({"letter": pd.Series(lines, dtype=object)})
    return build(frame, [Origin(paths[0], len(lines))], columns=columns, types=types)
"""


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of a format that lives in a module of its own."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "letters_format.py").write_text(READER)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setitem(
        FORMATS, "letters", Format("letters", "letters_format:read", (".letters",), r"^spelt\.")
    )
    yield tmp_path  # type: ignore[misc]
    sys.modules.pop("letters_format", None)


def test_an_entry_is_all_that_a_new_format_needs(letters: Path) -> None:
    (letters / "a.letters").write_text("x y x", encoding="utf-16")
    # The name comes before the ending: this is no CSV.
    (letters / "spelt.csv").write_text("z")
    assert "letters_format" not in sys.modules
    table = read(letters / "a.letters", types={"letter": "category"}, encoding="utf-16")
    assert table.labels("letter") == ["x", "y", "x"]
    assert read(letters / "spelt.csv", types={"letter": "text"}).texts("letter") == ["z"]


def test_messages_name_every_format(letters: Path) -> None:
    (letters / "a.csv").write_bytes(b"a,b\n1,\x00\n")
    with pytest.raises(InputError, match=r"Give CSV, TSV, .*, IDX or letters, plain or gzip"):
        read(letters / "a.csv")


def test_a_missing_package_is_named_with_its_extra(
    letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (letters / "modules" / "needy_format.py").write_text("import no_such_package_here\n")
    monkeypatch.setitem(
        FORMATS, "needy", Format("needy", "needy_format:read", (".needy",), extra="audio")
    )
    (letters / "a.needy").write_text("1")
    with pytest.raises(MissingExtra, match=r"'no_such_package_here'.*pip install 'elman\[audio\]'"):
        read(letters / "a.needy")


def test_no_two_formats_have_one_ending() -> None:
    endings = [ending for known in FORMATS.values() for ending in known.suffixes]
    assert len(endings) == len(set(endings))
    for name, known in FORMATS.items():
        # Rows of numbers are known by their first lines alone.
        assert known.suffixes or known.names or name == "numbers"
        for ending in known.suffixes:
            assert ending == ending.lower()
            assert format_of(Path(f"some.{ending.upper()[1:]}.gz")) == name
        assert callable(known.load())


def test_the_page_on_data_names_every_format_and_ending() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for known in FORMATS.values():
        for word in (*known.title.split(", "), *known.suffixes):
            assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", page, re.IGNORECASE), word
