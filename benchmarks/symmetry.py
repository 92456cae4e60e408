"""Does symmetry by construction learn from fewer examples? Learning curves of policies that differ in it.

``python benchmarks/symmetry.py [--problem tsp] [--minutes 10] [--seeds 5] [--side-by-side 2] [--arm NAME]...`` trains
every arm on uniform maps of 50 nodes from scratch, first with three learning rates or more and one seed each, then with
the best of them and more seeds, each run on one thread, whose minutes are those of the processor. Runs are kept in
``benchmarks/results/symmetry/`` and their curves in ``benchmarks/curves/``; what is finished is not repeated. Then it
prints tables in Markdown and writes plots to ``docs/``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from l2o import problems
from l2o import recipe as recipes
from l2o.construct import construct
from l2o.heuristics import nearest_neighbour
from l2o.improve import improve
from l2o.join import QUICK, SHARE, Gumbel, join
from l2o.learner import Learner
from l2o.memory import keep_freed_memory
from l2o.models.fragments import Policy as Joins
from l2o.problems.base import Completes, Graph, Problem
from l2o.train import train

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "symmetry"
CURVES = ROOT / "benchmarks" / "curves"
DOCS = ROOT / "docs"

STARTS = 16
TURNED = {"data": {"turned": True}}
ATTENTION = {"kind": "attention"}
WALK: dict[str, Any] = {"data": {"starts": STARTS}}
JOIN: dict[str, Any] = {
    "method": "completion",
    "model": {"kind": "fragments"},
    "data": {"starts": 1, "decisions": 4800},
    "improvement": {"begins": 8, "steps": 20, "passes": 5},
}
ARMS: dict[str, list[dict[str, Any]]] = {
    "walks, invariant": [WALK],
    "walks, raw coordinates": [WALK, {"model": {"raw": True}}],
    "walks, raw, turned maps": [WALK, {"model": {"raw": True}}, TURNED],
    "walks, EGNN encoded once": [
        WALK,
        {"model": {**ATTENTION, "encoder": "egnn", "width": 64, "hidden": 32}, "compile": False},
    ],
    "walks, attention model": [WALK, {"model": ATTENTION, "compile": False}],
    "joins, invariant": [JOIN],
    "joins, raw coordinates": [JOIN, {"model": {"raw": True}}],
    "joins, raw, turned maps": [JOIN, {"model": {"raw": True}}, TURNED],
}
"""Settings of each arm, later ones on top of earlier ones. Walks learn by REINFORCE, joins from their completions.

Networks are compiled where that lets them see more: shapes that change from one decision to the next do not allow it.
"""
KICKS = {"tsp": 0.3, "cvrp": 5.0}
"""Of local search, for each node left, that completes what joins have begun."""
LONG = {"tsp": 60, "cvrp": 600}
"""Kicks of the searches that give the references, for each node."""
RATES = {"walks": (5e-4, 1e-3, 2e-3), "joins": (2e-3, 4e-3, 8e-3)}
"""To begin with; more are tried where the best is the largest or the least."""
NODES, MAPS_MEASURED, POINTS = 50, 64, 10
TARGETS = (5.0, 3.0, 2.0)


ALONG = {"tsp": ("one", "best"), "cvrp": ("one",)}
"""What is measured along the curve; all else at its end alone, as many routes take minutes."""


def references(problem: Problem, graph: Graph) -> Tensor:
    """``[B]`` costs of long local searches: of 50 nodes, all but a few tours are optimal, routes 0.3 % too long."""
    costs, kicks = [], LONG[problem.name] * graph.n
    for i in range(len(graph.pos)):
        instance = graph.instance(problem.name, i)
        routes = improve(instance, nearest_neighbour(instance), deadline=math.inf, seed=0, iterations=kicks)
        costs.append(problem.cost(instance, routes))
    return torch.tensor(costs, dtype=torch.float64)


def kept_references(problem: Problem, graph: Graph) -> Tensor:
    """The same, searched for once for all runs."""
    path = RESULTS / f"references-{problem.name}-{LONG[problem.name]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two runs may begin at once: what one has half written must not be read by the other.
        unready = path.with_suffix(f".{os.getpid()}")
        unready.write_text(json.dumps(references(problem, graph).tolist()))
        unready.replace(path)
    return torch.tensor(json.loads(path.read_text()), dtype=torch.float64)


EIGHT = [
    torch.tensor(rows, dtype=torch.float32)
    for rows in (
        [[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]],
        [[-1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1], [-1, 0]],
    )
]  # fmt: skip
"""The symmetries of the square."""


def built(problem: Problem, policy: Any, graph: Graph, count: int) -> Tensor:
    """``[B, count]`` costs: a greedy construction, or ``count`` from as many starts, or as many samples of joins."""
    row = torch.arange(len(graph.pos)).repeat_interleave(count)
    if isinstance(policy, Joins):
        noise = Gumbel(torch.Generator().manual_seed(0)) if count > 1 else None
        share = SHARE if noise is None else QUICK
        joined = join(cast(Completes, problem), policy, graph.at(row), share=share, noise=noise)
        assert joined is not None
        return joined.cost.double().view(-1, count)
    walked = construct(problem, policy, graph, row, problem.starts(graph, count).flatten())
    assert walked is not None
    return walked.cost.double().view(-1, count)


@torch.no_grad()
def gaps(problem: Problem, policy: Any, graph: Graph, reference: Tensor, *, count: int = 1, copies: int = 1) -> float:
    """Mean percent above ``reference [B]`` of the best of ``count`` constructions of each of so many turned copies."""
    # Maps in three dimensions are not turned: the first of the eight is the map itself.
    turned = [graph, *(Graph(graph.pos @ turn, graph.demand) for turn in EIGHT[1:copies])]
    best = torch.cat([built(problem, policy, seen, count) for seen in turned], dim=1).amin(dim=1)
    return float(((best / reference - 1) * 100).mean())


KINDS: dict[str, dict[str, int]] = {"one": {}, "best": {"count": STARTS}, "eight": {"copies": 8}}
"""What is measured, and what it asks of ``gaps``."""


class Measure(Callback):
    """Gaps of the averaged weights, at times that are the denser the earlier, written to ``curve.json``."""

    def __init__(self, problem: Problem, folder: Path, *, augmented: bool) -> None:
        self.problem, self.folder, self.augmented = problem, folder, augmented
        self.graph = problem.sample(torch.Generator().manual_seed(31_000), MAPS_MEASURED, NODES, "uniform")
        self.reference = kept_references(problem, self.graph)
        self.points: list[dict[str, float]] = []
        self.along = set(ALONG[problem.name])

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        policy = module.averaged.module
        if isinstance(policy, Joins) and module.recipe.compile:
            # Measuring takes longer than learning otherwise; in float32 it changes no digit that is shown.
            policy.compile(dynamic=True)

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        if module.progress() < min(1.0, ((len(self.points) + 1) / POINTS) ** 3):
            return
        module.on_validation_start()
        policy = module.averaged.module
        point = {"minutes": module.seconds / 60, "instances": module.instances}
        ends = module.progress() >= 1
        for key, more in KINDS.items():
            if (ends or key in self.along) and (self.augmented or key != "eight"):
                point[key] = gaps(self.problem, policy, self.graph, self.reference, **more)
        if point.get("best", math.inf) <= min(TARGETS):
            # Of joins this takes ten times as long as they learn for, and nothing more is asked of it before the end.
            self.along.discard("best")
        self.points.append(point)
        (self.folder / "curve.json").write_text(json.dumps(self.points))
        module.on_validation_end()


def folder_of(problem: str, arm: str, rate: float, seed: int, minutes: float) -> Path:
    """Where one run is kept."""
    return RESULTS / f"{problem}-{arm.replace(' ', '-').replace(',', '')}-{rate:g}-{seed}-{minutes:g}min"


def curve_path(folder: Path) -> Path:
    """Where the curve of a finished run is kept."""
    return CURVES / f"{folder.name}.json"


def run(problem: str, arm: str, rate: float, seed: int, minutes: float, *, measured: bool) -> None:
    """Train one arm once; without a curve if it is not ``measured``."""
    keep_freed_memory()
    # What else runs on the machine takes nothing from one arm that it leaves to another.
    Learner.clock = staticmethod(time.process_time)
    folder = folder_of(problem, arm, rate, seed, minutes)
    settings: dict[str, Any] = {
        "problem": problem,
        "seed": seed,
        "compile": True,
        "data": {"sizes": [NODES], "uniform": 1.0},
        "improvement": {"kicks": KICKS[problem]},
        "optimizer": {"rate": rate},
        "budget": {"minutes": minutes},
        "validation": {"every": 1e6, "most": NODES},
    }
    for more in ARMS[arm]:
        settings = {key: merged(settings.get(key), more.get(key)) for key in settings | more}
    rules = problems.find(problem)
    recipe = recipes.from_dict(settings)
    augmented = "invariant" not in arm and "EGNN" not in arm
    callbacks = [Measure(rules, folder, augmented=augmented)] if measured else []
    train(recipe, folder, threads=1, quiet=True, callbacks=callbacks)
    (folder / "trained").touch()
    if measured:
        CURVES.mkdir(exist_ok=True)
        shutil.copy(folder / "curve.json", curve_path(folder))


def merged(first: Any, second: Any) -> Any:
    """A setting, or a table of settings, with another on top."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first | second
    return first if second is None else second


def launch(problem: str, arm: str, rate: float, seed: int, minutes: float, *, measured: bool = True) -> Path:
    """The folder of one run, from a process of its own unless it is there already."""
    folder = folder_of(problem, arm, rate, seed, minutes)
    if not (curve_path(folder) if measured else folder / "trained").exists():
        shutil.rmtree(folder, ignore_errors=True)
        words = [sys.executable, str(ROOT / "benchmarks" / "symmetry.py"), *([] if measured else ["--unmeasured"])]
        words += ["--run", json.dumps([problem, arm, rate, seed, minutes])]
        subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, cwd=ROOT)
        print(f"trained {folder.name}", file=sys.stderr, flush=True)
    return folder


def curve_of(problem: str, arm: str, rate: float, seed: int, minutes: float) -> list[dict[str, float]]:
    """What one run was measured to do."""
    folder = launch(problem, arm, rate, seed, minutes)
    return cast(list[dict[str, float]], json.loads(curve_path(folder).read_text()))


def best_rate(rates: Sequence[float], gap: Callable[[float], float]) -> float:
    """The learning rate with which the ``gap`` is least, neither the largest nor the least that was tried."""
    tried = {rate: gap(rate) for rate in sorted(rates)}
    while (best := min(tried, key=tried.__getitem__)) in (min(tried), max(tried)):
        more = 2 * best if best == max(tried) else best / 2
        tried[more] = gap(more)
    return best


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)


def needed(curve: list[dict[str, float]], key: str, target: float) -> float:
    """Instances seen when the gap ``key`` first is at most ``target``; infinite if it never was."""
    return next((point["instances"] for point in curve if point.get(key, math.inf) <= target), math.inf)


def plot(curves: dict[str, list[list[dict[str, float]]]], key: str, axis: str, path: Path) -> None:
    """Median and quartiles over the seeds, against instances or minutes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    axes.set(xlabel=axis, ylabel="gap, %", yscale="log", xscale="log" if axis == "instances" else "linear")
    for arm, runs in curves.items():
        if not all(key in point for curve in runs for point in curve):
            continue
        length = min(map(len, runs))
        along = [statistics.median(curve[i][axis] for curve in runs) for i in range(length)]
        low, middle, high = zip(*(quartiles([curve[i][key] for curve in runs]) for i in range(length)), strict=True)
        (line,) = axes.plot(along, middle, label=arm, linestyle="--" if arm.startswith("joins") else "-")
        axes.fill_between(along, low, high, alpha=0.2, color=line.get_color())
    for each in (axes.xaxis, axes.yaxis):
        if each.get_scale() == "log":
            each.set_major_locator(LogLocator(subs=(1, 2, 5)))
            each.minorticks_off()
        each.set_major_formatter("{x:,g}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def report(problem: str, curves: dict[str, list[list[dict[str, float]]]], rates: dict[str, float]) -> None:
    """Tables in Markdown and plots."""
    DOCS.mkdir(exist_ok=True)
    for axis in ("instances", "minutes"):
        plot(curves, "one", axis, DOCS / f"symmetry-{problem}-{axis}.png")
    kinds = {"one": "greedy", "best": f"best of {STARTS}", "eight": "best of 8 turned copies"}
    print("| arm | rate | seeds | instances | " + " | ".join(kinds.values()) + " |\n" + "|---" * (4 + len(kinds)) + "|")
    for arm, runs in curves.items():
        seen = statistics.median(curve[-1]["instances"] for curve in runs)
        cells = []
        for key in kinds:
            ends = [curve[-1][key] for curve in runs if key in curve[-1]]
            cells.append("{1:.2f} ({0:.2f}-{2:.2f})".format(*quartiles(ends)) if ends else "the same as one")
        print(f"| {arm} | {rates[arm]:g} | {len(runs)} | {seen:,.0f} | " + " | ".join(cells) + " |")
    for key in ALONG[problem]:
        print(f"\nInstances until the gap ({kinds[key]}) is at most so many percent, median over the seeds:\n")
        print("| arm | " + " | ".join(f"{target:g}" for target in TARGETS) + " |\n" + "|---" * (1 + len(TARGETS)) + "|")
        for arm, runs in curves.items():
            medians = [statistics.median(needed(curve, key, target) for curve in runs) for target in TARGETS]
            cells = ["not reached" if math.isinf(median) else f"{median:,.0f}" for median in medians]
            print(f"| {arm} | " + " | ".join(cells) + " |")


def main() -> None:
    """Train what is missing; tables and plots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", default="tsp")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="repeatable; default: all")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--unmeasured", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*json.loads(options.run), measured=not options.unmeasured)
        return
    problem, minutes, arms = options.problem, options.minutes, options.arm or list(ARMS)
    with ThreadPoolExecutor(options.side_by_side) as pool:
        first = [RATES[arm.partition(",")[0]] for arm in arms]
        ends = [lambda rate, arm=arm: curve_of(problem, arm, rate, 0, minutes)[-1]["one"] for arm in arms]
        rates = dict(zip(arms, pool.map(best_rate, first, ends), strict=True))
        runs = [(arm, rates[arm], seed) for arm in arms for seed in range(options.seeds)]
        made = list(pool.map(lambda one: curve_of(problem, one[0], one[1], one[2], minutes), runs))
    curves = {arm: [curve for one, curve in zip(runs, made, strict=True) if one[0] == arm] for arm in arms}
    report(problem, curves, rates)


if __name__ == "__main__":
    main()
