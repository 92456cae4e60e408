"""Solvers by name: every one, learned or not, is called alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from l2o.problems.instance import Instance, Solution, Unsupported

if TYPE_CHECKING:
    from l2o.weights import Weights


class Solver(Protocol):
    """Answers ``time_limit`` seconds after ``started`` (:func:`time.monotonic`; None: now) at the latest, with the best
    it found; may use ``threads`` threads; the same ``seed`` means the same random choices."""

    def __call__(
        self,
        instance: Instance,
        *,
        time_limit: float,
        seed: int = 0,
        threads: int = 1,
        started: float | None = None,
    ) -> Solution: ...


def policy(
    instance: Instance,
    *,
    time_limit: float,
    seed: int = 0,
    threads: int = 1,
    started: float | None = None,
    model: str | None = None,
    samples: int = 0,
) -> Solution:
    """The learned policy alone: one greedy construction from one start, and ``samples`` random ones.

    ``model`` as in :func:`l2o`.

    Raises:
        TimeoutError: the construction was not ready within ``time_limit``.
    """
    from l2o.solve import solve

    solution = solve(
        instance,
        _weights(instance, model, needed=True),
        time_limit=time_limit,
        samples=samples,
        improve=False,
        seed=seed,
        threads=threads,
        started=started,
    )
    if not solution.solver.startswith("policy"):
        raise TimeoutError(f"the policy's construction was not ready within {time_limit:g} s")
    return solution


def l2o(
    instance: Instance,
    *,
    time_limit: float,
    seed: int = 0,
    threads: int = 1,
    started: float | None = None,
    model: str | None = None,
) -> Solution:
    """What ``l2o solve`` does by default. ``model`` is a name or a path; None: the weights shipped for the problem, or
    search alone where none do."""
    from l2o.solve import solve

    return solve(
        instance,
        _weights(instance, model, needed=False),
        time_limit=time_limit,
        seed=seed,
        threads=threads,
        started=started,
    )


def _weights(instance: Instance, model: str | None, *, needed: bool) -> Weights | None:
    from l2o.weights import InvalidCheckpoint, chosen

    try:
        weights = chosen(model, instance.problem, needed=needed)
    except InvalidCheckpoint as error:
        raise Unsupported(str(error)) from None
    if weights is not None and weights.problem != instance.problem:
        raise Unsupported(f"model {weights.name!r} is for {weights.problem}, the instance a {instance.problem}")
    return weights


LEARNED: dict[str, Callable[..., Solution]] = {
    "policy": policy,
    "samples": partial(policy, samples=100),
    "l2o": l2o,
}
"""``samples`` is the policy alone too: the best of its greedy construction and 100 random ones."""
REFERENCES = ("ortools", "search", "savings", "insertion", "nearest")
"""Functions of :mod:`l2o.reference`."""
NAMES = (*LEARNED, *REFERENCES)


def find(name: str, *, model: str | None = None) -> Solver:
    """The solver called ``name``, one of :data:`NAMES`, or any function given as ``package.module:function``.

    ``model`` matters to the learned ones. Raises :class:`Unsupported` for a name that is not found.
    """
    if name in LEARNED:
        return cast(Solver, partial(LEARNED[name], model=model))
    module, _, function = name.partition(":") if ":" in name else ("l2o.reference", "", name)
    if ":" not in name and name not in REFERENCES:
        near = get_close_matches(name, NAMES, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "choose one, or give package.module:function"
        raise Unsupported(f"found solver {name!r}, expected one of {', '.join(NAMES)}; {advice}")
    try:
        return cast(Solver, getattr(importlib.import_module(module), function))
    except Exception as error:  # whatever a module of somebody else's raises
        raise Unsupported(
            f"found solver {name!r} ({error or type(error).__name__}), expected package.module:function; check both"
        ) from None
