"""What holds for every problem found in ``problems/``."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import problems
from l2o.improve import improve
from l2o.problems.base import Graph, Improves, Problem, State
from l2o.problems.instance import Infeasible, Instance, Routes
from l2o.problems.maps import MAPS

IMPROVED = [name for name in problems.names() if hasattr(problems.find(name), "improved")]
"""Those whose rest can be improved by itself."""


@pytest.fixture(params=problems.names())
def problem(request: pytest.FixtureRequest) -> Problem:
    return problems.find(request.param)


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
    graph = replace(graph, pos=graph.pos.double())
    instance = graph.instance(problem.name, 0)
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
    instance = graph.instance(problem.name, 0)
    for first in starts[0].tolist():
        routes, _ = random_play(problem, graph, seed % 1000, first)
        problem.check(instance, routes)


def test_starts_follow_renumbering_and_moving(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(2), 1, 20, "uniform")
    order = torch.randperm(graph.n - 1, generator=torch.Generator().manual_seed(1)) + 1
    order = torch.cat([torch.zeros(1, dtype=torch.int64), order]) if problem.depot else torch.randperm(graph.n)
    turned = graph.pos @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    moved = Graph.of(turned[:, order] * 1000 + 5000, graph.demand[:, order])
    for count in (1, 5):
        assert torch.equal(order[problem.starts(moved, count)], problem.starts(graph, count))


def test_cost_is_the_same_wherever_the_map_lies(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 25, "uniform")
    routes, total = random_play(problem, replace(graph, pos=graph.pos.double()), 0)
    moved = replace(graph, pos=(graph.pos.double() + 1e6).flip(-1))
    assert problem.check(moved.instance(problem.name, 0), routes) == pytest.approx(total, rel=1e-8)


def test_broken_solutions_are_refused_with_a_reason(problem: Problem) -> None:
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 12, "uniform")
    instance = graph.instance(problem.name, 0)
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


def backwards(instance: Instance, routes: Routes) -> Routes:
    """A search that finds nothing but another way to write the same routes down."""
    return tuple(tuple(reversed(route)) for route in reversed(routes))


def lk(instance: Instance, routes: Routes) -> Routes:
    return improve(instance, routes, deadline=math.inf, seed=0, iterations=300)


def follow(problem: Problem, graph: Graph, first: int, nodes: list[int], moves: list[int]) -> tuple[State, float]:
    """The state after these decisions, each of which must be allowed, and the length of the way there."""
    state, total = problem.start(graph, torch.zeros(1, dtype=torch.int64), torch.tensor([first])), 0.0
    for node, move in zip(torch.tensor(nodes, dtype=torch.int64), torch.tensor(moves, dtype=torch.int64), strict=True):
        assert state.unvisited[0, node] and problem.allowed(graph, state, node[None, None])[0, 0, move]
        total += float(problem.legs(graph, state, node[None, None])[0, 0, move])
        state = problem.step(graph, state, node[None], move[None])
    return state, total


def random_decisions(problem: Problem, graph: Graph, seed: int) -> tuple[int, list[int], list[int]]:
    """A random construction: its first node, and the nodes and moves that follow."""
    generator = torch.Generator().manual_seed(seed)
    first = int(problem.random_starts(generator, graph, 1)[0, 0])
    state, nodes, moves = problem.start(graph, torch.zeros(1, dtype=torch.int64), torch.tensor([first])), [], []
    while state.left:
        node = (torch.rand(state.unvisited.shape, generator=generator) * state.unvisited).argmax(dim=1)
        allowed = problem.allowed(graph, state, node[None])[0, 0]
        move = (torch.rand(allowed.shape, generator=generator) * allowed).argmax(dim=0)
        state = problem.step(graph, state, node, move[None])
        nodes.append(int(node))
        moves.append(int(move))
    return first, nodes, moves


def shortest(problem: Problem, graph: Graph, state: State) -> float:
    """The least length of what is left, by enumeration."""
    if not state.left:
        return float(problem.closing(graph, state))
    lengths = []
    for node in state.unvisited[0].nonzero():
        legs = problem.legs(graph, state, node[None])[0, 0]
        for move in problem.allowed(graph, state, node[None])[0, 0].nonzero():
            rest = shortest(problem, graph, problem.step(graph, state, node, move))
            lengths.append(float(legs[move]) + rest)
    return min(lengths)


@pytest.mark.parametrize("begin", [0, 1, 7, 11])
@pytest.mark.parametrize("name", IMPROVED)
def test_decisions_are_improved_from_any_of_them_on(name: str, begin: int) -> None:
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 12, "uniform")
    graph = Graph(graph.pos.double(), graph.demand)
    for seed in range(4):
        first, nodes, moves = random_decisions(problem, graph, seed)
        state, way = follow(problem, graph, first, nodes, moves)
        cost = way + float(problem.closing(graph, state))
        for search in (backwards, lk):
            plan = cast(Improves, problem).improved(graph, 0, first, nodes, moves, begin, search)
            assert plan.begin >= begin and plan.nodes[:begin] == nodes[:begin] and plan.moves[:begin] == moves[:begin]
            assert len(plan.free) == len(plan.nodes) == len(nodes)
            state, way = follow(problem, graph, first, plan.nodes, plan.moves)
            better = way + float(problem.closing(graph, state))
            assert better == pytest.approx(cost, rel=1e-12) if search is backwards else better <= cost * (1 + 1e-12)
        assert begin > 0 or better < cost * 0.99


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", IMPROVED)
def test_an_improved_rest_is_optimal_and_so_is_whatever_is_free(name: str, seed: int) -> None:
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(seed), 1, 5, "uniform")
    graph = Graph(graph.pos.double(), graph.demand)
    first, nodes, moves = random_decisions(problem, graph, seed)
    for begin in range(len(nodes)):
        plan = cast(Improves, problem).improved(graph, 0, first, nodes, moves, begin, lk)
        for time in range(plan.begin, len(nodes)):
            state, _ = follow(problem, graph, first, plan.nodes[:time], plan.moves[:time])
            least = shortest(problem, graph, state)
            also = set(plan.ends) - set(plan.nodes[:time]) if plan.free[time] else set()
            for node in {plan.nodes[time]} | also:
                there, move = torch.tensor([node]), plan.moves[time]
                leg = float(problem.legs(graph, state, there[None])[0, 0, move])
                after = problem.step(graph, state, there, torch.tensor([move]))
                assert leg + shortest(problem, graph, after) == pytest.approx(least, rel=1e-9)


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
