"""Improve routes of which the longest counts: ruin and recreate, annealed, and each route by itself as a tour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from l2o.heuristics import shared_out
from l2o.improve import Newcomers, Report, kernels_mtsp, random, tsp
from l2o.improve.metric import metric
from l2o.improve.neighbours import nearest
from l2o.improve.run import Clock, Found, arrived, in_threads
from l2o.problems.instance import Instance, Routes
from l2o.problems.rules.mtsp import RULES

NEIGHBOURS = 64
HOT, COLD = 0.5, 0.003
"""Temperature at the start and at the end, in units of the mean cost of a leg of the solution given."""
TINY, TINY_RUINS = 9, 2_000
"""Up to so many customers, so many ruins are enough to end the search."""
PAUSE = 20
"""Looks at the clock between two times that every route is improved as a tour."""
_CHUNK = 500
"""Ruins between two looks at the clock: about 10 ms."""


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
    newcomers: Newcomers | None = None,
) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` hold customers without the depot, at most one for each vehicle."""
    assert instance.vehicles is not None
    n, vehicles = instance.n, instance.vehicles
    if n - 1 <= TINY:
        iterations = min(TINY_RUINS, TINY_RUINS if iterations is None else iterations)
    clock = Clock(deadline, stop, iterations)
    if n <= 2 or clock.over():
        return routes
    near = nearest(instance, NEIGHBOURS, clock.over)
    if near is None:
        return routes
    distances = metric(instance)
    lengths = [RULES.cost(instance, (route,)) for route in routes]
    mean_leg = sum(lengths) / (n - 1 + len(routes))

    def run(thread: int, found: Found) -> None:
        search = kernels_mtsp.search(distances, near, vehicles, polished(routes), random.state(seed, thread))

        def best() -> Routes:
            return tuple(map(tuple, kernels_mtsp.best(search)))

        found(kernels_mtsp.longest(search), best)
        ruins = turns = 0
        while (chunk := clock.chunk(ruins, _CHUNK)) > 0:
            kernels_mtsp.ruins(search, chunk, mean_leg * HOT * (COLD / HOT) ** clock.progress(ruins))
            ruins, turns = ruins + chunk, turns + 1
            if turns % PAUSE == 0:
                kernels_mtsp.begin(search, polished(kernels_mtsp.current(search)))
            for other in arrived(newcomers):
                if RULES.cost(instance, other) < kernels_mtsp.longest(search):
                    kernels_mtsp.begin(search, polished(other))
            found(kernels_mtsp.longest(search), best)
        kernels_mtsp.begin(search, polished(kernels_mtsp.best(search)))
        found(kernels_mtsp.longest(search), best)

    def polished(routes: Sequence[Sequence[int]]) -> list[list[int]]:
        return [as_tour(instance, route, clock.over) for route in routes if route]

    return in_threads(run, threads, routes, lambda routes: RULES.cost(instance, routes), report, n)


def as_tour(instance: Instance, route: Sequence[int], over: Callable[[], bool] = lambda: False) -> list[int]:
    """The customers of one route in an order that is not longer: a local optimum of the search for tours, or what that
    has found before it is ``over``."""
    stops = [0, *route]
    part = instance.part(np.array(stops))
    (tour,) = tsp.improve(part, (tuple(range(len(stops))),), deadline=math.inf, seed=0, stop=over, iterations=0)
    at = tour.index(0)
    return [stops[i] for i in tour[at + 1 :] + tour[:at]]


def warm_up() -> None:
    """Compile everything by a run on a few nodes."""
    coords = np.random.default_rng(0).random((12, 2))
    example = Instance("example", "mtsp", "EUC_2D", "none", np.arange(12), coords=coords, vehicles=2)
    improve(example, shared_out(example), deadline=math.inf, seed=0, iterations=10)
