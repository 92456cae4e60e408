"""Compiled distances are those of the instance, digit for digit."""

import numpy as np
import pytest

from l2o.improve import metric as compiled
from l2o.problems import distance
from l2o.problems.instance import Instance


def instance(metric: str, rounding: str, scale: float, n: int = 25) -> Instance:
    rng = np.random.default_rng(7)
    dim = distance.dimension(metric)
    coords = rng.uniform(-80, 80, (n, dim)) * (1.0 if metric == "GEO" else scale)
    coords[1] = coords[0]
    return Instance("random", "tsp", metric, rounding, np.arange(n), coords=coords)


@pytest.mark.parametrize("rounding", distance.ROUNDINGS)
@pytest.mark.parametrize("name", [m for m in distance.METRICS if m != "EXPLICIT"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_from_coordinates(name: str, rounding: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MATRIX_UP_TO", 0)
    there = instance(name, rounding, scale)
    here = compiled.metric(there)
    assert not here.matrix.size
    expected = there.distance(np.arange(there.n)[:, None], np.arange(there.n))
    found = np.array([[compiled.between(here, a, b) for b in range(there.n)] for a in range(there.n)])
    if name == "GEO":  # the arc cosine of two libraries differs in the last digit
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-3)
    else:
        np.testing.assert_array_equal(found, expected)


def test_from_a_matrix_it_is_rounded_as_asked() -> None:
    matrix = np.random.default_rng(1).uniform(0, 9, (5, 5))
    matrix += matrix.T
    there = Instance("matrix", "tsp", "EXPLICIT", "ceil", np.arange(5), matrix=matrix)
    here = compiled.metric(there)
    assert compiled.between(here, 1, 3) == np.ceil(matrix[1, 3])


def test_small_instances_use_a_matrix_and_large_ones_do_not() -> None:
    assert compiled.metric(instance("GEO", "next", 1.0)).matrix.shape == (25, 25)
    large = instance("EUC_2D", "nearest", 1.0, n=compiled.MATRIX_UP_TO + 1)
    assert not compiled.metric(large).matrix.size
