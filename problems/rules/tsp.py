"""Tours: every node once, in one closed tour."""

from __future__ import annotations

import math

import numpy as np

from l2o.problems.instance import Infeasible, Instance, Routes


class Tours:
    """Rules of the travelling salesman problem."""

    name = "tsp"

    def cost(self, instance: Instance, routes: Routes) -> float:
        """Length of the closed tour."""
        tour = np.array(routes[0])
        return float(instance.distance(tour, np.roll(tour, -1)).sum())

    def check(self, instance: Instance, routes: Routes) -> float:
        """Every node exactly once, in one tour."""
        if len(routes) != 1:
            raise Infeasible(f"{instance.name}: {len(routes)} tours found, one expected")
        (tour,) = routes
        seen: set[int] = set()
        for node in tour:
            if not 0 <= node < instance.n:
                raise Infeasible(f"{instance.name}: the tour visits node {node}, which does not exist")
            if node in seen:
                raise Infeasible(f"{instance.name}: the tour visits node {instance.ids[node]} twice")
            seen.add(node)
        if len(seen) < instance.n:
            missing = next(i for i in range(instance.n) if i not in seen)
            raise Infeasible(f"{instance.name}: the tour leaves out node {instance.ids[missing]}")
        return math.fsum(float(instance.distance(a, b)) for a, b in zip(tour, (*tour[1:], tour[0]), strict=True))


RULES = Tours()
