"""metrics.jsonl holds one JSON object a line, and is only ever appended to.

Training rows hold `step`, `epoch`, `seconds`, `loss` (mean since the last such row),
`norm` (of the gradient, before clipping) and `lr`, and what `elman.training.health` has seen:
`clip_rate`, `clip_by`, `gradients` (parameter → norm), `update_ratio`, `spikes`, now and then
`horizon` and `saturation` by layer with the `window` they were seen in (and once at step 0).
Validation rows hold `step`, `epoch`, `seconds`, `valid` (metric → value) and `best`; a rollback,
and training that is found sick, leave a row with `event`. On resume the file is cut back to where
the checkpoint was written, so that no step is in it twice.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from elman.errors import RunFailed


class Metrics:
    """The rows so far are kept in memory and, where there is a path, in a file.

    Args:
        path: the file, opened by `load_state_dict`; None keeps the rows in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.path = path
        self._file: IO[bytes] | None = None

    def state_dict(self) -> int:
        """Return the bytes written so far."""
        return 0 if self._file is None else self._file.tell()

    def load_state_dict(self, position: int) -> None:
        """Open the file and cut it back to its first `position` bytes: 0 for a new run.

        Raises:
            RunFailed: the file cannot be written.
        """
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
            self._file.truncate(position)
            self._file.seek(0)
            self.rows = [json.loads(line) for line in self._file]
        except OSError as error:
            raise RunFailed(f"{self.path}: could not be written: {error.strerror}.") from error

    def add(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self.rows.append(row)
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise RunFailed(f"{self.path}: could not be written: {error.strerror}.") from error

    def sync(self) -> None:
        """Make sure that what was written is on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
