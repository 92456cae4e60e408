"""Distances by their TSPLIB95 names, in two steps that can be chosen apart: an unrounded metric and a rounding.

Source: G. Reinelt, TSPLIB 95, section 2 ("The distance functions"); the rounding ``tenths`` is that of the 12th DIMACS
implementation challenge. All on numpy in float64. ``EXPLICIT`` has no formula: its costs are ``Instance.matrix``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

EARTH_RADIUS = 6378.388
"""Kilometres, as in TSPLIB95."""
PI = 3.141592
"""TSPLIB95 fixes these digits."""


def euclidean(a: Floats, b: Floats) -> Floats:
    """``EUC_2D``, ``EUC_3D``, ``CEIL_2D`` before rounding."""
    return np.asarray(np.sqrt(((a - b) ** 2).sum(axis=-1)))


def pseudo_euclidean(a: Floats, b: Floats) -> Floats:
    """``ATT`` before rounding: Euclidean over sqrt(10). TSPLIB's "round, add 1 if that was down" is the ceiling."""
    return np.asarray(np.sqrt(((a - b) ** 2).sum(axis=-1) / 10.0))


def manhattan(a: Floats, b: Floats) -> Floats:
    """``MAN_2D``, ``MAN_3D`` before rounding."""
    return np.asarray(np.abs(a - b).sum(axis=-1))


def maximum(a: Floats, b: Floats) -> Floats:
    """``MAX_2D``, ``MAX_3D`` before rounding; rounding the largest part is the largest of the rounded parts."""
    return np.asarray(np.abs(a - b).max(axis=-1))


def radians(degrees_minutes: Floats) -> Floats:
    """Angles written ``DDD.MM``: degrees, cut toward zero as TSPLIB95 does, and minutes after the point."""
    degrees = np.trunc(degrees_minutes)
    return np.asarray(PI * (degrees + 5.0 * (degrees_minutes - degrees) / 3.0) / 180.0)


def great_circle(a: Floats, b: Floats) -> Floats:
    """``GEO`` before rounding: kilometres between points given as latitude, longitude in ``DDD.MM``."""
    a, b = radians(a), radians(b)
    q1 = np.cos(a[..., 1] - b[..., 1])
    q2 = np.cos(a[..., 0] - b[..., 0])
    q3 = np.cos(a[..., 0] + b[..., 0])
    # Rounding errors push the cosine of coincident points past 1, where arccos is not a number.
    cosine = np.clip(0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3), -1.0, 1.0)
    return np.asarray(EARTH_RADIUS * np.arccos(cosine))


ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda d: d,
    "nearest": lambda d: np.floor(d + 0.5),  # TSPLIB's nint: a half goes up, never to the even neighbour
    "ceil": np.ceil,
    "floor": np.floor,
    "next": lambda d: np.floor(d + 1.0),  # GEO: a whole number still goes up, so coincident points are 1 apart
    "tenths": lambda d: np.floor(10.0 * d) / 10.0,
}
"""Roundings by name, for ``--rounding``."""


class _Metric(NamedTuple):
    dimension: int
    rounding: str
    length: Callable[[Floats, Floats], Floats]


_METRICS = {
    "EUC_2D": _Metric(2, "nearest", euclidean),
    "EUC_3D": _Metric(3, "nearest", euclidean),
    "CEIL_2D": _Metric(2, "ceil", euclidean),
    "MAN_2D": _Metric(2, "nearest", manhattan),
    "MAN_3D": _Metric(3, "nearest", manhattan),
    "MAX_2D": _Metric(2, "nearest", maximum),
    "MAX_3D": _Metric(3, "nearest", maximum),
    "ATT": _Metric(2, "ceil", pseudo_euclidean),
    "GEO": _Metric(2, "next", great_circle),
}

METRICS = (*_METRICS, "EXPLICIT")
"""Edge weight types that can be solved, by their TSPLIB95 names."""


def dimension(metric: str) -> int:
    """How many coordinates a node has under ``metric``: 2 or 3, and 0 for ``EXPLICIT``."""
    return _METRICS[metric].dimension if metric != "EXPLICIT" else 0


def default_rounding(metric: str) -> str:
    """Name of the rounding that TSPLIB95 gives to ``metric``; the costs of an ``EXPLICIT`` matrix stand as they are."""
    return _METRICS[metric].rounding if metric != "EXPLICIT" else "none"


def rounded(values: ArrayLike, rounding: str) -> Floats:
    """``values`` of any shape under the rounding of that name."""
    return np.asarray(ROUNDINGS[rounding](np.asarray(values, dtype=np.float64)))


def between(a: Floats, b: Floats, metric: str, rounding: str) -> Floats:
    """Distances ``[...]`` between points ``a`` and ``b`` ``[..., dim]``, whose leading axes broadcast.

    Under ``rounding="none"`` a ``GEO`` distance is the plain great-circle length and an ``ATT`` one the plain
    pseudo-Euclidean length.
    """
    return rounded(_METRICS[metric].length(a, b), rounding)
