"""Insertion, compiled."""

from __future__ import annotations

from l2o.improve.metric import Metric, between
from l2o.jit import njit
from l2o.problems.instance import Floats, Ints


@njit
def insert(metric: Metric, order: Ints, after: Ints, leg: Floats) -> None:
    """Link the nodes ``order [n]`` to a ring, each in its turn where it lengthens the ring least.

    ``after [n]`` must link every node to itself and receives the ring, ``leg [n]`` the costs of its legs.
    """
    start = order[0]
    for i in range(1, len(order)):
        c = order[i]
        v = start
        to_v = to_start = between(metric, start, c)
        shortest, place = 0.0, -1
        place_to = place_from = 0.0
        for _ in range(i):
            w = after[v]
            to_w = to_start if w == start else between(metric, w, c)
            detour = to_v + to_w - leg[v]
            if place < 0 or detour < shortest:
                shortest, place = detour, v
                place_to, place_from = to_v, to_w
            v, to_v = w, to_w
        after[c], after[place] = after[place], c
        leg[place], leg[c] = place_to, place_from
