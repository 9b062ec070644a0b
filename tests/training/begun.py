"""A run that was stopped before its first step."""

from __future__ import annotations

import shutil
from pathlib import Path


def only_begun(run: Path) -> None:
    """Take away all that training has written into a run."""
    (run / "model.safetensors").unlink()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    (run / "metrics.jsonl").unlink()
