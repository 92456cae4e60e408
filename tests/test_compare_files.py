"""`l2o compare` as users run it: a real process, its tables, its files, its exit codes."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
BERLIN = str(DATA / "berlin52.tsp")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l2o", "compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_tables_and_files(tmp_path: Path) -> None:
    sources = [str(DATA / "ulysses16.tsp"), str(DATA / "P-n16-k8.vrp"), "uniform:12x2"]
    options = ["--solvers", "ortools,insertion,nearest", "--time-limit", "1.5", "--seed", "5"]
    outputs = [tmp_path / "rows.csv", tmp_path / "all.json"]
    done = run(*sources, *options, "-o", outputs[0], "-o", outputs[1])
    assert done.returncode == 0, done.stderr

    with outputs[0].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["instance"] for row in rows[::3]] == ["ulysses16", "P-n16-k8", "uniform-12-1", "uniform-12-2"]
    assert [row["solver"] for row in rows] == ["ortools", "insertion", "nearest"] * 4
    assert (rows[0]["cost"], rows[0]["best_known"], rows[0]["gap"]) == ("6859.0", "6859.0", "0.0")
    assert [row["status"] for row in rows[3:6]] == ["ok", "skipped", "ok"] and "tours" in rows[4]["reason"]
    for row in rows:
        if row["status"] == "ok" and row["best_known"]:
            gap = 100 * (float(row["cost"]) / float(row["best_known"]) - 1)
            assert math.isclose(float(row["gap"]), gap, abs_tol=1e-9) and row["gap_to"] == "best known"
    assert {row["gap_to"] for row in rows[6:]} == {"best found"}

    document = json.loads(outputs[1].read_text())
    assert document["time_limit"] == "1.5 s" and document["seed"] == 5 and document["threads"] == 1
    assert document["versions"]["ortools"] and document["hardware"] and "fresh process" in document["seconds_count"]
    assert [row["instance"] for row in document["rows"]] == [row["instance"] for row in rows]
    summary = {line["solver"]: line for line in document["summary"]}
    assert (summary["insertion"]["solved"], summary["insertion"]["skipped"]) == (3, 1)
    assert summary["ortools"]["wins"] == 4 and summary["ortools"]["worst"] < 1e-6

    table = done.stdout.split("\n\n")
    assert table[0].startswith(
        "1.5 s per solve, counting from the start of a fresh process to its end; 1 thread; seed 5"
    )
    assert table[1].splitlines()[1].split()[:4] == ["ulysses16", "16", "6,859", "0.00"]
    assert table[2].splitlines()[1].split()[:8] == ["ortools", "4", "0", "0", "0.00", "0.00", "0.00", "4"]
    assert table[3].startswith("only the instances that all of them solved: 3 of 4")
    assert "gaps of 2 of 4 instances are to the best cost found here" in table[4]
    progress = done.stderr.splitlines()
    assert progress[1].startswith("[1/12] ulysses16  ortools  cost 6,859  gap 0.00 %")


def test_an_index_with_filters_in_one_process(tmp_path: Path) -> None:
    for name in ("berlin52.tsp", "eil51.tsp", "gr17.tsp"):
        shutil.copy(DATA / name, tmp_path)
    (tmp_path / "index.csv").write_text(
        "path,set,name,problem,n,edge_weight_type,best_known\nberlin52.tsp,s,berlin52,TSP,52,EUC_2D,5000\n"
        "eil51.tsp,s,eil51,TSP,51,EUC_2D,400\ngr17.tsp,s,gr17,TSP,17,EXPLICIT,2085\n"
    )
    done = run(
        tmp_path, "--set", "s", "--metric", "EUC_2D", "--min-n", "52", "--solvers", "nearest", "--in-process", "--quiet"
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "counting the solve alone" in done.stdout
    assert "berlin52" in done.stdout and "5,000" in done.stdout
    assert "eil51" not in done.stdout and "gr17" not in done.stdout


def test_without_weights_search_goes_on_and_the_policy_is_skipped(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    words = ["--solvers", "l2o,policy,ortools", "--in-process", "--time-limit", "2", "--quiet", "-o", str(rows)]
    assert run(DATA / "br17.atsp", *words).returncode == 0
    with rows.open(newline="") as stream:
        found = {row["solver"]: row for row in csv.DictReader(stream)}
    assert found["l2o"]["cost"] == found["ortools"]["cost"] == "39.0"
    assert found["policy"]["status"] == "skipped" and "no weights ship" in found["policy"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([BERLIN, "--solvers", "ortool"], "did you mean 'ortools'"),
        ([BERLIN, "--solvers", ","], "expected at least one"),
        (["unifrom:10x2", "--solvers", "nearest"], "'unifrom'"),
        (["no-such-file.tsp", "--solvers", "nearest"], "no-such-file.tsp"),
        ([BERLIN, "--solvers", "nearest", "--min-n", "53"], "no instance that passes the filters"),
        ([BERLIN, "--solvers", "nearest", "-o", "rows.txt"], "expected one of .csv, .json"),
        ([BERLIN, "--solvers", "policy", "--model", "no-such-model"], "no-such-model"),
        ([BERLIN, "--time-limit", "inf"], "inf"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("l2o: error: ") and message in done.stderr


def test_ctrl_c_prints_what_is_there(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    command = [sys.executable, "-m", "l2o", "compare", BERLIN, str(DATA / "eil51.tsp"), "-t", "60"]
    command += ["--solvers", "nearest,search", "-o", str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and process.stdout is not None
        while not process.stderr.readline().startswith("[1/4]"):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        out = process.stdout.read()
        assert process.wait(timeout=30) == 130
    assert "interrupted" in out and "berlin52" in out and "eil51" not in out
    with output.open(newline="") as stream:
        assert [row["solver"] for row in csv.DictReader(stream)] == ["nearest"]
