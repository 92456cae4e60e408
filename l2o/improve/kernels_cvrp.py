"""Ruin and recreate for the CVRP, compiled: slack induction by string removals, with simulated annealing.

Source: J. Christiaens, G. Vanden Berghe, "Slack induction by string removals for vehicle routing problems",
Transportation Science 54(2), 2020. Unlike there, a customer is first offered the places beside its near neighbours, and
all places only if none of these has room; recreating ends as soon as it has become too dear to be kept; and what a ruin
changed is undone from a journal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l2o.improve.metric import Metric, between
from l2o.improve.random import below, uniform
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_CHANGES, _ABSENT, _EMPTY, _USED, _RUIN, _SAVED, _SEEN = range(7)
_CURRENT, _BEST, _CAPACITY = range(3)
_REMOVED = 10.0
"""Customers that a ruin removes, on average."""
_LONGEST = 10.0
"""Customers in one removed string, at most."""
_SPLIT = 0.5
"""How often a string is removed in two parts."""
_WIDEN = 0.01
"""How often the part kept between them grows by one more."""
_BLINK = 0.01
"""How often a place is overlooked."""
_BESIDE = 20
"""Near neighbours beside which a customer may be put."""


class Search(NamedTuple):
    """All that a search remembers between two calls; arrays, changed in place.

    Routes are rings: stop ``n + r`` is the depot as the beginning and the end of route ``r``. Customers keep their
    numbers, and there are as many routes as nodes, most of them empty. A customer may be a whole path, which is entered
    at one of its ends and left at the other, this way round or that.
    """

    metric: Metric
    near: Ints
    """``[n, k]`` nearest other nodes, nearest first."""
    demand: Floats
    enter: Ints
    """``[2 n]`` the node at which a stop is reached; the depot's is 0."""
    leave: Ints
    """``[2 n]`` the node from which one goes on."""
    after: Ints
    """``[2 n]`` the next stop."""
    before: Ints
    """``[2 n]`` the stop before."""
    leg: Floats
    """``[2 n]`` what it costs to go from a stop to the next."""
    route: Ints
    """``[2 n]`` the route of a stop, -1 for a customer that was removed."""
    load: Floats
    size: Ints
    best: Ints
    """``[2 n]`` the best ``after``, as far as it is saved (``notes[_SAVED]``); else ``after`` itself is the best."""
    best_enter: Ints
    best_leave: Ints
    ruined: Ints
    """``[n]`` the last ruin that removed something from the route."""
    empty: Ints
    """A stack that holds all empty routes, and perhaps some that are not empty any more."""
    stacked: NDArray[np.bool_]
    absent: Ints
    """Customers removed and not yet put back."""
    key: Floats
    """By what these are sorted."""
    journal: Ints
    """``[m, 3]`` a customer, the stop behind which it was removed, or -1 if it was put in, and where it was entered."""
    notes: Ints
    """Counters, see the names above."""
    costs: Floats
    """Cost of the routes, cost of the best ones, capacity."""
    rng: NDArray[np.uint64]


def search(
    metric: Metric,
    near: Ints,
    demand: Floats,
    capacity: float,
    routes: list[list[int]],
    rng: NDArray[np.uint64],
    paths: Ints | None = None,
) -> Search:
    """Everything set up for ``routes`` of customers, none of them empty.

    ``paths [n, 2]`` are the nodes at which each customer is entered and left, to begin with; None: customers are nodes.
    """
    n = len(demand)
    ring = np.arange(2 * n)
    ends = np.zeros((2 * n, 2), np.int64)
    ends[:n] = np.arange(n)[:, None] if paths is None else paths
    enter, leave = np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1])
    s = Search(
        metric=metric,
        near=near,
        demand=demand,
        enter=enter,
        leave=leave,
        after=ring.copy(),
        before=ring.copy(),
        leg=np.zeros(2 * n),
        route=np.concatenate([np.full(n, -1), np.arange(n)]),
        load=np.zeros(n),
        size=np.zeros(n, np.int64),
        best=ring.copy(),
        best_enter=enter.copy(),
        best_leave=leave.copy(),
        ruined=np.zeros(n, np.int64),
        empty=np.arange(n)[::-1].copy(),
        stacked=np.ones(n, np.bool_),
        absent=np.empty(n, np.int64),
        key=np.empty(n),
        journal=np.empty((2 * n, 3), np.int64),
        notes=np.array([0, 0, n, 0, 0, 0, int(1 / _BLINK)]),
        costs=np.array([0.0, 0.0, capacity]),
        rng=rng,
    )
    sizes = [len(route) for route in routes]
    _fill(s, np.concatenate(routes), np.repeat(np.arange(len(routes)), sizes))
    return s


def best(s: Search) -> list[list[int]]:
    """The best routes of nodes found so far."""
    n = len(s.demand)
    kept = (s.best, s.best_enter, s.best_leave) if s.notes[_SAVED] else (s.after, s.enter, s.leave)
    after, enter, leave = (array.tolist() for array in kept)
    routes = []
    for depot in range(n, 2 * n):
        if after[depot] != depot:
            route = []
            stop = after[depot]
            while stop < n:
                route += [enter[stop]] if enter[stop] == leave[stop] else [enter[stop], leave[stop]]
                stop = after[stop]
            routes.append(route)
    return routes


def best_cost(s: Search) -> float:
    """Their cost, up to rounding errors of the sum of changes."""
    return float(s.costs[_BEST])


@njit
def _fill(s: Search, customers: Ints, routes: Ints) -> None:
    n = len(s.demand)
    for i in range(len(customers)):
        c, depot = customers[i], n + routes[i]
        last = s.before[depot]
        s.costs[_CURRENT] += _leg(s, last, c) + _leg(s, c, depot) - s.leg[last]
        _put(s, c, last)
    s.costs[_BEST] = s.costs[_CURRENT]


@njit
def _leg(s: Search, a: int, b: int) -> float:
    return between(s.metric, s.leave[a], s.enter[b])


@njit
def _put(s: Search, c: int, a: int) -> None:
    """Let customer ``c`` follow stop ``a``."""
    b, r = s.after[a], s.route[a]
    s.after[a] = s.before[b] = c
    s.before[c], s.after[c], s.route[c] = a, b, r
    s.leg[a], s.leg[c] = _leg(s, a, c), _leg(s, c, b)
    s.load[r] += s.demand[c]
    s.size[r] += 1
    if s.size[r] == 1:
        s.notes[_USED] += 1


@njit
def _take(s: Search, c: int) -> None:
    """Take customer ``c`` out of its route."""
    a, b, r = s.before[c], s.after[c], s.route[c]
    s.after[a], s.before[b], s.route[c] = b, a, -1
    s.leg[a] = 0.0 if a == b else _leg(s, a, b)
    s.load[r] -= s.demand[c]
    s.size[r] -= 1
    if s.size[r] == 0:
        s.load[r] = 0.0
        s.notes[_USED] -= 1
        if not s.stacked[r]:
            s.stacked[r] = True
            s.empty[s.notes[_EMPTY]] = r
            s.notes[_EMPTY] += 1


@njit
def _note(s: Search, c: int, behind: int) -> None:
    change = s.notes[_CHANGES]
    s.journal[change, 0], s.journal[change, 1], s.journal[change, 2] = c, behind, s.enter[c]
    s.notes[_CHANGES] += 1


@njit
def _turn(s: Search, c: int) -> None:
    s.enter[c], s.leave[c] = s.leave[c], s.enter[c]


@njit
def _undo(s: Search) -> None:
    for i in range(s.notes[_CHANGES] - 1, -1, -1):
        c, behind = s.journal[i, 0], s.journal[i, 1]
        if behind < 0:
            _take(s, c)
        else:
            if s.enter[c] != s.journal[i, 2]:
                _turn(s, c)
            _put(s, c, behind)


@njit
def _remove(s: Search, c: int) -> None:
    a = s.before[c]
    s.costs[_CURRENT] -= s.leg[a] + s.leg[c]
    _note(s, c, a)
    _take(s, c)
    s.costs[_CURRENT] += s.leg[a]
    s.absent[s.notes[_ABSENT]] = c
    s.notes[_ABSENT] += 1


@njit
def _remove_string(s: Search, c: int, length: int) -> None:
    """Remove ``length`` customers around ``c`` from its route, in one string or in two with some kept between."""
    n = len(s.demand)
    size = s.size[s.route[c]]
    kept = 0
    if length > 1 and length < size and uniform(s.rng) < _SPLIT:
        kept = 1
        while length + kept < size and uniform(s.rng) < _WIDEN:
            kept += 1
    span = length + kept
    # How many customers stand before c in the route, and after it, as far as that matters.
    left = right = 0
    first = c
    while left < span - 1 and s.before[first] < n:
        first = s.before[first]
        left += 1
    stop = c
    while right < span - 1 and s.after[stop] < n:
        stop = s.after[stop]
        right += 1
    # The string begins ``back`` customers before c; it must not reach beyond either end of the route.
    least = max(0, span - 1 - right)
    back = least + below(s.rng, left - least + 1)
    for _ in range(left - back):
        first = s.after[first]
    begin = 1 + below(s.rng, length - 1) if kept > 0 else span
    stop = first
    for i in range(span):
        following = s.after[stop]
        if i < begin or i >= begin + kept:
            _remove(s, stop)
        stop = following


@njit
def _ruin(s: Search) -> None:
    n, k = s.near.shape
    s.notes[_RUIN] += 1
    longest = min(_LONGEST, (n - 1) / s.notes[_USED])
    strings = 1 + int(uniform(s.rng) * (4.0 * _REMOVED / (1.0 + longest) - 1.0))
    seed = 1 + below(s.rng, n - 1)
    for i in range(-1, k):
        c = seed if i < 0 else s.near[seed, i]
        r = s.route[c] if c > 0 else -1
        if r < 0 or s.ruined[r] == s.notes[_RUIN]:
            continue
        s.ruined[r] = s.notes[_RUIN]
        _remove_string(s, c, 1 + int(uniform(s.rng) * min(float(s.size[r]), longest)))
        strings -= 1
        if strings == 0:
            break


@njit
def _sort_absent(s: Search) -> None:
    """In one of the orders of the paper: at random, by demand, the furthest from the depot first, or the nearest."""
    count = s.notes[_ABSENT]
    order = below(s.rng, 11)
    for i in range(count):
        c = s.absent[i]
        if order < 4:
            key = uniform(s.rng)
        elif order < 8:
            key = -s.demand[c]
        elif order < 10:
            key = -between(s.metric, 0, s.enter[c])
        else:
            key = between(s.metric, 0, s.enter[c])
        j = i
        while j > 0 and s.key[j - 1] > key:
            s.absent[j], s.key[j] = s.absent[j - 1], s.key[j - 1]
            j -= 1
        s.absent[j], s.key[j] = c, key


@njit
def _empty_route(s: Search) -> int:
    while True:
        r = s.empty[s.notes[_EMPTY] - 1]
        if s.size[r] == 0:
            return int(r)
        s.stacked[r] = False
        s.notes[_EMPTY] -= 1


@njit
def _overlooked(s: Search) -> bool:
    """Whether the next place is. How many are seen before is drawn at once: to draw for each takes long."""
    if s.notes[_SEEN] > 0:
        s.notes[_SEEN] -= 1
        return False
    s.notes[_SEEN] = int(np.log(1.0 - uniform(s.rng)) / np.log(1.0 - _BLINK))
    return True


@njit
def _place(s: Search, c: int) -> tuple[float, int]:
    """The shortest detour by way of ``c`` among the places with room that are not overlooked, and behind which stop."""
    n = len(s.demand)
    room = s.costs[_CAPACITY] - s.demand[c]
    enter, leave = s.enter[c], s.leave[c]
    best, place = np.inf, -1
    for i in range(min(_BESIDE, s.near.shape[1])):
        v = s.near[c, i]
        if v == 0 or s.route[v] < 0 or s.load[s.route[v]] > room:
            continue
        # Distances are looked up in the row of c, which stays in the nearest cache.
        if not _overlooked(s):
            detour = between(s.metric, enter, s.leave[v]) + between(s.metric, leave, s.enter[s.after[v]]) - s.leg[v]
            if detour < best:
                best, place = detour, v
        if not _overlooked(s):
            a = s.before[v]
            detour = between(s.metric, enter, s.leave[a]) + between(s.metric, leave, s.enter[v]) - s.leg[a]
            if detour < best:
                best, place = detour, a
    if place < 0:
        for v in range(1, n):
            if s.route[v] >= 0 and s.load[s.route[v]] <= room and not _overlooked(s):
                detour = between(s.metric, enter, s.leave[v]) + between(s.metric, leave, s.enter[s.after[v]]) - s.leg[v]
                if detour < best:
                    best, place = detour, v
    return best, place


@njit
def _insert(s: Search, c: int) -> None:
    """Put ``c`` where the detour is shortest, either way round, or open a route."""
    n = len(s.demand)
    best, place = _place(s, c)
    if s.enter[c] != s.leave[c]:
        _turn(s, c)
        turned, other = _place(s, c)
        if turned < best:
            best, place = turned, other
        else:
            _turn(s, c)
    alone = between(s.metric, 0, s.enter[c]) + between(s.metric, s.leave[c], 0)
    if alone < best:
        best, place = alone, n + _empty_route(s)
    s.costs[_CURRENT] += best
    _note(s, c, -1)
    _put(s, c, place)


@njit
def ruins(s: Search, count: int, heat: float) -> None:
    """``count`` times: remove strings of customers near each other, put them back, and keep the result or undo it all.

    A worse solution is kept with the probability that simulated annealing gives it at temperature ``heat``: how much
    worse it may be is drawn first, since no customer put back makes it better where detours cost something. The best
    one is saved when it is about to be left for a worse one, which is refused that time.
    """
    for _ in range(count):
        before = s.costs[_CURRENT]
        most = before - heat * np.log(1.0 - uniform(s.rng))
        s.notes[_CHANGES] = s.notes[_ABSENT] = 0
        _ruin(s)
        _sort_absent(s)
        for i in range(s.notes[_ABSENT]):
            _insert(s, s.absent[i])
            if s.costs[_CURRENT] > most:
                break
        after = s.costs[_CURRENT]
        if after > before:
            keep = after <= most
            leaving_best = before <= s.costs[_BEST] and not s.notes[_SAVED]
            if not keep or leaving_best:
                _undo(s)
                s.costs[_CURRENT] = before
                if keep:
                    for i in range(len(s.after)):
                        s.best[i], s.best_enter[i], s.best_leave[i] = s.after[i], s.enter[i], s.leave[i]
                    s.notes[_SAVED] = 1
        elif after < s.costs[_BEST]:
            s.costs[_BEST] = after
            s.notes[_SAVED] = 0
