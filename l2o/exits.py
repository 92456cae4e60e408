"""How a command ends: exit codes, and the one line that says what went wrong."""

from __future__ import annotations

import sys

from l2o.problems.instance import Infeasible

SOLVED, BAD_INPUT, INFEASIBLE, INTERRUPTED = 0, 2, 3, 130


def is_ours(error: Exception) -> bool:
    """Whether ``error`` is one of the package's own types, whose message is one line for the user."""
    return isinstance(error, ValueError) and type(error).__module__.partition(".")[0] == "l2o"


def complain(error: Exception | str) -> int:
    """Print the line on standard error; the exit code."""
    print(f"l2o: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return INFEASIBLE if isinstance(error, Infeasible) else BAD_INPUT
