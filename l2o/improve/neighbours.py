"""The nearest neighbours of every node: where good moves are looked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from l2o.problems import distance
from l2o.problems.instance import Instance, Ints

WHOLE = 1_000
"""Up to so many nodes all are compared with all, sooner than SciPy is loaded."""
_BLOCK, _LARGEST = 4_096, 1 << 20
"""Nodes between two looks at the clock, and costs of a matrix, at most."""


def nearest(instance: Instance, k: int, stop: Callable[[], bool] = lambda: False) -> Ints | None:
    """The ``k`` nearest other nodes ``[n, min(k, n - 1)]`` of every node, nearest first; None if ``stop`` came first.

    From the matrix where there is one; else by a k-d tree, for ``GEO`` on points of the unit sphere.
    """
    n = instance.n
    k = min(k, n - 1)
    found = np.empty((n, k), np.int64)
    compared = instance.metric == "EXPLICIT" or n <= WHOLE
    block = max(1, min(_BLOCK, _LARGEST // n)) if compared else _BLOCK
    blocks = [np.arange(start, min(start + block, n)) for start in range(0, n, block)]
    if compared:
        for nodes in blocks:
            if stop():
                return None
            rows = instance.distance(nodes[:, None], np.arange(n))
            rows[np.arange(len(nodes)), nodes] = np.inf
            found[nodes] = np.argsort(rows, axis=1, kind="stable")[:, :k]
        return found

    from scipy.spatial import cKDTree

    assert instance.coords is not None
    points = instance.coords
    if instance.metric == "GEO":
        latitude, longitude = distance.radians(points).T
        ring = np.cos(latitude)
        points = np.stack([ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)], axis=1)
    order = {"MAN": 1.0, "MAX": np.inf}.get(instance.metric.split("_")[0], 2.0)
    tree = cKDTree(points)
    for nodes in blocks:
        if stop():
            return None
        near = np.asarray(tree.query(points[nodes], k=k + 1, p=order)[1])
        # Of many points on one spot the node itself need not be among the k + 1 found: then the last one goes.
        itself = near == nodes[:, None]
        itself[~itself.any(axis=1), -1] = True
        found[nodes] = near[~itself].reshape(len(nodes), k)
    return found
