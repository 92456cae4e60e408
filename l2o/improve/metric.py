"""Distances inside compiled code: the same numbers as ``Instance.distance``, from a matrix or from coordinates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from l2o.jit import njit
from l2o.problems import distance as formulas
from l2o.problems.instance import Floats, Instance

MATRIX_UP_TO = 1_000
"""Nodes up to which all distances are computed beforehand: the matrix of 8 MB still fits into the caches."""

_MATRIX, _EUCLIDEAN, _PSEUDO, _MANHATTAN, _MAXIMUM, _GREAT_CIRCLE = range(6)
_FORMULA = {"EUC": _EUCLIDEAN, "CEIL": _EUCLIDEAN, "ATT": _PSEUDO, "MAN": _MANHATTAN, "MAX": _MAXIMUM}
_NONE, _NEAREST, _CEIL, _FLOOR, _NEXT, _TENTHS = range(6)
_ROUNDING = {"none": _NONE, "nearest": _NEAREST, "ceil": _CEIL, "floor": _FLOOR, "next": _NEXT, "tenths": _TENTHS}


class Metric(NamedTuple):
    """What :func:`between` needs: ``matrix [n, n]`` or, if it is empty, ``points [n, 3]`` and their formula."""

    matrix: Floats
    points: Floats
    formula: int
    rounding: int


def metric(instance: Instance) -> Metric:
    """The instance's distances for compiled code. Zeros pad coordinates to three, which changes no digit."""
    n = instance.n
    if instance.metric == "EXPLICIT" or n <= MATRIX_UP_TO:
        nodes = np.arange(n)
        matrix = np.ascontiguousarray(instance.distance(nodes[:, None], nodes))
        return Metric(matrix, np.zeros((0, 3)), _MATRIX, _NONE)
    assert instance.coords is not None
    geographic = instance.metric == "GEO"
    points = np.zeros((n, 3))
    points[:, : instance.coords.shape[1]] = formulas.radians(instance.coords) if geographic else instance.coords
    formula = _GREAT_CIRCLE if geographic else _FORMULA[instance.metric.split("_")[0]]
    return Metric(np.zeros((0, 0)), points, formula, _ROUNDING[instance.rounding])


@njit
def between(metric: Metric, a: int, b: int) -> float:
    """Cost of going from node ``a`` to ``b``."""
    # So short that it becomes a part of its callers.
    return float(metric.matrix[a, b]) if metric.formula == _MATRIX else _computed(metric, a, b)


@njit
def _computed(metric: Metric, a: int, b: int) -> float:
    points = metric.points
    if metric.formula == _GREAT_CIRCLE:
        q1 = np.cos(points[a, 1] - points[b, 1])
        q2 = np.cos(points[a, 0] - points[b, 0])
        q3 = np.cos(points[a, 0] + points[b, 0])
        cosine = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)
        d = formulas.EARTH_RADIUS * np.arccos(min(1.0, max(-1.0, cosine)))
    else:
        x = abs(points[a, 0] - points[b, 0])
        y = abs(points[a, 1] - points[b, 1])
        z = abs(points[a, 2] - points[b, 2])
        if metric.formula == _EUCLIDEAN:
            d = np.sqrt(x * x + y * y + z * z)
        elif metric.formula == _PSEUDO:
            d = np.sqrt((x * x + y * y + z * z) / 10.0)
        elif metric.formula == _MANHATTAN:
            d = x + y + z
        else:
            d = max(x, y, z)
    if metric.rounding == _NEAREST:
        d = np.floor(d + 0.5)
    elif metric.rounding == _CEIL:
        d = np.ceil(d)
    elif metric.rounding == _FLOOR:
        d = np.floor(d)
    elif metric.rounding == _NEXT:
        d = np.floor(d + 1.0)
    elif metric.rounding == _TENTHS:
        d = np.floor(10.0 * d) / 10.0
    return float(d)
