"""The policy's contract, for every problem: invariant logits that follow renumbering and ignore the batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from l2o import problems
from l2o.models import patch as patch_module
from l2o.models.local import Config, Policy
from l2o.models.patch import CANDIDATES, Patch, nearest
from l2o.problems.base import Graph, Problem, State
from l2o.problems.maps import MAPS

CONFIGS = [
    Config(),
    Config(coordinates=True),
    Config(encoder=2),
    Config(candidates=4, context=0),
]


def make(problem: Problem, config: Config | None = None) -> Policy:
    """A policy in float64 whose last layer is not zero: an untrained one would hide what the network does."""
    torch.manual_seed(0)
    policy = Policy(config or Config(), features=problem.features, moves=problem.moves).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy


def play(problem: Problem, graph: Graph, steps: int, seed: int = 0) -> State:
    """A state ``steps`` random decisions in, one for each instance."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(graph.pos))
    state = problem.start(graph, rows, problem.random_starts(generator, graph, 1)[:, 0])
    for _ in range(steps):
        weight = torch.rand(state.unvisited.shape, generator=generator) * state.unvisited
        node = weight.argmax(dim=1)
        allowed = problem.allowed(graph, state, node.unsqueeze(1))[:, 0]
        move = (torch.rand(allowed.shape, generator=generator) * allowed).argmax(dim=1)
        state = problem.step(graph, state, node, move)
    return state


def sample(problem: Problem, n: int = 30, batch: int = 3, distribution: str = "uniform", seed: int = 0) -> Graph:
    graph = problem.sample(torch.Generator().manual_seed(seed), batch, n, distribution)
    return Graph(graph.pos.double(), graph.demand)


def logits(problem: Problem, policy: Policy, graph: Graph, state: State) -> tuple[Patch, Tensor]:
    patch = policy.sight(problem, graph)(state)
    return patch, policy(patch, policy.encode(graph))


@pytest.fixture(params=[name for name in problems.names() if not problems.find(name).fleet])
def problem(request: pytest.FixtureRequest) -> Problem:
    return problems.find(request.param)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_logits_are_invariant_under_isometries_and_scale(problem: Problem, config: Config, scale: float) -> None:
    policy = make(problem, config)
    graph = sample(problem)
    state = play(problem, graph, 9)
    _, plain = logits(problem, policy, graph, state)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    for mirror in (1.0, -1.0):
        matrix = turn * torch.tensor([mirror, 1.0], dtype=torch.float64)
        moved = Graph.of((graph.pos @ matrix + 7.0) * scale, graph.demand, dtype=torch.float64)
        _, other = logits(problem, policy, moved, state)
        torch.testing.assert_close(other, plain, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_logits_follow_renumbering(problem: Problem, config: Config) -> None:
    policy = make(problem, config)
    graph = sample(problem)
    state = play(problem, graph, 9)
    patch, plain = logits(problem, policy, graph, state)
    order = 1 + torch.randperm(graph.n - 1, generator=torch.Generator().manual_seed(1))
    order = torch.cat([torch.zeros(1, dtype=torch.int64), order])
    new = order.argsort()
    moved = Graph(graph.pos[:, order], graph.demand[:, order])
    there = dataclasses.replace(
        state, current=new[state.current], anchor=new[state.anchor], unvisited=state.unvisited[:, order]
    )
    other_patch, other = logits(problem, policy, moved, there)
    torch.testing.assert_close(other, plain, atol=1e-9, rtol=0)
    assert torch.equal(other_patch.node[patch.valid], new[patch.node[patch.valid]])


def test_a_state_scores_the_same_alone_and_in_a_batch(problem: Problem) -> None:
    policy = make(problem)
    graph = sample(problem)
    state = play(problem, graph, 9)
    _, together = logits(problem, policy, graph, state)
    for i in range(3):
        one = slice(i, i + 1)
        alone = State(
            row=torch.zeros(1, dtype=torch.int64),
            current=state.current[one],
            anchor=state.anchor[one],
            unvisited=state.unvisited[one],
            left=state.left,
            load=state.load[one],
        )
        _, single = logits(problem, policy, Graph(graph.pos[i : i + 1], graph.demand[i : i + 1]), alone)
        torch.testing.assert_close(single[0], together[i], atol=1e-12, rtol=0)


def test_logits_depend_on_the_tail_alone(problem: Problem) -> None:
    """Visited nodes may be anywhere: they are no part of the state."""
    policy = make(problem)
    graph = sample(problem)
    state = play(problem, graph, 12)
    _, plain = logits(problem, policy, graph, state)
    matter = state.unvisited.clone()
    matter[torch.arange(3), state.current] = True
    matter[torch.arange(3), state.anchor] = True
    elsewhere = torch.rand(graph.pos.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    moved = Graph(torch.where(matter.unsqueeze(-1), graph.pos, elsewhere), graph.demand)
    _, other = logits(problem, policy, moved, state)
    torch.testing.assert_close(other, plain, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_any_dimension_with_the_same_weights(problem: Problem, dim: int) -> None:
    policy = make(problem)
    graph = sample(problem)
    flat = torch.nn.functional.pad(graph.pos, (0, 8))[..., : max(dim, 2)]
    turn = torch.linalg.qr(
        torch.randn(flat.shape[-1], flat.shape[-1], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    )[0]
    state = play(problem, graph, 5)
    if dim == 1:
        line = Graph(graph.pos[..., :1], graph.demand)
        assert logits(problem, policy, line, state)[1].isfinite().any(dim=(1, 2)).all()
        return
    _, plain = logits(problem, policy, graph, state)
    _, lifted = logits(problem, policy, Graph(flat @ turn, graph.demand), state)
    torch.testing.assert_close(lifted, plain, atol=1e-9, rtol=0)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_parameter_gets_a_gradient(problem: Problem, config: Config) -> None:
    policy = make(problem, config)
    graph = sample(problem, n=80)
    _, scores = logits(problem, policy, graph, play(problem, graph, 5))
    parameters = dict(policy.named_parameters())
    slopes = torch.autograd.grad(scores.flatten(1).log_softmax(1)[:, 0].sum(), list(parameters.values()))
    for name, slope in zip(parameters, slopes, strict=True):
        assert slope.abs().sum() > 0, name


def test_untrained_policy_is_soft_nearest_neighbour(problem: Problem) -> None:
    policy = Policy(Config(), features=problem.features, moves=problem.moves).double()
    graph = sample(problem)
    state = play(problem, graph, 5)
    patch, scores = logits(problem, policy, graph, state)
    legs = problem.legs(graph, state, patch.node[:, CANDIDATES : CANDIDATES + policy.config.candidates])
    best = torch.where(patch.allowed, legs, torch.inf).flatten(1).argmin(dim=1)
    assert torch.equal(scores.flatten(1).argmax(dim=1), best)


@pytest.mark.parametrize("distribution", MAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_are_bounded_on_every_kind_of_map(problem: Problem, distribution: str, dtype: torch.dtype) -> None:
    policy = make(problem).to(dtype)
    graph = problem.sample(torch.Generator().manual_seed(1), 4, 60, distribution)
    graph = Graph(graph.pos.to(dtype), graph.demand)
    for steps in (0, 30, 58):
        state = play(problem, graph, steps)
        patch, scores = logits(problem, policy, graph, state)
        assert patch.pos.isfinite().all() and patch.pos.square().sum(-1).sqrt().max() <= 5.0001
        assert patch.x.isfinite().all() and patch.x.abs().max() <= 1.0001
        assert not scores.isnan().any() and scores.isfinite().any(dim=2).any(dim=1).all()


def test_points_in_one_place(problem: Problem) -> None:
    policy = make(problem)
    graph = Graph.of(torch.full((2, 12, 2), 5.0), torch.full((2, 12), 0.1), dtype=torch.float64)
    patch, scores = logits(problem, policy, graph, play(problem, graph, 3))
    assert patch.pos.isfinite().all() and not scores.isnan().any()


def test_neighbours_are_the_nearest_unvisited_whatever_the_length_of_the_lists() -> None:
    problem = problems.find("tsp")
    graph = sample(problem, n=300, batch=1)
    state = play(problem, graph, 250)
    distance = (graph.pos[0] - graph.pos[0, state.current]).square().sum(-1).masked_fill(~state.unvisited[0], torch.inf)
    ranked = distance.argsort()
    for config in (Config(reach=60), Config(candidates=5, context=3, reach=6)):
        neighbours = make(problem, config).sight(problem, graph).neighbours
        ranks = neighbours.ranks
        node, valid = neighbours(state)
        inside = ranks < state.left
        assert torch.equal(valid[0], inside)
        assert torch.equal(node[0][inside], ranked[ranks[inside]])


def test_candidates_are_told_of_their_nearest_unvisited_nodes(problem: Problem) -> None:
    config = Config(candidates=4, context=2, reach=9, sight=15)
    policy = Policy(config, features=problem.features, moves=problem.moves)
    graph = sample(problem, n=40, batch=2)
    for steps in (10, graph.n - 4):
        state = play(problem, graph, steps)
        patch = policy.sight(problem, graph)(state)
        for i in range(len(patch)):
            pos = graph.pos[i]
            away = (pos - pos[state.current[i]]).norm(dim=-1)
            near = sorted(state.unvisited[i].nonzero().flatten().tolist(), key=lambda node: float(away[node]))[:15]
            chosen = near[:4]
            unit = float(torch.stack([away[node] for node in chosen]).log().mean().exp())
            for slot, node in enumerate(chosen, start=CANDIDATES):
                gaps = sorted(float((pos[node] - pos[other]).norm()) for other in near if other != node)[:3]
                expected = [1 / (1 + gap / unit) for gap in gaps] + [0.0] * (3 - len(gaps))
                assert patch.x[i, slot, -3:].tolist() == pytest.approx(expected, abs=1e-9)
            assert not patch.x[i, :CANDIDATES, -3:].any()


@pytest.mark.parametrize("large", [10, 1000])
def test_nearest_lists_are_exact(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_module, "LARGE", large)
    pos = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pos[:, 20:30] = pos[:, :1]
    far = torch.cdist(pos, pos) + torch.eye(40) * 1e9
    lists = nearest(pos, 7)
    torch.testing.assert_close(far.gather(2, lists), far.sort(dim=-1).values[..., :7])
    assert all(len(set(row)) == 7 for row in lists.flatten(0, 1).tolist())
    assert not (lists == torch.arange(40).view(1, 40, 1)).any()
