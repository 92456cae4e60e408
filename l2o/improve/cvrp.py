"""Improve routes by ruin and recreate and exchanges of their ends, annealed; see the kernels for how and after whom."""

from __future__ import annotations

import itertools
import math

import numpy as np

from l2o.improve import improve as local_search
from l2o.improve import kernels_cvrp, kernels_routes, random
from l2o.improve.metric import metric
from l2o.improve.neighbours import nearest
from l2o.improve.run import Found, Task
from l2o.problems.instance import Instance, Ints, Routes

NEIGHBOURS = 64
HOT, COLD = 1.0, 0.02
"""Temperature at the start and at the end, in units of the mean cost of a leg of the solution given."""
WARM = 0.3
"""In place of ``HOT`` for the short searches that complete a solution that is good already."""
SLACK = 1e-10
"""Relative; loads are sums and may be off by a rounding error."""
FIXED, TINY, ENOUGH = 2, 10, 2_000
"""See :class:`l2o.improve.Search`; iterations are ruins."""
_CHUNK, _MANY = 500, 10_000
"""Ruins between two looks at the clock, about 10 ms; fewer by so many customers."""
_COOLINGS = 40
"""Temperatures of a completion."""


def improve(task: Task) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` hold customers without the depot, any number of vehicles."""
    instance, clock = task.instance, task.clock
    assert instance.demand is not None and instance.capacity is not None
    n, demand, capacity = instance.n, np.array(instance.demand), instance.capacity * (1 + SLACK)
    near = nearest(instance, NEIGHBOURS, clock.over)
    if near is None:
        return task.routes
    distances = metric(instance)
    given = [list(route) for route in task.routes if route]
    mean_leg = _cost(instance, task.routes) / (n - 1 + len(given))

    largest = max(1, _CHUNK // (1 + n // _MANY))

    def run(thread: int, found: Found) -> None:
        search = kernels_routes.search(distances, near, demand, capacity, given, random.state(task.seed, thread))

        def best() -> Routes:
            return tuple(tuple(route) for route in kernels_routes.best(search))

        ruins = 0
        while (chunk := clock.chunk(ruins, largest)) > 0:
            kernels_cvrp.ruins(search, chunk, mean_leg * HOT * (COLD / HOT) ** clock.progress(ruins))
            ruins += chunk
            for routes in task.arrived():
                if _cost(instance, routes) < kernels_routes.best_cost(search):
                    other = [list(route) for route in routes if route]
                    search = kernels_routes.search(distances, near, demand, capacity, other, search.rng)
            found(kernels_routes.best_cost(search), best)

    return task.best_of(run, task.threads, lambda routes: _cost(instance, routes))


def complete(instance: Instance, paths: Ints, routes: Routes, *, seed: int, iterations: int) -> Routes:
    """See :func:`l2o.improve.complete`; a path with the depot at one end has gone home there."""
    assert instance.demand is not None and instance.capacity is not None
    ends = np.concatenate([np.zeros((1, 2), np.int64), paths])
    number = {int(node): unit for unit, path in enumerate(ends) for node in path if node > 0}
    given: list[list[int]] = []
    for route in routes:
        units = list(dict.fromkeys(number[node] for node in route))
        given.append(units)
        for place, unit in enumerate(units):
            a, b = ends[unit]
            # Entered at the end that comes first; one that has gone home, at home unless it is the last of several.
            first = next(node for node in route if number[node] == unit)
            at_home = 0 in (a, b)
            turned = (a != first) if not at_home else ((a == 0) == (place > 0 and place == len(units) - 1))
            if a != b and turned:
                ends[unit] = b, a
    matrix = instance.distance(ends.T[:, :, None, None], ends.T[None, None])
    apart = matrix.min(axis=(0, 2))
    np.fill_diagonal(apart, np.inf)
    near = np.ascontiguousarray(np.argsort(apart, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(ends) - 1)])
    demand = np.where(ends[:, 0] == ends[:, 1], 0.0, np.array(instance.demand)[ends[:, 1]])
    demand = demand + np.array(instance.demand)[ends[:, 0]]
    capacity = instance.capacity * (1 + SLACK)
    search = kernels_routes.search(metric(instance), near, demand, capacity, given, random.state(seed), ends)
    mean_leg = kernels_routes.best_cost(search) / (len(paths) + len(given))
    for step in range(_COOLINGS):
        heat = mean_leg * WARM * (COLD / WARM) ** (step / _COOLINGS)
        kernels_cvrp.ruins(search, math.ceil(iterations / _COOLINGS), heat)
    # A path that has gone home ends a route wherever it stands.
    parts = [itertools.groupby(route, key=bool) for route in kernels_routes.best(search)]
    return tuple(tuple(part) for groups in parts for away, part in groups if away)


def _cost(instance: Instance, routes: Routes) -> float:
    path = np.concatenate([np.array((0, *route)) for route in routes])
    return float(instance.distance(path, np.roll(path, -1)).sum())


def warm_up() -> None:
    """Compile everything by a run on eight nodes."""
    coords = np.random.default_rng(0).random((8, 2))
    example = Instance(
        "example",
        "cvrp",
        "EUC_2D",
        "none",
        np.arange(8),
        coords=coords,
        demand=np.append(0.0, np.ones(7)),
        capacity=3.0,
    )
    local_search(example, ((1, 2, 3), (4, 5, 6), (7,)), deadline=math.inf, seed=0)
