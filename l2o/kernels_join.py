"""Joining ends, compiled: the accepted joins of one round."""

from __future__ import annotations

from l2o.jit import njit
from l2o.problems.fragments import TOLERANCE
from l2o.problems.instance import Floats, Ints


@njit
def accept(
    first: Ints, second: Ints, n: int, depot: bool, open_: Ints, other: Ints, load: Floats, wanted: Ints, taken: Ints
) -> int:
    """Go through the joins of ``first [E]`` with ``second [E]`` in order and make those that still can be made.

    Not made are joins of an inner node, of two ends of one path, of paths that together exceed the capacity, and those
    of an instance that has ``wanted [B]`` of them already. With a ``depot`` a join with node 0 means going home.
    ``open_``, ``other`` and ``load``, all ``[B * n]``, are those of :class:`l2o.problems.fragments.Fragments`, with
    ``other`` counted from the first instance on; they follow. Returns how many were made; where is in ``taken [E]``.
    """
    count = 0
    for place in range(len(first)):
        i, j = first[place], second[place]
        row = i // n
        if wanted[row] == 0 or open_[i] == 0:
            continue
        if depot and j == row * n:
            open_[i] -= 1
        else:
            together = load[i] + load[j]
            if open_[j] == 0 or other[i] == j or i == j or together > 1.0 + TOLERANCE:
                continue
            a, b = other[i], other[j]
            open_[i] -= 1
            open_[j] -= 1
            other[a], other[b] = b, a
            load[a] = load[b] = together
        wanted[row] -= 1
        taken[count] = place
        count += 1
    return count
