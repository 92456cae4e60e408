"""What all searches share: the clock, threads, and the reports of what was found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from l2o.improve import Report, Routes

Found = Callable[[float, Callable[[], Routes]], None]


class Clock:
    """Says when a search has to end: at ``deadline`` (:func:`time.monotonic`) or when ``stop()`` says so."""

    def __init__(self, deadline: float, stop: Callable[[], bool] | None) -> None:
        self._deadline = deadline
        self._stop = stop

    @staticmethod
    def now() -> float:
        """Seconds, as in ``deadline``."""
        return time.monotonic()

    def over(self) -> bool:
        """Whether to end now."""
        return self.now() >= self._deadline or (self._stop is not None and self._stop())


def in_threads(
    run: Callable[[int, Found], None],
    threads: int,
    routes: Routes,
    cost: Callable[[Routes], float],
    report: Report | None,
    n: int,
) -> Routes:
    """The best of what ``threads`` independent searches find, and ``routes`` if that is nothing better.

    ``run(thread, found)`` searches and calls ``found(cost, solution)`` whenever it looks at the clock; the last call
    must offer its best. Costs that a search sums up are only used to see what changed: ``cost`` has the last word.
    """
    lock = threading.Lock()
    best, best_cost = routes, cost(routes)
    # Writing a large solution out takes a while; keep it below a tenth of the time.
    pause = max(0.05, 1e-5 * n)
    reported = time.monotonic() - pause

    def take(candidate: Routes) -> None:
        nonlocal best, best_cost
        candidate_cost = cost(candidate)
        if candidate_cost < best_cost:
            best, best_cost = candidate, candidate_cost
            if report is not None:
                report(best_cost, best)

    def search(thread: int) -> None:
        latest: Callable[[], Routes] | None = None

        def found(claimed: float, solution: Callable[[], Routes]) -> None:
            nonlocal reported, latest
            latest = solution
            if report is not None and claimed < best_cost and time.monotonic() >= reported + pause:
                with lock:
                    take(solution())
                    reported = time.monotonic()

        run(thread, found)
        if latest is not None:
            with lock:
                take(latest())

    if threads == 1:
        search(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(search, range(threads)))
    return best
