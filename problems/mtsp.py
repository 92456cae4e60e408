"""The min-max multiple travelling salesman problem: a fleet serves every customer once, no vehicle driving far.

All vehicles are on their way at once, and any of them may be the next to move. What is left to be done hangs on where
they stand and on how much longer each route may become before it is the longest, the way home included: two partial
solutions that agree in that, and in the customers left, are one state, however long their routes have become.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Generator, Tensor

from l2o.problems import depot
from l2o.problems.base import Graph, State
from l2o.problems.embedding import embedding
from l2o.problems.instance import Instance, Routes
from l2o.problems.maps import MAPS
from l2o.problems.rules.mtsp import LongestRoute

MOST = 10
"""Vehicles of random instances."""
FEWEST = 3
"""Customers for each of them, on average."""


class MTSP(LongestRoute):
    """Node 0 is the depot and the anchor. An instance with n customers takes n decisions; ``move`` is the vehicle.

    The cost of a decision is by how much it lengthens the longest route, the ways home included: added up over a
    construction, the length of the longest.
    """

    depot = fleet = True
    moves = 1
    features = 0

    def sample(self, generator: Generator, batch: int, n: int, distribution: str) -> Graph:
        """``batch`` maps of ``n`` customers; ``distribution`` is a key of :data:`l2o.problems.maps.MAPS`.

        All have equally many vehicles, 2 to :data:`MOST`, few as often as many; 1 where there are hardly any customers.
        """
        pos = depot.placed(generator, MAPS[distribution](generator, batch, n))
        most = max(1, min(MOST, n // FEWEST))
        fewest = min(2, most)
        scale = torch.rand(1, generator=generator, dtype=torch.float64)
        vehicles = (fewest * ((most + 1) / fewest) ** scale).long()
        return Graph.of(pos, vehicles=vehicles.expand(batch))

    def graph(self, instance: Instance, *, dtype: torch.dtype = torch.float64) -> Graph:
        """The instance as the policy sees it, a batch of one."""
        assert instance.vehicles is not None
        pos = torch.from_numpy(np.array(embedding(instance)))[None]
        return Graph.of(pos, vehicles=torch.tensor([instance.vehicles]), dtype=dtype)

    def starts(self, graph: Graph, count: int) -> Tensor:
        """All at the depot, or one vehicle at a first customer: even steps through all by distance, furthest first."""
        return depot.starts(graph, count)

    def random_starts(self, generator: Generator, graph: Graph, count: int) -> Tensor:
        """All at the depot."""
        return torch.zeros(len(graph.pos), count, dtype=torch.int64)

    def start(self, graph: Graph, row: Tensor, first: Tensor) -> State:
        """All stand at the depot (``first`` all 0), or one has served a first customer."""
        assert graph.vehicles is not None
        unvisited = torch.ones(len(row), graph.n, dtype=torch.bool, device=row.device)
        unvisited[:, 0] = False
        home, fleet = torch.zeros_like(first), int(graph.vehicles.max())
        state = State(
            row,
            home.unsqueeze(1).expand(-1, fleet),
            home,
            unvisited,
            graph.n - 1,
            graph.demand.new_zeros(len(row), fleet),
        )
        return self.step(graph, state, first, home) if bool((first > 0).any()) else state

    def allowed(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, k, V]`` every unvisited node by every vehicle that there is."""
        return graph.present(state.row, state.current.shape[1]).unsqueeze(1).expand(-1, node.shape[1], -1)

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, k, V]`` by how much the longest route grows, in all ways home included."""
        return (self.longer(graph, state, node) - state.load.unsqueeze(1)).clamp(min=0)

    def longer(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, k, V]`` by how much each vehicle's route, its way home included, grows by ``node [P, k]``; float64."""
        row, current, home = state.row[:, None, None], state.current.unsqueeze(1), state.anchor[:, None, None]
        node = node.unsqueeze(2)
        there = graph.distance(row, current, node).double()
        return there + graph.distance(row, node, home) - graph.distance(row, current, home)

    def step(self, graph: Graph, state: State, node: Tensor, move: Tensor) -> State:
        """Vehicle ``move`` goes to ``node``; if that makes its route the longest, the others may grow as much."""
        vehicle = move.unsqueeze(1)
        longer = self.longer(graph, state, node.unsqueeze(1))[:, 0].gather(1, vehicle)
        left = state.load.gather(1, vehicle) - longer
        growth = (-left).clamp(min=0)
        return dataclasses.replace(
            state,
            current=state.current.scatter(1, vehicle, node.unsqueeze(1)),
            unvisited=state.unvisited.scatter(1, node.unsqueeze(1), False),
            left=state.left - 1,
            load=(state.load + growth).scatter(1, vehicle, left + growth),
        )

    def closing(self, graph: Graph, state: State) -> Tensor:
        """Nothing: the ways home are counted from the beginning."""
        return graph.pos.new_zeros(len(state.row))

    def node_features(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """None: geometry says it all."""
        return graph.pos.new_empty(*node.shape, 0)

    def routes(self, first: list[int], nodes: list[int], moves: list[int]) -> Routes:
        """What each vehicle visits, in the order of its number; those that stay at home have no route."""
        routes: dict[int, list[int]] = {vehicle: [] for vehicle in range(max([0, *moves]) + 1)}
        routes[0] += [node for node in first if node > 0]
        for node, vehicle in zip(nodes, moves, strict=True):
            routes[vehicle].append(node)
        return tuple(tuple(route) for route in routes.values() if route)


PROBLEM = MTSP()
