"""What each decision of a construction costs more than the best that could have been done, compiled; for tours.

Along a construction a plan is kept: the shortest way known to visit what is left and end at the anchor. A decision that
follows the plan leaves the rest of it as it is; after any other the plan is mended by 2-opt and Or-opt moves around the
place (J. L. Bentley, "Fast algorithms for geometric traveling salesman problems", 1992). By how much a leg and the plan
after it are longer than the plan before is the decision's regret. Regrets add up to the length of the tour less that of
the first plan, whatever the plans were.
"""

from __future__ import annotations

from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_LONGEST = 3
"""Nodes that an Or-opt move takes along, at most."""


@njit
def regrets(
    matrix: Floats,
    near: Ints,
    plan: Ints,
    tours: Ints,
    path: Ints,
    position: Ints,
    queue: Ints,
    least: float,
    result: Floats,
) -> None:
    """``result [P, n - 1]`` for the tours ``tours [P, n]``, whose decisions are all nodes but the first.

    ``plan [n]`` is a good tour; ``near [n, k]`` lists near nodes, nearest first. ``path [n + 1]``, ``position [n]`` and
    ``queue [n]`` are room to work in. Gains up to ``least`` are rounding.
    """
    n = len(plan)
    for p in range(len(tours)):
        first = tours[p, 0]
        at = 0
        while plan[at] != first:
            at += 1
        for i in range(n):
            path[i] = plan[at + i if at + i < n else at + i - n]
            position[path[i]] = i
        path[n] = first
        position[first] = n
        for t in range(n - 1):
            chosen = tours[p, t + 1]
            if t == 0 and position[chosen] == n - 1:
                _reverse(path, position, 1, n - 1)  # The plan is a ring, and this is its other direction.
            here, place = path[t], position[chosen]
            if place == t + 1:
                result[p, t] = 0.0
                continue
            then, before, after = path[t + 1], path[place - 1], path[place + 1]
            kept = matrix[here, chosen] - matrix[here, then] - matrix[chosen, after]
            moved = kept + matrix[chosen, then] + matrix[before, after] - matrix[before, chosen]
            turned = kept + matrix[then, after]
            _reverse(path, position, t + 1, place)
            if moved < turned:
                _reverse(path, position, t + 2, place)
            queue[0], queue[1], queue[2], queue[3] = chosen, then, before, after
            result[p, t] = min(moved, turned) - _mend(matrix, near, path, position, queue, 4, t + 1, least)


@njit
def _reverse(path: Ints, position: Ints, i: int, j: int) -> None:
    """Reverse the places ``i`` to ``j`` of the path."""
    while i < j:
        a, b = path[i], path[j]
        path[i], position[b] = b, i
        path[j], position[a] = a, j
        i += 1
        j -= 1


@njit
def _mend(
    matrix: Floats, near: Ints, path: Ints, position: Ints, queue: Ints, size: int, begin: int, least: float
) -> float:
    """Shorten the path from place ``begin`` on, around the nodes ``queue [size]``; by how much.

    Its ends stay. The queue is a stack, and a node may be on it twice.
    """
    total = 0.0
    while size > 0:
        size -= 1
        node = queue[size]
        gain, ends = _two_opt(matrix, near, path, position, node, begin, queue, size, least)
        if gain == 0.0:
            gain, ends = _or_opt(matrix, near, path, position, node, begin, queue, size, least)
        total += gain
        size = ends
    return total


@njit
def _push(queue: Ints, size: int, node: int) -> int:
    if size < len(queue):
        queue[size] = node
        return size + 1
    return size


@njit
def _two_opt(
    matrix: Floats, near: Ints, path: Ints, position: Ints, node: int, begin: int, queue: Ints, size: int, least: float
) -> tuple[float, int]:
    """The first 2-opt move found that gives ``node`` a nearer neighbour; what it gains, and the size of the queue."""
    end = len(path) - 1
    i = position[node]
    for side in range(2):
        # The edge from the node to the place after it, or to the one before it, is replaced.
        if (side == 0 and i >= end) or (side == 1 and i <= begin):
            continue
        step = 1 if side == 0 else -1
        other = path[i + step]
        old = matrix[node, other]
        for c in range(near.shape[1]):
            nearer = near[node, c]
            if matrix[node, nearer] >= old:
                break
            j = position[nearer]
            if j < begin or (side == 0 and j >= end) or (side == 1 and j <= begin):
                continue
            fourth = path[j + step]
            gain = old + matrix[nearer, fourth] - matrix[node, nearer] - matrix[other, fourth]
            if gain > least:
                low, high = min(i, j), max(i, j)
                if side == 0:
                    _reverse(path, position, low + 1, high)
                else:
                    _reverse(path, position, low, high - 1)
                for touched in (node, other, nearer, fourth):
                    size = _push(queue, size, touched)
                return gain, size
    return 0.0, size


@njit
def _or_opt(
    matrix: Floats, near: Ints, path: Ints, position: Ints, node: int, begin: int, queue: Ints, size: int, least: float
) -> tuple[float, int]:
    """The first Or-opt move found that takes ``node`` and up to two after or before it to a nearer neighbour."""
    end = len(path) - 1
    i = position[node]
    if i <= begin or i >= end:
        return 0.0, size
    for side in range(2):
        for length in range(_LONGEST):
            low = i if side == 0 else i - length
            high = i + length if side == 0 else i
            if low <= begin or high >= end:
                break
            left, right = path[low - 1], path[high + 1]
            tail = path[high] if side == 0 else path[low]
            won = matrix[left, path[low]] + matrix[path[high], right] - matrix[left, right]
            for c in range(near.shape[1]):
                nearer = near[node, c]
                if matrix[node, nearer] >= won - least:
                    break
                j = position[nearer]
                if j < begin or (low <= j <= high):
                    continue
                for way in range(2):
                    # Between the nearer node and the one after it, or the one before it.
                    k = j + 1 if way == 0 else j - 1
                    if k < begin or k > end or (low <= k <= high):
                        continue
                    beyond = path[k]
                    gain = won + matrix[nearer, beyond] - matrix[node, nearer] - matrix[tail, beyond]
                    if gain > least:
                        _move(path, position, low, high, min(j, k), (way == 0) == (side == 0))
                        for touched in (left, right, node, tail, nearer, beyond):
                            size = _push(queue, size, touched)
                        return gain, size
    return 0.0, size


@njit
def _move(path: Ints, position: Ints, low: int, high: int, gap: int, straight: bool) -> None:
    """Take the places ``low`` to ``high`` to between ``gap`` and ``gap + 1``, the way round they are or the other."""
    length = high - low + 1
    if gap > high:
        _reverse(path, position, low, high)
        _reverse(path, position, high + 1, gap)
        _reverse(path, position, low, gap)
        if not straight:
            _reverse(path, position, gap - length + 1, gap)
    else:
        _reverse(path, position, low, high)
        _reverse(path, position, gap + 1, low - 1)
        _reverse(path, position, gap + 1, high)
        if not straight:
            _reverse(path, position, gap + 1, gap + length)
