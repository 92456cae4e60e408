"""``l2o reproduce``: runs are kept and not repeated, tables and curves are made, wrong names are one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import l2o as package
from l2o.problems.instance import InvalidInstance
from l2o.reproduce import POINTS, TASKS, Run, curve, table, train

ROOT = Path(package.__file__).parents[1]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "l2o", "reproduce", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)


@pytest.mark.parametrize("task", ["cartpole", "gridworld"])
def test_a_short_reproduction_and_its_continuation(task: str, tmp_path: Path) -> None:
    words = (task, "-o", tmp_path, "--arms", "equivariant,augmented", "--steps", 2_000, "--processes", 1)
    done = run(*words, "--seeds", 1)
    assert done.returncode == 0, done.stderr
    assert "2 runs of 2,000 steps, 0 of them there" in done.stderr
    assert done.stdout.count("| equivariant |") == done.stdout.count("| augmented |") == 1
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    done = run(*words, "--seeds", 2)
    assert "4 runs of 2,000 steps, 2 of them there" in done.stderr
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    returns = json.loads(next(iter(kept)).read_text())
    steps = [step for step, _ in returns]
    assert steps == sorted(steps) and steps[0] > 0 and steps[-1] <= 2_500


def test_curves_are_means_of_the_last_episodes(tmp_path: Path) -> None:
    task = TASKS["cartpole"]
    one = Run("cartpole", "plain", 0, 1e-3, task.steps, tmp_path)
    one.path.write_text(json.dumps([[300, 10.0], [500, 20.0], [20_000, 600.0]]))
    found = curve(one, task)
    assert len(found) == POINTS and np.isnan(found[0]) and found[1] == 10.0
    assert found[2] == 15.0 and found[-1] == pytest.approx(210.0)
    lines = table({"plain": np.stack([found, np.full(POINTS, 480.0)])}, task).splitlines()
    assert "| 1 of 2 |" in lines[2] and "18,000" in lines[2]


@pytest.mark.parametrize(("task", "arm"), [("wildlife", "augmented"), ("traffic", "equivariant")])
def test_fleets_are_trained_as_well(task: str, arm: str, tmp_path: Path) -> None:
    done = train(Run(task, arm, 0, 1e-3, 500, tmp_path))
    returns = json.loads(done.path.read_text())
    # One roll-out, in which some poachers are trapped, and not all cars have come yet.
    assert all(0 < step <= 512 for step, _ in returns) and bool(returns) == (task == "wildlife")


def test_curves_begin_where_long_episodes_can_have_ended(tmp_path: Path) -> None:
    task = TASKS["wildlife"]
    one = Run("wildlife", "plain", 0, 1e-3, task.steps, tmp_path)
    one.path.write_text(json.dumps([[20, 2.0], [1_600, -5.0], [30_000, 4.6]]))
    found = curve(one, task)
    assert np.isnan(found[:6]).all() and found[6] == -1.5 and found[-1] == pytest.approx(1.6 / 3)
    assert "not in 50,000" in table({"plain": found[None]}, task).splitlines()[2]
    for returns, steps in (([], 50_000), ([[20, 2.0]], 1_000)):
        one.path.write_text(json.dumps(returns))
        with pytest.raises(InvalidInstance, match="too few steps"):
            curve(one, replace(task, steps=steps))


def test_wrong_names_are_one_line(tmp_path: Path) -> None:
    wrong = [(task, "--arms", arm, "-o", tmp_path) for task, arm in (("cartpole", "magic"), ("traffic", "nullspace"))]
    for words, expected in ((["chess"], "cartpole"), *((words, "equivariant") for words in wrong)):
        done = run(*words)
        assert done.returncode == 2 and expected in done.stderr and len(done.stderr.splitlines()) == 1
