"""Files of a run that stay, and those that go, when it has finished."""

from __future__ import annotations

import os

import pytest

from elman.errors import InputError
from elman.runs import folder
from elman.runs.folder import Run


@pytest.mark.parametrize(
    ("kept", "stay"), [("none", set()), ("best", {"best"}), ("last", {"last", "best"})]
)
def test_checkpoints_that_stay(tmp_path, kept, stay):
    for name in ("last", "best"):
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / name).write_bytes(b"x")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    for _ in range(2):  # where some are gone already, nothing fails
        Run(tmp_path).keep_checkpoints(kept)
        assert {file.name for file in tmp_path.glob("checkpoints/*")} == stay
    assert (tmp_path / "checkpoints").exists() == bool(stay)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("left", ["mark", "assets", "older"])
def test_a_run_killed_before_its_configuration_is_begun_anew(tmp_path, left):
    path = tmp_path / "run"
    run = folder.create(path)
    (path / ".begun").write_text("999999999")  # as of a process that is no more
    if left == "assets":
        run.write_assets({"answer": {"classes": []}})
        (path / ".config.yaml.tmp").write_text("format")
    elif left == "older":
        (path / ".begun").unlink()
    with pytest.raises(InputError, match="stopped before its data were read") as raised:
        run.config()
    assert "Train again with the same --out" in str(raised.value)
    again = folder.create(path)
    assert {entry.name for entry in path.iterdir()} == {".begun", "checkpoints"}
    folder.record(again, "format: 2\ntask: classify\nsettings: {}\n", {"answer": {}})
    assert again.config()["task"] == "classify"
    assert not (path / ".begun").exists()
    with pytest.raises(InputError, match="not empty, and nothing is written over"):
        folder.create(path)


def test_a_folder_that_another_process_begins_in_is_left_alone(tmp_path):
    folder.create(tmp_path / "run")
    (tmp_path / "run" / ".begun").write_text(str(os.getppid()))
    with pytest.raises(InputError, match=f"process {os.getppid()} reads the data of a run"):
        folder.create(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="nothing is written over"):
        folder.create(tmp_path / "other")
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"
