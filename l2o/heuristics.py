"""Classical constructions, the starts that need no network: nearest neighbour, random insertion, savings."""

from __future__ import annotations

import dataclasses

import numpy as np

from l2o.improve.neighbours import nearest
from l2o.problems.instance import Infeasible, Instance, Ints, Routes, Unsupported

NEIGHBOURS = 16
"""Near nodes among which nearest neighbour looks before it looks among all."""
SAVINGS = 64
"""Near customers with which a customer's savings are computed."""
TOLERANCE = 1e-10
"""Relative slack on loads, which are sums and may be off by a rounding error."""


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
    whole = instance.metric == "EXPLICIT"
    part = dataclasses.replace(
        instance,
        ids=instance.ids[nodes],
        coords=None if instance.coords is None else instance.coords[nodes],
        matrix=instance.matrix[np.ix_(nodes, nodes)] if whole and instance.matrix is not None else None,
        demand=None,
    )
    near = nearest(part, NEIGHBOURS)
    assert near is not None
    return dict(zip(nodes.tolist(), nodes[near].tolist(), strict=True))


def _too_large(instance: Instance, customers: Ints) -> Infeasible:
    assert instance.demand is not None
    c = int(customers[0])
    return Infeasible(
        f"{instance.name}: customer {instance.ids[c]} demands {instance.demand[c]:g}, "
        f"the capacity is {instance.capacity:g}"
    )
