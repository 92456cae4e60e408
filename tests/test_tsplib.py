"""What the text of an instance means: formats in every dialect, and one line for everything that is wrong."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import vrplib
from hypothesis import given
from hypothesis import strategies as st

from l2o.files import read
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Unsupported
from l2o.sections import cut
from l2o.solutions import length
from l2o.tsplib import MATRIX_FORMATS, interpret

DATA = Path(__file__).parent / "data"

SQUARE = """NAME : square
TYPE : TSP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EUC_2D
NODE_COORD_SECTION
1 0 0
2 0 3
3 4 3
4 4 0
EOF
"""
FLEET = SQUARE.replace("TYPE : TSP", "TYPE : MTSP\nVEHICLES : 2")
DELIVERY = """NAME : delivery
TYPE : CVRP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EUC_2D
CAPACITY : 10
NODE_COORD_SECTION
1 0 0
2 0 3
3 4 3
4 4 0
DEMAND_SECTION
1 0
2 5
3 6
4 7
DEPOT_SECTION
1
-1
EOF
"""
COSTS = """TYPE : TSP
DIMENSION : 3
EDGE_WEIGHT_TYPE : EXPLICIT
EDGE_WEIGHT_FORMAT : FULL_MATRIX
EDGE_WEIGHT_SECTION
0 5 7
5 0 9
7 9 0
EOF
"""


def parse(text: str) -> Instance:
    return interpret(cut(text, "file"))


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


@pytest.mark.parametrize(
    "change",
    [
        swap("", ""),
        swap(" : ", ": "),
        swap(" : ", ":"),
        swap(" : ", "\t:\t"),
        swap(" : ", " "),
        swap(" : ", " = "),
        swap("\n", "\r\n"),
        swap("\n", "\r"),
        swap("\n", "\t \n"),
        swap("\n", "\n\n"),
        swap("EOF\n", ""),
        swap("\nEOF\n", ""),
        swap("EOF\n", "EOF\nanything at all"),
        swap("EOF", "eof"),
        swap("TYPE : TSP", "type : tsp"),
        swap("TYPE : TSP", "TYPE : TSP (M.~Hofmeister)"),
        swap("TYPE : TSP\n", ""),
        swap("TYPE : TSP", "COMMENT : one: 1\nCOMMENT : two\n  and a half,\n(1994)\nTYPE : TSP"),
        swap("TYPE : TSP", "# a remark\nTYPE : TSP"),
        swap("2 0 3", "# a remark\n2 0 3"),
        swap(
            "NODE_COORD_SECTION",
            "DISPLAY_DATA_TYPE : COORD_DISPLAY\nNODE_COORD_TYPE : TWOD_COORDS\nNODE_COORD_SECTION :",
        ),
        swap("NODE_COORD_SECTION\n", "NODE_COORD_SECTION "),
        swap("2 0 3\n", "2\n0\t3 "),
        swap("4 3\n", "4.0e+0 +3.00\n"),
        swap("4 3\n", "  4.  .3E1\n"),
        swap("1 0 0\n2 0 3", "2 0 3\n1 0 0"),
        lambda text: text.replace("DIMENSION : 4\n", "").replace("EOF", "DIMENSION : 4"),
        lambda text: text.replace("EOF", "DISPLAY_DATA_SECTION\n1 9 9\n2 9 8\n3 7 7\n4 1 1\n"),
    ],
)
def test_the_same_square_in_many_hands(change: Callable[[str], str]) -> None:
    instance = parse(change(SQUARE))
    assert instance.problem == "tsp"
    assert instance.ids.tolist() == [1, 2, 3, 4]
    assert instance.coords is not None
    assert instance.coords.tolist() == [[0, 0], [0, 3], [4, 3], [4, 0]]
    assert length(instance, [[0, 1, 2, 3]]) == 14


def test_duplicate_points_negative_and_huge_coordinates_are_legal() -> None:
    instance = parse(SQUARE.replace("2 0 3", "2 0 0").replace("3 4 3", "3 -1e6 -2.5e-3"))
    assert instance.coords is not None
    assert instance.coords.tolist() == [[0, 0], [0, 0], [-1e6, -2.5e-3], [4, 0]]


@given(st.permutations(["HEAD", "NODE_COORD_SECTION", "DEMAND_SECTION", "DEPOT_SECTION"]))
def test_sections_in_any_order(order: list[str]) -> None:
    head, rest = DELIVERY.split("NODE_COORD_SECTION\n")
    coords, rest = rest.split("DEMAND_SECTION\n")
    demand, depot = rest.removesuffix("EOF\n").split("DEPOT_SECTION\n")
    parts = {"HEAD": head, "NODE_COORD_SECTION": coords, "DEMAND_SECTION": demand, "DEPOT_SECTION": depot}
    instance = parse("".join(parts[name] if name == "HEAD" else f"{name}\n{parts[name]}" for name in order))
    assert instance.demand is not None
    assert instance.demand.tolist() == [0, 5, 6, 7]


def test_the_depot_comes_first_and_numbers_are_kept() -> None:
    text = DELIVERY.replace("1 0\n2 5\n3 6\n4 7", "10 7\n3 0\n20 5\n0 6").replace(
        "DEPOT_SECTION\n1\n", "DEPOT_SECTION\n3\n"
    )
    text = text.replace("1 0 0\n2 0 3\n3 4 3\n4 4 0", "20 0 3\n10 4 0\n3 0 0\n0 4 3")
    instance = parse(text)
    assert instance.coords is not None
    assert instance.demand is not None
    assert instance.ids.tolist() == [3, 0, 10, 20]
    assert instance.coords.tolist() == [[0, 0], [4, 3], [4, 0], [0, 3]]
    assert instance.demand.tolist() == [0, 6, 7, 5]
    assert instance.capacity == 10


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, 99), min_size=n * n, max_size=n * n))
    ),
    st.sampled_from(sorted(MATRIX_FORMATS)),
    st.integers(1, 9),
)
def test_every_matrix_format_wherever_lines_break(case: tuple[int, list[int]], form: str, per_line: int) -> None:
    n, values = case
    costs = [[values[min(i, j) * n + max(i, j)] for j in range(n)] for i in range(n)]
    side, by = form.split("_")[0], form.split("_")[-1]
    keep_diagonal = "DIAG" in form or side == "FULL"
    cells = [(i, j) for i in range(n) for j in range(n)]
    if by == "COL":
        cells = [(i, j) for j, i in cells]
    if side != "FULL":
        cells = [(i, j) for i, j in cells if (j > i if side == "UPPER" else j < i) or (i == j and keep_diagonal)]
    words = [str(costs[i][j]) for i, j in cells]
    body = "\n".join(" ".join(words[k : k + per_line]) for k in range(0, len(words), per_line))
    text = f"DIMENSION : {n}\nEDGE_WEIGHT_TYPE : EXPLICIT\nEDGE_WEIGHT_FORMAT : {form}\nEDGE_WEIGHT_SECTION\n{body}\n"
    instance = parse(text)
    assert instance.matrix is not None
    assert instance.matrix.tolist() == [[0 if i == j else costs[i][j] for j in range(n)] for i in range(n)]


def test_a_matrix_read_by_columns_gives_the_enumerated_optimum() -> None:
    instance = read(DATA / "eil7.vrp")
    # Six unit demands and a capacity of 3: two routes of three customers at best.
    best = min(length(instance, [order[:3], order[3:]]) for order in permutations(range(1, 7)))
    assert best == 114


def test_explicit_costs_follow_the_depot_and_keep_the_map() -> None:
    text = COSTS.replace("TYPE : TSP", "TYPE : CVRP\nCAPACITY : 9", 1).replace(
        "EOF", "NODE_COORD_SECTION\n2 5 5\n1 0 0\n3 9 9\nDEMAND_SECTION\n1 4\n2 0\n3 4\nDEPOT_SECTION\n2\n-1"
    )
    instance = parse(text)
    assert instance.ids.tolist() == [2, 1, 3]
    assert instance.matrix is not None
    assert instance.matrix.tolist() == [[0, 5, 9], [5, 0, 7], [9, 7, 0]]
    assert instance.coords is not None
    assert instance.coords.tolist() == [[5, 5], [0, 0], [9, 9]]


@pytest.mark.parametrize("name", ["P-n16-k8.vrp"])
def test_against_vrplib(name: str) -> None:
    ours, theirs = read(DATA / name, rounding="none"), vrplib.read_instance(DATA / name)
    assert np.array_equal(ours.coords, theirs["node_coord"])  # type: ignore[arg-type]
    assert np.array_equal(ours.demand, theirs["demand"])  # type: ignore[arg-type]
    assert ours.capacity == theirs["capacity"]
    nodes = np.arange(ours.n)
    assert ours.distance(nodes[:, None], nodes) == pytest.approx(theirs["edge_weight"])


def test_a_fleet_has_a_number_and_a_depot() -> None:
    instance = parse(FLEET.replace("MTSP", "mTSP"))
    assert (instance.problem, instance.vehicles, instance.demand) == ("mtsp", 2, None)
    assert instance.ids.tolist() == [1, 2, 3, 4]
    elsewhere = parse(FLEET.replace("EOF", "DEPOT_SECTION\n3\n-1\nEOF"))
    assert elsewhere.ids.tolist() == [3, 1, 2, 4] and elsewhere.coords is not None
    assert elsewhere.coords[0].tolist() == [4, 3]


MALFORMED = [
    # (text, change, line, words of the message)
    (SQUARE, lambda text: "", None, "an empty file"),
    (SQUARE, lambda text: "\n \n", None, "an empty file"),
    (SQUARE, lambda text: text[:60] + "\0\1" + text[60:], 4, "binary data"),
    (SQUARE, lambda text: "hello\n" + text, 1, "found 'hello', expected KEYWORD : value"),
    (SQUARE, lambda text: "1 2 3\n" + text, 1, "found '1 2 3', expected KEYWORD : value"),
    (SQUARE, swap("EDGE_WEIGHT_TYPE", "12\nEDGE_WEIGHT_TYPE"), 4, "found '12', expected KEYWORD : value"),
    (SQUARE, swap("DIMENSION : 4\n", ""), None, "found no DIMENSION"),
    (FLEET, swap("VEHICLES : 2\n", ""), None, "found no VEHICLES"),
    (FLEET, swap("VEHICLES : 2", "VEHICLES : 0"), 3, "VEHICLES: '0', expected a whole number from 1"),
    (FLEET, swap("VEHICLES : 2", "VEHICLES : two"), 3, "VEHICLES: 'two', expected a whole number from 1"),
    (FLEET, swap("EOF", "DEPOT_SECTION\n5\n-1"), 11, "depot 5, expected the number of a node"),
    (
        SQUARE,
        swap("DIMENSION : 4", "DIMENSION : 5"),
        9,
        "12 numbers in NODE_COORD_SECTION, expected 15, 5 rows of 3 (node x y)",
    ),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 3"), 9, "12 numbers in NODE_COORD_SECTION, expected 9"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 999999999"), 9, "expected 2999999997"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 10000000000"), 3, "a whole number from 1 to 999999999"),
    (SQUARE, swap("DIMENSION : 4", f"DIMENSION : {'9' * 1_000_000}"), 3, "99999...', expected a whole number"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 0"), 3, "a whole number from 1"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : -4"), 3, "a whole number from 1"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 4.5"), 3, "a whole number from 1"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION :"), 3, "a whole number from 1"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : four"), 3, "a whole number from 1"),
    (SQUARE, swap("DIMENSION : 4", "DIMENSION : 4\nDIMENSION : 4"), 4, "DIMENSION again, expected it once (line 3)"),
    (SQUARE, swap("EDGE_WEIGHT_TYPE : EUC_2D\n", ""), None, "found no EDGE_WEIGHT_TYPE"),
    (SQUARE, swap("TYPE : TSP", "TYPE : ATSP"), 4, "EUC_2D of an ATSP, expected EXPLICIT; say TYPE : TSP"),
    (SQUARE, swap("EUC_2D", "EUC_4D"), 4, "EDGE_WEIGHT_TYPE: 'EUC_4D', expected one of EUC_2D"),
    (SQUARE, swap("EUC_2D", "XRAY1"), 4, "expected one of EUC_2D"),
    (SQUARE, swap("EUC_2D", "EUC_3D"), 9, "12 numbers in NODE_COORD_SECTION, expected 16, 4 rows of 4 (node x y z)"),
    (SQUARE, lambda text: text[: text.index("NODE")], None, "found no NODE_COORD_SECTION"),
    (SQUARE, lambda text: text[: text.index("3 4 3")], 7, "6 numbers in NODE_COORD_SECTION"),
    (SQUARE, lambda text: text[: text.index("3 4 3") + 3], 8, "8 numbers in NODE_COORD_SECTION"),
    (SQUARE, swap("2 0 3", "2 0 nan"), 7, "found 'nan', expected a number"),
    (SQUARE, swap("2 0 3", "nan 0 3"), 7, "found 'nan', expected a number"),
    (SQUARE, swap("2 0 3", "2 0 inf"), 7, "found 'inf', expected a number"),
    (SQUARE, swap("2 0 3", "2 0 1e999"), 7, "found '1e999', expected a number"),
    (SQUARE, swap("2 0 3", "2 0 1e16"), 7, "expected a number of at most 1e+15"),
    (SQUARE, swap("2 0 3", "2 0 3_0"), 7, "found '3_0', expected a number"),
    (SQUARE, swap("2 0 3", "2 0 0x3"), 7, "found '0x3', expected a number"),
    (SQUARE, swap("2 0 3", "two 0 3"), 7, "found 'two', expected a number"),
    (SQUARE, swap("2 0 3", "2 0 3 \u2603"), 7, "found '\\u2603', expected a number"),
    (SQUARE, swap("2 0 3", "2.5 0 3"), 7, "node number 2.5, expected a whole number"),
    (SQUARE, swap("2 0 3", "-2 0 3"), 7, "node number -2, expected a whole number"),
    (SQUARE, swap("3 4 3", "2 4 3"), 8, "node 2 again in NODE_COORD_SECTION"),
    (SQUARE, swap("EOF", "NODE_COORD_SECTION"), 10, "NODE_COORD_SECTION again, expected it once (line 5)"),
    (SQUARE, swap("EOF", "EDGE_WEIGHT_SECTION\n0"), 10, "EDGE_WEIGHT_SECTION under EUC_2D"),
    (COSTS, swap("EDGE_WEIGHT_FORMAT : FULL_MATRIX\n", ""), None, "found no EDGE_WEIGHT_FORMAT"),
    (COSTS, swap("FULL_MATRIX", "HALF_MATRIX"), 4, "EDGE_WEIGHT_FORMAT: 'HALF_MATRIX'"),
    (COSTS, swap("FULL_MATRIX", "UPPER_ROW"), 8, "9 numbers in EDGE_WEIGHT_SECTION, expected 3 (UPPER_ROW of 3 nodes)"),
    (COSTS, swap("7 9 0\n", ""), 7, "6 numbers in EDGE_WEIGHT_SECTION, expected 9"),
    (COSTS, swap("7 9 0", "7 9 zero"), 8, "found 'zero', expected a number"),
    (COSTS, lambda text: text[: text.index("EDGE_WEIGHT_SECTION")], None, "found no EDGE_WEIGHT_SECTION"),
    (
        COSTS,
        swap("DIMENSION : 3", "DIMENSION : 99999999"),
        8,
        "9 numbers in EDGE_WEIGHT_SECTION, expected 9999999800000001",
    ),
    (DELIVERY, swap("CAPACITY : 10\n", ""), None, "found no CAPACITY"),
    (DELIVERY, swap("CAPACITY : 10", "CAPACITY : -1"), 5, "CAPACITY: '-1', expected a number above 0"),
    (DELIVERY, swap("CAPACITY : 10", "CAPACITY : nan"), 5, "CAPACITY: 'nan', expected a number above 0"),
    (DELIVERY, swap("CAPACITY : 10", "CAPACITY : ten"), 5, "CAPACITY: 'ten', expected a number above 0"),
    (DELIVERY, lambda text: text.replace("DEMAND_SECTION\n1 0\n2 5\n3 6\n4 7\n", ""), None, "found no DEMAND_SECTION"),
    (DELIVERY, swap("4 7\n", ""), 14, "6 numbers in DEMAND_SECTION, expected 8, 4 rows of 2 (node demand)"),
    (DELIVERY, swap("3 6\n", "3 -6\n"), 14, "demand -6 of node 3, expected 0 or more"),
    (DELIVERY, swap("3 6\n", "9 6\n"), 14, "a demand for node 9, expected the nodes"),
    (DELIVERY, swap("3 6\n", "2 6\n"), 14, "node 2 again in DEMAND_SECTION"),
    (DELIVERY, swap("1 0\n2 5", "1 3\n2 5"), 16, "demand 3 of the depot, node 1, expected 0"),
    (DELIVERY, swap("DEPOT_SECTION\n1\n-1\n", ""), None, "found no DEPOT_SECTION"),
    (DELIVERY, swap("DEPOT_SECTION\n1\n", "DEPOT_SECTION\n"), 16, "no depot in DEPOT_SECTION"),
    (DELIVERY, swap("DEPOT_SECTION\n1\n", "DEPOT_SECTION\n8\n"), 16, "depot 8, expected the number of a node"),
    (DELIVERY, swap("DEPOT_SECTION\n1\n", "DEPOT_SECTION\n1.5\n"), 16, "depot 1.5, expected the number of a node"),
]


@pytest.mark.parametrize(("text", "change", "line", "words"), MALFORMED)
def test_malformed(text: str, change: Callable[[str], str], line: int | None, words: str) -> None:
    with pytest.raises(InvalidInstance) as raised:
        parse(change(text))
    message = str(raised.value)
    assert message.startswith("file: found " if line is None else f"file:{line}: found ")
    assert words in message
    assert message.count("\n") == 0
    assert len(message) < 300


UNSOLVED = [
    (SQUARE, swap("TYPE : TSP", "TYPE : HCP"), "file:2: found TYPE: HCP"),
    (SQUARE, swap("TYPE : TSP", "TYPE : SOP"), "file:2: found TYPE: SOP"),
    (
        SQUARE,
        swap("TYPE : TSP", "TYPE : TOUR"),
        "file:2: found TYPE: TOUR, expected one of TSP, ATSP, CVRP, MTSP; other types are not solved yet",
    ),
    (SQUARE, swap("TYPE : TSP", "TYPE : VRPTW"), "file:2: found TYPE: VRPTW"),
    (SQUARE, swap("EOF", "FIXED_EDGES_SECTION\n1 2\n-1"), "file:10: found FIXED_EDGES_SECTION"),
    (SQUARE, swap("EOF", "FIXED_EDGES :\n1 2\n-1"), "file:10: found FIXED_EDGES,"),
    (SQUARE, swap("EOF", "DEMAND_SECTION\n1 2\n"), "say TYPE : CVRP"),
    (SQUARE, swap("EOF", "VEHICLES : 3"), "say TYPE : CVRP or MTSP"),
    (FLEET, swap("EOF", "CAPACITY : 3"), "found CAPACITY, expected only keywords of a MTSP"),
    (SQUARE, swap("EOF", "CAPACITY : 3"), "found CAPACITY, expected only keywords of a TSP"),
    (SQUARE, swap("EOF", "NODE_CORD_SECTION\n1 2\n"), "did you mean NODE_COORD_SECTION?"),
    (SQUARE, swap("EOF", "COLOUR : blue"), "file:10: found COLOUR"),
    (DELIVERY, swap("EOF", "TIME_WINDOW_SECTION\n1 0 5"), "file:19: found TIME_WINDOW_SECTION"),
    (DELIVERY, swap("EOF", "SERVICE_TIME_SECTION\n1 0"), "found SERVICE_TIME_SECTION"),
    (DELIVERY, swap("EOF", "SERVICE_TIME : 10"), "found SERVICE_TIME"),
    (DELIVERY, swap("EOF", "DISTANCE : 100"), "found DISTANCE"),
    (DELIVERY, swap("EOF", "BACKHAUL_SECTION\n2 -1"), "found BACKHAUL_SECTION"),
    (DELIVERY, swap("EOF", "PICKUP_AND_DELIVERY_SECTION\n2 -1"), "found PICKUP_AND_DELIVERY_SECTION"),
    (DELIVERY, swap("DEPOT_SECTION\n1\n", "DEPOT_SECTION\n1\n2\n"), "DEPOT_SECTION with 2 depots, expected one"),
    (COSTS, swap("7 9 0", "7 8 0"), "cost 9 from 2 to 3 but 8 back, expected a symmetric matrix; say TYPE : ATSP"),
]


@pytest.mark.parametrize(("text", "change", "words"), UNSOLVED)
def test_what_is_not_solved_is_refused_by_its_name(text: str, change: Callable[[str], str], words: str) -> None:
    with pytest.raises(Unsupported) as raised:
        parse(change(text))
    assert words in str(raised.value)
    assert str(raised.value).count("\n") == 0


def test_directed_costs_are_kept_as_they_are() -> None:
    text = COSTS.replace("7 9 0", "7 8 0")
    directed = parse(text.replace("TYPE : TSP", "TYPE : ATSP"))
    assert directed.problem == "atsp" and not directed.symmetric
    assert directed.distance(np.array([1, 2]), np.array([2, 1])).tolist() == [9, 8]


def test_a_customer_that_fits_into_no_vehicle_is_infeasible() -> None:
    with pytest.raises(Infeasible, match="file: customer 4 demands 11, more than the capacity 10"):
        parse(DELIVERY.replace("4 7\n", "4 11\n"))


def test_vehicles_tells_a_published_fleet_and_limits_nothing() -> None:
    assert parse(DELIVERY.replace("EOF", "VEHICLES : 2")).problem == "cvrp"
