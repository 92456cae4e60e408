"""What each choice of a recipe is worth at equal training minutes.

``python benchmarks/ablation.py [--recipe tsp] [--minutes 15] [--seeds 3] [--side-by-side 2] [ARM...]`` trains each arm
from scratch on one thread, as many at once as ``--side-by-side`` says, and prints a Markdown table of the final gaps on
the validation set, means over the seeds. Runs are kept in ``benchmarks/results/ablation/``; finished ones are not
repeated, killed ones are resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ablation"

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
}
WALKS: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "regret, discount 0.9": ("objective.regret=true", "objective.discount=0.9"),
    "no reward for entropy": ("objective.entropy=0.0", "objective.doubt=0.0"),
    "no averaging": ("optimizer.average=0.0",),
    "patch 8 + 4": ("model.candidates=8", "model.context=4"),
    "depth 3": ("model.depth=3",),
    "100 nodes only": ("data.sizes=[100]",),
    "uniform only": ("data.uniform=1.0",),
}
ARMS = {"tsp": JOINS, "cvrp": JOINS, "tsp_reinforce": WALKS}
"""By recipe: what each arm sets."""


def train(recipe: str, arm: str, seed: int, minutes: float) -> dict[str, Any]:
    """The record of one finished run."""
    folder = RESULTS / f"{recipe}-{minutes:g}min-{arm.replace(' ', '-').replace(',', '')}-seed{seed}"
    done = folder / "record.json"
    if not done.exists() or json.loads(done.read_text())["minutes"] < minutes:
        settings = (*ARMS[recipe][arm], f"seed={seed}", f"budget.minutes={minutes}", f"validation.every={minutes}")
        words = [sys.executable, "-m", "l2o", "train", str(ROOT / "recipes" / f"{recipe}.toml"), "-o", str(folder)]
        words += [word for setting in settings for word in ("--set", setting)]
        words += ["--threads", "1", "--quiet", *(["--resume"] if (folder / "last.ckpt").exists() else [])]
        subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, cwd=ROOT)
        print(f"trained {folder.name}", file=sys.stderr, flush=True)
    record: dict[str, Any] = json.loads(done.read_text())
    return record


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arms", nargs="*", metavar="ARM", help="default: all of the recipe")
    parser.add_argument("--recipe", default="tsp", choices=list(ARMS))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    unknown = [arm for arm in options.arms if arm not in ARMS[options.recipe]]
    if unknown:
        parser.error(f"unknown arm {unknown[0]!r}; there are {', '.join(ARMS[options.recipe])}")
    arms = options.arms or list(ARMS[options.recipe])
    runs = [(arm, seed) for seed in range(options.seeds) for arm in arms]
    with ThreadPoolExecutor(options.side_by_side) as pool:
        records = list(pool.map(lambda run: train(options.recipe, *run, options.minutes), runs))
    print(f"{options.recipe}, {options.minutes:g} minutes of one thread each, {options.seeds} seeds\n")
    sets = [key for key in records[0] if key.startswith("gap/")]
    print("| arm | decisions | mean (least to most) | " + " | ".join(key[4:] for key in sets) + " |")
    print("|---" * (3 + len(sets)) + "|")
    for arm in arms:
        mine = [record for run, record in zip(runs, records, strict=True) if run[0] == arm]
        means = [statistics.mean(record[key] for key in sets) for record in mine]
        seen = statistics.mean(record["decisions"] for record in mine) / 1e6
        cells = " | ".join(f"{statistics.mean(record[key] for record in mine):.2f}" for key in sets)
        spread = f"{statistics.mean(means):.2f} ({min(means):.2f}-{max(means):.2f})"
        print(f"| {arm} | {seen:.2f} M | {spread} | {cells} |")


if __name__ == "__main__":
    main()
