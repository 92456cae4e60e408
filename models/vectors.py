"""An E(n)-equivariant graph layer with vectors at the nodes, over neighbour lists of equal length.

Messages as in Satorras, Hoogeboom & Welling (2021), arXiv:2102.09844, equations 3 and 5; in place of one coordinate per
node (eq. 4) there are several vectors, which turn with the map and do not move with it, and whose products with the
directions to the neighbours tell angles (Schuett, Unke & Gastegger 2021, arXiv:2102.03150, section 3; Levy et al. 2023,
arXiv:2309.03139).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VectorEGNN(nn.Module):
    """One layer.

    Args:
        width: features per node.
        message: features per message.
        vectors: vectors per node.
        edge: invariant features per edge.
    """

    def __init__(self, width: int, message: int, vectors: int, edge: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.receive = nn.Linear(width, message)
        self.send = nn.Linear(width, message, bias=False)
        self.measure = nn.Linear(edge + 2 * vectors, message, bias=False)
        self.phi_e = nn.Linear(message, message)
        self.phi_inf = nn.Linear(message, 1)
        self.phi_v = nn.Linear(message, vectors)
        self.mix = nn.Linear(vectors, vectors, bias=False)
        self.phi_h = nn.Sequential(
            nn.Linear(width + 2 * message + vectors, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(
        self, h: Tensor, v: Tensor, at: Tensor, valid: Tensor, way: Tensor, edge: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One round of messages.

        Args:
            h: ``[N, width]`` invariant features.
            v: ``[N, vectors, dim]``.
            at: ``[N, s]`` numbers of the neighbours.
            valid: ``[N, s]`` True where there is one.
            way: ``[N, s, dim]`` to the neighbour.
            edge: ``[N, s, edge]`` invariant features.

        Returns:
            ``h`` and ``v`` after it.
        """
        normed = self.norm(h)
        linked = valid.unsqueeze(-1).to(h.dtype)
        own = way @ v.transpose(1, 2)
        theirs = torch.einsum("nsd,nscd->nsc", way, v[at])
        hidden = self.receive(normed).unsqueeze(1) + self.send(normed)[at]
        hidden = hidden + self.measure(torch.cat([edge, own, theirs], dim=-1))
        message = nn.functional.silu(self.phi_e(nn.functional.silu(hidden))) * linked
        received = (message * torch.sigmoid(self.phi_inf(message))).sum(dim=1) / valid.shape[1] ** 0.5
        pushed = (self.phi_v(message) * linked).transpose(1, 2).to(way.dtype) @ way / valid.shape[1]
        v = self.mix(v.transpose(1, 2)).transpose(1, 2) + pushed
        length = v.square().sum(dim=-1).clamp(min=1e-12).sqrt()
        v = v / (1 + length).unsqueeze(-1)
        h = h + self.phi_h(torch.cat([normed, received, message.amax(dim=1), length], dim=-1))
        return h, v
