"""What holds for every model found in ``models/``, on every problem."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from l2o import models, problems
from l2o.construct import construct
from l2o.models.base import Policy, View
from l2o.problems.base import Graph, Problem, State
from l2o.problems.instance import Unsupported
from l2o.verify import verify

SMALL: dict[str, dict[str, Any]] = {
    "local": {"width": 16, "message": 8},
    "local raw": {"width": 16, "message": 8, "raw": True},
    "steerable": {"width": 16, "message": 8},
    "steerable chiral": {"width": 16, "message": 8, "parity": False},
    "attention": {"width": 16, "heads": 2, "depth": 2, "hidden": 8},
    "attention egnn": {"width": 16, "heads": 2, "depth": 2, "hidden": 8, "encoder": "egnn"},
    "vehicles": {"width": 16, "message": 8, "reach": 12},
}
FAILS: dict[str, set[str]] = {
    "local": set(),
    "attention egnn": set(),
    "steerable": set(),
    "steerable chiral": {"reflection"},
    "vehicles": set(),
}
"""Of those that respect some symmetry, what they do not."""
E3NN = pytest.mark.skipif(find_spec("e3nn") is None, reason="e3nn is missing: pip install 'l2o[steerable]'")
FLEETS = {"vehicles"}
NAMES = [pytest.param(name, marks=E3NN if "steerable" in name else ()) for name in SMALL]
PAIRS = [
    pytest.param((name, problem), marks=E3NN if "steerable" in name else (), id=f"{name}-{problem}")
    for name in SMALL
    for problem in problems.names()
    if (name in FLEETS) == problems.find(problem).fleet
]


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, problem = request.param
    return name, problem


@pytest.fixture
def name(pair: tuple[str, str]) -> str:
    return pair[0]


@pytest.fixture
def problem(pair: tuple[str, str]) -> Problem:
    return problems.find(pair[1])


def make(name: str, problem: Problem) -> Policy[Any]:
    """In float64, with large weights."""
    torch.manual_seed(0)
    module = models.find(name.split()[0])
    policy: Policy[Any] = module.Policy(module.Config(**SMALL[name]), features=problem.features, moves=problem.moves)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy.double()


def sample(problem: Problem, n: int = 20, batch: int = 3) -> Graph:
    graph = problem.sample(torch.Generator().manual_seed(0), batch, n, "uniform")
    return dataclasses.replace(graph, pos=graph.pos.double())


def states(problem: Problem, policy: Policy[Any], graph: Graph, row: Tensor) -> list[State]:
    """Those of random constructions, one for each of ``row``."""
    generator = torch.Generator().manual_seed(1)
    first = problem.random_starts(generator, graph, 1)[row, 0]
    path = [problem.start(graph, row, first)]
    noise = torch.rand(path[0].left, len(row), generator=generator)
    made = construct(problem, policy, graph, row, first, noise=noise)
    assert made is not None
    for node, move in zip(made.nodes[:-1], made.moves[:-1], strict=True):
        path.append(problem.step(graph, path[-1], node, move))
    return path


def look(problem: Problem, policy: Policy[Any], graph: Graph, state: State) -> tuple[View, Tensor]:
    view = policy.sight(problem, graph)(state)
    return view, policy(view, policy.encode(graph))


def test_every_model_is_here() -> None:
    assert {name.split()[0] for name in SMALL} | {"fragments"} == set(models.names())
    with pytest.raises(
        Unsupported, match=r"'atention'.*attention, fragments, local, steerable, vehicles.*did you mean 'attention'"
    ):
        models.find("atention")


def test_models_and_problems_must_go_together() -> None:
    with pytest.raises(Unsupported, match=r"kind 'local' for mtsp, expected one that steers a fleet; .*vehicles"):
        models.policy(models.find("local").Config(), problems.find("mtsp"))
    with pytest.raises(Unsupported, match=r"kind 'vehicles' for tsp, expected one that steers one vehicle"):
        models.policy(models.find("vehicles").Config(), problems.find("tsp"))


def test_logits_are_finite_where_allowed_and_nowhere_else(name: str, problem: Problem) -> None:
    policy, graph = make(name, problem), sample(problem)
    for state in states(problem, policy, graph, torch.tensor([2, 0, 0, 1])):
        view, logits = look(problem, policy, graph, state)
        assert torch.equal(view.row, state.row) and logits.shape == view.allowed.shape
        assert torch.equal(logits.isfinite(), view.allowed) and not logits.isnan().any()
        assert view.allowed.flatten(1).any(dim=1).all()
        seen = view.allowed.any(dim=2)
        assert state.unvisited.gather(1, view.choices)[seen].all()


def test_a_state_scores_the_same_alone_and_in_any_company(name: str, problem: Problem) -> None:
    policy, graph = make(name, problem), sample(problem)
    state = states(problem, policy, graph, torch.tensor([2, 0, 0, 1]))[7]
    view, together = look(problem, policy, graph, state)
    for i, row in enumerate(state.row.tolist()):
        alone = dataclasses.replace(state.at(torch.tensor([i])), row=torch.tensor([0]))
        _, single = look(problem, policy, graph.at(torch.tensor([row])), alone)
        torch.testing.assert_close(single[0], together[i], atol=1e-9, rtol=0)
    order = torch.tensor([3, 1, 0, 2, 1])
    torch.testing.assert_close(policy(view[order], policy.encode(graph)), together[order], atol=1e-9, rtol=0)
    joined = type(view).cat([view, view[order]])
    torch.testing.assert_close(policy(joined, policy.encode(graph))[4:], together[order], atol=1e-9, rtol=0)
    assert len(joined) == 9


def test_logits_follow_renumbering(name: str, problem: Problem) -> None:
    policy, graph = make(name, problem), sample(problem)
    state = states(problem, policy, graph, torch.arange(3))[6]
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(graph.n - 1)])
    new = order.argsort()
    there = dataclasses.replace(
        state, current=new[state.current], anchor=new[state.anchor], unvisited=state.unvisited[:, order]
    )
    moved = dataclasses.replace(graph, pos=graph.pos[:, order], demand=graph.demand[:, order])
    by_node = []
    for g, s in ((graph, state), (moved, there)):
        view, logits = look(problem, policy, g, s)
        full = logits.new_full((3, g.n, logits.shape[2]), -torch.inf)
        by_node.append(full.scatter_reduce(1, view.choices.unsqueeze(-1).expand_as(logits), logits, "amax"))
    torch.testing.assert_close(by_node[1], by_node[0][:, order], atol=1e-9, rtol=0)


def test_every_parameter_gets_a_gradient(name: str, problem: Problem) -> None:
    policy, graph = make(name, problem), sample(problem, n=60)
    _, logits = look(problem, policy, graph, states(problem, policy, graph, torch.arange(3))[5])
    logs = logits.flatten(1).log_softmax(1)
    parameters = dict(policy.named_parameters())
    slopes = torch.autograd.grad(logs.amax(dim=1).sum(), list(parameters.values()), allow_unused=True)
    for key, slope in zip(parameters, slopes, strict=True):
        assert slope is not None and slope.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_only_what_sees_coordinates_fails_to_verify(name: str) -> None:
    problem = problems.find("mtsp" if name in FLEETS else "tsp")
    graph = sample(problem, n=12 if name in FLEETS else 16, batch=1)
    rows = verify(problem, make(name, problem), graph.pos[0], None, trials=4, seed=0, vehicles=graph.vehicles)
    failed = {row.symmetry for row in rows if not row.passed}
    assert failed == FAILS.get(name, {"rotation", "reflection"})


def test_raw_coordinates_are_two() -> None:
    problem = problems.find("tsp")
    graph = sample(problem)
    solid = Graph(torch.nn.functional.pad(graph.pos, (0, 1)), graph.demand)
    with pytest.raises(Unsupported, match="3 dimensions, expected 2"):
        make("attention", problem).encode(solid)
    with pytest.raises(Unsupported, match="3 dimensions, expected 2"):
        make("local raw", problem).sight(problem, solid)
