"""Solutions as text: TSPLIB95 tours (``.tour``) and VRPLIB routes (``.sol``)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from l2o.problems.instance import Instance, InvalidInstance, Routes
from l2o.sections import cut, malformed, shown
from l2o.source import load

_ROUTE = re.compile(r"^[ \t]*route\b[ \t]*#?[ \t]*\d*[ \t]*:?(.*)$", re.MULTILINE | re.IGNORECASE)

_BEGINS = re.compile(
    r"\A\s*route[ \t]*#?[ \t]*\d+[ \t]*:|^[ \t]*TYPE[ \t]*:?[ \t]*TOUR\b", re.MULTILINE | re.IGNORECASE
)


def is_solution(text: str) -> bool:
    """Whether ``text`` says that it is a tour or begins as routes do; an instance does neither."""
    return _BEGINS.search(text) is not None


def length(instance: Instance, routes: Sequence[Sequence[int]]) -> float:
    """Length of all routes in the instance's metric and rounding; each is closed, through the depot if there is one."""
    total = 0.0
    for route in routes:
        stops = np.array([0, *route] if instance.has_depot else route, dtype=np.int64)
        total += float(instance.distance(stops, np.roll(stops, -1)).sum())
    return total


def read_solution(path: str | os.PathLike[str], instance: Instance) -> Routes:
    """Routes of node numbers ``0 .. n-1`` from a tour or from lines ``Route #1: ...``, told apart by their text.

    A tour holds the instance's own node numbers. In a ``.sol`` file the depot is left out and customers are counted
    from the smallest node number, as in CVRPLIB (node 2 is customer 1). Every node must be visited once; what else a
    problem asks of a solution is not checked here. Raises :class:`InvalidInstance`.
    """
    where, text = str(path), load(path)
    has_depot = instance.has_depot
    is_tour = re.search(r"\bTOUR_SECTION\b", text, re.IGNORECASE) is not None
    if is_tour == has_depot or not (is_tour or _ROUTE.search(text) or instance.n == 1):
        found = "a TSPLIB tour" if is_tour else "no TOUR_SECTION"
        expected = "lines 'Route #1: ...'" if has_depot else "one"
        raise malformed(where, None, found, expected, f"give a solution of {instance.name}")
    routes = [_tour(text, where)] if is_tour else _routes(text, where)
    first = int(instance.ids.min()) if has_depot else 0
    position = {int(node) - first: i for i, node in enumerate(instance.ids)}
    if has_depot:
        del position[int(instance.ids[0]) - first]
    unseen = dict(position)
    for route in routes:
        for line, number in route:
            if unseen.pop(number, None) is None:
                found = f"node {number}" + (" again" if number in position else "")
                expected = f"each {'customer' if has_depot else 'node'} of {instance.name} once"
                raise malformed(where, line, found, expected, "give a solution of this instance")
    if unseen:
        raise malformed(where, None, f"no visit to {next(iter(unseen))}", "all nodes", "complete the solution")
    return tuple(tuple(position[number] for _, number in route) for route in routes if route)


def _tour(text: str, where: str) -> list[tuple[int, int]]:
    """Line and number of every node up to the first -1."""
    stops: list[tuple[int, int]] = []
    for line, words in cut(text, where).lines("TOUR_SECTION"):
        for word in words:
            if word == "-1":
                return stops
            stops.append((line, _number(word, where, line)))
    return stops


def _routes(text: str, where: str) -> list[list[tuple[int, int]]]:
    lines = enumerate(text.splitlines(), start=1)
    found = [(line, match) for line, content in lines if (match := _ROUTE.match(content))]
    return [[(line, _number(word, where, line)) for word in match[1].split()] for line, match in found]


def _number(word: str, where: str, line: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise malformed(where, line, shown(word), "a node number", "correct this line")
    return int(word)


def write_solution(
    path: str | os.PathLike[str], instance: Instance, routes: Sequence[Sequence[int]], cost: float
) -> None:
    """Write routes of node numbers ``0 .. n-1`` and their cost as ``.tour``; as ``.sol`` if there is a depot.

    The file appears whole or not at all. Raises :class:`InvalidInstance` for another suffix or a place that cannot be
    written.
    """
    file = Path(path)
    suffix = ".sol" if instance.has_depot else ".tour"
    if file.suffix != suffix:
        raise malformed(str(path), None, f"suffix {file.suffix!r}", suffix, "rename the output")
    value = f"{cost:.0f}" if float(cost).is_integer() else repr(float(cost))
    if suffix == ".tour":
        head = f"NAME : {file.name}\nCOMMENT : Length {value}\nTYPE : TOUR\nDIMENSION : {instance.n}\nTOUR_SECTION"
        lines = [head, *(str(instance.ids[node]) for route in routes for node in route), "-1", "EOF"]
    else:
        customers = (instance.ids - instance.ids.min()).tolist()
        lines = [f"Route #{k}: {' '.join(str(customers[i]) for i in r)}" for k, r in enumerate(routes, start=1)]
        lines.append(f"Cost {value}")
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        try:
            # Of a name that is no text what can be written is.
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InvalidInstance(f"{path}: found no writable place ({reason}), expected one; give another path") from None
