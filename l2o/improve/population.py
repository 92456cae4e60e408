"""A population of tours that takes over each other's edges; see the kernels for how and after whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from l2o.improve import kernels_eax, kernels_tsp, random
from l2o.improve.space import Space, chains, scattered
from l2o.problems.instance import Floats, Ints

if TYPE_CHECKING:
    from concurrent.futures import Executor

CHILDREN = 30
"""Of each pair, at most; the best one counts."""
_WORK = 5_000_000
"""Elementary operations of local search between two looks at the clock: about 10 ms."""
_CHUNK = 100
"""Kicks between two looks at the clock: about 10 ms."""


def parents(
    space: Space, seed: int, kicks: int, pool: Executor, threads: int, over: Callable[[], bool]
) -> Iterator[tuple[float, Ints]]:
    """Local optima from random tours, and their costs, until it is ``over``; equal seeds give equal ones."""
    n = len(space.near)
    paths = chains(space.held, n)

    def one(number: int) -> tuple[float, Ints] | None:
        start = scattered(paths, Random(f"{seed} {number}"), turning=space.turning)
        search = kernels_tsp.search(space.metric, space.near, start, random.state(seed, number), space.held)
        while not kernels_tsp.descend(search, _WORK):
            if over():
                return None
        for _ in range(0, kicks, _CHUNK):
            if over():
                break
            kernels_tsp.kicks(search, _CHUNK, 0.0)
        return kernels_tsp.best_cost(search), kernels_tsp.best(search)

    number = 0
    while not over():
        for made in pool.map(one, range(number, number + threads)):
            if made is not None:
                yield made
        number += threads


class Population:
    """``N`` tours, and room for the crossovers of ``threads`` threads."""

    def __init__(self, space: Space, members: list[tuple[float, Ints]], seed: int, threads: int) -> None:
        """At least two tours ``[n]`` with their costs."""
        number, n = len(members), len(space.near)
        self.space, self.threads = space, threads
        self.tours = np.empty((number + threads, n), np.int64)
        """``[N + threads, n]``, the last of them copies for neighbours in the ring that another thread changes."""
        self.tours[:number] = [tour for _, tour in members]
        self.costs: Floats = np.array([cost for cost, _ in members])
        self._rng = Random(seed)
        self._rooms = [
            kernels_eax.workspace(space.metric, space.near, space.held, random.state(seed, thread))
            for thread in range(threads)
        ]
        self._frequency = np.empty(space.near.shape, np.int64)
        kernels_eax.count_edges(self._frequency, space.near, self.tours, number)

    def best(self) -> tuple[float, Ints]:
        """The tour ``[n]`` that costs least, and what it costs."""
        least = int(self.costs.argmin())
        return float(self.costs[least]), self.tours[least].copy()

    def generation(self, pool: Executor, over: Callable[[], bool]) -> int:
        """Every tour, in a random ring, takes over edges of the next; how many became better."""
        number = len(self.costs)
        ring = self._rng.sample(range(number), number)
        bounds = [number * thread // self.threads for thread in range(self.threads + 1)]
        for thread, end in enumerate(bounds[1:]):
            self.tours[number + thread] = self.tours[ring[end % number]]
        counted = [self._frequency.copy() for _ in range(self.threads)]

        def part(thread: int) -> int:
            better = 0
            for i in range(bounds[thread], bounds[thread + 1]):
                if over():
                    break
                other = ring[i + 1] if i + 1 < bounds[thread + 1] else number + thread
                room = self._rooms[thread]
                better += kernels_eax.cross(room, self.tours, self.costs, counted[thread], ring[i], other, CHILDREN)
            return better

        better = sum(pool.map(part, range(self.threads)))
        # What each thread counted on top of what was, so that the order in which they end plays no part.
        self._frequency += sum(own - self._frequency for own in counted)
        return better

    def admit(self, cost: float, tour: Ints) -> None:
        """Let ``tour [n]`` take the place of the worst."""
        worst = int(self.costs.argmax())
        self.tours[worst], self.costs[worst] = tour, cost
        kernels_eax.count_edges(self._frequency, self.space.near, self.tours, len(self.costs))


def evolve(
    population: Population,
    pool: Executor,
    over: Callable[[], bool],
    found: Callable[[float, Callable[[], Ints]], None],
    newcomers: Callable[[], Iterable[tuple[float, Ints]]] = tuple,
) -> None:
    """Generations until none makes a tour better. ``found(cost, tour)`` is told of the best after each.

    ``newcomers()`` are the tours, and their costs, that have come from elsewhere since the last generation.
    """
    while not over() and population.generation(pool, over):
        for cost, tour in newcomers():
            population.admit(cost, tour)
        found(float(population.costs.min()), lambda: population.best()[1])
