"""Joining ends against plain Python: the rules, the tours, and that the surest join comes first."""

from __future__ import annotations

import itertools
import math
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import join as join_module
from l2o import kernels_join, problems
from l2o.join import Gumbel, join
from l2o.models.fragments import Config, Policy
from l2o.problems.base import Completes, Graph
from l2o.problems.fragments import Fragments

TSP, CVRP = (cast(Completes, problems.find(name)) for name in ("tsp", "cvrp"))


def sample(n: int, batch: int = 1, *, seed: int = 0, distribution: str = "uniform", problem: str = "tsp") -> Graph:
    return problems.find(problem).sample(torch.Generator().manual_seed(seed), batch, n, distribution)


def untrained(moves: int = 1) -> Policy:
    torch.manual_seed(0)
    return Policy(Config(width=8, message=4, vectors=2, depth=1), moves=moves)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(1, 3), st.integers(0, 20), st.booleans())
def test_joins_are_accepted_by_the_rules(seed: int, n: int, batch: int, wanted: int, depot: bool) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(batch * n, size=80)
    first += depot & (first % n == 0)
    second = first - first % n + rng.integers(n, size=80)
    demand = torch.from_numpy(rng.random((batch, n)) * depot)
    fragments = Fragments.alone(demand)
    if depot:
        fragments.open[:, 0] = 0
    open_, other, load = fragments.open.view(-1).numpy(), np.arange(batch * n), fragments.load.view(-1).numpy()
    taken = np.empty(80, np.int64)
    count = kernels_join.accept(first, second, n, depot, open_, other, load, np.full(batch, wanted), taken)

    path = {node: {node} for node in range(batch * n)}
    degree = dict.fromkeys(range(batch * n), 0)
    left = dict.fromkeys(range(batch), wanted)
    expected = []
    for place, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if not left[i // n] or degree[i] == 2:
            continue
        if depot and j % n == 0:
            degree[i] += 1
        elif (
            path[i] is path[j] or degree[j] == 2 or sum(float(demand.flatten()[node]) for node in path[i] | path[j]) > 1
        ):
            continue
        else:
            degree[i] += 1
            degree[j] += 1
            joined = path[i] | path[j]
            path |= dict.fromkeys(joined, joined)
        left[i // n] -= 1
        expected.append(place)
    assert taken[:count].tolist() == expected
    fragments.other[:] = torch.from_numpy(other).view(batch, n) - torch.arange(batch).unsqueeze(1) * n
    closed = fragments.closed.flatten().tolist()
    for node, known in degree.items():
        if depot and node % n == 0:
            continue
        assert open_[node] == 2 - known
        if open_[node]:
            ends = {end for end in path[node] if degree[end] < 2}
            assert load[node] == pytest.approx(sum(float(demand.flatten()[i]) for i in path[node]))
            assert closed[node] == (len(ends) == 1 and known == 1)
            assert closed[node] or (other[node] in ends and (len(ends) == 1 or other[node] != node))


@pytest.mark.parametrize("distribution", ["uniform", "clusters", "lattice"])
@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_tours_visit_every_node_once(distribution: str, share: float) -> None:
    graph = sample(60, 4, distribution=distribution)
    made = join(TSP, untrained(), graph, share=share)
    assert made is not None
    for row, (tour,) in enumerate(made.routes):
        assert sorted(tour) == list(range(60))
        assert float(made.cost[row]) == pytest.approx(problems.find("tsp").check(graph.instance("tsp", row), (tour,)))


@pytest.mark.parametrize("distribution", ["uniform", "clusters"])
@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_routes_serve_every_customer_within_the_capacity(distribution: str, share: float) -> None:
    graph = sample(60, 4, distribution=distribution, problem="cvrp")
    made = join(CVRP, untrained(moves=2), graph, share=share)
    assert made is not None
    for row, routes in enumerate(made.routes):
        assert float(made.cost[row]) == pytest.approx(problems.find("cvrp").check(graph.instance("cvrp", row), routes))


def test_a_single_node() -> None:
    tour, routes = join(TSP, untrained(), sample(1, 2)), join(CVRP, untrained(moves=2), sample(1, 2))
    assert tour is not None and tour.routes == [((0,),)] * 2 and tour.cost.tolist() == [0, 0]
    assert routes is not None and routes.routes == [(), ()] and routes.cost.tolist() == [0, 0]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_smallest_maps(n: int) -> None:
    made = join(TSP, untrained(), sample(n, 5))
    assert made is not None and all(sorted(tour) == list(range(n)) for (tour,) in made.routes)
    graph = sample(n - 1, 5, problem="cvrp")
    routed = join(CVRP, untrained(moves=2), graph)
    assert routed is not None
    assert all(sorted(node for route in routes for node in route) == list(range(1, n)) for routes in routed.routes)


def test_the_surest_join_is_made_first_and_every_round_looks_again() -> None:
    policy, graph = untrained(), sample(12)
    rounds: list[Fragments] = []
    join(TSP, policy, graph, share=1e-9, watch=lambda left, state: rounds.append(state.clone()))
    assert len(rounds) == 11
    for before, after in itertools.pairwise(rounds):
        ends = policy.look(graph, before)
        best = int(policy(ends).argmax())
        i, j = int(ends.node[best // 10]), int(ends.partner.flatten()[best])
        changed = (before.open != after.open).nonzero()[:, 1].tolist()
        assert changed == sorted([i, j])


def test_sure_joins_do_not_wait() -> None:
    policy, graph = untrained(), sample(40)
    rounds: list[Fragments] = []
    torch.nn.init.constant_(policy.head.bias, join_module.SURE + 1)
    ends = policy.look(graph, TSP.fragments(graph))
    sure = int((policy(ends) > join_module.SURE).sum())
    join(TSP, policy, graph, share=1e-9, watch=lambda left, state: rounds.append(state.clone()))
    # Each of a join's two ends sees it, if it is among the near ones of both.
    assert 4 < sure < 80
    assert int((2 - rounds[1].open).sum()) == 2 * (sure // 2)


def test_the_policy_sees_only_what_is_left() -> None:
    seen: list[int] = []
    join(TSP, untrained(), sample(30, 2), watch=lambda left, state: seen.append(left))
    assert seen[0] == 29 and seen == sorted(seen, reverse=True) and seen[-1] == 1


def test_what_was_joined_before_stays() -> None:
    n = 12
    graph = sample(n, 2)
    # In both instances 0 - 1 - 2 and 5 - 9 are paths.
    open_, other = torch.full((2, n), 2), torch.arange(n).expand(2, n).clone()
    open_[:, [0, 2, 5, 9]], open_[:, 1] = 1, 0
    other[:, [0, 2, 5, 9]] = torch.tensor([2, 0, 9, 5])
    partial = Fragments(open_, other, torch.zeros(2, n, dtype=torch.float64))
    kept = [(0, 1), (1, 2), (5, 9)]
    edges = np.array([[row * n + a, row * n + b] for row in range(2) for a, b in kept])
    made = join(TSP, untrained(), graph, partial=(partial, edges))
    assert made is not None
    for row, ((tour,), cost) in enumerate(zip(made.routes, made.cost.tolist(), strict=True)):
        assert sorted(tour) == list(range(n))
        ring = list(zip(tour, tour[1:] + tour[:1], strict=True))
        assert all((a, b) in ring or (b, a) in ring for a, b in kept)
        points = graph.pos[row].tolist()
        assert cost == pytest.approx(sum(math.dist(points[a], points[b]) for a, b in ring), rel=1e-5)
    assert partial.open.sum() == 2 * (2 * n - 6), "what was given is left as it was"


def test_giving_up() -> None:
    made: list[int] = []

    def stop(done: int) -> bool:
        made.append(done)
        return done > 10

    assert join(TSP, untrained(), sample(30), stop=stop) is None
    assert made[0] == 0 and made[-1] > 10 and max(made[:-1]) <= 10


def test_samples_differ_and_come_again() -> None:
    graph = sample(40)
    many = Graph(graph.pos.expand(6, -1, -1), graph.demand.expand(6, -1))
    drawn = [join(TSP, untrained(), many, noise=Gumbel(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    tours = [made.routes for made in drawn if made is not None]
    assert tours[0] == tours[1] != tours[2]
    assert len(set(tours[0])) > 1
