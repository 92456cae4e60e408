"""Greedy edges, compiled."""

from __future__ import annotations

from l2o.jit import njit
from l2o.problems.instance import Ints


@njit
def _root(root: Ints, node: int) -> int:
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


@njit
def take(first: Ints, second: Ints, links: Ints, root: Ints) -> int:
    """Go through the edges of ``first [E]`` with ``second [E]`` in order, and take those that still can be taken.

    An edge can be taken if both its nodes have less than two and it closes no ring. ``links [n, 2]``, -1 where there is
    none, and ``root [n]``, which leads to one node for all of a path, follow. Returns how many were taken.
    """
    count = 0
    for edge in range(len(first)):
        i, j = first[edge], second[edge]
        if links[i, 1] >= 0 or links[j, 1] >= 0:
            continue
        a, b = _root(root, i), _root(root, j)
        if a == b:
            continue
        root[a] = b
        links[i, 0 if links[i, 0] < 0 else 1] = j
        links[j, 0 if links[j, 0] < 0 else 1] = i
        count += 1
    return count


@njit
def follow(links: Ints, start: int, tour: Ints) -> None:
    """Write into ``tour [n]`` the nodes of one path of all, from its end ``start`` on."""
    before, here = -1, start
    for i in range(len(tour)):
        tour[i] = here
        following = links[here, 0]
        if following == before:
            following = links[here, 1]
        before, here = here, following
