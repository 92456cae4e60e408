"""Ruin and recreate for the CVRP, compiled: slack induction by string removals, with simulated annealing.

Source: J. Christiaens, G. Vanden Berghe, "Slack induction by string removals for vehicle routing problems",
Transportation Science 54(2), 2020. Unlike there, a customer is first offered the places beside its near neighbours, and
all places only if none of these has room; recreating ends as soon as it has become too dear to be kept; what a ruin
changed is undone from a journal; and after each ruin come a few exchanges of whole ends of routes.
"""

from __future__ import annotations

import numpy as np

from l2o.improve.kernels_exchange import exchange
from l2o.improve.kernels_routes import (
    ABSENT,
    BESIDE,
    BEST,
    CAPACITY,
    CHANGES,
    CURRENT,
    RUIN,
    SAVED,
    SEEN,
    USED,
    Search,
    empty_route,
    put,
    save,
    take,
    turn,
)
from l2o.improve.metric import between
from l2o.improve.random import below, uniform
from l2o.jit import inlined, njit

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
_EXCHANGES = 10
"""How often ends of routes are exchanged after a ruin, or that is tried."""


@inlined
def _note(s: Search, c: int, behind: int) -> None:
    change = s.notes[CHANGES]
    s.journal[change, 0], s.journal[change, 1], s.journal[change, 2] = c, behind, s.enter[c]
    s.notes[CHANGES] += 1


@inlined
def _undo(s: Search) -> None:
    for i in range(s.notes[CHANGES] - 1, -1, -1):
        c, behind = s.journal[i, 0], s.journal[i, 1]
        if behind < 0:
            take(s, c)
        else:
            if s.enter[c] != s.journal[i, 2]:
                turn(s, c)
            put(s, c, behind)


@inlined
def _remove(s: Search, c: int) -> None:
    a = s.before[c]
    s.costs[CURRENT] -= s.leg[a] + s.leg[c]
    _note(s, c, a)
    take(s, c)
    s.costs[CURRENT] += s.leg[a]
    s.absent[s.notes[ABSENT]] = c
    s.notes[ABSENT] += 1


@inlined
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


@inlined
def _ruin(s: Search) -> None:
    n, k = s.near.shape
    s.notes[RUIN] += 1
    longest = min(_LONGEST, (n - 1) / s.notes[USED])
    strings = 1 + int(uniform(s.rng) * (4.0 * _REMOVED / (1.0 + longest) - 1.0))
    seed = 1 + below(s.rng, n - 1)
    for i in range(-1, k):
        c = seed if i < 0 else s.near[seed, i]
        r = s.route[c] if c > 0 else -1
        if r < 0 or s.ruined[r] == s.notes[RUIN]:
            continue
        s.ruined[r] = s.notes[RUIN]
        _remove_string(s, c, 1 + int(uniform(s.rng) * min(float(s.size[r]), longest)))
        strings -= 1
        if strings == 0:
            break


@inlined
def _sort_absent(s: Search) -> None:
    """In one of the orders of the paper: at random, by demand, the furthest from the depot first, or the nearest."""
    count = s.notes[ABSENT]
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


@inlined
def _overlooked(s: Search) -> bool:
    """Whether the next place is. How many are seen before is drawn at once: to draw for each takes long."""
    if s.notes[SEEN] > 0:
        s.notes[SEEN] -= 1
        return False
    s.notes[SEEN] = int(np.log(1.0 - uniform(s.rng)) / np.log(1.0 - _BLINK))
    return True


@inlined
def _place(s: Search, c: int) -> tuple[float, int]:
    """The shortest detour by way of ``c`` among the places with room that are not overlooked, and behind which stop."""
    n = len(s.demand)
    room = s.costs[CAPACITY] - s.demand[c]
    enter, leave = s.enter[c], s.leave[c]
    best, place = np.inf, -1
    for i in range(min(BESIDE, s.near.shape[1])):
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


@inlined
def _insert(s: Search, c: int) -> None:
    """Put ``c`` where the detour is shortest, either way round, or open a route."""
    n = len(s.demand)
    best, place = _place(s, c)
    if s.enter[c] != s.leave[c]:
        turn(s, c)
        turned, other = _place(s, c)
        if turned < best:
            best, place = turned, other
        else:
            turn(s, c)
    alone = between(s.metric, 0, s.enter[c]) + between(s.metric, s.leave[c], 0)
    if alone < best:
        best, place = alone, n + empty_route(s)
    s.costs[CURRENT] += best
    _note(s, c, -1)
    put(s, c, place)


@njit
def ruins(s: Search, count: int, heat: float) -> None:
    """``count`` times: remove strings of customers near each other, put them back, and keep the result or undo it all.

    A worse solution is kept with the probability that simulated annealing gives it at temperature ``heat``: how much
    worse it may be is drawn first, since no customer put back makes it better where detours cost something. The best
    one is saved when it is about to be left for a worse one, which is refused that time.
    """
    for _ in range(count):
        before = s.costs[CURRENT]
        most = before - heat * np.log(1.0 - uniform(s.rng))
        s.notes[CHANGES] = s.notes[ABSENT] = 0
        _ruin(s)
        _sort_absent(s)
        for i in range(s.notes[ABSENT]):
            _insert(s, s.absent[i])
            if s.costs[CURRENT] > most:
                break
        after = s.costs[CURRENT]
        if after > before:
            keep = after <= most
            leaving_best = before <= s.costs[BEST] and not s.notes[SAVED]
            if not keep or leaving_best:
                _undo(s)
                s.costs[CURRENT] = before
                if keep:
                    save(s)
        elif after < s.costs[BEST]:
            s.costs[BEST] = after
            s.notes[SAVED] = 0
        for _ in range(_EXCHANGES):
            exchange(s, heat)
