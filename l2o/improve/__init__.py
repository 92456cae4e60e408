"""Improve finished solutions by search. The file name is the registry: ``tsp.py`` improves the problem ``tsp``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from l2o import bound, jit
from l2o.improve.run import Clock, Newcomers, Report, Task
from l2o.jit_cache import folder
from l2o.native import place
from l2o.problems import names
from l2o.problems.instance import Floats, Instance, Ints, Routes

_warm: set[str] = set()


class Search(Protocol):
    """What a file here has."""

    FIXED: int
    """Nodes up to which there is nothing to be improved."""
    TINY: int
    """Nodes up to which :attr:`ENOUGH` iterations are enough to end the search."""
    ENOUGH: int

    def improve(self, task: Task) -> Routes: ...

    def warm_up(self) -> None: ...

    # ``regrets`` and ``complete`` are optional, see the functions of that name.


def _search(problem: str) -> Search:
    return cast(Search, importlib.import_module(f"l2o.improve.{problem}"))


def improve(
    instance: Instance,
    routes: Routes,
    *,
    deadline: float,
    seed: int,
    threads: int = 1,
    report: Report | None = None,
    stop: Callable[[], bool] | None = None,
    iterations: int | None = None,
    newcomers: Newcomers | None = None,
) -> Routes:
    """A solution that is not worse than ``routes``, which must be feasible, in the instance's own metric and rounding.

    Returns within 0.1 s of ``deadline``, in seconds of :func:`time.monotonic`, or of ``stop()`` becoming true, provided
    that the search is compiled (:func:`warm_up`). ``iterations`` ends it earlier, after so many kicks per thread; then
    the same seed gives the same answer. How far a search gets in a given time depends on the machine.

    ``newcomers`` are solutions that others may bring while it searches.

    ``report(cost, routes)`` is called for better solutions as they are found, at most 20 times a second, from any of
    the ``threads``, one at a time; so is ``stop``.
    """
    search = _search(instance.problem)
    if instance.n <= search.TINY:
        iterations = search.ENOUGH if iterations is None else min(search.ENOUGH, iterations)
    clock = Clock(deadline, stop, iterations)
    if instance.n <= search.FIXED or clock.over():
        return routes
    return search.improve(Task(instance, routes, clock, seed, threads, report, newcomers))


def regretting() -> list[str]:
    """The problems whose constructions :func:`regrets` can judge."""
    return [problem for problem in names() if hasattr(_search(problem), "regrets")]


def regrets(instance: Instance, plan: Routes, constructions: Ints) -> Floats:
    """``[P, T]`` by how much each decision lengthens the best rest that is known.

    ``constructions [P, T + 1]`` are nodes in the order of visiting. The first rest known is ``plan``; it is mended
    after each decision that departs from it. The sum over a construction is its cost less that of the plan. The
    instance's problem must be one of :func:`regretting`.
    """
    found: Floats = importlib.import_module(f"l2o.improve.{instance.problem}").regrets(instance, plan, constructions)
    return found


def complete(instance: Instance, paths: Ints, routes: Routes, *, seed: int, iterations: int) -> Routes:
    """The best solution found that holds all ``paths [U, 2]`` between two nodes each, or a node and itself.

    Every node but the depot is in one path; what a path itself costs does not matter. It begins with ``routes``, which
    hold them all.
    """
    found: Routes = importlib.import_module(f"l2o.improve.{instance.problem}").complete(
        instance, paths, routes, seed=seed, iterations=iterations
    )
    return found


def compiled(problem: str) -> bool:
    """Whether the search for ``problem`` can start at once; if not, :func:`warm_up` takes half a minute."""
    mark = _mark(problem)
    return problem in _warm or (mark is not None and mark.exists())


def warm_up(problem: str) -> None:
    """Load the search for ``problem``, and bounds, compiling what this machine never did, by runs on few nodes."""
    if problem in _warm:
        return
    # What builds libraries is of no use to the many processes that find them built.
    from l2o.native_build import keep

    _search(problem).warm_up()
    if bound.known(problem):
        bound.warm_up(problem)
    keep(problem, jit.used.values())
    _warm.add(problem)
    if (mark := _mark(problem)) is not None:
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def _mark(problem: str) -> Path | None:
    """The file that says so, for this kind of processor; None where nothing can be kept."""
    kept = place() or folder()
    return None if kept is None else kept / f"{problem}.compiled"
