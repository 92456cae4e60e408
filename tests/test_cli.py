"""The command line from outside: real processes, exit codes, one-line errors, files written, signals."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import l2o as package
from l2o import __version__, checkpoint, heuristics, models, problems
from l2o.files import read
from l2o.models import local, vehicles
from l2o.recipe import Budget, Recipe

DATA = Path(__file__).parent / "data"
ROOT = Path(package.__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
"""Also from another folder, the package that is tested is the one that is run."""
HEAVY = ("torch", "lightning", "ortools", "numba", "matplotlib", "scipy", "torch_geometric", "rich.live")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with untrained weights for each problem."""
    folder = tmp_path_factory.mktemp("weights")
    for name in problems.names():
        rules = problems.find(name)
        recipe = Recipe(
            problem=name, budget=Budget(minutes=1), model=vehicles.Config() if rules.fleet else local.Config()
        )
        torch.manual_seed(0)
        checkpoint.save(folder / name, models.policy(recipe.model, rules), recipe, {})
    return folder


def l2o(*arguments: object, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l2o", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=timeout, env=ENVIRONMENT)


def refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on standard error that starts as all do, has all ``words``, and nothing else."""
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("l2o: error: ")
    for word in words:
        assert word in line, line


def coordinates(file: Path) -> dict[int, tuple[float, float]]:
    """Of a TSPLIB or VRPLIB file, read by the simplest means."""
    section = file.read_text().split("NODE_COORD_SECTION")[1]
    rows = re.findall(r"^\s*(\d+)\s+(\S+)\s+(\S+)\s*$", re.split(r"EOF|DEMAND_SECTION", section)[0], re.MULTILINE)
    return {int(node): (float(x), float(y)) for node, x, y in rows}


def length(at: dict[int, tuple[float, float]], tour: list[int]) -> int:
    """EUC_2D, closed."""
    return sum(math.floor(math.dist(at[a], at[b]) + 0.5) for a, b in zip(tour, tour[1:] + tour[:1], strict=True))


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom l2o.cli import main\nsys.argv = ['l2o', *sys.argv[1:]]\n"
        f"try:\n    main()\nfinally:\n    print([m for m in {HEAVY!r} if m in sys.modules], len(sys.modules) < 600,"
        " file=sys.stderr)"
    )
    for arguments in ([], ["--help"], ["solve", "--help"], ["--version"]):
        result = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=ENVIRONMENT
        )
        assert (result.returncode, result.stderr) == (0, "[] True\n")  # it takes as long as what it loads
        assert (f"l2o {__version__}" if arguments == ["--version"] else "Usage") in result.stdout


BERLIN, BAYS = DATA / "berlin52.tsp", DATA / "bays29.tsp"
SMALL_CVRP = DATA / "P-n16-k8.vrp"

BAD: dict[str, tuple[list[object], list[str]]] = {
    "no file": (["solve"], ["Missing argument", "--help"]),
    "no such command": (["sovle"], ["sovle"]),
    "no such option": (["solve", BERLIN, "--time", 3], ["--time"]),
    "absent": (["solve", "absent.tsp"], ["absent.tsp", "no such file"]),
    "folder": (["solve", DATA], [str(DATA), "directory"]),
    "picture": (["solve", Path(__file__)], ["test_cli.py"]),
    "negative time": (["solve", BERLIN, "--time-limit", -1], ["--time-limit", "-1"]),
    "endless time": (["solve", BERLIN, "--time-limit", "inf"], ["--time-limit", "inf"]),
    "no time at all": (["solve", BERLIN, "--time-limit", "soon"], ["--time-limit"]),
    "no start": (["solve", BERLIN, "--starts", 0], ["--starts"]),
    "negative samples": (["solve", BERLIN, "--samples", -1], ["--samples"]),
    "negative seed": (["solve", BERLIN, "--seed", -1], ["--seed"]),
    "no threads": (["solve", BERLIN, "--threads", 0], ["--threads"]),
    "rounding": (["solve", BERLIN, "--rounding", "up"], ["--rounding", "'up'", "nearest", "ceil"]),
    "device": (["solve", BERLIN, "--device", "abacus"], ["--device", "abacus"]),
    "model": (["solve", BERLIN, "--model", "tps"], ["'tps'"]),
    "suffix": (["solve", BERLIN, "-o", "tour.pdf"], ["tour.pdf", ".tour", ".svg"]),
    "no suffix": (["solve", BERLIN, "-o", "tour"], ["tour", ".sol"]),
    "no such folder": (["solve", BERLIN, "-o", "absent/x.tour"], ["absent"]),
    "wrong kind": (["solve", BERLIN, "-o", "x.sol"], ["x.sol", ".tour"]),
    "other wrong kind": (["solve", SMALL_CVRP, "-o", "x.tour"], ["x.tour", ".sol"]),
    "no vehicles": (["solve", BERLIN, "--vehicles", 0], ["--vehicles", "equal to 1"]),
    "more vehicles than customers": (
        ["verify", BERLIN, "--vehicles", 52],
        ["berlin52", "52 vehicles for 51 customers"],
    ),
    "vehicles within a capacity": (["plot", SMALL_CVRP, "--vehicles", 2], ["P-n16-k8", "2 vehicles for a cvrp"]),
    "tour of a fleet": (["solve", BERLIN, "--vehicles", 2, "-o", "x.tour"], ["x.tour", ".sol"]),
    "same output": (["solve", BERLIN, BAYS, "-o", "x.tour"], ["x.tour", "{name}"]),
    "output twice": (["solve", BERLIN, "-o", "x.tour", "-o", "x.tour"], ["x.tour", "twice"]),
    "output twice by other words": (["solve", BERLIN, "-o", "x.tour", "-o", "./y/../x.tour"], ["x.tour"]),
    "same name": (["solve", BERLIN, "other/berlin52.tsp", "-o", "{name}.tour"], ["berlin52.tour", "twice", "by turns"]),
    "long output": (["solve", BERLIN, "-o", "x" * 300 + ".tour"], ["name too long"]),
    "long model": (["solve", BERLIN, "--model", "x" * 300], ["neither a shipped one"]),
    "standard input twice": (["solve", "-", "--initial", "-"], ["- twice"]),
    "initial absent": (["solve", BERLIN, "--initial", "absent.tour"], ["absent.tour"]),
    "initial of another": (["solve", BERLIN, "--initial", DATA / "bays29.opt.tour"], ["bays29.opt.tour", "expected"]),
    "plot without folder": (["plot", BERLIN, "-o", "absent/x.png"], ["absent"]),
    "plot as tour": (["plot", BERLIN, "-o", "x.tour"], ["x.tour", ".png"]),
    "plot of another": (["plot", BERLIN, DATA / "bays29.opt.tour"], ["bays29.opt.tour", "expected"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[case]
    refused(l2o(*arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_infeasible_says_why(tmp_path: Path) -> None:
    file = tmp_path / "full.vrp"
    file.write_text(re.sub(r"CAPACITY\s*:\s*\d+", "CAPACITY : 30", SMALL_CVRP.read_text()))
    refused(l2o("solve", file), 3, "customer", "31", "capacity 30")


def test_an_infeasible_start_is_refused(tmp_path: Path, weights: Path) -> None:
    start = tmp_path / "start.sol"
    start.write_text("Route #1: " + " ".join(map(str, range(1, 16))) + "\n")
    refused(
        l2o("solve", SMALL_CVRP, "--initial", start, "--model", weights / "cvrp"),
        3,
        "start.sol",
        "route 1",
        "capacity is 35",
    )


def documents(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_tours_in_json_and_in_files(tmp_path: Path, weights: Path) -> None:
    options = ["--model", weights / "tsp", "--no-improve", "--starts", 3, "--samples", 4, "--seed", 7, "--json", "-q"]
    outputs = [word for suffix in ("tour", "json", "png", "svg") for word in ("-o", tmp_path / f"{{name}}.{suffix}")]
    result = l2o("solve", BERLIN, "absent.tsp", BAYS, "-", *options, *outputs, stdin="0,0\n0,1\n1,1\n1,0\n")
    assert result.returncode == 2
    assert re.fullmatch(r"l2o: error: absent.tsp: .*\n", result.stderr)
    berlin, bays, square = documents(result)

    at = coordinates(BERLIN)
    (tour,) = berlin["routes"]
    assert sorted(tour) == list(range(1, 53))
    assert berlin["cost"] == length(at, tour) and isinstance(berlin["cost"], int)
    assert berlin["gap"] == pytest.approx(100 * (berlin["cost"] / 7542 - 1))
    assert (berlin["instance"], berlin["problem"], berlin["n"], berlin["best_known"]) == ("berlin52", "tsp", 52, 7542)
    assert (berlin["model"], berlin["seed"], berlin["version"]) == ("tsp", 7, __version__)
    assert "policy" in berlin["solver"] and 0 < berlin["seconds"] < 60
    assert berlin["trace"][-1][1] == berlin["cost"]
    assert all(0 < seconds <= berlin["seconds"] + 0.001 for seconds, _ in berlin["trace"])
    assert (bays["instance"], bays["n"]) == ("bays29", 29)
    assert (square["instance"], square["cost"], square["best_known"], square["gap"]) == ("stdin", 4, None, None)

    assert json.loads((tmp_path / "berlin52.json").read_text()) == berlin
    assert (tmp_path / "bays29.png").read_bytes()[:4] == b"\x89PNG"
    assert "berlin52" in (tmp_path / "berlin52.svg").read_text()
    written = (tmp_path / "berlin52.tour").read_text().split("TOUR_SECTION")[1].split("-1")[0].split()
    assert [int(node) for node in written] == tour
    assert len(list(tmp_path.iterdir())) == 12

    (again,) = documents(l2o("solve", BERLIN, *options))
    assert {**again, "seconds": 0, "trace": 0} == {**berlin, "seconds": 0, "trace": 0}


def test_routes_in_a_summary_and_in_a_file(tmp_path: Path, weights: Path) -> None:
    output = tmp_path / "out.sol"
    result = l2o("solve", SMALL_CVRP, "--model", weights / "cvrp", "--iterations", 300, "-o", output, "--threads", 2)
    assert result.returncode == 0, result.stderr
    routes = [[int(c) for c in line.split(":")[1].split()] for line in re.findall("Route .*", output.read_text())]
    at = coordinates(SMALL_CVRP)
    demand = dict(re.findall(r"^(\d+) (\d+)\s*$", SMALL_CVRP.read_text().split("DEMAND_SECTION")[1], re.MULTILINE))
    assert sorted(customer for route in routes for customer in route) == list(range(1, 16))
    assert all(sum(int(demand[str(customer + 1)]) for customer in route) <= 35 for route in routes)
    cost = sum(length(at, [1, *(customer + 1 for customer in route)]) for route in routes)
    assert f"Cost {cost}" in output.read_text()
    assert 450 <= cost < 475
    for line in (f"cost        {cost}", "best known  450, gap", f"routes      {len(routes)}", f"written to  {output}"):
        assert line in result.stdout
    assert "policy, greedy" in result.stderr and "\x1b" not in result.stderr


def test_costs_that_depend_on_the_direction(tmp_path: Path) -> None:
    file, tour = DATA / "br17.atsp", tmp_path / "br17.tour"
    (document,) = documents(l2o("solve", file, "--time-limit", 60, "--json", "-q", "-o", tour, timeout=200))
    assert (document["problem"], document["cost"], document["bound"], document["model"]) == ("atsp", 39, 39, None)
    again = l2o("solve", file, "--initial", tour, "--iterations", 0, "--json", "-q")
    assert documents(again)[0]["cost"] == 39
    refused(l2o("solve", file, "--samples", 1), 2, "no weights ship for problem 'atsp'", "--model")
    refused(l2o("solve", file, "--vehicles", 2), 2, "br17", "2 vehicles for a atsp")
    recipe = Path(__file__).parents[1] / "recipes" / "tsp.toml"
    refused(l2o("train", recipe, "--set", "problem=atsp", "-o", tmp_path / "run"), 2, "'atsp'")


def test_a_fleet_on_every_command(tmp_path: Path, weights: Path) -> None:
    file, routes_file, rows_file = tmp_path / "berlin.vrp", tmp_path / "out.sol", tmp_path / "rows.json"
    file.write_text(BERLIN.read_text().replace("TYPE: TSP", "TYPE: MTSP\nVEHICLES: 3"))
    at = coordinates(BERLIN)

    def longest(routes: list[list[int]]) -> int:
        return max(length(at, [1, *route]) for route in routes)

    model = ["--model", weights / "mtsp"]
    result = l2o("solve", file, *model, "--no-improve", "--samples", 1, "--json", "-q", "-o", routes_file)
    (document,) = documents(result)
    assert (document["problem"], document["vehicles"], document["best_known"]) == ("mtsp", 3, None)
    assert sorted(node for route in document["routes"] for node in route) == list(range(2, 53))
    assert document["cost"] == longest(document["routes"]) and len(document["routes"]) == 3
    text = routes_file.read_text()
    written = [[int(c) + 1 for c in line.split(":")[1].split()] for line in re.findall("Route .*", text)]
    assert written == document["routes"] and f"Cost {document['cost']}" in text

    # What ships for it has to be named, as search does better without.
    (searched,) = documents(l2o("solve", file, "--time-limit", 2, "--json", "-q"))
    assert searched["cost"] == longest(searched["routes"]) < document["cost"] and searched["model"] is None
    refused(l2o("solve", file, "--samples", 1), 2, "'mtsp' is left to search", "--model mtsp-reinforce")
    (shipped,) = documents(l2o("solve", file, "--model", "mtsp-reinforce", "--no-improve", "--json", "-q"))
    assert shipped["cost"] == longest(shipped["routes"]) and shipped["model"] == "mtsp-reinforce"

    picture = l2o("plot", BERLIN, routes_file, "--vehicles", 3, "-o", tmp_path / "x.svg")
    assert picture.returncode == 0 and "3 routes" in (tmp_path / "x.svg").read_text()

    verified = l2o("verify", DATA / "ulysses16.tsp", "--vehicles", 2, *model, "--trials", 1)
    assert verified.returncode == 0 and "renumbering" in verified.stdout, verified.stdout + verified.stderr

    solvers = ["--vehicles", 3, "--solvers", "nearest,ortools,savings", "-t", 0.5, "--in-process", "-q"]
    # Something may have to be compiled.
    filters = ["--problem", "MTSP", "--metric", "euc_2d"]
    compared = l2o("compare", BERLIN, *solvers, *filters, "-o", rows_file, timeout=300)
    assert compared.returncode == 0, compared.stderr
    rows = {row["solver"]: row for row in json.loads(rows_file.read_text())["rows"]}
    assert [row["status"] for row in rows.values()] == ["ok", "ok", "skipped"]
    # What it begins with; on a busy machine it may not get far.
    most = longest([[node + 1 for node in route] for route in heuristics.shared_out(read(file))])
    assert 3070 <= rows["ortools"]["cost"] <= most


def test_a_good_start_is_kept_and_a_known_one_ends_at_once(tmp_path: Path, weights: Path) -> None:
    start = DATA / "eil51.opt.tour"
    command = ["solve", DATA / "eil51.tsp", "--initial", start, "--model", weights / "tsp", "--json", "--quiet"]
    (document,) = documents(l2o(*command, "--time-limit", 0))
    assert (document["cost"], document["gap"], document["solver"]) == (426, 0, "initial solution")


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """Lines of standard error up to the one with ``word``."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if word in line:
            return seen
    raise AssertionError(f"{word!r} never came, but: {seen}")


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "policy, greedy"), (signal.SIGINT, "compiling"), (signal.SIGTERM, "local search")],
)
def test_a_signal_ends_the_search_with_what_was_found(
    number: signal.Signals, moment: str, tmp_path: Path, weights: Path
) -> None:
    instance, output = tmp_path / "random.csv", tmp_path / "out.tour"
    n = 300 if moment != "policy, greedy" else 6000
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 10_000, (n, 2), generator=generator).tolist()
    instance.write_text("".join(f"{x},{y}\n" for x, y in rows))
    command = [sys.executable, "-m", "l2o", "solve", instance, "--model", weights / "tsp", "-t", "100", "-o", output]
    command += ["--starts", "1"] if moment == "policy, greedy" else []
    environment = ENVIRONMENT if moment != "compiling" else {**ENVIRONMENT, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        wait_for(process, moment)
        sent = time.monotonic()
        process.send_signal(number)
        summary, _ = process.communicate(timeout=30)
        assert time.monotonic() - sent < 10
    finally:
        process.kill()
    assert process.returncode == 130
    tour = [int(node) for node in output.read_text().split("TOUR_SECTION")[1].split("-1")[0].split()]
    assert sorted(tour) == list(range(1, n + 1))
    at = {node: (float(x), float(y)) for node, (x, y) in enumerate(rows, start=1)}
    cost = math.fsum(math.dist(at[a], at[b]) for a, b in zip(tour, tour[1:] + tour[:1], strict=True))
    assert f"cost        {cost:,.7g}" in summary


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_was_found_is_told_though_one_place_has_no_room(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "full.json").symlink_to("/dev/full")
    outputs = ("-o", tmp_path / "full.json", "-o", tmp_path / "x.tour")
    done = l2o("solve", BERLIN, "--model", weights / "tsp", "--no-improve", "-q", *outputs)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "full.json" in done.stderr
    assert "cost" in done.stdout and "x.tour" in done.stdout and "full.json" not in done.stdout
    assert (tmp_path / "x.tour").exists()
    command = [sys.executable, "-m", "l2o", "solve", BERLIN, "--model", weights / "tsp", "--no-improve", "-q"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(list(map(str, command)), stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert done.returncode == 2 and "no space left to write to" in done.stderr and done.stderr.count("\n") == 1


def test_names_that_are_no_text(tmp_path: Path, weights: Path) -> None:
    file = tmp_path / os.fsdecode(b"Z\xfcrich.tsp")
    file.write_text(re.sub(r"NAME.*\n", "NAME : \u5317\u4eac\x1b[31m\n", BERLIN.read_text()))
    output = tmp_path / "{name}.tour"
    command = [
        sys.executable,
        "-m",
        "l2o",
        "solve",
        file,
        "--model",
        weights / "tsp",
        "--no-improve",
        "-q",
        "-o",
        output,
    ]
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "latin-1:strict"}
    done = subprocess.run(list(map(str, command)), capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\\u5317\\u4eac[31m: tsp")
    assert len(list(tmp_path.glob("*.tour"))) == 1


def test_nobody_reads_the_answer(weights: Path) -> None:
    command = [sys.executable, "-m", "l2o", "solve", BERLIN, "--model", weights / "tsp", "--no-improve", "--quiet"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        result = subprocess.run(
            [str(word) for word in command], stdout=pipe, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    assert (result.returncode, result.stderr) == (1, "")
