"""What is to be solved and what was found: plain, immutable data on numpy; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from l2o.problems import distance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
TIE = 1e-9
"""Relative difference of costs that is put down to rounding."""
Routes = tuple[tuple[int, ...], ...]
"""Node numbers ``0 .. n-1``; a tour is one route, and the depot is not written."""


class InvalidInstance(ValueError):
    """The input cannot be read or is not a well-formed instance. The message is one line that says what to do."""


class Unsupported(InvalidInstance):
    """The input is well-formed but asks for a constraint or a format that is not solved yet."""


class Infeasible(ValueError):
    """The instance has no solution, or a solution breaks a rule. The message names the node, route or limit."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One thing to solve.

    Nodes are numbered ``0 .. n-1`` inside the program; ``ids`` holds the numbers of the file. Where the problem has a
    depot it is node 0 (readers move it to the front and keep its number in ``ids``).
    """

    name: str
    problem: str
    """Name of the module in ``problems/`` that knows the rules."""
    metric: str
    """Edge weight type as in TSPLIB95: ``EUC_2D``, ``GEO``, ``EXPLICIT``, ..."""
    rounding: str
    """One of :data:`l2o.problems.distance.ROUNDINGS`; applied on top of the unrounded metric."""
    ids: Ints
    """``[n]`` the file's own node numbers."""
    coords: Floats | None = None
    """``[n, dim]`` in file units, or None for an instance given by its matrix alone."""
    matrix: Floats | None = None
    """``[n, n]`` explicit costs, or None."""
    demand: Floats | None = None
    """``[n]`` with ``demand[0] == 0`` for the depot, or None."""
    capacity: float | None = None
    vehicles: int | None = None
    """How many there are at the most, all at node 0 to begin with, or None where that is no part of the problem."""
    best_known: float | None = None
    best_known_source: str = ""
    source: str = ""
    """Where it was read from, for messages."""

    def __post_init__(self) -> None:
        if self.metric == "EXPLICIT":
            if self.matrix is None or self.matrix.shape != (self.n, self.n):
                raise InvalidInstance(f"{self.name}: EXPLICIT needs a matrix of {self.n} x {self.n} costs")
        elif self.coords is None or len(self.coords) != self.n:
            raise InvalidInstance(f"{self.name}: {self.metric} needs coordinates for {self.n} nodes")
        for array in (self.coords, self.matrix, self.demand):
            if array is not None:
                if not np.isfinite(array).all():
                    raise InvalidInstance(f"{self.name}: coordinates, costs and demands must be finite numbers")
                array.flags.writeable = False
        if self.has_depot and self.matrix is not None and (self.matrix < 0).any():
            raise InvalidInstance(
                f"{self.name}: found a cost of {self.matrix.min():g}, expected none below 0 where there is a depot; "
                "correct it"
            )
        if self.vehicles is not None and not 1 <= self.vehicles <= max(1, self.n - 1):
            raise InvalidInstance(
                f"{self.name}: found {self.vehicles} vehicles for {self.n - 1} customers, "
                "expected at least one and at most as many; change their number"
            )

    @classmethod
    def of_matrix(
        cls, name: str, problem: str, matrix: Floats, *, demand: Floats | None = None, capacity: float | None = None
    ) -> Instance:
        """An instance given by its costs ``[n, n]`` alone, which are not rounded."""
        nodes = np.arange(len(matrix))
        return cls(name, problem, "EXPLICIT", "none", nodes, matrix=matrix, demand=demand, capacity=capacity)

    def shared(self, vehicles: int) -> Instance:
        """The nodes of a tour problem shared out: none of ``vehicles`` that begin and end at the first is to go far.

        What is known of the best tour is not known of these routes. Raises :class:`InvalidInstance` for other problems
        and for an impossible number.
        """
        if self.problem not in ("tsp", "mtsp"):
            raise InvalidInstance(
                f"{self.name}: found {vehicles} vehicles for a {self.problem}, expected a tsp or mtsp; leave them out"
            )
        return replace(self, problem="mtsp", vehicles=vehicles, best_known=None, best_known_source="")

    def part(self, nodes: Ints) -> Instance:
        """The tour problem of some of the nodes: same metric and rounding, no demands, one vehicle."""
        return Instance(
            name=self.name,
            problem="tsp",
            metric=self.metric,
            rounding=self.rounding,
            ids=self.ids[nodes],
            coords=None if self.coords is None else self.coords[nodes],
            matrix=None if self.matrix is None else self.matrix[np.ix_(nodes, nodes)],
        )

    @property
    def whole(self) -> bool:
        """Whether all costs are whole numbers, as far as rounding or the matrix itself say so."""
        if self.rounding in ("nearest", "ceil", "floor", "next"):
            return True
        return self.matrix is not None and self.rounding == "none" and bool((self.matrix == np.rint(self.matrix)).all())

    @property
    def symmetric(self) -> bool:
        """Whether the way back always costs what the way there does."""
        return self.matrix is None or bool((self.matrix == self.matrix.T).all())

    def slack(self, cost: float) -> float:
        """By how much ``cost``, of some solution, may be off by rounding alone.

        In proportion to it; or, where costs of both signs may cancel, to the dearest leg.
        """
        leg = 0.0 if self.matrix is None else float(np.abs(self.matrix).max(initial=0.0))
        return TIE * max(abs(cost), leg)

    @property
    def has_depot(self) -> bool:
        """Whether solutions are routes from and to node 0, which is not written in them, instead of one tour."""
        return self.demand is not None or self.vehicles is not None

    @property
    def n(self) -> int:
        """Number of nodes, the depot included."""
        return len(self.ids)

    def distance(self, a: Ints | int, b: Ints | int) -> Floats:
        """Cost of going from node(s) ``a`` to ``b`` in the file's metric and rounding; any shapes that broadcast."""
        if self.matrix is not None:
            return distance.rounded(self.matrix[a, b], self.rounding)
        assert self.coords is not None
        return distance.between(self.coords[a], self.coords[b], self.metric, self.rounding)


@dataclass(frozen=True)
class Solution:
    """Routes and their checked cost."""

    routes: Routes
    cost: float
    solver: str = ""
    seconds: float = 0.0
    trace: Sequence[tuple[float, float]] = field(default=())
    """``(seconds, cost)`` each time a better solution was found."""
    bound: float | None = None
    """No solution costs less; None where nothing is known."""
    bound_method: str = ""
