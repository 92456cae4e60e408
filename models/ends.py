"""Which other ends of paths are near an end: from all distances at once, or by k-d trees where those are too many."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from l2o.models.patch import TIE
from l2o.problems.fragments import TOLERANCE
from l2o.problems.instance import Bools, Floats, Ints

if TYPE_CHECKING:
    from l2o.models.kernels_ends import Tree

LARGE = 1000
"""Nodes above which the ends of an instance are put into a tree."""


class Surroundings(Protocol):
    """Of the ends ``node [N]`` of all instances, ``row * n + node`` number each."""

    def nearest(self, count: int) -> tuple[Tensor, Tensor]:
        """The nearest ends of other paths that may be joined, nearest first.

        Returns:
            ``near [N, count]`` and ``length [N, count]``, infinite where there are no more.
        """

    def beyond(self, radius: Tensor, due: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest ends of other paths that are further away than each of ``radius [N, r]``, where ``due [N, r]``.

        Returns:
            ``near [N, r]`` and ``valid [N, r]``, False where there is none; anything where they are not due.
        """

    def doubtful(self, radius: Tensor) -> Tensor:
        """``[N, r]`` True where rounding may decide which one that is."""


def surroundings(pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None = None) -> Surroundings:
    """Look around.

    Args:
        pos: ``[B, n, dim]``.
        ends: ``[B, n]`` True for ends.
        other: ``[B * n]`` the other end of each.
        node: ``[N]`` the ends in order.
        load: ``[B, n]`` of the paths; those that together are more than 1 may not be joined.
    """
    large = pos.device.type == "cpu" and pos.shape[1] > LARGE
    return (Trees if large else Distances)(pos, ends, other, node, load)


class Rings:
    """What lies beyond some distances of each end, through all rounds of one construction.

    Ends only become fewer, so an answer stands while its radius is the same and it is an end of another path.
    """

    def __init__(self, nodes: int, rings: int, device: torch.device) -> None:
        """Nothing known yet of so many nodes, those of all instances."""
        self._radius = torch.full((nodes, rings), torch.nan, dtype=torch.float64, device=device)
        self._near = torch.zeros(nodes, rings, dtype=torch.int64, device=device)
        self._valid = torch.zeros(nodes, rings, dtype=torch.bool, device=device)

    def look(
        self, around: Surroundings, radius: Tensor, ends: Tensor, other: Tensor, node: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Surroundings.beyond`; ``ends``, ``other`` and ``node`` are those of :func:`surroundings`."""
        near, valid = self._near[node], self._valid[node]
        gone = ~ends.flatten()[near] | (near == other[node].unsqueeze(1))
        due = (self._radius[node] != radius) | (valid & gone)
        found, there = around.beyond(radius, due)
        near, valid = torch.where(due, found, near), torch.where(due, there, valid)
        self._radius[node], self._near[node], self._valid[node] = radius.double(), near, valid
        return near, valid


class Distances:
    """All of them."""

    def __init__(self, pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None) -> None:
        """See :func:`surroundings`."""
        batch, self.n, _ = pos.shape
        self.node, self.load = node, load
        distance = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist")
        distance = distance.masked_fill(~ends.unsqueeze(1), torch.inf).view(batch * self.n, self.n)[node]
        distance.scatter_(1, (other[node] % self.n).unsqueeze(1), torch.inf)
        self.distance = distance.scatter_(1, (node % self.n).unsqueeze(1), torch.inf)
        self.start = (node - node % self.n).unsqueeze(1)

    def nearest(self, count: int) -> tuple[Tensor, Tensor]:
        """See :class:`Surroundings`."""
        distance, node = self.distance, self.node
        if self.load is not None:
            together = self.load[node // self.n] + self.load.flatten()[node].unsqueeze(1)
            distance = distance.masked_fill(together > 1 + TOLERANCE, torch.inf)
        length, near = distance.topk(min(count, self.n), dim=1, largest=False)
        missing = count - near.shape[1]
        near = nn.functional.pad(near + self.start, (0, missing))
        return near, nn.functional.pad(length, (0, missing), value=torch.inf)

    def beyond(self, radius: Tensor, due: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Surroundings`."""
        found = [
            self.distance.masked_fill(self.distance <= ring, torch.inf).min(dim=1) for ring in radius.T.unsqueeze(2)
        ]
        near = torch.stack([one.indices for one in found], dim=1)
        return near + self.start, torch.stack([one.values for one in found], dim=1).isfinite()

    def doubtful(self, radius: Tensor) -> Tensor:
        """See :class:`Surroundings`."""
        found = []
        for ring in radius.T.unsqueeze(2):
            rim = ((self.distance - ring).abs() <= TIE * ring).any(dim=1)
            beyond = self.distance.masked_fill(self.distance <= ring, torch.inf)
            best = beyond.amin(dim=1, keepdim=True)
            found.append(rim | ((beyond <= best * (1 + TIE)) & best.isfinite()).sum(dim=1).gt(1))
        return torch.stack(found, dim=1)


class Trees:
    """One for each instance; on the CPU, in double precision, by as many threads as torch has."""

    def __init__(self, pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None) -> None:
        """See :func:`surroundings`."""
        # numba takes a second to load, which smaller instances need not wait for.
        from l2o.models import kernels_ends

        self.kernels, self.node, self.dtype = kernels_ends, node, pos.dtype
        batch, n, dim = pos.shape
        numbers = node.numpy()
        points = pos.reshape(-1, dim)[node].double().numpy()
        rows = np.searchsorted(numbers, np.arange(batch + 1) * n).tolist()
        # All that follows is in the order of the trees, where what is near lies side by side.
        self.order = order = np.arange(len(node))
        grown = [self._grown(points, order, first, last) for first, last in pairwise(rows) if last > first]
        # The depot is no end, though a path that has gone home is tied to it.
        place = np.full(batch * n, -1)
        place[numbers[order]] = np.arange(len(order))
        tied = place[other[node].numpy()[order]]
        loads = np.zeros(len(node)) if load is None else load.double().flatten()[node].numpy()[order]
        points = points[order]
        self.trees = [kernels_ends.Tree(points, tied, loads, *nodes) for nodes in grown]

    def _grown(self, points: Floats, order: Ints, first: int, last: int) -> tuple[Ints, Ints, Floats, Floats]:
        """The tree of the ends from ``first`` to ``last``: ``begin``, ``end``, ``low`` and ``high``."""
        depth = max(0, math.ceil(math.log2((last - first) / self.kernels.LEAF)))
        size, dim = 2 ** (depth + 1) - 1, points.shape[1]
        begin, end = np.zeros(size, np.int64), np.zeros(size, np.int64)
        begin[0], end[0] = first, last
        low, high = np.zeros((size, dim)), np.zeros((size, dim))
        self.kernels.grow(points, order, begin, end, low, high)
        return begin, end, low, high

    def _each(self, seek: Callable[..., None], *arguments: Ints | Floats | Bools) -> None:
        """Call a kernel for all ends of all trees, some in each thread."""
        threads = torch.get_num_threads()

        def part(tree: Tree, first: int, last: int) -> None:
            stack = np.empty(2 * len(tree.begin).bit_length(), np.int64)
            seek(tree, stack, first, last, *arguments)

        with ThreadPoolExecutor(threads) as pool:
            jobs = []
            for tree in self.trees:
                bounds = np.linspace(tree.begin[0], tree.end[0], threads + 1).astype(np.int64).tolist()
                jobs += [pool.submit(part, tree, first, last) for first, last in pairwise(bounds)]
            for job in jobs:
                job.result()

    def nearest(self, count: int) -> tuple[Tensor, Tensor]:
        """See :class:`Surroundings`."""
        near, length = np.zeros((len(self.node), count), np.int64), np.full((len(self.node), count), np.inf)
        self._each(self.kernels.nearest, near, length)
        return self._ends(near), self._ordered(length).sqrt().to(self.dtype)

    def beyond(self, radius: Tensor, due: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Surroundings`."""
        near, _ = self._beyond(radius, due)
        return self._ends(near.clip(min=0)), self._ordered(near >= 0)

    def doubtful(self, radius: Tensor) -> Tensor:
        """See :class:`Surroundings`."""
        return self._ordered(self._beyond(radius, torch.ones_like(radius, dtype=torch.bool))[1])

    def _beyond(self, radius: Tensor, due: Tensor) -> tuple[Ints, Bools]:
        near, tied = np.full(radius.shape, -1), np.zeros(radius.shape, np.bool_)
        squared, wanted = (values.numpy()[self.order] for values in (radius.double().square(), due))
        self._each(self.kernels.beyond, squared, wanted, near, tied)
        return near, tied

    def _ordered(self, values: Ints | Floats | Bools) -> Tensor:
        """From the order of the trees back to that of the ends."""
        found = torch.empty(values.shape, dtype=torch.from_numpy(values).dtype)
        found[torch.from_numpy(self.order)] = torch.from_numpy(values)
        return found

    def _ends(self, places: Ints) -> Tensor:
        """The ends at places in the order of the trees."""
        return self._ordered(self.node.numpy()[self.order[places]])
