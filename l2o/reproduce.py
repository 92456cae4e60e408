"""``l2o reproduce``: the experiments of "MDP homomorphic networks" (van der Pol and others, 2020) and "Multi-agent MDP
homomorphic networks" (2022), trained anew.

Every arm is trained over many seeds, each run in a process of its own and kept as it is finished, so that a killed
reproduction goes on where it was. Then learning curves are drawn and a table is printed beside the paper's figures.

Learning rates are those of :data:`TASKS`, one for each arm: for CartPole and Grid World the authors', where the
augmented arm has that of the plain one and the group CNN that of the equivariant one. Which are best is found by giving
several: each arm is then trained at each of them, and has a row in the table for each.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import pkgutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2o.problems.instance import Floats, InvalidInstance
from l2o.workers import begin

if TYPE_CHECKING:
    import lightning

    from l2o.actor_critic import ActorCritic

POINTS = 200
"""Of a learning curve."""
SILENCE = 300.0
"""Seconds after which a run that is not finished says how far it is."""


@dataclass(frozen=True)
class Task:
    """One experiment."""

    worlds: str
    """The class of environments, or the name of one of Gymnasium's."""
    models: str
    """The module that has its network and its symmetry, by the name of the task."""
    steps: int
    """Of the environments together, for each run."""
    seeds: int
    environments: int
    episodes: int
    """A curve shows the mean of the last so many returns."""
    solved: float
    """Return from which on it counts as learned."""
    settings: dict[str, Any]
    """Of :class:`l2o.actor_critic.Settings`."""
    rates: dict[str, float]
    """Its arms, and the learning rate of each. ``augmented`` is the ordinary network, shown every minibatch after
    random elements of the group; the others are kinds of weights."""
    paper: dict[str, str] = field(default_factory=dict)
    """Steps that the paper's curves take, read off by eye; arms that are missing were not, or not to be read."""
    told_from: int = 0
    """Steps of each environment before which curves say nothing: only short episodes have ended by then."""
    needs: dict[str, str] = field(default_factory=lambda: {"gymnasium": "rl"})
    """Packages, and the extra that brings each."""


TASKS = {
    "cartpole": Task(
        worlds="CartPole-v1",
        models="l2o.models.homomorphic",
        steps=40_000,
        seeds=25,
        environments=4,
        episodes=10,
        solved=475.0,
        paper={"equivariant": "8,500", "plain": "18,000", "nullspace": "20,000 to 25,000", "random": "30,000"},
        settings={"steps": 64, "passes": 10, "parts": 4, "entropy": 0.0},
        rates={"equivariant": 1e-2, "nullspace": 5e-3, "random": 1e-3, "plain": 1e-3, "augmented": 1e-3},
    ),
    "gridworld": Task(
        worlds="l2o.problems.gridworld:GridWorlds",
        models="l2o.models.homomorphic",
        # The paper's arms take up to 550,000; here the slowest of one run each took 40,000.
        steps=100_000,
        seeds=20,
        environments=16,
        episodes=50,
        solved=0.0,
        paper={"equivariant": "150,000", "nullspace": "270,000", "random": "380,000", "plain": "550,000"},
        settings={"steps": 16, "trace": 1.0},
        rates={
            "equivariant": 1e-3,
            "nullspace": 3e-3,
            "random": 1e-3,
            "plain": 3e-3,
            "augmented": 3e-3,
            "group-cnn": 1e-3,
        },
    ),
    "pong": Task(
        worlds="l2o.problems.pong:Pong",
        models="l2o.models.homomorphic",
        steps=2_000_000,
        seeds=3,
        environments=16,
        episodes=20,
        solved=0.0,
        settings={"steps": 16, "trace": 1.0},
        rates=dict.fromkeys(("equivariant", "nullspace", "random", "plain", "augmented"), 5e-4),
        needs={"gymnasium": "atari", "ale_py": "atari"},
    ),
    # A null space has three times the weights: these arms shall differ in nothing but symmetry.
    "wildlife": Task(
        worlds="l2o.problems.wildlife:Drones",
        models="l2o.models.fleet",
        steps=50_000,
        seeds=15,
        environments=16,
        episodes=100,
        solved=1.5,
        told_from=100,
        settings={"steps": 32, "passes": 4, "parts": 4},
        rates=dict.fromkeys(("equivariant", "random", "plain", "augmented"), 1e-3),
    ),
    "traffic": Task(
        worlds="l2o.problems.traffic:Junctions",
        models="l2o.models.fleet",
        steps=50_000,
        seeds=15,
        environments=16,
        episodes=20,
        solved=-0.3,
        told_from=120,
        settings={"steps": 32, "passes": 4, "parts": 4},
        rates=dict.fromkeys(("equivariant", "random", "plain", "augmented"), 1e-3),
    ),
}
Variant = tuple[str, float]
"""An arm and its learning rate."""


@dataclass(frozen=True)
class Run:
    """One arm with one seed."""

    task: str
    arm: str
    seed: int
    rate: float
    steps: int
    folder: Path

    @property
    def path(self) -> Path:
        """Where its returns are kept."""
        return self.folder / f"{self.task}-{self.arm}-{self.rate:g}-{self.seed}-{self.steps}.json"


def train(run: Run) -> Run:
    """Train and keep ``[[steps, return], ...]`` of all episodes."""
    import warnings

    import lightning
    import torch

    from l2o.actor_critic import ActorCritic, Seen, Settings
    from l2o.train import silence

    torch.set_num_threads(1)
    silence()
    torch.manual_seed(run.seed)
    task = TASKS[run.task]
    models = import_module(task.models)
    kind = "plain" if run.arm == "augmented" else run.arm
    network = getattr(models, run.task)(kind, torch.Generator().manual_seed(run.seed))
    symmetry = getattr(models, f"{run.task}_symmetry")()

    def augment(generator: torch.Generator, seen: Seen, action: torch.Tensor) -> tuple[Seen, torch.Tensor]:
        element = torch.randint(symmetry.order, (len(action),), generator=generator)
        return symmetry.seen(element, seen), symmetry.acted(element, action)

    module = ActorCritic(
        network,
        environments(task),
        Settings(rate=run.rate, **task.settings),
        seed=run.seed,
        augment=augment if run.arm == "augmented" else None,
    )
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[_course(run)],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, itertools.count())
    unready = run.path.with_suffix(".part")
    unready.write_text(json.dumps(module.returns))
    unready.replace(run.path)
    return run


def _course(run: Run) -> lightning.Callback:
    """Ends it when its steps are played; now and then a line on standard error."""
    from lightning.pytorch.callbacks import LambdaCallback

    told = [time.monotonic()]

    def on_train_batch_end(trainer: lightning.Trainer, module: ActorCritic, *_: Any) -> None:
        # Not after so many roll-outs: steps that only begin an episode are none.
        trainer.should_stop = module.played >= run.steps
        if time.monotonic() - told[0] > SILENCE:
            told[0] = time.monotonic()
            last = [earned for _, earned in module.returns[-TASKS[run.task].episodes :]]
            mean = f", last returns {np.mean(last):.2f}" if last else ""
            print(f"{run.path.stem}: {module.played:,} steps{mean}", file=sys.stderr, flush=True)

    return LambdaCallback(on_train_batch_end=on_train_batch_end)


def environments(task: Task) -> Any:
    """So many as it wants, vectorised."""
    if ":" in task.worlds:
        return pkgutil.resolve_name(task.worlds)(task.environments)
    import gymnasium

    return gymnasium.make_vec(task.worlds, task.environments, vectorization_mode="vector_entry_point")


def reproduce(
    name: str,
    folder: Path,
    *,
    arms: tuple[str, ...] = (),
    rates: tuple[float, ...] = (),
    seeds: int | None = None,
    steps: int | None = None,
    processes: int,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> str:
    """Train what is not there yet, draw ``curves.png``, and give back the table in Markdown.

    ``arms`` are all of the task's unless given; with ``rates`` each is trained at each of them.

    Raises:
        InvalidInstance: unknown arms, rates that are none, or a package is missing.
    """
    task = TASKS[name]
    task = replace(task, seeds=seeds or task.seeds, steps=steps or task.steps)
    for arm in arms:
        if arm not in task.rates:
            raise InvalidInstance(f"found arm {arm!r}, expected one of {', '.join(task.rates)}; choose another")
    for rate in rates:
        if not 0 < rate < 1:
            raise InvalidInstance(f"found learning rate {rate:g}, expected a number between 0 and 1; choose another")
    for package, extra in task.needs.items():
        if find_spec(package) is None:
            raise InvalidInstance(f"found no {package}, which this experiment needs; pip install 'l2o[{extra}]'")
    folder.mkdir(parents=True, exist_ok=True)
    variants = list(dict.fromkeys((arm, rate) for arm in arms or task.rates for rate in rates or (task.rates[arm],)))
    # Seed by seed, so that what there is of a reproduction that was not finished has all arms.
    runs = [Run(name, arm, seed, rate, task.steps, folder) for seed in range(task.seeds) for arm, rate in variants]
    todo = [run for run in runs if not run.path.exists()]
    say(f"{len(runs)} runs of {task.steps:,} steps, {len(runs) - len(todo)} of them there already")
    started, others = time.monotonic(), multiprocessing.active_children()
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=begin)
    try:
        for count, done in enumerate(as_completed([pool.submit(train, run) for run in todo]), start=1):
            left = (time.monotonic() - started) / count * (len(todo) - count)
            say(f"{count} of {len(todo)}: {done.result().path.name}, {left / 60:,.0f} min to go")
    except BaseException:
        # Whoever presses Ctrl-C does not want to wait for the runs that have begun.
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    curves = {v: np.stack([curve(run, task) for run in runs if (run.arm, run.rate) == v]) for v in variants}
    draw(curves, task, folder / "curves.png")
    return table(curves, task)


def curve(run: Run, task: Task) -> Floats:
    """``[POINTS]`` mean return of the last episodes, at even steps; NaN before the first has ended.

    Raises:
        InvalidInstance: the run is too short to tell of.
    """
    returns = json.loads(run.path.read_text())
    at, earned = np.array([step for step, _ in returns]), np.array([value for _, value in returns])
    found = np.full(POINTS, np.nan)
    for i, step in enumerate(grid(task)):
        ended = int(np.searchsorted(at, step, side="right"))
        if ended and step >= task.told_from * task.environments:
            found[i] = earned[max(0, ended - task.episodes) : ended].mean()
    if np.isnan(found[-1]):
        raise InvalidInstance(f"found too few steps in {run.path.name} for episodes to end; take more")
    return found


def quartiles(found: Floats) -> Floats:
    """``[3, POINTS]`` over the seeds of ``found [seeds, POINTS]``; NaN where none is told."""
    result = np.full((3, POINTS), np.nan)
    told = ~np.isnan(found).all(axis=0)
    result[:, told] = np.nanpercentile(found[:, told], [25, 50, 75], axis=0)
    return result


def grid(task: Task) -> Floats:
    """Steps at which curves are told."""
    return np.linspace(task.steps / POINTS, task.steps, POINTS)


def table(curves: dict[Variant, Floats], task: Task) -> str:
    """Steps until the median over the seeds counts as learned, and the last returns."""
    lines = [
        "| arm | rate | seeds | steps until the median has learned | by the paper's curves | learned | last return |",
        "|---" * 7 + "|",
    ]
    for (arm, rate), found in curves.items():
        told = np.nan_to_num(found, nan=-np.inf)
        reached = np.flatnonzero(np.median(told, axis=0) >= task.solved)
        steps = f"{grid(task)[reached[0]]:,.0f}" if len(reached) else f"not in {task.steps:,}"
        learned = int((told >= task.solved).any(axis=1).sum())
        low, middle, high = quartiles(found)[:, -1]
        lines.append(
            f"| {arm} | {rate:g} | {len(found)} | {steps} | {task.paper.get(arm, '')} | "
            f"{learned} of {len(found)} | {middle:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return "\n".join(lines)


def draw(curves: dict[Variant, Floats], task: Task, path: Path) -> None:
    """Medians and quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 4), layout="constrained")
    for (arm, rate), found in curves.items():
        low, middle, high = quartiles(found)
        label = arm if rate == task.rates[arm] else f"{arm}, rate {rate:g}"
        (line,) = axes.plot(grid(task), middle, label=label)
        axes.fill_between(grid(task), low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel="steps", ylabel="return")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
