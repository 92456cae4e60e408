"""Which decision earned what: advantages from many solutions of the same instance, which share one baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from l2o.construct import Construction

ROUNDING = 1e-4
"""Deviations below this, in units of the graph, are rounding: to divide by them would teach noise, or overflow."""


def advantages(construction: Construction, n: int) -> Tensor:
    """``[D]`` for the kept decisions in order: how much cheaper than expected, in standard deviations per instance.

    The solutions of one instance share their mean as the baseline, kept per node: half of each leg belongs to either of
    its ends, and what a node is expected to cost is the mean over the solutions. Summed over the nodes still to be
    visited that is the baseline of a tail subproblem; for the whole it is the mean cost, REINFORCE's usual shared one.

    Args:
        n: nodes per instance.
    """
    return standardised(construction, surplus(construction, n).flip(0).cumsum(dim=0).flip(0))


def surplus(construction: Construction, n: int) -> Tensor:
    """``[T + 1, P]`` how much shorter each leg is than its ends are expected to cost.

    Args:
        n: nodes per instance.
    """
    row, legs = construction.row, construction.legs
    visited = torch.cat([construction.first.unsqueeze(0), construction.nodes])
    share = (legs + legs.roll(1, dims=0)) / 2
    place = row * n + visited
    instances = int(row.max()) + 1
    solutions = legs.new_zeros(instances).index_add_(0, row, torch.ones_like(legs[0]))
    expected = legs.new_zeros(instances * n).scatter_add_(0, place.flatten(), share.flatten())[place] / solutions[row]
    return (expected + expected.roll(-1, dims=0)) / 2 - legs


def regret_advantages(construction: Construction, regrets: Tensor, discount: float) -> Tensor:
    """``[D]`` for the kept decisions in order: how little is regretted from them on, in deviations per instance.

    Regrets are costs shaped by a potential, the length of the best rest known (Ng, Harada & Russell 1999): without a
    discount they add up to the cost of the solution, up to a constant. As each already holds what it does to all that
    follows, a discount takes the noise of what follows away and little else.

    Args:
        regrets: ``[T, P]`` by how much each decision lengthens the best rest known.
        discount: weight of the next decision's regret, of the one after it squared, and so on; 1 for plain sums.
    """
    to_come = torch.empty_like(regrets)
    following = torch.zeros_like(regrets[0])
    for time in reversed(range(len(regrets))):
        to_come[time] = following = -regrets[time] + discount * following
    row = construction.row
    instances = int(row.max()) + 1
    total = regrets.new_zeros(instances).index_add_(0, row, to_come.mean(dim=0))
    solutions = regrets.new_zeros(instances).index_add_(0, row, torch.ones_like(regrets[0]))
    return standardised(construction, to_come - (total / solutions)[row])


def standardised(construction: Construction, gains: Tensor) -> Tensor:
    """Of ``gains [T, P]`` those of the kept decisions ``[D]``, divided by their root mean square per instance."""
    row = construction.row
    instances = int(row.max()) + 1
    index = torch.cat([d.index for d in construction.kept])
    now = torch.cat([torch.full_like(d.index, d.time) for d in construction.kept])
    weight = torch.cat([d.weight for d in construction.kept]).to(gains.dtype)
    gain, of = gains[now, index], row[index]
    square = gains.new_zeros(instances).index_add_(0, of, weight * gain.square())
    count = gains.new_zeros(instances).index_add_(0, of, weight)
    tiny = torch.finfo(gains.dtype).tiny
    deviation = (square / count.clamp(min=tiny)).sqrt()
    return gain / deviation.clamp(min=ROUNDING)[of]
