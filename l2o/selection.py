"""Which instances to compare on: files, folders, files that hold many instances, and random sets made from a seed."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l2o import problems
from l2o.files import read
from l2o.instance_sets import read_set
from l2o.problems import rules
from l2o.problems.instance import Infeasible, Instance, InvalidInstance

if TYPE_CHECKING:
    from l2o.problems.base import Graph

RANDOM = re.compile(r"(?:(?P<problem>\w+)/)?(?P<distribution>\w+):(?P<n>\d+)x(?P<count>\d+)")
"""``uniform:100x10`` is ten random instances of 100 nodes, ``cvrp/uniform:100x10`` ten of 100 customers."""

SUFFIXES = (".tsp", ".atsp", ".vrp", ".tsp.gz", ".atsp.gz", ".vrp.gz")
"""Files that a folder without an index is searched for."""
MANY = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")
"""Files that hold one instance per line."""


@dataclass(frozen=True)
class Filters:
    """Which of the instances found to keep; None keeps all."""

    problem: str | None = None
    metric: str | None = None
    set: str | None = None
    """Column ``set`` of an ``index.csv``; only folders with one have such instances."""
    min_n: int = 0
    max_n: float = math.inf
    limit: int | None = None
    """The first so many of each source."""

    def keep(self, instance: Instance) -> bool:
        """Whether ``instance`` is wanted; ``set`` and ``limit`` are not looked at."""
        return (
            self.problem in (None, instance.problem)
            and self.metric in (None, instance.metric)
            and self.min_n <= instance.n <= self.max_n
        )


def select(
    sources: Sequence[str],
    filters: Filters,
    *,
    seed: int,
    rounding: str | None = None,
    vehicles: int | None = None,
    left_out: Callable[[str], None] = lambda reason: None,
) -> list[Instance]:
    """The instances of all ``sources`` that pass ``filters``, in order; random sets are drawn from ``seed``.

    ``vehicles`` share the nodes of tour problems out, see :meth:`l2o.problems.instance.Instance.shared`.

    What a folder holds and cannot be solved is told to ``left_out`` in one line each; for a file named by itself it is
    an error. Raises :class:`InvalidInstance`, :class:`Unsupported` and :class:`Infeasible`.
    """
    if filters.problem is not None:
        rules.find(filters.problem)
    chosen: list[Instance] = []
    for source in sources:
        found = (
            instance
            for instance in _instances(source, filters, seed, rounding, vehicles, left_out)
            if filters.keep(instance)
        )
        wanted = list(islice(found, filters.limit))
        if not wanted:
            raise InvalidInstance(
                f"{source}: found no instance that passes the filters, expected one; widen the filters"
            )
        chosen += wanted
    return chosen


def random_instances(problem: str, distribution: str, n: int, count: int, seed: int) -> list[Instance]:
    """``count`` instances of ``n`` nodes (customers, where there is a depot), as the policies' training draws them.

    Raises :class:`InvalidInstance` for an unknown problem or distribution.
    """
    import torch

    from l2o.problems.maps import MAPS

    if distribution not in MAPS:
        raise InvalidInstance(f"found distribution {distribution!r}, expected one of {', '.join(MAPS)}; choose another")
    if not (1 <= n <= 1_000_000 and 1 <= count <= 1_000_000):
        raise InvalidInstance(f"found {n} nodes x {count} instances, expected 1 to 1,000,000 of each; choose others")
    key = np.random.SeedSequence([seed, n]).generate_state(1, np.uint64)[0]
    graph = problems.find(problem).sample(torch.Generator().manual_seed(int(key) >> 1), count, n, distribution)
    return instances_of(graph, problem, f"{distribution}-{n}")


def instances_of(graph: Graph, problem: str, name: str) -> list[Instance]:
    """Each instance of ``graph`` by itself: straight lines in the graph's own unit, not rounded; capacity 1."""
    return [
        replace(graph.instance(problem, number - 1), name=f"{name}-{number}", source=name)
        for number in range(1, len(graph.pos) + 1)
    ]


def _instances(
    source: str,
    filters: Filters,
    seed: int,
    rounding: str | None,
    vehicles: int | None,
    left_out: Callable[[str], None],
) -> Iterator[Instance]:
    path = Path(source)
    if (match := RANDOM.fullmatch(source)) and not path.exists():
        problem = match["problem"] or filters.problem or "tsp"
        drawn = random_instances(problem, match["distribution"], int(match["n"]), int(match["count"]), seed)
        yield from _shared(drawn, vehicles)
    elif path.is_dir():
        for file in _files(path, filters):
            try:
                yield from _load(file, rounding, vehicles)
            except (InvalidInstance, Infeasible) as error:
                left_out(str(error))
    else:
        yield from _load(path, rounding, vehicles)


def _load(path: Path, rounding: str | None, vehicles: int | None) -> list[Instance]:
    if path.name.endswith(MANY):
        return _shared(read_set(path, rounding=rounding), vehicles)
    return [read(path, rounding=rounding, vehicles=vehicles)]


def _shared(instances: list[Instance], vehicles: int | None) -> list[Instance]:
    return instances if vehicles is None else [instance.shared(vehicles) for instance in instances]


def _files(folder: Path, filters: Filters) -> list[Path]:
    """What the index lists below ``folder``, of problems that can be solved; without an index whatever is there."""
    folder = folder.resolve()
    for home in islice((folder, *folder.parents), 3):
        rows = _index(home)
        if rows is not None:
            return [
                home / row["path"]
                for row in rows
                if (home / row["path"]).is_relative_to(folder)
                and _problem(row) in ([filters.problem] if filters.problem else rules.names())
                and filters.set in (None, row.get("set"))
            ]
    if filters.set is not None:
        raise InvalidInstance(f"{folder}: found no index.csv, expected one for set {filters.set!r}; leave out --set")
    return sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES))


def _index(home: Path) -> list[dict[str, str]] | None:
    """Rows of the ``index.csv`` in ``home`` that name a file; None if there is none, or another table of that name."""
    try:
        with (home / "index.csv").open(encoding="utf-8", errors="replace", newline="") as stream:
            table = csv.DictReader(stream)
            rows = list(table) if {"path", "problem"} <= set(table.fieldnames or ()) else None
    except (OSError, csv.Error):
        return None
    return None if rows is None else [row for row in rows if row.get("path")]


def _problem(row: dict[str, str]) -> str:
    """``TSP (64 instances)`` is a file of many."""
    return re.sub(r" \(\d+ instances\)$", "", row.get("problem") or "").lower()
