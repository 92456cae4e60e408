"""Lower bounds: never above an optimum, whatever the metric; what they rule out is in no better tour."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l2o.bound import Bound, atsp, bounds, known, tsp
from l2o.bound.branch import below, violated
from l2o.bound.exact import shortest
from l2o.files import read
from l2o.improve import improve
from l2o.improve.neighbours import nearest
from l2o.problems.distance import METRICS, default_rounding, dimension
from l2o.problems.instance import Instance

DATA = Path(__file__).parent / "data"


def made(n: int, metric: str = "EUC_2D", seed: int = 0, *, whole: bool = True, lattice: bool = False) -> Instance:
    rng = np.random.default_rng(seed)
    coords = matrix = None
    if metric == "EXPLICIT":
        matrix = np.triu(rng.integers(1, 100, (n, n)).astype(float) if whole else rng.random((n, n)), 1)
        matrix += matrix.T
    elif lattice:
        coords = rng.integers(0, 4, (n, dimension(metric))).astype(float)
    else:
        coords = rng.uniform(0, 80, (n, dimension(metric)))
    rounding = default_rounding(metric) if whole else "none"
    return Instance("made", "tsp", metric, rounding, np.arange(n), coords=coords, matrix=matrix)


def found(instance: Instance, upper: float, *, branch: bool = True) -> list[Bound]:
    told: list[Bound] = []
    asked = iter(range(10**6))
    stop = (lambda: False) if branch else (lambda: next(asked) > 500)
    bounds(instance, upper=lambda: upper, over=stop, left=lambda: 20.0, told=told.append)
    return told


def enumerated(instance: Instance) -> list[tuple[float, tuple[int, ...]]]:
    n = instance.n
    tours = [(0, *rest) for rest in itertools.permutations(range(1, n)) if rest[0] < rest[-1]]
    lengths = instance.distance(np.array(tours), np.roll(np.array(tours), -1, axis=1)).sum(axis=1)
    return sorted(zip(lengths.tolist(), tours, strict=True))


@given(
    n=st.integers(4, 8),
    seed=st.integers(0, 10**6),
    metric=st.sampled_from(METRICS),
    whole=st.booleans(),
    lattice=st.booleans(),
)
@example(n=7, seed=223, metric="CEIL_2D", whole=True, lattice=False)  # the sparse graph has no tour
@settings(max_examples=80, deadline=None)
def test_dynamic_programming_and_trees_against_enumeration(
    n: int, seed: int, metric: str, whole: bool, lattice: bool
) -> None:
    instance = made(n, metric, seed, whole=whole, lattice=lattice)
    (least, _), *_ = tours = enumerated(instance)
    assert shortest(instance) == pytest.approx(least)
    near = nearest(instance, 3)
    assert near is not None
    prices = tsp.Prices(instance, near)
    for upper in (least, 1.3 * least + 1):
        prices.ascend(upper, lambda: False)
        tree = prices.tree()
        assert tree.bound <= least * (1 + 1e-12)
        # Every tour below the cost is made of the edges that are left.
        edges = prices.left(tree, upper + 1) if whole else None
        if edges is None:
            prices.extend(tree)
            continue
        left = {frozenset(edge) for edge in edges.tolist()}
        for cost, tour in tours:
            if cost > upper:
                break
            assert {frozenset(edge) for edge in zip(tour, (*tour[1:], 0), strict=True)} <= left
        prices.extend(tree)


@pytest.mark.parametrize(
    ("name", "optimal"),
    [("berlin52", 7542), ("eil51", 426), ("att48", 10628), ("gr17", 2085), ("bays29", 2020), ("burma14", 3323)],
)
def test_published_optima_are_proven_and_never_exceeded(name: str, optimal: int) -> None:
    instance = read(DATA / f"{name}.tsp")
    for upper in (optimal, 1.2 * optimal):
        values = [bound.value for bound in found(instance, upper)]
        assert values == sorted(values) and values[-1] <= optimal
    assert found(instance, optimal)[-1].value == optimal


@pytest.mark.parametrize("seed", range(3))
def test_fractions_have_bounds_close_below(seed: int) -> None:
    instance = made(80, seed=seed, whole=False)
    tour = improve(instance, (tuple(range(80)),), deadline=math.inf, seed=0, iterations=20_000)
    nodes = np.array(tour[0])
    cost = float(instance.distance(nodes, np.roll(nodes, -1)).sum())
    (*_, last) = found(instance, cost)
    assert 0.95 * cost < last.value <= cost


@pytest.mark.parametrize("seed", range(4))
def test_branch_and_cut_agrees_with_dynamic_programming(seed: int) -> None:
    instance = made(12, "EXPLICIT", seed)
    edges = np.array(list(itertools.combinations(range(12), 2)))
    lengths = instance.distance(edges[:, 0], edges[:, 1]).astype(np.int64)
    least = int(shortest(instance))
    for cost in (least, least + 25):
        *before, last = below(12, edges, lengths, cost, seconds=20, over=lambda: False)
        assert (last.bound, last.complete) == (least, True)
        assert all(verdict.bound <= least for verdict in before)


def directed(n: int, seed: int, *, whole: bool = True) -> Instance:
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 100, (n, n)).astype(float) if whole else rng.random((n, n))
    np.fill_diagonal(costs, 0.0)
    return Instance.of_matrix("directed", "atsp", costs)


@given(n=st.integers(2, 7), seed=st.integers(0, 10**6), whole=st.booleans())
@settings(max_examples=40, deadline=None)
def test_directed_bounds_against_enumeration(n: int, seed: int, whole: bool) -> None:
    instance = directed(n, seed, whole=whole)
    tours = np.array([(0, *rest) for rest in itertools.permutations(range(1, n))])
    least = float(instance.distance(tours, np.roll(tours, -1, axis=1)).sum(axis=1).min())
    assert shortest(instance) == pytest.approx(least)
    nodes = np.arange(n)
    costs = instance.distance(nodes[:, None], nodes)
    rng = np.random.default_rng(seed)
    sets = [rng.choice(n, rng.integers(1, n), replace=False).tolist() for _ in range(3)]
    for scale in (1024.0, 1e6):
        # Whatever the prices are, nothing is below.
        made_up = atsp.Prices(rng.normal(20, 20, n), rng.normal(20, 20, n), sets, rng.normal(0, 9, 3).tolist())
        total, spare = atsp.priced(costs, made_up, scale)
        assert total / scale <= least + 1e-9
        # A tour takes at least what each of its arcs is dearer by.
        for tour in tours[:50]:
            length = float(instance.distance(tour, np.roll(tour, -1)).sum())
            assert (total + spare[tour, np.roll(tour, -1)].max()) / scale <= length + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_directed_branch_and_cut_agrees_with_dynamic_programming(seed: int) -> None:
    instance = directed(12, seed)
    arcs = np.array(list(itertools.permutations(range(12), 2)))
    lengths = instance.distance(arcs[:, 0], arcs[:, 1]).astype(np.int64)
    least = int(shortest(instance))
    for cost in (least, least + 25):
        *before, last = below(12, arcs, lengths, cost, seconds=20, over=lambda: False, directed=True)
        assert (last.bound, last.complete) == (least, True)
        assert all(verdict.bound <= least for verdict in before)


def test_directed_optima_are_proven_and_never_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = read(DATA / "br17.atsp")
    for upper in (39.0, 60.0):
        values = [bound.value for bound in found(instance, upper)]
        assert values == sorted(values) and values[-1] <= 39
    assert found(instance, 39.0)[-1].value == 39
    # Without the exact search, too.
    small = directed(12, 0)
    least = shortest(small)
    monkeypatch.setattr(atsp, "LARGEST", 3)
    values = [bound.value for bound in found(small, least)]
    assert len(values) > 1 and values == sorted(values) and values[-1] == least


def test_branch_and_cut_can_be_ended() -> None:
    edges = np.array(list(itertools.combinations(range(60), 2)))
    lengths = np.random.default_rng(0).integers(1, 1_000, len(edges))
    assert list(below(60, edges, lengths, 10**6, seconds=100, over=lambda: True)) == []


def test_violated_finds_pieces_and_thin_cuts() -> None:
    triangles = np.array([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]])
    (piece,) = violated(6, triangles, np.ones(6))
    assert set(np.flatnonzero(piece)) in ({0, 1, 2}, {3, 4, 5})
    joined = np.array([*triangles.tolist(), [0, 3]])
    x = np.array([0.9, 1, 0.9, 0.9, 1, 0.9, 0.2])
    cuts = violated(6, joined, x)
    assert {0, 1, 2} in [set(np.flatnonzero(cut)) for cut in cuts]
    for cut in cuts:
        assert x[cut[joined[:, 0]] != cut[joined[:, 1]]].sum() < 2 - 1e-6
    ring = np.array([[i, (i + 1) % 6] for i in range(6)])
    assert violated(6, ring, np.ones(6)) == []


def cheapest_routes(instance: Instance) -> float:
    """By dynamic programming over sets of customers: the cheapest route through each, then the cheapest partition."""
    assert instance.demand is not None and instance.capacity is not None
    n = instance.n - 1
    nodes = np.arange(instance.n)
    matrix = instance.distance(nodes[:, None], nodes)
    best = [0.0]
    for members in range(1, 1 << n):
        stops = [c + 1 for c in range(n) if members >> c & 1]
        route = math.inf
        if instance.demand[stops].sum() <= instance.capacity:
            for order in itertools.permutations(stops):
                path = np.array([0, *order])
                route = min(route, float(matrix[path, np.roll(path, -1)].sum()))
        part = (members - 1) & members
        while part:
            route = min(route, best[part] + best[members ^ part])
            part = (part - 1) & members
        best.append(route)
    return best[-1]


@pytest.mark.parametrize("seed", range(6))
def test_bounds_on_routes_against_all_routes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    demand = np.append(0.0, rng.integers(1, 9, 6).astype(float))
    coords, whole = rng.uniform(0, 100, (7, 2)), seed % 2 == 0
    rounding = "nearest" if whole else "none"
    instance = Instance("x", "cvrp", "EUC_2D", rounding, np.arange(7), coords=coords, demand=demand, capacity=15.0)
    least = cheapest_routes(instance)
    values = [bound.value for bound in found(instance, least)]
    assert values == sorted(values) and 0.8 * least < values[-1] <= least * (1 + 1e-9)


def test_the_bound_on_a_published_instance() -> None:
    instance = read(DATA / "P-n16-k8.vrp")
    assert 0.97 * 450 < found(instance, 450.0)[-1].value <= 450


def test_problems_without_bounds_are_known() -> None:
    assert known("tsp") and not known("knapsack")


def test_huge_and_tiny_units() -> None:
    base = made(20, seed=3, whole=False)
    assert base.coords is not None
    for unit in (1e-6, 1.0, 1e9):
        instance = Instance("made", "tsp", "EUC_2D", "none", base.ids, coords=base.coords * unit)
        tour = improve(instance, (tuple(range(20)),), deadline=math.inf, seed=0, iterations=2_000)
        nodes = np.array(tour[0])
        cost = float(instance.distance(nodes, np.roll(nodes, -1)).sum())
        (*_, last) = found(instance, cost)
        assert 0.9 * cost < last.value <= cost * (1 + 1e-12)


@pytest.mark.parametrize("least", [-1.0, -1e-9, 0.0])
def test_costs_below_zero_and_many_that_are_nothing(least: float) -> None:
    rng = np.random.default_rng(0)
    matrix = np.triu(np.where(rng.random((16, 16)) < 0.5, 0.0, rng.uniform(least, 1e-9, (16, 16))), 1)
    instance = Instance.of_matrix("below", "tsp", matrix + matrix.T)
    tour = improve(instance, (tuple(range(16)),), deadline=math.inf, seed=0, iterations=5_000)
    nodes = np.array(tour[0])
    cost = float(instance.distance(nodes, np.roll(nodes, -1)).sum())
    for bound in found(instance, cost):
        assert bound.value <= cost + 1e-9 * abs(cost)
        assert bound.value >= 16 * matrix.min() - 1e-12


def test_small_directed_costs_have_as_close_a_bound() -> None:
    costs = np.random.default_rng(0).random((40, 40))
    (large, *_), (small, *_) = (found(Instance.of_matrix("u", "atsp", costs * u), math.inf) for u in (1.0, 1e-6))
    assert large.value > 0.5 and small.value == pytest.approx(1e-6 * large.value, rel=1e-4)


def test_nodes_on_one_spot() -> None:
    instance = Instance("spot", "tsp", "EUC_2D", "nearest", np.arange(30), coords=np.ones((30, 2)))
    assert [bound.value for bound in found(instance, 0.0)] == [0.0]
