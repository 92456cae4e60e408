"""The instance encoder: a k-NN graph of the whole instance, read once, before the first decision."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from l2o.models.egnn import EGNN
from l2o.models.egnn_sparse import SparseEGNN
from l2o.models.patch import nearest
from l2o.problems.base import Graph


def instance_graph(graph: Graph, neighbours: int) -> Data:
    """All instances as one PyG graph of ``B * n`` nodes with edges from each node's nearest to it.

    A node's reach is the distance to the last of its neighbours. ``pos [B * n, dim]`` is in units of the instance's
    mean reach, ``x [B * n, 1]`` the log of the node's own reach in that unit, bounded; ``edge_index [2, E]``.
    """
    batch, n, dim = graph.pos.shape
    order = nearest(graph.pos, min(neighbours, n - 1))
    rows = torch.arange(batch, device=order.device)
    ends = graph.pos[rows[:, None], order[:, :, -1]]
    reach = (graph.pos - ends).square().sum(dim=-1).sqrt()
    unit = reach.mean(dim=1, keepdim=True)
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))
    sparse = torch.log((reach / unit).clamp(min=0.05)).clamp(-3, 3)
    receiver = torch.arange(batch * n, device=order.device).repeat_interleave(order.shape[-1])
    sender = (order + rows[:, None, None] * n).flatten()
    return Data(
        x=sparse.reshape(-1, 1),
        pos=(graph.pos / unit.unsqueeze(-1)).reshape(-1, dim),
        edge_index=torch.stack([sender, receiver]),
        batch=rows.repeat_interleave(n),
    )


class InstanceEncoder(nn.Module):
    """Sparse EGNN layers over the instance graph: what a node's wider surroundings look like."""

    def __init__(self, width: int, message: int, depth: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.enter = nn.Linear(1, width)
        self.layers = nn.ModuleList(
            SparseEGNN(EGNN(width, message, coordinates=layer < depth - 1)) for layer in range(depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def forward(self, graph: Graph) -> Tensor:
        """``[B, n, width]``, invariant under E(n) and scale, equivariant under renumbering."""
        data = instance_graph(graph, self.neighbours)
        dtype = self.enter.weight.dtype
        h, pos = self.enter(data.x.to(dtype)), data.pos.to(dtype)
        for layer in self.layers:
            h, pos = layer(h, pos, data.edge_index)
        memory: Tensor = self.leave(h)
        return memory.view(*graph.pos.shape[:2], -1)
