"""What the policy builds for one instance: one greedy solution, greedy ones from other starts, random ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from l2o import problems
from l2o.clock import Clock
from l2o.construct import construct, construct_in_threads
from l2o.join import QUICK, SHARE, Gumbel, join
from l2o.models.base import Policy
from l2o.models.fragments import Policy as FragmentsPolicy
from l2o.problems.base import Completes, Graph, Problem
from l2o.problems.instance import Instance, Routes, Unsupported
from l2o.progress import Watcher
from l2o.weights import Weights

WIDTH = 256
"""Most constructions that advance together."""
AREA = 1 << 21
"""Most nodes (constructions times n) of those that do: bounds memory."""
UNHURRIED = 10
"""First decisions of a construction, whose pace says little."""


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


def constructions(policy: Any, instance: Instance, wanted: Wanted) -> Iterator[tuple[Routes, str]]:
    """What the policy builds, each with a word on how: one greedy solution, those from other starts, random ones.

    ``policy`` may be weights that are to be loaded. Raises :class:`Unsupported` if it cannot build what is wanted.
    """
    if isinstance(policy, Weights):
        wanted.watcher.phase("loading the policy")
        policy = policy.load()
    problem = problems.find(instance.problem)
    graph = problem.graph(instance).to(next(policy.parameters()).device)
    build = joined if isinstance(policy, FragmentsPolicy) else walked
    usual = torch.get_num_threads()
    torch.set_num_threads(wanted.threads)
    try:
        yield from build(problem, policy, graph, wanted)
    finally:
        torch.set_num_threads(usual)


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


def construct_batch(policy: Any, instances: Sequence[Instance], *, samples: int = 0, seed: int = 0) -> list[Routes]:
    """The best of one greedy and ``samples`` random solutions of each of ``instances``, which have equal sizes.

    All advance together: one look of the policy is for all of them. Instances too small to be joined give ``()``.
    """
    problem = problems.find(instances[0].problem)
    graphs = [problem.graph(instance) for instance in instances]
    if graphs[0].n < 3 or len({graph.pos.shape for graph in graphs}) > 1:
        return [()] * len(instances)
    device = next(policy.parameters()).device
    together = Graph.cat(graphs).to(device)
    best: list[Routes] = []
    for number, random in enumerate([False, *[True] * samples]):
        generator = torch.Generator().manual_seed(seed + number)
        if isinstance(policy, FragmentsPolicy):
            noise = Gumbel(generator) if random else None
            joined_ = join(cast(Completes, problem), policy, together, share=QUICK if random else SHARE, noise=noise)
            assert joined_ is not None
            made = joined_.routes
        else:
            rows = torch.arange(len(graphs), device=device)
            first = problem.starts(together, 1)[:, 0]
            steps = problem.start(together, rows, first).left
            draws = torch.rand(steps, len(rows), generator=generator).to(device) if random else None
            walked_ = construct(problem, policy, together, rows, first, noise=draws)
            assert walked_ is not None
            made = [walked_.routes(problem, i) for i in range(len(rows))]
        if not best:
            best = made
        else:
            best = [min(pair, key=partial(problem.cost, i)) for i, *pair in zip(instances, best, made, strict=True)]
    return best
