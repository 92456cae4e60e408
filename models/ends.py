"""Which other ends of paths are near an end: from all distances at once, or by k-d trees where those are too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from l2o.problems.fragments import TOLERANCE

LARGE = 1000
"""Nodes above which the ends of an instance are put into a tree."""


def nearest(
    pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None, count: int
) -> tuple[Tensor, Tensor]:
    """The nearest ends of other paths that may be joined, nearest first.

    Args:
        pos: ``[B, n, dim]``.
        ends: ``[B, n]`` True for ends.
        other: ``[B * n]`` the other end of each.
        node: ``[N]`` the ends of all instances in order, ``row * n + node`` number each.
        load: ``[B, n]`` of the paths; those that together are more than 1 may not be joined. None: there is none.
        count: how many are wanted.

    Returns:
        ``near [N, count]`` and ``length [N, count]``, infinite where there are no more.
    """
    large = pos.device.type == "cpu" and pos.shape[1] > LARGE
    return (by_trees if large else by_distances)(pos, ends, other, node, load, count)


def by_distances(
    pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None, count: int
) -> tuple[Tensor, Tensor]:
    """:func:`nearest` from all distances."""
    batch, n, _ = pos.shape
    distance = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist")
    distance = distance.masked_fill(~ends.unsqueeze(1), torch.inf).view(batch * n, n)[node]
    distance.scatter_(1, (other[node] % n).unsqueeze(1), torch.inf)
    distance.scatter_(1, (node % n).unsqueeze(1), torch.inf)
    if load is not None:
        together = load[node // n] + load.flatten()[node].unsqueeze(1)
        distance.masked_fill_(together > 1 + TOLERANCE, torch.inf)
    length, near = distance.topk(min(count, n), dim=1, largest=False)
    missing = count - near.shape[1]
    near = nn.functional.pad(near + (node - node % n).unsqueeze(1), (0, missing))
    return near, nn.functional.pad(length, (0, missing), value=torch.inf)


def by_trees(
    pos: Tensor, ends: Tensor, other: Tensor, node: Tensor, load: Tensor | None, count: int
) -> tuple[Tensor, Tensor]:
    """:func:`nearest` by a tree for each instance: on the CPU, in double precision, by as many threads as torch has."""
    # numba takes a second to load, which smaller instances need not wait for.
    from l2o.models import kernels_ends

    batch, n, dim = pos.shape
    numbers = node.numpy()
    points = pos.reshape(-1, dim)[node].double().numpy()
    rows = np.searchsorted(numbers, np.arange(batch + 1) * n).tolist()
    # All that follows is in the order of the trees, where what is near lies side by side.
    order = np.arange(len(node))
    boxes = [kernels_ends.boxes(points, order, first, last) for first, last in pairwise(rows) if last > first]
    # The depot is no end, though a path that has gone home is tied to it.
    place = np.full(batch * n, -1)
    place[numbers[order]] = np.arange(len(order))
    tied = place[other[node].numpy()[order]]
    loads = np.zeros(len(node)) if load is None else load.double().flatten()[node].numpy()[order]
    points = points[order]
    trees = [kernels_ends.Tree(points, tied, loads, *nodes) for nodes in boxes]
    near, length = np.zeros((len(node), count), np.int64), np.full((len(node), count), np.inf)

    def part(tree: kernels_ends.Tree, first: int, last: int) -> None:
        stack = np.empty(2 * len(tree.begin).bit_length(), np.int64)
        kernels_ends.nearest(tree, stack, first, last, near, length)

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        jobs = []
        for tree in trees:
            bounds = np.linspace(tree.begin[0], tree.end[0], threads + 1).astype(np.int64).tolist()
            jobs += [pool.submit(part, tree, first, last) for first, last in pairwise(bounds)]
        for job in jobs:
            job.result()
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    found = torch.from_numpy(numbers[order[near]][back])
    return found, torch.from_numpy(np.sqrt(length[back])).to(pos.dtype)
