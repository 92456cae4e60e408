"""What `l2o compare` does: instances from files and sets, solved by every solver; tables out."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from l2o import outputs
from l2o.compare import OK, Row, Summary, TimeLimit, common, compare, groups, rehearse, summarise
from l2o.exits import INTERRUPTED, SOLVED, complain
from l2o.interrupt import Interrupt
from l2o.machine import commit, hardware, versions
from l2o.problems.instance import InvalidInstance
from l2o.progress import amount
from l2o.selection import Filters, select
from l2o.solvers import LEARNED, NAMES, find
from l2o.weights import names

MOST_LINES = 100
"""Up to so many instances are printed one by one."""
MOST_REASONS = 10


@dataclass(frozen=True)
class Request:
    """The options of `l2o compare`, which says what they mean."""

    solvers: Sequence[str]
    time_limit: TimeLimit
    threads: int
    seed: int
    model: str | None
    in_process: bool
    rounding: str | None
    vehicles: int | None
    quiet: bool


def compare_files(sources: Sequence[str], filters: Filters, request: Request, destinations: Sequence[str]) -> int:
    """Compare, print, write; the exit code. Raises :class:`InvalidInstance` and other errors of one line."""
    paths = [Path(destination) for destination in destinations]
    for path in paths:
        outputs.check(path, (".csv", ".json"))
    solvers = list(dict.fromkeys(request.solvers))
    if not solvers:
        raise InvalidInstance(f"found no solver, expected at least one of {', '.join(NAMES)}; name some")
    for solver in solvers:
        find(solver)
    left_out: list[str] = []
    instances = select(
        sources,
        filters,
        seed=request.seed,
        rounding=request.rounding,
        vehicles=request.vehicles,
        left_out=left_out.append,
    )
    for reason in left_out:
        say(f"left out: {reason}", quiet=request.quiet)
    if set(solvers) & set(LEARNED):
        from l2o.checkpoint import load

        for name in {request.model or instance.problem for instance in instances}:
            if name == request.model or name in names():
                load(name)
    count = len(instances) * len(solvers)
    rows: list[Row] = []

    def report(row: Row) -> None:
        rows.append(row)
        say(f"[{len(rows)}/{count}] {row.instance}  {row.solver}  {outcome(row)}", quiet=request.quiet)

    with Interrupt() as interrupt:
        say("preparing the solvers", quiet=request.quiet)
        rehearse(solvers, instances, request.model)
        rows = compare(
            instances,
            solvers,
            time_limit=request.time_limit,
            seed=request.seed,
            threads=request.threads,
            model=request.model,
            in_process=request.in_process,
            stop=interrupt,
            report=report,
        )
        interrupted = interrupt()
    document = {
        "version": versions()["l2o"],
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "time_limit": str(request.time_limit),
        "threads": request.threads,
        "seed": request.seed,
        "model": request.model,
        "vehicles": request.vehicles,
        "seconds_count": "the solve alone" if request.in_process else "from the start of a fresh process to its end",
        "sources": list(sources),
        "filters": {key: value for key, value in asdict(filters).items() if value not in (None, math.inf)},
        "left_out": left_out,
        "interrupted": interrupted,
        "summary": [asdict(line) for line in summarise(rows, solvers)],
        "rows": [asdict(row) for row in rows],
    }
    code = SOLVED
    for path in paths:
        try:
            write(path, document)
        except InvalidInstance as error:  # what was measured is not lost for that
            code = complain(error)
    print(text(rows, solvers, document))
    return INTERRUPTED if interrupted else code


def say(line: str, *, quiet: bool) -> None:
    """One line of progress."""
    if not quiet:
        print(line, file=sys.stderr, flush=True)


def outcome(row: Row) -> str:
    """What became of one solve, in a few words."""
    if row.cost is None:
        return f"{row.status}: {row.reason}"
    gap = "" if row.gap is None or row.gap_to == "best found" else f"  gap {row.gap:.2f} %"
    return f"cost {amount(row.cost)}{gap}  {row.seconds:.1f} s"


def write(path: Path, document: dict[str, Any]) -> None:
    """Rows as CSV, or everything as JSON. Raises :class:`InvalidInstance` where that fails."""
    with outputs.writing(path):
        if path.suffix == ".json":
            path.write_text(json.dumps(_plain(document), indent=1) + "\n", encoding="utf-8")
        else:
            with path.open("w", encoding="utf-8", newline="") as stream:
                table = csv.DictWriter(stream, [field.name for field in fields(Row)])
                table.writeheader()
                table.writerows(document["rows"])


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text(rows: Sequence[Row], solvers: Sequence[str], document: dict[str, Any]) -> str:
    """The tables for people."""
    several = "s" if document["threads"] > 1 else ""
    blocks = [
        f"{document['time_limit']} per solve, counting {document['seconds_count']}; "
        f"{document['threads']} thread{several}; seed {document['seed']}\n"
        f"{document['hardware']}; " + ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    ]
    by_instance = groups(rows, solvers)
    if len(by_instance) <= MOST_LINES:
        head = ["instance", "n", "best known", *(f"{solver} %" for solver in solvers)]
        blocks.append(table([head, *(_instance_line(group, solvers) for group in by_instance)]))
    blocks.append(table([SUMMARY_HEAD, *map(_summary_line, summarise(rows, solvers))]))
    shared = common(rows, solvers)
    if shared and any(row.status != OK for row in rows):
        blocks.append(
            f"only the instances that all of them solved: {len(shared) // len(solvers)} of {len(by_instance)}\n"
            + table([SUMMARY_HEAD, *map(_summary_line, summarise(shared, solvers))])
        )
    notes = []
    if found := sum(all(row.gap_to != "best known" for row in group) for group in by_instance):
        notes.append(f"gaps of {found} of {len(by_instance)} instances are to the best cost found here: none is known")
    troubles = [row for row in rows if row.status != OK]
    notes += [f"{row.instance}  {row.solver}  {outcome(row)}" for row in troubles[:MOST_REASONS]]
    if len(troubles) > MOST_REASONS:
        notes.append(f"... and {len(troubles) - MOST_REASONS} more")
    if document["interrupted"]:
        notes.append("interrupted: not all instances are in these tables")
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else [])])


SUMMARY_HEAD = ["solver", "solved", "failed", "skipped", "mean %", "median %", "worst %", "wins", "seconds", "longest"]


def _summary_line(line: Summary) -> list[str]:
    gaps = [f"{value:.2f}" for value in (line.mean, line.median, line.worst)]
    counts = [str(value) for value in (line.solved, line.failed, line.skipped)]
    return [line.solver, *counts, *gaps, str(line.wins), f"{line.seconds:.1f}", f"{line.longest:.1f}"]


def _instance_line(group: Sequence[Row], solvers: Sequence[str]) -> list[str]:
    row = group[0]
    cells = ["" if row.gap is None and row.cost is not None else _cell(row) for row in group]
    known = "" if row.best_known is None else amount(row.best_known)
    return [row.instance, f"{row.n:,}", known, *cells, *[""] * (len(solvers) - len(group))]


def _cell(row: Row) -> str:
    return row.status if row.gap is None else f"{row.gap:.2f}"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for line in lines
    )
