"""Ctrl-C and SIGTERM as a request to finish, instead of an exception at any place."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType


class Interrupt:
    """While this context lasts, the first signal only makes it true; the second one kills. Main thread only.

    ``says`` is what the first one is answered with on standard error, where finishing may take a while.
    """

    def __init__(self, says: str = "") -> None:
        self._asked, self._says = False, says

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self._asked

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        # A live display hides the cursor; the second signal would leave it hidden.
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""
        if shown or self._says:
            # Not through the stream, in whose middle the signal may have come.
            os.write(2, f"{shown}{self._says}".encode())
