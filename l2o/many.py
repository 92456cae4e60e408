"""``l2o solve-many``: very many instances, in batches of equal size, by processes of one machine or by Ray.

One line of JSON for each instance, as soon as its batch is ready; a run that was killed goes on where it was.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from l2o import outputs, report
from l2o.exits import INTERRUPTED, SOLVED
from l2o.fresh import THREAD_SETTINGS
from l2o.improve import compiled, warm_up
from l2o.interrupt import Interrupt
from l2o.problems.instance import Infeasible, Instance, InvalidInstance, Routes
from l2o.selection import Filters, select
from l2o.weights import Weights
from l2o.weights import chosen as weights_for

ENGINES = ("processes", "ray")
BEGINS = b'{"instance": '
"""What a line does."""


@dataclass(frozen=True)
class Request:
    """The options of ``l2o solve-many``, which says what they mean."""

    output: str
    model: str | None
    time_limit: float
    samples: int
    improve: bool
    seed: int
    batch: int
    processes: int
    engine: str
    rounding: str | None
    vehicles: int | None
    quiet: bool


@dataclass(frozen=True)
class Batch:
    """Instances of one problem and one size, and how to solve them."""

    instances: tuple[Instance, ...]
    weights: Weights | None
    time_limit: float
    samples: int
    improve: bool
    seed: int


def solve_many(sources: Sequence[str], request: Request) -> int:
    """Solve what is not solved yet in the output; the exit code.

    Raises :class:`InvalidInstance` and others of the package's own for what cannot be done at all; an instance that has
    no solution is a line that says so.
    """
    path = Path(request.output)
    outputs.check(path, (".jsonl",))
    left_out: list[str] = []
    chosen = select(
        sources,
        Filters(),
        seed=request.seed,
        rounding=request.rounding,
        vehicles=request.vehicles,
        left_out=left_out.append,
    )
    instances = distinct(chosen)
    for reason in left_out:
        say(f"left out: {reason}", request)
    done = finished(path)
    todo = [instance for instance in instances if not solved_before(instance, done, request)]
    say(f"{len(instances):,} instances, {len(instances) - len(todo):,} of them solved before", request)
    work = list(batches(todo, request))
    engine = {"processes": by_processes, "ray": by_ray}[request.engine]
    for problem in {batch.instances[0].problem for batch in work}:
        if request.improve and not compiled(problem):
            say(f"compiling the local search for {problem}, once on this machine", request)
            warm_up(problem)
    begun, count = time.monotonic(), 0
    with Interrupt() as interrupt, path.open("a", encoding="utf-8") as stream:
        for lines in engine(work, request.processes, interrupt):
            for line in lines:
                write(stream, line)
            count += len(lines)
            rate = count / (time.monotonic() - begun)
            say(f"{count:,} of {len(todo):,}, {rate:,.1f} a second", request)
        return INTERRUPTED if interrupt() and count < len(todo) else SOLVED


def say(text: str, request: Request) -> None:
    """Progress, on standard error."""
    if not request.quiet:
        print(f"l2o: {text}", file=sys.stderr, flush=True)


def distinct(instances: Iterable[Instance]) -> list[Instance]:
    """The same, with names that tell them apart: it is by these that a later run knows what is done."""
    seen: set[str] = set()
    named = []
    for instance in instances:
        names = itertools.chain([instance.name], (f"{instance.name}#{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in seen)
        seen.add(name)
        named.append(replace(instance, name=name))
    return named


def finished(path: Path) -> dict[str, dict[str, Any]]:
    """The lines that are in ``path``, by the names of their instances; a last one that a kill cut short is removed.

    Raises:
        InvalidInstance: a line is none of ours.
    """
    if not path.exists():
        return {}
    if not path.is_file():
        raise InvalidInstance(f"{path}: found no file, expected one or nothing; give another path")
    lines = {}
    with path.open("r+b") as stream:
        whole = 0
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n") and (line.startswith(BEGINS) or BEGINS.startswith(line)):
                break
            try:
                read = json.loads(line)
                lines[read["instance"]] = read
            except (ValueError, KeyError, TypeError):
                raise InvalidInstance(
                    f"{path}:{number}: found no line of solve-many, expected nothing else; give another file"
                ) from None
            whole += len(line)
        stream.truncate(whole)
    return lines


def solved_before(instance: Instance, done: dict[str, dict[str, Any]], request: Request) -> bool:
    """Whether ``instance`` has a line.

    Raises:
        InvalidInstance: the line is that of another one of the same name, or of another request.
    """
    line = done.get(instance.name)
    if line is None:
        return False
    wanted = {"problem": instance.problem, "n": instance.n, "vehicles": instance.vehicles}
    wanted |= {"rounding": instance.rounding, "seed": request.seed}
    for key, value in wanted.items():
        if line.get(key, value) != value:
            raise InvalidInstance(
                f"{request.output}: found {instance.name} solved with {key} {line[key]}, expected {value}; "
                "give another file"
            )
    return True


def batches(instances: Sequence[Instance], request: Request) -> Iterator[Batch]:
    """Of equal problem and size, the largest first, so that none is left for the end."""
    groups: dict[tuple[str, int], list[Instance]] = {}
    for instance in instances:
        groups.setdefault((instance.problem, instance.n), []).append(instance)
    for (problem, _), group in sorted(groups.items(), key=lambda item: -item[0][1]):
        weights = weights_for(request.model, problem, needed=request.samples > 0 or not request.improve)
        if weights is not None and weights.problem != problem:
            raise InvalidInstance(
                f"found model {weights.name!r} for {weights.problem} and an instance of {problem}; leave out --model"
            )
        for begin in range(0, len(group), request.batch):
            part = tuple(group[begin : begin + request.batch])
            yield Batch(part, weights, request.time_limit, request.samples, request.improve, request.seed)


def solved(batch: Batch) -> list[dict[str, Any]]:
    """The lines of one batch: the policy, if there is one, builds all at once, then each has its time of search."""
    from l2o.solve import solve

    lines: list[dict[str, Any]] = []
    built: list[Routes] = [()] * len(batch.instances)
    if batch.weights is not None:
        from l2o.constructions import construct_batch

        built = construct_batch(batch.weights.load(), batch.instances, samples=batch.samples, seed=batch.seed)
    for instance, routes in zip(batch.instances, built, strict=True):
        try:
            solution = solve(
                instance,
                batch.weights,
                time_limit=batch.time_limit if batch.improve else None,
                improve=batch.improve,
                initial=routes or None,
                # What the policy has to say is said.
                starts=0 if routes else None,
                seed=batch.seed,
                threads=1,
            )
            solution = replace(solution, solver=solution.solver.replace("initial solution", "policy"))
            model = "" if batch.weights is None else batch.weights.name
            lines.append(report.document(instance, solution, model, batch.seed))
        except Infeasible as error:
            lines.append({"instance": instance.name, "problem": instance.problem, "n": instance.n, "error": str(error)})
    return lines


def by_processes(work: list[Batch], processes: int, stop: Callable[[], bool]) -> Iterator[list[dict[str, Any]]]:
    """Results as they are ready; after ``stop`` those of the batches that have begun."""
    for name in THREAD_SETTINGS:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=deaf) as pool:
        todo = iter(work)
        running: set[Future[list[dict[str, Any]]]] = set()
        while True:
            while len(running) < processes + 1 and not stop() and (batch := next(todo, None)) is not None:
                running.add(pool.submit(solved, batch))
            if not running:
                return
            ready, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()


def deaf() -> None:
    """Ctrl-C is for the process that hands out the work, which lets what has begun come to its end."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def by_ray(work: list[Batch], processes: int, stop: Callable[[], bool]) -> Iterator[list[dict[str, Any]]]:
    """The same by Ray Data, on all machines of the cluster that ``RAY_ADDRESS`` names, or on this one.

    Raises:
        InvalidInstance: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise InvalidInstance("found no Ray, which --engine ray needs; pip install 'l2o[ray]'") from None
    ray.init(log_to_driver=False, ignore_reinit_error=True, num_cpus=None if "RAY_ADDRESS" in os.environ else processes)
    try:
        data = ray.data.from_items([{"batch": batch} for batch in work], override_num_blocks=max(1, len(work)))
        for row in data.map(lambda row: {"lines": json.dumps(solved(row["batch"]))}).iter_rows():
            yield json.loads(row["lines"])
            if stop():
                return
    finally:
        ray.shutdown()


def write(stream: TextIO, line: dict[str, Any]) -> None:
    """One whole line, on the disk."""
    stream.write(json.dumps(line) + "\n")
    stream.flush()
    os.fsync(stream.fileno())
