"""The same file given twice is read once and said; a copy of another name is doubted."""

from __future__ import annotations

import pytest

from elman.data import read
from elman.tasks import TASKS
from elman.tasks.settings import settings_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.csv").write_text("x,label\n1,p\n2,q\n")
    (tmp_path / "b.csv").write_text("x,label\n3,p\n4,q\n")
    return tmp_path


def given(folder, way):
    a, b = folder / "a.csv", folder / "b.csv"
    if way == "twice":
        return [a, b, a]
    if way == "by another path":
        return [a, b, folder / ".." / folder.name / "a.csv"]
    if way == "a folder and a file in it":
        return [folder, a]
    link = folder / "c.csv"
    link.symlink_to(a) if way == "a link" else link.hardlink_to(a)
    return folder


@pytest.mark.parametrize(
    "way", ["twice", "by another path", "a folder and a file in it", "a link", "a hard link"]
)
def test_a_file_given_twice_is_read_once(folder, way):
    table = read(given(folder, way))
    assert table.frame["x"].tolist() == [1, 2, 3, 4]
    [doubt] = table.doubts()
    assert "is given twice and read once" in doubt
    assert ("which is" in doubt) == ("link" in way)


def test_different_files_are_not_doubted(folder):
    (folder / "c.csv").write_text("x,label\n5,p\n6,q\n")  # of the size of the others
    assert read(folder).doubts() == []


def test_a_copy_is_read_and_doubted(folder):
    (folder / "copy.csv").write_bytes((folder / "a.csv").read_bytes())
    table = read(folder)
    assert len(table) == 6
    [doubt] = table.doubts()
    assert f"{folder / 'copy.csv'} is a copy of {folder / 'a.csv'}" in doubt


def test_a_text_given_twice_is_learnt_once(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"line {i} of a poem" for i in range(300)))
    one, twice = (
        TASKS["generate"].from_data(source, settings_of(TASKS["generate"], {}))
        for source in (path, [path, path])
    )
    assert len(one._tokens["train"].ids) == len(twice._tokens["train"].ids)
    assert one.understood().doubts == []
    assert "given twice and read once" in " ".join(twice.understood().doubts)
