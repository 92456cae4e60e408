"""Exchanges of the ends of routes, and of the direction between two customers, compiled: 2-opt* and 2-opt, annealed.

Source: J.-Y. Potvin, J.-M. Rousseau, "An exchange heuristic for routeing problems with time windows", Journal of the
Operational Research Society 46(12), 1995. Where routes are few and long, removing strings of customers moves none of
them far, and what is missing are just these.
"""

from __future__ import annotations

import numpy as np

from l2o.improve.kernels_routes import BESIDE, BEST, CAPACITY, CURRENT, SAVED, Search, emptied, leg, save, turn
from l2o.improve.metric import between
from l2o.improve.random import below, uniform
from l2o.jit import inlined

_HOPELESS = 10.0
"""Times the temperature: what costs so much more is not worth a draw."""


@inlined
def _part(s: Search, first: int, onward: bool, held: int) -> int:
    """Note the stops from ``first`` to the end of its route, or its beginning, behind ``held``; how many then."""
    n, stop = len(s.demand), first
    while stop < n:
        s.absent[held] = stop
        held += 1
        stop = s.after[stop] if onward else s.before[stop]
    return held


@inlined
def _link(s: Search, a: int, begin: int, end: int, b: int, turned: bool) -> None:
    """Let the stops noted from ``begin`` to ``end`` follow ``a``, each turned if so asked, and ``b`` follow them."""
    last = a
    for i in range(begin, end):
        stop = s.absent[i]
        if turned:
            turn(s, stop)
        s.route[stop], s.after[last], s.before[stop] = s.route[a], stop, last
        s.leg[last] = leg(s, last, stop)
        last = stop
    s.after[last], s.before[b] = b, last
    s.leg[last] = 0.0 if last == b else leg(s, last, b)


@inlined
def _keep_best(s: Search, change: float) -> None:
    """Save the solution if it is the best and about to become worse."""
    if change > 0.0 and s.costs[CURRENT] <= s.costs[BEST] and not s.notes[SAVED]:
        save(s)


@inlined
def exchange(s: Search, heat: float) -> None:
    """Join a customer with a near one and the rest with the rest, if annealing agrees and there is room.

    In two routes these are the two ways to swap what follows; in one, the customers between are reversed. The depot is
    joined as a part of the rest.
    """
    n, k = s.near.shape
    c = 1 + below(s.rng, n - 1)
    v = s.near[c, below(s.rng, min(BESIDE, k))]
    if v == 0 or s.after[c] == v or s.after[v] == c:
        return
    r, q = s.route[c], s.route[v]
    turned = r == q or uniform(s.rng) < 0.5
    if turned:
        if uniform(s.rng) < 0.5:
            c, v = s.before[c], s.before[v]
        a, b = s.after[c], s.after[v]
        change = -s.leg[c] - s.leg[v]
        if c < n or v < n:
            change += between(s.metric, s.leave[c], s.leave[v])
        if a < n or b < n:
            change += between(s.metric, s.enter[a], s.enter[b])
    else:
        a, b = s.after[c], s.before[v]
        change = leg(s, c, v) - s.leg[c] - s.leg[b]
        if a < n or b < n:
            change += leg(s, b, a)
    if change > 0.0 and (change > _HOPELESS * heat or uniform(s.rng) >= np.exp(-change / heat)):
        return
    if r == q:
        stop = a
        while stop < n and stop != v:
            stop = s.after[stop]
        if stop >= n:
            c, v, a, b = v, c, b, a
        held, stop = 0, v
        while stop != c:
            s.absent[held] = stop
            held += 1
            stop = s.before[stop]
        _keep_best(s, change)
        _link(s, c, 0, held, b, True)
    else:
        first = _part(s, a, True, 0)
        held = _part(s, v, not turned, first)
        gone = come = 0.0
        for i in range(first):
            gone += s.demand[s.absent[i]]
        for i in range(first, held):
            come += s.demand[s.absent[i]]
        load, other = s.load[r] - gone + come, s.load[q] - come + gone
        if max(load, other) > s.costs[CAPACITY]:
            return
        _keep_best(s, change)
        s.load[r], s.load[q] = load, other
        s.size[r] += held - 2 * first
        s.size[q] -= held - 2 * first
        if turned:
            # What led to v, backwards, follows c; what followed c, backwards, leads to what followed v.
            for i in range(first // 2):
                s.absent[i], s.absent[first - 1 - i] = s.absent[first - 1 - i], s.absent[i]
            _link(s, c, first, held, n + r, True)
            _link(s, n + q, 0, first, b, True)
        else:
            _link(s, c, first, held, n + r, False)
            _link(s, b, 0, first, n + q, False)
        for i in (r, q):
            if s.size[i] == 0:
                emptied(s, i)
    s.costs[CURRENT] += change
    if s.costs[CURRENT] < s.costs[BEST]:
        s.costs[BEST] = s.costs[CURRENT]
        s.notes[SAVED] = 0
