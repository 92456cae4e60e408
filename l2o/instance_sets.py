"""Files that hold many instances, one per line, as the literature on learned solvers shares them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from l2o.problems.distance import ROUNDINGS, Floats, default_rounding
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Routes, Unsupported
from l2o.published import find_row
from l2o.sections import LARGEST, malformed, printable, shown
from l2o.solutions import length
from l2o.source import load

_CVRP_FIELDS = {"depot", "xy", "demand", "capacity", "cost", "routes", "name"}


def read_set(path: str | os.PathLike[str], *, rounding: str | None = None) -> list[Instance]:
    """All instances of a file, each with the recomputed cost of its own solution as ``best_known``, or None.

    A line of plain text is a TSP, ``x1 y1 x2 y2 ... output t1 t2 ... t1`` with nodes counted from 1; a line of JSON is
    a CVRP with ``depot, xy, demand, capacity`` and perhaps ``routes``, customers counted from 1, and ``name``. Text may
    be gzipped. Without ``rounding`` distances are not rounded, unless an ``index.csv`` nearby says that they are.
    Raises :class:`InvalidInstance`, :class:`Unsupported` and :class:`Infeasible`.
    """
    if rounding is not None and rounding not in ROUNDINGS:
        raise InvalidInstance(f"found rounding {rounding!r}, expected one of {', '.join(ROUNDINGS)}; choose another")
    text, file = load(path), Path(path)
    if rounding is None:
        row = find_row(file)
        rounding = (row.rounding or default_rounding("EUC_2D")) if row else "none"
    instances = []
    for number, content in enumerate(text.splitlines(), start=1):
        if content.strip():
            line = _Line(str(path), number, f"{file.name.partition('.')[0]}:{number}", rounding)
            instances.append(line.cvrp(content) if content.lstrip().startswith("{") else line.tsp(content))
    if not instances:
        raise malformed(str(path), None, "no instance", "one per line", "check how the file was made")
    return instances


@dataclass(frozen=True)
class _Line:
    """Where a line stands and how its distances are rounded."""

    where: str
    number: int
    name: str
    rounding: str

    def tsp(self, content: str) -> Instance:
        coordinates, _, tour = content.partition("output")
        coords = self._array(coordinates.split(), "coordinates")
        if coords.size % 2 or not coords.size:
            raise self._error(f"{coords.size} coordinates", "pairs x y", "complete the line")
        n = coords.size // 2
        instance = self._instance("tsp", coords.reshape(n, 2))
        if not tour.split():
            return instance
        stops = (self._array(tour.split(), "a tour") - 1).astype(np.int64).tolist()
        if len(stops) > n and stops[-1] == stops[0]:
            del stops[-1]
        return self._with_solution(instance, (tuple(stops),))

    def cvrp(self, content: str) -> Instance:
        try:
            fields = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._error(f"broken JSON ({type(error).__name__})", "one object per line", "correct it") from None
        if unsolved := fields.keys() - _CVRP_FIELDS:
            advice = "time windows and other constraints are not solved yet"
            expected = f"only {', '.join(sorted(_CVRP_FIELDS))}"
            raise self._error(f"field {shown(min(unsolved))}", expected, advice, Unsupported)
        if missing := {"depot", "xy", "demand", "capacity"} - fields.keys():
            raise self._error(f"no field {min(missing)}", "one", "complete the line")
        depot, xy = self._array(fields["depot"], "depot"), self._array(fields["xy"], "xy")
        demand, capacity = self._array(fields["demand"], "demand"), self._array(fields["capacity"], "capacity")
        if depot.shape != (2,) or xy.shape != (demand.size, 2) or capacity.shape != () or demand.ndim != 1:
            shapes = f"depot, xy, demand of shapes {depot.shape}, {xy.shape}, {demand.shape}"
            raise self._error(shapes, "[2], [n, 2], [n] and one capacity", "correct the line")
        if (demand < 0).any() or capacity <= 0:
            raise self._error("a negative demand or no capacity", "demands from 0, capacity above 0", "correct it")
        if (demand > capacity).any():
            found = f"customer {int(demand.argmax()) + 1} demands {demand.max():g}"
            raise Infeasible(f"{self.where}:{self.number}: {found}, more than the capacity {capacity:g}")
        instance = self._instance("cvrp", np.vstack([depot, xy]))
        instance = replace(instance, demand=np.concatenate([[0.0], demand]), capacity=float(capacity))
        if isinstance(fields.get("name"), str):
            instance = replace(instance, name=printable(fields["name"]))
        if not fields.get("routes"):
            return instance
        if not isinstance(fields["routes"], list):
            raise self._error("routes that are no list", "a list of lists of customers", "correct the line")
        stops = [self._array(route, "a route").astype(np.int64).ravel().tolist() for route in fields["routes"]]
        return self._with_solution(instance, tuple(tuple(route) for route in stops))

    def _instance(self, problem: str, coords: Floats) -> Instance:
        ids = np.arange(1, len(coords) + 1)
        return Instance(self.name, problem, "EUC_2D", self.rounding, ids, coords, source=f"{self.where}:{self.number}")

    def _with_solution(self, instance: Instance, routes: Routes) -> Instance:
        expected = list(range(0 if instance.demand is None else 1, instance.n))
        if sorted(node for route in routes for node in route) != expected:
            raise self._error("a solution that misses or repeats a node", "every node once", "correct the solution")
        if instance.demand is not None and instance.capacity is not None:
            load_of_worst = max(float(instance.demand[list(route)].sum()) for route in routes)
            if load_of_worst > instance.capacity * (1 + 1e-9):
                raise self._error(
                    f"a load of {load_of_worst:g}", f"at most {instance.capacity:g}", "correct the routes"
                )
        return replace(
            instance, best_known=length(instance, routes), best_known_source="solution in the file (recomputed)"
        )

    def _array(self, value: Any, what: str) -> Floats:
        try:
            array = np.array(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            array = np.array(np.nan)
        if not (np.abs(array) <= LARGEST).all():
            raise self._error(f"{what} that hold no number", f"numbers of at most {LARGEST:.0e}", "correct the line")
        return array

    def _error(
        self, found: str, expected: str, advice: str, kind: type[InvalidInstance] = InvalidInstance
    ) -> InvalidInstance:
        return malformed(self.where, self.number, found, expected, advice, kind)
