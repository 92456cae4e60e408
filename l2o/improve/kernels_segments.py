"""A tour cut into segments, with other edges put in, whose subtours are joined to one again: compiled.

Source: Y. Nagata, S. Kobayashi, "A powerful genetic algorithm using edge assembly crossover for the traveling salesman
problem", INFORMS Journal on Computing 25(2), 2013: section 3.1 (subtours are joined, the smallest first, where it costs
least). All changes are written down and undone, so they cost as much as they change, not as many nodes as there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l2o.improve.metric import Metric, between
from l2o.improve.space import is_held
from l2o.jit import njit
from l2o.problems.instance import Ints

CHANGES, EDGES = 0, 1
_CUTS, _SUBTOURS, _STAMP = range(2, 5)
_OPEN = -1


class Segments(NamedTuple):
    """Room for one tour; arrays, changed in place."""

    metric: Metric
    near: Ints
    """``[n, k]`` nearest neighbours: where subtours may be joined."""
    held: Ints
    """``[n, 2]`` neighbours that a node must keep, or -1; or ``[0, 2]`` where no edge is held."""
    links: Ints
    """``[n, 2]`` the node before and the one behind each node in the tour, and what it is next to after changes."""
    place: Ints
    """``[n]`` positions of the nodes in the tour."""
    stamp: Ints
    """``[n, 2]`` when that side of a node was last changed, counted in calls of :func:`reset`."""
    cuts: Ints
    """``[n]`` positions behind which the tour is cut, in order; a segment reaches from behind one to the next."""
    subtour: Ints
    """``[n]`` of each segment."""
    root: Ints
    """``[n]`` of each subtour: the subtour that it was joined to, or itself."""
    size: Ints
    """``[n]`` nodes of each subtour."""
    changes: Ints
    """``[m, 3]`` node, side, and what stood there in ``links``."""
    edges: Ints
    """``[m, 3]`` edges taken out (-1) or put in (+1)."""
    notes: Ints
    """Counters, see the names above."""


def segments(metric: Metric, near: Ints, held: Ints, *, cuts: int | None = None) -> Segments:
    """Room for tours of all nodes with so many ``cuts``; None: for any."""
    n = len(near)
    most = 8 * (n if cuts is None else cuts) + 64
    return Segments(
        metric=metric,
        near=near,
        held=held,
        links=np.empty((n, 2), np.int64),
        place=np.empty(n, np.int64),
        stamp=np.zeros((n, 2), np.int64),
        cuts=np.empty(n, np.int64),
        subtour=np.empty(n, np.int64),
        root=np.empty(n, np.int64),
        size=np.empty(n, np.int64),
        changes=np.empty((most, 3), np.int64),
        edges=np.empty((most, 3), np.int64),
        notes=np.zeros(5, np.int64),
    )


@njit
def load(s: Segments, tour: Ints) -> None:
    """``tour [n]`` into ``links`` and ``place``."""
    n = len(s.place)
    for i in range(n):
        node = tour[i]
        s.place[node] = i
        s.links[node, 0] = tour[i - 1]
        s.links[node, 1] = tour[i + 1 if i + 1 < n else 0]


@njit
def reset(s: Segments) -> None:
    """From here on changes count."""
    s.notes[_STAMP] += 1
    s.notes[CHANGES] = s.notes[EDGES] = s.notes[_CUTS] = 0


@njit
def _relink(s: Segments, node: int, old: int, new: int) -> None:
    side = 0 if s.links[node, 0] == old else 1
    change = s.notes[CHANGES]
    s.changes[change, 0], s.changes[change, 1], s.changes[change, 2] = node, side, old
    s.notes[CHANGES] = change + 1
    s.stamp[node, side] = s.notes[_STAMP]
    s.links[node, side] = new


@njit
def _note(s: Segments, one: int, two: int, sign: int) -> None:
    edge = s.notes[EDGES]
    s.edges[edge, 0], s.edges[edge, 1], s.edges[edge, 2] = one, two, sign
    s.notes[EDGES] = edge + 1


@njit
def take_out(s: Segments, one: int, two: int) -> None:
    """Cut the tour between two nodes."""
    s.cuts[s.notes[_CUTS]] = s.place[one if s.links[one, 1] == two else two]
    s.notes[_CUTS] += 1
    _relink(s, one, two, _OPEN)
    _relink(s, two, one, _OPEN)
    _note(s, one, two, -1)


@njit
def put_in(s: Segments, one: int, two: int) -> None:
    """Join two nodes that were cut off."""
    s.links[one, 0 if s.links[one, 0] == _OPEN else 1] = two
    s.links[two, 0 if s.links[two, 0] == _OPEN else 1] = one
    _note(s, one, two, 1)


@njit
def undo(s: Segments) -> None:
    """``links`` as they were at the last :func:`reset`."""
    for change in range(s.notes[CHANGES] - 1, -1, -1):
        s.links[s.changes[change, 0], s.changes[change, 1]] = s.changes[change, 2]


@njit
def _sort(values: Ints, count: int) -> None:
    """Shell sort of the first ``count``."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@njit
def _segment(s: Segments, at: int) -> int:
    """The segment with position ``at``: that of the first cut not before it, or the first again behind the last."""
    count = s.notes[_CUTS]
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if s.cuts[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low if low < count else 0


@njit
def _root(s: Segments, subtour: int) -> int:
    while s.root[subtour] != subtour:
        subtour = s.root[subtour]
    return subtour


@njit
def find_subtours(s: Segments, tour: Ints) -> None:
    """Which segments make up one subtour."""
    n, count, now = len(s.place), s.notes[_CUTS], s.notes[_STAMP]
    _sort(s.cuts, count)
    for piece in range(count):
        s.subtour[piece] = -1
    found = 0
    for first in range(count):
        if s.subtour[first] >= 0:
            continue
        s.root[found], s.size[found] = found, 0
        piece, side = first, 1
        while s.subtour[piece] < 0:
            s.subtour[piece] = found
            begin = s.cuts[piece - 1 if piece > 0 else count - 1] + 1
            length = s.cuts[piece] - begin + 1
            s.size[found] += length if length > 0 else length + n
            # Leave by the right end or by the left one; the node there says at which of its sides one arrives.
            node = tour[s.cuts[piece] if side == 1 else (begin if begin < n else 0)]
            there = s.links[node, side]
            arrives = 0 if s.stamp[there, 0] == now and s.links[there, 0] == node else 1
            piece = _segment(s, s.place[there])
            side = 1 - arrives
        found += 1
    s.notes[_SUBTOURS] = found


@njit
def join_subtours(s: Segments, tour: Ints) -> tuple[float, bool]:
    """Join all subtours to one; what is gained, mostly less than nothing, and whether it could be done."""
    n, k = s.near.shape
    count = s.notes[_CUTS]
    gain = 0.0
    for _ in range(s.notes[_SUBTOURS] - 1):
        least, small = n + 1, -1
        for subtour in range(s.notes[_SUBTOURS]):
            if s.root[subtour] == subtour and s.size[subtour] < least:
                least, small = s.size[subtour], subtour
        best = -np.inf
        u = u2 = v = v2 = target = -1
        for piece in range(count):
            if _root(s, s.subtour[piece]) != small:
                continue
            at = s.cuts[piece - 1 if piece > 0 else count - 1] + 1
            length = s.cuts[piece] - at + 1
            if length <= 0:
                length += n
            for _ in range(length):
                if at >= n:
                    at -= n
                node = tour[at]
                at += 1
                for j in range(k):
                    there = s.near[node, j]
                    other = _root(s, s.subtour[_segment(s, s.place[there])])
                    if other == small:
                        continue
                    close = between(s.metric, node, there)
                    for side in range(2):
                        node2 = s.links[node, side]
                        if is_held(s.held, node, node2):
                            continue
                        open_ = between(s.metric, node, node2) - close
                        for side2 in range(2):
                            there2 = s.links[there, side2]
                            if is_held(s.held, there, there2):
                                continue
                            won = open_ + between(s.metric, there, there2) - between(s.metric, node2, there2)
                            if won > best:
                                best, u, u2, v, v2, target = won, node, node2, there, there2, other
        if u < 0:
            return 0.0, False
        _relink(s, u, u2, v)
        _relink(s, u2, u, v2)
        _relink(s, v, v2, u)
        _relink(s, v2, v, u2)
        _note(s, u, u2, -1)
        _note(s, v, v2, -1)
        _note(s, u, v, 1)
        _note(s, u2, v2, 1)
        gain += best
        s.root[small] = target
        s.size[target] += s.size[small]
    return gain, True


@njit
def write(s: Segments, tour: Ints) -> None:
    """``links`` into ``tour``."""
    before, node = -1, tour[0]
    for i in range(len(s.place)):
        tour[i] = node
        following = s.links[node, 1]
        # A side says no more where a node is entered once what lies before it was turned.
        if following == before:
            following = s.links[node, 0]
        before, node = node, following


@njit
def adopt(s: Segments, tour: Ints, removed: Ints, added: Ints) -> bool:
    """Exchange the edges ``removed [m, 2]`` of ``tour [n]`` for ``added [m, 2]``; whether that could be done.

    Every node loses as many edges as it gets. Subtours are joined, where that costs least.
    """
    load(s, tour)
    reset(s)
    for i in range(len(removed)):
        take_out(s, removed[i, 0], removed[i, 1])
    for i in range(len(added)):
        put_in(s, added[i, 0], added[i, 1])
    find_subtours(s, tour)
    _, done = join_subtours(s, tour)
    if done:
        write(s, tour)
    return done
