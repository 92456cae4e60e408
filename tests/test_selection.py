"""Which instances are compared on: what a folder, an index, a file of many and a random set stand for."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from l2o.problems.instance import InvalidInstance, Unsupported
from l2o.selection import Filters, random_instances, select

DATA = Path(__file__).parent / "data"
ALL = Filters()


def names(*sources: Path | str, filters: Filters = ALL, seed: int = 0) -> list[str]:
    return [instance.name for instance in select([str(source) for source in sources], filters, seed=seed)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three instances, of two problems, and a file of three more."""
    for name in ("berlin52.tsp", "gr17.tsp", "P-n16-k8.vrp"):
        shutil.copy(DATA / name, tmp_path)
    lines = [json.dumps({"depot": [0, 0], "xy": [[i, 1], [1, i]], "demand": [1, 1], "capacity": 2}) for i in range(3)]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    return tmp_path


def index(folder: Path, *rows: str) -> None:
    lines = ["path,set,name,problem,n,edge_weight_type,best_known", *rows]
    (folder / "index.csv").write_text("\n".join(lines) + "\n")


def test_a_folder_without_an_index_is_searched(folder: Path) -> None:
    (folder / "deeper").mkdir()
    shutil.copy(DATA / "eil51.tsp", folder / "deeper")
    assert names(folder) == ["P-n16-k8", "berlin52", "eil51", "gr17"]


def test_an_index_says_what_there_is(folder: Path) -> None:
    index(
        folder,
        "berlin52.tsp,easy,berlin52,TSP,52,EUC_2D,7542",
        "many.jsonl,many,many,CVRP (3 instances),3,EUC_2D,",
        "P-n16-k8.vrp,easy,P-n16-k8,VRPTW,16,EUC_2D,450",
    )
    assert names(folder) == ["berlin52", "many:1", "many:2", "many:3"]
    assert names(folder, filters=Filters(set="many", limit=2)) == ["many:1", "many:2"]
    assert names(folder, filters=Filters(problem="tsp")) == ["berlin52"]
    (chosen,) = select([str(folder)], Filters(set="easy"), seed=0)
    assert chosen.best_known == 7542


@pytest.mark.parametrize("text", ["title,url\nx,y\n", "", "path,problem\n" + "x" * 200_000 + ",tsp\n"])
def test_another_table_of_that_name_hides_nothing(folder: Path, text: str) -> None:
    (folder / "index.csv").write_text(text)
    assert names(folder) == ["P-n16-k8", "berlin52", "gr17"]


def test_a_folder_below_an_index_is_a_part_of_it(folder: Path) -> None:
    (folder / "part").mkdir()
    shutil.copy(DATA / "eil51.tsp", folder / "part")
    index(folder, "berlin52.tsp,a,berlin52,TSP,52,EUC_2D,7542", "part/eil51.tsp,a,eil51,TSP,51,EUC_2D,400")
    assert names(folder / "part") == ["eil51"]
    assert select([str(folder / "part")], ALL, seed=0)[0].best_known == 400


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(metric="EUC_2D"), ["P-n16-k8", "berlin52"]),
        (Filters(metric="EXPLICIT"), ["gr17"]),
        (Filters(min_n=17), ["berlin52", "gr17"]),
        (Filters(max_n=17), ["P-n16-k8", "gr17"]),
        (Filters(min_n=17, max_n=17), ["gr17"]),
        (Filters(problem="cvrp"), ["P-n16-k8"]),
        (Filters(limit=1), ["P-n16-k8"]),
    ],
    ids=str,
)
def test_filters(folder: Path, filters: Filters, expected: list[str]) -> None:
    assert names(folder, filters=filters) == expected


def test_what_a_folder_holds_and_cannot_be_solved_is_told_not_fatal(folder: Path) -> None:
    text = (folder / "berlin52.tsp").read_text().replace("EDGE_WEIGHT_TYPE: EUC_2D", "EDGE_WEIGHT_TYPE: XRAY1")
    (folder / "bad.tsp").write_text(text)
    left_out: list[str] = []
    found = select([str(folder)], Filters(problem="tsp"), seed=0, left_out=left_out.append)
    assert [instance.name for instance in found] == ["berlin52", "gr17"]
    assert len(left_out) == 1 and "XRAY1" in left_out[0]
    with pytest.raises(Unsupported, match="XRAY1"):
        names(folder / "bad.tsp")


def test_nothing_left_is_an_error(folder: Path) -> None:
    with pytest.raises(InvalidInstance, match="no instance that passes the filters"):
        names(folder / "gr17.tsp", filters=Filters(min_n=18))
    with pytest.raises(InvalidInstance, match=r"no index\.csv"):
        names(folder, filters=Filters(set="easy"))
    with pytest.raises(Unsupported, match=r"problem 'tps', expected one of atsp, .*did you mean 'tsp'"):
        names(folder, filters=Filters(problem="tps"))


def test_random_sets_depend_on_seed_and_size_alone() -> None:
    def coords(*arguments: str, seed: int) -> list[list[float]]:
        return [np.asarray(i.coords).ravel().tolist() for i in select(arguments, ALL, seed=seed)]

    first = coords("uniform:20x3", seed=7)
    assert first == coords("uniform:20x3", seed=7) == coords("clusters:9x2", "uniform:20x3", seed=7)[2:]
    assert first != coords("uniform:20x3", seed=8)
    assert len({tuple(each) for each in first}) == 3
    assert [len(each) for each in first] == [40] * 3


def test_random_routing_instances_have_feasible_demands() -> None:
    instances = select(["cvrp/uniform:12x4"], ALL, seed=0)
    assert [(i.problem, i.n) for i in instances] == [("cvrp", 13)] * 4
    for instance in instances:
        assert instance.demand is not None and instance.demand[0] == 0
        assert (instance.demand[1:] > 0).all() and instance.demand.max() <= 1 + 1e-12 and instance.capacity == 1
    assert [i.problem for i in select(["uniform:12x1"], Filters(problem="cvrp"), seed=0)] == ["cvrp"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tsp", "uniforn", 10, 1), "distribution 'uniforn', expected one of .*uniform"),
        (("tsq", "uniform", 10, 1), "did you mean 'tsp'"),
        (("tsp", "uniform", 0, 1), "0 nodes"),
        (("tsp", "uniform", 10, 10**7), "10000000 instances"),
    ],
)
def test_impossible_random_sets_are_refused(arguments: tuple[str, str, int, int], message: str) -> None:
    with pytest.raises(InvalidInstance, match=message):
        random_instances(*arguments, seed=0)
