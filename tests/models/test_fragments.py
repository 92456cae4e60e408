"""The fragments policy: symmetric in every sense, and blind to what lies inside paths."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from l2o import kernels_join, problems
from l2o.join import join
from l2o.models import ends as ends_module
from l2o.models.fragments import Config, Ends, Policy
from l2o.problems.base import Completes, Graph
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Unsupported
from l2o.verify import Joins, verify

SMALL = Config(width=16, message=8, vectors=3, depth=2, candidates=6, context=2, reach=15)


@pytest.fixture(params=["tsp", "cvrp"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str = "tsp", config: Config = SMALL) -> Policy:
    """In float64, with large weights."""
    torch.manual_seed(0)
    policy = Policy(config, moves=problems.find(name).moves)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy.double()


def sample(n: int, batch: int = 1, *, name: str = "tsp") -> Graph:
    """``n`` nodes, a depot included."""
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(0), batch, n - (problem.moves > 1), "uniform")
    return Graph(graph.pos.double(), graph.demand)


def halfway(policy: Policy, graph: Graph) -> Fragments:
    """Random joins: there are nodes alone, ends and inner nodes, and paths that have gone home where there is one."""
    fragments = cast(Completes, problems.find("cvrp" if policy.depot else "tsp")).fragments(graph)
    batch, n = fragments.open.shape
    rng = np.random.default_rng(0)
    first = rng.integers(batch * n, size=9 * batch * n)
    second = np.where(policy.depot & (rng.random(len(first)) < 0.1), 0, rng.integers(n, size=len(first)))
    start = np.repeat(np.arange(batch) * n, n)
    open_, other, load = (x.view(-1).numpy() for x in (fragments.open, fragments.other, fragments.load))
    other += start
    taken, wanted = np.empty(len(first), np.int64), np.full(batch, n // 2)
    kernels_join.accept(first, first - first % n + second, n, policy.depot, open_, other, load, wanted, taken)
    other -= start
    assert set(fragments.open.flatten().tolist()) == {0, 1, 2} and bool(fragments.closed.any()) == policy.depot
    return fragments


def by_pair(policy: Policy, graph: Graph, state: Fragments) -> dict[tuple[int, int], Tensor]:
    ends = policy.look(graph, state)
    logits = policy(ends).detach()
    return {(int(ends.node[i]), int(ends.partner[i, j])): logits[i, j] for i, j in ends.allowed.nonzero().tolist()}


def test_every_symmetry_holds(name: str) -> None:
    graph = sample(60, name=name)
    rows = verify(problems.find(name), make(name), graph.pos[0] * 1000, graph.demand[0], trials=20, seed=0)
    assert all(row.passed for row in rows), rows
    assert max(row.logits for row in rows if row.dtype == torch.float64) > 0


def test_raw_coordinates_break_the_symmetry_and_nothing_else(name: str) -> None:
    policy = make(name, dataclasses.replace(SMALL, raw=True))
    graph = sample(30, name=name)
    state = halfway(policy, graph)
    logits = by_pair(policy, graph, state)
    turned = Graph(graph.pos @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64), graph.demand)
    other = by_pair(policy, turned, state)
    assert logits.keys() == other.keys()
    assert max(abs((logits[pair] - other[pair]).item()) for pair in logits) > 0.01
    for i, j in logits:
        if (j, i) in logits:
            torch.testing.assert_close(logits[i, j], logits[j, i])
    with pytest.raises(Unsupported, match="found points in 3 dimensions, expected 2"):
        policy.look(Graph(torch.randn(1, 30, 3), graph.demand), state)


def test_three_dimensions_are_as_good() -> None:
    pos = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = verify(problems.find("tsp"), make(), pos, None, trials=10, seed=0)
    assert all(row.passed for row in rows), rows


def test_a_join_is_the_same_from_either_end(name: str) -> None:
    policy, graph = make(name), sample(40, name=name)
    found = by_pair(policy, graph, halfway(policy, graph))
    mutual = [(i, j) for i, j in found if (j, i) in found]
    assert len(mutual) > 10
    for i, j in mutual:
        torch.testing.assert_close(found[i, j], found[j, i], atol=1e-12, rtol=1e-12)


def test_what_lies_inside_a_path_does_not_matter(name: str) -> None:
    policy, graph = make(name), sample(40, name=name)
    state = halfway(policy, graph)
    inner = state.open[0] == 0
    inner[0] &= not policy.depot
    pos = graph.pos.clone()
    pos[0, inner] += torch.randn(int(inner.sum()), 2, generator=torch.Generator().manual_seed(1), dtype=pos.dtype)
    plain, moved = by_pair(policy, graph, state), by_pair(policy, Graph(pos, graph.demand), state)
    assert plain.keys() == moved.keys() and all(torch.equal(plain[pair], moved[pair]) for pair in plain)


def test_an_instance_scores_the_same_alone_and_in_any_company(name: str) -> None:
    policy, graph = make(name), sample(30, 3, name=name)
    state = halfway(policy, graph)
    together = by_pair(policy, graph, state)
    alone: dict[tuple[int, int], Tensor] = {}
    parts: list[Ends] = []
    for row in range(3):
        rows = torch.tensor([row])
        single = Graph(graph.pos[rows], graph.demand[rows])
        parts.append(policy.look(single, state.at(rows)))
        alone |= {(i + row * 30, j + row * 30): x for (i, j), x in by_pair(policy, single, state.at(rows)).items()}
    assert together.keys() == alone.keys()
    for pair, logit in together.items():
        torch.testing.assert_close(alone[pair], logit, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(policy(Ends.cat(parts)), policy(policy.look(graph, state)), atol=1e-10, rtol=1e-10)


def test_a_tree_finds_the_same_neighbours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, graph = make(name), sample(50, 2, name=name)
    for state in (cast(Completes, problems.find(name)).fragments(graph), halfway(policy, graph)):
        plain = policy.look(graph, state)
        monkeypatch.setattr(ends_module, "LARGE", 10)
        treed = policy.look(graph, state)
        monkeypatch.undo()
        for field in dataclasses.fields(Ends):
            mine, theirs = getattr(plain, field.name), getattr(treed, field.name)
            torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


def test_few_ends_fill_few_slots() -> None:
    policy, graph = make(), sample(4)
    ends = policy.look(graph, Fragments.alone(graph.demand))
    assert ends.allowed.sum(dim=1).tolist() == [3] * 4
    assert torch.equal(policy(ends).isfinite(), ends.allowed)


def test_coinciding_nodes_are_no_trouble() -> None:
    policy = make()
    graph = Graph.of(torch.zeros(1, 12, 2), dtype=torch.float64)
    assert policy(policy.look(graph, Fragments.alone(graph.demand)))[:, :5].isfinite().all()
    made = join(cast(Completes, problems.find("tsp")), policy, graph)
    assert made is not None and sorted(made.routes[0][0]) == list(range(12))


def test_every_parameter_gets_a_gradient(name: str) -> None:
    policy, graph = make(name), sample(60, name=name)
    ends = policy.look(graph, halfway(policy, graph))
    logits = policy(ends)[ends.allowed]
    parameters = dict(policy.named_parameters())
    for key, slope in zip(
        parameters, torch.autograd.grad(logits.square().sum(), list(parameters.values())), strict=True
    ):
        assert slope.abs().sum() > 0, key


def test_ties_at_the_rim_are_noticed() -> None:
    policy = make()
    grid = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))[None]
    assert policy.ambiguous(Graph.of(grid, dtype=torch.float64), Fragments.alone(torch.zeros(1, 36))).all()
    assert not policy.ambiguous(sample(36), Fragments.alone(torch.zeros(1, 36))).any()
    _, tied = Joins(cast(Completes, problems.find("tsp")), policy).states(Graph.of(grid, dtype=torch.float64))
    assert tied > 0


def test_paths_that_are_too_much_together_are_not_joined() -> None:
    policy, graph = make("cvrp"), sample(40, name="cvrp")
    state = halfway(policy, graph)
    ends = policy.look(graph, state)
    load = state.load.flatten()
    pairs = ends.allowed[:, :-1]
    together = load[ends.node].unsqueeze(1) + load[ends.partner[:, :-1]]
    assert (together[pairs] <= 1 + 1e-9).all()
    assert (load[ends.node].unsqueeze(1) + load[ends.node] > 1.1).any(), "some are too much"
    assert ends.allowed[:, -1].all() and (ends.partner[:, -1] == 0).all()


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        Config(depth=0)
    with pytest.raises(ValueError, match="context is -1"):
        Config(context=-1)
