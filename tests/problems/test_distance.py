"""Distances against TSPLIB95's own formulas, written again in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2o.problems import distance

Point = tuple[float, ...]


def nint(x: float) -> int:
    return math.floor(x + 0.5)


def att(a: Point, b: Point) -> int:
    r = math.sqrt(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / 10.0)
    t = nint(r)
    return t + 1 if t < r else t


def geo(a: Point, b: Point) -> int:
    def to_radians(x: float) -> float:
        degrees = int(x)
        return 3.141592 * (degrees + 5.0 * (x - degrees) / 3.0) / 180.0

    (lat_a, lon_a), (lat_b, lon_b) = map(to_radians, a), map(to_radians, b)
    q1, q2, q3 = math.cos(lon_a - lon_b), math.cos(lat_a - lat_b), math.cos(lat_a + lat_b)
    return int(6378.388 * math.acos(min(1.0, max(-1.0, 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)))) + 1.0)


ORACLES = {
    "EUC_2D": lambda a, b: nint(math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)),
    "EUC_3D": lambda a, b: nint(math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)),
    "CEIL_2D": lambda a, b: math.ceil(math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)),
    "MAN_2D": lambda a, b: nint(abs(a[0] - b[0]) + abs(a[1] - b[1])),
    "MAN_3D": lambda a, b: nint(abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2])),
    "MAX_2D": lambda a, b: max(nint(abs(a[0] - b[0])), nint(abs(a[1] - b[1]))),
    "MAX_3D": lambda a, b: max(nint(abs(a[0] - b[0])), nint(abs(a[1] - b[1])), nint(abs(a[2] - b[2]))),
    "ATT": att,
    "GEO": geo,
}


def test_every_metric_with_a_formula_has_an_oracle() -> None:
    assert {*ORACLES, "EXPLICIT"} == set(distance.METRICS)


@pytest.mark.parametrize("metric", ORACLES)
@pytest.mark.parametrize("step", [0.0, 0.5, 1.0], ids=["real", "halves", "whole"])
def test_metric_agrees_with_its_formula(metric: str, step: float) -> None:
    generator = np.random.default_rng(7)
    points = generator.uniform(-89.0, 89.0, size=(60, distance.dimension(metric)))
    if step:
        points = np.round(points / step) * step
    found = distance.between(points[:, None], points, metric, distance.default_rounding(metric))
    expected = [[ORACLES[metric](a, b) for b in points.tolist()] for a in points.tolist()]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("none", [0.0, 0.5, 2.5, 2.49, 3.0, 7.19]),
        ("nearest", [0.0, 1.0, 3.0, 2.0, 3.0, 7.0]),  # half-even would give 0 and 2
        ("ceil", [0.0, 1.0, 3.0, 3.0, 3.0, 8.0]),
        ("floor", [0.0, 0.0, 2.0, 2.0, 3.0, 7.0]),
        ("next", [1.0, 1.0, 3.0, 3.0, 4.0, 8.0]),
        ("tenths", [0.0, 0.5, 2.5, 2.4, 3.0, 7.1]),
    ],
)
def test_roundings(rounding: str, expected: list[float]) -> None:
    assert distance.rounded([0.0, 0.5, 2.5, 2.49, 3.0, 7.19], rounding).tolist() == expected
    assert set(distance.ROUNDINGS) == {"none", "nearest", "ceil", "floor", "next", "tenths"}


def test_geo_of_coincident_and_antipodal_points_is_a_number() -> None:
    points = np.array([[36.49, 7.49], [36.49, 7.49], [0.0, 0.0], [0.0, 180.0]])
    assert distance.between(points[0], points[1], "GEO", "none") == pytest.approx(0.0, abs=1e-3)
    assert distance.between(points[0], points[1], "GEO", "next") == 1.0
    assert distance.between(points[2], points[3], "GEO", "none") == pytest.approx(math.pi * 6378.388, rel=1e-5)


def test_geo_truncates_degrees_toward_zero() -> None:
    # -0.30 is thirty minutes south, not one degree south and seventy minutes north.
    half_a_degree = distance.between(np.array([-0.30, 0.0]), np.array([0.0, 0.0]), "GEO", "none")
    assert half_a_degree == pytest.approx(6378.388 * math.pi / 360.0, rel=1e-5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6), st.sampled_from(sorted(ORACLES)))
def test_distances_are_symmetric_and_not_negative(values: list[float], metric: str) -> None:
    a, b = np.array(values[:3]), np.array(values[3:])
    dim, rounding = distance.dimension(metric), distance.default_rounding(metric)
    there = distance.between(a[:dim], b[:dim], metric, rounding)
    assert there >= 0
    assert there == distance.between(b[:dim], a[:dim], metric, rounding)
