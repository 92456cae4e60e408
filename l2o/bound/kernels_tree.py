"""Held and Karp's bound, compiled, in whole numbers: minimum 1-trees under node prices, and what these rule out.

Source: M. Held, R. M. Karp, "The traveling-salesman problem and minimum spanning trees", 1970, and part II, 1971; K.
Helsgaun, "An effective implementation of the Lin-Kernighan traveling salesman heuristic", 2000, section 4.1 (1-trees
from the leaf whose second edge is the longest; alpha-nearness).

Costs and prices are int64 in units of a fraction of the instance's own, costs rounded down: what is summed up is exact,
so a bound is one whatever the prices are. A spanning tree of all edges is what makes it one; the ascent looks at few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l2o.improve.metric import Metric, between
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_FAR = 1 << 62
_BELOW = 1e-9
"""Share of a unit taken off a cost that is not whole, for the rounding of the cost itself."""


class Trees(NamedTuple):
    """A sparse graph, node prices, and room for one 1-tree."""

    start: Ints
    """``[n + 1]`` where the edges of each node begin in ``to``."""
    to: Ints
    """``[m]``, every edge from both sides."""
    cost: Ints
    """``[m]``"""
    price: Ints
    """``[n]``"""
    best_price: Ints
    """``[n]`` those of the best 1-tree so far."""
    degree: Ints
    """``[n]`` in the last 1-tree, and in the one before it."""
    before: Ints
    key: Ints
    """``[n]`` the cheapest edge that leads to a node outside the tree."""
    parent: Ints
    heap: Ints
    """``[n]`` nodes, the one with the least key first."""
    place: Ints
    """``[n]`` where a node is in the heap; -1 before, -2 after."""


@njit
def scaled(metric: Metric, scale: int, a: int, b: int) -> int:
    """The cost of an edge in units of ``1 / scale``, rounded down."""
    exact = between(metric, a, b) * scale
    whole = np.floor(exact + 0.5)
    # A whole cost times a power of two is whole and stays as it is.
    return int(whole) if exact == whole else int(np.floor(exact - _BELOW))


@njit
def fill(metric: Metric, scale: int, start: Ints, to: Ints, cost: Ints) -> None:
    """Costs of the edges of a sparse graph."""
    for node in range(len(start) - 1):
        for e in range(start[node], start[node + 1]):
            cost[e] = scaled(metric, scale, node, to[e])


@njit
def _rise(t: Trees, at: int) -> None:
    node = t.heap[at]
    while at > 0:
        above = (at - 1) // 2
        other = t.heap[above]
        if t.key[other] <= t.key[node]:
            break
        t.heap[at] = other
        t.place[other] = at
        at = above
    t.heap[at] = node
    t.place[node] = at


@njit
def _sink(t: Trees, size: int) -> None:
    node = t.heap[0]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and t.key[t.heap[below + 1]] < t.key[t.heap[below]]:
            below += 1
        other = t.heap[below]
        if t.key[node] <= t.key[other]:
            break
        t.heap[at] = other
        t.place[other] = at
        at = below
    t.heap[at] = node
    t.place[node] = at


@njit
def _one_tree(t: Trees) -> int:
    """Degrees of the cheapest 1-tree of the sparse graph, and what it costs less twice all prices; -1 for no tree."""
    n = len(t.price)
    total = 0
    for i in range(n):
        t.key[i], t.parent[i], t.place[i], t.degree[i] = _FAR, -1, -1, 0
        total -= 2 * t.price[i]
    t.key[0] = 0
    t.heap[0] = 0
    t.place[0] = 0
    size, reached = 1, 0
    while size > 0:
        node = t.heap[0]
        size -= 1
        t.place[node] = -2
        reached += 1
        if size > 0:
            t.heap[0] = t.heap[size]
            _sink(t, size)
        if t.parent[node] >= 0:
            total += t.key[node]
            t.degree[node] += 1
            t.degree[t.parent[node]] += 1
        for e in range(t.start[node], t.start[node + 1]):
            there = t.to[e]
            if t.place[there] == -2:
                continue
            key = t.cost[e] + t.price[node] + t.price[there]
            if key < t.key[there]:
                t.key[there], t.parent[there] = key, node
                if t.place[there] == -1:
                    t.heap[size] = there
                    size += 1
                    _rise(t, size - 1)
                else:
                    _rise(t, t.place[there])
    if reached < n:
        return -_FAR
    longest, leaf, other = -_FAR, -1, -1
    for node in range(n):
        if t.degree[node] != 1:
            continue
        in_tree = t.parent[node]
        if in_tree < 0:
            for e in range(t.start[node], t.start[node + 1]):
                if t.parent[t.to[e]] == node:
                    in_tree = t.to[e]
        second, second_to = _FAR, -1
        for e in range(t.start[node], t.start[node + 1]):
            there = t.to[e]
            key = t.cost[e] + t.price[node] + t.price[there]
            if there != in_tree and key < second:
                second, second_to = key, there
        if second_to >= 0 and second > longest:
            longest, leaf, other = second, node, second_to
    if leaf < 0:
        return -_FAR
    t.degree[leaf] += 1
    t.degree[other] += 1
    return total + longest


@njit
def ascend(t: Trees, state: Floats, upper: int, steps: int, patience: int) -> bool:
    """``steps`` of subgradient ascent towards ``upper``; True if the 1-tree is a tour or no step is left to take.

    Where the graph has no tour, its 1-trees become as dear as one likes: ``upper`` is enough.

    ``state`` holds the best value, the length of steps in units of Polyak's, and the steps since the best.
    """
    n = len(t.price)
    for _ in range(steps):
        value = _one_tree(t)
        if value == -_FAR:
            return True
        if value > state[0]:
            state[0], state[2] = value, 0
            for i in range(n):
                t.best_price[i] = t.price[i]
        else:
            state[2] += 1
        if state[2] > patience:
            state[1] /= 2
            state[2] = 0
            for i in range(n):
                t.price[i] = t.best_price[i]
        norm = 0
        for i in range(n):
            norm += (t.degree[i] - 2) ** 2
        if norm == 0 or state[1] < 1e-3 or value >= upper:
            return True
        step = state[1] * max(float(upper - value), 1.0) / norm
        for i in range(n):
            slope = 0.7 * (t.degree[i] - 2) + 0.3 * (t.before[i] - 2)
            t.price[i] += int(np.floor(step * slope + 0.5))
            t.before[i] = t.degree[i]
    return False


@njit
def complete_tree(metric: Metric, scale: int, price: Ints, key: Ints, parent: Ints, order: Ints) -> int:
    """Prim's tree of the complete graph: each node's ``parent`` and the cost ``key`` of that edge; what all cost.

    ``order`` receives the nodes as they were reached, node 0 first.
    """
    n = len(price)
    for i in range(n):
        key[i], parent[i], order[i] = _FAR, -1, i
    total = 0
    for reached in range(1, n):
        node = order[reached - 1]
        nearest, at = _FAR, reached
        for i in range(reached, n):
            there = order[i]
            cost = scaled(metric, scale, node, there) + price[node] + price[there]
            if cost < key[there]:
                key[there], parent[there] = cost, node
            if key[there] < nearest:
                nearest, at = key[there], i
        order[reached], order[at] = order[at], order[reached]
        total += nearest
    return total


@njit
def second_edge(metric: Metric, scale: int, price: Ints, parent: Ints, leaf: int) -> int:
    """The cheapest edge of ``leaf`` that is not in the tree."""
    found = _FAR
    for there in range(len(price)):
        if there != leaf and parent[there] != leaf and parent[leaf] != there:
            cost = scaled(metric, scale, leaf, there) + price[leaf] + price[there]
            found = min(found, cost)
    return found


@njit
def survivors(
    metric: Metric,
    scale: int,
    price: Ints,
    key: Ints,
    parent: Ints,
    order: Ints,
    leaf: int,
    second: int,
    slack: int,
    longest: Ints,
    edges: Ints,
) -> int:
    """Edges that a 1-tree with at most ``slack`` more may have, into ``edges [m, 2]``; how many, -1 for too many.

    The others are in no tour that costs less than the bound and ``slack``. ``longest [n]`` is room: the dearest edge on
    the way through the tree from the node in hand to each other one.
    """
    n = len(price)
    count = 0
    for node in range(n):
        # Up from the node to the root, then down from there in the order in which nodes were reached.
        for i in range(n):
            longest[i] = -_FAR - 1
        longest[node] = -_FAR
        here, most = node, -_FAR
        while parent[here] >= 0:
            most = max(most, key[here])
            here = parent[here]
            longest[here] = most
        for i in range(1, n):
            there = order[i]
            if longest[there] == -_FAR - 1:
                longest[there] = max(longest[parent[there]], key[there])
        for there in range(node):
            cost = scaled(metric, scale, node, there) + price[node] + price[there]
            replaced = longest[there]
            if leaf in (node, there):
                other = there if leaf == node else node
                in_tree = parent[leaf] == other or parent[other] == leaf
                replaced = cost if in_tree else second
            if cost - replaced <= slack:
                if count == len(edges):
                    return -1
                edges[count, 0], edges[count, 1] = node, there
                count += 1
    return count


@njit
def dearest_leaf(t: Trees, price: Ints, parent: Ints) -> int:
    """The leaf of the tree of ``parent`` whose second edge in the sparse graph is the dearest."""
    n = len(price)
    for i in range(n):
        t.degree[i] = 0
    for i in range(n):
        if parent[i] >= 0:
            t.degree[i] += 1
            t.degree[parent[i]] += 1
    longest, leaf = -_FAR, -1
    for node in range(n):
        if t.degree[node] != 1:
            continue
        second = _FAR
        for e in range(t.start[node], t.start[node + 1]):
            there = t.to[e]
            if parent[node] != there and parent[there] != node:
                second = min(second, t.cost[e] + price[node] + price[there])
        if leaf < 0 or (second < _FAR and second > longest):
            longest, leaf = second if second < _FAR else -_FAR, node
    return leaf
