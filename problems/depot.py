"""What problems with a depot, which is node 0, have in common."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from l2o.problems.base import Graph


def placed(generator: Generator, customers: Tensor) -> Tensor:
    """``[B, 1 + n, dim]`` a depot in front of ``customers [B, n, dim]``: in the middle of the map, in its corner, or
    anywhere, as in the X instances (Uchoa et al. 2017, "New benchmark instances for the CVRP", section 3).
    """
    batch, _, dim = customers.shape
    low, high = customers.amin(dim=1), customers.amax(dim=1)
    kind = (torch.rand(batch, 1, generator=generator, dtype=torch.float64) * 3).long()
    anywhere = torch.rand(batch, dim, generator=generator, dtype=torch.float64)
    place = torch.where(kind == 0, 0.5, torch.where(kind == 1, 0.0, anywhere))
    return torch.cat([(low + place * (high - low)).unsqueeze(1), customers], dim=1)


def starts(graph: Graph, count: int) -> Tensor:
    """``[B, count]`` the depot alone, or several first customers: even steps through all, the furthest first."""
    if count == 1:
        return torch.zeros(len(graph.pos), 1, dtype=torch.int64, device=graph.pos.device)
    away = (graph.pos[:, 1:] - graph.pos[:, :1]).square().sum(dim=-1)
    order = away.argsort(dim=1, descending=True, stable=True) + 1
    return order[:, torch.arange(count, device=order.device) * (graph.n - 1) // count]
