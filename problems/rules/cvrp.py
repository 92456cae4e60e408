"""Routes from one depot, within the capacity, that serve every customer once."""

from __future__ import annotations

import itertools
import math

import numpy as np

from l2o.problems.instance import Infeasible, Instance, Routes
from l2o.problems.rules._routes import serve_once

TOLERANCE = 1e-9
"""Relative slack on loads, which are sums and may be off by a rounding error."""


class CapacitatedRoutes:
    """Rules of the capacitated vehicle routing problem."""

    name = "cvrp"

    def cost(self, instance: Instance, routes: Routes) -> float:
        """Total length of the routes, out from the depot and back."""
        path = np.concatenate([np.array((0, *route)) for route in routes] or [np.zeros(1, dtype=np.int64)])
        return float(instance.distance(path, np.roll(path, -1)).sum())

    def check(self, instance: Instance, routes: Routes) -> float:
        """Every customer exactly once and no route above the capacity."""
        assert instance.demand is not None and instance.capacity is not None
        serve_once(instance, routes)
        legs: list[float] = []
        for number, route in enumerate(routes, start=1):
            load = sum(float(instance.demand[node]) for node in route)
            if load > instance.capacity * (1 + TOLERANCE):
                raise Infeasible(
                    f"{instance.name}: route {number} carries {load:g}, the capacity is {instance.capacity:g}"
                )
            legs += [float(instance.distance(a, b)) for a, b in itertools.pairwise([0, *route, 0])]
        return math.fsum(legs)


RULES = CapacitatedRoutes()
