"""The wind's tours: exact costs, the symmetries they have, and who can tell a map from its mirror image."""

from __future__ import annotations

import itertools
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2o import models
from l2o.construct import construct
from l2o.problems.base import Graph
from l2o.problems.instance import Infeasible, Unsupported
from l2o.problems.tsp import PROBLEM as CALM
from l2o.problems.wind import PROBLEM as WIND
from l2o.problems.wind import STRENGTH

N = 7
TOURS = tuple((0, *rest) for rest in itertools.permutations(range(1, N)))
MIRROR = torch.tensor([-1.0, 1.0], dtype=torch.float64)
E3NN = pytest.mark.skipif(find_spec("e3nn") is None, reason="e3nn is missing: pip install 'l2o[steerable]'")


def graph_of(n: int = N, batch: int = 1, seed: int = 0) -> Graph:
    graph = WIND.sample(torch.Generator().manual_seed(seed), batch, n, "uniform")
    return Graph(graph.pos.double(), graph.demand)


def moved(graph: Graph, matrix: Tensor, shift: float = 0.0) -> Graph:
    return Graph(graph.pos @ matrix + shift, graph.demand)


def costs(graph: Graph) -> Tensor:
    """``[tours]`` all of them, by the problem's independent check."""
    instance = graph.instance(WIND.name, 0)
    return torch.tensor([WIND.check(instance, (tour,)) for tour in TOURS], dtype=torch.float64)


def turn(degrees: float) -> Tensor:
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])


def backwards(cost: Tensor) -> Tensor:
    """Those of the same tours the other way round."""
    place = {tour: number for number, tour in enumerate(TOURS)}
    return cost[[place[(0, *tour[:0:-1])] for tour in TOURS]]


def test_costs_are_those_of_the_legs_however_they_are_computed() -> None:
    graph, instance = graph_of(12), graph_of(12).instance(WIND.name, 0)
    for seed in range(5):
        order = 1 + torch.randperm(11, generator=torch.Generator().manual_seed(seed))
        state, total = WIND.start(graph, torch.tensor([0]), torch.tensor([0])), 0.0
        for node in order:
            total += float(WIND.legs(graph, state, node.view(1, 1)))
            state = WIND.step(graph, state, node.view(1), torch.tensor([0]))
        total += float(WIND.closing(graph, state))
        routes = WIND.routes([0], order.tolist(), [0] * 11)
        assert WIND.check(instance, routes) == pytest.approx(total, rel=1e-12)
        assert WIND.cost(instance, routes) == pytest.approx(total, rel=1e-12)
    with pytest.raises(Infeasible, match="leaves out"):
        WIND.check(instance, ((0, 1, 2),))


def test_straight_with_the_wind_and_straight_against_it() -> None:
    """Around the depot, to the east of it: counterclockwise is north."""
    graph = Graph(torch.tensor([[[0.0, 0.0], [2.0, -1.0], [2.0, 1.0], [-2.0, 1.0]]]), torch.zeros(1, 4))
    row = torch.tensor([0])
    there, back = (float(WIND.leg(graph, row, torch.tensor([a]), torch.tensor([b]))) for a, b in ((1, 2), (2, 1)))
    assert there == pytest.approx(2 * (1 - STRENGTH)) and back == pytest.approx(2 * (1 + STRENGTH))
    assert float(WIND.leg(graph, row, torch.tensor([1]), torch.tensor([3]))) == pytest.approx(20**0.5), "over the depot"
    assert float(WIND.leg(graph, row, torch.tensor([2]), torch.tensor([2]))) == 0


def test_a_leg_that_passes_the_depot_costs_half_its_length_more_or_less_at_most() -> None:
    """The wind there is of no direction but for rounding; what it can do is bounded all the same."""
    rng = np.random.default_rng(0)
    depot, away = rng.random((500, 1, 2)), rng.standard_normal((500, 1, 2))
    graph = Graph(torch.from_numpy(np.concatenate([depot, depot + away, depot - away], axis=1)), torch.zeros(500, 3))
    leg = WIND.leg(graph, torch.arange(500), torch.tensor(1), torch.tensor(2))
    length = 2 * torch.from_numpy(away).norm(dim=2)[:, 0]
    assert ((leg / length - 1).abs() <= STRENGTH * (1 + 1e-12)).all()
    for number in range(0, 500, 10):
        instance = graph.instance(WIND.name, number)
        assert WIND.cost(instance, ((0, 1, 2),)) == pytest.approx(WIND.check(instance, ((0, 1, 2),)), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_dynamic_programming_over_tails_finds_the_cheapest_of_all_tours(seed: int) -> None:
    graph = graph_of(seed=seed)
    every = torch.arange(N)
    leg: list[list[float]] = WIND.leg(
        graph, torch.zeros(1, dtype=torch.int64), every.unsqueeze(1), every.unsqueeze(0)
    ).tolist()

    @cache
    def rest(current: int, unvisited: frozenset[int]) -> float:
        onward = [leg[current][node] + rest(node, unvisited - {node}) for node in unvisited]
        return min(onward) if onward else leg[current][0]

    assert rest(0, frozenset(range(1, N))) == pytest.approx(float(costs(graph).min()), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_symmetries_are_those_of_the_plane_but_for_mirrors(seed: int) -> None:
    graph = graph_of(seed=seed)
    plain = costs(graph)
    torch.testing.assert_close(costs(moved(graph, turn(77.0), 5.0)), plain, rtol=1e-9, atol=0)
    torch.testing.assert_close(costs(moved(graph, 100 * turn(0.0))), 100 * plain, rtol=1e-9, atol=0)
    mirrored = costs(moved(graph, torch.diag(MIRROR)))
    torch.testing.assert_close(mirrored, backwards(plain), rtol=1e-9, atol=0)
    assert (mirrored - plain).abs().max() > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_whoever_takes_the_same_tours_in_the_mirror_pays_for_calm_air(seed: int) -> None:
    graph = graph_of(seed=seed)
    plain = costs(graph)
    instance = graph.instance(CALM.name, 0)
    length = torch.tensor([CALM.cost(instance, (tour,)) for tour in TOURS], dtype=torch.float64)
    mean = (plain + costs(moved(graph, torch.diag(MIRROR)))) / 2
    torch.testing.assert_close(mean, length, rtol=1e-9, atol=0)
    assert plain.min() < 0.9 * length.min()


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "settings", "told", "tells"),
    [
        ("local", {}, False, False),
        ("local", {}, True, True),
        pytest.param("steerable", {}, False, False, marks=E3NN),
        pytest.param("steerable", {"parity": False}, False, True, marks=E3NN),
    ],
)
def test_only_what_is_not_invariant_in_a_mirror_tells_the_two_maps_apart(
    kind: str, settings: dict[str, Any], told: bool, tells: bool
) -> None:
    """Networks are shown the map, and the costs of legs only if ``told``: from these anyone can read the wind."""
    module = models.find(kind)
    torch.manual_seed(0)
    policy = module.Policy(module.Config(width=16, message=8, **settings), features=0, moves=1).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    plain = graph_of(9, batch=20)
    mirrored = moved(plain, torch.diag(MIRROR))
    rows = torch.arange(20)
    noise = torch.rand(8, 20, generator=torch.Generator().manual_seed(1))
    made = []
    for graph in (plain, mirrored):
        known = None if told else (policy.sight(CALM, graph), None)
        built = construct(WIND, policy, graph, rows, 0 * rows, noise=noise, known=known)
        assert built is not None
        made.append(built)
    assert torch.equal(made[0].nodes, made[1].nodes) != tells
    if not tells:
        mean = (made[0].cost + made[1].cost) / 2
        calm = [CALM.cost(plain.instance(CALM.name, row), made[0].routes(CALM, row)) for row in range(20)]
        torch.testing.assert_close(mean, torch.tensor(calm, dtype=torch.float64), rtol=1e-9, atol=0)


def test_what_it_does_not_know_is_said() -> None:
    solid = Graph(torch.rand(1, 5, 3), torch.zeros(1, 5))
    row = torch.tensor([0])
    with pytest.raises(Unsupported, match="found points in 3 dimensions, expected 2; wind turns in the plane"):
        WIND.closing(solid, WIND.start(solid, row, row))
    with pytest.raises(Unsupported, match="wind turns in the plane"):
        WIND.cost(solid.instance(WIND.name, 0), (tuple(range(5)),))
    with pytest.raises(Unsupported, match="does not know of wind"):
        WIND.improved(graph_of(), 0, 0, list(range(1, N)), [0] * (N - 1), 0, lambda instance, routes: routes)
    with pytest.raises(Unsupported, match="does not know of wind"):
        WIND.completed(graph_of(), 0, WIND.fragments(graph_of()), (tuple(range(N)),), lambda i, p, routes: routes)
    assert np.array_equal(WIND.random_starts(torch.Generator(), graph_of(batch=2), 3), np.zeros((2, 3)))
