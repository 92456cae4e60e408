"""Iterated local search for the TSP, compiled: 3-opt moves found the Lin-Kernighan way, local double bridges as kicks.

The tour is an array with positions; every change is a reversal of a stretch of it, so it can be undone from a journal.
Sources: S. Lin, B. W. Kernighan, "An effective heuristic algorithm for the traveling-salesman problem", 1973 (gain
criterion); J. L. Bentley, "Fast algorithms for geometric traveling salesman problems", 1992 (neighbour lists, don't
look bits); O. Martin, S. W. Otto, E. W. Felten, "Large-step Markov chains for the TSP", 1991 (double bridge).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l2o.improve.metric import Metric, between
from l2o.improve.random import below, uniform
from l2o.improve.space import NONE, is_held
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_QUEUE_HEAD, _QUEUE_SIZE, _CHANGES, _WORK, _TOUCHED, _SAVED = range(6)
_CURRENT, _BEST, _LEAST = range(3)
_FLIP, _FLIP_FLIP, _TURN_BOTH, _EXCHANGE = range(4)
_DEPTH = 3
"""Moves of three exchanges each that one improvement may be made of."""
_LOOK = 100
"""Elementary operations that looking around one node takes, roughly."""
_LONGEST = 50
"""Nodes in each of the three stretches that a kick exchanges, at most."""
_JOURNAL = 1_000
"""Reversals after one kick that can be undone; the search around it ends before there are more."""


class Search(NamedTuple):
    """All that a search remembers between two calls; arrays, changed in place."""

    metric: Metric
    near: Ints
    """``[n, k]`` nearest neighbours, nearest first."""
    near_cost: Floats
    """``[n, k]`` what it costs to go there."""
    held: Ints
    """``[n, 2]`` neighbours that a node must keep, or -1; or ``[0, 2]`` where no edge is held."""
    tour: Ints
    position: Ints
    """``position[tour[i]] == i``."""
    best: Ints
    """The best tour, as far as it is saved (``notes[_SAVED]``); else ``tour`` itself is the best."""
    queue: Ints
    """A ring of nodes around which the tour may be improvable: the don't-look bits that are off."""
    queued: NDArray[np.bool_]
    touched: Ints
    """The nodes whose edges the move in hand changes."""
    journal: Ints
    """``[m, 2]`` the reversals since the last kick."""
    notes: Ints
    """Counters, see the names above."""
    costs: Floats
    """Cost of ``tour``, cost of the best tour, smallest gain that counts."""
    rng: NDArray[np.uint64]


def search(metric: Metric, near: Ints, tour: Ints, rng: NDArray[np.uint64], held: Ints = NONE) -> Search:
    """Everything set up for ``tour [n]``, which has the ``held`` edges, all nodes queued in its order."""
    n = len(tour)
    s = Search(
        metric=metric,
        near=near,
        near_cost=np.empty(near.shape),
        held=held,
        tour=tour.copy(),
        position=np.argsort(tour),
        best=tour.copy(),
        queue=tour.copy(),
        queued=np.ones(n, np.bool_),
        touched=np.empty(6 * _DEPTH, np.int64),
        journal=np.empty((_JOURNAL, 2), np.int64),
        notes=np.zeros(6, np.int64),
        costs=np.zeros(3),
        rng=rng,
    )
    s.notes[_QUEUE_SIZE] = n
    _measure(s)
    return s


def best(s: Search) -> Ints:
    """``[n]`` the best tour found so far."""
    return s.best if s.notes[_SAVED] else s.tour


def best_cost(s: Search) -> float:
    """Its cost, up to rounding errors of the sum of gains."""
    return float(s.costs[_BEST])


@njit
def _measure(s: Search) -> None:
    n, k = s.near.shape
    total = size = 0.0
    for i in range(n):
        leg = between(s.metric, s.tour[i - 1], s.tour[i])
        total, size = total + leg, size + abs(leg)
        for j in range(k):
            s.near_cost[i, j] = between(s.metric, i, s.near[i, j])
            size += abs(s.near_cost[i, j])
    s.costs[_CURRENT] = s.costs[_BEST] = total
    # What is less is rounding, which gains for ever. A tour may cost nothing, or less, when its legs are not so small.
    s.costs[_LEAST] = 1e-9 * size / (n * (k + 1))


@njit
def _push(s: Search, node: int) -> None:
    if not s.queued[node]:
        s.queued[node] = True
        n = len(s.tour)
        at = s.notes[_QUEUE_HEAD] + s.notes[_QUEUE_SIZE]
        s.queue[at if at < n else at - n] = node
        s.notes[_QUEUE_SIZE] += 1


@njit
def _pop(s: Search) -> int:
    head = s.notes[_QUEUE_HEAD]
    node = int(s.queue[head])
    s.notes[_QUEUE_HEAD] = head + 1 if head + 1 < len(s.tour) else 0
    s.notes[_QUEUE_SIZE] -= 1
    s.queued[node] = False
    return node


@njit
def _reverse(s: Search, i: int, j: int) -> None:
    """Reverse the stretch from position ``i`` forward to ``j``, or the rest of the ring where that is shorter."""
    tour, position = s.tour, s.position
    n = len(tour)
    length = j - i + 1
    if length <= 0:
        length += n
    if 2 * length > n:
        i, j = (j + 1 if j + 1 < n else 0), (i - 1 if i > 0 else n - 1)
        length = n - length
    s.notes[_WORK] += length
    for _ in range(length // 2):
        a, b = tour[i], tour[j]
        tour[i], position[b] = b, i
        tour[j], position[a] = a, j
        i = i + 1 if i + 1 < n else 0
        j = j - 1 if j > 0 else n - 1


@njit
def _change(s: Search, i: int, j: int) -> None:
    change = s.notes[_CHANGES]
    s.journal[change, 0], s.journal[change, 1] = i, j
    s.notes[_CHANGES] = change + 1
    _reverse(s, i, j)


@njit
def _undo(s: Search, down_to: int) -> None:
    for change in range(s.notes[_CHANGES] - 1, down_to - 1, -1):
        _reverse(s, int(s.journal[change, 0]), int(s.journal[change, 1]))
    s.notes[_CHANGES] = down_to


@njit
def _next(s: Search, node: int) -> int:
    at = s.position[node] + 1
    return int(s.tour[at if at < len(s.tour) else 0])


@njit
def _previous(s: Search, node: int) -> int:
    return int(s.tour[s.position[node] - 1])


@njit
def _two_opt(s: Search, a: int, b: int, c: int, d: int) -> None:
    """Replace the edges a-b and c-d by b-c and d-a."""
    if _next(s, a) == b:
        _change(s, int(s.position[b]), int(s.position[d]))
    else:
        _change(s, int(s.position[d]), int(s.position[b]))


@njit
def _swap(s: Search, a: int, b: int, c: int, d: int, before: int, after: int) -> None:
    """Exchange the neighbouring stretches a..b and c..d, which stand between ``before`` and ``after``, unturned."""
    _two_opt(s, before, a, after, d)
    _two_opt(s, before, d, b, c)
    _two_opt(s, d, b, after, a)


@njit
def _at(s: Search, p1: int, forward: bool, place: int) -> int:
    n = len(s.tour)
    at = p1 + 1 + place if forward else p1 - 1 - place
    if at >= n:
        at -= n
    elif at < 0:
        at += n
    return int(s.tour[at])


@njit
def _place(s: Search, p1: int, forward: bool, node: int) -> int:
    place = s.position[node] - p1 - 1 if forward else p1 - 1 - s.position[node]
    return int(place if place >= 0 else place + len(s.tour))


@njit
def _step(s: Search, t1: int, t2: int, gain: float) -> tuple[bool, float, int]:
    """Make the best sequential 3-opt move that begins by removing the edge t1-t2, for which ``gain`` is won.

    Returns whether the closed tour is better, by how much (or, if not, what is won before closing it), and the node
    at the open end, -1 if no move was found. Only partial sums that stay positive are followed (the gain criterion).
    """
    near, near_cost, metric = s.near, s.near_cost, s.metric
    n, k = near.shape
    least = s.costs[_LEAST]
    forward = _next(s, t1) == t2
    p1 = int(s.position[t1])
    best_closed = best_open = least
    closed_kind = open_kind = -1
    c3 = c4 = c5 = c6 = o3 = o4 = o5 = o6 = -1
    for k3 in range(k):
        t3 = int(near[t2, k3])
        g1 = gain - near_cost[t2, k3]
        if g1 <= least:
            break
        # Places are counted from t2, which is 0, to t1, which is n - 1.
        r3 = _place(s, p1, forward, t3)
        if r3 == 1 or r3 == n - 1:
            continue
        for side in range(2):
            r4 = r3 - 1 if side == 0 else r3 + 1
            t4 = _at(s, p1, forward, r4)
            if is_held(s.held, t3, t4):
                continue
            g2 = g1 + between(metric, t3, t4)
            if side == 0:
                closed = g2 - between(metric, t4, t1)
                if closed > best_closed:
                    best_closed, closed_kind = closed, _FLIP
                    c3, c4, c5, c6 = t3, t4, t4, t4
            for k5 in range(k):
                t5 = int(near[t4, k5])
                g3 = g2 - near_cost[t4, k5]
                if g3 <= least:
                    break
                r5 = _place(s, p1, forward, t5)
                if r5 == r3 or r5 == n - 1 or (side == 1 and r5 > r3):
                    continue
                for turn in range(side + 1):
                    if side == 0:
                        r6 = r5 + 1 if r5 < r4 else r5 - 1
                        kind = _FLIP_FLIP
                        if r6 == r4:
                            continue
                    elif turn == 0:
                        r6 = r5 + 1
                        kind = _EXCHANGE
                    else:
                        r6 = r5 - 1
                        kind = _TURN_BOTH
                        if r6 < 0:
                            continue
                    t6 = _at(s, p1, forward, r6)
                    if is_held(s.held, t5, t6):
                        continue
                    g4 = g3 + between(metric, t5, t6)
                    closed = g4 - between(metric, t6, t1)
                    if closed > best_closed:
                        best_closed, closed_kind = closed, kind
                        c3, c4, c5, c6 = t3, t4, t5, t6
                    if g4 > best_open:
                        best_open, open_kind = g4, kind
                        o3, o4, o5, o6 = t3, t4, t5, t6
    better = closed_kind >= 0
    if not better:
        if open_kind < 0:
            return False, 0.0, -1
        closed_kind, c3, c4, c5, c6 = open_kind, o3, o4, o5, o6
    if closed_kind <= _FLIP_FLIP:
        _two_opt(s, t1, t2, c3, c4)
        if closed_kind == _FLIP_FLIP:
            _two_opt(s, t1, c4, c5, c6)
    elif closed_kind == _TURN_BOTH:
        _two_opt(s, t1, t2, c5, c6)
        _two_opt(s, t2, c5, c4, c3)
    else:
        # Three stretches in a ring: exchanging any two of them gives the same tour, so spare the longest.
        one = _place(s, p1, forward, c6)
        two = _place(s, p1, forward, c3) + 1 - one
        if one >= two and one >= n - one - two:
            _swap(s, c6, c3, c4, t1, c5, t2)
        elif two >= n - one - two:
            _swap(s, c4, t1, t2, c5, c3, c6)
        else:
            _swap(s, t2, c5, c6, c3, t1, c4)
    for node in (t1, t2, c3, c4, c5, c6):
        s.touched[s.notes[_TOUCHED]] = node
        s.notes[_TOUCHED] += 1
    return better, best_closed if better else best_open, c6


@njit
def _improve_at(s: Search, node: int) -> bool:
    """Look for a better tour by removing an edge at ``node``; up to ``_DEPTH`` moves that do not yet pay are tried."""
    for side in range(2):
        t2 = _next(s, node) if side == 0 else _previous(s, node)
        if is_held(s.held, node, t2):
            continue
        gain = between(s.metric, node, t2)
        start = s.notes[_CHANGES]
        s.notes[_TOUCHED] = 0
        for _ in range(_DEPTH):
            better, gain, t2 = _step(s, node, t2, gain)
            if better:
                s.costs[_CURRENT] -= gain
                for i in range(s.notes[_TOUCHED]):
                    _push(s, s.touched[i])
                return True
            if t2 < 0:
                break
        _undo(s, start)
    return False


@njit
def descend(s: Search, work: int) -> bool:
    """Local search around the queued nodes for about ``work`` elementary operations, each about a nanosecond.

    Returns whether it is done: nothing is queued any more.
    """
    s.notes[_WORK] = 0
    while s.notes[_QUEUE_SIZE] > 0 and s.notes[_WORK] < work:
        s.notes[_WORK] += _LOOK
        s.notes[_CHANGES] = 0
        _improve_at(s, _pop(s))
    s.costs[_BEST] = s.costs[_CURRENT]
    return bool(s.notes[_QUEUE_SIZE] == 0)


@njit
def _double_bridge(s: Search, end_a: int) -> None:
    """Exchange three short stretches behind a place: A B C D becomes A D C B, without turning any of them.

    Nothing is done where that would break an edge that is held.
    """
    tour = s.tour
    n = len(tour)
    longest = min(_LONGEST, (n - 1) // 3)
    end_b = end_a + 1 + below(s.rng, longest)
    end_c = end_b + 1 + below(s.rng, longest)
    end_d = end_c + 1 + below(s.rng, longest)
    a2, b1 = int(tour[end_a]), int(tour[(end_a + 1) % n])
    b2, c1 = int(tour[end_b % n]), int(tour[(end_b + 1) % n])
    c2, d1 = int(tour[end_c % n]), int(tour[(end_c + 1) % n])
    d2, a1 = int(tour[end_d % n]), int(tour[(end_d + 1) % n])
    if is_held(s.held, a2, b1) or is_held(s.held, b2, c1) or is_held(s.held, c2, d1) or is_held(s.held, d2, a1):
        return
    m = s.metric
    removed = between(m, a2, b1) + between(m, b2, c1) + between(m, c2, d1) + between(m, d2, a1)
    added = between(m, a2, d1) + between(m, d2, c1) + between(m, c2, b1) + between(m, b2, a1)
    s.costs[_CURRENT] += added - removed
    _two_opt(s, a2, b1, a1, d2)
    _two_opt(s, a2, d2, c2, d1)
    _two_opt(s, d2, c2, b2, c1)
    _two_opt(s, c2, b2, a1, b1)
    for node in (a2, b1, b2, c1, c2, d1, d2, a1):
        _push(s, node)


@njit
def kick(s: Search, place: int, heat: float) -> None:
    """Kick the tour behind ``place``, search around the kick, and keep the new tour or undo it all.

    A worse tour is kept with the probability that simulated annealing gives it at temperature ``heat``. The best tour
    is saved when it is about to be left for a worse one, which is refused that time.
    """
    before = s.costs[_CURRENT]
    s.notes[_CHANGES] = 0
    _double_bridge(s, place)
    while s.notes[_QUEUE_SIZE] > 0 and s.notes[_CHANGES] < _JOURNAL - 4 * _DEPTH:
        _improve_at(s, _pop(s))
    after = s.costs[_CURRENT]
    if after > before:
        keep = after < before - heat * np.log(1.0 - uniform(s.rng))
        leaving_best = before <= s.costs[_BEST] and not s.notes[_SAVED]
        if not keep or leaving_best:
            _undo(s, 0)
            s.costs[_CURRENT] = before
            if keep:
                _copy(s.tour, s.best)
                s.notes[_SAVED] = 1
    elif after < s.costs[_BEST]:
        s.costs[_BEST] = after
        s.notes[_SAVED] = 0


@njit
def kicks(s: Search, count: int, heat: float) -> None:
    """So many, each at a random place."""
    for _ in range(count):
        kick(s, below(s.rng, len(s.tour)), heat)


@njit
def _copy(source: Ints, target: Ints) -> None:
    for i in range(len(source)):
        target[i] = source[i]
