"""What it is worth to leave a node and to arrive at it, where costs depend on the direction: duals of the assignment
problem, in which every node has one successor and is that of one, in rings of any number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from l2o.problems.instance import Floats


def prices(costs: Floats, over: Callable[[], bool] = lambda: False) -> tuple[Floats, Floats]:
    """``[n]`` for leaving and for arriving, of ``costs [n, n]`` whose diagonal does not matter; ``n`` is at least 2.

    No arc costs less than the two prices of its ends (up to rounding errors, if costs are not whole), and those of the
    cheapest rings cost as much. The cheapest rings are SciPy's; prices are the shortest ways in what may be changed
    about them, by R. Bellman and L. R. Ford. Once it is ``over``, prices are what was found: an arc may cost less.
    """
    from scipy.optimize import linear_sum_assignment

    n = len(costs)
    if over():
        return np.zeros(n), np.zeros(n)
    away = costs.copy()
    # Dearer than any rings without it.
    np.fill_diagonal(away, 1.0 + 2.0 * n * max(1.0, np.abs(costs).max()))
    _, successor = linear_sum_assignment(away)
    chosen = away[np.arange(n), successor]
    arriving = np.zeros(n)
    for _ in range(n):
        # Whoever gives up its successor's place for another has to pay the difference.
        better = np.minimum(arriving, ((arriving[successor] - chosen)[:, None] + away).min(axis=0))
        if over() or not (better < arriving).any():
            break
        arriving = better
    return chosen - arriving[successor], arriving
