"""``l2o reproduce``: runs are kept and not repeated, tables and curves are made, wrong words are one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import l2o as package
from l2o.problems.gridworld import GridWorlds
from l2o.problems.instance import InvalidInstance
from l2o.reproduce import POINTS, TASKS, Run, curve, reproduce, table, train

ROOT = Path(package.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(*words: object) -> list[str]:
    # What runs in the background of a shell is born deaf to Ctrl-C, and so are its children.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{hearing}\nfrom l2o.cli import main\nmain()"
    return [sys.executable, "-c", program, "reproduce", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, env=ENVIRONMENT, timeout=200)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc which processes there are")
def test_a_killed_reproduction_goes_on_where_it_was(tmp_path: Path) -> None:
    words = ("cartpole", "-o", tmp_path, "--arms", "equivariant,augmented", "--steps", 1_000, "--processes", 1)
    deadline, kept = time.monotonic() + 300, 0
    many = 40  # more runs than there is time for before the signal
    for number in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(
            command(*words, "--seeds", many // 2), stderr=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            while len(list(tmp_path.glob("*.json"))) == kept and time.monotonic() < deadline:
                time.sleep(0.05)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [int(pid) for pid in children]
            # A terminal sends Ctrl-C to all of them.
            for pid in (*workers, process.pid) if number == signal.SIGINT else (process.pid,):
                os.kill(pid, number)
            said = process.communicate(timeout=100)[1].decode()
        assert process.returncode == (130 if number == signal.SIGINT else -number)
        assert f"{many} runs of 1,000 steps, {kept} of them there" in said and "Traceback" not in said
        while any(Path(f"/proc/{pid}").is_dir() for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert workers and not any(Path(f"/proc/{pid}").is_dir() for pid in workers)
        before, kept = kept, len(list(tmp_path.glob("*.json")))
        assert before < kept < many

    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    whole = kept + kept % 2 + 2
    done = run(*words, "--seeds", whole // 2)
    assert done.returncode == 0, done.stderr
    assert f"{whole} runs of 1,000 steps, {kept} of them there" in done.stderr and "Warning" not in done.stderr
    assert f"{whole - kept} of {whole - kept}: " in done.stderr
    assert all(path.stat().st_mtime_ns == before for path, before in times.items())
    assert done.stdout.count("| equivariant |") == done.stdout.count("| augmented |") == 1
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert len(list(tmp_path.iterdir())) == whole + 1
    for path in tmp_path.glob("*.json"):
        steps = [step for step, _ in json.loads(path.read_text())]
        assert steps == sorted(steps) and steps[0] > 0 and steps[-1] < 1_000 + 4 * 64


@pytest.mark.parametrize(("task", "arm"), [("pong", "augmented"), ("gridworld", "group-cnn")])
def test_other_runs_are_made_and_tell_how_far_they_are(
    task: str, arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TASKS, task, replace(TASKS[task], environments=2))
    monkeypatch.setattr("l2o.reproduce.SILENCE", 0.0)
    made = train(Run(task, arm, 0, 1e-3, 160, tmp_path))
    returns = json.loads(made.path.read_text())
    # A game of Pong takes longer than that.
    assert not returns if task == "pong" else returns
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"{task}-{arm}-0.001-0-160: ") and 160 <= int(lines[-1].split()[1]) < 160 + 32


def test_steps_that_only_begin_an_episode_are_not_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TASKS, "gridworld", replace(TASKS["gridworld"], environments=2))
    monkeypatch.setattr("l2o.reproduce.SILENCE", 0.0)
    monkeypatch.setattr(GridWorlds, "longest", 3)
    train(Run("gridworld", "plain", 0, 1e-3, 160, tmp_path))
    told = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines()]
    # Of a roll-out of 32 steps at least every fourth begins an episode.
    assert told[-2] < 160 <= told[-1] and len(told) >= 6


def test_curves_are_means_of_the_last_episodes(tmp_path: Path) -> None:
    task = TASKS["cartpole"]
    one = Run("cartpole", "plain", 0, 1e-3, task.steps, tmp_path)
    one.path.write_text(json.dumps([[300, 10.0], [500, 20.0], [20_000, 600.0]]))
    found = curve(one, task)
    assert len(found) == POINTS and np.isnan(found[0]) and found[1] == 10.0
    assert found[2] == 15.0 and found[-1] == pytest.approx(210.0)
    lines = table({("plain", 1e-3): np.stack([found, np.full(POINTS, 480.0)])}, task).splitlines()
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
    assert "not in 50,000" in table({("plain", 1e-3): found[None]}, task).splitlines()[2]
    for returns, steps in (([], 50_000), ([[20, 2.0]], 1_000)):
        one.path.write_text(json.dumps(returns))
        with pytest.raises(InvalidInstance, match="too few steps"):
            curve(one, replace(task, steps=steps))


def test_arms_are_compared_at_several_rates(tmp_path: Path) -> None:
    for rate, last in ((1e-3, 100.0), (2e-3, 490.0)):
        for seed in range(2):
            path = Run("cartpole", "plain", seed, rate, 1_000, tmp_path).path
            path.write_text(json.dumps([[200, 20.0], [600, last]] if seed else [[990, last]]))
    arguments: dict[str, Any] = {"seeds": 2, "steps": 1_000, "processes": 1, "say": lambda text: None}
    made = reproduce("cartpole", tmp_path, arms=("plain", "plain"), rates=(1e-3, 2e-3), **arguments).splitlines()[2:]
    assert [line.split("|")[2].strip() for line in made] == ["0.001", "0.002"]
    assert "60.00 (60.00 to 80.00)" not in made[0] and "| 80.00 (70.00 to 90.00) |" in made[0]
    # Before its first episode has ended, a run has learned nothing.
    assert "| not in 1,000 | 18,000 | 0 of 2 |" in made[0] and "| not in 1,000 | 18,000 | 1 of 2 |" in made[1]
    usual = reproduce("cartpole", tmp_path, arms=("plain",), **arguments).splitlines()[2:]
    assert usual == made[:1]


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2o.reproduce.find_spec", lambda name: None if name == "ale_py" else name)
    with pytest.raises(InvalidInstance, match=r"found no ale_py.*pip install 'l2o\[atari\]'"):
        reproduce("pong", tmp_path, processes=1)
    monkeypatch.setattr("l2o.reproduce.find_spec", lambda name: None)
    with pytest.raises(InvalidInstance, match=r"found no gymnasium.*pip install 'l2o\[rl\]'"):
        reproduce("cartpole", tmp_path, processes=1)


def test_wrong_words_are_one_line(tmp_path: Path) -> None:
    for words, expected in (
        (["chess"], "pong"),
        (["cartpole", "--arms", "group-cnn", "-o", tmp_path], "equivariant"),
        (["traffic", "--arms", "nullspace", "-o", tmp_path], "equivariant"),
        (["cartpole", "--rates", "fast", "-o", tmp_path], "0.001,0.003"),
        (["cartpole", "--rates", "0.001,3", "-o", tmp_path], "between 0 and 1"),
    ):
        done = run(*words)
        assert done.returncode == 2 and expected in done.stderr and len(done.stderr.splitlines()) == 1
