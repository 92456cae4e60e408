"""What all searches share: their task, the clock, threads, and the reports of what was found."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from l2o.problems.instance import Instance, Routes

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Report = Callable[[float, Routes], None]
Newcomers = SimpleQueue[Routes]
Found = Callable[[float, Callable[[], Routes]], None]


def pool_of(threads: int) -> ThreadPoolExecutor:
    """So many threads. To load what they take lasts longer than the first descent on a small map."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads)


class Clock:
    """Says when a search has to end, and how much of it is over: that is what annealing cools by.

    It ends at ``deadline`` (:func:`time.monotonic`), when ``stop()`` says so, or after ``iterations`` where given.
    """

    def __init__(self, deadline: float, stop: Callable[[], bool] | None, iterations: int | None) -> None:
        self._begin = time.monotonic()
        self._deadline, self._stop, self.iterations = deadline, stop, iterations

    def over(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self._deadline or (self._stop is not None and self._stop())

    def left(self) -> float:
        """Seconds that are left."""
        return self._deadline - time.monotonic()

    def within(self, seconds: float) -> Clock:
        """One that begins now and ends after so many seconds, or with this one."""
        return Clock(min(self._deadline, time.monotonic() + seconds), self._stop, None)

    def chunk(self, done: int, largest: int) -> int:
        """How many iterations to do after ``done`` before asking again; 0 to end."""
        left = largest if self.iterations is None else min(largest, self.iterations - done)
        return 0 if self.over() else left

    def progress(self, done: int) -> float:
        """The part of the search that is over, after ``done`` iterations; 1 if there is no telling when it will end."""
        if self.iterations is not None:
            return done / self.iterations
        if math.isinf(self._deadline):
            return 1.0
        return min(1.0, (time.monotonic() - self._begin) / (self._deadline - self._begin))

    def expected(self, done: int) -> float:
        """How many iterations there will be in all, judging by the time that ``done`` took."""
        return float(self.iterations) if self.iterations is not None else done / max(self.progress(done), 1e-9)


@dataclass(frozen=True)
class Task:
    """A solution and what it may be improved with, see :func:`l2o.improve.improve`."""

    instance: Instance
    routes: Routes
    clock: Clock
    seed: int
    threads: int
    report: Report | None
    newcomers: Newcomers | None

    def arrived(self) -> Iterator[Routes]:
        """The newcomers since the last time."""
        while self.newcomers is not None:
            try:
                yield self.newcomers.get_nowait()
            except Empty:
                return

    def best_of(self, run: Callable[[int, Found], None], searches: int, cost: Callable[[Routes], float]) -> Routes:
        """The best of what so many independent ``searches`` find, each in a thread; ``routes`` if that is no better.

        ``run(thread, found)`` searches and calls ``found(cost, solution)`` whenever it looks at the clock,
        ``solution()`` being its best until then. Costs that it sums up only tell that something changed: ``cost`` has
        the last word.
        """
        lock = threading.Lock()
        best, best_cost = self.routes, cost(self.routes)
        # Writing a large solution out takes a while; keep it below a tenth of the time.
        pause = max(0.05, 1e-5 * self.instance.n)
        reported = time.monotonic() - pause

        def take(candidate: Routes) -> None:
            nonlocal best, best_cost
            candidate_cost = cost(candidate)
            if candidate_cost < best_cost:
                best, best_cost = candidate, candidate_cost
                if self.report is not None:
                    self.report(best_cost, best)

        def search(thread: int) -> None:
            latest: Callable[[], Routes] | None = None

            def found(claimed: float, solution: Callable[[], Routes]) -> None:
                nonlocal reported, latest
                latest = solution
                if self.report is not None and claimed < best_cost and time.monotonic() >= reported + pause:
                    with lock:
                        take(solution())
                        reported = time.monotonic()

            run(thread, found)
            if latest is not None:
                with lock:
                    take(latest())

        if searches == 1:
            search(0)
        else:
            with pool_of(searches) as pool:
                list(pool.map(search, range(searches)))
        return best
