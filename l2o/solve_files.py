"""What `l2o solve` does: files in, one after the other; solutions out; the worst of what happened as exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2o import outputs, report
from l2o.exits import INTERRUPTED, SOLVED, complain
from l2o.files import read, read_solution
from l2o.interrupt import Interrupt
from l2o.problems import rules
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Routes
from l2o.progress import watcher
from l2o.weights import Weights
from l2o.weights import chosen as weights_for


@dataclass(frozen=True)
class Request:
    """The options of `l2o solve`, which says what they mean. None: the default depends on the file or the machine."""

    model: str | None
    time_limit: float | None
    starts: int | None
    samples: int
    improve: bool
    iterations: int | None
    bound: bool
    seed: int
    initial: str | None
    json: bool
    device: str
    threads: int | None
    rounding: str | None
    vehicles: int | None
    quiet: bool


def solve_files(files: Sequence[str], destinations: Sequence[str], request: Request, *, started: float) -> int:
    """Solve ``files`` and go on after a bad one; the exit code.

    ``started`` is when the time of the first began to count, as :func:`time.monotonic` gives it. Raises
    :class:`InvalidInstance` for a request that fits no file.
    """
    if [*files, request.initial].count("-") > 1:
        raise InvalidInstance("found - twice, expected it once: standard input is read to its end; give a path")
    worst = SOLVED
    for file, paths in zip(files, outputs.planned(destinations, files), strict=True):
        try:
            code = solve_file(file, paths, request, started=started)
        except (InvalidInstance, Infeasible) as error:
            code = complain(error)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
        started = time.monotonic()
    return worst


def solve_file(file: str, paths: Sequence[Path], request: Request, *, started: float) -> int:
    """Solve one file, print its solution and write it wherever that can be done; the exit code."""
    instance = read(file, rounding=request.rounding, vehicles=request.vehicles)
    outputs.check_kind(paths, instance)
    initial = None if request.initial is None else known(request.initial, instance)
    with Interrupt() as interrupt:
        from l2o.solve import solve

        weights = chosen(request, instance)
        model = "" if weights is None else weights.name
        with watcher(outputs.stem(file), started, instance.best_known, quiet=request.quiet) as listener:
            solution = solve(
                instance,
                weights,
                time_limit=request.time_limit,
                starts=request.starts,
                samples=request.samples,
                improve=request.improve,
                iterations=request.iterations,
                initial=initial,
                seed=request.seed,
                threads=request.threads,
                started=started,
                stop=interrupt,
                watcher=listener,
                bound=request.bound,
            )
        document = report.document(instance, solution, model, request.seed)
        written, code = [], SOLVED
        for path in paths:
            try:
                outputs.write(path, instance, solution, document)
                written.append(str(path))
            except InvalidInstance as error:  # what was found is not lost for that
                code = complain(error)
    print(json.dumps(document) if request.json else report.summary(instance, solution, model, written))
    sys.stdout.flush()
    return INTERRUPTED if interrupt() else code


def known(file: str, instance: Instance) -> Routes:
    """The solution in ``file``. Raises :class:`InvalidInstance` and :class:`Infeasible`."""
    routes = read_solution(file, instance)
    try:
        rules.find(instance.problem).check(instance, routes)
    except Infeasible as error:
        raise Infeasible(f"{file}: {error}; correct it, or leave out --initial") from None
    return routes


def chosen(request: Request, instance: Instance) -> Weights | None:
    """Those asked for, or those that ship for the instance's problem; None if there are none and search will do."""
    asked = request.starts is not None or request.samples > 0 or not request.improve
    weights = weights_for(request.model, instance.problem, needed=asked, device=request.device)
    if weights is not None and weights.problem != instance.problem:
        raise InvalidInstance(
            f"{instance.source}: found model {weights.name!r} for {weights.problem}, expected one for "
            f"{instance.problem}; leave out --model, or solve the file by itself"
        )
    return weights
