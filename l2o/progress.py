"""What is going on, told while it goes on: to nobody, as a live line on a terminal, or as plain lines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

QUIET_SECONDS = 1.0
"""Least time between two plain lines that report a cost."""


class Watcher:
    """Told by :func:`l2o.solve.solve`, from several threads. This one keeps quiet."""

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        """Work ``name`` is going on, ``done`` of ``total`` steps (0: not countable)."""

    def better(self, seconds: float, cost: float) -> None:
        """A better solution was found."""

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        """The end, before any result is printed."""


class Lines(Watcher):
    """Plain lines on standard error, one per phase and at most one a second for costs."""

    def __init__(self, name: str) -> None:
        """``name`` stands in front of every line."""
        self._name, self._phase, self._last = name, "", -QUIET_SECONDS

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        if name != self._phase:
            self._phase = name
            print(f"{self._name}: {name}", file=sys.stderr, flush=True)

    def better(self, seconds: float, cost: float) -> None:
        if seconds - self._last >= QUIET_SECONDS:
            self._last = seconds
            print(f"{self._name}: {seconds:.1f} s  cost {amount(cost)}", file=sys.stderr, flush=True)


class Live(Watcher):
    """One line on the terminal, redrawn several times a second: phase, time, cost and gap."""

    def __init__(self, name: str, started: float, best_known: float | None) -> None:
        """``started`` as :func:`time.monotonic` gives it."""
        from rich.console import Console
        from rich.live import Live as Display

        self._name, self._started, self._best_known = name, started, best_known
        self._phase, self._done, self._total = "starting", 0, 0
        self._cost: float | None = None
        self._display = Display(
            get_renderable=self._line, console=Console(stderr=True), refresh_per_second=8, transient=True
        )

    def phase(self, name: str, done: int = 0, total: int = 0) -> None:
        self._phase, self._done, self._total = name, done, total

    def better(self, seconds: float, cost: float) -> None:
        self._cost = cost

    def __enter__(self) -> Watcher:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def _line(self) -> Text:
        from rich.text import Text

        phase = self._phase + (f" {self._done:,} of {self._total:,}" if self._total else "")
        parts = [self._name, f"{time.monotonic() - self._started:.1f} s", phase]
        if self._cost is not None:
            parts.append(f"cost {amount(self._cost)}")
            if self._best_known:
                parts.append(f"gap {100 * (self._cost / self._best_known - 1):.2f} %")
        return Text("  ".join(parts), no_wrap=True, overflow="ellipsis")


def watcher(name: str, started: float, best_known: float | None, *, quiet: bool) -> Watcher:
    """The one that fits where standard error goes."""
    if quiet:
        return Watcher()
    return Live(name, started, best_known) if sys.stderr.isatty() else Lines(name)


def amount(cost: float) -> str:
    """A cost for people: whole numbers without a point, others with seven digits that matter."""
    return f"{cost:,.0f}" if float(cost).is_integer() else f"{cost:,.7g}"
