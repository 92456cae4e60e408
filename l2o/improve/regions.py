"""Parts of a tour as problems of their own: the nodes of a region, tied together by the paths outside.

What a region's search changes holds whatever the paths outside look like, up to subtours, which are joined when the
changes of many regions are put into the tour at once. Source of the idea: R. M. Karp, "Probabilistic analysis of
partitioning algorithms for the traveling-salesman problem in the plane", 1977.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l2o.improve import kernels_segments
from l2o.improve.space import NONE, Space
from l2o.problems.instance import Floats, Ints


def partition(points: Floats, size: int, rng: np.random.Generator) -> list[Ints]:
    """The numbers of ``points [n, d]`` in boxes of ``size`` at most, cut near the middle of their longer side."""
    found: list[Ints] = []
    boxes = [np.arange(len(points))]
    while boxes:
        nodes = boxes.pop()
        if len(nodes) <= size:
            found.append(nodes)
            continue
        inside = points[nodes]
        along = int(np.ptp(inside, axis=0).argmax())
        # Never twice at the same place: what one partition cuts apart the next one has together.
        at = int(len(nodes) * rng.uniform(0.4, 0.6))
        order = np.argpartition(inside[:, along], at)
        boxes += [nodes[order[:at]], nodes[order[at:]]]
    return found


@dataclass(frozen=True)
class Region:
    """Some nodes in the order of a tour, numbered ``0 .. m-1`` inside, so that ``0, 1, .. m-1`` is that tour here."""

    nodes: Ints
    """``[m]`` their numbers outside."""
    held: Ints
    """``[m, 2]`` which are neighbours because a path outside leads from one to the other; -1 for none."""

    @classmethod
    def cut(cls, place: Ints, nodes: Ints) -> Region:
        """``nodes`` out of the tour in which they have the positions ``place[nodes]``."""
        n, m = len(place), len(nodes)
        nodes = nodes[np.argsort(place[nodes])]
        at = place[nodes]
        if m == n:
            return cls(nodes, NONE)
        left = np.flatnonzero((np.roll(at, -1) - at) % n != 1)
        held = np.full((m, 2), -1, np.int64)
        following = (left + 1) % m
        held[left, 1] = following
        held[following, 0] = left
        return cls(nodes, held)

    def changes(self, tour: Ints) -> tuple[Ints, Ints]:
        """Edges ``[c, 2]`` that ``tour [m]`` lacks and those that it has instead, by their numbers outside."""
        m = len(tour)
        before, after = self._edges(np.arange(m)), self._edges(tour)
        removed, added = np.setdiff1d(before, after), np.setdiff1d(after, before)
        return self.nodes[np.stack(np.divmod(removed, m), axis=1)], self.nodes[np.stack(np.divmod(added, m), axis=1)]

    def _edges(self, tour: Ints) -> Ints:
        """Those inside, each as one number."""
        one, two = tour, np.roll(tour, -1)
        if len(self.held):
            inside = (self.held[one] != two[:, None]).all(axis=1)
            one, two = one[inside], two[inside]
        return np.minimum(one, two) * len(tour) + np.maximum(one, two)


def adopt(space: Space, tour: Ints, changes: list[tuple[Ints, Ints]]) -> Ints:
    """``tour [n]`` with the changes of regions that have no node in common."""
    removed, added = (np.concatenate(edges) for edges in zip(*changes, strict=True))
    if not len(removed):
        return tour
    room = kernels_segments.segments(space.metric, space.near, space.held, cuts=len(removed))
    whole = tour.copy()
    if kernels_segments.adopt(room, whole, removed, added):
        return whole
    # Pieces that have nothing else near: what one region changes leaves none.
    first, *others = changes
    tour = adopt(space, tour, [first])
    return adopt(space, tour, others) if others else tour
