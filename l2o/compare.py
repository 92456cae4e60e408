"""Solvers x instances -> rows of cost, gap and seconds; rows -> one line per solver.

A cost counts only after the problem's own check has confirmed it here, in a process that no solver runs in (unless all
do, see :func:`compare`). What a solver does wrong becomes a row that says so.
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from l2o import problems
from l2o.fresh import Answer, Task, attempt, attempt_afresh
from l2o.problems import rules
from l2o.problems.instance import TIE, Infeasible, Instance
from l2o.selection import random_instances
from l2o.solvers import NAMES

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True)
class TimeLimit:
    """Seconds for one solve: the same for all instances, or so many for each node."""

    seconds: float = 0.0
    per_node: float = 0.0

    @classmethod
    def parse(cls, text: str) -> TimeLimit:
        """From ``10``, or ``n/100`` for a hundredth of a second for each node. Raises :class:`ValueError`."""
        match = re.fullmatch(r"n\s*/\s*([0-9.eE+-]+)", text.strip())
        limit = cls(per_node=1 / float(match[1])) if match else cls(seconds=float(text))
        if not 0 < limit(1) < math.inf:
            raise ValueError(f"found {text!r}, expected seconds above 0 or a rate as n/100")
        return limit

    def __call__(self, n: int) -> float:
        """For an instance of ``n`` nodes."""
        return self.seconds + self.per_node * n

    def __str__(self) -> str:
        return f"n/{1 / self.per_node:g} s" if self.per_node else f"{self.seconds:g} s"


@dataclass(frozen=True)
class Row:
    """How one solver did on one instance."""

    instance: str
    problem: str
    n: int
    solver: str
    status: str
    """:data:`OK`, :data:`FAILED` (no answer or a wrong one) or :data:`SKIPPED` (it takes no such instances)."""
    cost: float | None
    """In the instance's own metric and rounding, confirmed by its problem's check."""
    best_known: float | None
    gap: float | None
    """Percent above ``gap_to``."""
    gap_to: str
    """"best known", or "best found" by the solvers compared where nothing is known."""
    seconds: float
    found_by: str
    """What the solver says produced the solution."""
    reason: str
    """Why there is none."""


@dataclass(frozen=True)
class Summary:
    """One solver over all instances. Gaps and seconds are over those that it solved."""

    solver: str
    solved: int
    failed: int
    skipped: int
    mean: float
    median: float
    worst: float
    wins: int
    """Instances where no solver found less; ties count for all who tie."""
    seconds: float
    """Mean."""
    longest: float


def compare(
    instances: Sequence[Instance],
    solvers: Sequence[str],
    *,
    time_limit: float | TimeLimit,
    seed: int = 0,
    threads: int = 1,
    model: str | None = None,
    in_process: bool = False,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Every solver on every instance, with equal time and threads, in the order instance by instance.

    Args:
        solvers: names as for :func:`l2o.solvers.find`.
        time_limit: seconds for each solve, from the start of its process, the same for all or by their nodes.
        model: for the learned solvers.
        in_process: solve in this process instead, for many solves that are short: seconds are then without start-up,
            and a crash ends everything.
        stop: asked several times a second (between solves if ``in_process``); True ends with the rows so far.
        report: told each row as soon as it is there; its gap is final only where the best known cost is given.
    """
    rows: list[Row] = []
    limit = time_limit if isinstance(time_limit, TimeLimit) else TimeLimit(time_limit)
    for instance in instances:
        group: list[Row] = []
        for solver in solvers:
            answer: Answer | None = None
            if in_process and not stop():
                answer = attempt(Task(instance, solver, model, limit(instance.n), seed, threads, time.monotonic()))
            elif not in_process:
                answer = attempt_afresh(
                    solver, instance, time_limit=limit(instance.n), seed=seed, threads=threads, model=model, stop=stop
                )
            if answer is None:
                return rows + with_gaps(group)
            group.append(judged(instance, solver, answer))
            report(with_gaps(group)[-1])
        rows += with_gaps(group)
    return rows


def rehearse(solvers: Sequence[str], instances: Sequence[Instance], model: str | None) -> None:
    """Run our own solvers once on a tiny instance of each problem, or the smallest there is, in this process.

    What is compiled once on a machine, or read from disk for the first time, then burdens no measurement.
    """
    for problem in sorted({instance.problem for instance in instances}):
        if problem in problems.names():
            (tiny,) = random_instances(problem, "uniform", 8, 1, seed=0)
        else:
            tiny = min((one for one in instances if one.problem == problem), key=lambda one: one.n)
        for solver in solvers:
            if solver in NAMES:
                attempt(Task(tiny, solver, model, 0.3, 0, 1, time.monotonic()))


def judged(instance: Instance, solver: str, answer: Answer) -> Row:
    """The row for ``answer``, its cost by the problem's arithmetic and by its independent check, which must agree."""
    status, cost, reason = SKIPPED if answer.skipped else FAILED, None, answer.reason
    if answer.solution is not None:
        problem, routes = rules.find(instance.problem), answer.solution.routes
        try:
            cost = problem.check(instance, routes)
            if abs(cost - problem.cost(instance, routes)) <= instance.slack(cost):
                status = OK
            else:
                cost, reason = None, "its cost and the check of its solution differ"
        except Infeasible as error:
            reason = str(error)
        except Exception as error:  # routes that are no routes: whatever a solver hands over is its own failure
            reason = f"its answer is no solution ({type(error).__name__}: {error})"
    return Row(
        instance=instance.name,
        problem=instance.problem,
        n=instance.n,
        solver=solver,
        status=status,
        cost=cost,
        best_known=instance.best_known,
        gap=None,
        gap_to="",
        seconds=answer.seconds,
        found_by=answer.solution.solver if answer.solution is not None and status == OK else "",
        reason=reason,
    )


def with_gaps(rows: Iterable[Row]) -> list[Row]:
    """The rows of one instance with their gaps filled in."""
    rows = list(rows)
    costs = [row.cost for row in rows if row.cost is not None]
    filled = []
    for row in rows:
        known = row.best_known is not None and row.best_known > 0
        reference = row.best_known if known else min(costs, default=None)
        if row.cost is not None and reference is not None and reference > 0:
            gap, gap_to = 100 * (row.cost / reference - 1), "best known" if known else "best found"
            filled.append(replace(row, gap=gap, gap_to=gap_to))
        else:
            filled.append(row)
    return filled


def groups(rows: Sequence[Row], solvers: Sequence[str]) -> list[list[Row]]:
    """Rows cut into one list per instance, as :func:`compare` orders them; the last may be shorter."""
    return [list(rows[begin : begin + len(solvers)]) for begin in range(0, len(rows), len(solvers))]


def summarise(rows: Sequence[Row], solvers: Sequence[str]) -> list[Summary]:
    """One line per solver; NaN where it solved nothing."""
    wins = dict.fromkeys(solvers, 0)
    for group in groups(rows, solvers):
        least = min((row.cost for row in group if row.cost is not None), default=math.nan)
        for row in group:
            wins[row.solver] += row.cost is not None and math.isclose(row.cost, least, rel_tol=TIE, abs_tol=TIE)
    lines = []
    for solver in solvers:
        own = [row for row in rows if row.solver == solver]
        solved = [row for row in own if row.status == OK]
        gaps = [row.gap for row in solved if row.gap is not None] or [math.nan]
        seconds = [row.seconds for row in solved] or [math.nan]
        lines.append(
            Summary(
                solver=solver,
                solved=len(solved),
                failed=sum(row.status == FAILED for row in own),
                skipped=sum(row.status == SKIPPED for row in own),
                mean=statistics.fmean(gaps),
                median=statistics.median(gaps),
                worst=max(gaps),
                wins=wins[solver],
                seconds=statistics.fmean(seconds),
                longest=max(seconds),
            )
        )
    return lines


def common(rows: Sequence[Row], solvers: Sequence[str]) -> list[Row]:
    """The rows of the instances that every solver solved: the only ones over which means are comparable."""
    whole = (group for group in groups(rows, solvers) if len(group) == len(solvers))
    return [row for group in whole if all(row.status == OK for row in group) for row in group]
