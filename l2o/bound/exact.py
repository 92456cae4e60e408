"""The shortest tour of few nodes, by dynamic programming, compiled.

Source: R. Bellman, "Dynamic programming treatment of the travelling salesman problem", 1962; M. Held, R. M. Karp, "A
dynamic programming approach to sequencing problems", 1962.
"""

from __future__ import annotations

import numpy as np

from l2o.jit import njit
from l2o.problems.instance import Floats, Instance

LARGEST = 13
"""Nodes up to which it takes no time that anybody would notice."""


def shortest(instance: Instance) -> float:
    """What the shortest tour costs; two nodes at least and :data:`LARGEST` at most."""
    nodes = np.arange(instance.n)
    matrix = np.ascontiguousarray(instance.distance(nodes[:, None], nodes))
    return float(_shortest(matrix, np.empty((1 << (instance.n - 1), instance.n - 1))))


@njit
def _shortest(matrix: Floats, least: Floats) -> float:
    """``least [2^(n-1), n-1]``: the shortest path from the last node through a set of the others to one of them."""
    m = len(matrix) - 1
    for visited in range(1, 1 << m):
        for end in range(m):
            if visited & (1 << end) == 0:
                continue
            rest = visited & ~(1 << end)
            best = matrix[m, end] if rest == 0 else np.inf
            for before in range(m):
                if rest & (1 << before):
                    best = min(best, least[rest, before] + matrix[before, end])
            least[visited, end] = best
    found = np.inf
    for end in range(m):
        found = min(found, least[(1 << m) - 1, end] + matrix[end, m])
    return float(found)
