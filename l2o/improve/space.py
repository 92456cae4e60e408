"""What a search over tours moves in: distances, near nodes, and edges that must stay."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import numpy as np

from l2o.improve.metric import Metric, metric
from l2o.improve.neighbours import nearest
from l2o.jit import njit
from l2o.problems.instance import Instance, Ints

NONE: Ints = np.zeros((0, 2), np.int64)
"""Held edges where there are none."""


class Space(NamedTuple):
    """Arrays for compiled code."""

    metric: Metric
    near: Ints
    """``[n, k]`` nearest neighbours, nearest first."""
    held: Ints
    """``[n, 2]`` neighbours that a node must keep, or -1; or :data:`NONE`."""
    turning: bool = True
    """Whether paths that are held may be gone through either way."""


@njit
def is_held(held: Ints, a: int, b: int) -> bool:
    """Whether the edge between two nodes must stay."""
    return len(held) > 0 and (held[a, 0] == b or held[a, 1] == b)


def space(
    instance: Instance, neighbours: int, stop: Callable[[], bool] = lambda: False, held: Ints = NONE
) -> Space | None:
    """Of ``instance``, whose edges ``held`` no search may break; None if ``stop`` came first."""
    near = nearest(instance, neighbours, stop)
    return None if near is None else Space(metric(instance), near, held)


def chains(held: Ints, n: int) -> list[list[int]]:
    """What the edges ``held`` keep together, each in the order of its path; a node by itself is a path too.

    Raises:
        ValueError: what is held closes a ring.
    """
    if not len(held):
        return [[node] for node in range(n)]
    neighbours = held.tolist()
    paths: list[list[int]] = []
    seen = [False] * n
    for end in np.flatnonzero((held < 0).any(axis=1)).tolist():
        if seen[end]:
            continue
        path, before, here = [], -1, end
        while here >= 0:
            path.append(here)
            seen[here] = True
            one, two = neighbours[here]
            # From the first node to its only neighbour, if there is one; from there on never back.
            before, here = here, max(one, two) if before < 0 else two if one == before else one
        paths.append(path)
    if not all(seen):
        raise ValueError("the edges that are held close a ring")
    return paths


def scattered(paths: list[list[int]], rng: Random, *, turning: bool = True) -> Ints:
    """``[n]`` a random tour that has all ``paths``, in a random order, each turned or not where they may be."""
    order = rng.sample(paths, len(paths))
    return np.array([node for p in order for node in (p[::-1] if turning and rng.random() < 0.5 else p)], np.int64)
