"""Constructions against enumeration: probabilities, gradients, advantages."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from l2o import models, problems
from l2o.advantage import advantages
from l2o.construct import Construction, Decision, construct, construct_in_threads, draw
from l2o.lesson import follow
from l2o.models import base, vehicles
from l2o.models.local import Config
from l2o.models.patch import Patch
from l2o.problems.base import Graph, Plan, Problem, State


@pytest.fixture(params=problems.names())
def problem(request: pytest.FixtureRequest) -> Problem:
    return problems.find(request.param)


def small(problem: Problem, n: int, batch: int = 1) -> tuple[Graph, base.Policy[Any]]:
    """With two vehicles, and a customer less, where there is a fleet."""
    graph = problem.sample(torch.Generator().manual_seed(4), batch, n - problem.fleet, "uniform")
    if problem.fleet:
        graph = dataclasses.replace(graph, vehicles=torch.full((batch,), 2))
    torch.manual_seed(0)
    kind = vehicles.Config if problem.fleet else Config
    policy: base.Policy[Any] = models.policy(kind(width=16, message=8), problem).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return dataclasses.replace(graph, pos=graph.pos.double()), policy


@dataclass
class Path:
    """One sequence of decisions: log-probabilities (with gradient) and lengths step by step."""

    logs: list[Tensor]
    legs: list[float]
    nodes: list[int]
    moves: list[int]

    @property
    def probability(self) -> float:
        return math.exp(sum(float(log.detach()) for log in self.logs))


def enumerate_paths(problem: Problem, policy: base.Policy[Any], graph: Graph) -> list[Path]:
    """Every sequence of decisions from the first start."""
    done = []

    def walk(state: State, path: Path) -> None:
        if not state.left:
            done.append(dataclasses.replace(path, legs=[*path.legs, float(problem.closing(graph, state))]))
            return
        view = policy.sight(problem, graph)(state)
        logs, ways = policy(view).flatten(1).log_softmax(1)[0], view.allowed.shape[2]
        for choice in view.allowed.flatten(1)[0].nonzero()[:, 0].tolist():
            node, move = view.choices[:, choice // ways], torch.tensor([choice % ways])
            leg = float(problem.legs(graph, state, node[None])[0, 0, move])
            step = Path(
                [*path.logs, logs[choice]], [*path.legs, leg], [*path.nodes, int(node)], [*path.moves, int(move)]
            )
            walk(problem.step(graph, state, node, move), step)

    walk(problem.start(graph, torch.tensor([0]), problem.starts(graph, 1)[0]), Path([], [], [], []))
    return done


def test_probabilities_sum_to_one_and_match_what_is_sampled(problem: Problem) -> None:
    graph, policy = small(problem, 4)
    every = enumerate_paths(problem, policy, graph)
    assert sum(path.probability for path in every) == pytest.approx(1, abs=1e-12)
    samples = 4000
    first = problem.starts(graph, 1)[0].expand(samples)
    steps = problem.start(graph, torch.tensor([0]), first[:1]).left
    noise = torch.rand(steps, samples, generator=torch.Generator().manual_seed(0))
    made = construct(problem, policy, graph, torch.zeros(samples, dtype=torch.int64), first, noise=noise)
    assert made is not None
    mean = sum(path.probability * sum(path.legs) for path in every)
    spread = math.sqrt(sum(path.probability * (sum(path.legs) - mean) ** 2 for path in every))
    assert float(made.cost.mean()) == pytest.approx(mean, abs=4 * spread / math.sqrt(samples))
    drawn = list(zip(made.nodes.T.tolist(), made.moves.T.tolist(), strict=True))
    likeliest = max(every, key=lambda path: path.probability)
    share, probability = drawn.count((likeliest.nodes, likeliest.moves)) / samples, likeliest.probability
    assert share == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / samples) + 1e-9)


def test_greedy_takes_the_most_probable_decisions(problem: Problem) -> None:
    graph, policy = small(problem, 5)
    made = construct(problem, policy, graph, torch.tensor([0]), problem.starts(graph, 1)[0])
    assert made is not None
    state = problem.start(graph, torch.tensor([0]), problem.starts(graph, 1)[0])
    for node, move in zip(made.nodes[:, 0], made.moves[:, 0], strict=True):
        view = policy.sight(problem, graph)(state)
        scores = policy(view)
        best, ways = int(scores.flatten(1).argmax()), scores.shape[2]
        assert (int(view.choices[0, best // ways]), best % ways) == (int(node), int(move))
        state = problem.step(graph, state, node[None], move[None])
    assert float(made.legs.sum()) == pytest.approx(float(made.cost[0]))


def test_mean_gradient_is_the_enumerated_one(problem: Problem) -> None:
    """The expectation of advantage times score is minus the slope of the expected cost, exactly."""
    graph, policy = small(problem, 4)
    every = enumerate_paths(problem, policy, graph)
    logs = torch.stack([torch.stack(path.logs) for path in every], dim=1)
    legs = torch.tensor([path.legs for path in every], dtype=torch.float64).T
    steps, count = logs.shape
    row = torch.zeros(count, dtype=torch.int64)
    first = problem.starts(graph, 1)[0]
    nothing = policy.sight(problem, graph)(problem.start(graph, row[:1], first))
    made = Construction(
        row,
        first.expand(count),
        torch.tensor([path.nodes for path in every]).T,
        torch.tensor([path.moves for path in every]).T,
        legs,
        [Decision(t, torch.arange(count), nothing, row, torch.ones(count)) for t in range(steps)],
    )
    gain = advantages(made, graph.n).view(steps, count)
    raw = torch.stack(raw_advantages(made, graph.n))
    unit = raw.square().mean().sqrt()
    torch.testing.assert_close(gain * unit, raw)
    probability = logs.detach().sum(dim=0).exp()
    parameters = list(policy.parameters())
    estimate = torch.autograd.grad((probability * (logs * gain * unit).sum(dim=0)).sum(), parameters, retain_graph=True)
    exact = torch.autograd.grad((logs.sum(dim=0).exp() * legs.sum(dim=0)).sum(), parameters)
    for a, b in zip(estimate, exact, strict=True):
        torch.testing.assert_close(-a, b, atol=1e-9, rtol=1e-9)


def raw_advantages(made: Construction, n: int) -> list[Tensor]:
    """By its definition, with loops: expected cost of what is left minus what it cost."""
    visited = torch.cat([made.first[None], made.nodes])
    steps, solutions = len(made.legs), made.legs.shape[1]
    share = torch.zeros(solutions, n, dtype=made.legs.dtype)
    for t in range(steps):
        arriving, leaving = made.legs[t - 1], made.legs[t]
        share[torch.arange(solutions), visited[t]] += (arriving + leaving) / 2
    expected = share.mean(dim=0)
    gains = []
    for t in range(steps - 1):
        to_go = made.legs[t:].sum(dim=0)
        left = expected[visited[t + 1 :]].sum(dim=0)
        gains.append(left + expected[visited[t]] / 2 + expected[visited[0]] / 2 - to_go)
    return gains


def test_advantage_of_the_first_decision_is_mean_cost_minus_cost() -> None:
    problem = problems.find("tsp")
    graph, policy = small(problem, 9)
    solutions = 12
    noise = torch.rand(8, solutions, generator=torch.Generator().manual_seed(3))
    row, first = torch.zeros(solutions, dtype=torch.int64), torch.full((solutions,), 2)
    only_the_first = torch.ones(8, solutions)
    only_the_first[0] = 0
    made = construct(problem, policy, graph, row, first, noise=noise, lots=only_the_first)
    assert made is not None
    gain = advantages(made, graph.n)
    difference = made.cost.mean() - made.cost
    torch.testing.assert_close(gain, difference / difference.square().mean().sqrt())
    assert float(gain.square().mean()) == pytest.approx(1)


def test_decisions_set_aside_stand_for_all() -> None:
    """Whatever the lots, each decision's expected weight is one, unless it was certain and has no gradient."""
    problem = problems.find("tsp")
    graph, policy = small(problem, 9)
    solutions, repeats = 4, 4000
    noise = torch.rand(8, solutions, generator=torch.Generator().manual_seed(3)).repeat(1, repeats)
    lots = torch.rand(8, solutions * repeats, generator=torch.Generator().manual_seed(4))
    row, first = torch.zeros(solutions * repeats, dtype=torch.int64), torch.full((solutions * repeats,), 2)
    made = construct(problem, policy, graph, row, first, noise=noise, lots=lots, keep=2.0)
    assert made is not None and sum(len(d.index) for d in made.kept) < 0.9 * made.nodes.numel()
    for decision in made.kept[:-1]:
        heads = torch.zeros(solutions * repeats, dtype=torch.float64)
        heads[decision.index] = decision.weight.double()
        deviation = ((decision.weight.max() - 1) / repeats) ** 0.5
        means = heads.view(repeats, solutions).mean(dim=0)
        assert ((means - 1).abs() < 5 * deviation + 1e-6).all()
    assert len(made.kept[-1].index) == 0, "the last node leaves no choice"


def test_draw_inverts_the_cumulated_probabilities() -> None:
    logits = torch.tensor([[0.0, -torch.inf, math.log(3.0), -torch.inf]])
    for noise, expected in [(0.0, 0), (0.2499, 0), (0.2501, 2), (0.999999, 2), (1 - 2**-24, 2)]:
        assert int(draw(logits, torch.tensor([noise]))) == expected


def test_stop_gives_up(problem: Problem) -> None:
    graph, policy = small(problem, 6)
    asked: list[int] = []

    def stop(time: int) -> bool:
        asked.append(time)
        return time == 2

    assert construct(problem, policy, graph, torch.tensor([0]), problem.starts(graph, 1)[0], stop=stop) is None
    assert asked == [0, 1, 2]


def test_enumeration_covers_every_tour() -> None:
    graph, policy = small(problems.find("tsp"), 5)
    paths = {tuple(path.nodes) for path in enumerate_paths(problems.find("tsp"), policy, graph)}
    first = int(problems.find("tsp").starts(graph, 1)[0, 0])
    assert paths == set(itertools.permutations(set(range(5)) - {first}))


def test_threads_share_the_work_and_change_nothing(problem: Problem) -> None:
    graph, policy = small(problem, 12, batch=3)
    row = torch.arange(3).repeat_interleave(3)
    first = problem.starts(graph, 3).flatten()
    steps = problem.start(graph, row, first).left
    noise = torch.rand(steps, len(row), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = construct(problem, policy, graph, row, first, noise=noise)
    asked: list[int] = []

    def stop(time: int) -> bool:
        asked.append(time)
        return time == 5

    for threads in (1, 2, 4, 99):
        several = construct_in_threads(problem, policy, graph, row, first, threads=threads, noise=noise)
        assert one is not None and several is not None
        for name in ("row", "first", "nodes", "moves", "legs"):
            assert torch.equal(getattr(one, name), getattr(several, name))
        asked.clear()
        assert construct_in_threads(problem, policy, graph, row, first, threads=threads, stop=stop) is None
        assert asked == list(range(6))


@pytest.mark.parametrize("name", [name for name in problems.names() if not problems.find(name).fleet])
def test_lessons_show_what_the_policy_sees_and_what_is_right(name: str) -> None:
    problem = problems.find(name)
    graph, policy = small(problem, 20, batch=4)
    row = torch.arange(4)
    first = problem.starts(graph, 1)[:, 0]
    made = construct(problem, policy, graph, row, first, lots=torch.zeros(graph.n - 1, 4))
    assert made is not None
    steps = len(made.nodes)
    # The policy's own decisions as plans: at each of them its own choice is right, and one other where that is said.
    plans = []
    for p in range(4):
        nodes, moves = made.nodes[:, p].tolist(), made.moves[:, p].tolist()
        plans.append(Plan(3, nodes, moves, [t == 5 for t in range(steps)], [nodes[4], nodes[5], nodes[6]]))
    drawn = torch.ones(steps, 4, dtype=torch.bool)
    drawn[8, :2] = False
    lessons = follow(problem, policy, graph, row, first, plans, drawn)
    seen = 0
    for lesson, decision in zip(lessons, made.kept[3:], strict=True):
        # Where there was no choice, no decision was set aside.
        same = torch.isin(lesson.index, decision.index)
        index = torch.searchsorted(decision.index, lesson.index[same])
        assert same.any() or decision.time == steps - 1
        assert isinstance(lesson.view, Patch) and isinstance(decision.view, Patch)
        assert torch.equal(lesson.view.node[same], decision.view.node[index])
        assert torch.equal(lesson.view.x[same], decision.view.x[index])
        assert lesson.right[same].gather(1, decision.choice[index].unsqueeze(1)).all()
        extra = lesson.right.sum(dim=1) - 1
        time = decision.time
        if time == 5:
            view, way = lesson.view, made.moves[5, lesson.index]
            other = (view.choices == made.nodes[6, lesson.index].unsqueeze(1)) & view.allowed.any(dim=2)
            can = view.allowed.gather(2, way.view(-1, 1, 1).expand(-1, view.choices.shape[1], 1)).squeeze(2)
            assert torch.equal(extra, (other & can).sum(dim=1)) and extra.any()
        else:
            assert not extra.any()
        assert len(lesson.index) == (2 if time == 8 else 4)
        seen += len(lesson.index)
    assert seen == 4 * (steps - 3) - 2


@pytest.mark.parametrize("name", [name for name in problems.names() if not problems.find(name).fleet])
def test_no_lesson_where_nothing_right_is_among_the_candidates(name: str) -> None:
    problem = problems.find(name)
    graph, policy = small(problem, 30)
    first = problem.starts(graph, 1)[0]
    away = (graph.pos[0] - graph.pos[0, first]).square().sum(dim=-1)
    nodes = [int(v) for v in away.argsort(descending=True) if int(v) != int(first)]
    moves = [0, *[problem.moves - 1] * (len(nodes) - 1)]
    drawn = torch.ones(len(nodes), 1, dtype=torch.bool)
    plan = Plan(0, nodes, moves, [False] * len(nodes), [])
    lessons = follow(problem, policy, graph, torch.zeros(1, dtype=torch.int64), first, [plan], drawn)
    assert not len(lessons[0].index) and not len(lessons[0].view), "the furthest node is no candidate"
    assert len(lessons[-1].index) == 1, "the last one is"
