"""Classical constructions, the starts that need no network."""

from __future__ import annotations

import itertools
from heapq import heappop, heappush

import numpy as np

from l2o.improve.neighbours import nearest
from l2o.problems.instance import Infeasible, Instance, Ints, Routes, Unsupported

NEIGHBOURS = 16
"""Near nodes among which nearest neighbour looks before it looks among all."""
EDGES = 8
"""Near nodes with which a node's edges are considered by greedy edge."""
HALVINGS = 50
"""Of the interval in which the length of the longest route is sought."""
CELLS = 1 << 20
"""Cells on each side of the square that a space-filling curve goes through."""
SAVINGS = 64
"""Near customers with which a customer's savings are computed."""
TOLERANCE = 1e-10
"""Relative slack on loads, which are sums and may be off by a rounding error."""


def quick(instance: Instance) -> tuple[Routes, str]:
    """A good solution in little time, and what made it: greedy edge for tours, nearest neighbour where directions
    matter, greedy edge shared out where there is a fleet, and savings for routes."""
    if instance.vehicles is not None:
        return shared_out(instance), "greedy edge, shared out"
    if instance.demand is None and not instance.symmetric:
        return nearest_neighbour(instance), "nearest neighbour"
    if instance.demand is None:
        return greedy_edge(instance), "greedy edge"
    return savings(instance), "savings"


def nearest_neighbour(instance: Instance, seed: int = 0) -> Routes:
    """Always go to the nearest node left; where there are demands, to the nearest that fits, or else home; of a fleet
    always the vehicle that has come the least far.

    A tour begins at a node drawn with ``seed``; routes begin at the depot, and ``seed`` plays no part.
    """
    if instance.vehicles is not None:
        return _nearest_of_fleet(instance, instance.vehicles)
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


def _nearest_of_fleet(instance: Instance, vehicles: int) -> Routes:
    routes: list[list[int]] = [[] for _ in range(vehicles)]
    left = np.ones(instance.n, bool)
    left[0] = False
    come = [(0.0, vehicle) for vehicle in range(vehicles)]
    near, renew_at = _near(instance, np.arange(instance.n)), instance.n // 2
    for remaining in range(instance.n - 1, 0, -1):
        if remaining == renew_at and remaining > NEIGHBOURS:
            here = [route[-1] for route in routes if route]
            near, renew_at = _near(instance, np.array([0, *here, *np.flatnonzero(left)])), remaining // 2
        length, vehicle = heappop(come)
        current = routes[vehicle][-1] if routes[vehicle] else 0
        found = next((v for v in near.get(current, ()) if left[v]), -1)
        if found < 0:
            nodes = np.flatnonzero(left)
            found = int(nodes[instance.distance(current, nodes).argmin()])
        routes[vehicle].append(found)
        left[found] = False
        heappush(come, (length + float(instance.distance(current, found)), vehicle))
    return tuple(tuple(route) for route in routes if route)


def shared_out(instance: Instance) -> Routes:
    """Cut a tour by greedy edge into one route for each vehicle so that the longest is as short as this order allows.

    Source: G. N. Frederickson, M. S. Hecht, C. E. Kim, "Approximation algorithms for some routing problems", 1978.
    """
    assert instance.vehicles is not None
    (tour,) = greedy_edge(instance.part(np.arange(instance.n)))
    at = tour.index(0)
    stops = np.array(tour[at + 1 :] + tour[:at], np.int64)
    if not len(stops):
        return ()
    home = instance.distance(0, stops)
    along = np.append(0.0, np.cumsum(instance.distance(stops[:-1], stops[1:])))
    # Non-decreasing wherever the way home by way of another customer is no short cut.
    closed = np.maximum.accumulate(along + home)

    def cuts(limit: float) -> list[int]:
        """Where routes end that are as full as ``limit`` allows; empty if more of them are needed than there are."""
        ends = [0]
        for _ in range(instance.vehicles or 0):
            begin = ends[-1]
            room = limit + along[begin] - home[begin]
            ends.append(int(np.searchsorted(closed, room, side="right")))
            if ends[-1] == len(stops):
                return ends
            if ends[-1] <= begin:
                break
        return []

    low, high = float(2 * home.max()), float(home[0] + closed[-1])
    best = [0, len(stops)]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if found := cuts(middle):
            best, high = found, middle
        else:
            low = middle
    return tuple(tuple(stops[i:j].tolist()) for i, j in itertools.pairwise(best))


def greedy_edge(instance: Instance) -> Routes:
    """Take the shortest edges that make paths, and join these at their ends until they are one. Tours only.

    Source: J. L. Bentley, "Fast algorithms for geometric traveling salesman problems", 1992. Only edges between near
    nodes, then near ends, are considered. Takes memory and time in proportion to the nodes, up to a logarithm.
    """
    if instance.has_depot:
        raise Unsupported(f"{instance.name}: greedy edge builds tours, not routes; use savings")
    if not instance.symmetric:
        raise Unsupported(f"{instance.name}: greedy edge knows no directions; use nearest_neighbour")
    from l2o.improve.kernels_greedy import follow, take

    n = instance.n
    links, root, load = np.full((n, 2), -1, np.int64), np.arange(n), np.zeros(n)
    ends, paths = np.arange(n), n
    if instance.coords is not None:
        # Nodes on one spot have each other as neighbours, and would be joined a few at a time.
        spot = np.lexsort(instance.coords.T)
        same = (instance.coords[spot[1:]] == instance.coords[spot[:-1]]).all(axis=1)
        paths -= take(spot[:-1][same], spot[1:][same], links, root, load, np.inf)
        ends = np.flatnonzero(links[:, 1] < 0)
    while paths > 1:
        near = nearest(instance.part(ends), EDGES)
        assert near is not None
        one, two = np.repeat(ends, near.shape[1]), ends[near.ravel()]
        order = np.argsort(instance.distance(one, two), kind="stable")
        paths -= take(one[order], two[order], links, root, load, np.inf)
        ends = np.flatnonzero(links[:, 1] < 0)
    tour = np.empty(n, np.int64)
    follow(links, tour, np.full(n, -1))
    return (tuple(tour.tolist()),)


def space_filling(instance: Instance) -> Routes:
    """Visit the nodes in the order of Hilbert's curve. Tours with coordinates only; of these the first two count.

    Source: L. K. Platzman, J. J. Bartholdi, "Spacefilling curves and the planar travelling salesman problem", 1989.
    """
    if instance.has_depot or instance.coords is None:
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
    if instance.has_depot:
        raise Unsupported(
            f"{instance.name}: random insertion builds tours, not routes; use nearest_neighbour or savings"
        )
    if not instance.symmetric:
        raise Unsupported(f"{instance.name}: random insertion knows no directions; use nearest_neighbour")
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
            f"{instance.name}: savings builds routes within a capacity, and here is none; use another heuristic"
        )
    from l2o.improve.kernels_greedy import follow, take

    n, capacity = instance.n, instance.capacity * (1 + TOLERANCE)
    if (large := np.flatnonzero(instance.demand > capacity)).size:
        raise _too_large(instance, large)
    links, root, load = np.full((n, 2), -1, np.int64), np.arange(n), instance.demand.astype(np.float64)
    if n > 2:
        near = nearest(instance, SAVINGS)
        assert near is not None
        a, b = np.repeat(np.arange(n), near.shape[1]), near.ravel()
        a, b = a[(a > 0) & (b > 0)], b[(a > 0) & (b > 0)]
        saved = instance.distance(0, a) + instance.distance(0, b) - instance.distance(a, b)
        order = np.argsort(-saved, kind="stable")
        order = order[saved[order] > 0]
        take(a[order], b[order], links, root, load, capacity)
    nodes, path = np.empty(n, np.int64), np.full(n, -1)
    follow(links, nodes, path)
    # The depot, which is in no edge, is the first path.
    return tuple(tuple(route.tolist()) for route in np.split(nodes, np.bincount(path).cumsum()[:-1])[1:])


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
