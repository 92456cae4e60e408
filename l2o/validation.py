"""The fixed validation set: random instances from fixed seeds, with reference costs that ship with the package.

It holds a size and a distribution that most shipped recipes do not train on. Reference costs are the best that
``benchmarks/validation_references.py`` found; ``validation.json`` says how.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from l2o.problems.base import Graph, Problem

SETS = (
    ("uniform", 50, 32),
    ("uniform", 100, 32),
    ("uniform", 200, 16),
    ("uniform", 1000, 4),
    ("clusters", 200, 16),
    ("explosion", 200, 16),
)
"""Distribution, nodes (customers), instances."""

REFERENCES = Path(__file__).with_name("validation.json")


@dataclass(frozen=True)
class ValidationSet:
    """Instances of one distribution and size."""

    name: str
    graph: Graph
    reference: Tensor
    """``[B]`` costs in units of the graph; NaN for a problem without references."""

    def gap(self, cost: Tensor) -> float:
        """Mean over the instances of percent above the reference."""
        return float(((cost.double() / self.reference - 1) * 100).mean())

    def to(self, device: torch.device | str) -> ValidationSet:
        """The same on another device."""
        return ValidationSet(self.name, self.graph.to(device), self.reference.to(device))


def validation_sets(problem: Problem, *, most: float = math.inf) -> list[ValidationSet]:
    """The sets of the problem with maps of at most ``most`` nodes (customers); the same on every machine."""
    references = json.loads(REFERENCES.read_text(encoding="utf-8")) if REFERENCES.exists() else {}
    known = references.get(problem.name, {}).get("costs", {})
    sets = []
    for number, (distribution, n, count) in enumerate(SETS):
        if n > most:
            continue
        name = f"{distribution}-{n}"
        graph = problem.sample(torch.Generator().manual_seed(20_000 + number), count, n, distribution)
        reference = torch.tensor(known.get(name, [float("nan")] * count), dtype=torch.float64)
        sets.append(ValidationSet(name, graph, reference))
    return sets
