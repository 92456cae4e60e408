"""A lower bound for routes of which the longest counts: one of them goes to the furthest customer and comes back.

With many vehicles that is often all there is to it; with few it says little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from l2o.bound import Bound, Task
from l2o.problems.instance import Floats, Instance

STRAIGHT = ("none", "ceil", "next")
"""Roundings that keep the straight way the shortest."""


def bounds(task: Task) -> None:
    """See :func:`l2o.bound.bounds`; there is only this one."""
    reach = shortest(task.instance, task.over)
    if reach is not None:
        task.told(Bound(2 * float(reach.max()), "the way to the furthest customer and back"))


def shortest(instance: Instance, over: Callable[[], bool]) -> Floats | None:
    """``[n]`` how far each node is from the depot, by way of others if that is shorter; None if it is ``over`` before.

    Source: E. W. Dijkstra, "A note on two problems in connexion with graphs", 1959.
    """
    nodes = np.arange(instance.n)
    reach = instance.distance(0, nodes)
    reach[0] = 0.0
    # On the globe, distances of places close together are off by more than a detour takes.
    if instance.matrix is None and instance.rounding in STRAIGHT and instance.metric != "GEO":
        return reach
    todo = np.ones(instance.n, bool)
    for _ in nodes:
        if over():
            return None
        node = int(np.where(todo, reach, np.inf).argmin())
        todo[node] = False
        reach = np.minimum(reach, reach[node] + instance.distance(node, nodes))
    return reach


def warm_up() -> None:
    """Nothing here is compiled."""
