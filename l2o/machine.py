"""What a measurement was made on: hardware, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from l2o import __version__
from l2o.cores import cores

LIBRARIES = ("torch", "ortools", "numba", "numpy", "scipy")


def hardware() -> str:
    """Processor, cores that may be used, memory."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    number = cores()
    parts = [model, f"{number} core{'s' if number > 1 else ''}"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB")
    return ", ".join(parts)


def versions() -> dict[str, str]:
    """Of the program, of Python and of the libraries that matter to speed; nothing is imported."""
    return {"l2o": __version__, "python": platform.python_version()} | {
        name: metadata.version(name) for name in LIBRARIES
    }


def commit() -> str:
    """The commit of the source tree, marked if it was changed since; "" for an installed package."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
