"""What every problem is to the engine: a batched Markov decision process over tail subproblems, on torch tensors.

A partial solution is the path problem that is left (current node, nodes still to visit, where it must end, what is left
of the budget): partial solutions with the same rest are one state, whatever was done before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from l2o.problems.fragments import Fragments
from l2o.problems.instance import Floats, Instance, Ints, Routes
from l2o.problems.rules import Rules

Improve = Callable[[Instance, Routes], Routes]
"""A search: routes in, routes that are not worse out."""

Complete = Callable[[Instance, Ints, Routes], Routes]
"""A search that may not touch some paths: the instance, ``[U, 2]`` their ends, and routes that hold them."""


@dataclass(frozen=True)
class Graph:
    """``B`` instances of equal size on one device, as the roll-out needs them.

    ``pos [B, n, dim]`` are coordinates with the mean of each instance at the origin and unit RMS radius;
    ``demand [B, n]`` is in units of the capacity, in float64 so that full loads add up, and all zero where the problem
    has none; ``vehicles [B]`` says how many there are, and is None where that is no part of the problem.
    """

    pos: Tensor
    demand: Tensor
    vehicles: Tensor | None = None

    @classmethod
    def of(
        cls,
        pos: Tensor,
        demand: Tensor | None = None,
        vehicles: Tensor | None = None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> Graph:
        """Centre and scale in float64 first: coordinates of 1e6 must not lose the digits that matter in float32."""
        pos = pos.to(torch.float64)
        pos = pos - pos.mean(dim=1, keepdim=True)
        pos = (
            pos / pos.square().sum(dim=-1).mean(dim=1).sqrt().clamp(min=torch.finfo(torch.float64).tiny)[:, None, None]
        )
        if demand is None:
            demand = pos.new_zeros(pos.shape[:2])
        return cls(pos.to(dtype), demand.to(torch.float64), vehicles)

    @classmethod
    def cat(cls, graphs: Sequence[Graph]) -> Graph:
        """The instances of one after those of another; all are of one problem and size."""
        vehicles = [graph.vehicles for graph in graphs if graph.vehicles is not None]
        return cls(
            torch.cat([graph.pos for graph in graphs]),
            torch.cat([graph.demand for graph in graphs]),
            torch.cat(vehicles) if vehicles else None,
        )

    def instance(self, problem: str, number: int) -> Instance:
        """One of the instances as if it had been read from a file, in units of the graph."""
        pos, demand = self.pos[number].double().cpu().numpy(), self.demand[number].cpu().numpy()
        routing = bool(demand.any())
        return Instance(
            name=f"{problem} {number}",
            problem=problem,
            metric=f"EUC_{pos.shape[1]}D",
            rounding="none",
            ids=np.arange(1, self.n + 1),
            coords=pos.copy(),
            demand=demand.copy() if routing else None,
            capacity=1.0 if routing else None,
            vehicles=None if self.vehicles is None else int(self.vehicles[number]),
        )

    def matrix(self, number: int, nodes: list[int]) -> Floats:
        """``[m, m]`` distances between some nodes of one of the instances."""
        points = self.pos[number, nodes].double().cpu()
        distances: Floats = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").numpy()
        return distances

    def at(self, rows: Tensor) -> Graph:
        """Some of the instances, each as often as it is asked for."""
        return Graph(self.pos[rows], self.demand[rows], None if self.vehicles is None else self.vehicles[rows])

    def to(self, device: torch.device | str) -> Graph:
        """The same instances on another device."""
        vehicles = None if self.vehicles is None else self.vehicles.to(device)
        return Graph(self.pos.to(device), self.demand.to(device), vehicles)

    def present(self, row: Tensor, fleet: int) -> Tensor:
        """``[P, V]`` True for the vehicles that there are in instances ``row [P]``; others may have up to ``V``."""
        assert self.vehicles is not None
        return torch.arange(fleet, device=row.device) < self.vehicles[row].unsqueeze(1)

    @property
    def n(self) -> int:
        """Nodes per instance, the depot included."""
        return self.pos.shape[1]

    def distance(self, row: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Euclidean length ``[...]`` from node ``a`` to ``b`` of instances ``row``, three tensors that broadcast."""
        return (self.pos[row, a] - self.pos[row, b]).square().sum(dim=-1).sqrt()


@dataclass(frozen=True)
class State:
    """``P`` tail subproblems. Immutable: ``Problem.step`` returns the next one.

    Where a fleet of up to ``V`` vehicles is on its way, ``current`` and ``load`` are ``[P, V]``, one for each.
    """

    row: Tensor
    """``[P]`` the instance each belongs to."""
    current: Tensor
    """``[P]`` the node one stands at."""
    anchor: Tensor
    """``[P]`` the node where one must end."""
    unvisited: Tensor
    """``[P, n]`` True for the nodes still to be visited."""
    left: int
    """How many they are: the same in the whole batch, as every decision visits one."""
    load: Tensor
    """``[P]`` what is left of the budget, float64: capacity, in its own unit, and ones where there is none; for a fleet
    by how much longer each route may become before it is the longest."""

    def at(self, index: Tensor) -> State:
        """Some of the subproblems."""
        return State(
            self.row[index],
            self.current[index],
            self.anchor[index],
            self.unvisited[index],
            self.left,
            self.load[index],
        )


@dataclass(frozen=True)
class Plan:
    """``T`` decisions of one solution worth imitating from the decision ``begin`` on, and what else is as good."""

    begin: int
    nodes: list[int]
    moves: list[int]
    free: list[bool]
    """True where any unvisited node of ``ends``, reached in the same way, begins an equally short rest."""
    ends: list[int]


class Ways(Protocol):
    """How one can go on. Of ``moves`` ways to a node each is a choice of its own."""

    def allowed(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, k, moves]`` True where the unvisited ``node [P, k]`` may be reached that way."""

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, k, moves]`` by how much reaching ``node [P, k]`` each way adds to the cost: its Euclidean length, where
        lengths add up."""

    def node_features(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """``[P, m, features]`` scalars of ``node [P, m]`` in this state, bounded, invariant under E(n) and scale."""


class Problem(Rules, Ways, Protocol):
    """One problem as a decision process on top of its rules; stateless.

    A decision is a pair ``(node, move)``: ``move`` says by which of ``moves`` ways the node is reached, or by which
    vehicle of a fleet.
    """

    depot: bool
    """Whether all begins and ends at node 0."""
    fleet: bool
    """Whether several vehicles are on their way at once, each of which may be the next to move."""
    moves: int
    """Ways to reach a node, for each vehicle of a fleet."""
    features: int
    """How many invariant scalars per node :meth:`node_features` gives."""

    def sample(self, generator: torch.Generator, batch: int, n: int, distribution: str) -> Graph:
        """Draw ``batch`` random instances with ``n`` nodes (customers, where there is a depot)."""

    def graph(self, instance: Instance, *, dtype: torch.dtype = torch.float64) -> Graph:
        """The instance as a batch of one; in float64, so that patches of a large map have all their digits."""

    def starts(self, graph: Graph, count: int) -> Tensor:
        """``[B, count]`` the nodes with which constructions begin, chosen by geometry alone (``count`` at most ``n``).

        One start is the default of greedy construction; several are spread over the instance.
        """

    def random_starts(self, generator: torch.Generator, graph: Graph, count: int) -> Tensor:
        """``[B, count]`` random nodes to begin with, for training."""

    def start(self, graph: Graph, row: Tensor, first: Tensor) -> State:
        """The state after beginning instances ``row [P]`` with ``first [P]``; ``state.left`` decisions follow."""

    def step(self, graph: Graph, state: State, node: Tensor, move: Tensor) -> State:
        """The tail after going to ``node [P]`` by ``move [P]``."""

    def closing(self, graph: Graph, state: State) -> Tensor:
        """``[P]`` what the way home adds to the cost once nothing is left."""

    def routes(self, first: list[int], nodes: list[int], moves: list[int]) -> Routes:
        """Decisions of one construction as routes; ``first`` is what :meth:`start` was given."""


class Improves(Protocol):
    """A problem whose tail subproblems are instances of it, or can be made some: they can be improved by themselves."""

    def improved(
        self, graph: Graph, row: int, first: int, nodes: list[int], moves: list[int], begin: int, improve: Improve
    ) -> Plan:
        """The decisions ``nodes`` and ``moves`` of one construction with those from ``begin`` on made better.

        What is left after ``begin`` decisions (or some more, where the tail cannot be cut there) is handed to
        ``improve`` as an instance of its own.
        """


class Completes(Protocol):
    """A problem whose solutions can be made by joining the ends of paths."""

    depot: bool
    """Whether ends may also go home, to node 0; as in :class:`Problem`."""

    def fragments(self, graph: Graph) -> Fragments:
        """Every node a path of its own."""

    def completed(self, graph: Graph, row: int, fragments: Fragments, routes: Routes, complete: Complete) -> Routes:
        """The best completion found of partial solution ``row``, at least as good as ``routes``, which hold its paths.

        What is left is handed to ``complete`` as an instance of its own, which holds the ends alone.
        """
