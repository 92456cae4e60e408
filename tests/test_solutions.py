"""Tours and routes: known optima from shipped files, round trips, and one line for every broken file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2o.files import read, read_solution, write_solution
from l2o.problems.instance import Instance, InvalidInstance
from l2o.solutions import length

DATA = Path(__file__).parent / "data"

OPTIMA = {
    "ulysses16.tsp": ("ulysses16.opt.tour", 6859),
    "bayg29.tsp": ("bayg29.opt.tour", 1610),
    "bays29.tsp": ("bays29.opt.tour", 2020),
    "att48.tsp": ("att48.opt.tour", 10628),
    "berlin52.tsp": ("berlin52.opt.tour", 7542),
    "eil51.tsp": ("eil51.opt.tour", 426),
    "P-n16-k8.vrp": ("P-n16-k8.sol", 450),
}


@pytest.mark.parametrize(("name", "solution", "optimum"), [(name, *rest) for name, rest in OPTIMA.items()])
def test_shipped_solutions_cost_what_is_published(name: str, solution: str, optimum: int) -> None:
    instance = read(DATA / name)
    assert length(instance, read_solution(DATA / solution, instance)) == optimum


def planar(ids: list[int], *, depot: bool) -> Instance:
    coords = np.random.default_rng(len(ids)).normal(size=(len(ids), 2))
    demand = np.array([0.0] + [1.0] * (len(ids) - 1)) if depot else None
    return Instance("some", "cvrp" if depot else "tsp", "EUC_2D", "none", np.array(ids), coords, None, demand, 9.0)


numbers = st.lists(st.integers(0, 10**6), min_size=2, max_size=12, unique=True)


@given(numbers, st.randoms(use_true_random=False))
def test_a_tour_survives_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, ids: list[int], rng) -> None:  # type: ignore[no-untyped-def]
    instance = planar(ids, depot=False)
    tour = tuple(rng.sample(range(len(ids)), len(ids)))
    path = tmp_path_factory.mktemp("tour") / "some.tour"
    write_solution(path, instance, [tour], length(instance, [tour]))
    assert read_solution(path, instance) == (tour,)


@given(numbers, st.randoms(use_true_random=False))
def test_routes_survive_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, ids: list[int], rng) -> None:  # type: ignore[no-untyped-def]
    instance = planar(ids, depot=True)
    order = rng.sample(range(1, len(ids)), len(ids) - 1)
    split = rng.randint(1, len(order))
    routes = tuple(tuple(part) for part in (order[:split], order[split:]) if part)
    path = tmp_path_factory.mktemp("routes") / "some.sol"
    write_solution(path, instance, routes, 12.5)
    assert read_solution(path, instance) == routes
    assert path.read_text().endswith("\nCost 12.5\n")


def test_written_text_is_what_tsplib_and_cvrplib_ask_for(tmp_path: Path) -> None:
    write_solution(tmp_path / "a.tour", planar([7, 3, 5], depot=False), [(2, 0, 1)], 30.0)
    lines = (tmp_path / "a.tour").read_text().splitlines()
    assert lines[1:] == [
        "COMMENT : Length 30",
        "TYPE : TOUR",
        "DIMENSION : 3",
        "TOUR_SECTION",
        "5",
        "7",
        "3",
        "-1",
        "EOF",
    ]
    write_solution(tmp_path / "a.sol", planar([1, 2, 3, 4], depot=True), [(3, 1), (2,)], 30.0)
    assert (tmp_path / "a.sol").read_text() == "Route #1: 3 1\nRoute #2: 2\nCost 30\n"


def test_writing_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tour").write_text("old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InvalidInstance, match=r"a\.tour: found no writable place \(no space left on device\)"):
        write_solution(tmp_path / "a.tour", planar([1, 2], depot=False), [(0, 1)], 1.0)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tour"]
    assert (tmp_path / "a.tour").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "depot"), [("x.txt", False), ("x.sol", False), ("x.tour", True), ("nowhere/x.sol", True)]
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, depot: bool) -> None:
    with pytest.raises(InvalidInstance, match="found"):
        write_solution(tmp_path / name, planar([1, 2, 3], depot=depot), [(1, 2)], 1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "TYPE : TOUR\nTOUR_SECTION\n3\n1\n2\n-1\nEOF\n",
        "TOUR_SECTION\r\n3 1\r\n2",
        "NAME : x\nCOMMENT : Optimal tour (12)\nTYPE : TOUR\nDIMENSION : 3\nTOUR_SECTION\n 3 1 2 -1\n-1\nEOF",
    ],
)
def test_dialects_of_tours(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.tour").write_text(text, newline="")
    assert read_solution(tmp_path / "a.tour", planar([1, 2, 3], depot=False)) == ((2, 0, 1),)


@pytest.mark.parametrize("cost", ["Cost 784", "cost 784", "Cost: 784", "", "COST : 7.5\nTime 3"])
@pytest.mark.parametrize("head", ["Route #{}:", "route {}:", "Route #{} :", "\tRoute#{}: "])
def test_dialects_of_routes(tmp_path: Path, head: str, cost: str) -> None:
    (tmp_path / "a.sol").write_text(f"{head.format(1)} 3 1\n{head.format(2)}\n{head.format(3)}\t2 \n{cost}\n")
    assert read_solution(tmp_path / "a.sol", planar([1, 2, 3, 4], depot=True)) == ((3, 1), (2,))


@pytest.mark.parametrize(
    ("text", "depot", "line", "words"),
    [
        ("", False, None, "no TOUR_SECTION"),
        ("", True, None, "expected lines 'Route #1: ...'"),
        ("Route #1: 1 2 3", False, None, "no TOUR_SECTION"),
        ("EOF\nTOUR_SECTION\n1 2 3 4", False, None, "no TOUR_SECTION"),
        ("TOUR_SECTION\n1 2 3 4\n-1", True, None, "a TSPLIB tour, expected lines"),
        ("TOUR_SECTION\n1 2\n3\n-1", False, None, "no visit to 4, expected all nodes"),
        ("TOUR_SECTION\n1 2\n3 9\n4\n-1", False, 3, "node 9, expected each node of some once"),
        ("TOUR_SECTION\n1 2\n3 2\n4\n-1", False, 3, "node 2 again"),
        ("TOUR_SECTION\n1 2\n3 x\n4\n-1", False, 3, "found 'x', expected a node number"),
        ("TOUR_SECTION\n1 2\n3 4.0\n-1", False, 3, "found '4.0', expected a node number"),
        ("TOUR_SECTION\n1 2\n3 " + "4" * 9999, False, 3, "expected a node number"),
        ("Route #1: 1 2\nRoute #2: 3 1", True, 2, "node 1 again, expected each customer of some once"),
        ("Route #1: 1 2\nRoute #2: 0 3", True, 2, "node 0, expected each customer"),
        ("Route #1: 1 2\nRoute #2: three", True, 2, "found 'three'"),
        ("Route #1: 1 2", True, None, "no visit to 3"),
        ("\0\1\2", True, None, "expected lines 'Route #1: ...'"),
    ],
)
def test_malformed_solutions(tmp_path: Path, text: str, depot: bool, line: int | None, words: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InvalidInstance) as raised:
        read_solution(path, planar([1, 2, 3, 4], depot=depot))
    message = str(raised.value)
    assert message.startswith(f"{path}: found " if line is None else f"{path}:{line}: found ")
    assert words in message
    assert "\n" not in message
