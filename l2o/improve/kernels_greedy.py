"""Greedy edges of tours and of routes, compiled."""

from __future__ import annotations

from l2o.jit import njit
from l2o.problems.instance import Floats, Ints


@njit
def _root(root: Ints, node: int) -> int:
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


@njit
def take(first: Ints, second: Ints, links: Ints, root: Ints, load: Floats, capacity: float) -> int:
    """Go through the edges of ``first [E]`` with ``second [E]`` in order, and take those that still can be taken.

    An edge can be taken if both its nodes have less than two, it closes no ring and the path that it makes is within
    ``capacity``. ``links [n, 2]``, -1 where there is none, ``root [n]``, which leads to one node for all of a path, and
    ``load [n]``, at that node the path's, follow. Returns how many were taken.
    """
    count = 0
    for edge in range(len(first)):
        i, j = first[edge], second[edge]
        if links[i, 1] >= 0 or links[j, 1] >= 0:
            continue
        a, b = _root(root, i), _root(root, j)
        if a == b or load[a] + load[b] > capacity:
            continue
        root[a] = b
        load[b] += load[a]
        links[i, 0 if links[i, 0] < 0 else 1] = j
        links[j, 0 if links[j, 0] < 0 else 1] = i
        count += 1
    return count


@njit
def follow(links: Ints, order: Ints, path: Ints) -> None:
    """Write all paths into ``order [n]``, one after the other, and into ``path [n]``, -1 before, which of them each
    node is in.
    """
    paths = at = 0
    for start in range(len(links)):
        if path[start] >= 0 or links[start, 1] >= 0:
            continue
        before, here = -1, start
        while here >= 0:
            path[here] = paths
            order[at] = here
            at += 1
            following = links[here, 0] if links[here, 0] != before else links[here, 1]
            before, here = here, following
        paths += 1
