"""Lower bounds on tours: 1-trees under the best node prices found, and a search that proves that nothing is below."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from l2o.bound import Bound, Task
from l2o.bound.branch import below
from l2o.bound.exact import LARGEST, shortest
from l2o.bound.kernels_tree import Trees, ascend, complete_tree, dearest_leaf, fill, second_edge, survivors
from l2o.improve.metric import Metric, metric
from l2o.improve.neighbours import nearest
from l2o.problems.instance import Floats, Instance, Ints

NEIGHBOURS = 8
PATIENCE = 20
"""Steps without a better bound after which they become shorter."""
ROUNDS = 30
"""How often edges that the complete graph's tree has are added to the sparse graph, at most."""
PACE = 8e-9
"""Seconds for each pair of nodes that the tree of the complete graph takes, about."""
KEPT = 40
"""Edges for each node with which a search for a better tour is worth trying, at most."""
PROVABLE = 400
"""Nodes up to which it is."""
LONGEST = 1e6
"""Seconds of branch and cut, where nobody limits them."""
_WORK = 20_000
"""Nodes times steps of the ascent between two looks at the clock: about 10 ms."""


def bounds(task: Task) -> None:
    """See :func:`l2o.bound.bounds`."""
    instance, n = task.instance, task.instance.n
    if n <= LARGEST:
        task.told(Bound(shortest(instance) if n > 1 else 0.0, "dynamic programming"))
        return
    if n * n * PACE > task.left() / 3:
        return
    near = nearest(instance, NEIGHBOURS, task.over)
    if near is None:
        return
    prices = Prices(instance, near)
    best = -math.inf
    for _ in range(ROUNDS):
        prices.ascend(task.upper(), task.over)
        if task.over() or n * n * PACE > task.left():
            return
        tree = prices.tree()
        if tree.bound > best:
            best = tree.bound
            task.told(Bound(best, "1-tree (Held and Karp)"))
        if best >= task.upper() or not prices.extend(tree):
            break
    if best < task.upper() < math.inf and n <= PROVABLE and prices.whole:
        prove(task, prices, tree)


@dataclass(frozen=True)
class Tree:
    """The 1-tree of the complete graph under the best prices, and what it proves."""

    total: int
    """Its cost less twice all prices, in units of the scale."""
    bound: float
    key: Ints
    parent: Ints
    order: Ints
    leaf: int
    second: int


class Prices:
    """Node prices under which the cheapest 1-tree is as dear as possible."""

    def __init__(self, instance: Instance, near: Ints) -> None:
        """``near [n, k]`` is the sparse graph to begin with."""
        self.metric: Metric = metric(instance)
        self.n = n = instance.n
        nodes = np.arange(n)
        lengths = instance.distance(nodes[:, None], near)
        self.whole = instance.whole
        largest = float(np.abs(instance.matrix).max()) if instance.matrix is not None else _diameter(instance)
        # Units so small that rounding does not matter, so large that no sum overflows.
        wanted = 1024.0 if self.whole else 2.0**24 / max(float(np.median(np.abs(lengths))), 1e-200)
        self.scale = 2 ** math.floor(math.log2(min(wanted, 2.0**58 / (n * max(largest, 1e-200)), 2.0**62)))
        self.edges = _both_ways(np.repeat(nodes, near.shape[1]), near.ravel(), n)
        self.trees = self._graph(np.zeros(n, np.int64))

    def _graph(self, price: Ints) -> Trees:
        n = self.n
        start = np.searchsorted(self.edges // n, np.arange(n + 1))
        to = self.edges % n
        cost = np.empty(len(to), np.int64)
        fill(self.metric, self.scale, start, to, cost)
        full: list[Ints] = [np.full(n, 2, np.int64) for _ in range(2)]
        room: list[Ints] = [np.empty(n, np.int64) for _ in range(4)]
        return Trees(start, to, cost, price.copy(), price.copy(), *full, *room)

    def ascend(self, upper: float, over: Callable[[], bool]) -> None:
        """Better prices, until they hardly change."""
        state: Floats = np.array([-np.inf, 1.0, 0.0])
        target = math.ceil(upper * self.scale) if math.isfinite(upper) else 0
        while not over() and not ascend(self.trees, state, target, 1 + _WORK // self.n, PATIENCE):
            pass

    def tree(self) -> Tree:
        """Of the complete graph."""
        n, price = self.n, self.trees.best_price
        key, parent, order = (np.empty(n, np.int64) for _ in range(3))
        total = complete_tree(self.metric, self.scale, price, key, parent, order)
        leaf = dearest_leaf(self.trees, price, parent)
        second = second_edge(self.metric, self.scale, price, parent, leaf)
        total += second - 2 * int(price.sum())
        bound = -(-total // self.scale) if self.whole else total / self.scale
        return Tree(total, float(bound), key, parent, order, leaf, second)

    def left(self, tree: Tree, cost: float) -> Ints | None:
        """The edges ``[m, 2]`` that a tour below ``cost`` may have; None if there are too many. Costs must be whole."""
        slack = (math.ceil(cost) - 1) * self.scale - tree.total
        edges, room = np.empty((KEPT * self.n, 2), np.int64), np.empty(self.n, np.int64)
        sought = (tree.key, tree.parent, tree.order, tree.leaf, tree.second, slack, room, edges)
        count = survivors(self.metric, self.scale, self.trees.best_price, *sought)
        return None if count < 0 else edges[:count]

    def extend(self, tree: Tree) -> bool:
        """Add the edges of ``tree`` to the sparse graph; whether any was missing."""
        n = self.n
        inside = np.flatnonzero(tree.parent >= 0)
        edges = np.union1d(self.edges, _both_ways(inside, tree.parent[inside], n))
        if len(edges) == len(self.edges):
            return False
        self.edges = edges
        self.trees = self._graph(self.trees.best_price)
        return True


def prove(task: Task, prices: Prices, tree: Tree) -> None:
    """Search among the edges that a better tour may have; costs must be whole."""
    instance, cost = task.instance, task.upper()
    edges = prices.left(tree, cost)
    if edges is None or task.over():
        return
    lengths = np.rint(instance.distance(edges[:, 0], edges[:, 1])).astype(np.int64)
    seconds = min(task.left(), LONGEST)
    for verdict in below(instance.n, edges, lengths, int(cost), seconds=seconds, over=task.over):
        if verdict.bound > tree.bound:
            task.told(Bound(verdict.bound, "1-tree, then branch and cut (HiGHS)"))


def warm_up() -> None:
    """Compile everything by a run on few nodes."""
    coords = np.random.default_rng(0).random((LARGEST + 7, 2)) * 1000
    for n in (4, len(coords)):
        example = Instance("example", "tsp", "EUC_2D", "nearest", np.arange(n), coords=coords[:n])
        bounds(Task(example, upper=lambda: math.inf, over=lambda: False, left=lambda: 1.0, told=lambda bound: None))
    near = nearest(example, NEIGHBOURS)
    assert near is not None
    prices = Prices(example, near)
    prices.left(prices.tree(), 1e6)


def _both_ways(one: Ints, two: Ints, n: int) -> Ints:
    """Each edge from either side as one number, in order."""
    return np.unique(np.concatenate([one * n + two, two * n + one]))


def _diameter(instance: Instance) -> float:
    """No two nodes are further apart."""
    assert instance.coords is not None
    if instance.metric == "GEO":
        return 21_000.0
    return float(np.ptp(instance.coords, axis=0).sum()) + 1.0
