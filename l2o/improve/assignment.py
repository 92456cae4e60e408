"""The assignment problem, in which every node has one successor and is that of one, in rings of any number: a tour made
of the cheapest rings, and what it is worth to leave a node and to arrive at it, where costs depend on the direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from l2o.problems.instance import Floats, Ints


def successors(costs: Floats) -> Ints:
    """``[n]`` of each node in the cheapest rings, SciPy's, of ``costs [n, n]`` whose diagonal does not matter;
    ``n`` is at least 2."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(without_loops(costs))[1], np.int64)


def without_loops(costs: Floats) -> Floats:
    """To stay at a node is dearer than any rings without that."""
    away = costs.copy()
    np.fill_diagonal(away, 1.0 + 2.0 * len(costs) * max(1.0, np.abs(costs).max()))
    return away


def prices(costs: Floats, successor: Ints, over: Callable[[], bool] = lambda: False) -> tuple[Floats, Floats]:
    """``[n]`` for leaving and for arriving: duals of the assignment, whose cheapest rings follow ``successor``.

    No arc costs less than the two prices of its ends (up to rounding errors, if costs are not whole), and those of the
    cheapest rings cost as much. They are the shortest ways in what may be changed about the rings, by R. Bellman and
    L. R. Ford. Once it is ``over``, prices are what was found: an arc may cost less.
    """
    away = without_loops(costs)
    n = len(costs)
    chosen = away[np.arange(n), successor]
    arriving = np.zeros(n)
    for _ in range(n):
        # Whoever gives up its successor's place for another has to pay the difference.
        better = np.minimum(arriving, ((arriving[successor] - chosen)[:, None] + away).min(axis=0))
        if over() or not (better < arriving).any():
            break
        arriving = better
    return chosen - arriving[successor], arriving


def joined(costs: Floats, successor: Ints) -> Ints:
    """``[n]`` a tour: the longest ring takes in the others, longest first, each where two new arcs cost least more.

    Source: R. M. Karp, "A patching algorithm for the nonsymmetric traveling-salesman problem", SIAM Journal on
    Computing 8(4), 1979. Where costs are drawn at random it is near optimal, and the nearer the more nodes there are.
    """
    following = successor.copy()
    paid = costs[np.arange(len(costs)), following]
    rings = sorted(rings_of(following), key=len, reverse=True)
    tour = rings[0]
    for ring in rings[1:]:
        # A node of the tour goes on to where one of the ring went, and that one to where it went itself.
        more = costs[tour[:, None], following[ring]] - paid[tour][:, None]
        more += (costs[ring[:, None], following[tour]] - paid[ring][:, None]).T
        at, to = divmod(int(more.argmin()), len(ring))
        a, b = tour[at], ring[to]
        following[a], following[b] = following[b], following[a]
        paid[a], paid[b] = costs[a, following[a]], costs[b, following[b]]
        tour = np.concatenate([tour, ring])
    return rings_of(following)[0]


def rings_of(following: Ints) -> list[Ints]:
    """The nodes of each ring in their order; the first begins with node 0."""
    rings: list[Ints] = []
    after = following.tolist()
    seen = [False] * len(after)
    for start in range(len(after)):
        ring, node = [], start
        while not seen[node]:
            seen[node] = True
            ring.append(node)
            node = after[node]
        if ring:
            rings.append(np.array(ring, np.int64))
    return rings
