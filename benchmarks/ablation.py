"""What each choice of the recipe is worth at equal training minutes.

``python benchmarks/ablation.py [--minutes 15] [--problem tsp] [--seeds 1] [--side-by-side 2] [ARM...]`` trains each arm
from scratch on one thread, as many at once as ``--side-by-side`` says, and prints a Markdown table of the final gaps on
the validation set. Runs are kept in ``benchmarks/results/ablation/``; finished ones are not repeated, killed ones are
resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ablation"

ARMS: dict[str, tuple[str, ...]] = {
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


def train(arm: str, seed: int, problem: str, minutes: float) -> dict[str, Any]:
    """The record of one finished run."""
    folder = RESULTS / f"{problem}-{minutes:g}min-{arm.replace(' ', '-')}-seed{seed}"
    done = folder / "record.json"
    if not done.exists() or json.loads(done.read_text())["minutes"] < minutes:
        settings = (*ARMS[arm], f"seed={seed}", f"budget.minutes={minutes}", f"validation.every={minutes}")
        words = [sys.executable, "-m", "l2o", "train", str(ROOT / "recipes" / f"{problem}.toml"), "-o", str(folder)]
        words += [word for setting in settings for word in ("--set", setting)]
        words += ["--threads", "1", "--quiet", *(["--resume"] if (folder / "last.ckpt").exists() else [])]
        subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, cwd=ROOT)
    record: dict[str, Any] = json.loads(done.read_text())
    return record


def main() -> None:
    """Train what is missing and print the table, one line per run as it ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arms", nargs="*", metavar="ARM", help=f"of {', '.join(ARMS)}; default: all")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--problem", default="tsp")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--side-by-side", type=int, default=2)
    options = parser.parse_args()
    unknown = [arm for arm in options.arms if arm not in ARMS]
    if unknown:
        parser.error(f"unknown arm {unknown[0]!r}; there are {', '.join(ARMS)}")
    runs = [(arm, seed) for seed in range(options.seeds) for arm in options.arms or ARMS]
    print(
        f"{options.problem}, {options.minutes:g} minutes each, {options.side_by_side} side by side, one thread each\n"
    )
    head = True
    with ThreadPoolExecutor(options.side_by_side) as pool:
        records = pool.map(lambda run: train(*run, options.problem, options.minutes), runs)
        for (arm, seed), record in zip(runs, records, strict=True):
            gaps = {key[4:]: value for key, value in record.items() if key.startswith("gap/")}
            if head:
                print("| arm | seed | decisions | mean |", " | ".join(gaps), "|")
                print("|---" * (4 + len(gaps)) + "|")
                head = False
            cells = " | ".join(f"{gap:.1f}" for gap in (sum(gaps.values()) / len(gaps), *gaps.values()))
            print(f"| {arm} | {seed} | {record['decisions'] / 1e6:.2f} M | {cells} |", flush=True)


if __name__ == "__main__":
    main()
