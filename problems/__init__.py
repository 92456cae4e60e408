"""The problems: what may be visited, what it costs. The file name is the registry."""

from __future__ import annotations

import importlib
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from l2o.problems.instance import Unsupported

if TYPE_CHECKING:
    from l2o.problems.base import Problem


def names() -> list[str]:
    """The problems there are: modules of this folder that define ``PROBLEM``, found without loading them."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(
        file.stem for file in files if re.search(r"^PROBLEM\b", file.read_text(encoding="utf-8"), re.MULTILINE)
    )


def find(name: str) -> Problem:
    """The rules of the problem ``name``. Raises :class:`Unsupported` for an unknown one, with the nearest name."""
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise Unsupported(f"found problem {name!r}, expected one of {', '.join(known)}; {advice}")
    problem: Problem = importlib.import_module(f"{__name__}.{name}").PROBLEM
    return problem
