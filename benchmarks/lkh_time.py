"""At LKH's own time: how good is a tour after the seconds that LKH takes by itself?

``PYTHONPATH=.:benchmarks python benchmarks/lkh_time.py FILE...`` with a Python that has ``elkai``, see ``rivals.py``.
Every solve is a fresh process; time counts from its start to its end. One thread each.
"""

from __future__ import annotations

import statistics
import sys

from l2o.compare import judged, rehearse, with_gaps
from l2o.files import read
from l2o.fresh import attempt_afresh
from l2o.machine import commit, hardware

UNLIMITED = 3_600.0


def main(files: list[str]) -> None:
    """Measure and print a table in Markdown."""
    instances = [read(file) for file in files]
    rehearse(["l2o"], instances, None)
    print(f"{hardware()}; commit {commit() or 'none'}\n")
    print("| instance | LKH, seconds | LKH, % | l2o, seconds | l2o, % |\n" + "|---" * 5 + "|")
    gaps: dict[str, list[float]] = {"lkh": [], "l2o": []}
    for instance in instances:
        alone = attempt_afresh("rivals:lkh", instance, time_limit=UNLIMITED, seed=0, threads=1)
        assert alone is not None
        ours = attempt_afresh("l2o", instance, time_limit=alone.seconds, seed=0, threads=1)
        assert ours is not None
        rows = with_gaps([judged(instance, "lkh", alone), judged(instance, "l2o", ours)])
        cells = []
        for row in rows:
            assert row.gap is not None, f"{row.instance}: {row.solver}: {row.reason or 'no best known cost'}"
            gaps[row.solver].append(row.gap)
            cells += [f"{row.seconds:.2f}", f"{row.gap:.3f}"]
        print(f"| {instance.name} | " + " | ".join(cells) + " |", flush=True)
    means = [statistics.fmean(gaps[name]) for name in ("lkh", "l2o")]
    print(f"| mean | | {means[0]:.3f} | | {means[1]:.3f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
