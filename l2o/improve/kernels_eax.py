"""Edge assembly crossover for the TSP, compiled: children that take a few edges of one parent into the other.

Source: Y. Nagata, S. Kobayashi, "A powerful genetic algorithm using edge assembly crossover for the traveling salesman
problem", INFORMS Journal on Computing 25(2), 2013: sections 2.2 (AB-cycles), 3.1 (the localised form with single
cycles), 3.3 (selection that preserves the entropy of the population's edges).

Edges that only one parent has form cycles of alternately an edge of A and one of B. A child is A with the edges of one
such cycle exchanged; the subtours that this may leave are joined again, the smallest first, where it costs least. All
that is done to A is written down and undone, so a child costs as much as it changes, not as many nodes as there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l2o.improve.metric import Metric, between
from l2o.improve.random import State, below
from l2o.improve.space import is_held
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_CYCLES, _CHANGES, _EDGES, _STAMP, _SUBTOURS, _CUTS = range(6)
_A, _B = 0, 1
_OPEN = -1
_TINY = 1e-12


class Workspace(NamedTuple):
    """Room for one crossover at a time; arrays, changed in place."""

    metric: Metric
    near: Ints
    """``[n, k]`` nearest neighbours: where subtours may be joined."""
    held: Ints
    """``[n, 2]`` neighbours that a node must keep, or -1; or ``[0, 2]`` where no edge is held."""
    links: Ints
    """``[n, 2]`` the node before and the one behind each node in parent A, and what it is next to in the child."""
    place: Ints
    """``[n]`` positions of the nodes in parent A."""
    differ: Ints
    """``[2, n, 2]`` the edges of A and of B that the other does not have, as far as they are in no cycle yet."""
    degree: Ints
    """``[2, n]`` how many these are at each node."""
    path: Ints
    """``[2 n + 1]`` nodes of the walk that looks for cycles."""
    left: Ints
    """``[n, 2]`` where in that walk a node was left by an edge of A, by one of B; -1 if it was not."""
    cycles: Ints
    """``[2 n]`` nodes of all cycles, one after the other, each beginning with an edge of A."""
    begins: Ints
    """``[n + 1]`` where each begins, and where the last ends."""
    order: Ints
    """``[n]`` cycles in the order of trying."""
    stamp: Ints
    """``[n, 2]`` for which child that side of a node was last changed."""
    cuts: Ints
    """``[n]`` positions behind which A is cut, in order; a segment reaches from behind one to the next."""
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
    kept: Ints
    """``[m, 3]`` node, side, and what stands there in the best child so far."""
    kept_edges: Ints
    notes: Ints
    """Counters, see the names above."""
    rng: State


def workspace(metric: Metric, near: Ints, held: Ints, rng: State, *, cuts: int | None = None) -> Workspace:
    """Room for tours of all nodes, and for children with so many ``cuts``; None: for any."""
    n = len(near)
    most = 8 * (n if cuts is None else cuts) + 64
    return Workspace(
        metric=metric,
        near=near,
        held=held,
        links=np.empty((n, 2), np.int64),
        place=np.empty(n, np.int64),
        differ=np.empty((2, n, 2), np.int64),
        degree=np.empty((2, n), np.int64),
        path=np.empty(2 * n + 1, np.int64),
        left=np.full((n, 2), -1, np.int64),
        cycles=np.empty(2 * n, np.int64),
        begins=np.empty(n + 1, np.int64),
        order=np.empty(n, np.int64),
        stamp=np.zeros((n, 2), np.int64),
        cuts=np.empty(n, np.int64),
        subtour=np.empty(n, np.int64),
        root=np.empty(n, np.int64),
        size=np.empty(n, np.int64),
        changes=np.empty((most, 3), np.int64),
        edges=np.empty((most, 3), np.int64),
        kept=np.empty((most, 3), np.int64),
        kept_edges=np.empty((most, 3), np.int64),
        notes=np.zeros(6, np.int64),
        rng=rng,
    )


@njit
def _load(w: Workspace, tours: Ints, a: int) -> None:
    n = len(w.place)
    for i in range(n):
        node = tours[a, i]
        w.place[node] = i
        w.links[node, 0] = tours[a, i - 1]
        w.links[node, 1] = tours[a, i + 1 if i + 1 < n else 0]


@njit
def _read(w: Workspace, tours: Ints, a: int, b: int) -> int:
    """Parent A into ``links`` and ``place``, what is different into ``differ``; how many edges of A these are."""
    n = len(w.place)
    _load(w, tours, a)
    count = 0
    for i in range(n):
        node = tours[b, i]
        one, two = tours[b, i - 1], tours[b, i + 1 if i + 1 < n else 0]
        mine = other = 0
        for side in range(2):
            v = w.links[node, side]
            if v != one and v != two:
                w.differ[_A, node, mine] = v
                mine += 1
        for side in range(2):
            v = one if side == 0 else two
            if v != w.links[node, 0] and v != w.links[node, 1]:
                w.differ[_B, node, other] = v
                other += 1
        w.degree[_A, node], w.degree[_B, node] = mine, other
        count += mine
    return count // 2


@njit
def _drop(w: Workspace, kind: int, node: int, neighbour: int) -> None:
    last = w.degree[kind, node] - 1
    if w.differ[kind, node, 0] == neighbour:
        w.differ[kind, node, 0] = w.differ[kind, node, last]
    w.degree[kind, node] = last


@njit
def _find_cycles(w: Workspace) -> None:
    """Walk along edges of A and B in turn, chosen at random; cut a cycle out as soon as the walk closes one."""
    n = len(w.place)
    w.notes[_CYCLES] = 0
    w.begins[0] = 0
    filled = 0
    for start in range(n):
        while w.degree[_A, start] > 0:
            # Edges of the walk: the one behind path[i] is of A where i is even.
            length = 0
            w.path[0] = start
            while True:
                node = w.path[length]
                kind = length % 2
                w.left[node, kind] = length
                neighbour = w.differ[kind, node, below(w.rng, w.degree[kind, node])]
                _drop(w, kind, node, neighbour)
                _drop(w, kind, neighbour, node)
                length += 1
                w.path[length] = neighbour
                # Reached by an edge of this kind: if it was left by one of the other, that was the begin of a cycle.
                begin = w.left[neighbour, 1 - kind]
                if begin < 0:
                    continue
                shift = begin % 2
                for i in range(begin, length):
                    # A cycle that begins with an edge of B is told from its second node on.
                    at = i + shift
                    w.cycles[filled + i - begin] = w.path[at if at < length else begin]
                    w.left[w.path[i], i % 2] = -1
                filled += length - begin
                w.notes[_CYCLES] += 1
                w.begins[w.notes[_CYCLES]] = filled
                length = begin
                if length == 0:
                    break


@njit
def _relink(w: Workspace, node: int, old: int, new: int) -> None:
    side = 0 if w.links[node, 0] == old else 1
    change = w.notes[_CHANGES]
    w.changes[change, 0], w.changes[change, 1], w.changes[change, 2] = node, side, old
    w.notes[_CHANGES] = change + 1
    w.stamp[node, side] = w.notes[_STAMP]
    w.links[node, side] = new


@njit
def _note(w: Workspace, one: int, two: int, sign: int) -> None:
    edge = w.notes[_EDGES]
    w.edges[edge, 0], w.edges[edge, 1], w.edges[edge, 2] = one, two, sign
    w.notes[_EDGES] = edge + 1


@njit
def _take_out(w: Workspace, one: int, two: int) -> None:
    """Cut parent A between two nodes."""
    w.cuts[w.notes[_CUTS]] = w.place[one if w.links[one, 1] == two else two]
    w.notes[_CUTS] += 1
    _relink(w, one, two, _OPEN)
    _relink(w, two, one, _OPEN)
    _note(w, one, two, -1)


@njit
def _put_in(w: Workspace, one: int, two: int) -> None:
    w.links[one, 0 if w.links[one, 0] == _OPEN else 1] = two
    w.links[two, 0 if w.links[two, 0] == _OPEN else 1] = one
    _note(w, one, two, 1)


@njit
def _begin(w: Workspace) -> None:
    """A new child."""
    w.notes[_STAMP] += 1
    w.notes[_CHANGES] = w.notes[_EDGES] = w.notes[_CUTS] = 0


@njit
def _undo(w: Workspace) -> None:
    for change in range(w.notes[_CHANGES] - 1, -1, -1):
        w.links[w.changes[change, 0], w.changes[change, 1]] = w.changes[change, 2]


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
def _segment(w: Workspace, at: int) -> int:
    """The segment with position ``at``: that of the first cut not before it, or the first again behind the last."""
    count = w.notes[_CUTS]
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if w.cuts[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low if low < count else 0


@njit
def _root(w: Workspace, subtour: int) -> int:
    while w.root[subtour] != subtour:
        subtour = w.root[subtour]
    return subtour


@njit
def _exchange(w: Workspace, cycle: int) -> float:
    """Exchange the edges of a cycle in ``links``; what is gained."""
    begin, end = w.begins[cycle], w.begins[cycle + 1]
    _begin(w)
    gain = 0.0
    for i in range(begin, end, 2):
        one, two = w.cycles[i], w.cycles[i + 1]
        gain += between(w.metric, one, two)
        _take_out(w, one, two)
    for i in range(begin + 1, end, 2):
        one, two = w.cycles[i], w.cycles[i + 1 if i + 1 < end else begin]
        gain -= between(w.metric, one, two)
        _put_in(w, one, two)
    return gain


@njit
def _trace(w: Workspace, tours: Ints, a: int) -> None:
    """Which segments make up one subtour."""
    n, count, now = len(w.place), w.notes[_CUTS], w.notes[_STAMP]
    _sort(w.cuts, count)
    for s in range(count):
        w.subtour[s] = -1
    found = 0
    for first in range(count):
        if w.subtour[first] >= 0:
            continue
        w.root[found], w.size[found] = found, 0
        s, side = first, 1
        while w.subtour[s] < 0:
            w.subtour[s] = found
            begin = w.cuts[s - 1 if s > 0 else count - 1] + 1
            length = w.cuts[s] - begin + 1
            w.size[found] += length if length > 0 else length + n
            # Leave by the right end or by the left one; the node there says at which of its sides one arrives.
            node = tours[a, w.cuts[s] if side == 1 else (begin if begin < n else 0)]
            there = w.links[node, side]
            arrives = 0 if w.stamp[there, 0] == now and w.links[there, 0] == node else 1
            s = _segment(w, w.place[there])
            side = 1 - arrives
        found += 1
    w.notes[_SUBTOURS] = found


@njit
def _join(w: Workspace, tours: Ints, a: int) -> tuple[float, bool]:
    """Join all subtours to one; what is gained, mostly less than nothing, and whether it could be done."""
    n, k = w.near.shape
    count = w.notes[_CUTS]
    gain = 0.0
    for _ in range(w.notes[_SUBTOURS] - 1):
        least, small = n + 1, -1
        for subtour in range(w.notes[_SUBTOURS]):
            if w.root[subtour] == subtour and w.size[subtour] < least:
                least, small = w.size[subtour], subtour
        best = -np.inf
        u = u2 = v = v2 = target = -1
        for s in range(count):
            if _root(w, w.subtour[s]) != small:
                continue
            at = w.cuts[s - 1 if s > 0 else count - 1] + 1
            length = w.cuts[s] - at + 1
            if length <= 0:
                length += n
            for _ in range(length):
                if at >= n:
                    at -= n
                node = tours[a, at]
                at += 1
                for j in range(k):
                    there = w.near[node, j]
                    other = _root(w, w.subtour[_segment(w, w.place[there])])
                    if other == small:
                        continue
                    close = between(w.metric, node, there)
                    for side in range(2):
                        node2 = w.links[node, side]
                        if is_held(w.held, node, node2):
                            continue
                        open_ = between(w.metric, node, node2) - close
                        for side2 in range(2):
                            there2 = w.links[there, side2]
                            if is_held(w.held, there, there2):
                                continue
                            won = open_ + between(w.metric, there, there2) - between(w.metric, node2, there2)
                            if won > best:
                                best, u, u2, v, v2, target = won, node, node2, there, there2, other
        if u < 0:
            return 0.0, False
        _relink(w, u, u2, v)
        _relink(w, u2, u, v2)
        _relink(w, v, v2, u)
        _relink(w, v2, v, u2)
        _note(w, u, u2, -1)
        _note(w, v, v2, -1)
        _note(w, u, v, 1)
        _note(w, u2, v2, 1)
        gain += best
        w.root[small] = target
        w.size[target] += w.size[small]
    return gain, True


@njit
def _column(near: Ints, node: int, other: int) -> int:
    for j in range(near.shape[1]):
        if near[node, j] == other:
            return j
    return -1


@njit
def _count(frequency: Ints, near: Ints, one: int, two: int, more: int) -> None:
    j = _column(near, one, two)
    if j >= 0:
        frequency[one, j] += more
    j = _column(near, two, one)
    if j >= 0:
        frequency[two, j] += more


@njit
def count_edges(frequency: Ints, near: Ints, tours: Ints, number: int) -> None:
    """``frequency [n, k]``: how many of the first ``number`` of ``tours`` go between a node and each neighbour."""
    n = len(near)
    for i in range(n):
        for j in range(near.shape[1]):
            frequency[i, j] = 0
    for t in range(number):
        for i in range(n):
            _count(frequency, near, tours[t, i - 1], tours[t, i], 1)


@njit
def _entropy(w: Workspace, frequency: Ints, number: int) -> float:
    """By how much the entropy of the population's edges changes if the child takes the place of A (eq. 6)."""
    total = 0.0
    for edge in range(w.notes[_EDGES]):
        one, two, sign = w.edges[edge, 0], w.edges[edge, 1], w.edges[edge, 2]
        j = _column(w.near, one, two)
        if j >= 0:
            before = float(frequency[one, j])
        else:
            one, two = two, one
            j = _column(w.near, one, two)
            # Edges to distant nodes are as good as unique.
            before = float(frequency[one, j]) if j >= 0 else (1.0 if sign < 0 else 0.0)
        after = before + sign
        if before > 0:
            total += before / number * np.log(before / number)
        if after > 0:
            total -= after / number * np.log(after / number)
    return total


@njit
def cross(w: Workspace, tours: Ints, costs: Floats, frequency: Ints, a: int, b: int, children: int) -> bool:
    """Put the best child of tour ``a`` with single cycles of tour ``b`` in the place of ``a``; whether there is one.

    Best is what is gained for each unit of entropy that the population loses, which are the first of ``tours`` with
    ``costs [N]``; only children that cost less than A count. Costs and ``frequency``, see :func:`count_edges`, follow.
    """
    number = len(costs)
    won = best = 0.0
    changes = edges = 0
    if _read(w, tours, a, b) > 0:
        _find_cycles(w)
        cycles = w.notes[_CYCLES]
        for i in range(cycles):
            w.order[i] = i
        for i in range(min(children, cycles)):
            j = i + below(w.rng, cycles - i)
            w.order[i], w.order[j] = w.order[j], w.order[i]
            gain = _exchange(w, w.order[i])
            _trace(w, tours, a)
            joined, done = _join(w, tours, a)
            gain += joined
            if done and gain > _TINY * costs[a]:
                lost = -_entropy(w, frequency, number)
                value = gain / max(lost, _TINY)
                if value > best:
                    best, won = value, gain
                    changes, edges = w.notes[_CHANGES], w.notes[_EDGES]
                    for change in range(changes):
                        node, side = w.changes[change, 0], w.changes[change, 1]
                        w.kept[change, 0], w.kept[change, 1], w.kept[change, 2] = node, side, w.links[node, side]
                    for edge in range(edges):
                        for column in range(3):
                            w.kept_edges[edge, column] = w.edges[edge, column]
            _undo(w)
    if won <= 0.0:
        return False
    for change in range(changes):
        w.links[w.kept[change, 0], w.kept[change, 1]] = w.kept[change, 2]
    for edge in range(edges):
        _count(frequency, w.near, w.kept_edges[edge, 0], w.kept_edges[edge, 1], w.kept_edges[edge, 2])
    costs[a] -= won
    _write(w, tours, a)
    return True


@njit
def _write(w: Workspace, tours: Ints, a: int) -> None:
    """``links`` as a tour in the place of ``a``."""
    before, node = -1, tours[a, 0]
    for i in range(len(w.place)):
        tours[a, i] = node
        following = w.links[node, 1]
        # A side says no more where a node is entered once a child has turned what lies before it.
        if following == before:
            following = w.links[node, 0]
        before, node = node, following


@njit
def adopt(w: Workspace, tours: Ints, a: int, removed: Ints, added: Ints) -> bool:
    """Exchange the edges ``removed [m, 2]`` of tour ``a`` for ``added [m, 2]``; whether that could be done.

    Every node loses as many edges as it gets. Subtours are joined, where that costs least.
    """
    _load(w, tours, a)
    _begin(w)
    for i in range(len(removed)):
        _take_out(w, removed[i, 0], removed[i, 1])
    for i in range(len(added)):
        _put_in(w, added[i, 0], added[i, 1])
    _trace(w, tours, a)
    _, done = _join(w, tours, a)
    if done:
        _write(w, tours, a)
    return done
