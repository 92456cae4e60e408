"""Tours around a depot in a wind that turns about it: a problem that knows left from right.

A leg costs its length, less for what of it is with the wind and more for what is against it. The wind is equally strong
everywhere and blows counterclockwise around node 0, where the tour begins and ends. Turning and moving the map changes
no cost; a mirror does, as the wind does not turn around with the map: the symmetries are SE(2) and not E(2).

Along a leg and back again costs twice its length, whatever the wind. So a policy that gives a map and its mirror image
the same tours pays, on the mean over the two, their length: at least that of the shortest tour, in calm air.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor

from l2o.problems.base import Complete, Graph, Improve, Plan, State
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Floats, Instance, Routes, Unsupported
from l2o.problems.tsp import TSP

STRENGTH = 0.5
"""Share of a leg's length that it costs less straight with the wind, or more straight against it."""


class Wind(TSP):
    """Tours of node 0 and all others, in the plane."""

    name = "wind"

    def starts(self, graph: Graph, count: int) -> Tensor:
        """The depot."""
        return torch.zeros(len(graph.pos), count, dtype=torch.int64, device=graph.pos.device)

    def random_starts(self, generator: Generator, graph: Graph, count: int) -> Tensor:
        """The depot."""
        return self.starts(graph, count)

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """What it costs to go to ``node [P, k]``, as ``[P, k, 1]``."""
        return self.leg(graph, state.row.unsqueeze(1), state.current.unsqueeze(1), node).unsqueeze(-1)

    def closing(self, graph: Graph, state: State) -> Tensor:
        """Back to the depot."""
        return self.leg(graph, state.row, state.current, state.anchor)

    def leg(self, graph: Graph, row: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Cost ``[...]`` of going from node ``a`` to ``b`` of instances ``row``, three tensors that broadcast.

        With the depot at the origin the wind at the middle of the leg is ``J (a + b) / |a + b|``, where ``J`` turns by
        a right angle, and its part along ``b - a`` is ``2 (a x b) / |a + b|``, here as ``2 (a x (a + b)) / |a + b|``:
        where the leg nearly passes the depot both parts of the former are small and their ratio is rounding.
        """
        if graph.pos.shape[-1] != 2:
            raise Unsupported(f"found points in {graph.pos.shape[-1]} dimensions, expected 2; wind turns in the plane")
        depot = graph.pos[row, 0]
        start, end = graph.pos[row, a] - depot, graph.pos[row, b] - depot
        middle = start + end
        cross = start[..., 0] * middle[..., 1] - start[..., 1] * middle[..., 0]
        # Where the middle is the depot there is no wind, and the cross product is zero.
        helped: Tensor = 2 * cross / middle.norm(dim=-1).clamp(min=torch.finfo(cross.dtype).tiny)
        return graph.distance(row, a, b) - STRENGTH * helped

    def cost(self, instance: Instance, routes: Routes) -> float:
        """Of the closed tour, against the wind and with it."""
        tour = np.array(routes[0])
        points = self._points(instance)
        start, end = points[tour], points[np.roll(tour, -1)]
        middle = start + end
        cross = start[:, 0] * middle[:, 1] - start[:, 1] * middle[:, 0]
        helped = cross / np.maximum(np.linalg.norm(middle, axis=1), np.finfo(np.float64).tiny)
        return super().cost(instance, routes) - 2 * STRENGTH * float(helped.sum())

    def check(self, instance: Instance, routes: Routes) -> float:
        """Every node exactly once, in one tour; each leg's direction beside the wind's at its middle."""
        calm = super().check(instance, routes)
        points = self._points(instance).tolist()
        (tour,) = routes
        helped = []
        for a, b in zip(tour, (*tour[1:], tour[0]), strict=True):
            (ax, ay), (bx, by) = points[a], points[b]
            leg, middle = complex(bx - ax, by - ay), complex(ax + bx, ay + by) / 2
            if leg and middle:
                wind = 1j * middle / abs(middle)
                helped.append((leg * wind.conjugate()).real)
        return calm - STRENGTH * math.fsum(helped)

    def improved(
        self, graph: Graph, row: int, first: int, nodes: list[int], moves: list[int], begin: int, improve: Improve
    ) -> Plan:
        """Not known. Raises :class:`Unsupported`."""
        raise Unsupported("local search does not know of wind; learn by reinforce instead")

    def completed(self, graph: Graph, row: int, fragments: Fragments, routes: Routes, complete: Complete) -> Routes:
        """Not known. Raises :class:`Unsupported`."""
        raise Unsupported("local search does not know of wind; learn by reinforce instead")

    @staticmethod
    def _points(instance: Instance) -> Floats:
        """``[n, 2]`` from the depot."""
        if instance.coords is None or instance.coords.shape[1] != 2:
            raise Unsupported(f"{instance.name}: wind turns in the plane; give two coordinates for each node")
        points: Floats = instance.coords - instance.coords[0]
        return points


PROBLEM = Wind()
