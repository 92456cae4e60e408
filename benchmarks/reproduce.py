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
UNIFORM_100, UNIFORM_1000 = "tsp100_uniform_cnf_0000-0799.txt.gz", "tsp1000_fu_000-063.txt.gz"
GREEDY = "--in-process --time-limit 300"

BENCHMARKS = {
    "tsplib-greedy": f"{TSPLIB} --solvers policy,insertion,nearest {GREEDY}",
    "cvrplib-x-greedy": f"{X} --solvers policy,savings,nearest {GREEDY}",
    "uniform-100-greedy": f"$L2O_DATA/neural/{UNIFORM_100} --solvers policy,insertion,nearest {GREEDY}",
    "uniform-1000-greedy": f"$L2O_DATA/neural/{UNIFORM_1000} --solvers policy,insertion,nearest {GREEDY}",
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
