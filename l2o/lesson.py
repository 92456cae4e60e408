"""Lessons: decisions worth imitating, as the policy sees them, with the choices that are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2o.models.base import Policy, View
from l2o.problems.base import Graph, Plan, Problem


@dataclass(frozen=True)
class Lesson:
    """Decisions of one step by the solutions ``index [D]``: what was seen and which choices were right."""

    index: Tensor
    view: View
    right: Tensor
    """``[D, k * moves]`` True where the flattened choice is as good as any."""


@torch.no_grad()
def follow(
    problem: Problem, policy: Policy[Any], graph: Graph, row: Tensor, first: Tensor, plans: list[Plan], drawn: Tensor
) -> list[Lesson]:
    """Lessons along ``plans``, one for each of the ``P`` solutions begun with ``first [P]`` in instances ``row [P]``.

    Decisions are taken from the plans, and those ``drawn [T, P]`` are seen as the policy sees them. None are where a
    plan has not begun yet, or where nothing right is among the choices.
    """
    nodes, moves, free = (
        torch.tensor([getattr(plan, name) for plan in plans], device=row.device).T
        for name in ("nodes", "moves", "free")
    )
    begin = torch.tensor([plan.begin for plan in plans], device=row.device)
    end = torch.zeros(len(plans), graph.n, dtype=torch.bool)
    for number, plan in enumerate(plans):
        end[number, plan.ends] = True
    end = end.to(row.device)
    state = problem.start(graph, row, first)
    sight = policy.sight(problem, graph)
    lessons = []
    for time in range(len(nodes)):
        index = (drawn[time] & (begin <= time)).nonzero().squeeze(1)
        if len(index):
            view = sight(state.at(index))
            planned = view.choices == nodes[time, index].unsqueeze(1)
            equal = end[index].gather(1, view.choices) & free[time, index].unsqueeze(1)
            right = (planned | equal).unsqueeze(-1) & view.allowed
            way = torch.arange(problem.moves, device=row.device) == moves[time, index].unsqueeze(1)
            right = (right & way.unsqueeze(1)).flatten(1)
            known = right.any(dim=1).nonzero().squeeze(1)
            lessons.append(Lesson(index[known], view[known], right[known]))
        state = problem.step(graph, state, nodes[time], moves[time])
    return lessons
