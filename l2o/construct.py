"""Build solutions decision by decision: greedy where no noise is given, sampled where it is."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2o.models.base import Policy, Sight, View
from l2o.problems.base import Graph, Problem
from l2o.problems.instance import Routes


@dataclass(frozen=True)
class Construction:
    """``P`` solutions, each of ``T`` decisions."""

    row: Tensor
    """``[P]`` instances."""
    first: Tensor
    """``[P]`` nodes begun with."""
    nodes: Tensor
    """``[T, P]`` nodes gone to."""
    moves: Tensor
    """``[T, P]`` ways gone, or the vehicles that went."""
    legs: Tensor
    """``[T + 1, P]`` what each decision and the way home add to the cost, from the start state on."""
    kept: list[Decision]
    """Decisions set aside for learning."""
    doubt: float = math.nan
    """Mean of 1 - p over all decisions, each taken with probability p; NaN where none is set aside for learning."""

    @property
    def cost(self) -> Tensor:
        """``[P]`` costs of the solutions in units of the graph."""
        return self.legs.sum(dim=0)

    def routes(self, problem: Problem, solution: int) -> Routes:
        """One of the solutions as routes."""
        first, nodes, moves = self.first[solution], self.nodes[:, solution], self.moves[:, solution]
        return problem.routes([int(first)], nodes.tolist(), moves.tolist())


@dataclass(frozen=True)
class Decision:
    """Decisions of step ``time`` by the solutions ``index [D]``: what was seen and what was chosen."""

    time: int
    index: Tensor
    view: View
    choice: Tensor
    """``[D]`` place in the flattened logits ``[k * moves]``."""
    weight: Tensor
    """``[D]`` how many decisions each stands for: one over the chance with which it was set aside."""


@torch.no_grad()
def construct(
    problem: Problem,
    policy: Policy[Any],
    graph: Graph,
    row: Tensor,
    first: Tensor,
    *,
    noise: Tensor | None = None,
    lots: Tensor | None = None,
    keep: float = math.inf,
    stop: Callable[[int], bool] | None = None,
    known: tuple[Sight[Any], Tensor | None] | None = None,
) -> Construction | None:
    """Roll out the policy from ``first [P]`` in instances ``row [P]``.

    Args:
        noise: ``[T, P]`` uniform in [0, 1): each decision is drawn by inverting the cumulated probabilities, so equal
            noise gives equal solutions. None: the most probable choice.
        lots: ``[T, P]`` uniform in [0, 1), with which it is drawn whether a decision is set aside for learning. None:
            none is.
        keep: a decision taken with probability p is set aside with probability ``min(1, keep (1 - p))``. Its gradient
            shrinks with ``1 - p``, so those that teach little are seldom scored again.
        stop: called with the number of decisions taken; True gives up and returns None.
        known: what ``policy.sight`` and ``policy.encode`` said of ``graph``, if they were asked before.
    """
    state = problem.start(graph, row, first)
    sight, memory = known or (policy.sight(problem, graph), policy.encode(graph))
    steps = state.left
    nodes = row.new_empty(steps, len(row))
    moves = row.new_empty(steps, len(row))
    legs = graph.pos.new_empty(steps + 1, len(row))
    kept: list[Decision] = []
    doubts = []
    for time in range(steps):
        if stop is not None and stop(time):
            return None
        view = sight(state)
        scores = policy(view, memory)
        logits, ways = scores.flatten(1), scores.shape[2]
        choice = logits.argmax(dim=1) if noise is None else draw(logits, noise[time])
        place, moves[time] = choice // ways, choice % ways
        nodes[time] = view.choices.gather(1, place.unsqueeze(1)).squeeze(1)
        legs[time] = (
            problem.legs(graph, state, nodes[time].unsqueeze(1))[:, 0].gather(1, moves[time].unsqueeze(1)).squeeze(1)
        )
        if lots is not None:
            doubt = 1 - logits.float().softmax(dim=1).gather(1, choice.unsqueeze(1)).squeeze(1)
            doubts.append(doubt.mean())
            chance = (keep * doubt).clamp(max=1)
            index = (lots[time] < chance).nonzero().squeeze(1)
            kept.append(Decision(time, index, view[index], choice[index], 1 / chance[index]))
        state = problem.step(graph, state, nodes[time], moves[time])
    legs[steps] = problem.closing(graph, state)
    return Construction(row, first, nodes, moves, legs, kept, float(torch.stack(doubts).mean()) if doubts else math.nan)


@torch.no_grad()
def construct_in_threads(
    problem: Problem,
    policy: Policy[Any],
    graph: Graph,
    row: Tensor,
    first: Tensor,
    *,
    threads: int,
    noise: Tensor | None = None,
    stop: Callable[[int], bool] | None = None,
) -> Construction | None:
    """:func:`construct` with the solutions dealt out to ``threads`` threads; nothing is kept for learning.

    Each thread works on its part alone. Sharing out every tensor operation instead makes all wait for all, a hundred
    times in each decision. ``stop`` is called from one of them.
    """
    given_up = threading.Event()
    usual = torch.get_num_threads()

    def part(number: int, rows: Tensor) -> Construction | None:
        def ask(time: int) -> bool:
            if number == 0 and stop is not None and stop(time):
                given_up.set()
            return given_up.is_set()

        own = None if noise is None else noise[:, rows]
        return construct(problem, policy, graph, row[rows], first[rows], noise=own, stop=ask, known=known)

    try:
        torch.set_num_threads(threads)
        known = policy.sight(problem, graph), policy.encode(graph)
        parts = torch.arange(len(row), device=row.device).tensor_split(min(threads, len(row)))
        torch.set_num_threads(1)
        with ThreadPoolExecutor(len(parts)) as pool:
            made = list(pool.map(part, range(len(parts)), parts))
    finally:
        torch.set_num_threads(usual)
    done = [construction for construction in made if construction is not None]
    if len(done) < len(parts):
        return None
    return Construction(
        row=torch.cat([c.row for c in done]),
        first=torch.cat([c.first for c in done]),
        nodes=torch.cat([c.nodes for c in done], dim=1),
        moves=torch.cat([c.moves for c in done], dim=1),
        legs=torch.cat([c.legs for c in done], dim=1),
        kept=[],
    )


def draw(logits: Tensor, noise: Tensor) -> Tensor:
    """``[P]`` choices from ``logits [P, c]``: the first whose cumulated probability exceeds ``noise [P]``."""
    probability = logits.float().softmax(dim=1)
    choice = (probability.cumsum(dim=1) <= noise.unsqueeze(1)).sum(dim=1)
    # Rounding may leave the last sum just below 1, and a choice past the end must not fall on a forbidden place.
    return choice.minimum((probability > 0).float().cumsum(dim=1).argmax(dim=1))
