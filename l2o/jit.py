"""Compiled functions: by numba, when first called, unless machine code was kept that needs no numba to be loaded."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

from l2o import native
from l2o.jit_cache import folder

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Without numba's runtime arrays are not reference-counted, which halves the time of small functions that are handed
# many of them.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}
_BLAS = "scipy.linalg.cython_blas"

_lock = threading.RLock()
used: dict[str, Kernel] = {}
"""Kernels that numba had to compile, or to load, because Python called them."""


class Kernel:
    """A function that runs as machine code."""

    def __init__(self, function: Callable[..., Any], inlined: bool = False) -> None:
        """``function`` can neither make arrays nor slice them."""
        functools.update_wrapper(self, function)
        self._function, self._inlined, self._dispatcher = function, inlined, None
        self.name = f"{function.__module__}.{function.__qualname__}"

    def __call__(self, *arguments: Any) -> Any:
        """Run it while other threads run."""
        if self.name not in used:
            try:
                return native.run(self.name, arguments)
            except native.Unfit:
                used[self.name] = self
        return self.dispatcher(*arguments)

    @property
    def dispatcher(self) -> Any:
        """What numba makes of it."""
        # Threads of a search call it at once, and each would compile its own.
        with _lock:
            if self._dispatcher is None:
                options = {"cache": folder() is not None, "forceinline": self._inlined, **_OPTIONS}
                self._dispatcher = _numba().njit(**options)(self._function)
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:
        return _numba().typeof(self.dispatcher)


@functools.cache
def _numba() -> Any:
    # Its arraymath loads this to see whether it is there, which takes a tenth of a second, and again where it is
    # wanted.
    stand_in = _BLAS not in sys.modules
    if stand_in:
        sys.modules[_BLAS] = ModuleType(_BLAS)
    import numba
    import numba.np.arraymath

    if stand_in:
        del sys.modules[_BLAS]
    if (kept := folder()) is not None:
        vars(numba.config)["CACHE_DIR"] = str(kept)
    return numba


def njit(function: _Function) -> _Function:
    """Compile ``function`` when it is first called. It can neither make arrays nor slice them."""
    return cast(_Function, Kernel(function))


def inlined(function: _Function) -> _Function:
    """The same for one that becomes a part of the compiled functions that call it.

    A call hands over seven words for each array; where there are twenty, that takes longer than a short function.
    """
    return cast(_Function, Kernel(function, inlined=True))
