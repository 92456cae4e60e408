"""The local policy: a patch is encoded anew at every decision and each candidate gets a logit.

Logits are invariant under E(n) and scale and equivariant under renumbering, by construction; the network never sees a
coordinate outside the EGNN's distances. Untrained, it is a soft nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l2o.models import base
from l2o.models.egnn import EGNN
from l2o.models.patch import ANCHOR, CANDIDATES, CURRENT, GAPS, Patch, PatchSight, context_ranks
from l2o.problems.base import Graph, Problem

FARTHEST = 20.0
"""Detour, in units of the patch, beyond which all choices are equally out of the question."""


@dataclass(frozen=True)
class Config:
    """The shape of the network."""

    kind: str = "local"
    width: int = 64
    """Features per node."""
    message: int = 32
    """Features per message."""
    depth: int = 2
    """EGNN layers over the patch."""
    candidates: int = 12
    """Nearest nodes among which the policy chooses, ``k``."""
    context: int = 6
    """Further nodes that are seen but cannot be chosen."""
    reach: int = 80
    """Rank of the furthest of them among the unvisited nodes."""
    sight: int = 30
    """Nearest nodes among which a candidate's own nearest are sought."""
    coordinates: bool = False
    """Whether the layers move coordinates (eq. 4 of the EGNN paper)."""
    encoder: int = 0
    """EGNN layers over the k-NN graph of the whole instance, run once before the first decision; 0 for none."""
    neighbours: int = 10
    """Neighbours of a node in that graph."""
    raw: bool = False
    """Whether nodes are also told their raw coordinates in the plane. It breaks the symmetry, for comparison only."""

    def __post_init__(self) -> None:
        for key in ("width", "message", "depth", "candidates"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be at least 1")
        if self.sight < max(GAPS, self.candidates):
            raise ValueError(f"sight is {self.sight}; it must be at least {max(GAPS, self.candidates)}")
        if self.context < 0:
            raise ValueError(f"context is {self.context}; it must not be negative")


class Policy(base.Policy[Patch]):
    """Patch in, logits ``[P, k, moves]`` out."""

    def __init__(self, config: Config, *, features: int, moves: int) -> None:
        """``features`` and ``moves`` are the problem's."""
        super().__init__()
        self.config = config
        width = config.width
        self.role = nn.Parameter(torch.randn(4, width) * 0.1)
        beyond = len(context_ranks(config.candidates, config.context, config.reach, torch.device("cpu")))
        kind = [0, 1] + [2] * config.candidates + [3] * (beyond - config.candidates)
        self.register_buffer("kind", torch.tensor(kind), persistent=False)
        self.kind: Tensor
        self.enter = nn.Linear(features + 1 + GAPS + (4 if config.raw else 0) + 5, width)
        self.layers = nn.ModuleList(
            EGNN(width, config.message, 3, coordinates=config.coordinates and layer < config.depth - 1)
            for layer in range(config.depth)
        )
        self.encoder: nn.Module | None = None
        if config.encoder:
            # Imported where it is wanted: PyG takes longer to load than most files take to solve.
            from l2o.models.encoder import InstanceEncoder

            self.encoder = InstanceEncoder(width, config.message, config.encoder, config.neighbours)
        self.norm = nn.LayerNorm(width)
        self.of_candidate, self.of_current = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        # With one move a bias would shift all logits alike.
        self.head = nn.Linear(width, moves, bias=moves > 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def sight(self, problem: Problem, graph: Graph) -> PatchSight:
        """Patches of this policy's shape."""
        config = self.config
        return PatchSight(
            problem,
            graph,
            candidates=config.candidates,
            context=config.context,
            reach=config.reach,
            sight=config.sight,
            raw=config.raw,
        )

    def forward(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
        """Logits, ``-inf`` where not allowed. ``memory`` is what :meth:`encode` gave for the instances."""
        last = CANDIDATES + self.config.candidates
        dtype = self.role.dtype
        pos = patch.pos
        distance = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist").to(dtype)
        edge = torch.stack([torch.exp(-distance), torch.exp(-2 * distance.square()), torch.log1p(distance)], dim=-1)

        h = self.enter(torch.cat([patch.x.to(dtype), self._measures(distance)], dim=-1)) + self.role[self.kind]
        if memory is not None:
            h = h + memory[patch.row.unsqueeze(1), patch.node]
        length: Tensor | None = distance
        for number, layer in enumerate(self.layers, start=1):
            # What the last layer makes of the sight beyond the candidates, nobody reads.
            receivers = last if number == len(self.layers) else None
            h, pos = layer(h, pos, patch.valid, edge, length=length, receivers=receivers)
            length = None if self.config.coordinates else length
        h = self.norm(h)
        pair = self.of_candidate(h[:, CANDIDATES:last]) + self.of_current(h[:, CURRENT]).unsqueeze(1)
        logits = self.head(nn.functional.silu(pair)).float()
        prior = nn.functional.softplus(self.sharpness) * self._detour(patch).to(dtype)
        return torch.where(patch.allowed, logits.to(dtype) - prior, -torch.inf)

    def _detour(self, patch: Patch) -> Tensor:
        """``[P, k, moves]`` how much longer than the shortest each choice is, bounded: nobody goes further, and logits
        in the hundreds would leave float32 no digits for the ones that matter."""
        shortest = torch.where(patch.allowed, patch.legs, torch.inf).amin(dim=(1, 2), keepdim=True)
        return (patch.legs - shortest).clamp(max=FARTHEST)

    def _measures(self, distance: Tensor) -> Tensor:
        """``[P, m, 5]`` how far each node is from the current node and from the anchor."""
        current, anchor = distance[:, CURRENT], distance[:, ANCHOR]
        return torch.stack(
            [
                torch.log1p(current),
                torch.exp(-current),
                torch.log1p(anchor),
                torch.exp(-anchor),
                torch.log1p(current) - torch.log1p(anchor),
            ],
            dim=-1,
        )
