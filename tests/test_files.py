"""From any file to an instance or to one line that says what is wrong with it."""

import csv
import gzip
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l2o import source
from l2o.files import read, read_solution
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Unsupported
from l2o.solutions import length

DATA = Path(__file__).parent / "data"
BENCHMARKS = os.environ.get("L2O_DATA")


def benchmark_rows() -> list[dict[str, str]]:
    if BENCHMARKS is None:
        return []
    with (Path(BENCHMARKS) / "index.csv").open(newline="") as stream:
        return [row for row in csv.DictReader(stream) if not row["path"].startswith("neural")]


SOLVED = [row for row in benchmark_rows() if row["problem"] in ("TSP", "ATSP", "CVRP")]
NOT_SOLVED = [row for row in benchmark_rows() if row not in SOLVED]
needs_benchmarks = pytest.mark.skipif(BENCHMARKS is None, reason="set L2O_DATA to the folder of benchmark files")
SEVERAL_DEPOTS = "tsplib-vrp/gil262.vrp"


@needs_benchmarks
def test_every_benchmark_file_reads_and_its_solution_costs_what_is_published() -> None:
    root, measured = Path(BENCHMARKS or ""), 0
    for row in SOLVED:
        if row["path"] == SEVERAL_DEPOTS:
            continue
        instance = read(root / row["path"])
        best_known = float(row["best_known"]) if row["best_known"] else None
        assert (instance.n, instance.problem) == (int(row["n"]), row["problem"].lower()), row["path"]
        assert instance.best_known == best_known, row["path"]
        assert instance.metric == row["edge_weight_type"].split("/")[0].split()[0], row["path"]
        if row["solution_path"]:
            cost = length(instance, read_solution(root / row["solution_path"], instance))
            # Values for unrounded distances are published with four decimals, rounded or cut.
            assert best_known == pytest.approx(cost, rel=0, abs=1e-3 if instance.rounding == "none" else 0), row["path"]
            measured += 1
    assert measured > 150


@needs_benchmarks
@pytest.mark.parametrize("path", [row["path"] for row in NOT_SOLVED] + ([SEVERAL_DEPOTS] if SOLVED else []))
def test_benchmarks_of_other_problems_are_refused(path: str) -> None:
    with pytest.raises(InvalidInstance, match="found") as raised:
        read(Path(BENCHMARKS or "") / path)
    assert "\n" not in str(raised.value)
    if not path.endswith(".txt"):  # Solomon's and Li & Lim's texts have no keywords to name
        assert isinstance(raised.value, Unsupported)


def big_text(n: int) -> str:
    points = np.random.default_rng(0).uniform(-1e6, 1e6, size=(n, 2))
    rows = "".join(f"{i} {x:.5e} {y:.5e}\n" for i, (x, y) in enumerate(points, start=1))
    return f"TYPE : TSP\nDIMENSION : {n}\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n{rows}EOF\n"


def least_seconds(action: Callable[[], object]) -> float:
    """The shortest of five runs."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def test_86_000_nodes_are_read_about_as_fast_as_python_splits_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "big.tsp"
    path.write_text(big_text(86_000))
    assert read(path).n == 86_000
    rows = path.read_text().splitlines()[4:-1]
    plain = least_seconds(lambda: [[float(x) for x in row.split()] for row in rows])
    assert least_seconds(lambda: read(path)) < 2 * plain


def test_gzip_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    packed = gzip.compress((DATA / "eil51.tsp").read_bytes())
    for name in ("eil51.tsp.gz", "eil51.tsp"):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name).n == 51
    (tmp_path / "points.csv.gz").write_bytes(gzip.compress(b"1,2\n3,4\n"))
    assert read(tmp_path / "points.csv.gz").name == "points"


def from_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Instance:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return read("-")


def test_standard_input_tells_tsplib_from_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = from_stdin(monkeypatch, (DATA / "burma14.tsp").read_bytes())
    assert (instance.name, instance.n, instance.metric, instance.source) == ("burma14", 14, "GEO", "stdin")
    instance = from_stdin(monkeypatch, b"x,y\n1,2\n3,4\n5,6")
    assert (instance.name, instance.n, instance.metric, instance.rounding) == ("stdin", 3, "EUC_2D", "none")
    with pytest.raises(InvalidInstance, match="stdin:1: found DIMENSION: '0'"):
        from_stdin(monkeypatch, b"DIMENSION : 0\n")
    with pytest.raises(InvalidInstance, match="stdin: found no coordinates"):
        from_stdin(monkeypatch, b"")


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda text: text.replace("\n", "\r")])
def test_standard_input_in_other_dialects(change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_stdin(monkeypatch, change((DATA / "berlin52.tsp").read_text()).encode()).n == 52


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidInstance, match="found no standard input"):
        read("-")


def test_a_file_of_many_says_who_solves_many(tmp_path: Path) -> None:
    for name, text in (("a.txt", "0 0 1 1 2 2 output 1 2 3 1\n"), ("b.jsonl", '{"coords": [[0, 0], [1, 1]]}\n')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInstance, match=f"{name}: found no section of TSPLIB.*l2o solve-many"):
            read(tmp_path / name)


def test_rounding_can_be_chosen() -> None:
    assert read(DATA / "berlin52.tsp").rounding == "nearest"
    assert read(DATA / "berlin52.tsp", rounding="tenths").rounding == "tenths"
    with pytest.raises(InvalidInstance, match="found rounding 'up', expected one of none, nearest"):
        read(DATA / "berlin52.tsp", rounding="up")


def test_a_byte_order_mark_and_latin_letters_do_no_harm(tmp_path: Path) -> None:
    text = (DATA / "gr17.tsp").read_bytes().replace(b"COMMENT:", b"COMMENT: M\xfcnchen")
    (tmp_path / "gr17.tsp").write_bytes(b"\xef\xbb\xbf" + text)
    assert read(tmp_path / "gr17.tsp").n == 17


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, r"no readable file \(no such file or directory\)"),
    "directory": (lambda path: path.mkdir(), r"no readable file \(is a directory\)"),
    "loop": (lambda path: path.symlink_to(path), "no readable file"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"NAME : x\n" * 99)[:-12]), "damaged gzip data"),
    "gzip_head": (lambda path: path.write_bytes(b"\x1f\x8b" + b"x" * 99), "damaged gzip data"),
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "utf16": (lambda path: path.write_bytes("NAME : x\n".encode("utf-16")), "binary data"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read(tmp_path: Path, kind: str) -> None:
    prepare, words = UNREADABLE[kind]
    prepare(tmp_path / "x.tsp")
    with pytest.raises(InvalidInstance, match=words) as raised:
        read(tmp_path / "x.tsp")
    assert str(raised.value).startswith(f"{tmp_path / 'x.tsp'}:")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["Route #1: 1 2\nRoute #2: 3\nCost 9\n", "\n\n route 1 : 1 2\n", "NAME : x\nTYPE : TOUR\nTOUR_SECTION\n1\n-1\n"],
)
def test_a_solution_in_place_of_an_instance(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.sol").write_text(text)
    with pytest.raises(
        InvalidInstance, match=r"x\.sol: found a solution, expected an instance; give it with --initial"
    ):
        read(tmp_path / "x.sol")


def test_a_path_with_a_zero_byte() -> None:
    with pytest.raises(InvalidInstance, match="zero byte"):
        read("x\0y.tsp")


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable to root")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "x.tsp").touch(mode=0)
    with pytest.raises(InvalidInstance, match="permission denied"):
        read(tmp_path / "x.tsp")


def test_ten_gigabytes_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.tsp"
    with path.open("wb") as stream:
        stream.write(b"TYPE : TSP\nDIMENSION : 9")
        stream.truncate(10 << 30)  # a hole: it takes no room on the disk
    begin = time.perf_counter()
    with pytest.raises(InvalidInstance, match="found more than 512 MiB"):
        read(path)
    assert time.perf_counter() - begin < 1  # to read it would take many


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LARGEST_FILE", 1 << 20)
    (tmp_path / "x.tsp").write_bytes(gzip.compress(b"1 " * (1 << 20)))
    with pytest.raises(InvalidInstance, match="found more than 1 MiB"):
        read(tmp_path / "x.tsp")


def test_a_long_dimension_is_refused_fast(tmp_path: Path) -> None:
    (tmp_path / "x.tsp").write_text("TYPE : TSP\nDIMENSION : " + "9" * 20_000_000)
    begin = time.perf_counter()
    with pytest.raises(InvalidInstance, match=r"x\.tsp:2: found DIMENSION: '9{40}\.\.\.'"):
        read(tmp_path / "x.tsp")
    assert time.perf_counter() - begin < 2


SOLUTIONS = [(DATA / name).read_bytes() for name in ("eil51.opt.tour", "ulysses16.opt.tour", "P-n16-k8.sol")]
MATERIAL = [
    (DATA / name).read_bytes()
    for name in ("burma14.tsp", "gr17.tsp", "bayg29.tsp", "eil7.vrp", "P-n16-k8.vrp", "ulysses16.tsp")
]
WORDS = [
    b"",
    b"-1",
    b"0",
    b"1e400",
    b"nan",
    b"TYPE : CVRP",
    b"99999999999999999999",
    b"\0",
    b"\xff",
    b"1_0",
    b"EOF",
    b":",
    b"x",
]


@st.composite
def damaged(draw: st.DrawFn, material: list[bytes]) -> bytes:
    """A real file after a few accidents."""
    data = draw(st.sampled_from(material))
    for _ in range(draw(st.integers(1, 4))):
        accident = draw(st.sampled_from(["cut", "drop", "repeat", "swap", "word", "byte", "insert"]))
        lines = data.split(b"\n")
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        if accident == "cut":
            data = data[: draw(st.integers(0, len(data)))]
        elif accident == "byte":
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=8)) + data[at + draw(st.integers(0, 8)) :]
        else:
            if accident == "drop":
                del lines[i]
            elif accident == "repeat":
                lines.insert(j, lines[i])
            elif accident == "swap":
                lines[i], lines[j] = lines[j], lines[i]
            elif accident == "insert":
                lines.insert(i, draw(st.sampled_from(WORDS)))
            elif words := lines[i].split():
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
                lines[i] = b" ".join(words)
            data = b"\n".join(lines)
    return data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=damaged(MATERIAL) | st.binary(max_size=300), suffix=st.sampled_from([".tsp", ".csv", ".npy"]))
def test_damaged_files_give_an_instance_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"x{suffix}"
    path.write_bytes(data)
    try:
        instance = read(path)
    except (InvalidInstance, Infeasible) as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
        assert len(str(error)) < len(str(path)) + 400
    else:
        nodes = np.arange(instance.n)
        assert np.isfinite(instance.distance(nodes[:, None], nodes)).all()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=damaged(SOLUTIONS) | st.binary(max_size=300), name=st.sampled_from(["eil51.tsp", "P-n16-k8.vrp"]))
def test_damaged_solutions_give_whole_routes_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x.sol"
    path.write_bytes(data)
    instance = read(DATA / name)
    try:
        routes = read_solution(path, instance)
    except InvalidInstance as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
    else:
        first = 0 if instance.demand is None else 1
        assert sorted(node for route in routes for node in route) == list(range(first, instance.n))
