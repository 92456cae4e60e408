"""The coordinates a policy sees: points whose straight-line distances stand for the costs of an instance.

Costs are never computed from them; they only feed a policy that is invariant under E(n), in any dimension.
"""

from __future__ import annotations

import numpy as np

from l2o.problems.distance import EARTH_RADIUS, Floats, radians
from l2o.problems.instance import Instance

MAX_DIM = 8
"""Most dimensions kept of a cost matrix: road networks need two or three, the rest is noise to a policy."""
_SMALLEST = 1e-9


def embedding(instance: Instance) -> Floats:
    """Points ``[n, dim]`` for ``instance``.

    Coordinates are returned as they are; ``GEO`` places the nodes on the sphere in three dimensions, in kilometres;
    a cost matrix is embedded by classical scaling. A matrix wins over coordinates that came with it: what is to be
    minimised are the costs, and the map may be only a picture of them.
    """
    if instance.matrix is not None:
        return classical_scaling(instance.matrix)
    assert instance.coords is not None
    return on_sphere(instance.coords) if instance.metric == "GEO" else instance.coords


def on_sphere(degrees_minutes: Floats) -> Floats:
    """Points ``[n, 3]`` in kilometres for latitudes and longitudes ``[n, 2]`` written as ``DDD.MM``."""
    latitude, longitude = radians(degrees_minutes).T
    flat = np.cos(latitude)
    return EARTH_RADIUS * np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)


def classical_scaling(matrix: Floats) -> Floats:
    """Points ``[n, 2..8]`` whose distances approximate ``matrix`` ``[n, n]`` (Torgerson 1952): O(n^3) time.

    The matrix is symmetrised and its diagonal taken as 0; directions of non-positive eigenvalue have no place in a
    Euclidean space and are dropped. Fewer than two directions are filled up with zeros.
    """
    from scipy.linalg import eigh

    n = len(matrix)
    squared = ((matrix + matrix.T) / 2.0) ** 2
    np.fill_diagonal(squared, 0.0)
    means = squared.mean(axis=0)
    gram = -0.5 * (squared - means - means[:, None] + means.mean())
    values, vectors = eigh(gram, subset_by_index=(max(0, n - MAX_DIM), n - 1))
    kept = values > _SMALLEST * max(values[-1], 0.0)
    points = (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]
    return np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
