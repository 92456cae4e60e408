"""Partial solutions made of paths: the states of a construction that joins ends instead of walking.

What lies inside a path no longer matters. What is left is a problem about its ends: partial solutions with the same
ends, tied to each other in the same way, are one abstract state.
"""

from __future__ import annotations

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

    def of(self, rows: Tensor) -> Fragments:
        """Some of the partial solutions, copied."""
        return Fragments(self.open[rows], self.other[rows], self.load[rows])
