"""TSPLIB95 and VRPLIB instances: what the sections of a file mean. What is not solved is refused by its name.

Source: G. Reinelt, TSPLIB 95; the VRPLIB dialect as in the files of CVRPLIB. ``VEHICLES``, which TSPLIB95 does not
know, is read as CVRPLIB uses it: the size of a published solution's fleet, not a limit. Under ``TYPE : MTSP``, which
TSPLIB95 does not know either, it is the size of the fleet, whose longest route is to be short.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np

from l2o.problems.distance import METRICS, Floats, default_rounding, dimension
from l2o.problems.instance import Infeasible, Instance, Ints, Unsupported
from l2o.sections import HEADER, Sections, is_number, printable, shown

PROBLEMS = {"TSP": "tsp", "ATSP": "atsp", "CVRP": "cvrp", "MTSP": "mtsp"}
"""``TYPE`` in a file -> name of the module in ``problems/``."""

MATRIX_FORMATS = {
    "FULL_MATRIX": None,
    "UPPER_ROW": ("upper", 1),
    "LOWER_ROW": ("lower", 1),
    "UPPER_DIAG_ROW": ("upper", 0),
    "LOWER_DIAG_ROW": ("lower", 0),
    # A triangle read by columns is the other triangle of a symmetric matrix read by rows.
    "UPPER_COL": ("lower", 1),
    "LOWER_COL": ("upper", 1),
    "UPPER_DIAG_COL": ("lower", 0),
    "LOWER_DIAG_COL": ("upper", 0),
}
"""``EDGE_WEIGHT_FORMAT`` -> the triangle that is written row by row, and whether it leaves out the diagonal."""

_COMMON_SECTIONS = {"NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION", "DISPLAY_DATA_SECTION"}
_OWN_KEYWORDS = {
    "tsp": set[str](),
    "atsp": set[str](),
    "cvrp": {"CAPACITY", "VEHICLES", "DEMAND_SECTION", "DEPOT_SECTION"},
    "mtsp": {"VEHICLES", "DEPOT_SECTION"},
}

_UNSOLVED = {
    "SOP": "precedence constraints",
    "HCP": "Hamiltonian cycles of a graph",
    "DISTANCE": "route-length limits",
    "SERVICE_TIME": "service times",
    "SERVICE_TIME_SECTION": "service times",
    "TIME_WINDOW_SECTION": "time windows",
    "FIXED_EDGES": "fixed edges",
    "FIXED_EDGES_SECTION": "fixed edges",
    "EDGE_DATA_SECTION": "graphs with missing edges",
    "BACKHAUL_SECTION": "backhauls",
    "PICKUP_AND_DELIVERY_SECTION": "pickups and deliveries",
    "COST_LIMIT": "orienteering problems",
    "NODE_SCORE_SECTION": "orienteering problems",
}


def interpret(file: Sections, *, name: str = "", rounding: str | None = None) -> Instance:
    """The instance that ``file`` describes, its depot (if any) in front, the other nodes in the order of their numbers.

    ``name`` is used if the file has no NAME, and ``rounding`` replaces that of the edge weight type. Raises
    :class:`InvalidInstance`, :class:`Unsupported` and, for a customer that fits into no vehicle, :class:`Infeasible`.
    """
    problem = _problem(file)
    _refuse_unsolved(file, problem)
    n = _count(file)
    metric = _choice(file, "EDGE_WEIGHT_TYPE", METRICS)
    if problem == "atsp" and metric != "EXPLICIT":
        line = file.required("EDGE_WEIGHT_TYPE").line
        raise file.error(line, f"EDGE_WEIGHT_TYPE: {metric} of an ATSP", "EXPLICIT", "say TYPE : TSP")
    ids, coords = _coordinates(file, metric, n)
    matrix = _matrix(file, n, directed=problem == "atsp") if metric == "EXPLICIT" else None
    demand, capacity, vehicles, order = None, None, None, np.arange(n)
    if problem == "cvrp":
        demand = _demand(file, ids)
        depot = _depot(file, ids, demand)
        capacity = _capacity(file, ids, demand)
        order = np.concatenate([[depot], np.delete(order, depot)])
        demand = demand[order]
    elif problem == "mtsp":
        vehicles = _vehicles(file)
        depot = _depot(file, ids) if "DEPOT_SECTION" in file.bodies else 0
        order = np.concatenate([[depot], np.delete(order, depot)])
    title = printable(" ".join(file.header["NAME"].value.split())) if "NAME" in file.header else ""
    return Instance(
        name=re.sub(r"\.(a?tsp|vrp)$", "", title or name),
        problem=problem,
        metric=metric,
        rounding=rounding if rounding is not None else default_rounding(metric),
        ids=ids[order],
        coords=None if coords is None else coords[order],
        matrix=None if matrix is None else matrix[np.ix_(order, order)],
        demand=demand,
        capacity=capacity,
        vehicles=vehicles,
        source=file.where,
    )


def _problem(file: Sections) -> str:
    entry = file.header.get("TYPE")
    if entry is None:  # old files leave it out
        return "cvrp" if _OWN_KEYWORDS["cvrp"] & (file.header.keys() | file.bodies.keys()) else "tsp"
    word = (re.findall(r"\w+", entry.value) or [""])[0].upper()  # "TSP (M.~Hofmeister)" occurs
    if word in PROBLEMS:
        return PROBLEMS[word]
    reason = f"{_UNSOLVED.get(word, 'other types')} are not solved yet"
    raise file.error(entry.line, f"TYPE: {_plain(word)}", f"one of {', '.join(PROBLEMS)}", reason, Unsupported)


def _refuse_unsolved(file: Sections, problem: str) -> None:
    """Refuse every keyword that is not understood: it may be a constraint, and must not be dropped in silence."""
    shared = {*HEADER, *_COMMON_SECTIONS}.difference(*_OWN_KEYWORDS.values())
    known, understood = shared.union(*_OWN_KEYWORDS.values()), shared | _OWN_KEYWORDS[problem]
    for keyword, entry in {**file.header, **file.bodies}.items():
        if keyword in understood:
            continue
        if keyword in known:
            types = [word for word, name in PROBLEMS.items() if keyword in _OWN_KEYWORDS[name]]
            advice = f"delete it, or say TYPE : {' or '.join(types)}"
        elif keyword in _UNSOLVED:
            advice = f"{_UNSOLVED[keyword]} are not solved yet"
        else:
            near = get_close_matches(keyword[:80], sorted(known), n=1)
            advice = f"did you mean {near[0]}?" if near else "delete it if it says nothing about the problem"
        expected = f"only keywords of a {problem.upper()} that can be solved"
        raise file.error(entry.line, _plain(keyword), expected, advice, Unsupported)


def _plain(word: str) -> str:
    return shown(word).strip("'")


def _count(file: Sections) -> int:
    entry = file.required("DIMENSION")
    # Nine digits are checked before int() sees them; nothing is allocated until as many numbers were found.
    if not re.fullmatch(r"[0-9]{1,9}", entry.value) or int(entry.value) == 0:
        expected = "a whole number from 1 to 999999999"
        raise file.error(entry.line, f"DIMENSION: {shown(entry.value)}", expected, "correct this line")
    return int(entry.value)


def _choice(file: Sections, keyword: str, allowed: Iterable[str]) -> str:
    entry = file.required(keyword)
    if (value := entry.value.upper().partition(" ")[0]) not in allowed:
        found, expected = f"{keyword}: {shown(entry.value)}", f"one of {', '.join(allowed)}"
        raise file.error(entry.line, found, expected, "no other is solved yet", Unsupported)
    return value


def _table(file: Sections, section: str, n: int, columns: str) -> tuple[Ints, Floats]:
    """Node numbers ``[n]``, ascending, and values ``[n, columns]`` of a section whose rows start with a node number."""
    numbers, width = file.numbers(section), 1 + len(columns.split())
    if len(numbers) != n * width:
        found = f"{len(numbers)} numbers in {section}"
        expected = f"{n * width}, {n} rows of {width} (node {columns})"
        line = file.line_of(section, len(numbers))
        raise file.error(line, found, expected, "correct DIMENSION or complete the section")
    table = numbers.reshape(n, width)
    ids = table[:, 0]
    if len(wrong := np.flatnonzero((ids != np.floor(ids)) | (ids < 0))):
        line, found = file.line_of(section, int(wrong[0]) * width), f"node number {ids[wrong[0]]:g}"
        raise file.error(line, found, "a whole number", "correct this line")
    order = np.argsort(ids, kind="stable")
    table = table[order]
    if len(twice := np.flatnonzero(np.diff(table[:, 0]) == 0)):
        line = file.line_of(section, int(order[twice[0] + 1]) * width)
        found = f"node {table[twice[0], 0]:.0f} again in {section}"
        raise file.error(line, found, "every node once", "correct the node number")
    return table[:, 0].astype(np.int64), table[:, 1:]


def _coordinates(file: Sections, metric: str, n: int) -> tuple[Ints, Floats | None]:
    explicit = metric == "EXPLICIT"
    if not explicit and "EDGE_WEIGHT_SECTION" in file.bodies:
        line = file.bodies["EDGE_WEIGHT_SECTION"].line
        expected = "EDGE_WEIGHT_TYPE : EXPLICIT"
        raise file.error(line, f"EDGE_WEIGHT_SECTION under {metric}", expected, "delete one of the two")
    if explicit and "NODE_COORD_SECTION" not in file.bodies:
        return np.arange(1, n + 1), None
    solid = dimension(metric) == 3 or (explicit and _says_three_dimensions(file))
    return _table(file, "NODE_COORD_SECTION", n, "x y z" if solid else "x y")


def _says_three_dimensions(file: Sections) -> bool:
    return "NODE_COORD_TYPE" in file.header and file.header["NODE_COORD_TYPE"].value.upper() == "THREED_COORDS"


def _matrix(file: Sections, n: int, *, directed: bool) -> Floats:
    """Costs ``[n, n]``, symmetric unless ``directed``, with a zero diagonal whatever filler the file has there."""
    section = "EDGE_WEIGHT_SECTION"
    form = _choice(file, "EDGE_WEIGHT_FORMAT", MATRIX_FORMATS)
    triangle = MATRIX_FORMATS[form]
    expected = n * n if triangle is None else n * (n + 1) // 2 - n * triangle[1]
    numbers = file.numbers(section)
    if len(numbers) != expected:
        line = file.line_of(section, len(numbers))
        found, wanted = f"{len(numbers)} numbers in {section}", f"{expected} ({form} of {n} nodes)"
        raise file.error(line, found, wanted, "correct DIMENSION or complete the section")
    if triangle is None:
        matrix = numbers.reshape(n, n).copy()
    else:
        side, offset = triangle
        matrix = np.zeros((n, n))
        inside = np.tri(n, k=-offset, dtype=bool)
        matrix[inside if side == "lower" else inside.T] = numbers
        matrix += matrix.T
    np.fill_diagonal(matrix, 0.0)
    if not directed and len(odd := np.argwhere(matrix != matrix.T)):
        (i, j), line = odd[0], file.line_of(section, int(odd[0, 1] * n + odd[0, 0]))
        found = f"cost {matrix[i, j]:g} from {i + 1} to {j + 1} but {matrix[j, i]:g} back"
        tour = _problem(file) == "tsp"
        advice = "say TYPE : ATSP" if tour else "costs that depend on the direction are solved for tours alone"
        raise file.error(line, found, "a symmetric matrix", advice, Unsupported)
    return matrix


def _demand(file: Sections, ids: Ints) -> Floats:
    section = "DEMAND_SECTION"
    numbers, values = _table(file, section, len(ids), "demand")
    demand = values[:, 0]

    def line_of(node: int) -> int:
        return file.line_of(section, 2 * int(np.argmax(file.numbers(section)[::2] == node)))

    if len(strange := np.setdiff1d(numbers, ids)):
        found = f"a demand for node {strange[0]}"
        raise file.error(line_of(strange[0]), found, "the nodes of NODE_COORD_SECTION", "correct the node number")
    if len(wrong := np.flatnonzero(demand < 0)):
        found = f"demand {demand[wrong[0]]:g} of node {ids[wrong[0]]}"
        raise file.error(line_of(ids[wrong[0]]), found, "0 or more", "correct the demand")
    return demand


def _vehicles(file: Sections) -> int:
    entry = file.required("VEHICLES")
    if not re.fullmatch(r"[0-9]{1,9}", entry.value) or int(entry.value) == 0:
        raise file.error(entry.line, f"VEHICLES: {shown(entry.value)}", "a whole number from 1", "correct this line")
    return int(entry.value)


def _depot(file: Sections, ids: Ints, demand: Floats | None = None) -> int:
    """Position of the depot in ``ids``."""
    section = "DEPOT_SECTION"
    line = file.required(section).line
    numbers = file.numbers(section)
    listed = numbers[: int(np.argmax(numbers == -1))] if (numbers == -1).any() else numbers
    if len(strange := np.setdiff1d(listed, ids)):
        raise file.error(line, f"depot {strange[0]:g}", "the number of a node", "correct DEPOT_SECTION")
    positions = np.flatnonzero(np.isin(ids, listed))
    if len(positions) > 1:
        found = f"DEPOT_SECTION with {len(positions)} depots"
        raise file.error(line, found, "one", "several depots are not solved yet", Unsupported)
    if not len(positions):
        raise file.error(line, "no depot in DEPOT_SECTION", "one node number", "write 1 and then -1")
    if demand is not None and demand[positions[0]] != 0:
        found = f"demand {demand[positions[0]]:g} of the depot, node {ids[positions[0]]}"
        raise file.error(line, found, "0", "correct DEMAND_SECTION or DEPOT_SECTION")
    return int(positions[0])


def _capacity(file: Sections, ids: Ints, demand: Floats) -> float:
    entry = file.required("CAPACITY")
    if not is_number(entry.value) or float(entry.value) <= 0:
        raise file.error(entry.line, f"CAPACITY: {shown(entry.value)}", "a number above 0", "correct it")
    capacity = float(entry.value)
    worst = int(np.argmax(demand))
    if demand[worst] > capacity:
        found = f"customer {ids[worst]} demands {demand[worst]:g}"
        raise Infeasible(f"{file.where}: {found}, more than the capacity {capacity:g}; no route can serve it")
    return capacity
