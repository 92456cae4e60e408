"""Best known costs: which source wins, and when none may be compared with."""

import shutil
from pathlib import Path

import pytest

from l2o.files import read

DATA = Path(__file__).parent / "data"
HEAD = "path,name,problem,edge_weight_type,best_known\n"


def place(folder: Path, *names: str) -> Path:
    """Copy test instances into ``folder`` and return the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(DATA / name, folder / name)
    return folder / names[0]


@pytest.mark.parametrize("depth", ["", "a", "a/b"])
def test_an_index_in_the_folder_or_up_to_two_above(tmp_path: Path, depth: str) -> None:
    path = place(tmp_path / depth, "berlin52.tsp", "berlin52.opt.tour")
    relative = path.relative_to(tmp_path).as_posix()
    (tmp_path / "index.csv").write_text(f"{HEAD}other.tsp,,TSP,EUC_2D,3\n{relative},berlin52,TSP,EUC_2D,7500\n")
    instance = read(path)
    assert instance.best_known == 7500
    assert instance.best_known_source == str(tmp_path / "index.csv")
    assert instance.rounding == "nearest"


def test_three_folders_above_is_too_far(tmp_path: Path) -> None:
    path = place(tmp_path / "a/b/c", "gr17.tsp")
    (tmp_path / "index.csv").write_text(f"{HEAD}a/b/c/gr17.tsp,gr17,TSP,EXPLICIT,2085\n")
    assert read(path).best_known is None


def test_a_value_published_for_unrounded_distances_sets_the_rounding(tmp_path: Path) -> None:
    path = place(tmp_path, "P-n16-k8.vrp")
    (tmp_path / "index.csv").write_text(f'{HEAD}P-n16-k8.vrp,P,CVRP,"EUC_2D (exact, not rounded)",451.3351\n')
    instance = read(path)
    assert (instance.rounding, instance.best_known) == ("none", 451.3351)
    assert "published for rounding 'none'" in instance.best_known_source
    other = read(path, rounding="nearest")
    assert (other.rounding, other.best_known, other.best_known_source) == ("nearest", None, "")


def test_a_value_published_for_one_truncated_decimal(tmp_path: Path) -> None:
    path = place(tmp_path, "P-n16-k8.vrp")
    (tmp_path / "index.csv").write_text(f"{HEAD}P-n16-k8.vrp,P,CVRP,EUC_2D truncated to 1 decimal (DIMACS),449.1\n")
    assert read(path).rounding == "tenths"


def test_a_rounded_value_is_not_compared_with_unrounded_costs(tmp_path: Path) -> None:
    path = place(tmp_path, "berlin52.tsp")
    (tmp_path / "index.csv").write_text(f"{HEAD}berlin52.tsp,berlin52,TSP,EUC_2D,7542\n")
    assert read(path).best_known == 7542
    assert read(path, rounding="none").best_known is None


def test_a_solution_beside_the_file_is_measured_again(tmp_path: Path) -> None:
    path = place(tmp_path, "berlin52.tsp", "berlin52.opt.tour")
    assert read(path).best_known == 7542
    assert read(path).best_known_source == f"{tmp_path / 'berlin52.opt.tour'} (cost recomputed)"
    assert read(path, rounding="none").best_known == pytest.approx(7544.3659)


def test_a_solution_that_is_broken_or_too_heavy_counts_for_nothing(tmp_path: Path) -> None:
    path = place(tmp_path, "P-n16-k8.vrp")
    path.write_text(path.read_text().replace("Optimal value", "trucks"))
    (tmp_path / "P-n16-k8.sol").write_text("Route #1: 1 2 3\nCost 1\n")
    assert read(path).best_known is None
    (tmp_path / "P-n16-k8.sol").write_text(f"Route #1: {' '.join(map(str, range(1, 16)))}\nCost 1\n")
    assert read(path).best_known is None


def test_loads_may_be_off_by_rounding(tmp_path: Path) -> None:
    path = tmp_path / "sum.vrp"
    path.write_text(
        "DIMENSION : 3\nCAPACITY : 0.3\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 4\n3 3 4\n"
        "DEMAND_SECTION\n1 0\n2 0.1\n3 0.2\nDEPOT_SECTION\n1\n-1\nEOF\n"
    )
    (tmp_path / "sum.sol").write_text("Route #1: 1 2\nCost 10\n")
    assert 0.1 + 0.2 > 0.3 and read(path).best_known == 10


def test_the_comment_comes_last(tmp_path: Path) -> None:
    path = place(tmp_path, "P-n16-k8.vrp")
    assert (read(path).best_known, read(path).best_known_source) == (450, "COMMENT of the file")
    assert read(path, rounding="none").best_known is None


@pytest.mark.parametrize(
    ("comment", "value"),
    [
        ("(Augerat et al, No of trucks: 5, Optimal value: 784)", 784),
        ("(Augerat et al, Min no of trucks: 4, Best value: 724)", 724),
        ("Optimum: 12", 12),
        ("best known solution = 99", 99),
        ("Best value: 524.61", None),  # published for other distances than these whole ones
        ("Optimal value: 1,234", None),
        ("5627.54", None),
        ("best known lower bound: 12", None),
        ("Optimal tour: 1 2 3 4 5 6", None),
        ("optimal order : 1 2 3", None),
        ("the best 52 places", None),
        ("seeds 3, optimal for nobody", None),
    ],
)
def test_words_of_a_comment(tmp_path: Path, comment: str, value: float | None) -> None:
    path = tmp_path / "two.tsp"
    text = f"COMMENT : {comment}\nDIMENSION : 2\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 1 1\n"
    path.write_text(text)
    assert read(path).best_known == value


@pytest.mark.parametrize(
    "index", [b"", b"\0\1\2\n\0", b"name,value\nberlin52,1\n", b'path,best_known\n"gr17.tsp,', b"\xff\xfe"]
)
def test_a_strange_index_is_passed_over(tmp_path: Path, index: bytes) -> None:
    path = place(tmp_path, "gr17.tsp")
    (tmp_path / "index.csv").write_bytes(index)
    assert read(path).best_known is None


def test_a_row_without_a_value_leaves_the_solution_beside_the_file(tmp_path: Path) -> None:
    path = place(tmp_path, "eil51.tsp", "eil51.opt.tour")
    (tmp_path / "index.csv").write_text(f"{HEAD}eil51.tsp,eil51,TSP,EUC_2D,\n")
    assert read(path).best_known == 426
