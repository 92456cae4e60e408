"""Joining ends, compiled: the accepted joins of one round, and paths followed from end to end."""

from __future__ import annotations

from l2o.improve.jit import njit
from l2o.problems.instance import Ints


@njit
def accept(first: Ints, second: Ints, n: int, open_: Ints, other: Ints, wanted: Ints, taken: Ints) -> int:
    """Go through the joins of ``first [E]`` with ``second [E]`` in order and make those that still can be made.

    Not made are joins of an inner node, of two ends of one path, and those of an instance that has ``wanted [B]`` of
    them already. ``open_ [B * n]`` and ``other [B * n]`` are those of :class:`l2o.problems.fragments.Fragments` and
    follow; ``other`` counts from the first instance on. Returns how many were made; their places are in ``taken [E]``.
    """
    count = 0
    for place in range(len(first)):
        i, j = first[place], second[place]
        row = i // n
        if wanted[row] == 0 or open_[i] == 0 or open_[j] == 0 or other[i] == j or i == j:
            continue
        a, b = other[i], other[j]
        open_[i] -= 1
        open_[j] -= 1
        other[a], other[b] = b, a
        wanted[row] -= 1
        taken[count] = place
        count += 1
    return count


@njit
def follow(neighbour: Ints, path: Ints) -> None:
    """``path [n]`` along ``neighbour [n, 2]`` around the ring that begins with node 0."""
    before, here = -1, 0
    for place in range(len(path)):
        path[place] = here
        following = neighbour[here, 0]
        if following == before:
            following = neighbour[here, 1]
        before, here = here, following
