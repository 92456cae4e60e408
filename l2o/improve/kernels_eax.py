"""Edge assembly crossover for the TSP, compiled: children that take a few edges of one parent into the other.

Source: Y. Nagata, S. Kobayashi, "A powerful genetic algorithm using edge assembly crossover for the traveling salesman
problem", INFORMS Journal on Computing 25(2), 2013: sections 2.2 (AB-cycles), 3.1 (the localised form with single
cycles), 3.3 (selection that preserves the entropy of the population's edges).

Edges that only one parent has form cycles of alternately an edge of A and one of B. A child is A with the edges of one
such cycle exchanged, and with the subtours that this may leave joined again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l2o.improve.kernels_segments import (
    CHANGES,
    EDGES,
    Segments,
    find_subtours,
    join_subtours,
    load,
    put_in,
    reset,
    segments,
    take_out,
    undo,
    write,
)
from l2o.improve.metric import Metric, between
from l2o.improve.random import State, below
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_A, _B = 0, 1
_TINY = 1e-12


class Workspace(NamedTuple):
    """Room for one crossover at a time; arrays, changed in place."""

    segments: Segments
    """Parent A, and the child."""
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
    kept: Ints
    """``[m, 3]`` node, side, and what stands there in the best child so far."""
    kept_edges: Ints
    rng: State


def workspace(metric: Metric, near: Ints, held: Ints, rng: State) -> Workspace:
    """Room for tours of all nodes."""
    n = len(near)
    room = segments(metric, near, held)
    return Workspace(
        segments=room,
        differ=np.empty((2, n, 2), np.int64),
        degree=np.empty((2, n), np.int64),
        path=np.empty(2 * n + 1, np.int64),
        left=np.full((n, 2), -1, np.int64),
        cycles=np.empty(2 * n, np.int64),
        begins=np.empty(n + 1, np.int64),
        order=np.empty(n, np.int64),
        kept=np.empty_like(room.changes),
        kept_edges=np.empty_like(room.edges),
        rng=rng,
    )


@njit
def _read(w: Workspace, a: Ints, b: Ints) -> int:
    """Parent A into the segments, what is different into ``differ``; how many edges of A these are."""
    n, links = len(a), w.segments.links
    load(w.segments, a)
    count = 0
    for i in range(n):
        node = b[i]
        one, two = b[i - 1], b[i + 1 if i + 1 < n else 0]
        mine = other = 0
        for side in range(2):
            v = links[node, side]
            if v != one and v != two:
                w.differ[_A, node, mine] = v
                mine += 1
        for side in range(2):
            v = one if side == 0 else two
            if v != links[node, 0] and v != links[node, 1]:
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
def _find_cycles(w: Workspace) -> int:
    """Walk along edges of A and B in turn, chosen at random; cut a cycle out as soon as the walk closes one.

    How many there are.
    """
    n = len(w.order)
    w.begins[0] = 0
    filled = found = 0
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
                found += 1
                w.begins[found] = filled
                length = begin
                if length == 0:
                    break
    return found


@njit
def _exchange(w: Workspace, cycle: int) -> float:
    """Exchange the edges of a cycle; what is gained."""
    s = w.segments
    begin, end = w.begins[cycle], w.begins[cycle + 1]
    reset(s)
    gain = 0.0
    for i in range(begin, end, 2):
        one, two = w.cycles[i], w.cycles[i + 1]
        gain += between(s.metric, one, two)
        take_out(s, one, two)
    for i in range(begin + 1, end, 2):
        one, two = w.cycles[i], w.cycles[i + 1 if i + 1 < end else begin]
        gain -= between(s.metric, one, two)
        put_in(s, one, two)
    return gain


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
    s = w.segments
    total = 0.0
    for edge in range(s.notes[EDGES]):
        one, two, sign = s.edges[edge, 0], s.edges[edge, 1], s.edges[edge, 2]
        j = _column(s.near, one, two)
        if j >= 0:
            before = float(frequency[one, j])
        else:
            one, two = two, one
            j = _column(s.near, one, two)
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
    s, tour, number = w.segments, tours[a], len(costs)
    won = best = 0.0
    changes = edges = 0
    if _read(w, tour, tours[b]) > 0:
        cycles = _find_cycles(w)
        for i in range(cycles):
            w.order[i] = i
        for i in range(min(children, cycles)):
            j = i + below(w.rng, cycles - i)
            w.order[i], w.order[j] = w.order[j], w.order[i]
            gain = _exchange(w, w.order[i])
            find_subtours(s, tour)
            joined, done = join_subtours(s, tour)
            gain += joined
            if done and gain > _TINY * costs[a]:
                lost = -_entropy(w, frequency, number)
                value = gain / max(lost, _TINY)
                if value > best:
                    best, won = value, gain
                    changes, edges = s.notes[CHANGES], s.notes[EDGES]
                    for change in range(changes):
                        node, side = s.changes[change, 0], s.changes[change, 1]
                        w.kept[change, 0], w.kept[change, 1], w.kept[change, 2] = node, side, s.links[node, side]
                    for edge in range(edges):
                        for column in range(3):
                            w.kept_edges[edge, column] = s.edges[edge, column]
            undo(s)
    if won <= 0.0:
        return False
    for change in range(changes):
        s.links[w.kept[change, 0], w.kept[change, 1]] = w.kept[change, 2]
    for edge in range(edges):
        _count(frequency, s.near, w.kept_edges[edge, 0], w.kept_edges[edge, 1], w.kept_edges[edge, 2])
    costs[a] -= won
    write(s, tour)
    return True
