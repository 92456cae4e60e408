"""Improve routes of which the longest counts: ruin and recreate, annealed, and each route by itself as a tour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from l2o.heuristics import shared_out
from l2o.improve import improve as local_search
from l2o.improve import kernels_mtsp, random
from l2o.improve.metric import metric
from l2o.improve.neighbours import nearest
from l2o.improve.run import Found, Task
from l2o.problems.instance import Instance, Routes
from l2o.problems.rules.mtsp import RULES

NEIGHBOURS = 64
HOT, COLD = 0.5, 0.003
"""Temperature at the start and at the end, in units of the mean cost of a leg of the solution given."""
FIXED, TINY, ENOUGH = 2, 10, 2_000
"""See :class:`l2o.improve.Search`; iterations are ruins."""
PAUSE = 20
"""Looks at the clock between two times that every route is improved as a tour."""
_CHUNK, _MANY = 500, 400
"""Ruins between two looks at the clock, about 10 ms; fewer by so many vehicles."""


def improve(task: Task) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` hold customers without the depot, at most one for each vehicle."""
    instance, routes, clock = task.instance, task.routes, task.clock
    assert instance.vehicles is not None
    n, vehicles = instance.n, instance.vehicles
    near = nearest(instance, NEIGHBOURS, clock.over)
    if near is None:
        return routes
    distances = metric(instance)
    lengths = [RULES.cost(instance, (route,)) for route in routes]
    mean_leg = sum(lengths) / (n - 1 + len(routes))

    largest = max(1, _CHUNK // (1 + vehicles // _MANY))

    def run(thread: int, found: Found) -> None:
        search = kernels_mtsp.search(distances, near, vehicles, polished(routes), random.state(task.seed, thread))

        def best() -> Routes:
            return tuple(map(tuple, kernels_mtsp.best(search)))

        found(kernels_mtsp.longest(search), best)
        ruins = turns = 0
        while (chunk := clock.chunk(ruins, largest)) > 0:
            kernels_mtsp.ruins(search, chunk, mean_leg * HOT * (COLD / HOT) ** clock.progress(ruins))
            ruins, turns = ruins + chunk, turns + 1
            if turns % PAUSE == 0:
                kernels_mtsp.begin(search, polished(kernels_mtsp.current(search)))
            for other in task.arrived():
                if RULES.cost(instance, other) < kernels_mtsp.longest(search):
                    kernels_mtsp.begin(search, polished(other))
            found(kernels_mtsp.longest(search), best)
        kernels_mtsp.begin(search, polished(kernels_mtsp.best(search)))
        found(kernels_mtsp.longest(search), best)

    def polished(routes: Sequence[Sequence[int]]) -> list[list[int]]:
        return [as_tour(instance, route, clock.over) for route in routes if route]

    return task.best_of(run, task.threads, lambda routes: RULES.cost(instance, routes))


def as_tour(instance: Instance, route: Sequence[int], over: Callable[[], bool] = lambda: False) -> list[int]:
    """The customers of one route in an order that is not longer: a local optimum of the search for tours, or what that
    has found before it is ``over``."""
    stops = [0, *route]
    part = instance.part(np.array(stops))
    (tour,) = local_search(part, (tuple(range(len(stops))),), deadline=math.inf, seed=0, stop=over, iterations=0)
    at = tour.index(0)
    return [stops[i] for i in tour[at + 1 :] + tour[:at]]


def warm_up() -> None:
    """Compile everything by a run on a few nodes."""
    coords = np.random.default_rng(0).random((12, 2))
    example = Instance("example", "mtsp", "EUC_2D", "none", np.arange(12), coords=coords, vehicles=2)
    local_search(example, shared_out(example), deadline=math.inf, seed=0, iterations=10)
