"""REINFORCE with a shared multi-start baseline (Williams 1992; Kwon et al. 2020, POMO), as a Lightning module."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l2o.advantage import advantages, regret_advantages
from l2o.construct import Construction, construct
from l2o.data import Batch
from l2o.improve import regretting
from l2o.learner import Learner
from l2o.problems.base import Graph, Problem
from l2o.recipe import InvalidRecipe, Recipe
from l2o.regret import regrets

STEP, MOST = 0.05, 0.2
"""By how much the logarithm of the reward for entropy may change in one step, and how large the reward may become."""


class Reinforce(Learner):
    """The roll-out runs without gradient; a random share of its decisions is scored again, with gradient."""

    loss = "REINFORCE, shared multi-start baseline, entropy bonus"

    def __init__(self, problem: Problem, recipe: Recipe) -> None:
        super().__init__(problem, recipe)
        self.register_buffer("bonus", torch.tensor(recipe.objective.entropy, dtype=torch.float64))
        self.bonus: Tensor
        if recipe.objective.regret:
            self.loss = "REINFORCE on regrets against local search, entropy bonus"
        if recipe.objective.regret and problem.name not in regretting():
            known = ", ".join(regretting())
            raise InvalidRecipe(
                f"objective.regret: regrets are known of {known}, not of {problem.name}; leave it false"
            )

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """One roll-out and the loss whose gradient is the policy gradient."""
        with self.autocast():
            construction = construct(
                self.problem,
                self.policy,
                batch.graph,
                batch.row,
                batch.first,
                noise=batch.noise,
                lots=batch.lots,
                keep=self.recipe.objective.keep,
            )
        assert construction is not None
        gradients = self.policy_gradient(construction, batch.graph)
        self.count(construction.nodes.numel(), batch)
        self.steer(float(self.trainer.strategy.reduce(torch.tensor(construction.doubt), reduce_op="mean")))
        self.log("cost", construction.cost.mean(), prog_bar=True)
        self.log_dict({"doubt": construction.doubt, "bonus": self.bonus.float()})
        return self.linear(gradients)

    def policy_gradient(self, construction: Construction, graph: Graph) -> list[Tensor]:
        """Gradient of ``- mean over the decisions of advantage * log-likelihood + bonus * entropy``, estimated from the
        kept ones.
        """
        gain = self.gains(construction, graph)
        choice = torch.cat([d.choice for d in construction.kept])
        share = torch.cat([d.weight for d in construction.kept]) / construction.nodes.numel()
        bonus = float(self.bonus)

        def loss(logs: Tensor, part: Tensor) -> Tensor:
            chosen = logs.gather(1, choice[part].unsqueeze(1)).squeeze(1)
            # What is forbidden has no probability and no logarithm of one. Bounds below -104 will do, where exp is 0;
            # the lowest number of all would make the slope infinite under large weights, and infinity times zero NaN.
            entropy = -(logs.exp() * logs.clamp(min=-1000)).sum(dim=1)
            return -((chosen * gain[part] + bonus * entropy) * share[part]).sum()

        views = [d.view for d in construction.kept]
        return self.gradients(graph, type(views[0]).cat(views), loss)

    def steer(self, doubt: float) -> None:
        """Raise the reward for entropy where the policy doubts too little, lower it again where it doubts enough.

        A policy that is certain of everything has nothing left to compare and learns no more; how large a reward keeps
        it from that hangs on the problem, the batch and the credit.
        """
        target = self.recipe.objective.doubt
        if target > 0:
            self.bonus *= math.exp(STEP * max(-1.0, min(1.0, 1 - doubt / target)))
            self.bonus.clamp_(min=self.recipe.objective.entropy, max=MOST)

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """``[D]`` advantages of the kept decisions."""
        objective = self.recipe.objective
        if not objective.regret:
            return advantages(construction, graph.n)
        found = regrets(self.problem, graph, construction, kicks=graph.n)
        return regret_advantages(construction, found, objective.discount)
