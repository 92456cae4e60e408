"""Partial solutions made of paths: the states of a construction that joins ends instead of walking.

What lies inside a path no longer matters. What is left is a problem about its ends: partial solutions with the same
ends, tied to each other in the same way, are one abstract state.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """``B`` partial solutions of ``n`` nodes each; on the CPU, where joining them changes them in place."""

    open: Tensor
    """``[B, n]`` int64, how many neighbours a node still wants: 2 alone, 1 at the end of a path, 0 inside."""
    other: Tensor
    """``[B, n]`` int64, the other end of the path that a node ends: itself where it is alone; arbitrary inside."""

    @classmethod
    def alone(cls, batch: int, n: int) -> Fragments:
        """Every node a path of its own."""
        return cls(torch.full((batch, n), 2), torch.arange(n).expand(batch, n).clone())

    def clone(self) -> Fragments:
        """A copy that later joins do not touch."""
        return Fragments(self.open.clone(), self.other.clone())

    def of(self, rows: Tensor) -> Fragments:
        """Some of the partial solutions, copied."""
        return Fragments(self.open[rows], self.other[rows])
