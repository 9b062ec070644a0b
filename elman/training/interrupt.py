"""At Ctrl-C the step is finished, the state saved, and the way to go on printed."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from elman.errors import ElmanError


class Interrupted(ElmanError):
    """Training was stopped by a signal; the message says how to go on."""

    exit_code = 130


class Interrupt:
    """Let the first Ctrl-C (or SIGTERM) inside only set `requested`; a later one kills."""

    def __init__(self) -> None:
        self.requested = False
        self._at = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        # Python lets only the main thread set handlers; elsewhere signals do what they did.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # torchrun passes on what the terminal has sent already: the same wish, twice.
        if self.requested and time.monotonic() - self._at > 1.0:
            raise KeyboardInterrupt
        if not self.requested:
            self.requested, self._at = True, time.monotonic()
