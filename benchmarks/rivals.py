"""Solvers to compare with that are no dependencies: LKH and PyVRP, from an environment of their own.

``PYTHONPATH=.:benchmarks python -m l2o compare FILE... --solvers l2o,rivals:lkh`` with a Python that has ``elkai`` (LKH
2, for academic and non-commercial use) or ``pyvrp`` beside this package's dependencies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from l2o.problems.instance import Floats, Instance, Ints, Routes, Solution, Unsupported
from l2o.solutions import length

MARGIN = 0.15
"""Seconds left to read a solution out and to end the process."""
WHOLE = 10**6
"""What the longest way becomes where costs are not whole: both take integers alone."""


def lkh(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """LKH 2 with its default settings, one run, ``TIME_LIMIT``. It looks at the clock between trials only."""
    from elkai import _elkai

    if instance.demand is not None:
        raise Unsupported("LKH is asked for tours alone")
    begun, n = time.monotonic() if started is None else started, instance.n
    if instance.metric in ("EUC_2D", "CEIL_2D") and instance.rounding in ("nearest", "ceil"):
        assert instance.coords is not None
        rows = "\n".join(f"{i} {x!r} {y!r}" for i, (x, y) in enumerate(instance.coords.tolist(), start=1))
        edges = f"EDGE_WEIGHT_TYPE : {instance.metric}\nNODE_COORD_SECTION\n{rows}\n"
    else:
        rows = "\n".join(" ".join(map(str, row)) for row in _whole(instance).tolist())
        edges = f"EDGE_WEIGHT_TYPE : EXPLICIT\nEDGE_WEIGHT_FORMAT : FULL_MATRIX\nEDGE_WEIGHT_SECTION\n{rows}\n"
    left = max(0.05, begun + time_limit - MARGIN - time.monotonic())
    kind = "TSP" if instance.symmetric else "ATSP"
    parameters = f"RUNS = 1\nSEED = {seed + 1}\nTIME_LIMIT = {left:.2f}\nPROBLEM_FILE = :stdin:\n"
    tour = _elkai.solve_problem(parameters, f"TYPE : {kind}\nDIMENSION : {n}\n{edges}")
    routes = (tuple(int(node) - 1 for node in tour),)
    return Solution(routes, length(instance, routes), "LKH", time.monotonic() - begun)


def pyvrp(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """PyVRP with its default settings."""
    return _pyvrp(instance, lambda: None, time_limit=time_limit, seed=seed, started=started)


def pyvrp_from_policy(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """The same, begun with what the shipped policy builds, which takes a part of the time."""

    def built() -> Routes:
        # Here, since a rival that does not need it must not pay for it.
        from l2o import weights
        from l2o.solve import solve as construct

        policy = weights.find(weights.default(instance.problem)).load()
        return construct(instance, policy, improve=False, seed=seed, threads=threads).routes

    return _pyvrp(instance, built, time_limit=time_limit, seed=seed, started=started)


def _pyvrp(
    instance: Instance, begin: Callable[[], Routes | None], *, time_limit: float, seed: int, started: float | None
) -> Solution:
    from pyvrp import Client, Depot, Location, ProblemData, VehicleType, solve
    from pyvrp import Solution as Begun
    from pyvrp.stop import MaxRuntime

    if instance.demand is None or instance.capacity is None:
        raise Unsupported("PyVRP is asked for routes alone")
    begun, n = time.monotonic() if started is None else started, instance.n
    units = 1 if (instance.demand == np.rint(instance.demand)).all() else WHOLE
    points: Floats = np.zeros((n, 2)) if instance.coords is None else instance.coords
    matrix = _whole(instance)
    data = ProblemData(
        locations=[Location(x=float(x), y=float(y)) for x, y in points[:, :2]],
        clients=[
            Client(location=i, delivery=[math.ceil(demand * units - 1e-6)])
            for i, demand in enumerate(instance.demand.tolist())
            if i > 0
        ],
        depots=[Depot(location=0)],
        vehicle_types=[VehicleType(num_available=n - 1, capacity=[math.floor(instance.capacity * units + 1e-6)])],
        distance_matrices=[matrix],
        duration_matrices=[np.zeros_like(matrix)],
    )
    first = begin()
    initial = None if first is None else Begun(data, [[node - 1 for node in route] for route in first])
    left = max(0.05, begun + time_limit - MARGIN - time.monotonic())
    result = solve(data, stop=MaxRuntime(left), seed=seed, display=False, collect_stats=False, initial_solution=initial)
    routes = tuple(tuple(stop.idx + 1 for stop in route if stop.is_client()) for route in result.best.routes())
    return Solution(routes, length(instance, routes), "PyVRP", time.monotonic() - begun)


def _whole(instance: Instance) -> Ints:
    """All distances, scaled if they are not whole."""
    nodes = np.arange(instance.n)
    matrix = instance.distance(nodes[:, None], nodes)
    np.fill_diagonal(matrix, 0.0)
    if (matrix != np.rint(matrix)).any():
        matrix = matrix * (WHOLE / matrix.max())
    return np.rint(matrix).astype(np.int64)
