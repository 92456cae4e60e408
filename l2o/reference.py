"""Solvers to compare with: OR-Tools, construction heuristics, local search without the network.

Each is a :class:`l2o.solvers.Solver`. None loads torch, whose start-up is time that they do not need; so costs are
summed here in the instance's own metric, and whoever reports one has it checked by the problem (:mod:`l2o.compare`).

This is the only module that knows OR-Tools.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from l2o import heuristics
from l2o.improve import improve
from l2o.problems import rules
from l2o.problems.instance import Instance, Ints, Routes, Solution, Unsupported

MEMORY = 4_000_000_000
"""Bytes that OR-Tools may take for its matrix of distances."""
BYTES_PER_ENTRY = 48
"""Of that matrix, as measured: a Python integer and its place in a list, and the copy in C++."""
EXACT = 10**15
"""Bound on a scaled cost: far from the end of int64, and exact in the float64 that guided local search works with."""
SPAN = 100
"""What a unit of the longest route costs, where that counts, beside the sum of all legs; as in OR-Tools' guide."""
LOAD = 10**12
"""A capacity that has to be scaled becomes this."""
READ_OUT = 0.02
"""Seconds left to read the solution out."""


class TooLarge(Unsupported):
    """A solver does not take instances of this size; comparisons show it as skipped."""


def ortools(
    instance: Instance,
    *,
    time_limit: float,
    seed: int = 0,
    threads: int = 1,
    started: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Solution:
    """OR-Tools' routing library as its guides recommend it: ``PATH_CHEAPEST_ARC`` to begin with, then
    ``GUIDED_LOCAL_SEARCH`` until time is up.

    Where the longest route counts, that has a global span cost, and the search begins with the routes of
    :func:`l2o.heuristics.shared_out`, as ours does: its own first solutions leave nearly all to few vehicles and take
    long to mend (after 4 seconds with 200 customers and 4 vehicles its longest route is at 3.6 instead of 7.6).

    Costs must be integers there. Whole distances go in as they are; others are multiplied by the largest power of ten
    that keeps ``n`` of the longest within :data:`EXACT`, which is at least nine digits after the point for coordinates
    of order 1 and ``n`` up to 10,000. A fleet without limit has room to spare, see :func:`vehicles`. The library has no
    seed and uses one thread: ``seed`` and ``threads`` change nothing.

    Args:
        time_limit: seconds since ``started``.
        started: as :func:`time.monotonic` gives it; None for now.
        stop: asked at every solution found.

    Raises:
        TooLarge: the matrix of distances would take more than :data:`MEMORY`.
        TimeoutError: no solution within ``time_limit``.
    """
    started = time.monotonic() if started is None else started
    if (needed := BYTES_PER_ENTRY * instance.n**2) > MEMORY:
        raise TooLarge(
            f"OR-Tools' matrix of {instance.n:,} x {instance.n:,} distances takes {needed / 1e9:.0f} GB, "
            f"at most {MEMORY / 1e9:.0f} GB are allowed"
        )
    # The only solution there is, which the library does not always accept.
    if instance.n <= (1 if instance.has_depot else 3 if instance.symmetric else 2):
        routes: Routes = () if instance.has_depot else (tuple(range(instance.n)),)
        return Solution(routes, cost(instance, routes), "OR-Tools", time.monotonic() - started)

    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    matrix, scale = whole_distances(instance, EXACT // SPAN if instance.vehicles else EXACT)
    fleet = instance.vehicles or (vehicles(instance) if instance.has_depot else 1)
    manager = pywrapcp.RoutingIndexManager(instance.n, fleet, 0)
    model = pywrapcp.RoutingModel(manager)
    transit = model.RegisterTransitMatrix(matrix)
    model.SetArcCostEvaluatorOfAllVehicles(transit)
    if instance.vehicles is not None:
        model.AddDimension(transit, 0, sum(map(max, matrix)), True, "length")
        lengths = model.GetDimensionOrDie("length")
        lengths.SetGlobalSpanCostCoefficient(SPAN)
    del matrix
    if instance.demand is not None:
        loads, capacity = whole_loads(instance)
        model.AddDimension(model.RegisterUnaryTransitVector(loads), 0, capacity, True, "load")
    trace: list[tuple[float, float]] = []

    def objective() -> int:
        if instance.vehicles is None:
            return int(model.CostVar().Value())
        ends = (model.End(vehicle) for vehicle in range(fleet))
        return max(int(lengths.CumulVar(end).Value()) for end in ends)

    def found() -> None:
        value = objective() / scale
        if not trace or value < trace[-1][1]:
            trace.append((time.monotonic() - started, value))
        if stop():
            model.solver().FinishCurrentSearch()

    model.AddAtSolutionCallback(found)
    parameters = pywrapcp.DefaultRoutingSearchParameters()
    parameters.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PATH_CHEAPEST_ARC
    parameters.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    begin = [list(route) for route in heuristics.shared_out(instance)] if instance.vehicles is not None else None
    left = started + time_limit - time.monotonic() - READ_OUT
    if left <= 0:
        raise TimeoutError(f"OR-Tools: {time_limit:g} s were over before the search began")
    parameters.time_limit.FromMilliseconds(math.ceil(1000 * left))
    if begin is None:
        answer = model.SolveWithParameters(parameters)
    else:
        model.CloseModelWithParameters(parameters)
        answer = model.SolveFromAssignmentWithParameters(model.ReadAssignmentFromRoutes(begin, True), parameters)
    if answer is None:
        raise TimeoutError(f"OR-Tools found no solution within {time_limit:g} s")
    routes = _routes(manager, model, answer, fleet, instance.has_depot)
    return Solution(routes, cost(instance, routes), "OR-Tools", time.monotonic() - started, tuple(trace))


def _routes(manager: Any, model: Any, answer: Any, fleet: int, has_depot: bool) -> Routes:
    """Follow every vehicle; indices of the model are not nodes."""
    routes = []
    for vehicle in range(fleet):
        index = answer.Value(model.NextVar(model.Start(vehicle)))
        route = [] if has_depot else [0]
        while not model.IsEnd(index):
            route.append(manager.IndexToNode(index))
            index = answer.Value(model.NextVar(index))
        if route:
            routes.append(tuple(route))
    return tuple(routes)


def whole_distances(instance: Instance, most: int = EXACT) -> tuple[list[list[int]], int]:
    """Distances as rows of integers and the power of ten they were multiplied by: 1 if they are whole by themselves,
    else the largest with which ``n`` of the longest make up at ``most`` so much."""
    nodes: Ints = np.arange(instance.n)
    rows = [instance.distance(node, nodes) for node in nodes.tolist()]
    scale = 1
    if any((row != np.rint(row)).any() for row in rows):
        longest = max(float(np.abs(row).max()) for row in rows)
        scale = 10 ** max(0, math.floor(math.log10(most / (instance.n * longest))))
    return [np.rint(row * scale).astype(np.int64).tolist() for row in rows], scale


def whole_loads(instance: Instance) -> tuple[list[int], int]:
    """Demands and capacity as integers.

    Fractions are scaled to a capacity of :data:`LOAD` and rounded to the nearest, and the capacity gets the slack that
    the problem's own check allows for sums of fractions, halved for the rounding of up to 1,000 customers to a route.
    """
    assert instance.demand is not None and instance.capacity is not None
    if (instance.demand == np.rint(instance.demand)).all():
        return instance.demand.astype(np.int64).tolist(), math.floor(instance.capacity)
    loads = np.rint(instance.demand * (LOAD / instance.capacity)).astype(np.int64).tolist()
    return loads, LOAD + LOAD * 5 // 10**10


def vehicles(instance: Instance) -> int:
    """A fleet that stands for an unlimited one: a quarter and five more than first-fit decreasing needs.

    Good solutions use few routes above the least possible number. What OR-Tools finds in a given time does not change
    between 12 vehicles and 19 on X-n214-k11, or 60 and 78 on X-n979-k58.
    """
    assert instance.demand is not None and instance.capacity is not None
    room: list[float] = []
    for demand in sorted(instance.demand[1:].tolist(), reverse=True):
        place = next((i for i, left in enumerate(room) if demand <= left), None)
        if place is None:
            room.append(instance.capacity - demand)
        else:
            room[place] -= demand
    return max(1, min(instance.n - 1, math.ceil(1.25 * len(room)) + 5))


def nearest(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """Nearest neighbour from one start; takes the time it takes, as do the other constructions."""
    return _constructed(instance, lambda: heuristics.nearest_neighbour(instance, seed), "nearest neighbour", started)


def insertion(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """Random insertion. Raises :class:`Unsupported` for a problem with demands."""
    return _constructed(instance, lambda: heuristics.random_insertion(instance, seed), "random insertion", started)


def savings(
    instance: Instance, *, time_limit: float, seed: int = 0, threads: int = 1, started: float | None = None
) -> Solution:
    """Clarke and Wright's savings. Raises :class:`Unsupported` for a problem without demands."""
    return _constructed(instance, lambda: heuristics.savings(instance), "savings", started)


def _constructed(instance: Instance, build: Callable[[], Routes], name: str, started: float | None) -> Solution:
    started = time.monotonic() if started is None else started
    routes = build()
    return Solution(routes, cost(instance, routes), name, time.monotonic() - started)


def cost(instance: Instance, routes: Routes) -> float:
    """By the rules of the instance's problem."""
    return rules.find(instance.problem).cost(instance, routes)


def search(
    instance: Instance,
    *,
    time_limit: float,
    seed: int = 0,
    threads: int = 1,
    started: float | None = None,
) -> Solution:
    """The search of ``l2o solve`` without the network: from the same quick heuristic until time is up."""
    started = time.monotonic() if started is None else started
    first, begun_by = heuristics.quick(instance)
    trace = [(time.monotonic() - started, cost(instance, first))]
    routes = improve(
        instance,
        first,
        deadline=started + time_limit,
        seed=seed,
        threads=threads,
        report=lambda better, _: trace.append((time.monotonic() - started, better)),
    )
    name = f"{begun_by} + local search"
    return Solution(routes, cost(instance, routes), name, time.monotonic() - started, tuple(trace))
