"""Ruin and recreate for routes of which the longest counts, compiled, with simulated annealing.

Strings of customers near each other are removed and put back one by one, as in slack induction by string removals (J.
Christiaens, G. Vanden Berghe, Transportation Science 54(2), 2020). What limits a route is not a capacity but the length
of the longest route: a customer goes where the detour is shortest among the routes that stay below it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from l2o.improve.metric import Metric, between
from l2o.improve.random import below, uniform
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints

_ABSENT, _RUIN = range(2)
_CURRENT, _BEST = range(2)
_SHARE = 0.1
"""What the mean length of the routes counts for, beside the longest: short routes leave room."""
_REMOVED = 10.0
"""Customers that a ruin removes, on average."""
_LONGEST = 10.0
"""Customers in one removed string, at most."""
_BLINK = 0.01
"""How often a place is overlooked."""
_BESIDE = 20
"""Near neighbours beside which a customer may be put."""
_ROUNDING = 1e-9
"""Relative; lengths are sums of changes."""


class Search(NamedTuple):
    """All that a search remembers between two calls; arrays, changed in place.

    Routes are rings: stop ``n + r`` is the depot as the beginning and the end of route ``r``.
    """

    metric: Metric
    near: Ints
    """``[n, k]`` nearest other nodes, nearest first."""
    after: Ints
    """``[n + m]`` the next stop."""
    before: Ints
    """``[n + m]`` the stop before."""
    route: Ints
    """``[n + m]`` the route of a stop, -1 for a customer that was removed."""
    length: Floats
    """``[m]`` of each route."""
    kept: Floats
    """``[m]`` the same before the ruin in hand."""
    best: Ints
    """``[n + m]`` the best ``after``."""
    ruined: Ints
    """``[m]`` the last ruin that removed something from the route."""
    absent: Ints
    """Customers removed, in that order."""
    behind: Ints
    """The stops behind which they stood."""
    order: Ints
    """The same customers in the order in which they are put back."""
    key: Floats
    """By what these are sorted."""
    notes: Ints
    """Customers that are absent, number of the ruin."""
    costs: Floats
    """Cost of the routes, see :data:`_SHARE`; length of the longest of the best ones."""
    rng: NDArray[np.uint64]


def search(metric: Metric, near: Ints, vehicles: int, routes: list[list[int]], rng: NDArray[np.uint64]) -> Search:
    """Everything set up for at most so many ``routes`` of customers."""
    n = len(near)
    s = Search(
        metric=metric,
        near=near,
        after=np.empty(n + vehicles, np.int64),
        before=np.empty(n + vehicles, np.int64),
        route=np.empty(n + vehicles, np.int64),
        length=np.empty(vehicles),
        kept=np.empty(vehicles),
        best=np.empty(n + vehicles, np.int64),
        ruined=np.zeros(vehicles, np.int64),
        absent=np.empty(n, np.int64),
        behind=np.empty(n, np.int64),
        order=np.empty(n, np.int64),
        key=np.empty(n),
        notes=np.zeros(2, np.int64),
        costs=np.full(2, np.inf),
        rng=rng,
    )
    begin(s, routes)
    return s


def begin(s: Search, routes: list[list[int]]) -> None:
    """Go on with other ``routes``; the best so far are kept."""
    n, vehicles = len(s.near), len(s.length)
    s.after[:] = s.before[:] = np.arange(n + vehicles)
    s.route[:n], s.route[n:], s.length[:] = -1, np.arange(vehicles), 0.0
    _fill(s, np.concatenate([*routes, []]).astype(np.int64), np.repeat(np.arange(len(routes)), [*map(len, routes)]))


def current(s: Search) -> list[list[int]]:
    """The routes as they are."""
    return _spelled(s, s.after.tolist())


def best(s: Search) -> list[list[int]]:
    """The best routes so far."""
    return _spelled(s, s.best.tolist())


def longest(s: Search) -> float:
    """Of the best routes, up to rounding errors of the sum of changes."""
    return float(s.costs[_BEST])


def _spelled(s: Search, after: list[int]) -> list[list[int]]:
    n = len(s.near)
    routes = []
    for depot in range(n, len(after)):
        route = []
        stop = after[depot]
        while stop < n:
            route.append(stop)
            stop = after[stop]
        if route:
            routes.append(route)
    return routes


@njit
def _fill(s: Search, customers: Ints, routes: Ints) -> None:
    n = len(s.near)
    for i in range(len(customers)):
        c, depot = customers[i], n + routes[i]
        _put(s, c, s.before[depot])
    s.costs[_CURRENT] = _cost(s)
    _save(s)


@njit
def _longest(s: Search) -> int:
    longest = 0
    for r in range(1, len(s.length)):
        if s.length[r] > s.length[longest]:
            longest = r
    return longest


@njit
def _cost(s: Search) -> float:
    total = 0.0
    for r in range(len(s.length)):
        total += s.length[r]
    return float(s.length[_longest(s)] + _SHARE * total / len(s.length))


@njit
def _save(s: Search) -> None:
    """Keep the routes if the longest is shorter than that of the best."""
    longest = s.length[_longest(s)]
    if longest < s.costs[_BEST]:
        s.costs[_BEST] = longest
        for i in range(len(s.after)):
            s.best[i] = s.after[i]


@njit
def _leg(s: Search, a: int, b: int) -> float:
    n = len(s.near)
    return between(s.metric, a if a < n else 0, b if b < n else 0)


@njit
def _detour(s: Search, c: int, a: int) -> float:
    """What it costs to go on from stop ``a`` by way of customer ``c``."""
    b = s.after[a]
    direct = 0.0 if a == b else _leg(s, a, b)
    return _leg(s, a, c) + _leg(s, c, b) - direct


@njit
def _put(s: Search, c: int, a: int) -> None:
    """Let customer ``c`` follow stop ``a``."""
    b, r = s.after[a], s.route[a]
    s.length[r] += _detour(s, c, a)
    s.after[a] = s.before[b] = c
    s.before[c], s.after[c], s.route[c] = a, b, r


@njit
def _take(s: Search, c: int) -> None:
    """Take customer ``c`` out of its route."""
    a, b, r = s.before[c], s.after[c], s.route[c]
    s.after[a], s.before[b], s.route[c] = b, a, -1
    s.length[r] -= _detour(s, c, a)


@njit
def _remove_string(s: Search, c: int, length: int) -> None:
    """Remove ``length`` customers in a row, or as many as there are, one of which is ``c``."""
    n = len(s.near)
    first = c
    for _ in range(below(s.rng, length)):
        if s.before[first] < n:
            first = s.before[first]
    for _ in range(length):
        if first >= n:
            break
        following, count = s.after[first], s.notes[_ABSENT]
        s.absent[count], s.behind[count] = first, s.before[first]
        s.notes[_ABSENT] += 1
        _take(s, first)
        first = following


@njit
def _ruin(s: Search) -> None:
    """Around a customer of the longest route, or, as often, of any."""
    n, k = s.near.shape
    m = len(s.length)
    s.notes[_RUIN] += 1
    string = min(_LONGEST, (n - 1) / m)
    strings = 1 + int(uniform(s.rng) * (4.0 * _REMOVED / (1.0 + string) - 1.0))
    seed = 1 + below(s.rng, n - 1)
    if uniform(s.rng) < 0.5:
        longest = _longest(s)
        for _ in range(2 * m):  # enough tries to hit it, as a rule
            if s.route[seed] == longest:
                break
            seed = 1 + below(s.rng, n - 1)
    for i in range(-1, k):
        c = seed if i < 0 else s.near[seed, i]
        r = s.route[c] if c > 0 else -1
        if r < 0 or s.ruined[r] == s.notes[_RUIN]:
            continue
        s.ruined[r] = s.notes[_RUIN]
        _remove_string(s, c, 1 + int(uniform(s.rng) * string))
        strings -= 1
        if strings == 0:
            break


@njit
def _sort_absent(s: Search) -> None:
    """At random, the furthest from the depot first, or the nearest."""
    order = below(s.rng, 4)
    for i in range(s.notes[_ABSENT]):
        c = s.absent[i]
        away = between(s.metric, 0, c)
        key = uniform(s.rng) if order < 2 else -away if order == 2 else away
        j = i
        while j > 0 and s.key[j - 1] > key:
            s.order[j], s.key[j] = s.order[j - 1], s.key[j - 1]
            j -= 1
        s.order[j], s.key[j] = c, key


@njit
def _insert(s: Search, c: int, limit: float) -> None:
    """Put ``c`` where the detour is shortest among the routes that stay below ``limit``; where none does, where the
    route stays shortest."""
    n, m = len(s.near), len(s.length)
    beside = min(_BESIDE, s.near.shape[1])
    best, place, fits = np.inf, -1, False
    for i in range(2 * (beside + m)):
        # Beside a near customer, or at either end of a route.
        v = s.near[c, i // 2] if i < 2 * beside else n + i // 2 - beside
        if v == 0 or s.route[v] < 0 or (place >= 0 and uniform(s.rng) < _BLINK):
            continue
        a = v if i % 2 == 0 else s.before[v]
        detour = _detour(s, c, a)
        length = s.length[s.route[a]] + detour
        below_limit = length < limit
        value = detour if below_limit else length
        if (below_limit and not fits) or (below_limit == fits and value < best):
            best, place, fits = value, a, below_limit
    _put(s, c, place)


@njit
def ruins(s: Search, count: int, heat: float) -> None:
    """``count`` times: remove strings of customers near each other, put them back, and keep the result or undo it all.

    Worse routes are kept with the probability that simulated annealing gives them at temperature ``heat``.
    """
    for _ in range(count):
        before, limit = s.costs[_CURRENT], s.length[_longest(s)] * (1.0 - _ROUNDING)
        for r in range(len(s.length)):
            s.kept[r] = s.length[r]
        s.notes[_ABSENT] = 0
        _ruin(s)
        _sort_absent(s)
        absent = s.notes[_ABSENT]
        for i in range(absent):
            _insert(s, s.order[i], limit)
        after = _cost(s)
        if after < before - heat * np.log(1.0 - uniform(s.rng)):
            s.costs[_CURRENT] = after
            _save(s)
        else:
            for i in range(absent - 1, -1, -1):
                _take(s, s.order[i])
            for i in range(absent - 1, -1, -1):
                _put(s, s.absent[i], s.behind[i])
            for r in range(len(s.length)):
                s.length[r] = s.kept[r]
