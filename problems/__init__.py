"""The problems: what may be visited, what it costs. The file name is the registry, here and in ``rules/``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from l2o.problems import rules
from l2o.problems.instance import Unsupported

if TYPE_CHECKING:
    from l2o.problems.base import Problem


def names() -> list[str]:
    """The problems that can be built decision by decision, found without loading them."""
    return [name for name in rules.names() if (Path(__file__).parent / f"{name}.py").exists()]


def find(name: str) -> Problem:
    """The problem ``name`` as a decision process.

    Raises :class:`Unsupported` for an unknown one, with the nearest, and for one that only search can solve.
    """
    if rules.find(name).name not in names():
        raise Unsupported(
            f"found problem {name!r}, which no policy can build yet, "
            f"expected one of {', '.join(names())}; use search alone"
        )
    problem: Problem = importlib.import_module(f"{__name__}.{name}").PROBLEM
    return problem
