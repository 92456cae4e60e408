"""A policy that reads a patch anew at every decision: what is told of its nodes, and what is asked of them.

How nodes hear of each other in between is the model's: each model that walks from patch to patch has a file of its own.
Untrained, any of them is a soft nearest neighbour.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l2o.models import base
from l2o.models.patch import ANCHOR, CANDIDATES, CURRENT, GAPS, Patch, PatchSight, context_ranks
from l2o.problems.base import Graph, Problem

FARTHEST = 20.0
"""Detour, in units of the patch, beyond which all choices are equally out of the question."""


@dataclass(frozen=True)
class Shape:
    """What is seen, and how wide and deep the network is that reads it."""

    width: int = 64
    """Features per node."""
    message: int = 32
    """Features per message."""
    depth: int = 2
    """Layers over the patch."""
    candidates: int = 12
    """Nearest nodes among which the policy chooses, ``k``."""
    context: int = 6
    """Further nodes that are seen but cannot be chosen."""
    reach: int = 80
    """Rank of the furthest of them among the unvisited nodes."""
    sight: int = 30
    """Nearest nodes among which a candidate's own nearest are sought."""

    def __post_init__(self) -> None:
        for key in ("width", "message", "depth", "candidates"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be at least 1")
        if self.sight < max(GAPS, self.candidates):
            raise ValueError(f"sight is {self.sight}; it must be at least {max(GAPS, self.candidates)}")
        if self.context < 0:
            raise ValueError(f"context is {self.context}; it must not be negative")


class PatchPolicy(base.Policy[Patch]):
    """Patch in, logits ``[P, k, moves]`` out."""

    def __init__(self, config: Shape, *, features: int, moves: int, raw: bool = False) -> None:
        """``features`` and ``moves`` are the problem's; ``raw``: nodes are also told their coordinates in the plane."""
        super().__init__()
        self.config, self.raw = config, raw
        width = config.width
        self.role = nn.Parameter(torch.randn(4, width) * 0.1)
        beyond = len(context_ranks(config.candidates, config.context, config.reach, torch.device("cpu")))
        kind = [0, 1] + [2] * config.candidates + [3] * (beyond - config.candidates)
        self.register_buffer("kind", torch.tensor(kind), persistent=False)
        self.kind: Tensor
        self.enter = nn.Linear(features + 1 + GAPS + (4 if raw else 0) + 5, width)
        self.layers = nn.ModuleList(self.layer(number) for number in range(config.depth))
        self.encoder: nn.Module | None = None
        self.norm = nn.LayerNorm(width)
        self.of_candidate, self.of_current = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        # With one move a bias would shift all logits alike.
        self.head = nn.Linear(width, moves, bias=moves > 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    @abstractmethod
    def layer(self, number: int) -> nn.Module:
        """One of the layers, from 0 up."""

    @abstractmethod
    def pass_messages(self, patch: Patch, h: Tensor, distance: Tensor, edge: Tensor) -> Tensor:
        """``[P, 2 + k, width]``: the current node, the anchor and the candidates once the layers have run.

        Args:
            h: ``[P, m, width]`` what is known of each node alone.
            distance: ``[P, m, m]`` between the nodes.
            edge: ``[P, m, m, 3]`` bounded functions of it.
        """

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
            raw=self.raw,
        )

    def forward(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
        """Logits, ``-inf`` where not allowed. ``memory`` is what :meth:`encode` gave for the instances."""
        h = self.read(patch, memory)
        logits = self.judge(h, h[:, CURRENT])
        prior = nn.functional.softplus(self.sharpness) * self._detour(patch).to(logits.dtype)
        return torch.where(patch.allowed, logits - prior, -torch.inf)

    def read(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
        """``[P, 2 + k, width]`` what there is to know of the current node, the anchor and each candidate."""
        dtype = self.role.dtype
        distance = torch.cdist(patch.pos, patch.pos, compute_mode="donot_use_mm_for_euclid_dist").to(dtype)
        edge = torch.stack([torch.exp(-distance), torch.exp(-2 * distance.square()), torch.log1p(distance)], dim=-1)

        h = self.enter(torch.cat([patch.x.to(dtype), self._measures(distance)], dim=-1)) + self.role[self.kind]
        if memory is not None:
            h = h + memory[patch.row.unsqueeze(1), patch.node]
        read: Tensor = self.norm(self.pass_messages(patch, h, distance, edge))
        return read

    def judge(self, h: Tensor, current: Tensor) -> Tensor:
        """``[P, k, moves]`` what speaks for each candidate of ``h [P, 2 + k, width]``, for one that is ``current [P,
        width]``."""
        pair = self.of_candidate(h[:, CANDIDATES:]) + self.of_current(current).unsqueeze(1)
        # Logits are not rounded to bf16.
        logits: Tensor = self.head(nn.functional.silu(pair)).float().to(self.role.dtype)
        return logits

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
