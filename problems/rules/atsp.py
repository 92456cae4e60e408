"""Tours whose cost depends on the direction: every node once, in one closed tour."""

from __future__ import annotations

from l2o.problems.rules.tsp import Tours


class DirectedTours(Tours):
    """Rules of the asymmetric travelling salesman problem: those of tours, whose legs are taken as they are driven."""

    name = "atsp"


RULES = DirectedTours()
