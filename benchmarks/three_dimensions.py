"""What do steerable networks add in three dimensions? Tours in a cube and on a sphere, learned at equal minutes.

``python benchmarks/three_dimensions.py [--minutes 4] [--seeds 3] [--side-by-side 2] [--arm NAME]...`` trains every arm
by REINFORCE on maps of 50 nodes, each of the one or the other kind, first with three learning rates or more and one
seed, then with the best of them and more seeds; each run on one thread, in minutes of the processor, without compiling.
Runs are kept in ``benchmarks/results/three_dimensions/``; what is finished is not repeated, what was killed is resumed.
Then it draws ``docs/three-dimensions.png`` and prints a table in Markdown: percent above long local searches, of
greedy tours and of the best from 16 starts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
from strip_plot import strip_plot
from symmetry import NODES, STARTS, best_rate, gaps, quartiles, references

from l2o import checkpoint, problems
from l2o import recipe as recipes
from l2o.learner import Learner
from l2o.problems.base import Graph
from l2o.problems.maps import SOLID
from l2o.train import RESUME, train
from l2o.weights import WEIGHTS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "three_dimensions"
ARMS: dict[str, dict[str, Any]] = {
    "EGNN": {},
    "steerable, O(3), vectors": {"kind": "steerable", "tensors": 0},
    "steerable, O(3)": {"kind": "steerable"},
    "steerable, SO(3)": {"kind": "steerable", "parity": False},
}
RATES = (1e-3, 2e-3, 4e-3)
"""To begin with; more are tried where the best is the largest or the least."""
MAPS_MEASURED = 64
MEASURED = {"greedy": 1, f"best of {STARTS}": STARTS}
"""How many constructions of each map."""


def maps(kind: str) -> Graph:
    """The same for every run."""
    return problems.find("tsp").sample(torch.Generator().manual_seed(35_000), MAPS_MEASURED, NODES, kind)


def kept_references() -> dict[str, Any]:
    """``[B]`` costs of long local searches by kind, searched for once, before all runs."""
    path = RESULTS / "references.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({kind: references(problems.find("tsp"), maps(kind)).tolist() for kind in SOLID}))
    return {kind: torch.tensor(costs, dtype=torch.float64) for kind, costs in json.loads(path.read_text()).items()}


def run(arm: str, rate: float, seed: int, minutes: float, name: str) -> None:
    """Train one arm once, or go on with it, and measure it."""
    # What else runs on the machine takes nothing from one arm that it leaves to another.
    Learner.clock = staticmethod(time.process_time)
    recipe = recipes.from_dict(
        {
            "seed": seed,
            "compile": True,
            "model": ARMS[arm],
            "data": {"sizes": [NODES], "uniform": 0, "distributions": list(SOLID), "starts": STARTS},
            "optimizer": {"rate": rate},
            "budget": {"minutes": minutes},
            "validation": {"every": 1e6, "most": NODES},
        }
    )
    folder = RESULTS / name
    if not (folder / WEIGHTS).exists():
        train(recipe, folder, resume=(folder / RESUME).exists(), threads=1, quiet=True)
    trained = checkpoint.load(str(folder))
    found: dict[str, Any] = {"instances": trained.record["instances"]}
    for kind, reference in kept_references().items():
        for key, count in MEASURED.items():
            found[f"{kind}, {key}"] = gaps(problems.find("tsp"), trained.policy, maps(kind), reference, count=count)
    (RESULTS / f"{name}.json").write_text(json.dumps(found))


def measured(arm: str, rate: float, seed: int, minutes: float) -> dict[str, float]:
    """What one run was measured to do, from a process of its own unless it is known already."""
    name = f"{arm.replace(' ', '-').replace(',', '')}-{rate:g}-{seed}-{minutes:g}min"
    path = RESULTS / f"{name}.json"
    if not path.exists():
        words = [sys.executable, str(Path(__file__)), "--run", json.dumps([arm, rate, seed, minutes, name])]
        subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, cwd=ROOT)
        print(f"trained {name}: {path.read_text()}", file=sys.stderr, flush=True)
    return cast(dict[str, float], json.loads(path.read_text()))


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="repeatable; default: all")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*json.loads(options.run))
        return
    kept_references()
    minutes, arms = options.minutes, options.arm or list(ARMS)

    def gap(arm: str, rate: float) -> float:
        found = measured(arm, rate, 0, minutes)
        return statistics.mean(found[f"{kind}, greedy"] for kind in SOLID)

    with ThreadPoolExecutor(options.side_by_side) as pool:
        chosen = list(pool.map(lambda arm: best_rate(RATES, lambda rate: gap(arm, rate)), arms))
        runs = [(arm, rate, seed) for arm, rate in zip(arms, chosen, strict=True) for seed in range(options.seeds)]
        made = list(pool.map(lambda one: measured(*one, minutes), runs))
    columns = [f"{kind}, {key}" for kind in SOLID for key in MEASURED]
    print("| arm | rate | seeds | instances | " + " | ".join(columns) + " |\n" + "|---" * (4 + len(columns)) + "|")
    of_arm = {arm: [found for one, found in zip(runs, made, strict=True) if one[0] == arm] for arm in arms}
    for arm, rate in zip(arms, chosen, strict=True):
        own = of_arm[arm]
        seen = statistics.median(found["instances"] for found in own)
        cells = ["{1:.2f} ({0:.2f}-{2:.2f})".format(*quartiles([found[key] for found in own])) for key in columns]
        print(f"| {arm} | {rate:g} | {len(own)} | {seen:,.0f} | " + " | ".join(cells) + " |")
    panels = {
        f"{key}, gap, %": {arm: [found[key] for found in own] for arm, own in of_arm.items()}
        for key in (f"{kind}, greedy" for kind in SOLID)
    }
    strip_plot(panels, ROOT / "docs" / "three-dimensions.png")


if __name__ == "__main__":
    main()
