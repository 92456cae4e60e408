"""From a file to an instance: pick the format, find what is published about it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from l2o.problems.distance import ROUNDINGS
from l2o.problems.instance import Instance, InvalidInstance
from l2o.published import best_known, find_row
from l2o.sections import Entry, cut, malformed, printable
from l2o.solutions import is_solution, read_solution, write_solution
from l2o.source import load
from l2o.tables import interpret_csv, read_npy
from l2o.tsplib import interpret

__all__ = ["read", "read_solution", "write_solution"]

_TSPLIB = re.compile(
    r"(?:^|\r)[ \t]*(DIMENSION|TYPE|EDGE_WEIGHT_TYPE|[A-Z_]+_SECTION)\b[ \t]*([:=\s]|\Z)", re.MULTILINE | re.IGNORECASE
)


def read(path: str | os.PathLike[str], *, rounding: str | None = None, vehicles: int | None = None) -> Instance:
    """The instance in a TSPLIB95 or VRPLIB file, or in coordinates as ``.csv`` or ``.npy``; ``-`` is standard input.

    Text may be gzipped. ``rounding`` is one of :data:`l2o.problems.distance.ROUNDINGS`; without it, it is that of the
    edge weight type, or the one that an ``index.csv`` nearby states for this file: some sets say ``EUC_2D`` but publish
    unrounded costs. ``vehicles`` share the nodes of a tour problem out, see :meth:`Instance.shared`. Raises
    :class:`InvalidInstance`, :class:`Unsupported` and :class:`Infeasible`, each with one line.
    """
    if rounding is not None and rounding not in ROUNDINGS:
        raise InvalidInstance(
            f"found rounding {rounding!r}, expected one of {', '.join(ROUNDINGS)}; choose one of them"
        )
    file = None if str(path) == "-" else Path(path)
    name = re.sub(r"\.(a?tsp|vrp|csv|txt|npy)$", "", printable(file.name.removesuffix(".gz"))) if file else "stdin"
    row = find_row(file) if file else None
    if rounding is None and row is not None:
        rounding = row.rounding
    comment = ""
    if file and file.suffix == ".npy":
        instance = read_npy(file, name=name, rounding=rounding)
    else:
        text, where = load(path), "stdin" if file is None else str(path)
        is_csv = file is not None and file.name.removesuffix(".gz").endswith(".csv")
        if not is_csv and is_solution(text):
            raise malformed(where, None, "a solution", "an instance", "give it with --initial beside its instance")
        other = not _TSPLIB.search(text)
        if other and file is not None and file.name.removesuffix(".gz").endswith((".jsonl", ".txt")):
            advice = "if it holds many, one a line, give it to l2o solve-many"
            raise malformed(where, None, "no section of TSPLIB", "one instance", advice)
        if is_csv or (file is None and other):
            instance = interpret_csv(text, where, name=name, rounding=rounding)
        else:
            sections = cut(text, where)
            instance = interpret(sections, name=name, rounding=rounding)
            comment = sections.header.get("COMMENT", Entry("", 0)).value
    if vehicles is not None:
        return instance.shared(vehicles)
    value, source = best_known(instance, file, row, comment)
    return replace(instance, best_known=value, best_known_source=source)
