"""The layer of :mod:`l2o.models.egnn` as PyG message passing over any ``edge_index``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import degree

from l2o.models.egnn import EGNN


class SparseEGNN(MessagePassing):  # type: ignore[misc]  # PyG comes without types
    """``layer`` on a directed graph, from ``edge_index[0]`` (senders) to ``edge_index[1]`` (receivers)."""

    def __init__(self, layer: EGNN) -> None:
        super().__init__(aggr="sum")
        self.layer = layer

    def forward(
        self, h: Tensor, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            h: ``[N, width]`` invariant node features.
            x: ``[N, dim]`` coordinates.
            edge_index: ``[2, E]``, without self-loops.
            edge_attr: ``[E, edge_width]`` invariant.

        Returns:
            ``h [N, width]`` and ``x [N, dim]``.
        """
        normed = self.layer.norm(h)
        received = self.propagate(
            edge_index,
            receive=self.layer.receive(normed),
            send=self.layer.send(normed),
            pos=x,
            edge_attr=edge_attr,
        )
        message, shift = received.tensor_split([self.layer.message_width], dim=-1)
        neighbours = degree(edge_index[1], len(h), dtype=h.dtype).clamp(min=1).unsqueeze(-1)
        if self.layer.stability.mean:
            message = message / neighbours
        return self.layer.update(h, normed, message), x + shift / neighbours

    def message(
        self, receive_i: Tensor, send_j: Tensor, pos_i: Tensor, pos_j: Tensor, edge_attr: Tensor | None
    ) -> Tensor:
        """Eq. 3, with the summands of eq. 4 and 5 side by side so that one aggregation serves both."""
        difference = pos_i - pos_j
        squared = difference.square().sum(dim=-1, keepdim=True)
        # The square root has no slope at zero (duplicates): keep its argument off it there.
        length = torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)
        distance = squared if self.layer.stability.squared else length
        messages = self.layer.messages(receive_i, send_j, distance, edge_attr)
        weight = self.layer.edge_weight(messages)
        shift = torch.zeros_like(difference)
        if self.layer.phi_x is not None:
            shift = difference * self.layer.coordinate_weight(messages, length)
        return torch.cat([messages if weight is None else messages * weight, shift], dim=-1)
