"""What holds for every problem found in ``problems/``."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import problems
from l2o.problems.base import Graph, Problem
from l2o.problems.instance import Infeasible, Instance, Routes
from l2o.problems.maps import MAPS


@pytest.fixture(params=problems.names())
def problem(request: pytest.FixtureRequest) -> Problem:
    return problems.find(request.param)


def instance_of(problem: Problem, graph: Graph, i: int = 0) -> Instance:
    """The i-th instance of a graph as if it had been read from a file."""
    demand = graph.demand[i].numpy().copy()
    return Instance(
        name="random",
        problem=problem.name,
        metric="EUC_2D",
        rounding="none",
        ids=np.arange(1, graph.n + 1),
        coords=graph.pos[i].numpy().astype(np.float64),
        demand=demand if demand.any() else None,
        capacity=1.0 if demand.any() else None,
    )


def random_play(problem: Problem, graph: Graph, seed: int, first: int | None = None) -> tuple[Routes, float]:
    """Routes of a random construction in the first instance and the length it added up."""
    generator = torch.Generator().manual_seed(seed)
    begin = problem.random_starts(generator, graph, 1)[:1, 0] if first is None else torch.tensor([first])
    state = problem.start(graph, torch.zeros(1, dtype=torch.int64), begin)
    nodes, moves, total = [], [], 0.0
    while state.left:
        choices = state.unvisited[0].nonzero()[:, 0]
        node = choices[torch.randint(len(choices), (1,), generator=generator)]
        allowed = problem.allowed(graph, state, node[None])[0, 0].nonzero()[:, 0]
        assert len(allowed), "no way to reach an unvisited node"
        move = allowed[torch.randint(len(allowed), (1,), generator=generator)]
        total += float(problem.legs(graph, state, node[None])[0, 0, move])
        state = problem.step(graph, state, node, move)
        nodes.append(int(node))
        moves.append(int(move))
    assert not state.unvisited.any()
    total += float(problem.closing(graph, state))
    return problem.routes([int(begin)], nodes, moves), total


@pytest.mark.parametrize("distribution", MAPS)
def test_random_play_ends_in_a_feasible_solution_whose_cost_is_what_it_added_up(
    problem: Problem, distribution: str
) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 2, 25, distribution)
    graph = Graph(graph.pos.double(), graph.demand)
    instance = instance_of(problem, graph)
    for seed in range(5):
        routes, total = random_play(problem, graph, seed)
        assert problem.check(instance, routes) == pytest.approx(total, rel=1e-12)
        assert problem.cost(instance, routes) == pytest.approx(total, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(4, 20), count=st.integers(1, 4))
@pytest.mark.parametrize("name", problems.names())
def test_every_start_is_a_start(name: str, seed: int, n: int, count: int) -> None:
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(seed), 1, n, "mixed")
    starts = problem.starts(graph, count)
    assert starts.shape == (1, count) and len(set(starts[0].tolist())) == count
    instance = instance_of(problem, graph)
    for first in starts[0].tolist():
        routes, _ = random_play(problem, graph, seed % 1000, first)
        problem.check(instance, routes)


def test_starts_follow_renumbering_and_moving(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(2), 1, 20, "uniform")
    depot = problem.starts(graph, 1)[0, 0] == 0
    order = torch.randperm(graph.n - 1, generator=torch.Generator().manual_seed(1)) + 1
    order = torch.cat([torch.zeros(1, dtype=torch.int64), order]) if depot else torch.randperm(graph.n)
    turned = graph.pos @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    moved = Graph.of(turned[:, order] * 1000 + 5000, graph.demand[:, order])
    for count in (1, 5):
        assert torch.equal(order[problem.starts(moved, count)], problem.starts(graph, count))


def test_cost_is_the_same_wherever_the_map_lies(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 25, "uniform")
    routes, total = random_play(problem, Graph(graph.pos.double(), graph.demand), 0)
    moved = Graph((graph.pos.double() + 1e6).flip(-1), graph.demand)
    assert problem.check(instance_of(problem, moved), routes) == pytest.approx(total, rel=1e-8)


def test_broken_solutions_are_refused_with_a_reason(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 12, "uniform")
    instance = instance_of(problem, graph)
    routes, _ = random_play(problem, graph, 0)
    longest = max(routes, key=len)
    rest = tuple(r for r in routes if r is not longest)
    for broken, reason in [
        ((*rest, longest[:-1]), "leaves out node|is not served"),
        ((*rest, (*longest, longest[0])), "twice"),
        ((*rest, (*longest[:-1], 99)), "99"),
        ((*rest, (*longest[:-1], -1)), "-1"),
    ]:
        with pytest.raises(Infeasible, match=reason):
            problem.check(instance, broken)


def test_coordinates_of_a_million_keep_their_digits(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 25, "uniform")
    near, far = (Graph.of(graph.pos.double() + shift, graph.demand).pos for shift in (0.0, 1e6))
    torch.testing.assert_close(near, far, atol=1e-6, rtol=0)


def test_a_route_above_the_capacity_is_refused() -> None:
    cvrp = problems.find("cvrp")
    instance = Instance(
        "three", "cvrp", "EUC_2D", "none", np.arange(1, 5), np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]),
        demand=np.array([0.0, 4, 4, 4]), capacity=8.0,
    )  # fmt: skip
    assert cvrp.check(instance, ((1, 2), (3,))) == pytest.approx(2 + 2**0.5 + 2 * 2**0.5)
    with pytest.raises(Infeasible, match="route 1 carries 12, the capacity is 8"):
        cvrp.check(instance, ((1, 2, 3),))


def test_two_moves_reach_every_solution_of_a_small_cvrp() -> None:
    """Enumerating the decisions gives each feasible set of directed routes, and nothing else."""
    cvrp = problems.find("cvrp")
    graph = Graph(torch.rand(1, 5, 2, dtype=torch.float64), torch.tensor([[0.0, 0.4, 0.4, 0.5, 0.3]]).double())
    found: set[Routes] = set()

    def walk(state: object, nodes: list[int], moves: list[int]) -> None:
        if not state.left:  # type: ignore[attr-defined]
            found.add(tuple(sorted(cvrp.routes([0], nodes, moves))))
            return
        for node in range(1, 5):
            if not state.unvisited[0, node]:  # type: ignore[attr-defined]
                continue
            allowed = cvrp.allowed(graph, state, torch.tensor([[node]]))[0, 0]  # type: ignore[arg-type]
            for move in allowed.nonzero()[:, 0].tolist():
                after = cvrp.step(graph, state, torch.tensor([node]), torch.tensor([move]))  # type: ignore[arg-type]
                walk(after, [*nodes, node], [*moves, move])

    walk(cvrp.start(graph, torch.tensor([0]), torch.tensor([0])), [], [])
    demand = graph.demand[0].tolist()
    expected: set[Routes] = set()
    for order in itertools.permutations(range(1, 5)):
        for cuts in itertools.product([False, True], repeat=3):
            routes: list[list[int]] = [[order[0]]]
            for node, cut in zip(order[1:], cuts, strict=True):
                if cut:
                    routes.append([])
                routes[-1].append(node)
            if all(sum(demand[i] for i in route) <= 1 + 1e-9 for route in routes):
                expected.add(tuple(sorted(tuple(route) for route in routes)))
    assert found == expected
