"""Partial solutions made of paths: the states of a construction that joins ends instead of walking.

What lies inside a path no longer matters. What is left is a problem about its ends: partial solutions with the same
ends, tied to each other in the same way, are one abstract state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-9
"""Slack on loads, which are sums of shares of the capacity."""


@dataclass(frozen=True)
class Fragments:
    """``B`` partial solutions of ``n`` nodes each; on the CPU, where joining them changes them in place."""

    open: Tensor
    """``[B, n]`` int64, how many neighbours a node still wants: 2 alone, 1 at the end of a path, 0 inside."""
    other: Tensor
    """``[B, n]`` int64, the other end of the path that a node ends: itself where it is alone; arbitrary inside."""
    load: Tensor
    """``[B, n]`` float64, of that path, in units of the capacity; zeros where there is none."""

    @classmethod
    def alone(cls, demand: Tensor) -> Fragments:
        """Every node of ``demand [B, n]`` a path of its own."""
        batch, n = demand.shape
        return cls(torch.full((batch, n), 2), torch.arange(n).expand(batch, n).clone(), demand.double().cpu().clone())

    @property
    def closed(self) -> Tensor:
        """``[B, n]`` True for the ends of paths whose other end has gone home."""
        inside = self.open.gather(1, self.other) == 0
        return (self.open == 1) & (inside | (self.other == torch.arange(self.open.shape[1])))

    def clone(self) -> Fragments:
        """A copy that later joins do not touch."""
        return Fragments(self.open.clone(), self.other.clone(), self.load.clone())

    @classmethod
    def cat(cls, parts: list[Fragments]) -> Fragments:
        """Those of one part after those of another; their nodes are equally many."""
        return cls(*(torch.cat(tensors) for tensors in zip(*((p.open, p.other, p.load) for p in parts), strict=True)))

    def at(self, rows: Tensor) -> Fragments:
        """Some of the partial solutions, copied."""
        return Fragments(self.open[rows], self.other[rows], self.load[rows])


def inside(ring: Sequence[int], open_: Sequence[int]) -> dict[int, list[int]]:
    """What lies inside the paths of a closed ``ring``: for each end of one, the nodes from there to its other end.

    ``open_`` is as in :class:`Fragments`, for one instance; ends with nothing between them are left out.
    """
    found: dict[int, list[int]] = {}
    for place, node in enumerate(ring):
        between: list[int] = []
        while open_[node] and not open_[ring[(place + 1 + len(between)) % len(ring)]]:
            between.append(ring[(place + 1 + len(between)) % len(ring)])
        if between:
            found[node] = between
            found[ring[(place + 1 + len(between)) % len(ring)]] = between[::-1]
    return found
