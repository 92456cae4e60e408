"""Machine code that ``native_build.py`` has kept, run without numba, which takes a quarter of a second to load."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from l2o.jit_cache import folder

LIBRARY, LIST = "kernels.so", "kernels.json"
RESULTS = {"none": None, "bool": ctypes.c_bool, "int64": ctypes.c_int64, "float64": ctypes.c_double}
"""Types of results, by numba's names for them."""
_PROCESSOR = "vendor", "model", "cpu family", "flags", "cpu implementer", "cpu variant", "cpu part", "features"
"""Lines of Linux that say what processor there is, of Intel's kind and of Arm's."""


class Unfit(Exception):
    """Arguments of other types than those that there is code for."""


class Entry:
    """One function of a library, for arguments of certain types."""

    def __init__(self, function: Any, types: list[Any], result: str) -> None:
        function.restype, function.argtypes = RESULTS[result], (ctypes.c_void_p, ctypes.c_void_p)
        self._function, self._types = function, types

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        """Run it while other threads run.

        Raises:
            Unfit: before anything is done.
        """
        whole: list[int] = []
        real: list[float] = []
        _flatten(arguments, self._types, whole, real)
        return self._function((ctypes.c_int64 * len(whole))(*whole), (ctypes.c_double * len(real))(*real))


def _flatten(values: tuple[Any, ...], types: list[Any], whole: list[int], real: list[float]) -> None:
    """Numbers and addresses, in order."""
    if len(values) != len(types):
        raise Unfit
    for value, (kind, *rest) in zip(values, types, strict=True):
        if kind == "tuple" and type(value).__name__ == rest[0]:
            _flatten(value, rest[1], whole, real)
        elif kind == "array" and isinstance(value, np.ndarray) and (value.dtype.str, value.ndim) == tuple(rest):
            if not (value.flags.c_contiguous and value.flags.writeable):
                raise Unfit
            whole += (value.__array_interface__["data"][0], *value.shape)
        elif kind == "float64" and isinstance(value, float):
            real.append(value)
        elif kind == "int64" and isinstance(value, (int, np.int64)) and not isinstance(value, bool):
            whole.append(int(value))
        elif kind == "bool" and isinstance(value, (bool, np.bool_)):
            whole.append(bool(value))
        else:
            raise Unfit


@functools.cache
def place() -> Path | None:
    """Where code for this processor is kept, if it can be."""
    kept = folder()
    if kept is None or not sys.platform.startswith("linux") or "NUMBA_DISABLE_JIT" in os.environ:
        return None
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return None
    what = "\n".join(line for line in first if line.lower().startswith(_PROCESSOR))
    return kept / f"native-{zlib.crc32(what.encode()):08x}"


@functools.cache
def _entries() -> dict[str, list[Entry]]:
    """All that is kept, by the names of kernels."""
    found: dict[str, list[Entry]] = {}
    kept = place()
    for listed in kept.glob(f"*/{LIST}") if kept else ():
        try:
            held = json.loads(listed.read_text())
            file = listed.with_name(LIBRARY)
            # To open what is not whole ends the process.
            if zlib.crc32(file.read_bytes()) != held["crc32"]:
                continue
            library = ctypes.CDLL(str(file))
            for symbol, name, types, result in held["kernels"]:
                found.setdefault(name, []).append(Entry(getattr(library, symbol), types, result))
        except (OSError, ValueError, AttributeError, KeyError):
            continue
    return found


def run(name: str, arguments: tuple[Any, ...]) -> Any:
    """Call what is kept of a kernel.

    Raises:
        Unfit: nothing is kept that takes these arguments.
    """
    for entry in _entries().get(name, ()):
        try:
            return entry(arguments)
        except Unfit:
            continue
    raise Unfit
