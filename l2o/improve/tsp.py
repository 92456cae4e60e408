"""Improve tours: iterated local search of Lin-Kernighan moves, annealed; see the kernels for how and after whom."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from l2o.improve import Report, kernels_tail, kernels_tsp, random
from l2o.improve.metric import metric
from l2o.improve.neighbours import nearest
from l2o.improve.run import Clock, Found, in_threads
from l2o.problems.instance import Floats, Instance, Ints, Routes

NEIGHBOURS = 10
MENDING = 8
"""Near nodes among which a plan is mended."""
LONGEST = 50
"""Nodes in each of the three stretches that a kick exchanges, at most."""
HEAT = 1.0
"""Temperature at the start, in units of what it costs to go to a near neighbour; it falls to 0 along a line."""
KICKS_PER_NODE = 10
"""A search that will make fewer kicks than this starts colder in proportion: it has no time to cool down."""
TINY, TINY_KICKS = 12, 1_000
"""Up to so many nodes, so many kicks are enough to end the search."""
FAR = 10.0
"""What is paid for giving up a path, in units of the longest way."""
_CHUNK = 100
"""Kicks between two looks at the clock: about 10 ms."""
_WORK = 5_000_000
"""Elementary operations between two looks at the clock: about 10 ms."""


def improve(
    instance: Instance,
    routes: Routes,
    *,
    deadline: float,
    seed: int,
    threads: int = 1,
    report: Report | None = None,
    stop: Callable[[], bool] | None = None,
    iterations: int | None = None,
) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` is one tour of all nodes. The instance must be symmetric."""
    n = instance.n
    if n <= TINY:
        iterations = min(TINY_KICKS, TINY_KICKS if iterations is None else iterations)
    clock = Clock(deadline, stop, iterations)
    if n <= 3 or clock.over():
        return routes
    near = nearest(instance, NEIGHBOURS, clock.over)
    if near is None:
        return routes
    distances = metric(instance)
    (tour,) = routes

    def cost(routes: Routes) -> float:
        nodes = np.array(routes[0])
        return float(instance.distance(nodes, np.roll(nodes, -1)).sum())

    def run(thread: int, found: Found) -> None:
        search = kernels_tsp.search(distances, near, np.array(tour, np.int64), random.state(seed, thread))

        def best() -> Routes:
            return (tuple(kernels_tsp.best(search).tolist()),)

        done = False
        while not done and not clock.over():
            done = kernels_tsp.descend(search, _WORK)
            found(kernels_tsp.best_cost(search), best)
        warm = HEAT * float(np.median(search.near_cost[:, :3]))
        kicks = 0
        while (chunk := clock.chunk(kicks, _CHUNK)) > 0:
            hurry = min(1.0, clock.expected(kicks) / (KICKS_PER_NODE * n))
            heat = warm * hurry * (1.0 - clock.progress(kicks))
            kernels_tsp.kicks(search, chunk, min(LONGEST, (n - 1) // 3), heat)
            kicks += chunk
            found(kernels_tsp.best_cost(search), best)

    return in_threads(run, threads, routes, cost, report, n)


def complete(instance: Instance, paths: Ints, routes: Routes, *, seed: int, iterations: int) -> Routes:
    """See :func:`l2o.improve.complete`."""
    nodes = np.arange(instance.n)
    # All tours have equally many edges. Where each costs extra but those that are paths, none of these is given up.
    matrix = instance.distance(nodes[:, None], nodes)
    matrix = matrix + FAR * max(1e-9, matrix.max())
    matrix[paths[:, 0], paths[:, 1]] = matrix[paths[:, 1], paths[:, 0]] = 0.0
    np.fill_diagonal(matrix, 0.0)
    held = Instance.of_matrix(instance.name, instance.problem, matrix)
    return improve(held, routes, deadline=math.inf, seed=seed, iterations=iterations)


def regrets(instance: Instance, plan: Routes, constructions: Ints) -> Floats:
    """See :func:`l2o.improve.regrets`."""
    n = instance.n
    nodes = np.arange(n)
    matrix = np.ascontiguousarray(instance.distance(nodes[:, None], nodes))
    near = nearest(instance, MENDING)
    assert near is not None
    result = np.empty((len(constructions), n - 1))
    path, position, queue = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    tours = np.ascontiguousarray(constructions)
    kernels_tail.regrets(matrix, near, np.array(plan[0]), tours, path, position, queue, result)
    return result


def warm_up() -> None:
    """Compile everything by a run on eight nodes."""
    coords = np.random.default_rng(0).random((8, 2))
    example = Instance("example", "tsp", "EUC_2D", "none", np.arange(8), coords=coords)
    improve(example, (tuple(range(8)),), deadline=float("inf"), seed=0)
