"""Regrets of a roll-out's decisions: by how much each lengthens the best rest that local search knows of."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from l2o import improve
from l2o.construct import Construction
from l2o.problems.base import Graph, Problem


def regrets(problem: Problem, graph: Graph, construction: Construction, *, kicks: int) -> Tensor:
    """``[T, P]`` for all decisions, in units of the graph.

    The first plan of an instance is the best of its solutions, improved by ``kicks`` iterations of local search.
    """
    row, cost = construction.row.cpu(), construction.cost.cpu()
    visited = torch.cat([construction.first.unsqueeze(0), construction.nodes]).T.cpu().numpy()
    result = np.empty((len(visited), visited.shape[1] - 1))
    for number in range(int(row.max()) + 1):
        mine = (row == number).nonzero().squeeze(1)
        instance = graph.instance(problem.name, number)
        best = construction.routes(problem, int(mine[cost[mine].argmin()]))
        plan = improve.improve(instance, best, deadline=math.inf, seed=0, iterations=kicks)
        result[mine.numpy()] = improve.regrets(instance, plan, visited[mine.numpy()])
    return torch.from_numpy(result).T.to(graph.pos)
