"""Build solutions by joining ends of paths, the surest first, in rounds: after each round the policy looks again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2o.models.fragments import Policy
from l2o.problems.base import Completes, Graph
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Ints, Routes

SHARE = 0.02
"""Share of the joins left that one round makes, at least."""

SURE = 3.0
"""Logit from which on a join need not wait for a later round: a probability of 95 %."""

TEMPERATURE = 0.4
"""Of the noise with which solutions are sampled."""

QUICK = 0.1
"""``SHARE`` where more samples, or local search, find more in the time that it saves."""


@dataclass(frozen=True)
class Joined:
    """``B`` solutions."""

    routes: list[Routes]
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
    problem: Completes,
    policy: Policy,
    graph: Graph,
    *,
    share: float = SHARE,
    noise: Gumbel | None = None,
    partial: tuple[Fragments, Ints] | None = None,
    watch: Callable[[int, Fragments], None] | None = None,
    stop: Callable[[int], bool] | None = None,
) -> Joined | None:
    """Join the nodes of every instance to a solution.

    Args:
        share: of the joins left, how many one round makes, the most probable ones; at least one. Where more are sure,
            as many as those are, counting what both of its ends say of a join as one.
        noise: added to the logits of every round. None: the most probable joins.
        partial: solutions to go on from, which are left as they are, and the edges ``[m, 2]`` that they have, of nodes
            numbered ``row * n + node``. None: every node is a path of its own.
        watch: called before each round with the most joins left and the partial solutions, which go on changing.
        stop: called with the number of joins made; True gives up and returns None.
    """
    # Imported where it is wanted: numba takes longer to load than a policy that walks takes for most files.
    from l2o import kernels_join

    batch, n, _ = graph.pos.shape
    if n == 1:
        return Joined([() if problem.depot else ((0,),)] * batch, graph.pos.new_zeros(batch))
    fragments = problem.fragments(graph) if partial is None else partial[0].clone()
    open_, other = fragments.open.view(-1).numpy(), fragments.other.view(-1).numpy()
    load = fragments.load.view(-1).numpy()
    start = np.repeat(np.arange(batch) * n, n)
    edges: list[Ints] = [] if partial is None else [partial[1]]
    # The last two ends of a tour are joined without asking.
    spare = 0 if problem.depot else 2
    left = whole = (open_.reshape(batch, n).sum(axis=1) - spare + 1) // 2
    while left.any():
        if stop is not None and stop(int((whole - left).min())):
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
        sure = np.bincount(first[: int((flat[order] > SURE).sum())] // n, minlength=batch) // 2
        wanted = np.maximum(np.ceil(left * share).astype(np.int64), sure)
        taken = np.empty(len(first), np.int64)
        other += start
        count = kernels_join.accept(first, second, n, problem.depot, open_, other, load, wanted, taken)
        other -= start
        edges.append(np.stack([first[taken[:count]], second[taken[:count]]], axis=1))
        # Fewer than wanted where near ends all end up in one path: the next round sees others.
        left = (open_.reshape(batch, n).sum(axis=1) - spare + 1) // 2
    if spare:
        edges.append((open_ > 0).nonzero()[0].reshape(batch, 2))
    made = np.concatenate(edges)
    made = made[(made[:, 0] // n).argsort(kind="stable")]
    row, place = torch.from_numpy(made[:, 0] // n).to(graph.pos.device), torch.from_numpy(made % n).to(graph.pos.device)
    lengths = graph.distance(row, place[:, 0], place[:, 1])
    cost = graph.pos.new_zeros(batch).index_add_(0, row, lengths)
    parts = np.split(made % n, np.flatnonzero(np.diff(made[:, 0] // n)) + 1)
    return Joined([_routes(part.tolist(), n, problem.depot) for part in parts], cost)


def _routes(edges: list[list[int]], n: int, depot: bool) -> Routes:
    """Followed from node 0 until it is reached again."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for i, j in edges:
        neighbours[i].append(j)
        neighbours[j].append(i)
    seen = [False] * n
    routes = []
    for first in neighbours[0] if depot else neighbours[0][:1]:
        if seen[first]:
            continue
        route = [] if depot else [0]
        before, here = 0, first
        while here != 0:
            seen[here] = True
            route.append(here)
            one, two = neighbours[here]
            before, here = here, two if one == before else one
        routes.append(tuple(route))
    return tuple(routes)
