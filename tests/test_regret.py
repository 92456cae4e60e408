"""Regrets against enumeration: they add up, cost nothing where nothing is lost, and never claim too little."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import improve as improving
from l2o import problems
from l2o.advantage import regret_advantages
from l2o.construct import Construction, construct
from l2o.models.local import Config, Policy
from l2o.problems.base import Graph
from l2o.problems.instance import Instance
from l2o.recipe import InvalidRecipe, from_dict
from l2o.regret import regrets
from l2o.reinforce import Reinforce
from l2o.solutions import length


def rolled_out(n: int, *, batch: int = 2, starts: int = 6, seed: int = 0) -> tuple[Graph, Construction]:
    """Tours of an untrained policy, whose decisions are of all kinds."""
    problem = problems.find("tsp")
    generator = torch.Generator().manual_seed(seed)
    graph = problem.sample(generator, batch, n, "uniform")
    graph = Graph(graph.pos.double(), graph.demand)
    torch.manual_seed(seed)
    policy = Policy(Config(width=8, message=4), features=0, moves=1).double()
    torch.nn.init.constant_(policy.sharpness, 0.5)
    row = torch.arange(batch).repeat_interleave(starts)
    first = problem.random_starts(generator, graph, starts).flatten()
    noise = torch.rand(n - 1, len(row), generator=generator)
    lots = torch.rand(n - 1, len(row), generator=generator)
    made = construct(problem, policy, graph, row, first, noise=noise, lots=lots)
    assert made is not None
    return graph, made


def shortest_rest(distance: torch.Tensor, here: int, left: list[int], first: int) -> float:
    """By enumeration."""
    orders = itertools.permutations(left)
    return min(float(distance[[here, *order], [*order, first]].sum()) for order in orders)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 40))
def test_regrets_add_up_to_what_a_tour_is_longer_than_the_first_plan(seed: int, n: int) -> None:
    graph, made = rolled_out(n, seed=seed)
    found = regrets(problems.find("tsp"), graph, made, kicks=2 * n)
    plan = made.cost - found.sum(dim=0)
    for instance in range(2):
        own = plan[made.row == instance]
        torch.testing.assert_close(own, own[:1].expand_as(own), atol=1e-9, rtol=0)
        assert (own <= made.cost[made.row == instance] + 1e-9).all()


@pytest.mark.parametrize("seed", range(4))
def test_regrets_against_enumeration(seed: int) -> None:
    n = 7
    graph, made = rolled_out(n, seed=seed)
    found = regrets(problems.find("tsp"), graph, made, kicks=200)
    exact = 0
    for p in range(len(made.row)):
        distance = torch.cdist(graph.pos[made.row[p]], graph.pos[made.row[p]])
        tour = [int(made.first[p]), *made.nodes[:, p].tolist()]
        best = [shortest_rest(distance, tour[t], tour[t + 1 :], tour[0]) for t in range(n)]
        planned = best[0]
        for t in range(n - 1):
            leg = float(distance[tour[t], tour[t + 1]])
            true = leg + best[t + 1] - best[t]
            assert true >= -1e-9
            planned += float(found[t, p]) - leg  # the length of the plan for what is now left
            assert planned >= best[t + 1] - 1e-9, "no rest is shorter than the shortest"
            exact += abs(float(found[t, p]) - true) < 1e-9
    assert exact > 0.9 * found.numel(), "plans are mended well on maps as small as these"


@pytest.mark.parametrize("unit", [1.0, 1e4, 1e9])
def test_regrets_are_found_in_any_unit(unit: float) -> None:
    """What rounding gains is told from what a move gains."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        instance = Instance("any", "tsp", "EUC_2D", "none", np.arange(30), coords=rng.random((30, 2)) * unit)
        tours = np.stack([rng.permutation(30) for _ in range(4)])
        plan = (tuple(range(30)),)
        found = improving.regrets(instance, plan, tours).sum(axis=1)
        assert found == pytest.approx([length(instance, [tour]) - length(instance, plan) for tour in tours.tolist()])


def test_an_optimal_tour_regrets_nothing_in_either_direction() -> None:
    graph, made = rolled_out(8, batch=1, starts=2)
    distance = torch.cdist(graph.pos[0], graph.pos[0])
    orders = [(0, *order) for order in itertools.permutations(range(1, 8))]
    best = min(orders, key=lambda order: float(distance[list(order), [*order[1:], 0]].sum()))
    nodes = torch.tensor([best[1:], tuple(reversed(best[1:]))]).T
    both = Construction(made.row, torch.zeros(2, dtype=torch.int64), nodes, torch.zeros_like(nodes), made.legs, [])
    assert regrets(problems.find("tsp"), graph, both, kicks=100).abs().max() < 1e-12


def test_rounding_errors_in_place_of_regrets_earn_nothing() -> None:
    _, made = rolled_out(10)
    noise = 1e-25 * torch.rand(made.nodes.shape, generator=torch.Generator().manual_seed(0))
    assert regret_advantages(made, noise, 0.9).abs().max() < 1e-15


def test_advantages_of_regrets_are_discounted_sums_less_their_mean() -> None:
    _, made = rolled_out(9)
    found = torch.rand(8, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for discount in (0.0, 0.7, 1.0):
        gain = regret_advantages(made, found, discount)
        weights = discount ** np.arange(8)
        to_come = np.array([[-(weights[: 8 - t] * found[t:, p].numpy()).sum() for p in range(12)] for t in range(8)])
        place, scales = 0, dict[int, float]()
        for decision in made.kept:
            for p in decision.index.tolist():
                mine = (made.row == made.row[p]).numpy()
                expected = to_come[decision.time, p] - to_come[:, mine].mean()
                ratio = float(gain[place]) / expected
                assert ratio > 0 and ratio == pytest.approx(scales.setdefault(int(made.row[p]), ratio), rel=1e-6)
                place += 1
        assert place == len(gain)


def test_regrets_of_routes_are_not_known() -> None:
    recipe = from_dict({"problem": "cvrp", "objective": {"regret": True}, "budget": {"minutes": 1}})
    with pytest.raises(InvalidRecipe, match=r"objective.regret: .* of tsp, not of cvrp"):
        Reinforce(problems.find("cvrp"), recipe)
