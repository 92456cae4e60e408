"""The capacitated vehicle routing problem: routes from one depot, within the capacity, serve every customer once."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Generator, Tensor

from l2o.problems import depot
from l2o.problems.base import Complete, Graph, Improve, Plan, State
from l2o.problems.embedding import embedding
from l2o.problems.fragments import TOLERANCE, Fragments, inside
from l2o.problems.instance import Instance, Routes
from l2o.problems.maps import MAPS
from l2o.problems.rules.cvrp import CapacitatedRoutes

STRAIGHT, VIA_DEPOT = 0, 1
"""The two ways to reach a customer: with the load that is left, or refilled at the depot."""


class CVRP(CapacitatedRoutes):
    """Node 0 is the depot and the anchor; any number of vehicles. An instance with n customers takes n decisions."""

    depot, fleet = True, False
    moves = 2
    features = 5

    def sample(self, generator: Generator, batch: int, n: int, distribution: str) -> Graph:
        """``batch`` maps of ``n`` customers; ``distribution`` is a key of :data:`l2o.problems.maps.MAPS`.

        Demands of one of several spreads; 3 to 25 customers to a route, after the design of the X instances (Uchoa et
        al. 2017, "New benchmark instances for the CVRP", section 3).
        """

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        pos = depot.placed(generator, MAPS[distribution](generator, batch, n))
        spreads = torch.tensor([[1, 1], [1, 10], [1, 10], [5, 10], [1, 100], [50, 100]], dtype=torch.float64)
        spread = spreads[(rand(batch) * len(spreads)).long()]
        demand = spread[:, :1] + (rand(batch, n) * (spread[:, 1:] - spread[:, :1] + 1)).floor()
        per_route = 3 + 22 * rand(batch, 1) * rand(batch, 1).sqrt()
        capacity = torch.maximum(
            (per_route * demand.mean(dim=1, keepdim=True)).ceil(), demand.amax(dim=1, keepdim=True)
        )
        return Graph.of(pos, torch.cat([torch.zeros(batch, 1, dtype=torch.float64), demand / capacity], dim=1))

    def graph(self, instance: Instance, *, dtype: torch.dtype = torch.float64) -> Graph:
        """The instance as the policy sees it, a batch of one."""
        assert instance.demand is not None and instance.capacity is not None
        demand = torch.from_numpy(instance.demand / instance.capacity)[None]
        return Graph.of(torch.from_numpy(np.array(embedding(instance)))[None], demand, dtype=dtype)

    def starts(self, graph: Graph, count: int) -> Tensor:
        """The depot alone, or several first customers: even steps through all by distance, furthest first."""
        return depot.starts(graph, count)

    def random_starts(self, generator: Generator, graph: Graph, count: int) -> Tensor:
        """The depot: the first customer is a decision like any other."""
        return torch.zeros(len(graph.pos), count, dtype=torch.int64)

    def start(self, graph: Graph, row: Tensor, first: Tensor) -> State:
        """Stand at the depot (``first`` all 0) or at a first customer, served."""
        unvisited = torch.ones(len(row), graph.n, dtype=torch.bool, device=row.device)
        unvisited[:, 0] = False
        unvisited.scatter_(1, first.unsqueeze(1), False)
        left = graph.n - 1 - int((first > 0).any())
        return State(row, first, torch.zeros_like(first), unvisited, left, 1 - graph.demand[row, first])

    def allowed(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """Straight where the load suffices; by way of the depot unless one stands there."""
        demand = graph.demand[state.row.unsqueeze(1), node]
        straight = demand <= state.load.unsqueeze(1) + TOLERANCE
        via = (state.current > 0).unsqueeze(1).expand_as(straight)
        return torch.stack([straight, via], dim=-1)

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """The straight way, and the way by the depot."""
        row, current, depot = state.row.unsqueeze(1), state.current.unsqueeze(1), state.anchor.unsqueeze(1)
        straight = graph.distance(row, current, node)
        via = graph.distance(row, current, depot) + graph.distance(row, depot, node)
        return torch.stack([straight, via], dim=-1)

    def step(self, graph: Graph, state: State, node: Tensor, move: Tensor) -> State:
        """Go to ``node``, refilled before if ``move`` says so."""
        load = torch.where(move == VIA_DEPOT, torch.ones_like(state.load), state.load) - graph.demand[state.row, node]
        unvisited = state.unvisited.scatter(1, node.unsqueeze(1), False)
        return dataclasses.replace(state, current=node, unvisited=unvisited, left=state.left - 1, load=load)

    def closing(self, graph: Graph, state: State) -> Tensor:
        """Back to the depot."""
        return graph.distance(state.row, state.current, state.anchor)

    def node_features(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """Demand, load left, the difference, whether it fits, and how many loads all that is left makes up, bounded."""
        demand = graph.demand[state.row.unsqueeze(1), node]
        load = state.load.unsqueeze(1).expand_as(demand)
        rest = (graph.demand[state.row] * state.unvisited).sum(dim=1, keepdim=True).expand_as(demand)
        fits = (demand <= load + TOLERANCE).to(demand.dtype)
        return torch.stack([demand, load, load - demand, fits, rest / (rest + load + 1)], dim=-1).to(graph.pos.dtype)

    def routes(self, first: list[int], nodes: list[int], moves: list[int]) -> Routes:
        """Split at the visits to the depot."""
        routes: list[list[int]] = [[node for node in first if node > 0]]
        for node, move in zip(nodes, moves, strict=True):
            if move == VIA_DEPOT:
                routes.append([])
            routes[-1].append(node)
        return tuple(tuple(route) for route in routes if route)

    def improved(
        self, graph: Graph, row: int, first: int, nodes: list[int], moves: list[int], begin: int, improve: Improve
    ) -> Plan:
        """What is left when the vehicle next stands at the depot: the order of the routes that follow is free."""
        at_depot = (t for t in range(begin, len(nodes)) if moves[t] == VIA_DEPOT or (t == 0 and first == 0))
        begin = next(at_depot, len(nodes))
        members = [0, *nodes[begin:]]
        demand = graph.demand[row, members].numpy()
        instance = Instance.of_matrix("tail", self.name, graph.matrix(row, members), demand=demand, capacity=1.0)
        local = self.routes([], list(range(1, len(members))), moves[begin:])
        better, ways, free = nodes[:begin], moves[:begin], [False] * begin
        ends = []
        for route in improve(instance, local) if len(members) > 1 else ():
            stops = [members[i] for i in route]
            ends += [stops[0], stops[-1]]
            ways += [VIA_DEPOT if better else STRAIGHT] + [STRAIGHT] * (len(stops) - 1)
            free += [True] + [False] * (len(stops) - 1)
            better = better + stops
        # That the vehicle drove home first was not the search's choice and need not be right.
        return Plan(begin + 1 if begin else 0, better, ways, free, ends)

    def fragments(self, graph: Graph) -> Fragments:
        """Every customer a path of its own; the depot is none."""
        alone = Fragments.alone(graph.demand)
        alone.open[:, 0] = 0
        return alone

    def completed(self, graph: Graph, row: int, fragments: Fragments, routes: Routes, complete: Complete) -> Routes:
        """The depot and the ends alone as an instance, the load of each path at one of its ends."""
        open_, closed = fragments.open[row].tolist(), fragments.closed[row].tolist()
        left = [[node for node in route if open_[node] > 0] for route in routes]
        nodes = [0, *(node for route in left for node in route)]
        if nodes == [0]:
            return routes
        place = {node: i for i, node in enumerate(nodes)}
        other = fragments.other[row].tolist()
        ends = [0 if closed[node] else place[other[node]] for node in nodes]
        paths = np.array([(i, j) for i, j in enumerate(ends) if i > 0 and (i <= j or j == 0)])
        demand = np.zeros(len(nodes))
        demand[paths[:, 0]] = fragments.load[row, nodes].numpy()[paths[:, 0]]
        instance = Instance.of_matrix("rest", self.name, graph.matrix(row, nodes), demand=demand, capacity=1.0)
        better = complete(instance, paths, tuple(tuple(place[node] for node in stops) for stops in left if stops))
        # What has gone home is a path to the depot.
        open_[0] = 1
        between: dict[int, list[int]] = {}
        for route in routes:
            between |= inside((0, *route), open_)
        result = [route for route, stops in zip(routes, left, strict=True) if not stops]
        for stops in ([nodes[i] for i in route] for route in better):
            spelled = between.get(stops[0], [])[::-1] if closed[stops[0]] else []
            for node, following in zip(stops, [*stops[1:], -1], strict=True):
                spelled = [*spelled, node]
                if other[node] == following and not closed[node]:
                    spelled += between.get(node, [])
            if closed[stops[-1]] and len(stops) > 1:
                spelled += between.get(stops[-1], [])
            result.append(tuple(spelled))
        return tuple(result)


PROBLEM = CVRP()
