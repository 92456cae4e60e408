"""numba's decorator, with the machine code kept in the user's cache. Importing this loads numba."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

from l2o.jit_cache import folder

_BLAS = "scipy.linalg.cython_blas"
# Its arraymath loads this to see whether it is there, which takes a tenth of a second, and again where it is wanted.
_STAND_IN = _BLAS not in sys.modules
if _STAND_IN:
    sys.modules[_BLAS] = ModuleType(_BLAS)
import numba  # noqa: E402
import numba.np.arraymath  # noqa: E402

if _STAND_IN:
    del sys.modules[_BLAS]

_FOLDER = folder()
if _FOLDER is not None:
    vars(numba.config)["CACHE_DIR"] = str(_FOLDER)

_Function = TypeVar("_Function", bound=Callable[..., Any])


# Without numba's runtime arrays are not reference-counted, which halves the time of small functions that are handed
# many of them.
_OPTIONS: dict[str, Any] = {"cache": _FOLDER is not None, "nogil": True, "_nrt": False}


def njit(function: _Function) -> _Function:
    """Compile ``function`` when it is first called. It can neither make arrays nor slice them."""
    return cast(_Function, numba.njit(**_OPTIONS)(function))
