"""When to stop: a time limit, a request from outside, and work that is left behind if it does not listen."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Seconds since ``started`` and whether time is up. Safe to ask from any thread."""

    def __init__(self, started: float, limit: float = math.inf, stop: Callable[[], bool] = lambda: False) -> None:
        """``started`` as :func:`time.monotonic` gives it, ``limit`` in seconds; ``stop`` is asked at every look."""
        self.started, self.limit = started, limit
        self._stop = stop
        self._held = self._cancelled = False

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def deadline(self) -> float:
        """The end as :func:`time.monotonic` gives it."""
        return self.started + self.limit

    def over(self) -> bool:
        """Whether to stop."""
        return self._cancelled or self._stop() or (self.seconds >= self.limit and not self._held)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What happens inside does not count against the limit."""
        self._held, begun = True, self.seconds
        try:
            yield
        finally:
            self.limit += self.seconds - begun
            self._held = False

    def cancel(self) -> None:
        """From now on it is over."""
        self._cancelled = True


def attend(work: Callable[[], None], clock: Clock, *, grace: float = 0.5) -> None:
    """Run ``work`` in a thread of its own and wait until it ends or is left behind.

    Work looks at the clock itself, but some stretches cannot (compilation, one large tensor operation). ``grace``
    seconds after the clock is over the caller goes on without it; the thread ends at its next look, for which the
    interpreter waits at its own end. Meanwhile the calling thread is free to receive signals. What ``work`` raises is
    raised here.
    """
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=guarded, name="l2o solve")
    thread.start()
    try:
        while thread.is_alive() and not clock.over():
            thread.join(0.05)
        thread.join(grace)
    finally:
        clock.cancel()
    if failures:
        raise failures[0]
