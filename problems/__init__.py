"""The problems: what may be visited, what it costs. The file name is the registry, here and in ``rules/``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from l2o.problems import rules

if TYPE_CHECKING:
    from l2o.problems.base import Problem


def names() -> list[str]:
    """The problems there are, found without loading them."""
    return rules.names()


def find(name: str) -> Problem:
    """The problem ``name`` as a decision process. Raises :class:`Unsupported` for an unknown one, with the nearest."""
    problem: Problem = importlib.import_module(f"{__name__}.{rules.find(name).name}").PROBLEM
    return problem
