"""What a workbook hides is read, and it is said how much that is."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from workbooks import xlsx

from elman.data import read
from elman.errors import InputError

pytest.importorskip("python_calamine")

ROWS = [["text", "label", "note"], *([f"film {i}", "ab"[i % 2], i] for i in range(12))]


def changed(path: Path, part: str, changes: dict[str, str]) -> Path:
    """Change the text of a part of a workbook by regular expressions, each once."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    text = held[part].decode()
    for old, new in changes.items():
        text, count = re.subn(old, new, text, count=1)
        assert count, old
    with zipfile.ZipFile(path, "w") as archive:
        for name, own in (held | {part: text.encode()}).items():
            archive.writestr(name, own)
    return path


def numbered(path: Path, hidden: set[int], columns: str = "") -> Path:
    first = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as archive:
        text = archive.read(first).decode()
    for n in range(1, len(ROWS) + 1):
        mark = ' hidden="1"' if n in hidden else ""
        text = text.replace("<row>", f'<row r="{n}"{mark}>', 1)
    whole = text.replace("<sheetData>", f"{columns}<sheetData>")
    return changed(path, first, {r"(?s)\A.*\Z": whole})


def test_hidden_rows_and_columns_are_doubted_with_their_count(tmp_path: Path) -> None:
    plain = xlsx(tmp_path / "plain.xlsx", {"One": ROWS})
    assert read(plain).doubts() == []
    path = numbered(
        xlsx(tmp_path / "a.xlsx", {"One": ROWS}),
        {4, 5, 9},
        '<cols><col min="1" max="1" width="9"/><col min="3" max="3" hidden="1"/></cols>',
    )
    table = read(path)
    assert len(table) == 12
    rows, columns = table.doubts()
    assert "3 of 12 rows of sheet 'One' are hidden in a.xlsx" in rows
    assert "(row 4 is the first)" in rows
    assert "1 column of sheet 'One' ('note') is hidden in a.xlsx, and read too" in columns


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_said(tmp_path: Path, state: str) -> None:
    mark = {'<sheet name="Old"': f'<sheet name="Old" state="{state}"'}
    alone = changed(xlsx(tmp_path / "a.xlsx", {"Old": ROWS}), "xl/workbook.xml", mark)
    said = "sheet 'Old' is hidden in a.xlsx, and it is the one that is read."
    assert read(alone).doubts() == [said]
    assert read(alone, sheet="Old").doubts() == []
    both = xlsx(tmp_path / "b.xlsx", {"Old": ROWS, "New": ROWS})
    with pytest.raises(InputError, match=r"'Old' \(13 rows, hidden\), 'New' .* sheet='New'"):
        read(changed(both, "xl/workbook.xml", mark))
