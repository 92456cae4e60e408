"""Build solutions by joining ends of paths, the surest first, in rounds: after each round the policy looks again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2o import kernels_join
from l2o.models.fragments import Policy
from l2o.problems.base import Graph
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Ints

SHARE = 0.1
"""Share of the joins left that one round makes."""


TEMPERATURE = 0.5
"""Of the noise with which solutions are sampled."""


@dataclass(frozen=True)
class Joined:
    """``B`` tours."""

    tours: Tensor
    """``[B, n]`` nodes in order, beginning with node 0."""
    cost: Tensor
    """``[B]`` lengths in units of the graph."""


class Gumbel:
    """Noise that makes the surest join a sample: the largest logit plus Gumbel noise is a draw from their softmax."""

    def __init__(self, generator: torch.Generator) -> None:
        """``generator`` is on the CPU."""
        self._generator = generator

    def __call__(self, logits: Tensor) -> Tensor:
        """Of the shape of ``logits``."""
        uniform = torch.rand(logits.shape, generator=self._generator).clamp(min=1e-20)
        return (-TEMPERATURE * (-uniform.log()).log()).to(logits)


@torch.no_grad()
def join(
    policy: Policy,
    graph: Graph,
    *,
    share: float = SHARE,
    noise: Gumbel | None = None,
    watch: Callable[[int, Fragments], None] | None = None,
    stop: Callable[[int], bool] | None = None,
) -> Joined | None:
    """Join all nodes of every instance to one tour.

    Args:
        share: of the joins left, how many one round makes, the most probable ones; at least one.
        noise: added to the logits of every round. None: the most probable joins.
        watch: called before each round with the most joins left and the partial solutions, which go on changing.
        stop: called with the number of joins made; True gives up and returns None.
    """
    batch, n, _ = graph.pos.shape
    assert n >= 3
    fragments = Fragments.alone(batch, n)
    open_ = fragments.open.view(-1).numpy()
    start = np.repeat(np.arange(batch) * n, n)
    other = fragments.other.view(-1).numpy()
    edges: list[Ints] = []
    left = np.full(batch, n - 1)
    while left.any():
        if stop is not None and stop(n - 1 - int(left.max())):
            return None
        if watch is not None:
            watch(int(left.max()), fragments)
        ends = policy.look(graph, fragments)
        logits = policy(ends).float()
        if noise is not None:
            logits = logits + noise(logits)
        flat = logits.flatten()
        order = flat.argsort(descending=True, stable=True)
        order = order[flat[order].isfinite()]
        first = ends.node[order // logits.shape[1]].cpu().numpy()
        second = ends.partner.flatten()[order].cpu().numpy()
        wanted = np.ceil(left * share).astype(np.int64)
        left -= wanted
        taken = np.empty(len(first), np.int64)
        other += start
        count = kernels_join.accept(first, second, n, open_, other, wanted, taken)
        other -= start
        # Near ends may all end up in one path; the next round sees others. One join of each instance always succeeds.
        left += wanted
        edges.append(np.stack([first[taken[:count]], second[taken[:count]]], axis=1))
    last = (open_ > 0).nonzero()[0].reshape(batch, 2)
    tours = torch.from_numpy(_tours(np.concatenate([*edges, last]), batch, n)).to(graph.pos.device)
    rows = torch.arange(batch, device=graph.pos.device).unsqueeze(1)
    return Joined(tours, graph.distance(rows, tours, tours.roll(-1, dims=1)).sum(dim=1))


def _tours(edges: Ints, batch: int, n: int) -> Ints:
    """``[B, n]`` from all ``edges [B * n, 2]``."""
    ends = np.concatenate([edges, edges[:, ::-1]])
    neighbour = ends[ends[:, 0].argsort(kind="stable"), 1].reshape(batch, n, 2) - np.arange(batch)[:, None, None] * n
    tours = np.empty((batch, n), np.int64)
    for row in range(batch):
        kernels_join.follow(np.ascontiguousarray(neighbour[row]), tours[row])
    return tours
