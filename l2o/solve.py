"""File + policy -> checked solution. The page to read first.

A quick heuristic gives a first solution at once and the search begins with it; the policy's solutions join the search
as soon as they are there, or are what it begins with where they come first; and nothing leaves before the problem's
own independent check has confirmed it. Nothing here loads torch before a policy is wanted.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from l2o.bound import Bound, bounds, known
from l2o.clock import Clock, attend
from l2o.cores import usual_threads
from l2o.heuristics import nearest_neighbour, quick
from l2o.improve import compiled, warm_up
from l2o.improve import improve as local_search
from l2o.improve.run import pool_of
from l2o.problems import rules
from l2o.problems.instance import TIE, Instance, Routes, Solution
from l2o.progress import Watcher
from l2o.weights import Weights

if TYPE_CHECKING:
    from concurrent.futures import Future

    from l2o.models.base import Policy
    from l2o.models.fragments import Policy as FragmentsPolicy
    from l2o.problems.rules import Rules

RESERVE = 0.15
"""Share of the time that a bound has where it cannot be looked for beside the search."""
LEAST = 0.03
"""Seconds that there always are: where start-up took all, a local search makes much of a small map in so little."""
ENDING = 0.15
"""Seconds that a bound is waited for when time is over."""
CHECKING = 1e-5
"""Seconds for each node that the check at the end takes, about: all else ends so much earlier."""
LOADING, BUILDING = 2.5, 0.004
"""Seconds that it takes to load torch and the weights, and for each node to build a solution, about."""
WORTH = {False: 4, True: 2}
"""The policy is asked where so many times that long is left: alone, and beside a search on other cores."""


def default_time_limit(n: int) -> float:
    """Seconds that an instance with ``n`` nodes gets where nobody says otherwise, start-up not counted."""
    return 3 + n / 100


def solve(
    instance: Instance,
    policy: Policy[Any] | FragmentsPolicy | Weights | None,
    *,
    time_limit: float | None = None,
    starts: int | None = None,
    samples: int = 0,
    improve: bool = True,
    iterations: int | None = None,
    initial: Routes | None = None,
    seed: int = 0,
    threads: int | None = None,
    started: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
    bound: bool = False,
) -> Solution:
    """The best solution found until ``time_limit`` or ``stop``, checked; there always is one.

    The same arguments give the same solution if no time limit cuts the search short.

    Args:
        policy: trained for ``instance.problem``, or weights that are loaded when they are wanted; its device is the one
            worked on. None: there is none, and nothing can be asked of it.
        time_limit: seconds since ``started``. None: :func:`default_time_limit` from now on where only time can end
            local search, else no limit. The first local search on a machine compiles its code, which does not count.
        starts: greedy constructions, from as many different first nodes. None: one, where ``initial`` does not take its
            place and there is time for it beside the search.
        samples: constructions drawn at random from the policy, on top of those.
        improve: follow up with local search.
        iterations: of local search, in each thread, which then begins with the best of what the policy has built.
        initial: a known solution; the answer is never worse.
        seed: of all that is drawn.
        threads: None for one per core.
        started: :func:`time.monotonic` when time began to count, None for now.
        stop: asked often, from several threads; True ends the search.
        watcher: told what is going on.
        bound: look for a lower bound too where only time ends the search: beside it or, where there is one thread, in
            a part of its time. The search ends as soon as the two meet.

    Raises:
        Infeasible: ``initial`` breaks a rule.
    """
    now = time.monotonic()
    started = now if started is None else started
    timed = improve and iterations is None
    if time_limit is None:
        # A first start on a machine may take long; who named no limit must not get a worse solution for it.
        time_limit = now - started + default_time_limit(instance.n) if timed else math.inf
    if timed:
        time_limit = max(time_limit, now - started + LEAST)
    time_limit -= min(CHECKING * instance.n, time_limit / 10)
    threads = threads or usual_threads()
    clock = Clock(started, time_limit, stop)
    watcher = watcher or Watcher()
    best = Best(rules.find(instance.problem), instance, clock, watcher)
    if initial is not None:
        best.check(initial)
        best.offer(initial, "initial solution")
    newcomers: SimpleQueue[Routes] = SimpleQueue()
    certified = bound and timed and known(instance.problem)
    # Where one thread does everything, the bound has some of its time, a third of it before the search.
    reserve = RESERVE * (time_limit - (now - started)) if certified and threads == 1 else 0.0

    def certify(seconds: float = math.inf) -> None:
        end = min(clock.limit, clock.seconds + seconds)
        bounds(
            instance,
            upper=lambda: best.cost,
            over=lambda: clock.over() or clock.seconds >= end or best.optimal,
            left=lambda: end - clock.seconds,
            told=best.certify,
        )

    def build() -> None:
        from l2o.constructions import Wanted, constructions

        wanted = Wanted(1 if starts is None else starts, samples, seed, threads, clock, watcher, improve)
        assert policy is not None
        for routes, solver in constructions(policy, instance, wanted):
            best.offer(routes, solver)
            newcomers.put(routes)

    def work() -> None:
        if clock.over():
            return
        if improve and not compiled(instance.problem):
            watcher.phase("compiling the local search, once on this machine")
            with clock.held():
                warm_up(instance.problem)
        if clock.over():
            return
        if timed and best.found is None:
            best.offer(*quick(instance))
        asked = starts is not None or samples > 0
        beside = timed and threads > 1
        building: Future[None] | None = None
        free = initial is None and (not timed or worth_asking(policy, instance.n, clock, beside=beside))
        if policy is not None and (asked or free or not improve):
            if beside:
                building = pool_of(1).submit(build)
            else:
                build()
        if not improve or clock.over():
            return
        if best.found is None:
            best.offer(*quick(instance))
        if reserve:
            certify(reserve / 3)
        certifying = pool_of(1).submit(certify) if certified and not reserve else None
        improved_by = f"{best.solver} + local search"
        watcher.phase("local search")
        improved = local_search(
            instance,
            best.routes,
            deadline=clock.deadline - reserve * 2 / 3,
            seed=seed,
            threads=threads,
            report=lambda _, better: best.offer(better, improved_by),
            stop=lambda: clock.over() or best.optimal,
            iterations=iterations,
            newcomers=newcomers if building is not None else None,
        )
        best.offer(improved, improved_by)
        if reserve and not best.optimal:
            watcher.phase("lower bound")
            certify()
        elif certifying is not None:
            watcher.phase("lower bound")
            while not certifying.done() and not clock.over():
                time.sleep(0.01)
            # A process of branch and cut must not be left behind, so its thread has the time that it takes to end it.
            with suppress(TimeoutError):
                certifying.result(timeout=ENDING)
        if building is not None and building.done():
            building.result()

    attend(work, clock)
    if best.found is None:
        # Nothing compiled here: what was left behind may be compiling still.
        best.offer(nearest_neighbour(instance), "nearest neighbour")
    return best.solution()


def worth_asking(policy: Any, n: int, clock: Clock, *, beside: bool) -> bool:
    """Whether there is time for the policy."""
    loading = LOADING if isinstance(policy, Weights) and "torch" not in sys.modules else 0.0
    return clock.limit - clock.seconds >= WORTH[beside] * (loading + BUILDING * n)


class Best:
    """The best solution so far and how it came about. Offers may come from any thread; after the end none counts."""

    def __init__(self, problem: Rules, instance: Instance, clock: Clock, watcher: Watcher) -> None:
        """Nothing found yet."""
        self._problem, self._instance, self._clock, self._watcher = problem, instance, clock, watcher
        self._lock = threading.Lock()
        self._closed = False
        self.found: tuple[Routes, str] | None = None
        self.cost = math.inf
        self.trace: list[tuple[float, float]] = []
        self.bound: Bound | None = None

    @property
    def optimal(self) -> bool:
        """Whether the bound says that nothing costs less."""
        return self.bound is not None and self.bound.value >= self.cost - TIE * abs(self.cost)

    def certify(self, bound: Bound) -> None:
        """Keep ``bound`` if it is the best so far."""
        if self.bound is None or bound.value > self.bound.value:
            self.bound = bound

    @property
    def routes(self) -> Routes:
        """The best, if there is one."""
        assert self.found is not None
        return self.found[0]

    @property
    def solver(self) -> str:
        """What found it."""
        assert self.found is not None
        return self.found[1]

    def check(self, routes: Routes) -> float:
        """What ``routes`` cost by the problem's own check. Raises :class:`Infeasible`."""
        return self._problem.check(self._instance, routes)

    def offer(self, routes: Routes, solver: str) -> None:
        """Keep ``routes``, which ``solver`` found, if they cost less."""
        cost = self._problem.cost(self._instance, routes)
        with self._lock:
            if cost < self.cost and not self._closed:
                seconds = self._clock.seconds
                self.found, self.cost = (routes, solver), cost
                self.trace.append((seconds, cost))
                self._watcher.better(seconds, cost)

    def solution(self) -> Solution:
        """The end: the best, confirmed by code that shares nothing with what found it."""
        with self._lock:
            self._closed = True
        routes, solver = self.routes, self.solver
        cost = self.check(routes)
        slack = self._instance.slack(cost)
        if abs(cost - self.cost) > slack:
            raise RuntimeError(
                f"{self._instance.name}: {solver} says its cost is {self.cost!r}, the check says {cost!r}"
            )
        if self.bound is None:
            return Solution(routes, cost, solver, self._clock.seconds, tuple(self.trace))
        value, method = self.bound.value, self.bound.method
        if value > cost + slack:
            raise RuntimeError(
                f"{self._instance.name}: {method} says that nothing costs less than {value!r}, found {cost!r}"
            )
        return Solution(routes, cost, solver, self._clock.seconds, tuple(self.trace), min(value, cost), method)
