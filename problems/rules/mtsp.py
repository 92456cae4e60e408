"""Routes of a fleet from one depot that serve every customer once, the longest of them as short as can be."""

from __future__ import annotations

import itertools
import math

import numpy as np

from l2o.problems.instance import Infeasible, Instance, Routes
from l2o.problems.rules._routes import serve_once


class LongestRoute:
    """Rules of the min-max multiple travelling salesman problem."""

    name = "mtsp"

    def cost(self, instance: Instance, routes: Routes) -> float:
        """Length of the longest route, out from the depot and back."""
        stops = [np.array((0, *route)) for route in routes if route]
        return max((float(instance.distance(path, np.roll(path, -1)).sum()) for path in stops), default=0.0)

    def check(self, instance: Instance, routes: Routes) -> float:
        """Every customer exactly once, and no more routes than vehicles."""
        assert instance.vehicles is not None
        serve_once(instance, routes)
        used = [route for route in routes if route]
        if len(used) > instance.vehicles:
            raise Infeasible(f"{instance.name}: {len(used)} routes found, there are {instance.vehicles} vehicles")
        lengths = (
            math.fsum(float(instance.distance(a, b)) for a, b in itertools.pairwise([0, *route, 0])) for route in used
        )
        return max(lengths, default=0.0)


RULES = LongestRoute()
