"""File + policy -> checked solution. The page to read first.

A solution is constructed by the policy; further constructions from other starts or by sampling may beat
it; local search improves the best of them until time is up; and nothing leaves before the problem's own independent
check has confirmed it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from l2o import problems
from l2o.clock import Clock, attend
from l2o.construct import construct_in_threads
from l2o.heuristics import nearest_neighbour
from l2o.improve import compiled, warm_up
from l2o.improve import improve as local_search
from l2o.join import QUICK, SHARE, Gumbel, join
from l2o.models.base import Policy
from l2o.models.fragments import Policy as FragmentsPolicy
from l2o.problems.base import Completes, Graph, Problem
from l2o.problems.instance import Instance, Routes, Solution, Unsupported
from l2o.progress import Watcher

WIDTH = 256
"""Most constructions that advance together."""
AREA = 1 << 21
"""Most nodes (constructions times n) of those that do: bounds memory."""
UNHURRIED = 10
"""First decisions of a construction, whose pace says little."""


def default_time_limit(n: int) -> float:
    """Seconds that an instance with ``n`` nodes gets where nobody says otherwise, start-up not counted."""
    return 3 + n / 100


def solve(
    instance: Instance,
    policy: Policy[Any] | FragmentsPolicy,
    *,
    time_limit: float | None = None,
    starts: int = 1,
    samples: int = 0,
    improve: bool = True,
    iterations: int | None = None,
    initial: Routes | None = None,
    seed: int = 0,
    threads: int | None = None,
    started: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
) -> Solution:
    """The best solution found until ``time_limit`` or ``stop``, checked; there always is one.

    The same arguments give the same solution if no time limit cuts the search short.

    Args:
        policy: trained for ``instance.problem``; its device is the one worked on.
        time_limit: seconds since ``started``. None: :func:`default_time_limit` from now on where only time can end
            local search, else no limit. The first local search on a machine compiles its code, which does not count.
        starts: greedy constructions, from as many different first nodes. With 0, and neither ``samples`` nor
            ``initial``, nearest neighbour takes the policy's place.
        samples: constructions drawn at random from the policy, on top of those.
        improve: follow up with local search.
        iterations: of local search, in each thread.
        initial: a known solution; the answer is never worse.
        seed: of all that is drawn.
        threads: None for one per core.
        started: :func:`time.monotonic` when time began to count, None for now.
        stop: asked often, from several threads; True ends the search.
        watcher: told what is going on.

    Raises:
        Infeasible: ``initial`` breaks a rule.
    """
    now = time.monotonic()
    started = now if started is None else started
    if time_limit is None:
        # A first start on a machine may take long; who named no limit must not get a worse solution for it.
        time_limit = now - started + default_time_limit(instance.n) if improve and iterations is None else math.inf
    usual_threads = torch.get_num_threads()
    threads = threads or usual_threads
    problem = problems.find(instance.problem)
    clock = Clock(started, time_limit, stop)
    watcher = watcher or Watcher()
    best = Best(problem, instance, clock, watcher)
    if initial is not None:
        problem.check(instance, initial)
        best.offer(initial, "initial solution")

    def work() -> None:
        wanted = Wanted(starts, samples, seed, threads, clock, watcher, improve)
        built = constructions(problem, policy, instance, wanted)
        for routes, solver in built:
            best.offer(routes, solver)
        if not improve or clock.over():
            return
        routes, solver = best.found or (nearest_neighbour(instance), "nearest neighbour")
        best.offer(routes, solver)
        if not compiled(problem.name):
            watcher.phase("compiling the local search, once on this machine")
            with clock.held():
                warm_up(problem.name)
        watcher.phase("local search")
        improved = local_search(
            instance,
            routes,
            deadline=clock.deadline,
            seed=seed,
            threads=threads,
            report=lambda _, better: best.offer(better, f"{solver} + local search"),
            stop=clock.over,
            iterations=iterations,
        )
        best.offer(improved, f"{solver} + local search")

    try:
        attend(work, clock)
    finally:
        torch.set_num_threads(usual_threads)
    if best.found is None:
        best.offer(nearest_neighbour(instance), "nearest neighbour")
    return best.solution()


@dataclass(frozen=True)
class Wanted:
    """What the policy is to build, and what it may take."""

    starts: int
    samples: int
    seed: int
    threads: int
    clock: Clock
    watcher: Watcher
    improving: bool
    """Whether improvement is to follow, which needs time: a construction is given up as soon as its pace says that it
    will not be ready in time, and all but the first together have half of the time that is left."""

    def patience(self, what: str, steps: int, *, first: bool) -> Patience:
        """For one batch of constructions."""
        clock = self.clock
        until = math.inf
        if self.improving:
            until = clock.limit if first else (clock.seconds + clock.limit) / 2
        return Patience(clock, self.watcher, what, steps, until)


def constructions(problem: Problem, policy: Any, instance: Instance, wanted: Wanted) -> Iterator[tuple[Routes, str]]:
    """What the policy builds, each with a word on how: one greedy solution, those from other starts, random ones."""
    graph = problem.graph(instance).to(next(policy.parameters()).device)
    build = joined if isinstance(policy, FragmentsPolicy) else walked
    return build(problem, policy, graph, wanted)


def walked(problem: Problem, policy: Policy[Any], graph: Graph, wanted: Wanted) -> Iterator[tuple[Routes, str]]:
    """Node by node."""
    width = min(WIDTH, max(1, AREA // graph.n))
    generator = torch.Generator().manual_seed(wanted.seed)
    starts, samples = wanted.starts, wanted.samples

    def batches() -> Iterator[tuple[str, Tensor, bool]]:
        one = problem.starts(graph, 1)[0]
        if starts > 0:
            yield "policy, greedy", one, False
        others = problem.starts(graph, min(starts, graph.n))[0, 1:] if starts > 1 else one[:0]
        for begin in range(0, len(others), width):
            yield f"policy, greedy, best of {starts} starts", others[begin : begin + width], False
        for begin in range(0, samples, width):
            yield f"policy, best of {samples} samples", one.expand(min(width, samples - begin)), True

    for number, (solver, first, random) in enumerate(batches()):
        row = torch.zeros_like(first)
        steps = problem.start(graph, row, first).left
        noise = torch.rand(steps, len(first), generator=generator).to(graph.pos.device) if random else None
        patience = wanted.patience(solver, steps, first=number == 0)
        built = construct_in_threads(
            problem, policy, graph, row, first, threads=wanted.threads, noise=noise, stop=patience
        )
        if built is None:
            return
        for i in range(len(first)):
            yield built.routes(problem, i), solver


def joined(problem: Problem, policy: FragmentsPolicy, graph: Graph, wanted: Wanted) -> Iterator[tuple[Routes, str]]:
    """End to end."""
    if wanted.starts > 1:
        raise Unsupported(
            f"found {wanted.starts} starts, expected 1: joining ends begins everywhere at once; draw samples instead"
        )
    torch.set_num_threads(wanted.threads)
    width = min(WIDTH, max(1, AREA // graph.n))
    generator = torch.Generator().manual_seed(wanted.seed)
    samples = wanted.samples
    batches = [(f"policy, best of {samples} samples", min(width, samples - i), True) for i in range(0, samples, width)]
    if wanted.starts > 0:
        batches = [("policy, greedy", 1, False), *batches]
    for number, (solver, count, random) in enumerate(batches):
        patience = wanted.patience(solver, graph.n - 1, first=number == 0)
        many = Graph(graph.pos.expand(count, -1, -1), graph.demand.expand(count, -1))
        noise = Gumbel(generator) if random else None
        share = QUICK if random or wanted.improving else SHARE
        made = join(cast(Completes, problem), policy, many, share=share, noise=noise, stop=patience)
        if made is None:
            return
        for routes in made.routes:
            yield routes, solver


class Patience:
    """Tells a construction when to give up; asked at every decision."""

    def __init__(self, clock: Clock, watcher: Watcher, what: str, steps: int, until: float) -> None:
        """It should be ready ``until`` so many seconds since the clock's start."""
        self._clock, self._watcher, self._what, self._steps, self._until = clock, watcher, what, steps, until
        self._begun = 0.0

    def __call__(self, done: int) -> bool:
        """Whether time is up, or will be at the pace so far; judged after a quarter of it."""
        self._watcher.phase(self._what, done, self._steps)
        now = self._clock.seconds
        if done <= UNHURRIED:
            self._begun = now
            return self._clock.over()
        spent, left = now - self._begun, self._until - now
        late = spent > left / 3 and spent * (self._steps - done) > left * (done - UNHURRIED)
        return late or self._clock.over()


class Best:
    """The best solution so far and how it came about. Offers may come from any thread; after the end none counts."""

    def __init__(self, problem: Problem, instance: Instance, clock: Clock, watcher: Watcher) -> None:
        """Nothing found yet."""
        self._problem, self._instance, self._clock, self._watcher = problem, instance, clock, watcher
        self._lock = threading.Lock()
        self._closed = False
        self.found: tuple[Routes, str] | None = None
        self.cost = math.inf
        self.trace: list[tuple[float, float]] = []

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
        assert self.found is not None
        routes, solver = self.found
        cost = self._problem.check(self._instance, routes)
        if not math.isclose(cost, self.cost, rel_tol=1e-9, abs_tol=1e-9):
            raise RuntimeError(
                f"{self._instance.name}: {solver} says its cost is {self.cost!r}, the check says {cost!r}"
            )
        return Solution(routes, cost, solver, self._clock.seconds, tuple(self.trace))
