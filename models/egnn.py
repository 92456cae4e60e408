"""The E(n)-equivariant graph layer of Satorras, Hoogeboom & Welling (2021), arXiv:2102.09844, equations 3 to 6.

:class:`EGNN` holds the parameters and one method per equation, and runs on complete graphs of equal size (batches of
patches). :class:`l2o.models.egnn_sparse.SparseEGNN` runs the same layer over any ``edge_index`` (instance graphs); it
stands in a file of its own because importing PyG takes longer than solving most files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stability:
    """What the layer does beyond the paper so that it trains under REINFORCE; ``paper()`` turns all of it off.

    Reports of NaN with many neighbours or layers are why each of these exists.
    """

    squared: bool = False
    """Messages see the squared distance (the paper) or the distance, which does not blow up far away."""
    mean: bool = True
    """Messages are averaged over the neighbours instead of summed (eq. 5), so the scale is that of one message."""
    unit: bool = True
    """Coordinates move along ``(x_i - x_j) / (|x_i - x_j| + 1)`` instead of ``x_i - x_j`` (eq. 4)."""
    bounded: bool = True
    """The coordinate weight ``phi_x`` passes through tanh and starts near zero (gain 0.01)."""
    norm: bool = True
    """LayerNorm on ``h`` before the messages and the update read it."""
    gate: bool = True
    """Soft edges ``e_ij = sigmoid(phi_inf(m_ij))`` of the paper's section 3.3, eq. 8."""
    shallow: bool = True
    """``phi_e`` is one layer instead of two: the second is most of the work, as there are far more edges than nodes."""
    piecewise: bool = True
    """``x relu6(x + 3) / 6`` instead of ``x sigmoid(x)``: the same shape without exponentials, a third of the time."""

    @classmethod
    def paper(cls) -> Stability:
        """Equations 3 to 6 to the letter."""
        return cls(
            squared=True, mean=False, unit=False, bounded=False, norm=False, gate=False, shallow=False, piecewise=False
        )


class EGNN(nn.Module):
    """One layer; ``forward`` runs it on complete graphs without self-loops, padded to equal size.

    Args:
        width: features per node, ``h [..., width]``.
        message: features per message.
        edge_width: number of invariant edge attributes ``a_ij``.
        coordinates: whether eq. 4 moves the coordinates; without it they pass through.
        stability: deviations from the paper.
    """

    def __init__(
        self,
        width: int,
        message: int,
        edge_width: int = 0,
        *,
        coordinates: bool = True,
        stability: Stability | None = None,
    ) -> None:
        super().__init__()
        self.message_width = message
        self.stability = stability or Stability()
        self.activation = nn.Hardswish() if self.stability.piecewise else nn.SiLU()
        self.norm = nn.LayerNorm(width) if self.stability.norm else nn.Identity()
        # phi_e's first linear map acts on (h_i, h_j, d, a_ij); written as a sum of three so that the node parts are
        # computed once per node and not once per edge.
        self.receive = nn.Linear(width, message)
        self.send = nn.Linear(width, message, bias=False)
        self.measure = nn.Linear(1 + edge_width, message, bias=False)
        self.phi_e = None if self.stability.shallow else nn.Linear(message, message)
        self.phi_inf = nn.Linear(message, 1) if self.stability.gate else None
        self.phi_x: nn.Sequential | None = None
        if coordinates:
            last = nn.Linear(message, 1, bias=False)
            if self.stability.bounded:
                nn.init.xavier_uniform_(last.weight, gain=0.01)
            self.phi_x = nn.Sequential(nn.Linear(message, message), self.activation, last)
        self.phi_h = nn.Sequential(nn.Linear(width + message, width), self.activation, nn.Linear(width, width))

    def messages(self, receive: Tensor, send: Tensor, distance: Tensor, edge_attr: Tensor | None) -> Tensor:
        """Eq. 3: ``m_ij = phi_e(h_i, h_j, |x_i - x_j|^2, a_ij)`` as ``[..., message]``; ``distance [..., 1]``."""
        # Two axes for the concatenation: four, one of them of size 1, make torch choose a layout that must be copied.
        measured = distance.flatten(0, -2)
        if edge_attr is not None:
            measured = torch.cat([measured, edge_attr.flatten(0, -2)], dim=-1)
        hidden = (receive + send).flatten(0, -2)
        # In place, here and below: what is large is not the arithmetic but the number of passes over all edges.
        hidden.addmm_(measured.to(hidden.dtype), self.measure.weight.T.to(hidden.dtype))
        messages = self._activate(hidden)
        if self.phi_e is not None:
            messages = self._activate(self.phi_e(messages))
        return messages.view(*distance.shape[:-1], self.message_width)

    def _activate(self, hidden: Tensor) -> Tensor:
        function = nn.functional.hardswish if self.stability.piecewise else nn.functional.silu
        return function(hidden, inplace=not torch.is_grad_enabled())

    def edge_weight(self, messages: Tensor) -> Tensor | None:
        """Eq. 8: soft edges ``[..., 1]``, or None when off."""
        return None if self.phi_inf is None else torch.sigmoid(self.phi_inf(messages))

    def coordinate_weight(self, messages: Tensor, length: Tensor) -> Tensor:
        """Eq. 4: the weight ``[..., 1]`` of ``x_i - x_j``, which is ``length [..., 1]`` long."""
        assert self.phi_x is not None
        weight = cast(Tensor, self.phi_x(messages)).to(length.dtype)
        if self.stability.bounded:
            weight = torch.tanh(weight)
        return weight / (length + 1) if self.stability.unit else weight

    def update(self, h: Tensor, normed: Tensor, received: Tensor) -> Tensor:
        """Eq. 6 with the residual of the authors' code: ``h_i + phi_h(h_i, m_i)``."""
        return cast(Tensor, h + self.phi_h(torch.cat([normed, received], dim=-1)))

    def forward(
        self,
        h: Tensor,
        x: Tensor,
        valid: Tensor,
        edge_attr: Tensor | None = None,
        *,
        length: Tensor | None = None,
        receivers: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            h: ``[B, m, width]`` invariant node features.
            x: ``[B, m, dim]`` coordinates.
            valid: ``[B, m]`` True where there is a node.
            edge_attr: ``[B, m, m, edge_width]`` invariant, receiver first.
            length: ``[B, m, m]`` distances between the nodes, where they are known already.
            receivers: only the first so many nodes receive messages and are returned; None for all, ``r = m``.

        Returns:
            ``h [B, r, width]`` and ``x [B, r, dim]``.
        """
        normed = self.norm(h)
        to = slice(receivers)
        if length is None:
            # Geometry in the precision of x, which may be higher than that of the features.
            length = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").to(self.receive.weight.dtype)
        length = length[:, to]
        distance = length.square() if self.stability.squared else length
        messages = self.messages(
            self.receive(normed[:, to]).unsqueeze(2),
            self.send(normed).unsqueeze(1),
            distance.unsqueeze(-1),
            None if edge_attr is None else edge_attr[:, to],
        )
        itself = torch.eye(h.shape[1], dtype=torch.bool, device=h.device)[to]
        linked = (valid.unsqueeze(1) & ~itself).to(length.dtype)
        average = linked / linked.sum(dim=2, keepdim=True).clamp(min=1)
        share = average if self.stability.mean else linked
        weight = self.edge_weight(messages)
        if weight is not None:
            share = share * weight.squeeze(-1)
        # A product over the senders: the weighted messages themselves are never stored.
        received = (share.unsqueeze(2).to(messages.dtype) @ messages).squeeze(2)
        if self.phi_x is not None:
            pull = (average * self.coordinate_weight(messages, length.unsqueeze(-1)).squeeze(-1)).to(x.dtype)
            x = x[:, to] + x[:, to] * pull.sum(dim=2, keepdim=True) - pull @ x
        return self.update(h[:, to], normed[:, to], received), x[:, to]
