"""Other objectives of REINFORCE, for ``ablation.py`` alone: what a decision may answer for, and how it is weighed."""

from __future__ import annotations

import torch
from torch import Tensor

from l2o.advantage import advantages, standardised, surplus
from l2o.construct import Construction
from l2o.models.base import View
from l2o.problems.base import Graph
from l2o.reinforce import Reinforce

HORIZON = 15
LEAD = 4.0
SHARPNESS = 0.05
"""Of preferences, for each unit of log-likelihood of a whole tour (Pan et al. 2025 call it alpha)."""


def better(construction: Construction) -> Tensor:
    """``[P]`` by how much each solution is cheaper than the mean of its instance."""
    row, cost = construction.row, construction.cost
    instances = int(row.max()) + 1
    total = cost.new_zeros(instances).index_add_(0, row, cost)
    solutions = cost.new_zeros(instances).index_add_(0, row, torch.ones_like(cost))
    return (total / solutions)[row] - cost


def kept(construction: Construction) -> tuple[Tensor, Tensor, Tensor]:
    """``[D]`` times, solutions and weights of the decisions that are scored again."""
    index = torch.cat([d.index for d in construction.kept])
    now = torch.cat([torch.full_like(d.index, d.time) for d in construction.kept])
    return now, index, torch.cat([d.weight for d in construction.kept])


class Whole(Reinforce):
    """Every decision answers for the whole tour (Williams 1992; Kwon et al. 2020)."""

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """The tour's, for each of its decisions."""
        return standardised(construction, better(construction).expand(construction.legs.shape))


class Horizon(Reinforce):
    """A decision answers for itself and the next few."""

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """Sums of so many legs."""
        so_far = surplus(construction, graph.n).cumsum(dim=0)
        before = torch.cat([torch.zeros_like(so_far[:1]), so_far[:-1]])
        last = (torch.arange(len(so_far)) + HORIZON - 1).clamp(max=len(so_far) - 1)
        return standardised(construction, so_far[last] - before)


class Unnormalised(Reinforce):
    """Advantages are divided by one deviation for all instances of the batch."""

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """Reward to go, in lengths."""
        now, index, weight = kept(construction)
        gain = surplus(construction, graph.n).flip(0).cumsum(dim=0).flip(0)[now, index]
        return gain / ((weight * gain.square()).sum() / weight.sum()).sqrt()


class Leader(Reinforce):
    """The best solution of each instance counts more (Wang et al. 2024)."""

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """The usual ones, those of the best solutions times ``LEAD``."""
        row, cost = construction.row, construction.cost
        least = cost.new_full((int(row.max()) + 1,), torch.inf).scatter_reduce_(0, row, cost, "amin")
        lead = 1 + (LEAD - 1) * (cost <= least[row]).to(cost.dtype)
        return advantages(construction, graph.n) * lead[kept(construction)[1]]


class Preference(Reinforce):
    """Of any two solutions of an instance the cheaper one should be likelier (Pan et al. 2025)."""

    def gains(self, construction: Construction, graph: Graph) -> Tensor:
        """Slopes of ``-log sigmoid(SHARPNESS (l_i - l_j))`` over all pairs, l being log-likelihoods of tours."""
        _, index, weight = kept(construction)
        views = [d.view for d in construction.kept]
        view: View = type(views[0]).cat(views)
        choice = torch.cat([d.choice for d in construction.kept])
        cost = construction.cost
        likelihood = torch.zeros_like(cost)
        chunk = self.recipe.objective.chunk
        for begin in range(0, len(view), chunk):
            part = torch.arange(begin, min(begin + chunk, len(view)))
            padded = torch.cat([part, part[-1:].expand(chunk - len(part))])
            with torch.no_grad(), self.autocast():
                logits = self.policy(view[padded], None)
            logs = logits.float().flatten(1).log_softmax(1)[: len(part)].gather(1, choice[part].unsqueeze(1))[:, 0]
            likelihood.index_add_(0, index[part], (logs * weight[part]).to(cost.dtype))
        starts = self.recipe.data.starts
        ours, theirs = likelihood.view(-1, starts, 1), likelihood.view(-1, 1, starts)
        sign = (cost.view(-1, 1, starts) - cost.view(-1, starts, 1)).sign()
        slope = (sign * torch.sigmoid(-SHARPNESS * sign * (ours - theirs))).mean(dim=2).flatten()
        return standardised(construction, slope.expand(construction.legs.shape))


OBJECTIVES: dict[str, type[Reinforce]] = {
    "whole tours": Whole,
    f"horizon of {HORIZON}": Horizon,
    "one deviation for all instances": Unnormalised,
    "leader counts four times": Leader,
    "preferences": Preference,
}
