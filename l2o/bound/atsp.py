"""Lower bounds on tours whose cost depends on the direction: a linear program whose arcs and cuts are added where they
are wanted, and then branch and cut among the arcs that a better tour may have.

Source: G. Dantzig, R. Fulkerson, S. Johnson, "Solution of a large-scale traveling-salesman problem", 1954. What the
linear program says is turned into whole prices, under which a bound is summed up exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2o.bound import Bound, Task
from l2o.bound.apart import apart
from l2o.bound.branch import below, violated
from l2o.bound.exact import LARGEST, shortest
from l2o.improve import assignment
from l2o.problems.instance import Floats, Instance, Ints

NEIGHBOURS = 8
"""Cheapest arcs out of each node, and into it, that the linear program begins with."""
ADDED = 5
"""Arcs for each node that are added at once, at most."""
PRICED = 1_500
"""Nodes up to which there is a bound."""
SCALE = 1024.0
"""Of costs, so that prices can be whole numbers."""
KEPT = 40
"""Arcs for each node with which a search for a better tour is worth trying, at most."""
LONGEST = 1e6
"""Seconds of branch and cut, where nobody limits them."""


@dataclass(frozen=True)
class Prices:
    """Duals of the linear program."""

    leaving: Sequence[float] | Floats
    """What it is worth to leave each node."""
    arriving: Sequence[float] | Floats
    """And to arrive there."""
    sets: list[list[int]]
    """Nodes; a tour crosses between each set and the rest twice at least."""
    crossing: list[float]
    """What that is worth."""


def bounds(task: Task) -> None:
    """See :func:`l2o.bound.bounds`."""
    instance, n = task.instance, task.instance.n
    if n <= LARGEST:
        task.told(Bound(shortest(instance) if n > 1 else 0.0, "dynamic programming"))
        return
    if n > PRICED:
        return
    nodes = np.arange(n)
    costs = instance.distance(nodes[:, None], nodes)
    wanted = SCALE if instance.whole else 2.0**24 / max(float(np.median(np.abs(costs))), 1e-200)
    scale = 2.0 ** math.floor(math.log2(min(wanted, 2.0**52 / (n * max(float(np.abs(costs).max()), 1e-200)))))

    def value(total: int) -> float:
        return float(math.ceil(total / scale)) if instance.whole else total / scale

    best, spare = priced(costs, Prices(*assignment.prices(costs, assignment.successors(costs)), [], []), scale)
    task.told(Bound(value(best), "assignment of successors"))
    for found in apart(__name__, {"costs": costs}, task.over):
        total, reduced = priced(costs, Prices(**found), scale)
        if total > best:
            best, spare = total, reduced
            task.told(Bound(value(best), "linear program with subtour cuts (HiGHS)"))
    upper = task.upper()
    if value(best) < upper < math.inf and instance.whole and not task.over():
        prove(task, np.argwhere(spare <= (math.ceil(upper) - 1) * scale - best), upper, value(best))


def priced(costs: Floats, prices: Prices, scale: float) -> tuple[int, Ints]:
    """What no tour costs less than, times ``scale``, whatever the prices are; and by how much each arc ``[n, n]`` is
    dearer than what that takes of it."""
    n = len(costs)
    inside = np.zeros((len(prices.sets), n))
    for row, nodes in zip(inside, prices.sets, strict=True):
        row[nodes] = 1.0
    out, into = np.rint(np.array(prices.leaving) * scale), np.rint(np.array(prices.arriving) * scale)
    across = np.maximum(np.rint(np.array(prices.crossing) * scale), 0.0)
    # Whole numbers below 2^53 throughout: nothing is rounded.
    reduced = (np.floor(costs * scale) - out[:, None] - into - crossed(inside, across)).astype(np.int64)
    np.fill_diagonal(reduced, 2**60)
    # Every node is left once, by no cheaper arc than its cheapest.
    least = reduced.min(axis=1)
    return int(out.sum() + into.sum() + 2.0 * across.sum()) + int(least.sum()), reduced - least[:, None]


def crossed(inside: Floats, worth: Floats) -> Floats:
    """What the borders that each arc ``[n, n]`` crosses are worth in all; ``inside [sets, n]`` is 0 or 1."""
    either = worth @ inside
    return np.asarray(either[:, None] + either - 2.0 * (inside.T * worth) @ inside)


def prove(task: Task, arcs: Ints, upper: float, bound: float) -> None:
    """Search among the ``arcs [m, 2]`` that a tour below ``upper`` may have; costs must be whole."""
    instance = task.instance
    if len(arcs) > KEPT * instance.n:
        return
    lengths = np.rint(instance.distance(arcs[:, 0], arcs[:, 1])).astype(np.int64)
    seconds = min(task.left(), LONGEST)
    found = below(instance.n, arcs, lengths, math.ceil(upper), seconds=seconds, over=task.over, directed=True)
    for verdict in found:
        if verdict.bound > bound:
            task.told(Bound(verdict.bound, "linear program, then branch and cut (HiGHS)"))


def run(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The linear program, in a process of its own: better and better :class:`Prices`."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    costs = task["costs"]
    n = len(costs)
    leaving, arriving = assignment.prices(costs, assignment.successors(costs))
    np.fill_diagonal(costs, np.inf)
    nodes = np.arange(n)
    wanted = np.zeros((n, n), bool)
    spare = costs - leaving[:, None] - arriving
    wanted[nodes[:, None], np.argsort(spare, axis=1)[:, :NEIGHBOURS]] = True
    wanted[np.argsort(spare, axis=0)[:NEIGHBOURS], nodes] = True
    # A ring, so that there is a solution.
    wanted[nodes, (nodes + 1) % n] = True
    cuts: list[Any] = []
    while True:
        arcs = np.argwhere(wanted)
        ends = (np.concatenate([arcs[:, 0], n + arcs[:, 1]]), np.tile(np.arange(len(arcs)), 2))
        once = coo_array((np.ones(2 * len(arcs)), ends), shape=(2 * n, len(arcs))).tocsr()
        across = [coo_array((inside[arcs[:, 0]] != inside[arcs[:, 1]])[None].astype(float)) for inside in cuts]
        found = linprog(
            costs[arcs[:, 0], arcs[:, 1]],
            A_ub=-vstack(across).tocsr() if cuts else None,
            b_ub=np.full(len(cuts), -2.0) if cuts else None,
            A_eq=once,
            b_eq=np.ones(2 * n),
            method="highs",
        )
        if found.status != 0:
            return
        leaving, arriving = found.eqlin.marginals[:n], found.eqlin.marginals[n:]
        worth = -found.ineqlin.marginals if cuts else np.zeros(0)
        inside = np.array(cuts, float).reshape(len(cuts), n)
        reduced = costs - leaving[:, None] - arriving - crossed(inside, worth)
        cheaper = (reduced < -1e-6) & ~wanted
        if cheaper.any():
            last = min(int(cheaper.sum()), ADDED * n) - 1
            wanted |= cheaper & (reduced <= np.partition(reduced[cheaper], last)[last])
            continue
        tight = [i for i, value in enumerate(worth.tolist()) if value > 0]
        yield {
            "leaving": leaving.tolist(),
            "arriving": arriving.tolist(),
            "sets": [np.flatnonzero(cuts[i]).tolist() for i in tight],
            "crossing": worth[tight].tolist(),
        }
        new = violated(n, arcs, found.x)
        if not new:
            return
        cuts += new


def warm_up() -> None:
    """Compile everything."""
    shortest(Instance.of_matrix("example", "atsp", np.ones((4, 4))))
