"""Nearest ends by a k-d tree (J. L. Bentley, "Multidimensional binary search trees", 1975), compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from l2o.jit import njit
from l2o.problems.fragments import TOLERANCE
from l2o.problems.instance import Floats, Ints

LEAF = 16
"""Most points of a node that is not split."""


class Tree(NamedTuple):
    """Ends as points, in the order in which the tree holds them; the halves of node ``i`` are ``2 i + 1, 2 i + 2``."""

    points: Floats
    """``[m, dim]``"""
    other: Ints
    """``[m]`` the other end of the path of each; -1 where that is no end."""
    load: Floats
    """``[m]`` of the path."""
    begin: Ints
    end: Ints
    """The points of each node are those from ``begin`` to ``end``."""
    low: Floats
    high: Floats
    """The box in which they lie."""


def boxes(points: Floats, order: Ints, first: int, last: int) -> tuple[Ints, Ints, Floats, Floats]:
    """``begin``, ``end``, ``low`` and ``high`` of a tree of the points ``order[first:last]``, which are ordered."""
    depth = max(0, math.ceil(math.log2((last - first) / LEAF)))
    size, dim = 2 ** (depth + 1) - 1, points.shape[1]
    begin, end = np.zeros(size, np.int64), np.zeros(size, np.int64)
    begin[0], end[0] = first, last
    low, high = np.zeros((size, dim)), np.zeros((size, dim))
    _grow(points, order, begin, end, low, high)
    return begin, end, low, high


@njit
def _halve(points: Floats, axis: int, order: Ints, begin: int, end: int) -> None:
    """Reorder so that those before the middle are not greater along ``axis`` than those from it on (quickselect)."""
    middle = (begin + end) // 2
    first, last = begin, end - 1
    while first < last:
        pivot = points[order[(first + last) // 2], axis]
        i, j = first, last
        while i <= j:
            while points[order[i], axis] < pivot:
                i += 1
            while points[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j
        elif middle >= i:
            first = i
        else:
            return


@njit
def _grow(points: Floats, order: Ints, begin: Ints, end: Ints, low: Floats, high: Floats) -> None:
    """Fill the tree of ``points [m, dim]`` and say in ``order [m]`` how to put them; node 0 is told what it holds."""
    for node in range(len(begin)):
        if begin[node] == end[node]:
            continue
        widest, axis = -1.0, 0
        for d in range(points.shape[1]):
            low[node, d] = high[node, d] = points[order[begin[node]], d]
            for place in range(begin[node] + 1, end[node]):
                low[node, d] = min(low[node, d], points[order[place], d])
                high[node, d] = max(high[node, d], points[order[place], d])
            if high[node, d] - low[node, d] > widest:
                widest, axis = high[node, d] - low[node, d], d
        if end[node] - begin[node] <= LEAF:
            continue
        _halve(points, axis, order, begin[node], end[node])
        middle = (begin[node] + end[node]) // 2
        begin[2 * node + 1], end[2 * node + 1] = begin[node], middle
        begin[2 * node + 2], end[2 * node + 2] = middle, end[node]


@njit
def _to_box(tree: Tree, i: int, node: int) -> float:
    """Squared distance from point ``i`` to the nearest spot of the box of ``node``."""
    points, low, high = tree.points, tree.low, tree.high
    total = 0.0
    for d in range(points.shape[1]):
        if points[i, d] < low[node, d]:
            total += (low[node, d] - points[i, d]) ** 2
        elif points[i, d] > high[node, d]:
            total += (points[i, d] - high[node, d]) ** 2
    return total


@njit
def _between(points: Floats, i: int, j: int) -> float:
    """Squared distance of two points."""
    total = 0.0
    for d in range(points.shape[1]):
        gap = points[i, d] - points[j, d]
        total += gap * gap
    return total


@njit
def nearest(tree: Tree, stack: Ints, first: int, last: int, near: Ints, length: Floats) -> None:
    """For the points from ``first`` to ``last``, the nearest ones that each may be joined with, nearest first.

    Not the other end of its own path, and not those of paths that with its own exceed the capacity. They are put in
    ``near [m, count]`` with squared ``length``; infinite where there are no more, which ``length`` is to begin with.
    ``stack`` has room for twice the depth of the tree.
    """
    points, other, load, begin, end = tree.points, tree.other, tree.load, tree.begin, tree.end
    count = near.shape[1]
    for i in range(first, last):
        height = 1
        stack[0] = 0
        while height > 0:
            height -= 1
            node = stack[height]
            if _to_box(tree, i, node) >= length[i, count - 1]:
                continue
            if end[node] - begin[node] > LEAF:
                one, two = 2 * node + 1, 2 * node + 2
                if _to_box(tree, i, one) < _to_box(tree, i, two):
                    one, two = two, one
                stack[height], stack[height + 1] = one, two
                height += 2
                continue
            for j in range(begin[node], end[node]):
                if j == i or j == other[i] or load[i] + load[j] > 1.0 + TOLERANCE:
                    continue
                distance = _between(points, i, j)
                if distance >= length[i, count - 1]:
                    continue
                slot = count - 1
                while slot > 0 and length[i, slot - 1] > distance:
                    length[i, slot], near[i, slot] = length[i, slot - 1], near[i, slot - 1]
                    slot -= 1
                length[i, slot], near[i, slot] = distance, j
