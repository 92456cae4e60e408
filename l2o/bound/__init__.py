"""Lower bounds that hold: no solution of the instance costs less. The file name is the registry, as for problems."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from l2o.problems.instance import Instance


@dataclass(frozen=True)
class Bound:
    """No solution costs less than ``value``, in the instance's own metric and rounding."""

    value: float
    method: str
    """How it was found, in a few words."""


@dataclass(frozen=True)
class Task:
    """What bounds are looked for with, see :func:`bounds`."""

    instance: Instance
    upper: Callable[[], float]
    over: Callable[[], bool]
    left: Callable[[], float]
    told: Callable[[Bound], None]


def known(problem: str) -> bool:
    """Whether there are bounds for a problem."""
    return find_spec(f"{__name__}.{problem}") is not None


def bounds(
    instance: Instance,
    *,
    upper: Callable[[], float],
    over: Callable[[], bool],
    left: Callable[[], float],
    told: Callable[[Bound], None],
) -> None:
    """Better and better bounds until it is ``over``, nothing is left to be done, or one has met ``upper()``.

    Args:
        upper: the cost of the best solution known; bounds that come near it are worth more work.
        left: seconds that are left.
        told: of each bound that is better than those before.
    """
    importlib.import_module(f"{__name__}.{instance.problem}").bounds(Task(instance, upper, over, left, told))


def warm_up(problem: str) -> None:
    """Compile everything."""
    importlib.import_module(f"{__name__}.{problem}").warm_up()
