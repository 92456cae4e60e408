"""Best known costs: from an ``index.csv`` nearby, from a solution beside the file, or from the file's own comment."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from l2o.problems import rules
from l2o.problems.distance import default_rounding
from l2o.problems.instance import Instance, InvalidInstance
from l2o.problems.rules.cvrp import TOLERANCE
from l2o.solutions import read_solution

_IN_COMMENT = re.compile(
    r"\b(?:optimal|optimum|best)\b(?:(?!bound|lower|tour)[a-z \t])*[:=][ \t]*"
    r"([0-9]+(?:\.[0-9]+)?)(?![,.]?[0-9]|[ \t]+[0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Row:
    """What an ``index.csv`` says of one file."""

    source: str
    """The index file."""
    best_known: float | None
    rounding: str | None
    """Rounding of the published value where the index states one, else None: that of the metric."""


def find_row(path: Path) -> Row | None:
    """The row for ``path`` in the ``index.csv`` of its folder, or of up to two folders above; the nearest wins.

    An index has the columns ``path`` (relative to its folder), ``edge_weight_type`` and ``best_known``; anything else
    is not taken for one.
    """
    try:
        file = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links or a zero byte: reading the file will say so
        return None
    for folder in islice(file.parents, 3):
        index = folder / "index.csv"
        try:
            with index.open(encoding="utf-8", errors="replace", newline="") as stream:
                relative = file.relative_to(folder).as_posix()
                row = next((row for row in csv.DictReader(stream) if row.get("path") == relative), None)
        except (OSError, csv.Error):
            continue
        if row is not None:
            return Row(str(index), _positive(row.get("best_known")), _rounding(row.get("edge_weight_type") or ""))
    return None


def _positive(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else None


def _rounding(edge_weight_type: str) -> str | None:
    if "not rounded" in edge_weight_type:
        return "none"
    return "tenths" if "1 decimal" in edge_weight_type else None


def best_known(instance: Instance, path: Path | None, row: Row | None, comment: str) -> tuple[float | None, str]:
    """Best known cost and where it was found, or None and "".

    A published value counts only in the rounding it was published for: under another one it is not comparable, and the
    answer is None. A solution beside the file is measured in the instance's own rounding.
    """
    usual = default_rounding(instance.metric)
    if row is not None and row.best_known is not None:
        if instance.rounding != (row.rounding or usual):
            return None, ""
        note = f" (published for rounding {row.rounding!r})" if row.rounding else ""
        return row.best_known, row.source + note
    if path is not None:
        for suffix in (".opt.tour", ".sol"):
            if (value := _beside(instance, solution := _stem(path).with_suffix(suffix))) is not None:
                return value, f"{solution} (cost recomputed)"
    if instance.rounding == usual and (match := _IN_COMMENT.search(comment)):
        value = float(match[1])
        if value.is_integer() or usual == "none":  # a fraction under whole costs was published for other distances
            return value, "COMMENT of the file"
    return None, ""


def _stem(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".gz" else path


def _beside(instance: Instance, solution: Path) -> float | None:
    """Cost of a solution file if it is there, whole, and within the capacity and the fleet."""
    try:
        routes = read_solution(solution, instance) if solution.is_file() else None
    except (InvalidInstance, OSError):  # a name that is too long, among others
        return None
    if routes is None:
        return None
    if instance.demand is not None and instance.capacity is not None:
        loads = np.array([instance.demand[list(route)].sum() for route in routes])
        if (loads > instance.capacity * (1 + TOLERANCE)).any():
            return None
    if instance.vehicles is not None and len(routes) > instance.vehicles:
        return None
    return rules.find(instance.problem).cost(instance, routes)
