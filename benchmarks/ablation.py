"""What each choice of a recipe is worth at equal training minutes.

``python benchmarks/ablation.py [--recipe tsp] [--minutes 15] [--seeds 3] [--side-by-side 2] [ARM...]`` trains each arm
from scratch on one thread, as many at once as ``--side-by-side`` says, and prints a Markdown table of the final gaps on
the validation set, means over the seeds. Minutes are those of the processor, without compiling and measuring. Runs
are kept in ``benchmarks/results/ablation/`` and the records of finished ones in ``benchmarks/records/``; what is
finished is not repeated, what was killed is resumed. A run ends with the batch of lessons in which its minutes end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import blinds
from objectives import OBJECTIVES

from l2o import recipe as recipes
from l2o.learner import Learner
from l2o.reinforce import Reinforce
from l2o.train import LEARNERS, train
from l2o.weights import RECORD

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ablation"
RECORDS = ROOT / "benchmarks" / "records"

JOINS: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "one pass": ("improvement.passes=1",),
    "4 steps a pass": ("improvement.steps=4",),
    "2 states of each solution": ("improvement.begins=2",),
    "a third of the kicks": ("improvement.kicks=0.1",),
    "depth 3": ("model.depth=3",),
    "width 32": ("model.width=32", "model.message=24"),
    "width 96": ("model.width=96", "model.message=72"),
    "6 candidates": ("model.candidates=6",),
    "no further ends in sight": ("model.context=0", "model.reach=10"),
    "1 vector": ("model.vectors=1",),
    "100 nodes only": ("data.sizes=[100]",),
    "uniform only": ("data.uniform=1.0",),
    "no averaging": ("optimizer.average=0.0",),
    **dict.fromkeys(blinds.ENDS, ()),
}
WALKS: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "regret, discount 0.9": ("objective.regret=true", "objective.discount=0.9"),
    "no reward for entropy": ("objective.entropy=0.0", "objective.doubt=0.0"),
    "no averaging": ("optimizer.average=0.0",),
    "patch 8 + 4": ("model.candidates=8", "model.context=4"),
    "patch 16 + 8": ("model.candidates=16", "model.context=8"),
    "depth 1": ("model.depth=1",),
    "depth 3": ("model.depth=3",),
    "width 32": ("model.width=32", "model.message=16"),
    "width 96": ("model.width=96", "model.message=48"),
    "encoder": ("model.encoder=2",),
    "100 nodes only": ("data.sizes=[100]",),
    "uniform only": ("data.uniform=1.0",),
    **dict.fromkeys(OBJECTIVES, ()),
    **dict.fromkeys(blinds.PATCHES, ()),
}
ARMS = {"tsp": JOINS, "cvrp": JOINS, "tsp_reinforce": WALKS}
"""By recipe: what each arm sets."""
SHORT = {"tsp_reinforce": ("data.decisions=1024",)}
"""By recipe: what all arms set. In a few minutes there is no time for many steps of large batches."""


def run(recipe: str, arm: str, seed: int, minutes: float, folder: str) -> None:
    """Train one arm once, or go on with it."""
    # What else runs on the machine takes nothing from one arm that it leaves to another.
    Learner.clock = staticmethod(time.process_time)
    LEARNERS["reinforce"] = OBJECTIVES.get(arm, Reinforce)
    blinds.put_on(arm)
    # Too large for all but the last: measuring takes as long as some of these runs.
    common = [*SHORT.get(recipe, ()), f"seed={seed}", f"budget.minutes={minutes}", "validation.every=1000000.0"]
    settings = [*common, *ARMS[recipe][arm]]
    loaded = recipes.load(ROOT / "recipes" / f"{recipe}.toml", settings)
    train(loaded, Path(folder), resume=(Path(folder) / "last.ckpt").exists(), threads=1, quiet=True)


def trained(recipe: str, arm: str, seed: int, minutes: float) -> dict[str, Any]:
    """The record of one finished run."""
    folder = RESULTS / f"{recipe}-{minutes:g}min-{arm.replace(' ', '-').replace(',', '')}-seed{seed}"
    kept = RECORDS / f"{folder.name}.json"
    if not kept.exists():
        words = [sys.executable, __file__, "--run", json.dumps([recipe, arm, seed, minutes, str(folder)])]
        subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, cwd=ROOT)
        RECORDS.mkdir(exist_ok=True)
        shutil.copy(folder / RECORD, kept)
        print(f"trained {folder.name}", file=sys.stderr, flush=True)
    record: dict[str, Any] = json.loads(kept.read_text())
    return record


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arms", nargs="*", metavar="ARM", help="default: all of the recipe")
    parser.add_argument("--recipe", default="tsp", choices=list(ARMS))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*json.loads(options.run))
        return
    unknown = [arm for arm in options.arms if arm not in ARMS[options.recipe]]
    if unknown:
        parser.error(f"unknown arm {unknown[0]!r}; there are {', '.join(ARMS[options.recipe])}")
    arms = options.arms or list(ARMS[options.recipe])
    runs = [(arm, seed) for seed in range(options.seeds) for arm in arms]
    with ThreadPoolExecutor(options.side_by_side) as pool:
        records = list(pool.map(lambda one: trained(options.recipe, *one, options.minutes), runs))
    print(f"{options.recipe}, {options.minutes:g} minutes of one thread each, {options.seeds} seeds\n")
    sets = [key for key in records[0] if key.startswith("gap/")]
    print("| arm | minutes | decisions | mean (least to most) | " + " | ".join(key[4:] for key in sets) + " |")
    print("|---" * (4 + len(sets)) + "|")
    for arm in arms:
        mine = [record for one, record in zip(runs, records, strict=True) if one[0] == arm]
        means = [statistics.mean(record[key] for key in sets) for record in mine]
        spent, seen = (statistics.mean(record[key] for record in mine) for key in ("minutes", "decisions"))
        cells = " | ".join(f"{statistics.mean(record[key] for record in mine):.2f}" for key in sets)
        spread = f"{statistics.mean(means):.2f} ({min(means):.2f}-{max(means):.2f})"
        print(f"| {arm} | {spent:.1f} | {seen / 1e6:.2f} M | {spread} | {cells} |")


if __name__ == "__main__":
    main()
