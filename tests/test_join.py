"""Joining ends against plain Python: the rules, the tours, and that the surest join comes first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import kernels_join, problems
from l2o.join import Gumbel, join
from l2o.models.fragments import Config, Policy
from l2o.problems.base import Graph
from l2o.problems.fragments import Fragments


def sample(n: int, batch: int = 1, *, seed: int = 0, distribution: str = "uniform") -> Graph:
    return problems.find("tsp").sample(torch.Generator().manual_seed(seed), batch, n, distribution)


def untrained() -> Policy:
    torch.manual_seed(0)
    return Policy(Config(width=8, message=4, vectors=2, depth=1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(1, 3), st.integers(0, 12))
def test_joins_are_accepted_by_the_rules(seed: int, n: int, batch: int, wanted: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(batch * n, size=60)
    second = first - first % n + rng.integers(n, size=60)
    fragments = Fragments.alone(batch, n)
    open_, other = fragments.open.view(-1).numpy(), np.arange(batch * n)
    taken = np.empty(60, np.int64)
    count = kernels_join.accept(first, second, n, open_, other, np.full(batch, wanted), taken)

    path = {node: {node} for node in range(batch * n)}
    neighbours: dict[int, list[int]] = {node: [] for node in range(batch * n)}
    left = dict.fromkeys(range(batch), wanted)
    expected = []
    for place, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if left[i // n] and path[i] is not path[j] and max(len(neighbours[i]), len(neighbours[j])) < 2:
            left[i // n] -= 1
            neighbours[i].append(j)
            neighbours[j].append(i)
            joined = path[i] | path[j]
            path |= dict.fromkeys(joined, joined)
            expected.append(place)
    assert taken[:count].tolist() == expected
    for node, known in neighbours.items():
        assert open_[node] == 2 - len(known)
        if open_[node]:
            ends = {end for end in path[node] if len(neighbours[end]) < 2}
            assert other[node] in ends and (len(ends) == 1 or other[node] != node)


@pytest.mark.parametrize("distribution", ["uniform", "clusters", "lattice"])
@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_tours_visit_every_node_once(distribution: str, share: float) -> None:
    graph = sample(60, 4, distribution=distribution)
    made = join(untrained(), graph, share=share)
    assert made is not None
    for row, tour in enumerate(made.tours):
        assert sorted(tour.tolist()) == list(range(60))
        stops = graph.pos[row, tour]
        torch.testing.assert_close(made.cost[row], (stops - stops.roll(-1, 0)).norm(dim=1).sum())


@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_smallest_maps(n: int) -> None:
    made = join(untrained(), sample(n, 5))
    assert made is not None and (made.tours.sort(dim=1).values == torch.arange(n)).all()


def test_the_surest_join_is_made_first_and_every_round_looks_again() -> None:
    policy, graph = untrained(), sample(12)
    rounds: list[Fragments] = []
    join(policy, graph, share=1e-9, watch=lambda left, state: rounds.append(state.clone()))
    assert len(rounds) == 11
    for before, after in itertools.pairwise(rounds):
        ends = policy.look(graph, before)
        best = int(policy(ends).argmax())
        i, j = int(ends.node[best // 10]), int(ends.partner.flatten()[best])
        changed = (before.open != after.open).nonzero()[:, 1].tolist()
        assert changed == sorted([i, j])


def test_the_policy_sees_only_what_is_left() -> None:
    seen: list[int] = []
    join(untrained(), sample(30, 2), watch=lambda left, state: seen.append(left))
    assert seen[0] == 29 and seen == sorted(seen, reverse=True) and seen[-1] == 1


def test_giving_up() -> None:
    made: list[int] = []

    def stop(done: int) -> bool:
        made.append(done)
        return done > 10

    assert join(untrained(), sample(30), stop=stop) is None
    assert made[0] == 0 and made[-1] > 10 and max(made[:-1]) <= 10


def test_samples_differ_and_come_again() -> None:
    graph = sample(40)
    many = Graph(graph.pos.expand(6, -1, -1), graph.demand.expand(6, -1))
    drawn = [join(untrained(), many, noise=Gumbel(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    tours = [made.tours for made in drawn if made is not None]
    assert torch.equal(tours[0], tours[1]) and not torch.equal(tours[0], tours[2])
    assert len({tuple(tour) for tour in tours[0].tolist()}) > 1
