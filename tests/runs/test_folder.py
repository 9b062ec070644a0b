"""Files of a run that stay, and those that go, when it has finished."""

from __future__ import annotations

import pytest

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
