"""What makes a solution right and what it costs, problem by problem; nothing here loads torch.

The file name is the registry, as in the folder above, whose problems build on these.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from l2o.problems.instance import Instance, Routes, Unsupported


class Rules(Protocol):
    """Stateless."""

    name: str

    def cost(self, instance: Instance, routes: Routes) -> float:
        """Cost in the instance's own metric and rounding, vectorised."""

    def check(self, instance: Instance, routes: Routes) -> float:
        """The same in plain Python sharing no code with :meth:`cost`.

        Raises:
            Infeasible: a rule is broken; the message says which and where.
        """


def names() -> list[str]:
    """The problems that there are rules for."""
    return sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def find(name: str) -> Rules:
    """Those of the problem ``name``. Raises :class:`Unsupported` for an unknown one, with the nearest name."""
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise Unsupported(f"found problem {name!r}, expected one of {', '.join(known)}; {advice}")
    rules: Rules = importlib.import_module(f"{__name__}.{name}").RULES
    return rules
