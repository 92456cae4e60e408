"""``solve-many``: every instance once, checked costs, and a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import l2o as package
from l2o.files import read
from l2o.many import distinct, finished
from l2o.problems import rules
from l2o.problems.instance import Instance, InvalidInstance

DATA = Path(__file__).parent / "data"
ROOT = Path(package.__file__).parents[1]


def run(*words: object, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, env=environment(), timeout=timeout)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "l2o", "solve-many", *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def check(instance: Instance, line: dict[str, object]) -> None:
    """The cost is what the problem's own check says of the routes."""
    at = {int(node): i for i, node in enumerate(instance.ids)}
    routes = line["routes"]
    assert isinstance(routes, list)
    found = tuple(tuple(at[node] for node in route) for route in routes)
    assert rules.find(instance.problem).check(instance, found) == pytest.approx(line["cost"])


def test_a_folder_of_many_sizes_and_problems(tmp_path: Path) -> None:
    # No weights ship for the one before the last.
    names = ("berlin52.tsp", "eil51.tsp", "gr17.tsp", "P-n16-k8.vrp", "br17.atsp", "eil7.vrp")
    for name in names:
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    (tmp_path / "broken.tsp").write_text("DIMENSION : many")
    output = tmp_path / "out.jsonl"
    done = run(tmp_path, "-o", output, "-t", 0.5, "--processes", 2)
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stderr and "broken.tsp" in done.stderr
    instances = {instance.name: instance for instance in (read(tmp_path / name) for name in names)}
    found = lines(output)
    assert sorted(str(line["instance"]) for line in found) == sorted(instances)
    for line in found:
        check(instances[str(line["instance"])], line)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    words = ("uniform:12x24", "-o", output, "-t", 0.3, "--batch", 4, "--processes", 1)
    process = subprocess.Popen(command(*words), env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    begun = time.monotonic()
    while not (output.exists() and len(output.read_bytes().splitlines()) >= 4):
        assert process.poll() is None and time.monotonic() - begun < 100
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = output.read_text()
    assert len(before.splitlines()) < 24
    # As if the kill had come in the middle of a line.
    output.write_text(before + '{"instance": "uniform-12-')
    done = run(*words)
    assert done.returncode == 0 and " of them solved before" in done.stderr
    assert output.read_text().startswith(before)
    names = [line["instance"] for line in lines(output)]
    assert sorted(map(str, names)) == sorted(f"uniform-12-{number}" for number in range(1, 25))


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_ray_finds_the_same(tmp_path: Path) -> None:
    outputs = [tmp_path / f"{engine}.jsonl" for engine in ("ray", "processes")]
    for output in outputs:
        engine = output.stem
        done = run("uniform:15x6", "-o", output, "--no-improve", "--batch", 3, "--engine", engine, timeout=300)
        assert done.returncode == 0, done.stderr
    ray, processes = ({line["instance"]: line["cost"] for line in lines(output)} for output in outputs)
    assert ray == processes and len(ray) == 6


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install(tmp_path: Path) -> None:
    done = run("uniform:5x1", "-o", tmp_path / "out.jsonl", "--engine", "ray", "-q")
    assert done.returncode == 2 and "pip install 'l2o[ray]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_files_of_many_instances_are_told_apart() -> None:
    one = [read(DATA / "gr17.tsp")]
    taken = replace(one[0], name=f"{one[0].name}#2")
    names = [instance.name for instance in distinct([*one, *one, taken, *one])]
    assert len(set(names)) == len(names)


def test_another_file_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    for text in ('{"some": "thing"}\n', "no json\n", "[1]\n", '{"valuable": "data", "without": "an end"}', "x"):
        other.write_text(text)
        with pytest.raises(InvalidInstance, match=r"other.jsonl:1: found no line of solve-many"):
            finished(other)
        assert other.read_text() == text
    assert finished(tmp_path / "none.jsonl") == {}
    (tmp_path / "device.jsonl").symlink_to("/dev/null")
    with pytest.raises(InvalidInstance, match="found no file"):
        finished(tmp_path / "device.jsonl")


def test_another_instance_of_the_name_is_not_taken_for_solved(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    first = ("--no-improve", "-o", output)
    assert run("uniform:5x2", *first).returncode == 0
    assert run("uniform:5x2", *first).returncode == 0
    for words, found in (
        (("cvrp/uniform:5x2",), "problem tsp, expected cvrp"),
        (("uniform:5x2", "--seed", 7), "seed 0, expected 7"),
    ):
        done = run(*words, *first)
        assert done.returncode == 2 and found in done.stderr and "give another file" in done.stderr
    assert len(output.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["absent.tsp", "-o", "out.jsonl"], "absent.tsp"),
        (["uniform:5x1", "-o", "out.csv"], ".jsonl"),
        (["uniform:5x1", "-o", "out.jsonl", "--engine", "steam"], "steam"),
        (["uniform:5x1", "-o", "out.jsonl", "--model", "cvrp"], "leave out --model"),
        (["uniform:5x1"], "--output"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words, "-q")
    assert done.returncode == 2 and expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
