"""Self-improvement: learn to build what local search made of one's own solutions, as a Lightning module.

The policy samples solutions; from some decision on, local search improves what is left; the policy is then shown the
improved rest, decision by decision, and learns it by cross-entropy. Beginning in the middle of its own solutions shows
how to go on from the states that it gets into itself (as DAgger does; Ross, Gordon & Bagnell 2011).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from l2o.construct import Construction, construct
from l2o.data import Batch
from l2o.improve import improve
from l2o.learner import Learner
from l2o.lesson import follow
from l2o.problems.base import Improves, Plan, Problem
from l2o.problems.instance import Instance, Routes
from l2o.recipe import InvalidRecipe, Recipe


class SelfImprovement(Learner):
    """Each batch: sample, improve, learn."""

    loss = "cross-entropy to own solutions improved by own local search"

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__(problem, recipe)
        if not hasattr(problem, "improved"):
            raise InvalidRecipe(
                f"method 'self_improvement' is not for {problem.name}, whose rest is no instance; use 'reinforce'"
            )
        self.improves = cast(Improves, problem)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """One batch of samples and the loss whose gradient is that of the cross-entropy."""
        with self.autocast():
            made = construct(self.problem, self.policy, batch.graph, batch.row, batch.first, noise=batch.noise)
        assert made is not None
        generator = torch.Generator().manual_seed(batch.seed)
        lessons = []
        for _ in range(self.recipe.improvement.begins):
            plans = self.plans(batch, made, generator)
            drawn = torch.rand(batch.noise.shape, generator=generator) < self.recipe.improvement.keep
            graph, policy = batch.graph, self.policy
            lessons += follow(self.problem, policy, graph, batch.row, batch.first, plans, drawn.to(batch.row.device))
        views = [lesson.view for lesson in lessons]
        right = torch.cat([lesson.right for lesson in lessons])

        def loss(logs: Tensor, part: Tensor) -> Tensor:
            return -logs.masked_fill(~right[part], -torch.inf).logsumexp(dim=1).sum() / len(right)

        gradients = self.gradients(batch.graph, type(views[0]).cat(views), loss)
        self.count(len(right), batch)
        self.log("cost", made.cost.mean(), prog_bar=True)
        return self.linear(gradients)

    def plans(self, batch: Batch, made: Construction, generator: torch.Generator) -> list[Plan]:
        """What local search makes of each solution, from a random decision on."""
        steps, count = made.nodes.shape
        begin = torch.rand(count, generator=generator)
        whole = torch.rand(count, generator=generator) < self.recipe.improvement.whole
        begins = torch.where(whole, 0.0, begin * steps).long().tolist()
        nodes, moves = made.nodes.T.tolist(), made.moves.T.tolist()
        graph = batch.graph.to("cpu")

        def search(instance: Instance, routes: Routes) -> Routes:
            kicks = math.ceil(self.recipe.improvement.kicks * instance.n)
            return improve(instance, routes, deadline=math.inf, seed=batch.seed, iterations=kicks)

        return [
            self.improves.improved(graph, row, first, nodes[i], moves[i], begins[i], search)
            for i, (row, first) in enumerate(zip(made.row.tolist(), made.first.tolist(), strict=True))
        ]
