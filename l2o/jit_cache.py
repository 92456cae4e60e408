"""The folder in which numba keeps compiled kernels: the user's cache, since an installed package may be read-only."""

from __future__ import annotations

import os
import sys
import tempfile
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@cache
def folder() -> Path | None:
    """The folder, made if need be; None where it cannot be written, and then nothing is kept.

    Its name holds a digest of the sources of all kernels, and of what keeps them: numba notices a change of a kernel's
    own file, but not of the files whose functions it calls. Where they lie and since when is part of it, as numba
    compiles anew for another installation. ``NUMBA_CACHE_DIR`` overrides the place.
    """
    # Not by hashlib: to load it takes longer than all the rest of this.
    digest = zlib.crc32(sys.version.encode())
    if (numba := find_spec("numba")) is not None and numba.origin is not None:
        # Its version, without what it takes to ask for that.
        digest = zlib.crc32(Path(numba.origin).with_name("_version.py").read_bytes(), digest)
    package = Path(__file__).resolve().parent
    kernels = ("improve/*.py", "bound/*.py", "kernels_*.py", "models/kernels_*.py", "native*.py", "jit.py")
    compiled_in = ("problems/distance.py", "problems/fragments.py")  # constants of theirs
    for source in sorted(path for pattern in (*kernels, *compiled_in) for path in package.glob(pattern)):
        digest = zlib.crc32(f"{source} {source.stat().st_mtime_ns}".encode() + source.read_bytes(), digest)
    try:
        root = Path(os.environ.get("NUMBA_CACHE_DIR") or _user_cache() / "l2o")
        path = root / f"{digest:08x}"
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
