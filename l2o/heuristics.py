"""Classical constructions, the starts that need no network."""

from __future__ import annotations

import numpy as np

from l2o.improve.neighbours import nearest
from l2o.problems.instance import Infeasible, Instance, Ints, Routes, Unsupported

NEIGHBOURS = 16
"""Near nodes among which nearest neighbour looks before it looks among all."""
EDGES = 8
"""Near nodes with which a node's edges are considered by greedy edge."""
CELLS = 1 << 20
"""Cells on each side of the square that a space-filling curve goes through."""
SAVINGS = 64
"""Near customers with which a customer's savings are computed."""
TOLERANCE = 1e-10
"""Relative slack on loads, which are sums and may be off by a rounding error."""


def quick(instance: Instance) -> tuple[Routes, str]:
    """A good solution in little time, and what made it: greedy edge for tours, savings for routes."""
    if instance.demand is None:
        return greedy_edge(instance), "greedy edge"
    return savings(instance), "savings"


def nearest_neighbour(instance: Instance, seed: int = 0) -> Routes:
    """Always go to the nearest node left; where there are demands, to the nearest that fits, or else home.

    A tour begins at a node drawn with ``seed``; routes begin at the depot, and ``seed`` plays no part.
    """
    n = instance.n
    tour = instance.demand is None
    demand = np.zeros(n) if instance.demand is None else instance.demand
    capacity = np.inf if instance.capacity is None else instance.capacity * (1 + TOLERANCE)
    current = int(np.random.default_rng(seed).integers(n)) if tour else 0
    left = np.ones(n, bool)
    left[current] = False
    routes = [[current] if tour else []]
    room = capacity
    remaining = n - 1
    near, renew_at = _near(instance, np.arange(n)), n // 2
    while remaining:
        found = next((v for v in near.get(current, ()) if left[v] and demand[v] <= room), -1)
        if found < 0:
            fits = np.flatnonzero(left & (demand <= room))
            if len(fits):
                found = int(fits[instance.distance(current, fits).argmin()])
            else:
                if current == 0:
                    raise _too_large(instance, np.flatnonzero(left))
                routes.append([])
                current, room = 0, capacity
                continue
        routes[-1].append(found)
        left[found] = False
        current, room, remaining = found, room - demand[found], remaining - 1
        if remaining == renew_at and remaining > NEIGHBOURS:
            # The lists of nodes near nodes long visited have run empty.
            near, renew_at = _near(instance, np.append(np.flatnonzero(left), current)), remaining // 2
    return tuple(tuple(route) for route in routes)


def greedy_edge(instance: Instance) -> Routes:
    """Take the shortest edges that make paths, and join these at their ends until they are one. Tours only.

    Source: J. L. Bentley, "Fast algorithms for geometric traveling salesman problems", 1992. Only edges between near
    nodes, then near ends, are considered. Takes memory and time in proportion to the nodes, up to a logarithm.
    """
    if instance.demand is not None:
        raise Unsupported(f"{instance.name}: greedy edge builds tours, not routes; use savings")
    from l2o.improve.kernels_greedy import follow, take

    n = instance.n
    links, root, tour = np.full((n, 2), -1, np.int64), np.arange(n), np.arange(n)
    ends, paths = np.arange(n), n
    while paths > 1:
        near = nearest(instance.part(ends), EDGES)
        assert near is not None
        one, two = np.repeat(ends, near.shape[1]), ends[near.ravel()]
        order = np.argsort(instance.distance(one, two), kind="stable")
        paths -= take(one[order], two[order], links, root)
        ends = np.flatnonzero(links[:, 1] < 0)
    if n > 1:
        follow(links, int(ends[0]), tour)
    return (tuple(tour.tolist()),)


def space_filling(instance: Instance) -> Routes:
    """Visit the nodes in the order of Hilbert's curve. Tours with coordinates only; of these the first two count.

    Source: L. K. Platzman, J. J. Bartholdi, "Spacefilling curves and the planar travelling salesman problem", 1989.
    """
    if instance.demand is not None or instance.coords is None:
        raise Unsupported(f"{instance.name}: a space-filling curve builds tours through points of the plane")
    low, high = instance.coords[:, :2].min(axis=0), instance.coords[:, :2].max(axis=0)
    side = max(float((high - low).max()), np.finfo(float).tiny)
    x, y = np.minimum((instance.coords[:, :2] - low) / side * CELLS, CELLS - 1).astype(np.int64).T
    along = np.zeros(instance.n, np.int64)
    size = CELLS // 2
    while size > 0:
        right, upper = (x & size) > 0, (y & size) > 0
        along += size * size * ((3 * right) ^ upper)
        # The quarter is turned so that its curve begins and ends where its neighbours' do.
        turn = ~upper
        x, y = np.where(turn & right, CELLS - 1 - x, x), np.where(turn & right, CELLS - 1 - y, y)
        x, y = np.where(turn, y, x), np.where(turn, x, y)
        size //= 2
    return (tuple(np.argsort(along, kind="stable").tolist()),)


def random_insertion(instance: Instance, seed: int = 0) -> Routes:
    """Insert the nodes in random order, each where it lengthens the tour least. Tours only."""
    if instance.demand is not None:
        raise Unsupported(
            f"{instance.name}: random insertion builds tours, not routes; use nearest_neighbour or savings"
        )
    from l2o.improve.kernels_insertion import insert
    from l2o.improve.metric import metric

    order = np.random.default_rng(seed).permutation(instance.n)
    after = np.arange(instance.n)
    insert(metric(instance), order, after, np.zeros(instance.n))
    tour = [int(order[0])]
    while (following := int(after[tour[-1]])) != tour[0]:
        tour.append(following)
    return (tuple(tour),)


def savings(instance: Instance) -> Routes:
    """One route for each customer, then join ends in the order of what that saves. Routes only.

    Source: G. Clarke, J. W. Wright, "Scheduling of vehicles from a central depot to a number of delivery points", 1964.
    Only savings between near customers are considered.
    """
    if instance.demand is None or instance.capacity is None:
        raise Unsupported(
            f"{instance.name}: savings builds routes, not tours; use nearest_neighbour or random_insertion"
        )
    n, capacity = instance.n, instance.capacity * (1 + TOLERANCE)
    if (large := np.flatnonzero(instance.demand > capacity)).size:
        raise _too_large(instance, large)
    routes = {c: [c] for c in range(1, n)}
    load = dict(enumerate(instance.demand.tolist()))
    if n > 2:
        near = nearest(instance, SAVINGS)
        assert near is not None
        a, b = np.repeat(np.arange(n), near.shape[1]), near.ravel()
        a, b = a[(a > 0) & (b > 0)], b[(a > 0) & (b > 0)]
        saved = instance.distance(0, a) + instance.distance(0, b) - instance.distance(a, b)
        order = np.argsort(-saved, kind="stable")
        order = order[saved[order] > 0]
        where = list(range(n))
        for i, j in zip(a[order].tolist(), b[order].tolist(), strict=True):
            p, q = where[i], where[j]
            if p == q or load[p] + load[q] > capacity:
                continue
            one, two = routes[p], routes[q]
            if i not in (one[0], one[-1]) or j not in (two[0], two[-1]):
                continue
            if one[-1] != i:
                one.reverse()
            if two[0] != j:
                two.reverse()
            for c in two:
                where[c] = p
            one.extend(two)
            load[p] += load[q]
            del routes[q]
    return tuple(tuple(route) for route in routes.values())


def _near(instance: Instance, nodes: Ints) -> dict[int, list[int]]:
    """The nearest others among ``nodes`` of each of them."""
    if len(nodes) < 2:
        return {}
    near = nearest(instance.part(nodes), NEIGHBOURS)
    assert near is not None
    return dict(zip(nodes.tolist(), nodes[near].tolist(), strict=True))


def _too_large(instance: Instance, customers: Ints) -> Infeasible:
    assert instance.demand is not None
    c = int(customers[0])
    return Infeasible(
        f"{instance.name}: customer {instance.ids[c]} demands {instance.demand[c]:g}, "
        f"the capacity is {instance.capacity:g}"
    )
