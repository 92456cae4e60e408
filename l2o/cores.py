"""How many cores there are to work on."""

from __future__ import annotations

import os


def cores() -> int:
    """How many may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads() -> int:
    """How many threads to use where nobody says: one for each core, or what ``OMP_NUM_THREADS`` says."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) > 0 else cores()
