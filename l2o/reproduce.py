"""``l2o reproduce``: the experiments of "MDP homomorphic networks" (van der Pol and others, 2020) and "Multi-agent MDP
homomorphic networks" (2022), trained anew.

Every arm is trained over many seeds, each run in a process of its own and kept as it is finished, so that a killed
reproduction goes on where it was. Then learning curves are drawn and a table is printed beside the paper's figures.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import pkgutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from l2o.problems.instance import Floats, InvalidInstance

POINTS = 200
"""Of a learning curve."""


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
    """Steps that the paper's curves take, read off by eye."""
    told_from: int = 0
    """Steps of each environment before which curves say nothing: only short episodes have ended by then."""


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
        rates={"equivariant": 1e-3, "nullspace": 1e-3, "random": 1e-3, "plain": 1e-3, "augmented": 1e-3},
    ),
    "gridworld": Task(
        worlds="l2o.problems.gridworld:GridWorlds",
        models="l2o.models.homomorphic",
        steps=600_000,
        seeds=20,
        environments=16,
        episodes=100,
        solved=0.0,
        paper={"equivariant": "150,000", "nullspace": "270,000", "random": "380,000", "plain": "550,000"},
        settings={"steps": 16, "trace": 1.0},
        rates={"equivariant": 1e-3, "nullspace": 1e-3, "random": 1e-3, "plain": 1e-3, "augmented": 1e-3},
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
        rates={"equivariant": 1e-3, "random": 1e-3, "plain": 1e-3, "augmented": 1e-3},
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
        rates={"equivariant": 1e-3, "random": 1e-3, "plain": 1e-3, "augmented": 1e-3},
    ),
}


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
    rollouts = math.ceil(run.steps / (task.environments * module.settings.steps))
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, torch.utils.data.DataLoader(range(rollouts), batch_size=None))  # type: ignore[arg-type]
    unready = run.path.with_suffix(".part")
    unready.write_text(json.dumps(module.returns))
    unready.replace(run.path)
    return run


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
    arms: tuple[str, ...] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    processes: int,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> str:
    """Train what is not there yet, draw ``curves.png``, and give back the table in Markdown.

    Raises:
        InvalidInstance: unknown arms, or Gymnasium is missing.
    """
    task = TASKS[name]
    task = replace(task, seeds=seeds or task.seeds, steps=steps or task.steps)
    arms = arms or tuple(task.rates)
    unknown = [arm for arm in arms if arm not in task.rates]
    if unknown:
        raise InvalidInstance(f"found arm {unknown[0]!r}, expected one of {', '.join(task.rates)}; choose another")
    if find_spec("gymnasium") is None:
        raise InvalidInstance("found no Gymnasium, which these experiments need; pip install 'l2o[rl]'")
    folder.mkdir(parents=True, exist_ok=True)
    runs = [Run(name, arm, seed, task.rates[arm], task.steps, folder) for seed in range(task.seeds) for arm in arms]
    todo = [run for run in runs if not run.path.exists()]
    say(f"{len(runs)} runs of {task.steps:,} steps, {len(runs) - len(todo)} of them there already")
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for count, done in enumerate(as_completed([pool.submit(train, run) for run in todo]), start=1):
            say(f"{count} of {len(todo)}: {done.result().path.name}")
    curves = {arm: np.stack([curve(run, task) for run in runs if run.arm == arm]) for arm in arms}
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


def table(curves: dict[str, Floats], task: Task) -> str:
    """Steps until the median over the seeds counts as learned, and the last returns."""
    lines = [
        "| arm | rate | seeds | steps until the median has learned | by the paper's curves | learned | last return |",
        "|---" * 7 + "|",
    ]
    for arm, found in curves.items():
        low, middle, high = quartiles(found)
        reached = np.flatnonzero(middle >= task.solved)
        steps = f"{grid(task)[reached[0]]:,.0f}" if len(reached) else f"not in {task.steps:,}"
        learned = int((np.nan_to_num(found, nan=-np.inf) >= task.solved).any(axis=1).sum())
        lines.append(
            f"| {arm} | {task.rates[arm]:g} | {len(found)} | {steps} | {task.paper.get(arm, '')} | "
            f"{learned} of {len(found)} | {middle[-1]:.2f} ({low[-1]:.2f} to {high[-1]:.2f}) |"
        )
    return "\n".join(lines)


def draw(curves: dict[str, Floats], task: Task, path: Path) -> None:
    """Medians and quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for arm, found in curves.items():
        low, middle, high = quartiles(found)
        (line,) = axes.plot(grid(task), middle, label=arm)
        axes.fill_between(grid(task), low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel="steps", ylabel="return")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
