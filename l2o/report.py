"""What is told of a solution: a JSON document for programs, a few lines for people."""

from __future__ import annotations

import math
from typing import Any

from l2o import __version__
from l2o.problems.instance import Instance, Solution
from l2o.progress import amount


def gap(instance: Instance, solution: Solution) -> float | None:
    """Percent above the best known cost; None where that is unknown or not positive."""
    if not instance.best_known or instance.best_known <= 0:
        return None
    return 100 * (solution.cost / instance.best_known - 1)


def document(instance: Instance, solution: Solution, model: str, seed: int) -> dict[str, Any]:
    """Plain data for JSON. Routes are in the file's own node numbers, without the depot; a tour is one route."""
    return {
        "instance": instance.name,
        "problem": instance.problem,
        "n": instance.n,
        "vehicles": instance.vehicles,
        "rounding": instance.rounding,
        "cost": number(solution.cost),
        "best_known": None if instance.best_known is None else number(instance.best_known),
        "best_known_source": instance.best_known_source,
        "gap": gap(instance, solution),
        "routes": [[int(instance.ids[node]) for node in route] for route in solution.routes],
        "bound": None if solution.bound is None else number(solution.bound),
        "bound_method": solution.bound_method,
        "seconds": round(solution.seconds, 3),
        "solver": solution.solver,
        "model": used(model, solution),
        "seed": seed,
        "version": __version__,
        "trace": [[round(seconds, 3), number(cost)] for seconds, cost in solution.trace],
    }


def summary(instance: Instance, solution: Solution, model: str, written: list[str]) -> str:
    """A few aligned lines."""
    percent = gap(instance, solution)
    lines = [f"{instance.name}: {instance.problem}, {instance.n:,} nodes"]
    lines.append(f"  cost        {amount(solution.cost)}")
    if instance.best_known is not None:
        above = "" if percent is None else f", gap {percent:.2f} %"
        lines.append(f"  best known  {amount(instance.best_known)}{above}, from {instance.best_known_source}")
    if solution.bound is not None:
        lines.append(f"  bound       {amount(solution.bound)}, {certified(solution)}, by {solution.bound_method}")
    if instance.has_depot:
        lines.append(f"  routes      {len(solution.routes)}")
    lines.append(f"  found by    {solution.solver}")
    if used(model, solution):
        lines.append(f"  model       {model}")
    lines.append(f"  seconds     {solution.seconds:.1f}")
    lines += [f"  written to  {path}" for path in written]
    return "\n".join(lines)


def certified(solution: Solution) -> str:
    """What the bound says of the cost."""
    assert solution.bound is not None
    if math.isclose(solution.bound, solution.cost, rel_tol=1e-9):
        return "so the cost is optimal"
    if solution.bound <= 0:
        return "which says nothing"
    return f"so the cost is at most {100 * (solution.cost / solution.bound - 1):.2f} % above the optimum"


def used(model: str, solution: Solution) -> str | None:
    """The weights' name if the policy had a part in the solution."""
    return model if "policy" in solution.solver else None


def number(value: float) -> int | float:
    """Whole numbers without a point."""
    return int(value) if float(value).is_integer() else value
