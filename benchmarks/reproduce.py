"""Reproduce the numbers that the README states: ``python benchmarks/reproduce.py [NAME...]`` (default: all).

Each name is one call of ``l2o compare``, which is printed; tables go to standard output, rows to
``benchmarks/results/NAME.csv`` and, with all settings, ``NAME.json``. The environment variable ``L2O_DATA`` names the
folder of benchmark files with its ``index.csv``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TSPLIB = "$L2O_DATA --set TSPLIB95 --metric EUC_2D --min-n 50 --max-n 999"
X = "$L2O_DATA --set CVRPLIB-X"
GREEDY = "--in-process --time-limit 300"
TOURS, ROUTES = f"--solvers policy,insertion,nearest {GREEDY}", f"--solvers policy,savings,nearest {GREEDY}"
SETS = "$L2O_DATA/neural"

BENCHMARKS = {
    "tsplib-greedy": f"{TSPLIB} {TOURS}",
    "tsplib-large-greedy": f"$L2O_DATA --set TSPLIB95 --metric EUC_2D --min-n 1000 --max-n 20000 {TOURS}",
    "tsp-uniform-100-greedy": f"{SETS}/tsp100_uniform_cnf_0000-0799.txt.gz {TOURS}",
    "tsp-uniform-100-samples": f"{SETS}/tsp100_uniform_cnf_0000-0799.txt.gz --limit 100 --solvers samples {GREEDY}",
    "tsp-uniform-1000-greedy": f"{SETS}/tsp1000_fu_000-063.txt.gz {TOURS}",
    "tsp-uniform-10000-greedy": f"{SETS}/tsp10000_fu_00-02.txt.gz {TOURS}",
    "tsp-rotation-greedy": f"{SETS}/tsp100_rotation_cnf_000-199.txt {TOURS}",
    "tsp-explosion-greedy": f"{SETS}/tsp100_explosion_cnf_000-199.txt {TOURS}",
    "cvrplib-x-greedy": f"{X} {ROUTES}",
    "cvrp-uniform-100-greedy": f"{SETS}/cvrp100_uniform_cnf_0000-0999.jsonl.gz {ROUTES}",
    "cvrp-rotation-greedy": f"{SETS}/cvrp100_rotation_cnf_000-199.jsonl {ROUTES}",
    "cvrp-explosion-greedy": f"{SETS}/cvrp100_explosion_cnf_000-199.jsonl {ROUTES}",
    "tsplib-10s": f"{TSPLIB} --solvers l2o,search,ortools --time-limit 10",
    "cvrplib-x-10s": f"{X} --solvers l2o,search,ortools --time-limit 10",
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, one after the other; the worst exit code."""
    data = os.environ.get("L2O_DATA", "")
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown or not data:
        found = (
            f"found {unknown[0]!r}, expected names from {', '.join(BENCHMARKS)}" if unknown else "L2O_DATA is not set"
        )
        print(f"{found}; see benchmarks/README.md", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    worst = 0
    for name in names or BENCHMARKS:
        arguments = shlex.split(BENCHMARKS[name].replace("$L2O_DATA", shlex.quote(data)))
        outputs = [f"--output={RESULTS / name}.{suffix}" for suffix in ("csv", "json")]
        print(f"\n# {name}\n$ l2o compare {BENCHMARKS[name]}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", "l2o", "compare", *arguments, *outputs]).returncode)
        if worst == 130:
            break
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
