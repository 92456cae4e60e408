"""Which decision earned what: advantages from many solutions of the same instance, which share one baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l2o.construct import Construction
from l2o.models.patch import CANDIDATES


@dataclass(frozen=True)
class Credit:
    """How far a decision answers for what comes after it.

    With ``horizon = inf`` and ``near = 0`` it answers for all of it, which is plain REINFORCE; less is biased and far
    less noisy, since the noise of everything that follows grows with the size of the instance.
    """

    horizon: float = 20.0
    """In time: what happens ``s`` decisions later counts ``exp(-s / horizon)``."""
    near: float = 1.0
    """In space: the nodes one could have gone to count at least this much, however late they are visited after all.
    Nodes left behind are what costs at large n, and their bill comes late."""


def advantages(construction: Construction, n: int, candidates: int, credit: Credit) -> Tensor:
    """``[D]`` for the kept decisions in order: how much cheaper than expected, in standard deviations per instance.

    The solutions of one instance share their mean as the baseline, kept per node: half of each leg belongs to either of
    its ends, and what a node is expected to cost is the mean over the solutions. Summed over the nodes still to be
    visited that is the baseline of a tail subproblem; for the whole it is the mean cost, REINFORCE's usual shared one.

    Args:
        n: nodes per instance.
        candidates: slots of a patch that could have been chosen.
    """
    row, legs = construction.row, construction.legs
    visited = torch.cat([construction.first.unsqueeze(0), construction.nodes])
    share = (legs + legs.roll(1, dims=0)) / 2
    place = row * n + visited
    instances = int(row.max()) + 1
    solutions = legs.new_zeros(instances).index_add_(0, row, torch.ones_like(legs[0]))
    expected = legs.new_zeros(instances * n).scatter_add_(0, place.flatten(), share.flatten())[place] / solutions[row]

    keep = math.exp(-1 / credit.horizon)
    surplus = (expected + expected.roll(-1, dims=0)) / 2 - legs
    gained = torch.empty_like(legs)
    gained[-1] = surplus[-1]
    for time in range(len(legs) - 2, -1, -1):
        gained[time] = surplus[time] + keep * gained[time + 1]

    index = torch.cat([d.index for d in construction.kept])
    now = torch.cat([torch.full_like(d.index, d.time) for d in construction.kept])
    gain = gained[now, index]
    if credit.near > 0:
        saved = torch.zeros(len(row), n, dtype=legs.dtype, device=legs.device)
        saved.scatter_(1, visited.T, (expected - share).T)
        when = torch.zeros_like(saved)
        when.scatter_(1, visited.T, torch.arange(len(legs), dtype=legs.dtype, device=legs.device).expand(len(row), -1))
        seen = slice(CANDIDATES, CANDIDATES + candidates)
        node = torch.cat([d.patch.node[:, seen] for d in construction.kept])
        valid = torch.cat([d.patch.valid[:, seen] for d in construction.kept])
        late = 1 - keep ** (when[index.unsqueeze(1), node] - 1 - now.unsqueeze(1))
        gain = gain + credit.near * (saved[index.unsqueeze(1), node] * late * valid).sum(dim=1)

    of = row[index]
    square = legs.new_zeros(instances).index_add_(0, of, gain.square())
    count = legs.new_zeros(instances).index_add_(0, of, torch.ones_like(gain))
    deviation = (square / count.clamp(min=1)).sqrt()
    return gain / deviation.clamp(min=torch.finfo(legs.dtype).tiny)[of]
