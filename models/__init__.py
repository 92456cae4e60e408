"""The models: how to choose the next node. The file name is the registry."""

from __future__ import annotations

import importlib
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2o.problems.instance import Unsupported

if TYPE_CHECKING:
    from l2o.problems.base import Problem


def names() -> list[str]:
    """The models there are: modules of this folder that define a ``Config``, found without loading them."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if re.search(r"^class Config\b", file.read_text(encoding="utf-8"), re.M))


def find(name: str) -> Any:
    """The module of model ``name``: its ``Config`` is a frozen dataclass, its ``Policy(config, features=, moves=)`` a
    :class:`l2o.models.base.Policy`, whose two numbers are the problem's.

    Raises :class:`Unsupported` for an unknown one, with the nearest name.
    """
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "choose one of them"
        raise Unsupported(f"found model {name!r}, expected one of {', '.join(known)}; {advice}")
    return importlib.import_module(f"{__name__}.{name}")


def policy(config: Any, problem: Problem) -> Any:
    """An untrained policy of the form ``config`` for ``problem``.

    Raises :class:`Unsupported` if it cannot steer as many vehicles as the problem has on their way at once.
    """
    kind = find(config.kind).Policy
    if getattr(kind, "fleet", False) != problem.fleet:
        steered = "a fleet" if problem.fleet else "one vehicle"
        raise Unsupported(
            f"found a model of kind {config.kind!r} for {problem.name}, expected one that steers {steered}; "
            f"choose another model.kind of {', '.join(names())}"
        )
    return kind(config, features=problem.features, moves=problem.moves)
