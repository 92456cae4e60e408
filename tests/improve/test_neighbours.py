"""Nearest neighbours against sorting all distances."""

import itertools

import numpy as np
import pytest

from l2o.improve.neighbours import nearest
from l2o.problems.instance import Instance


def made(metric: str, coords: np.ndarray) -> Instance:
    return Instance("x", "tsp", metric, "none", np.arange(len(coords)), coords=coords)


@pytest.mark.parametrize("metric", ["EUC_2D", "MAN_2D", "MAX_2D", "ATT", "GEO"])
def test_they_are_the_nearest(metric: str) -> None:
    there = made(metric, np.random.default_rng(3).uniform(-60, 60, (40, 2)))
    near = nearest(there, 6)
    assert near is not None
    for node in range(40):
        others = np.array([v for v in range(40) if v != node])
        expected = np.sort(there.distance(node, others))[:6]
        np.testing.assert_allclose(there.distance(node, near[node]), expected)


def test_a_matrix_decides_even_beside_coordinates() -> None:
    coords = np.random.default_rng(3).random((10, 2))
    matrix = np.random.default_rng(4).random((10, 10))
    matrix += matrix.T
    there = Instance("x", "tsp", "EXPLICIT", "none", np.arange(10), coords=coords, matrix=matrix)
    near = nearest(there, 3)
    assert near is not None
    np.fill_diagonal(matrix := matrix.copy(), np.inf)
    np.testing.assert_array_equal(near, np.argsort(matrix, axis=1)[:, :3])


@pytest.mark.parametrize(("n", "k"), list(itertools.product([2, 3, 50], [1, 5, 60])))
def test_a_node_is_never_its_own_neighbour_nor_listed_twice(n: int, k: int) -> None:
    near = nearest(made("EUC_2D", np.zeros((n, 2))), k)
    assert near is not None and near.shape == (n, min(k, n - 1))
    for node, row in enumerate(near.tolist()):
        assert node not in row and len(set(row)) == len(row) and all(0 <= v < n for v in row)


def test_it_looks_at_the_clock_often_enough() -> None:
    looks = iter(range(100))
    matrix = np.random.default_rng(0).random((2500, 2500))
    assert nearest(Instance.of_matrix("large", "atsp", matrix), 5, lambda: next(looks) == 4) is None


def test_it_gives_up_when_told() -> None:
    assert nearest(made("EUC_2D", np.zeros((5, 2))), 2, lambda: True) is None
