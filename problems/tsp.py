"""The travelling salesman problem: visit every node once and return to the first."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Generator, Tensor

from l2o.problems.base import Complete, Graph, Improve, Plan, State
from l2o.problems.embedding import embedding
from l2o.problems.fragments import Fragments, inside
from l2o.problems.instance import Instance, Routes
from l2o.problems.maps import MAPS
from l2o.problems.rules.tsp import Tours

_FAR = 10.0
"""Length of the ways that a tour must not take, in units of the longest that it may."""


class TSP(Tours):
    """Symmetric, complete. The anchor is the first node; there is one way to reach a node."""

    depot = fleet = False
    moves = 1
    features = 0

    def sample(self, generator: Generator, batch: int, n: int, distribution: str) -> Graph:
        """``batch`` maps of ``n`` nodes; ``distribution`` is a key of :data:`l2o.problems.maps.MAPS`."""
        return Graph.of(MAPS[distribution](generator, batch, n))

    def graph(self, instance: Instance, *, dtype: torch.dtype = torch.float64) -> Graph:
        """The instance as the policy sees it, a batch of one."""
        return Graph.of(torch.from_numpy(np.array(embedding(instance)))[None], dtype=dtype)

    def starts(self, graph: Graph, count: int) -> Tensor:
        """The node nearest to the middle, then by even steps through all nodes ordered by that distance.

        On random maps greedy tours begun there are 1 to 2 % shorter than those begun furthest out.
        """
        radius = graph.pos.square().sum(dim=-1)
        order = radius.argsort(dim=1, stable=True)
        return order[:, torch.arange(count, device=order.device) * graph.n // count]

    def random_starts(self, generator: Generator, graph: Graph, count: int) -> Tensor:
        """Any node."""
        return torch.randint(graph.n, (len(graph.pos), count), generator=generator)

    def start(self, graph: Graph, row: Tensor, first: Tensor) -> State:
        """Stand at ``first``, which is also where the tour ends."""
        unvisited = torch.ones(len(row), graph.n, dtype=torch.bool, device=row.device)
        unvisited.scatter_(1, first.unsqueeze(1), False)
        return State(row, first, first, unvisited, graph.n - 1, graph.demand.new_ones(len(row)))

    def allowed(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """Every unvisited node."""
        return torch.ones(*node.shape, 1, dtype=torch.bool, device=node.device)

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """The straight way."""
        return graph.distance(state.row.unsqueeze(1), state.current.unsqueeze(1), node).unsqueeze(-1)

    def step(self, graph: Graph, state: State, node: Tensor, move: Tensor) -> State:
        """Go to ``node``."""
        unvisited = state.unvisited.scatter(1, node.unsqueeze(1), False)
        return dataclasses.replace(state, current=node, unvisited=unvisited, left=state.left - 1)

    def closing(self, graph: Graph, state: State) -> Tensor:
        """Back to the first node."""
        return graph.distance(state.row, state.current, state.anchor)

    def node_features(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """None: geometry says it all."""
        return graph.pos.new_empty(*node.shape, 0)

    def routes(self, first: list[int], nodes: list[int], moves: list[int]) -> Routes:
        """One closed tour."""
        return ((*first, *nodes),)

    def improved(
        self, graph: Graph, row: int, first: int, nodes: list[int], moves: list[int], begin: int, improve: Improve
    ) -> Plan:
        """The path from the current node to the first one, made a tour by a node that only these two can reach."""
        path = [nodes[begin - 1], *nodes[begin:], first] if begin else [first, *nodes]
        matrix = graph.matrix(row, path)
        if begin:
            matrix = np.pad(matrix, ((0, 1), (0, 1)), constant_values=_FAR * max(1.0, matrix.max()))
            matrix[-1, [0, -2, -1]] = matrix[[0, -2, -1], -1] = 0.0
        instance = Instance.of_matrix("tail", self.name, matrix)
        (tour,) = improve(instance, (tuple(range(len(matrix))),))
        at = tour.index(0)
        tour = tour[at:] + tour[:at]
        if begin:
            closing = len(matrix) - 1
            tour = tour if tour[-1] == closing else (0, *tour[:0:-1])
            assert tour[-2:] == (closing - 1, closing), "the search left a way that costs more than all others"
            tour = tour[:-2]
        better = [path[i] for i in tour[1:]]
        ends = [] if begin else [better[0], better[-1]]
        return Plan(begin, nodes[:begin] + better, moves, [t == 0 and not begin for t in range(len(moves))], ends)

    def fragments(self, graph: Graph) -> Fragments:
        """Every node a path of its own."""
        return Fragments.alone(torch.zeros_like(graph.demand))

    def completed(self, graph: Graph, row: int, fragments: Fragments, routes: Routes, complete: Complete) -> Routes:
        """The ends alone as an instance."""
        (tour,) = routes
        open_, other = fragments.open[row].tolist(), fragments.other[row].tolist()
        ends = [node for node in tour if open_[node] > 0]
        if len(ends) == 2:
            # One path: its ends are joined, and nothing is left to be decided.
            return routes
        place = {node: i for i, node in enumerate(ends)}
        paths = np.array([(i, place[other[node]]) for i, node in enumerate(ends) if i <= place[other[node]]])
        instance = Instance.of_matrix("rest", self.name, graph.matrix(row, ends))
        (better,) = complete(instance, paths, (tuple(range(len(ends))),))
        between = inside(tour, open_)
        ring = [ends[i] for i in better]
        spelled: list[int] = []
        for node, following in zip(ring, ring[1:] + ring[:1], strict=True):
            spelled.append(node)
            if other[node] == following:
                spelled += between.get(node, ())
        return (tuple(spelled),)


PROBLEM = TSP()
