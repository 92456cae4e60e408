"""Routes as rings of linked stops, compiled: what the searches for the CVRP share and change in place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l2o.improve.metric import Metric, between
from l2o.jit import inlined, njit
from l2o.problems.instance import Floats, Ints

CHANGES, ABSENT, EMPTY, USED, RUIN, SAVED, SEEN = range(7)
"""Counters in ``Search.notes``."""
CURRENT, BEST, CAPACITY = range(3)
"""What ``Search.costs`` holds."""
BESIDE = 20
"""Near neighbours beside which a customer may be put, or with which it may be joined."""


class Search(NamedTuple):
    """All that a search remembers between two calls; arrays, changed in place.

    Routes are rings: stop ``n + r`` is the depot as the beginning and the end of route ``r``. Customers keep their
    numbers, and there are as many routes as nodes, most of them empty. A customer may be a whole path, which is entered
    at one of its ends and left at the other, this way round or that.
    """

    metric: Metric
    near: Ints
    """``[n, k]`` nearest other nodes, nearest first."""
    demand: Floats
    enter: Ints
    """``[2 n]`` the node at which a stop is reached; the depot's is 0."""
    leave: Ints
    """``[2 n]`` the node from which one goes on."""
    after: Ints
    """``[2 n]`` the next stop."""
    before: Ints
    """``[2 n]`` the stop before."""
    leg: Floats
    """``[2 n]`` what it costs to go from a stop to the next."""
    route: Ints
    """``[2 n]`` the route of a stop, -1 for a customer that was removed."""
    load: Floats
    size: Ints
    best: Ints
    """``[2 n]`` the best ``after``, as far as it is saved (``notes[SAVED]``); else ``after`` itself is the best."""
    best_enter: Ints
    best_leave: Ints
    ruined: Ints
    """``[n]`` the last ruin that removed something from the route."""
    empty: Ints
    """A stack that holds all empty routes, and perhaps some that are not empty any more."""
    stacked: NDArray[np.bool_]
    absent: Ints
    """Customers removed and not yet put back; between two ruins, stops on their way to another route."""
    key: Floats
    """By what these are sorted."""
    journal: Ints
    """``[m, 3]`` a customer, the stop behind which it was removed, or -1 if it was put in, and where it was entered."""
    notes: Ints
    """Counters, see the names above."""
    costs: Floats
    """Cost of the routes, cost of the best ones, capacity."""
    rng: NDArray[np.uint64]


def search(
    metric: Metric,
    near: Ints,
    demand: Floats,
    capacity: float,
    routes: list[list[int]],
    rng: NDArray[np.uint64],
    paths: Ints | None = None,
) -> Search:
    """Everything set up for ``routes`` of customers, none of them empty.

    ``paths [n, 2]`` are the nodes at which each customer is entered and left, to begin with; None: customers are nodes.
    """
    n = len(demand)
    ring = np.arange(2 * n)
    ends = np.zeros((2 * n, 2), np.int64)
    ends[:n] = np.arange(n)[:, None] if paths is None else paths
    enter, leave = np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1])
    s = Search(
        metric=metric,
        near=near,
        demand=demand,
        enter=enter,
        leave=leave,
        after=ring.copy(),
        before=ring.copy(),
        leg=np.zeros(2 * n),
        route=np.concatenate([np.full(n, -1), np.arange(n)]),
        load=np.zeros(n),
        size=np.zeros(n, np.int64),
        best=ring.copy(),
        best_enter=enter.copy(),
        best_leave=leave.copy(),
        ruined=np.zeros(n, np.int64),
        empty=np.arange(n)[::-1].copy(),
        stacked=np.ones(n, np.bool_),
        absent=np.empty(n, np.int64),
        key=np.empty(n),
        journal=np.empty((2 * n, 3), np.int64),
        notes=np.array([0, 0, n, 0, 0, 0, 0]),
        costs=np.array([0.0, 0.0, capacity]),
        rng=rng,
    )
    sizes = [len(route) for route in routes]
    _fill(s, np.concatenate(routes), np.repeat(np.arange(len(routes)), sizes))
    return s


def best(s: Search) -> list[list[int]]:
    """The best routes of nodes found so far."""
    n = len(s.demand)
    kept = (s.best, s.best_enter, s.best_leave) if s.notes[SAVED] else (s.after, s.enter, s.leave)
    after, enter, leave = (array.tolist() for array in kept)
    routes = []
    for depot in range(n, 2 * n):
        if after[depot] != depot:
            route = []
            stop = after[depot]
            while stop < n:
                route += [enter[stop]] if enter[stop] == leave[stop] else [enter[stop], leave[stop]]
                stop = after[stop]
            routes.append(route)
    return routes


def best_cost(s: Search) -> float:
    """Their cost, up to rounding errors of the sum of changes."""
    return float(s.costs[BEST])


@njit
def _fill(s: Search, customers: Ints, routes: Ints) -> None:
    n = len(s.demand)
    for i in range(len(customers)):
        c, depot = customers[i], n + routes[i]
        last = s.before[depot]
        s.costs[CURRENT] += leg(s, last, c) + leg(s, c, depot) - s.leg[last]
        put(s, c, last)
    s.costs[BEST] = s.costs[CURRENT]


@inlined
def leg(s: Search, a: int, b: int) -> float:
    """What it costs to go from stop ``a`` to ``b``."""
    return between(s.metric, s.leave[a], s.enter[b])


@inlined
def put(s: Search, c: int, a: int) -> None:
    """Let customer ``c`` follow stop ``a``."""
    b, r = s.after[a], s.route[a]
    s.after[a] = s.before[b] = c
    s.before[c], s.after[c], s.route[c] = a, b, r
    s.leg[a], s.leg[c] = leg(s, a, c), leg(s, c, b)
    s.load[r] += s.demand[c]
    s.size[r] += 1
    if s.size[r] == 1:
        s.notes[USED] += 1


@inlined
def take(s: Search, c: int) -> None:
    """Take customer ``c`` out of its route."""
    a, b, r = s.before[c], s.after[c], s.route[c]
    s.after[a], s.before[b], s.route[c] = b, a, -1
    s.leg[a] = 0.0 if a == b else leg(s, a, b)
    s.load[r] -= s.demand[c]
    s.size[r] -= 1
    if s.size[r] == 0:
        emptied(s, r)


@inlined
def emptied(s: Search, r: int) -> None:
    """Note that route ``r`` has lost its last customer."""
    s.load[r] = 0.0
    s.notes[USED] -= 1
    if not s.stacked[r]:
        s.stacked[r] = True
        s.empty[s.notes[EMPTY]] = r
        s.notes[EMPTY] += 1


@inlined
def turn(s: Search, c: int) -> None:
    """Enter customer ``c`` where it was left."""
    s.enter[c], s.leave[c] = s.leave[c], s.enter[c]


@inlined
def empty_route(s: Search) -> int:
    """A route without customers; there always is one."""
    while True:
        r = s.empty[s.notes[EMPTY] - 1]
        if s.size[r] == 0:
            return int(r)
        s.stacked[r] = False
        s.notes[EMPTY] -= 1


@inlined
def save(s: Search) -> None:
    """Keep the solution, which is the best, before it is left for a worse one."""
    for i in range(len(s.after)):
        s.best[i], s.best_enter[i], s.best_leave[i] = s.after[i], s.enter[i], s.leave[i]
    s.notes[SAVED] = 1
