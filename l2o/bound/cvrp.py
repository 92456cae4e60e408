"""Lower bounds on routes: a linear program over edges with rounded capacity cuts.

Source: G. Laporte, Y. Nobert, M. Desrochers, "Optimal routing under capacity and distance restrictions", 1985; the
greedy search for cuts after P. Augerat and others, 1995. Each set S of customers is entered and left at least as often
as its demand takes vehicles. What is told is recomputed from the dual prices over all edges, so it is a bound whatever
tolerances the solver has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from l2o.bound import Bound, Task
from l2o.bound.apart import apart
from l2o.problems.instance import Bools, Floats, Ints

LARGEST = 1_100
"""Nodes up to which it is tried."""
NEIGHBOURS = 12
VIOLATED = 0.02
"""By how much a cut must be broken to be added."""
SLACK = 1e-9
"""Relative, on loads and on the sum of a bound."""
LONGEST = 1e6
"""Seconds, where nobody limits them."""


def bounds(task: Task) -> None:
    """See :func:`l2o.bound.bounds`."""
    instance, n = task.instance, task.instance.n
    if n <= 1:
        task.told(Bound(0.0, "nobody is served"))
        return
    if n > LARGEST:
        return
    assert instance.demand is not None and instance.capacity is not None
    nodes = np.arange(n)
    matrix = instance.distance(nodes[:, None], nodes)
    given = {
        "matrix": matrix,
        "demand": instance.demand / instance.capacity,
        "seconds": min(task.left(), LONGEST),
    }
    best = -math.inf
    for value in apart(__name__, given, task.over):
        value = float(math.ceil(value)) if instance.whole else value
        if value > best:
            best = value
            task.told(Bound(value, "linear program with rounded capacity cuts (HiGHS)"))


def warm_up() -> None:
    """Nothing is compiled."""


def run(task: dict[str, Any]) -> Iterator[float]:
    """The other end: better and better bounds."""
    yield from relaxation(task["matrix"], task["demand"], task["seconds"])


def relaxation(matrix: Floats, demand: Floats, seconds: float) -> Iterator[float]:
    """Bounds on routes through ``matrix [n, n]`` with ``demand [n]`` in units of the capacity, better and better."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    n = len(demand)
    cost = np.minimum(matrix, matrix.T)
    near = np.argsort(cost + np.diag(np.full(n, np.inf)), axis=1)[:, : min(NEIGHBOURS, n - 1)]
    one = np.concatenate([np.repeat(np.arange(n), near.shape[1]), np.zeros(n - 1, np.int64)])
    two = np.concatenate([near.ravel(), np.arange(1, n)])
    edges = _distinct(one, two, n)
    everybody = np.ones(n, bool)
    everybody[0] = False
    cuts: list[Bools] = [everybody]
    best = -math.inf
    rng = np.random.default_rng(0)
    while True:
        m = len(edges)
        i, j = edges.T
        at = np.concatenate([i, j])
        degree = coo_array((np.ones(2 * m), (at, np.tile(np.arange(m), 2))), shape=(n, m)).tocsr()[1:]
        inside = np.stack(cuts)
        crossing = (inside[:, i] != inside[:, j]).astype(float)
        least = np.array([2.0 * vehicles(demand[cut].sum()) for cut in cuts])
        solved = linprog(
            cost[i, j],
            A_ub=-coo_array(crossing).tocsr(),
            b_ub=-least,
            A_eq=vstack([degree]).tocsr(),
            b_eq=np.full(n - 1, 2.0),
            bounds=np.stack([np.zeros(m), np.where(i == 0, 2.0, 1.0)], axis=1),
            method="highs",
            options={"time_limit": seconds},
        )
        if solved.status != 0:
            return
        price = np.append(0.0, solved.eqlin.marginals)
        worth = np.maximum(0.0, -solved.ineqlin.marginals)
        reduced = cost - price[:, None] - price
        for cut, value in zip(cuts, worth.tolist(), strict=True):
            if value > 0:
                reduced -= value * (cut[:, None] != cut)
        upper = np.ones((n, n))
        upper[0] = upper[:, 0] = 2.0
        cheap = np.triu(np.minimum(reduced, 0.0) * upper, 1)
        bound = 2.0 * price.sum() + float(worth @ least) + float(cheap.sum())
        bound -= SLACK * abs(bound)
        if bound > best:
            best = bound
            yield best
        missing = np.argwhere(np.triu(reduced < -1e-7, 1))
        new = broken(n, edges, solved.x, demand, rng)
        more = _distinct(np.append(i, missing[:, 0]), np.append(j, missing[:, 1]), n)
        if not new and len(more) == m:
            return
        edges = more
        cuts += new


def vehicles(load: float) -> int:
    """How many a load takes, in units of the capacity."""
    return max(1, math.ceil(load * (1 - SLACK) - SLACK))


def broken(n: int, edges: Ints, x: Floats, demand: Floats, rng: np.random.Generator) -> list[Bools]:
    """Sets of customers that ``x [m]`` enters and leaves less often than their demand takes vehicles."""
    flow = np.zeros((n, n))
    flow[edges[:, 0], edges[:, 1]] = flow[edges[:, 1], edges[:, 0]] = x
    found: dict[bytes, Bools] = {}
    for seed in rng.permutation(np.arange(1, n)).tolist():
        inside = np.zeros(n, bool)
        inside[seed] = True
        towards = flow[seed].copy()
        load, out = float(demand[seed]), float(flow[seed].sum())
        worst, kept = VIOLATED, None
        for _ in range(n - 2):
            open_ = np.where(inside, -1.0, towards)
            open_[0] = -1.0
            nearest = float(open_.max())
            if nearest <= 1e-9:
                break
            # Of those as near, the one that fills up what the vehicles so far can carry.
            among = np.flatnonzero(open_ >= nearest - 1e-9)
            node = int(among[demand[among].argmax()])
            inside[node] = True
            out += float(flow[node].sum()) - 2.0 * float(towards[node])
            load += float(demand[node])
            towards += flow[node]
            if 2.0 * vehicles(load) - out > worst:
                worst, kept = 2.0 * vehicles(load) - out, inside.copy()
        if kept is not None:
            found[kept.tobytes()] = kept
        if len(found) >= 60:
            break
    return list(found.values())


def _distinct(one: Ints, two: Ints, n: int) -> Ints:
    low, high = np.minimum(one, two), np.maximum(one, two)
    codes = np.unique(low[low != high] * n + high[low != high])
    return np.stack([codes // n, codes % n], axis=1)
