"""Improve tours whose cost depends on the direction: as symmetric tours of twice as many nodes.

Each node becomes one to arrive at and one to leave from, which stay together; ways lead from those of the second kind
to those of the first. Source: R. Jonker, T. Volgenant, "Transforming asymmetric into symmetric traveling salesman
problems", Operations Research Letters 2(4), 1983. Costs are what is left of them when every node has been paid for
being left and being arrived at: all tours become cheaper by the same, and the arcs of good tours come first among the
near. The search begins with the cheapest rings, made one, where that is better than what it was given.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from l2o.heuristics import nearest_neighbour
from l2o.improve import improve as local_search
from l2o.improve import tsp
from l2o.improve.assignment import joined, prices, successors
from l2o.improve.run import Task
from l2o.improve.space import space
from l2o.problems.instance import Floats, Instance, Ints, Routes

FIXED, TINY, ENOUGH = 2, 12, 1_000
"""See :class:`l2o.improve.Search`; iterations are kicks."""


def improve(task: Task) -> Routes:
    """See :func:`l2o.improve.improve`; ``routes`` is one tour of all nodes."""
    if task.clock.over():
        return task.routes
    n = task.instance.n
    nodes = np.arange(n)
    costs = task.instance.distance(nodes[:, None], nodes)
    successor = successors(costs)
    task = begun(task, joined(costs, successor))
    leaving, arriving = prices(costs, successor, task.clock.over)
    held = np.stack([np.concatenate([n + nodes, nodes]), np.full(2 * n, -1)], axis=1)
    # The other half of a node is always the nearest.
    where = space(doubled(costs - leaving[:, None] - arriving), tsp.NEIGHBOURS + 1, task.clock.over, held)
    if where is None:
        return task.routes

    def read(routes: Routes) -> Ints:
        order = np.array(routes[0], np.int64)
        return np.stack([order, n + order], axis=1).ravel()

    def write(tour: Ints) -> Routes:
        at = int(np.flatnonzero(tour == 0)[0])
        forward = tour[(at + 1) % (2 * n)] == n
        order = tour[tour < n]
        return (tuple((order if forward else order[::-1]).tolist()),)

    return tsp.searched(task, where._replace(turning=False), read, write, float(leaving.sum() + arriving.sum()))


def begun(task: Task, tour: Ints) -> Task:
    """Where ``tour`` is better than what there is to begin with, the task to begin with that."""
    cost = tsp.length(task.instance, tour)
    if cost >= tsp.length(task.instance, np.array(task.routes[0])):
        return task
    routes = (tuple(tour.tolist()),)
    if task.report is not None:
        task.report(cost, routes)
    return replace(task, routes=routes)


def doubled(costs: Floats) -> Instance:
    """The symmetric instance: nodes ``0 .. n-1`` are arrived at, ``n .. 2n-1`` are left from."""
    n = len(costs)
    nodes = np.arange(n)
    matrix = np.full((2 * n, 2 * n), tsp.FAR * max(1e-9, np.abs(costs - np.diag(np.diag(costs))).max()))
    matrix[n:, :n], matrix[:n, n:] = costs, costs.T
    matrix[nodes, n + nodes] = matrix[n + nodes, nodes] = 0.0
    np.fill_diagonal(matrix, 0.0)
    return Instance.of_matrix("doubled", "tsp", matrix)


def warm_up() -> None:
    """Compile everything: all but a first call is the search for symmetric tours."""
    tsp.warm_up()
    costs = np.random.default_rng(0).random((8, 8))
    example = Instance.of_matrix("example", "atsp", costs)
    local_search(example, nearest_neighbour(example), deadline=math.inf, seed=0, iterations=10)
