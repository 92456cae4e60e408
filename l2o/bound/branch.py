"""Is there a tour below a cost? Branch and cut on few edges, by HiGHS through SciPy, in a process of its own.

Source: G. Dantzig, R. Fulkerson, S. Johnson, "Solution of a large-scale traveling-salesman problem", 1954: two edges at
each node, and two at least between any set of nodes and the rest, added where a solution breaks it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from l2o.bound.apart import apart
from l2o.problems.instance import Floats, Ints

CLOSE = 1e-6
SLACK = 0.01
"""Of a cost, for what the solver's prices may be off by."""
UNITS = 1_000_000
"""Of flow, for one edge."""


@dataclass(frozen=True)
class Verdict:
    """No tour of these edges costs less than ``bound``."""

    bound: float
    complete: bool
    """Whether the search came to its end: no tour is below the cost given, or ``bound`` is what the best costs."""


def below(
    n: int, edges: Ints, lengths: Ints, cost: int, *, seconds: float, over: Callable[[], bool], directed: bool = False
) -> Iterator[Verdict]:
    """What a search among ``edges [m, 2]`` for tours that cost less than ``cost`` finds within ``seconds``.

    Edges that are ``directed`` lead from the first of their nodes to the second. ``lengths [m]`` and ``cost`` are
    whole. Ends without a verdict if it is ``over`` before.
    """
    graph = {"n": n, "edges": edges.reshape(-1, 2), "lengths": lengths, "directed": directed}
    task = graph | {"cost": cost, "seconds": seconds}
    for found in apart(__name__, task, over):
        yield Verdict(**found)


def run(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The other end."""
    deadline = time.monotonic() + task["seconds"]
    edges, lengths = task["edges"], task["lengths"]
    for verdict in search(task["n"], edges, lengths, task["cost"], deadline, directed=task["directed"]):
        yield asdict(verdict)


def search(
    n: int, edges: Ints, lengths: Ints, cost: int, deadline: float, *, directed: bool = False
) -> Iterator[Verdict]:
    """See :func:`below`."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, milp
    from scipy.sparse import coo_array, vstack

    cuts: list[Any] = []
    bound = -math.inf
    whole = False
    # Two edges at each node; where they have a direction, one that leaves it and one that arrives.
    places, each = (2 * n, 1.0) if directed else (n, 2.0)
    while (left := deadline - time.monotonic()) > 0:
        m = len(edges)
        ends = np.concatenate([edges[:, 0], edges[:, 1] + (n if directed else 0)])
        pairs = coo_array((np.ones(2 * m), (ends, np.tile(np.arange(m), 2))), shape=(places, m))
        crossing = [coo_array((inside[edges[:, 0]] != inside[edges[:, 1]])[None].astype(float)) for inside in cuts]
        rows = vstack([pairs, *crossing]).tocsr()
        least = np.concatenate([np.full(places, each), np.full(len(cuts), 2.0)])
        most = np.concatenate([np.full(places, each), np.full(len(cuts), np.inf)])
        if whole:
            below_cost = LinearConstraint(lengths[None].astype(float), -np.inf, cost - 1)
            found = milp(
                lengths.astype(float),
                constraints=[LinearConstraint(rows, least, most), below_cost],
                bounds=Bounds(0, 1),
                integrality=np.ones(m),
                options={"time_limit": left, "mip_rel_gap": 0.0},
            )
            proven = found.get("mip_dual_bound")
        else:
            found = linprog(
                lengths.astype(float),
                A_ub=-rows[places:] if cuts else None,
                b_ub=-least[places:] if cuts else None,
                A_eq=rows[:places],
                b_eq=least[:places],
                bounds=(0, 1),
                method="highs",
                options={"time_limit": left},
            )
            proven = found.fun if found.status == 0 else None
        if found.status == 2:
            yield Verdict(float(cost), True)
            return
        if proven is not None:
            # Costs are whole, and the solver's sums are off by less than this.
            better = min(float(cost), math.ceil(proven - 1e-4))
            if better > bound:
                bound = better
                yield Verdict(bound, bound >= cost)
        if bound >= cost or found.status != 0:
            break
        x = found.x
        if not whole:
            # No tour below the cost has an edge that would by itself make this solution so much dearer.
            kept = found.lower.marginals <= cost - 1 - found.fun + SLACK
            edges, lengths, x = edges[kept], lengths[kept], x[kept]
        new = violated(n, edges, x)
        if not new and whole:
            yield Verdict(float(round(found.fun)), True)
            return
        whole = whole or not new
        cuts += new


def violated(n: int, edges: Ints, x: Floats) -> list[Any]:
    """Sets of nodes, as masks ``[n]``, with less than two edges of ``x [m]`` to the rest: pieces, or the least cuts."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

    used = x > CLOSE
    one, two = edges[used].T
    graph = coo_array((np.ones(len(one)), (one, two)), shape=(n, n)).tocsr()
    pieces, label = connected_components(graph, directed=False)
    if pieces > 1:
        return [label == piece for piece in range(pieces if pieces > 2 else 1)]
    if (np.abs(x - np.rint(x)) < CLOSE).all():
        return []
    units = np.rint(x[used] * UNITS).astype(np.int32)
    both = (np.concatenate([units, units]), (np.concatenate([one, two]), np.concatenate([two, one])))
    network = coo_array(both, shape=(n, n)).tocsr()
    cuts: dict[bytes, Any] = {}
    for sink in range(1, n):
        if any(inside[0] != inside[sink] for inside in cuts.values()):
            continue
        flow = maximum_flow(network, 0, sink)
        if flow.flow_value < 2 * UNITS - 1000:
            rest = network - flow.flow
            rest.data[rest.data < 0] = 0
            rest.eliminate_zeros()
            inside = np.zeros(n, bool)
            inside[breadth_first_order(rest, 0, return_predecessors=False)] = True
            cuts[inside.tobytes()] = inside
    return list(cuts.values())
