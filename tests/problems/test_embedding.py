"""Points that stand for costs: exact where the costs are Euclidean, close where they nearly are."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from l2o.files import read
from l2o.problems.embedding import classical_scaling, embedding, on_sphere

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_euclidean_costs_are_embedded_exactly(dim: int) -> None:
    costs = squareform(pdist(np.random.default_rng(dim).normal(size=(40, dim))))
    points = classical_scaling(costs)
    assert points.shape == (40, max(dim, 2))
    assert squareform(pdist(points)) == pytest.approx(costs, abs=1e-6)


def test_asymmetric_noise_and_a_filled_diagonal_do_not_matter() -> None:
    costs = squareform(pdist(np.random.default_rng(0).normal(size=(20, 2))))
    noise = np.triu(np.full((20, 20), 0.01), 1)
    assert pdist(classical_scaling(costs + noise - noise.T + 9999 * np.eye(20))) == pytest.approx(squareform(costs))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_equal_costs_of_few_nodes(n: int) -> None:
    assert pdist(classical_scaling(np.ones((n, n)) - np.eye(n))) == pytest.approx(np.ones(n * (n - 1) // 2))


def test_costs_of_zero_give_one_point() -> None:
    assert np.array_equal(classical_scaling(np.zeros((5, 5))), np.zeros((5, 2)))


def test_road_distances_keep_their_shape() -> None:
    instance = read(DATA / "bays29.tsp")
    points = embedding(instance)
    assert instance.matrix is not None
    assert 2 <= points.shape[1] <= 8
    assert np.corrcoef(pdist(points), squareform(instance.matrix))[0, 1] > 0.97


def test_places_on_earth_lie_on_the_sphere() -> None:
    instance = read(DATA / "burma14.tsp", rounding="none")
    points = embedding(instance)
    assert points.shape == (14, 3)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.full(14, 6378.388))
    chord = squareform(pdist(points))
    nodes = np.arange(14)
    arc = instance.distance(nodes[:, None], nodes)
    assert arc == pytest.approx(2 * 6378.388 * np.arcsin(chord / (2 * 6378.388)), abs=1e-3)
    assert on_sphere(np.array([[90.0, 0.0]]))[0] == pytest.approx([0.0, 0.0, 6378.388], abs=0.01)


def test_planar_coordinates_are_used_as_they_are() -> None:
    instance = read(DATA / "berlin52.tsp")
    assert embedding(instance) is instance.coords
